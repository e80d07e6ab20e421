//! How the node is, on one page: the verdict first.

use axum::extract::State as Extracted;
use axum::response::Response;
use hitmachine_core::alarm::AlarmKind;
use hitmachine_node::health::{CanaryWord, HealthView};
use hitmachine_node::view::StatusView;
use jiff::Timestamp;

use super::finding::{self, Said};
use crate::app::App;
use crate::jobs::admin::{self, State};
use crate::moment::{moment, number, sentence};
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// A name and what is known of it.
type Facts = Vec<(String, String)>;

#[derive(askama::Template)]
#[template(path = "admin_status.html")]
struct StatusPage {
    page: Page,
    at: String,
    found: Vec<Said>,
    node: Facts,
    hub: Facts,
    witness: Facts,
    certificates: Vec<Certificate>,
    keys: Vec<Epoch>,
    check_value: String,
    partners: Vec<Other>,
    alarms: Vec<Alarm>,
}

struct Certificate {
    name: &'static str,
    until: String,
    left: String,
    status: &'static str,
}

struct Epoch {
    number: u32,
    text: String,
}

struct Other {
    name: String,
    answers: &'static str,
    status: &'static str,
    canary: &'static str,
    contact: String,
}

struct Alarm {
    at: String,
    text: String,
    by: String,
}

/// How the node is.
pub(super) async fn status(
    visitor: Visitor,
    page: Page,
    Extracted(app): Extracted<App>,
) -> Result<Response, Problem> {
    let state = admin::state(&app, visitor.caller.administrator()?).await;
    let found = finding::said(&page, &state);
    let health = &state.health;
    html(&StatusPage {
        at: moment(page.language, &health.at),
        found,
        node: node(&page, &state),
        hub: hub(
            &page,
            health,
            app.node().covenant_held().map(|held| held.number()),
        ),
        witness: witness(&page, health),
        certificates: certificates(&page, health),
        keys: keys(&page, &health.status),
        check_value: health.status.key_check_value.clone(),
        partners: partners(&page, health),
        alarms: alarms(&page, &health.status),
        page,
    })
}

fn node(page: &Page, state: &State) -> Facts {
    let (health, status) = (&state.health, &state.health.status);
    let count = |count: u64| number(page.language, count);
    let mut facts = vec![
        (page.t("admin.version").to_owned(), health.version.clone()),
        (page.t("admin.partner").to_owned(), status.partner.clone()),
        (page.t("admin.sources").to_owned(), status.sources.to_string()),
        (page.t("admin.persons").to_owned(), count(status.persons)),
        (
            page.t("admin.in_step").to_owned(),
            or_never(page, status.synchronised_at.as_deref()),
        ),
    ];
    if status.batches_in_doubt > 0 {
        facts.push((
            page.t("admin.in_doubt").to_owned(),
            status.batches_in_doubt.to_string(),
        ));
    }
    if let Some(live) = &status.live {
        facts.push((
            page.t("admin.live").to_owned(),
            live.state.text(page.language).to_owned(),
        ));
        facts.push((page.t("admin.live_today").to_owned(), count(live.questions_today)));
        facts.push((
            page.t("admin.live_last").to_owned(),
            or_never(page, live.last_at.as_deref()),
        ));
    }
    let disk = health.disk.map_or_else(
        || page.t("admin.unknown").to_owned(),
        |disk| {
            page.t2(
                "admin.disk_of",
                gibibytes(page, disk.free),
                gibibytes(page, disk.total),
            )
        },
    );
    facts.push((page.t("admin.disk").to_owned(), disk));
    facts
}

/// With one digit behind the comma.
fn gibibytes(page: &Page, bytes: u64) -> String {
    let tenths = bytes / (1 << 30) * 10 + bytes % (1 << 30) * 10 / (1 << 30);
    format!(
        "{}{}{}",
        number(page.language, tenths / 10),
        page.language.pick(",", "."),
        tenths % 10
    )
}

fn or_never(page: &Page, time: Option<&str>) -> String {
    time.map_or_else(
        || page.t("admin.never").to_owned(),
        |time| moment(page.language, time),
    )
}

fn hub(page: &Page, health: &HealthView, held: Option<u32>) -> Facts {
    let status = &health.status;
    let reached = match (&health.hub_failure, health.hub_ms) {
        (None, Some(ms)) => page.t1("admin.hub_there", ms),
        (failure, _) => failure
            .as_ref()
            .map_or("", |failure| failure.text(page.language))
            .to_owned(),
    };
    let days = health.covenant_days_left.unwrap_or(0);
    let covenant = match (status.covenant_number, held) {
        (Some(number), _) => page.t2("admin.covenant_of", number, days),
        (None, Some(held)) => page.t2("admin.covenant_away", held, days),
        (None, None) => page.t("admin.unknown").to_owned(),
    };
    vec![
        (page.t("admin.hub").to_owned(), reached),
        (page.t("admin.covenant").to_owned(), covenant),
        (
            page.t("admin.log_seen").to_owned(),
            number(page.language, status.log_size_seen),
        ),
        (
            page.t("admin.notices").to_owned(),
            page.t(if status.notices_connected {
                "admin.connected"
            } else {
                "admin.not_connected"
            })
            .to_owned(),
        ),
        (
            page.t("admin.notices_new").to_owned(),
            status.notices_new.to_string(),
        ),
    ]
}

fn witness(page: &Page, health: &HealthView) -> Facts {
    let status = &health.status;
    let quorum = match status.witness_quorum {
        0 => page.t("admin.quorum_none").to_owned(),
        needed => page.t2("admin.quorum_of", needed, health.witnesses.len()),
    };
    let mut facts = vec![(page.t("admin.quorum").to_owned(), quorum)];
    if status.witness_quorum == 0 {
        return facts;
    }
    facts.push((
        page.t("admin.witnessed").to_owned(),
        ago(page, status.witnessed_s),
    ));
    match &health.witness {
        None => facts.push((
            page.t("admin.own_witness").to_owned(),
            page.t("admin.own_witness_none").to_owned(),
        )),
        Some(own) => {
            facts.push((page.t("admin.own_witness").to_owned(), own.name.clone()));
            facts.push((page.t("admin.own_cosigned").to_owned(), ago(page, own.cosigned_s)));
            facts.push((
                page.t("admin.own_size").to_owned(),
                number(page.language, own.size),
            ));
        }
    }
    facts
}

fn ago(page: &Page, seconds: Option<u64>) -> String {
    match seconds {
        None => page.t("admin.never").to_owned(),
        Some(seconds) if seconds < 120 => page.t1("admin.seconds_ago", seconds),
        Some(seconds) if seconds < 7_200 => page.t1("admin.minutes_ago", seconds / 60),
        Some(seconds) => page.t1("admin.hours_ago", number(page.language, seconds / 3_600)),
    }
}

fn certificates(page: &Page, health: &HealthView) -> Vec<Certificate> {
    let certificates = health.certificates.iter();
    certificates
        .map(|certificate| {
            let (left, status) = match certificate.days_left {
                None => (page.t("admin.unknown").to_owned(), "error"),
                Some(days) if days < 0 => (page.t("admin.over").to_owned(), "error"),
                Some(days) => {
                    let status = if days < admin::WARN_DAYS { "warning" } else { "ok" };
                    (page.t1("admin.days_left", days), status)
                }
            };
            let until = certificate.not_after.as_deref();
            Certificate {
                name: finding::certificate(page, certificate.of),
                until: until.map_or_else(String::new, |until| moment(page.language, until)),
                left,
                status,
            }
        })
        .collect()
}

fn keys(page: &Page, status: &StatusView) -> Vec<Epoch> {
    let epochs = status.epochs.iter();
    epochs
        .map(|epoch| Epoch {
            number: epoch.number,
            text: epoch.text(page.language),
        })
        .collect()
}

fn partners(page: &Page, health: &HealthView) -> Vec<Other> {
    let partners = health.partners.iter();
    partners
        .map(|partner| {
            let (status, canary) = match partner.canary {
                CanaryWord::Met => ("ok", "admin.canary_met"),
                CanaryWord::Missed => ("error", "admin.canary_missed"),
                CanaryWord::NotThereYet => ("warning", "admin.canary_not_there"),
                CanaryWord::NotChecked => ("neutral", "admin.canary_not_checked"),
            };
            let answers = match (partner.registers, partner.live) {
                (false, _) => "admin.answers_not",
                (true, true) => "admin.answers_live",
                (true, false) => "admin.answers_index",
            };
            Other {
                name: partner.name.clone(),
                answers: page.t(answers),
                status,
                canary: page.t(canary),
                contact: partner.contact.clone(),
            }
        })
        .collect()
}

fn alarms(page: &Page, status: &StatusView) -> Vec<Alarm> {
    let mut alarms: Vec<_> = status.alarms.iter().collect();
    alarms.sort_by_key(|alarm| alarm.at.parse::<Timestamp>().map_or(0, |at| -at.as_second()));
    let said = alarms.into_iter().map(|alarm| Alarm {
        at: moment(page.language, &alarm.at),
        text: {
            let kind = AlarmKind::of(&alarm.code);
            sentence(page.language.pick(kind.nl().0, kind.en().0))
        },
        by: match (alarm.about.as_str(), alarm.by.as_str()) {
            ("", "") => page.t("admin.the_hub").to_owned(),
            ("", by) => by.to_owned(),
            (about, _) => about.to_owned(),
        },
    });
    said.collect()
}
