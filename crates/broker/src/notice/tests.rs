//! The queue over a real log and real tables: what is queued, for how long, and what a stop in between does.

use std::path::Path;

use hitmachine_audit::{
    CommitHandle, Committer, CommitterOptions, Draft, Log, LogConfig, LogSigner, Origin, Policy, RealDisk,
    RetentionClass, WrappingKey,
};
use hitmachine_core::query::{PartnerStatus, Subject};
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
use hitmachine_core::{RequestId, SubjectClass, TraceContext};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::{Timestamp, ToSpan};

use hitmachine_core::covenant::Document;

use super::*;
use crate::alarm::Alarms;
use crate::rules::Agreed;
use crate::witness::Witnesses;

const KNOWN: [(&str, PartnerStatus); 2] = [("een", PartnerStatus::Known), ("twee", PartnerStatus::NotKnown)];
const MISS: [(&str, PartnerStatus); 2] = [
    ("een", PartnerStatus::NotKnown),
    ("twee", PartnerStatus::CouldNotAsk),
];
const BOTH: [(&str, PartnerStatus); 2] = [("een", PartnerStatus::Known), ("twee", PartnerStatus::Known)];

/// Partners `vraagt`, `een` and `twee`; the purpose tells `notifies`.
fn covenant(partners: &[&str], notifies: &[&str]) -> Arc<Covenant> {
    let mut text = String::from(
        "format = 1\nid = \"t\"\ntitle = \"T\"\nversion = 1\nvalid_from = \"2020-01-01\"\nvalid_until = \"2099-12-31\"\n\
         [deployment]\nid = \"01010101010101010101010101010101\"\nkind = \"test\"\n[alarms]\nnotice_days = 3\n",
    );
    for id in partners {
        text.push_str(&format!(
            "[[partner]]\nid = \"{id}\"\nname = \"P\"\noin = \"{}\"\ndomain = \"zorg\"\ncontact = \"-\"\n\
             answers = \"index\"\nregisters = [\"adult\"]\n\
             signing_keys = [\"fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618\"]\n",
            oin(id)
        ));
    }
    let consults: Vec<&&str> = partners.iter().filter(|id| **id != "vraagt").collect();
    text.push_str(&format!(
        "[[purpose]]\ncode = \"doel\"\ntitle = \"D\"\nlegal_basis = \"-\"\n\
         processing_activity = \"https://register.example/1\"\naskers = [\"vraagt\"]\nroles = [\"rol\"]\n\
         consults = {consults:?}\nnotifies = {notifies:?}\nlog_retention_months = 12\nmax_subjects = 1\n"
    ));
    Arc::new(Covenant::parse(text.as_bytes()).unwrap())
}

fn everybody() -> Arc<Covenant> {
    covenant(&["vraagt", "een", "twee"], &["een", "twee"])
}

fn oin(id: &str) -> String {
    let n = match id {
        "vraagt" => 10,
        "een" => 11,
        _ => 12,
    };
    format!("000000990000000000{n}")
}

fn id(text: &str) -> PartnerId {
    text.parse().unwrap()
}

/// Stands still until it is set.
struct Hands(Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn signer() -> LogSigner {
    LogSigner::new(Origin::new("test.example/hub/audit/1").unwrap(), &[3; 32])
}

struct World {
    dir: tempfile::TempDir,
    committer: Committer,
    hands: Arc<Hands>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let committer = Self::log(dir.path());
        // The log has the real time; this clock is ahead of all of it.
        let hands = Arc::new(Hands(Mutex::new(Timestamp::now() + 5.minutes())));
        Self {
            dir,
            committer,
            hands,
        }
    }

    fn log(dir: &Path) -> Committer {
        let mut config = LogConfig::new(
            dir.join("audit"),
            dir.join("keys"),
            signer(),
            WrappingKey::from_bytes([4; 32]),
        );
        config.segment_size = 2 << 20;
        let (log, _) = Log::open(config, Arc::new(RealDisk)).unwrap();
        let stopped = |_: &hitmachine_audit::CommitError| panic!("the log stopped");
        Committer::spawn(log, CommitterOptions::default(), Box::new(stopped)).unwrap()
    }

    fn handle(&self) -> CommitHandle {
        self.committer.handle()
    }

    /// Logs questions with these statuses, and waits until they are durable.
    fn ask(&self, questions: &[[(&str, PartnerStatus); 2]]) {
        let with = everybody();
        let drafts = questions.iter().map(|statuses| {
            let statuses = statuses.map(|(partner, status)| (id(partner), status));
            let subject = Subject {
                class: SubjectClass::Adult,
                tokens: vec![(IdentifierType::Bsn, Token::from_bytes([7; 32]))],
            };
            let case = "ZK-1".parse().unwrap();
            let record = Record {
                kind: Kind::Lookup,
                time: Timestamp::from_millisecond(1_795_000_000_000).unwrap(),
                request: Some(RequestId::generate()),
                requester: &oin("vraagt").parse().unwrap(),
                user: None,
                ground: Some((&with.purposes()[0], with.version())),
                case: Some(&case),
                subject: Some((KeyEpoch::FIRST, &subject)),
                result: RecordResult::Answered(&statuses),
                trace: TraceContext::default(),
                place: 0,
                signed: None,
                request_digest: [2; 32],
                answer_digest: [3; 32],
            };
            Draft::payload(record.fields(), RetentionClass(12))
        });
        self.commit(drafts.collect());
    }

    fn commit(&self, drafts: Vec<Draft>) {
        let (done, waiting) = std::sync::mpsc::channel();
        let submitted = self.handle().submit(drafts, Vec::new(), move |result| {
            let _ = done.send(result.is_ok());
        });
        submitted.unwrap();
        assert!(waiting.recv().unwrap());
    }

    fn open(&self, covenant: &Arc<Covenant>) -> Notices {
        let tables = HubTables::open(&self.dir.path().join("tables")).unwrap();
        self.open_with(&tables, self.handle().reader(), covenant)
    }

    fn open_with(&self, tables: &HubTables, reader: LogReader, covenant: &Arc<Covenant>) -> Notices {
        let rules = Rules::new(Agreed {
            covenant: Arc::clone(covenant),
            document: Document::default(),
            before: Vec::new(),
        });
        let clock = Arc::clone(&self.hands) as Arc<dyn Clock>;
        Notices::open(tables, reader, Arc::new(rules), clock, NoticeMetrics::default()).unwrap()
    }

    fn later(&self, days: i32) {
        let mut now = self.hands.0.lock().unwrap();
        *now += (i64::from(days) * 24).hours();
    }
}

/// Reads on to the end of the log.
fn catch_up(notices: &Notices) -> u64 {
    let mut queued = 0;
    while notices.is_behind() {
        queued += notices.take(2).unwrap().queued;
    }
    queued
}

fn waits(notices: &Notices, partner: &str) -> Vec<u64> {
    let batch = notices.batch(&id(partner), None, 1_000).unwrap();
    batch.iter().map(|notice| notice.index).collect()
}

#[test]
fn each_hit_waits_for_whom_it_is_until_it_is_acknowledged() {
    let world = World::new();
    world.ask(&[KNOWN, MISS, BOTH]);
    let notices = world.open(&everybody());
    assert_eq!(catch_up(&notices), 3);
    assert_eq!(waits(&notices, "een"), [0, 2]);
    assert_eq!(waits(&notices, "twee"), [2]);
    assert!(waits(&notices, "vraagt").is_empty());
    let (een, twee) = (id("een"), id("twee"));
    assert_eq!(notices.batch(&een, None, 1).unwrap()[0].index, 0);
    assert_eq!(notices.batch(&een, Some(0), 1).unwrap()[0].index, 2);
    assert!(notices.batch(&een, Some(2), 1).unwrap().is_empty());

    // Of what is not theirs, of what never was, and twice: nothing changes.
    notices.acknowledge(&twee, &[0, 1, 77]).unwrap();
    notices.acknowledge(&id("vraagt"), &[0]).unwrap();
    for _ in 0..2 {
        notices.acknowledge(&een, &[0, 0]).unwrap();
    }
    assert_eq!(
        (waits(&notices, "een"), waits(&notices, "twee")),
        (vec![2], vec![2])
    );
    let row = |partner: &str| {
        let rows = notices.summary(&everybody()).partners;
        rows.into_iter().find(|row| row.partner == partner).unwrap()
    };
    assert_eq!((row("een").waiting, row("een").acknowledged), (1, 1));
    assert_eq!((row("twee").waiting, row("twee").acknowledged), (1, 0));
    assert_eq!(
        notices.summary(&everybody()).partners.len(),
        2,
        "vraagt is never told"
    );

    drop(notices);
    let notices = world.open(&everybody());
    assert_eq!(catch_up(&notices), 0);
    assert_eq!(
        (waits(&notices, "een"), waits(&notices, "twee")),
        (vec![2], vec![2])
    );
    assert_eq!(notices.summary(&everybody()).partners[0].acknowledged, 1);
}

#[test]
fn a_stop_at_any_entry_neither_loses_nor_doubles_one() {
    let world = World::new();
    let questions = [KNOWN, MISS, BOTH, MISS, MISS, KNOWN, BOTH];
    world.ask(&questions);
    for stop in 0..=questions.len() as u64 {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let tables = HubTables::open(dir.path()).unwrap();
            world.open_with(&tables, world.handle().reader(), &everybody())
        };
        let notices = open();
        let before = if stop == 0 {
            0
        } else {
            notices.take(stop).unwrap().queued
        };
        // Without a word: as a process that is killed.
        drop(notices);
        let notices = open();
        let after = catch_up(&notices);
        assert_eq!(before + after, 6, "stopped at {stop}");
        assert_eq!(waits(&notices, "een"), [0, 2, 5, 6], "stopped at {stop}");
        assert_eq!(waits(&notices, "twee"), [2, 6], "stopped at {stop}");
    }
}

#[test]
fn tables_that_were_lost_are_made_again_and_those_of_another_log_are_not_believed() {
    let world = World::new();
    world.ask(&[KNOWN, KNOWN, KNOWN]);
    let notices = world.open(&everybody());
    catch_up(&notices);
    notices.acknowledge(&id("een"), &[0]).unwrap();
    drop(notices);
    // A log with one entry: a restored backup. What waits beyond its end is of a log that is no more.
    let other = World::new();
    other.ask(&[BOTH]);
    let tables = HubTables::open(&world.dir.path().join("tables")).unwrap();
    let notices = world.open_with(&tables, other.handle().reader(), &everybody());
    assert!(waits(&notices, "een").is_empty());
    assert_eq!(catch_up(&notices), 0);
    other.ask(&[BOTH]);
    assert_eq!(catch_up(&notices), 2);
    assert_eq!(
        (waits(&notices, "een"), waits(&notices, "twee")),
        (vec![1], vec![1])
    );
    drop((notices, tables));
    std::fs::remove_dir_all(world.dir.path().join("tables")).unwrap();
    let notices = world.open(&everybody());
    assert_eq!(catch_up(&notices), 3);
}

#[test]
fn the_covenant_in_force_decides_also_of_what_waits() {
    let world = World::new();
    world.ask(&[BOTH, BOTH]);
    let notices = world.open(&everybody());
    catch_up(&notices);
    notices.acknowledge(&id("een"), &[0]).unwrap();
    drop(notices);

    // Not told any more: dropped when it is fetched.
    let less = covenant(&["vraagt", "een", "twee"], &["twee"]);
    let notices = world.open(&less);
    assert!(waits(&notices, "een").is_empty());
    assert_eq!(waits(&notices, "twee"), [0, 1]);
    drop(notices);
    let notices = world.open(&everybody());
    assert!(waits(&notices, "een").is_empty(), "gone for good");
    drop(notices);

    // Not a partner any more: nothing is sent, and nothing is kept.
    let without = covenant(&["vraagt", "een"], &["een"]);
    let notices = world.open(&without);
    let refused = notices.batch(&id("twee"), None, 1);
    assert!(matches!(refused, Err(NoticeError::NotAPartner)));
    notices.tidy().unwrap();
    drop(notices);
    let notices = world.open(&everybody());
    assert!(waits(&notices, "twee").is_empty());
    let rows = notices.summary(&everybody()).partners;
    assert_eq!((rows[0].acknowledged, rows[1].acknowledged), (1, 0));
}

#[test]
fn what_nobody_fetches_becomes_an_alarm_once_in_so_many_days() {
    let world = World::new();
    world.ask(&[KNOWN]);
    let notices = world.open(&everybody());
    let verifier = signer().verifier();
    let policy = Policy::parse(format!("log {verifier}\nquorum none\n").as_bytes()).unwrap();
    let reader = world.handle().reader();
    let witnesses = Witnesses::new(policy, verifier.clone(), reader).unwrap();
    let clock = Arc::clone(&world.hands) as Arc<dyn Clock>;
    let alarms = Alarms::new(verifier, Arc::new(witnesses), clock, crate::alarm::book([]));
    alarms.log_to(world.handle());
    let raised = || {
        // Alarms are logged by the committer; after this entry all of them are.
        world.commit(vec![
            Draft::control(&serde_json::json!({"type": "test"})).unwrap(),
        ]);
        let list = alarms.list().into_iter();
        list.map(|alarm| (alarm.code, alarm.about)).collect::<Vec<_>>()
    };
    let one = || ("notice_not_fetched".to_owned(), "een".to_owned());
    for (days, count) in [(0, 0), (2, 0), (1, 1), (2, 1), (1, 2)] {
        world.later(days);
        follow::work(&notices, &alarms, true).unwrap();
        assert_eq!(raised(), vec![one(); count], "{days} days later");
        let row = &notices.summary(&everybody()).partners[0];
        assert_eq!(row.overdue, count > 0);
    }
    notices.acknowledge(&id("een"), &[0]).unwrap();
    follow::work(&notices, &alarms, true).unwrap();
    // Another one that waits too long is told of at once.
    world.later(1);
    world.ask(&[KNOWN]);
    follow::work(&notices, &alarms, true).unwrap();
    assert_eq!(
        raised(),
        vec![one(); 3],
        "asked long ago by the clock of this test"
    );
}

#[test]
fn keys_and_values_read_back_and_damage_is_noticed() {
    let (partner, row_) = (id("een"), Row { time_ms: 5, key: 6 });
    assert_eq!(place(&key(WAITS, &partner, 9)), Some((partner, 9)));
    assert_eq!(row(&encode(row_, None)), Some(row_));
    assert_eq!(row(&encode(row_, Some(7))), Some(row_));
    assert_eq!(
        (place(b"w"), place(b"w\0\0\0\0\0\0\0\0\0"), row(&[0; 11])),
        (None, None, None)
    );
    let world = World::new();
    world.ask(&[KNOWN]);
    let tables = HubTables::open(&world.dir.path().join("tables")).unwrap();
    let table = tables.table(TABLE).unwrap();
    table
        .change(&[(key(WAITS, &id("een"), 0), Some(vec![1; 13]))])
        .unwrap();
    let rules = Rules::new(Agreed {
        covenant: everybody(),
        document: Document::default(),
        before: Vec::new(),
    });
    let clock = Arc::clone(&world.hands) as Arc<dyn Clock>;
    let reader = world.handle().reader();
    let opened = Notices::open(&tables, reader, Arc::new(rules), clock, NoticeMetrics::default());
    assert!(matches!(opened, Err(TableError::Damaged(TABLE))));
}

#[test]
fn a_second_stream_takes_the_place_of_the_first() {
    let world = World::new();
    let notices = world.open(&everybody());
    let partner = id("een");
    let connected = || notices.summary(&everybody()).partners[0].connected;
    let (first, mut first_ends) = notices.begin(&partner);
    assert!(connected());
    let (second, mut second_ends) = notices.begin(&partner);
    assert!(
        first_ends
            .try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
    );
    assert!(
        second_ends
            .try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
    );
    notices.end(&partner, first);
    assert!(connected(), "the end of the first does not end the second");
    notices.end(&partner, second);
    assert!(!connected());
}
