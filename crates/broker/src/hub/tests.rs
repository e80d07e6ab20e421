//! A hub with a clock of one's own, and a real log and store: what time does to answers.

use std::path::Path;
use std::sync::Mutex;

use hitmachine_audit::{
    Committer, CommitterOptions, EntryKind, FieldId, Log, LogConfig, LogSigner, Origin, Policy, RealDisk,
    StoredContent, WrappingKey,
};
use hitmachine_core::covenant::Document;
use hitmachine_core::epoch::{EpochKeys, Epochs};
use hitmachine_core::registry::{Register, TallyMask};
use hitmachine_core::{Day, PartnerStatus, RequestId, RequestSigner, SubjectClass};
use hitmachine_proto::answer::Outcome;
use hitmachine_pseudonym::{IdentifierType, Pepper, Scheme, TagKeys, Token};
use hitmachine_store::SledStore;
use jiff::ToSpan;
use prost::Message;

use super::*;
use crate::alarm::Alarms;
use crate::rules::Agreed;

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
registration_days = 10
stale_after_hours = 72

[[partner]]
id = "zwijgt"
name = "Zwijgt"
oin = "00000099000000000012"
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
consults = ["weet", "zwijgt"]
log_retention_months = 12
max_subjects = 1
"#;

const KNOWN: [u8; 32] = [1; 32];
const CHECK: [u8; 8] = [7; 8];

/// Stands still until it is set.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(super) struct World {
    pub(super) hub: Arc<Hub>,
    hands: Arc<Hands>,
    pub(super) committer: Committer,
}

pub(super) fn log_signer() -> LogSigner {
    LogSigner::new(Origin::new("test.example/hub/audit/1").unwrap(), &[3; 32])
}

fn log(dir: &Path) -> Log {
    let signer = log_signer();
    let mut config = LogConfig::new(
        dir.join("audit"),
        dir.join("keys"),
        signer,
        WrappingKey::from_bytes([4; 32]),
    );
    config.segment_size = 2 << 20;
    Log::open(config, Arc::new(RealDisk)).unwrap().0
}

pub(super) fn start(dir: &Path, now: Timestamp, last_logged: Option<Timestamp>) -> World {
    let covenant = Arc::new(Covenant::parse(COVENANT.as_bytes()).unwrap());
    let pepper = Pepper::from_bytes([5; 32]);
    let (id, number, scheme) = (covenant.deployment().id, KeyEpoch::FIRST, Scheme::HmacSha256);
    let store = SledStore::open(&dir.join("registry")).unwrap();
    let register = Register::load(
        TagKeys::derive(&pepper, &id, number, scheme),
        TallyMask::derive(&pepper, &id, number, scheme),
        &store,
    )
    .unwrap();
    let keys = EpochKeys {
        number,
        scheme,
        key_check_value: KeyCheckValue::from_bytes(CHECK),
    };
    let hands = Arc::new(Hands(Mutex::new(now)));
    let stopped = |_: &hitmachine_audit::CommitError| panic!("the log stopped");
    let log = log(dir);
    let (reader, size) = (log.reader(), log.head().size);
    let verifier = log_signer().verifier();
    let policy = Policy::parse(format!("log {verifier}\nquorum none\n").as_bytes()).unwrap();
    let witnesses = Witnesses::new(policy, verifier, reader.clone()).unwrap();
    let committer = Committer::spawn(log, CommitterOptions::default(), Box::new(stopped)).unwrap();
    let rules = Rules::new(Agreed {
        covenant,
        document: Document {
            file: COVENANT.as_bytes().to_vec(),
            signatures: Vec::new(),
        },
        before: Vec::new(),
    });
    let tables = HubTables::open(&dir.join("tables")).unwrap();
    let witnesses = Arc::new(witnesses);
    let alarms = Alarms::new(
        log_signer().verifier(),
        Arc::clone(&witnesses),
        Arc::clone(&hands) as Arc<dyn Clock>,
        crate::alarm::Book::default(),
    );
    let watch = Watch::open(&tables, [6; 32], reader.clone(), alarms, &rules.covenant(), now).unwrap();
    let parts = Parts {
        rules: Arc::new(rules),
        tables,
        watch: Arc::new(watch),
        registers: Arc::new(Registers::new(
            Epochs::first(keys.clone()),
            vec![EpochRegister::new(keys, register, Arc::new(store))],
        )),
        reader,
        index: Arc::new(crate::indexer::open(&dir.join("index"), [6; 32], size).unwrap()),
        witnesses,
        clock: Arc::clone(&hands) as Arc<dyn Clock>,
        last_logged,
        metrics: Metrics::new(&mut prometheus_client::registry::Registry::default()),
    };
    let hub = Hub::new(parts, committer.handle());
    World {
        hub: Arc::new(hub),
        hands,
        committer,
    }
}

pub(super) fn asker(oin: &str) -> Asker {
    Asker {
        oin: oin.parse().unwrap(),
        public_key_sha256: [0; 32],
    }
}

impl World {
    pub(super) fn set(&self, now: Timestamp) {
        *self.hands.0.lock().unwrap() = now;
    }

    /// Asks about the person who is known; the statuses of `weet` and `zwijgt`, or the refusal's code.
    async fn ask(&self) -> Result<[PartnerStatus; 2], String> {
        let query = v1::Query {
            request_id: RequestId::generate().as_bytes().to_vec(),
            purpose: "vraag".into(),
            case_reference: "Z-1".into(),
            user: Some(v1::User {
                id: "jansen".into(),
                role: "rol".into(),
                responsible: String::new(),
            }),
            covenant_version: self.hub.covenant().version().0.to_vec(),
            key_epoch: 1,
            subjects: vec![v1::Subject {
                class: v1::SubjectClass::Adult.into(),
                tokens: vec![v1::IdentifierToken {
                    r#type: 1,
                    token: KNOWN.to_vec(),
                }],
            }],
            trace_id: vec![0; 16],
            parent_span_id: vec![0; 8],
        };
        let signed = RequestSigner::new(&[9; 32]).sign(query.encode_to_vec());
        let request = v1::AskRequest {
            query: signed.bytes().to_vec(),
            signature: signed.signature().to_vec(),
            ..v1::AskRequest::default()
        };
        let response = self
            .hub
            .ask(&asker("00000099000000000010"), request)
            .await
            .unwrap();
        assert_eq!(response.answers.len(), 1);
        match answer::parse(&response.answers[0].answer).unwrap().outcome {
            Outcome::Refused(code) => Err(code),
            Outcome::Found(partners) => {
                assert_eq!(partners[0].0.as_str(), "weet");
                assert_eq!(partners[1].0.as_str(), "zwijgt");
                Ok([partners[0].1, partners[1].1])
            }
        }
    }

    async fn begin(&self) -> Result<(Syncing, Begun), SyncError> {
        let begin = v1::SyncBegin {
            key_epoch: 1,
            key_check_value: CHECK.to_vec(),
            deployment: vec![1; 16],
            full: false,
        };
        self.hub.begin_sync(&asker("00000099000000000011"), &begin).await
    }

    /// `weet` sends its one person, if `until` names a day, and ends its sync.
    async fn sync(&self, sequence: u64, until: Day, send: bool) -> bool {
        let (syncing, _) = self.begin().await.unwrap();
        let mut tally = Tally::default();
        tally.add(
            IdentifierType::Bsn,
            &Token::from_bytes(KNOWN),
            SubjectClass::Adult,
            until,
        );
        if send {
            let change = Change {
                identifier: IdentifierType::Bsn,
                token: Token::from_bytes(KNOWN),
                registration: Some((SubjectClass::Adult, until)),
            };
            let batches = vec![(sequence, vec![change])];
            let taken = self.hub.take_batches(&syncing, batches).await;
            assert_eq!(taken.unwrap(), sequence);
        }
        self.hub.end_sync(&syncing, tally).await.unwrap().agreed
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_clock_that_goes_back_stops_the_answers_and_is_logged() {
    let dir = tempfile::tempdir().unwrap();
    let noon = at("2026-11-21T12:00:00Z");
    let world = start(dir.path(), noon, None);
    assert!(world.sync(1, Day::of(noon).plus(10), true).await);
    let found = [PartnerStatus::Known, PartnerStatus::CouldNotAsk];
    assert_eq!(world.ask().await, Ok(found));
    // A correction by a few minutes is no jump.
    world.set(noon - 4.minutes());
    assert_eq!(world.ask().await, Ok(found));
    for back in [6.minutes(), 1.hour(), 10_000.hours()] {
        world.set(noon - back);
        assert_eq!(world.ask().await, Err("clock_behind".into()), "{back:?}");
        let begun = world.begin().await;
        assert!(matches!(begun, Err(SyncError::NotAllowed(Refusal::ClockBehind))));
    }
    world.set(noon + 1.second());
    assert_eq!(world.ask().await, Ok(found), "the clock is right again");
    world.committer.shutdown();
    drop(world.hub);

    // Started again an hour too early: what was logged says so.
    let world = start(dir.path(), noon - 1.hour(), Some(noon));
    assert_eq!(world.ask().await, Err("clock_behind".into()));
    world.committer.shutdown();
    // The hub reads the log, and so holds its keys.
    drop(world.hub);

    let kinds: Vec<_> = log(dir.path())
        .entries()
        .map(|entry| match entry.unwrap().content {
            StoredContent::Open(opening) => {
                let fields = opening.into_fields();
                let code = fields.get(FieldId::Result).unwrap().ends_with(b"clock_behind");
                (
                    EntryKind::from_code(fields.get(FieldId::Event).unwrap()[0]).unwrap(),
                    code,
                )
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (lookup, denied) = ((EntryKind::Lookup, false), (EntryKind::Denied, true));
    assert_eq!(kinds, [lookup, lookup, denied, denied, denied, lookup, denied]);
}

#[tokio::test]
async fn a_registration_answers_until_the_end_of_its_last_day() {
    let dir = tempfile::tempdir().unwrap();
    let now = at("2026-11-21T12:00:00Z");
    let world = start(dir.path(), now, None);
    let until = Day::of(now).plus(1);
    assert!(world.sync(1, until, true).await);
    for (moment, status) in [
        ("2026-11-21T12:00:00Z", PartnerStatus::Known),
        ("2026-11-22T23:59:59.999Z", PartnerStatus::Known),
        ("2026-11-23T00:00:00Z", PartnerStatus::NotKnown),
        ("2026-11-24T12:00:00Z", PartnerStatus::NotKnown),
    ] {
        world.set(at(moment));
        assert_eq!(world.ask().await.unwrap()[0], status, "{moment}");
    }
    // A sync that sends it anew brings it back.
    assert!(world.sync(2, until.plus(5), true).await);
    assert_eq!(world.ask().await.unwrap()[0], PartnerStatus::Known);
    world.committer.shutdown();
}

#[tokio::test]
async fn a_register_that_is_stale_or_never_was_complete_could_not_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let now = at("2026-11-21T12:00:00Z");
    let world = start(dir.path(), now, None);
    let until = Day::of(now).plus(10);
    assert_eq!(
        world.ask().await,
        Ok([PartnerStatus::CouldNotAsk; 2]),
        "never a sync"
    );
    assert!(!world.sync(1, until.plus(1), false).await, "the digest differs");
    assert_eq!(
        world.ask().await,
        Ok([PartnerStatus::CouldNotAsk; 2]),
        "begun, not complete"
    );
    assert!(world.sync(1, until, true).await);
    for (hours, seconds, status) in [
        (0, 0, PartnerStatus::Known),
        (72, 0, PartnerStatus::Known),
        (72, 1, PartnerStatus::CouldNotAsk),
        (200, 0, PartnerStatus::CouldNotAsk),
    ] {
        world.set(now + hours.hours() + seconds.seconds());
        let [weet, zwijgt] = world.ask().await.unwrap();
        assert_eq!(
            (weet, zwijgt),
            (status, PartnerStatus::CouldNotAsk),
            "{hours} h {seconds} s"
        );
    }
    // In step again with nothing to send.
    assert!(world.sync(2, until, false).await);
    assert_eq!(world.ask().await.unwrap()[0], PartnerStatus::Known);
    world.committer.shutdown();
}

/// Tests begin in the year 2026 and the covenant holds from 2020 to 2099, Dutch days.
#[tokio::test]
async fn the_covenant_begins_and_ends_at_dutch_midnight() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), at("2019-12-31T22:59:59Z"), None);
    let over = Err("covenant_not_in_force".to_owned());
    let nothing = Ok([PartnerStatus::CouldNotAsk; 2]);
    for (now, expected) in [
        ("2019-12-31T22:59:59Z", &over),
        ("2019-12-31T23:00:00Z", &nothing),
        // Both changes of the clock, and the hours around them.
        ("2026-03-29T00:59:59Z", &nothing),
        ("2026-03-29T01:00:00Z", &nothing),
        ("2026-10-25T00:59:59Z", &nothing),
        ("2026-10-25T01:00:00Z", &nothing),
        ("2099-12-31T22:59:59Z", &nothing),
        ("2099-12-31T23:00:00Z", &over),
    ] {
        world.set(at(now));
        assert_eq!(world.ask().await, *expected, "{now}");
    }
    world.committer.shutdown();
}

/// A term that was shortened holds for registrations made before, also when its node does not come again.
#[tokio::test]
async fn a_shortened_term_holds_for_what_is_registered() {
    let dir = tempfile::tempdir().unwrap();
    let noon = at("2026-11-21T12:00:00Z");
    let world = start(dir.path(), noon, None);
    assert!(world.sync(1, Day::of(noon).plus(10), true).await);
    let known = Ok([PartnerStatus::Known, PartnerStatus::CouldNotAsk]);
    world.set(noon + 12.hours());
    assert_eq!(world.ask().await, known);
    let file = COVENANT
        .replace("version = 1\n", "version = 2\n")
        .replace("registration_days = 10\n", "registration_days = 1\n");
    world.hub.rules().change(Agreed {
        covenant: Arc::new(Covenant::parse(file.as_bytes()).unwrap()),
        document: Document {
            file: file.into_bytes(),
            signatures: Vec::new(),
        },
        before: Vec::new(),
    });
    world.set(noon + 24.hours());
    assert_eq!(world.ask().await, known, "within the new term of its last sync");
    world.set(noon + 25.hours());
    assert_eq!(
        world.ask().await,
        Ok([PartnerStatus::CouldNotAsk; 2]),
        "after it, before the old one ends"
    );
    world.committer.shutdown();
}

/// Deleting what a partner left behind is logged once, whatever is interrupted, and takes nothing of others.
#[tokio::test]
async fn a_partner_that_left_is_forgotten_once() {
    let dir = tempfile::tempdir().unwrap();
    let noon = at("2026-11-21T12:00:00Z");
    let world = start(dir.path(), noon, None);
    assert!(world.sync(1, Day::of(noon).plus(10), true).await);
    let (begun, _) = world.begin().await.unwrap();
    let file = COVENANT
        .replace("consults = [\"weet\", ", "consults = [")
        .replace("\"weet\"", "\"anders\"");
    world.hub.rules().change(Agreed {
        covenant: Arc::new(Covenant::parse(file.as_bytes()).unwrap()),
        document: Document {
            file: file.into_bytes(),
            signatures: Vec::new(),
        },
        before: Vec::new(),
    });
    for _ in 0..2 {
        world.hub.forget_partners_who_left().await;
        assert_eq!(world.hub.head().head.size, 1);
        assert_eq!(world.hub.registers().active().unwrap().read().persons(), 0);
    }
    // A sync that had begun brings nothing back.
    let change = Change {
        identifier: IdentifierType::Bsn,
        token: Token::from_bytes(KNOWN),
        registration: None,
    };
    let late = world.hub.take_batches(&begun, vec![(2, vec![change])]).await;
    assert!(matches!(late, Err(SyncError::RegistersNobody)));
    world.committer.shutdown();
    drop(world.hub);
    let store = SledStore::open(&dir.path().join("registry")).unwrap();
    assert!(hitmachine_core::Store::states(&store).unwrap().is_empty());
}
