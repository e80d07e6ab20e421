//! Quotas, stops and alarms together.

use super::*;
use crate::ids::PurposeCode;

const COVENANT: &str = r#"
format = 1
id = "test"
title = "Test"
version = 1
valid_from = "2020-01-01"
valid_until = "2099-12-31"

[deployment]
id = "01010101010101010101010101010101"
kind = "test"

[[partner]]
id = "vraagt"
name = "Vraagt"
oin = "00000099000000000010"
domain = "zorg"
contact = "-"
answers = "index"
registers = []
signing_keys = ["fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618"]

[[partner]]
id = "weet"
name = "Weet"
oin = "00000099000000000011"
domain = "zorg"
contact = "-"
answers = "index"
registers = ["adult"]

[[purpose]]
code = "vraag"
title = "Vraag"
legal_basis = "-"
processing_activity = "https://register.example/1"
askers = ["vraagt"]
roles = ["rol"]
consults = ["weet"]
log_retention_months = 12
max_subjects = 8

[[quota]]
of = "user"
persons = 1000
hours = 1
"#;

struct Hub {
    covenant: Covenant,
    usage: Usage,
    now: Timestamp,
}

impl Hub {
    fn new() -> Self {
        Self {
            covenant: Covenant::parse(COVENANT.as_bytes()).unwrap(),
            usage: Usage::new(DigestKey::from_bytes([7; 32])),
            // A Monday morning.
            now: "2026-11-23T09:00:00Z".parse().unwrap(),
        }
    }

    fn with<T>(
        &mut self,
        user: &str,
        act: impl FnOnce(&mut Usage, &Covenant, &Demand<'_>, Timestamp) -> T,
    ) -> T {
        let (user, purpose): (UserId, PurposeCode) = (user.parse().unwrap(), "vraag".parse().unwrap());
        let partner = &self.covenant.partners()[0];
        let demand = Demand {
            partner: &partner.id,
            oin: &partner.oin,
            user: Some(&user),
            purpose: &purpose,
            persons: 1,
        };
        act(&mut self.usage, &self.covenant, &demand, self.now)
    }

    fn ask(&mut self, user: &str, hit: Option<bool>) -> Result<Vec<Notice>, Refusal> {
        self.with(user, |usage, covenant, demand, now| {
            let _taken = usage.take(covenant, demand, now)?;
            Ok(usage.saw(covenant, demand, [hit], now))
        })
    }

    /// How many questions without a hit until one is refused.
    fn tries(&mut self, user: &str) -> usize {
        (0..1_000).find(|_| self.ask(user, Some(false)).is_err()).unwrap()
    }

    fn digest(&self, user: Option<&str>) -> Digest {
        let user = user.map(|user| user.parse().unwrap());
        self.usage.who(&self.covenant.partners()[0].oin, user.as_ref())
    }
}

#[test]
fn who_tries_numbers_is_stopped_and_others_go_on() {
    let mut hub = Hub::new();
    assert_eq!(hub.tries("raadt"), 180);
    assert_eq!(hub.ask("raadt", Some(true)), Err(Refusal::Suspended));
    assert_eq!(
        hub.ask("jansen", Some(true)),
        Ok(Vec::new()),
        "the partner is pardoned once"
    );
    let raadt = hub.digest(Some("raadt"));
    assert!(hub.usage.is_stopped(&raadt));
    // Under another name it is the partner that is stopped, and sooner.
    assert_eq!(hub.tries("raadt2"), 90 + 32);
    assert_eq!(hub.ask("jansen", Some(true)), Err(Refusal::Suspended));
    let partner = hub.digest(None);
    assert!(hub.usage.is_stopped(&partner));
    hub.usage.lift(&partner);
    assert_eq!(hub.ask("jansen", Some(true)), Ok(Vec::new()));
    assert_eq!(hub.ask("raadt", Some(true)), Err(Refusal::Suspended));
    hub.usage.lift(&raadt);
    assert_eq!(hub.ask("raadt", Some(false)), Ok(Vec::new()));
}

#[test]
fn a_stop_says_who_by_a_digest_and_survives_in_the_table() {
    let mut hub = Hub::new();
    let notices: Vec<_> = (0..200)
        .flat_map(|_| hub.ask("raadt", Some(false)).unwrap_or_default())
        .collect();
    let expected = Notice {
        code: "enumeration",
        partner: "vraagt".parse().unwrap(),
        who: Some(hub.digest(Some("raadt"))),
    };
    assert_eq!(notices, [expected]);
    let changes = hub.usage.take_changes();
    assert_eq!(
        (changes.runs.len(), changes.volumes.len(), changes.buckets.len()),
        (2, 1, 1)
    );
    let again = hub.usage.take_changes();
    assert!(again.runs.is_empty() && again.volumes.is_empty() && again.buckets.is_empty());
    let mut restarted = Hub::new();
    for (who, bytes) in changes.runs {
        restarted.usage.restore_run(who, bytes.unwrap());
    }
    for (id, bytes) in changes.buckets {
        restarted.usage.restore_bucket(id, bytes.unwrap());
    }
    for (partner, bytes) in changes.volumes {
        restarted.usage.restore_volume(partner, &bytes).unwrap();
    }
    assert_eq!(restarted.ask("raadt", Some(false)), Err(Refusal::Suspended));
    assert_eq!(restarted.usage.sizes(), (1, 2, 1));
    // A year later nothing of it is left but the stop.
    restarted.now = "2028-01-01T00:00:00Z".parse().unwrap();
    let now = restarted.now;
    restarted.usage.tidy(now);
    assert_eq!(restarted.usage.sizes(), (0, 1, 1));
}

#[test]
fn neither_hit_nor_miss_counts_neither_way() {
    use PartnerStatus::{CouldNotAsk, DoesNotApply, Known, NotKnown};
    assert_eq!(hit([CouldNotAsk, DoesNotApply]), None);
    assert_eq!(hit([CouldNotAsk, NotKnown]), Some(false));
    assert_eq!(hit([NotKnown, CouldNotAsk, Known]), Some(true));
    assert_eq!(hit([]), None);
    let mut hub = Hub::new();
    assert!((0..500).all(|_| hub.ask("jansen", None).is_ok()));
    assert!((0..179).all(|_| hub.ask("jansen", Some(false)).is_ok()));
    assert!(!hub.usage.is_stopped(&hub.digest(Some("jansen"))));
}

#[test]
fn refused_questions_take_nothing_and_are_noticed() {
    let mut hub = Hub::new();
    let codes: Vec<_> = (0..600)
        .flat_map(|_| {
            hub.with("jansen", |usage, covenant, demand, now| {
                usage.refused(covenant, demand.partner, 1, now)
            })
        })
        .map(|notice| notice.code)
        .collect();
    assert_eq!(codes, ["unusual_volume"]);
    assert_eq!(hub.usage.sizes(), (0, 0, 1));
    hub.now = "2026-11-23T22:00:00Z".parse().unwrap();
    let late = hub.with("jansen", |usage, covenant, demand, now| {
        usage.refused(covenant, demand.partner, 1, now)
    });
    assert_eq!(late.first().map(|notice| notice.code), Some("unusual_hours"));
}

#[test]
fn a_quota_refuses_and_what_was_not_logged_comes_back() {
    let mut hub = Hub::new();
    hub.with("jansen", |usage, covenant, demand, now| {
        let many = Demand {
            persons: 1_000,
            ..*demand
        };
        let taken = usage.take(covenant, &many, now).unwrap();
        let wait = Refusal::OverQuota {
            retry_after_ms: 3_600,
        };
        assert_eq!(usage.take(covenant, demand, now), Err(wait));
        usage.give_back(taken);
        assert!(usage.take(covenant, &many, now).is_ok());
        let more = Demand {
            persons: 1_001,
            ..*demand
        };
        assert_eq!(usage.take(covenant, &more, now), Err(Refusal::OverQuotaSize));
    });
}
