use hitmachine_node::canary::{CanaryView, MissedView};
use hitmachine_node::epochs::EpochStatus;
use hitmachine_node::failure::Failure;
use hitmachine_node::health::{CertificateView, DiskView, WitnessView};
use hitmachine_node::live::LiveView;
use hitmachine_node::sync_book::{GoodSyncView, ShrunkView, SourceView, SyncView};
use hitmachine_node::view::StatusView;

use super::*;

fn failure() -> Failure {
    serde_json::from_str(r#"{"code": "timed_out", "exit": 3, "text_en": "late", "text_nl": "te laat"}"#)
        .unwrap()
}

/// A node in good health.
fn health() -> HealthView {
    let status = StatusView {
        partner: "gemeente".into(),
        serving: true,
        hub: "ok".into(),
        covenant_number: Some(1),
        covenant_version: None,
        key_epoch: 1,
        key_check_value: "00".into(),
        epochs: vec![EpochStatus {
            number: 1,
            state: "active".into(),
            key: "right".into(),
        }],
        sources: 1,
        persons: 10,
        synchronised_at: None,
        batches_in_doubt: 0,
        last_sync: None,
        log_size_seen: 5,
        witness_quorum: 2,
        witnessed_s: Some(3),
        notices_new: 0,
        notices_connected: true,
        alarms: Vec::new(),
        live: None,
        notifications: None,
        canaries: None,
    };
    HealthView {
        at: "2026-11-22T12:00:00Z".into(),
        version: "0".into(),
        status,
        hub_failure: None,
        covenant_days_left: Some(100),
        hub_ms: Some(4),
        certificates: vec![CertificateView {
            of: CertificateOf::Node,
            not_after: None,
            days_left: Some(WARN_DAYS),
        }],
        witness: Some(WitnessView {
            name: "w".into(),
            cosigned_at: None,
            cosigned_s: Some(4),
            size: 5,
        }),
        witnesses: Vec::new(),
        disk: Some(DiskView {
            free: 50 << 30,
            total: 100 << 30,
        }),
        partners: Vec::new(),
    }
}

fn sources() -> SourcesView {
    SourcesView {
        last: SyncView {
            ended_at: None,
            good: Some(GoodSyncView {
                at: String::new(),
                persons: 10,
                registered: 0,
                withdrawn: 0,
                full: false,
                live: false,
                seconds: 0.0,
            }),
            sources: vec![SourceView::default()],
            ..SyncView::default()
        },
        running: false,
        progress: None,
        next_at: None,
        max_loss_percent: 20,
    }
}

#[test]
fn nothing_is_wrong_with_a_node_in_good_health() {
    assert_eq!(findings(&health(), &sources()), []);
    // A node that only asks has no source, and need not synchronise.
    let mut asks = sources();
    asks.last = SyncView::default();
    assert_eq!(findings(&health(), &asks), []);
}

#[test]
fn each_thing_that_is_wrong_is_found_and_nothing_else() {
    type Harm = fn(&mut HealthView, &mut SourcesView);
    let certificate = |days| move |health: &mut HealthView| health.certificates[0].days_left = days;
    let cases: Vec<(Harm, Vec<Finding>)> = vec![
        (
            |health, _| health.hub_failure = Some(failure()),
            vec![Finding::Hub],
        ),
        (
            |health, _| health.covenant_days_left = Some(-1),
            vec![Finding::CovenantOver],
        ),
        (
            |health, _| health.covenant_days_left = Some(0),
            vec![Finding::CovenantSoon(0)],
        ),
        (
            |health, _| health.status.epochs[0].key = "wrong".into(),
            vec![Finding::KeyWrong(1)],
        ),
        (
            |health, _| health.status.epochs[0].key = "missing".into(),
            vec![Finding::KeyMissing(1)],
        ),
        (
            |health, _| {
                health.status.canaries = Some(CanaryView {
                    missed: vec![MissedView {
                        partner: "p".into(),
                        name: "Politie".into(),
                        key_epoch: 1,
                    }],
                    ..CanaryView::default()
                });
            },
            vec![Finding::Canaries("Politie".into())],
        ),
        (
            |health, _| health.status.witnessed_s = None,
            vec![Finding::WitnessesGone],
        ),
        (
            |health, _| health.status.witnessed_s = Some(MAX_AGE_S),
            vec![Finding::WitnessesGone],
        ),
        (
            |health, _| health.status.witnessed_s = Some(WARN_AGE_S),
            vec![Finding::WitnessesLate],
        ),
        (
            |health, _| health.witness.as_mut().unwrap().cosigned_s = None,
            vec![Finding::NotWitnessing],
        ),
        (
            |health, _| health.status.notices_connected = false,
            vec![Finding::Notices],
        ),
        (
            |_, sources| sources.last.failure = Some(failure()),
            vec![Finding::Sync],
        ),
        (
            |_, sources| {
                sources.last.failure = Some(failure());
                sources.last.shrunk = Some(ShrunkView { before: 10, lost: 9 });
            },
            vec![Finding::Shrunk(9, 10)],
        ),
        (
            |_, sources| sources.last.good = None,
            vec![Finding::NeverSynchronised],
        ),
        (
            |_, sources| sources.last.sources[0].bad_rows = 3,
            vec![Finding::BadRows(3)],
        ),
        (
            |health, _| {
                health.disk = Some(DiskView {
                    free: 2 << 20,
                    total: 1 << 40,
                });
            },
            vec![Finding::Disk(2)],
        ),
        (
            |health, _| {
                health.disk = Some(DiskView {
                    free: 4 << 30,
                    total: 100 << 30,
                });
            },
            vec![Finding::Disk(4096)],
        ),
    ];
    for (harm, wanted) in cases {
        let (mut health, mut sources) = (health(), sources());
        harm(&mut health, &mut sources);
        assert_eq!(findings(&health, &sources), wanted);
    }
    for (days, wanted) in [
        (None, Finding::CertificateUnread(CertificateOf::Node)),
        (Some(-1), Finding::CertificateOver(CertificateOf::Node)),
        (Some(0), Finding::CertificateSoon(CertificateOf::Node, 0)),
        (
            Some(WARN_DAYS - 1),
            Finding::CertificateSoon(CertificateOf::Node, WARN_DAYS - 1),
        ),
    ] {
        let mut health = health();
        certificate(days)(&mut health);
        assert_eq!(findings(&health, &sources()), [wanted]);
    }
}

#[test]
fn what_follows_from_a_hub_that_is_away_is_not_said_too_and_the_worst_comes_first() {
    let (mut health, mut sources) = (health(), sources());
    health.hub_failure = Some(failure());
    health.status.notices_connected = false;
    health.status.live = Some(LiveView {
        state: LiveWord::NotConnected,
        complete_at: None,
        questions_today: 0,
        last_at: None,
    });
    sources.last.sources[0].bad_rows = 1;
    health.certificates[0].days_left = Some(-3);
    let found = findings(&health, &sources);
    assert_eq!(
        found,
        [
            Finding::Hub,
            Finding::CertificateOver(CertificateOf::Node),
            Finding::BadRows(1)
        ]
    );
    health.hub_failure = None;
    assert!(findings(&health, &sources).contains(&Finding::LiveGone));
}
