use std::sync::atomic::{AtomicI64, Ordering};

use hitmachine_identifier::{Admission, Bsn};
use hitmachine_pseudonym::DeploymentKind;
use jiff::civil::date;

use super::*;
use crate::notification::entry::Deferral;
use crate::state::{StateKey, Write};

const NUMBERS: [&str; 2] = ["999990019", "999990020"];

/// A clock that stands until it is moved, seconds since 1970.
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<Standing>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Standing(AtomicI64::new(0)));
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            clock,
        };
        // Just past midnight in Amsterdam, which is the evening before in UTC.
        world.at("2026-01-30T23:30:00Z");
        world
    }

    fn at(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        self.clock.0.store(time.as_second(), Ordering::SeqCst);
    }

    fn queue(&self, keep_number: bool) -> Queue {
        let state = Arc::new(State::open(self.dir.path(), &StateKey::from_bytes([5; 32])).unwrap());
        let settings = NotificationSection {
            keep_number,
            ..NotificationSection::default()
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Queue::load(&state, settings, clock).unwrap()
    }
}

fn number(text: &str) -> CanonicalIdentifier {
    let admission = Admission::with_default_prefixes(DeploymentKind::Test);
    Bsn::parse(text, &admission).unwrap().canonical()
}

fn covenant() -> Covenant {
    let text = include_str!("../../../../deploy/covenant.toml");
    Covenant::parse(text.as_bytes()).unwrap()
}

fn ask(queue: &Queue, case: &str, persons: &[(&str, AgeBracket, Option<&str>)]) {
    let numbers: Vec<_> = persons.iter().map(|(digits, ..)| number(digits)).collect();
    let asked: Vec<_> = persons
        .iter()
        .zip(&numbers)
        .map(|((_, bracket, reference), identifier)| AskedAbout {
            identifier,
            class: SubjectClass::Minor,
            bracket: *bracket,
            reference: *reference,
        })
        .collect();
    let covenant = covenant();
    let purpose = covenant.purposes()[0].code.clone();
    let write = |write: Write| write().unwrap();
    queue
        .asked(&covenant, &purpose, case, "jansen", &asked, write)
        .unwrap();
}

#[test]
fn one_for_each_person_and_case_on_the_day_where_people_live() {
    let world = World::new();
    let queue = world.queue(false);
    let [a, b] = NUMBERS;
    let unknown = AgeBracket::Unknown;
    ask(
        &queue,
        "ZK-1",
        &[(a, unknown, None), (b, unknown, Some("K-2")), (a, unknown, None)],
    );
    ask(&queue, "ZK-1", &[(a, AgeBracket::Under12, Some("K-1"))]);
    ask(&queue, "ZK-2", &[(a, unknown, Some("999990019"))]);
    let all = queue.all().unwrap();
    let shown: Vec<_> = all
        .iter()
        .map(|entry| {
            (
                entry.id,
                entry.case.as_str(),
                entry.reference.as_deref(),
                entry.bracket,
            )
        })
        .collect();
    // What the second question knew was added; a reference that reads as a number was not taken.
    assert_eq!(
        shown,
        [
            (1, "ZK-1", Some("K-1"), AgeBracket::Under12),
            (2, "ZK-1", Some("K-2"), unknown),
            (3, "ZK-2", None, unknown),
        ]
    );
    assert_eq!((all[0].since, all[0].due), (date(2026, 1, 31), date(2026, 2, 28)));
    assert!(!all[0].purpose_title.is_empty() && !all[0].legal_basis.is_empty());
    assert_eq!(all[0].person, all[2].person);
    assert!(all.iter().all(|entry| entry.number.is_none()));
}

#[test]
fn what_was_done_is_there_after_reopening_and_goes_in_time() {
    let world = World::new();
    let [a, b] = NUMBERS;
    {
        let queue = world.queue(true);
        ask(
            &queue,
            "ZK-1",
            &[(a, AgeBracket::From12, None), (b, AgeBracket::From12, None)],
        );
        let until = date(2026, 5, 1);
        let defer = What::Deferred {
            reason: Deferral::Investigation,
            until,
            note: None,
        };
        queue.apply(&[1], &defer, "jansen").unwrap();
        // All or none: 9 is not there.
        let none = queue.apply(&[2, 9], &What::Sent, "jansen");
        assert!(matches!(none, Err(NotificationError::Unknown(9))));
        queue.apply(&[2, 2], &What::Sent, "jansen").unwrap();
    }
    let queue = world.queue(true);
    let all = queue.all().unwrap();
    assert_eq!(
        (all[0].state, all[0].history.len()),
        (
            Stand::Deferred {
                until: date(2026, 5, 1)
            },
            2
        )
    );
    assert_eq!(
        (all[1].state, all[1].history[1].by.as_str()),
        (
            Stand::Sent {
                on: date(2026, 1, 31)
            },
            "jansen"
        )
    );
    assert_eq!(all[0].number.as_ref().map(KeptNumber::expose_secret), Some(a));
    // The same person is recognised after reopening.
    ask(&queue, "ZK-1", &[(b, AgeBracket::From12, None)]);
    assert_eq!(queue.all().unwrap().len(), 2);

    let counts = |due, overdue, deferred| Counts {
        due,
        overdue,
        deferred,
    };
    assert_eq!(queue.counts(), counts(0, 0, 1));
    world.at("2026-05-01T12:00:00Z");
    assert_eq!(queue.counts(), counts(1, 0, 0));
    world.at("2026-05-01T22:30:00Z");
    assert_eq!(queue.counts(), counts(0, 1, 0), "2 May in Amsterdam");
    world.at("2027-01-31T12:00:00Z");
    assert_eq!(queue.all().unwrap().len(), 2);
    world.at("2027-02-01T12:00:00Z");
    let left: Vec<_> = queue.all().unwrap().iter().map(|entry| entry.id).collect();
    assert_eq!(left, [1], "twelve months after it was sent");
    drop(queue);
    let queue = world.queue(true);
    ask(&queue, "ZK-3", &[(b, AgeBracket::From12, None)]);
    assert_eq!(
        queue.all().unwrap().last().unwrap().id,
        3,
        "a number is not used twice"
    );
}

#[test]
fn closing_a_case_tells_each_person_once() {
    let world = World::new();
    let queue = world.queue(false);
    let [a, b] = NUMBERS;
    ask(
        &queue,
        "ZK-1",
        &[
            (a, AgeBracket::From16, Some("K-1")),
            (b, AgeBracket::From16, None),
        ],
    );
    ask(&queue, "ZK-2", &[(a, AgeBracket::From16, None)]);
    let died = What::NotNeeded {
        reason: NotNeeded::Deceased,
        note: None,
    };
    queue.apply(&[2], &died, "jansen").unwrap();
    world.at("2026-08-31T12:00:00Z");
    let closed = queue.close("ZK-1", "jansen").unwrap();
    let shown: Vec<_> = closed
        .iter()
        .map(|entry| {
            (
                entry.id,
                entry.kind,
                entry.reference.as_deref(),
                entry.since,
                entry.due,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(4, Kind::Exit, Some("K-1"), date(2026, 8, 31), date(2026, 9, 30))]
    );
    assert!(queue.close("ZK-1", "jansen").unwrap().is_empty());
    assert!(matches!(
        queue.close("ZK-9", "jansen"),
        Err(NotificationError::UnknownCase)
    ));
    assert!(matches!(
        queue.open_in("ZK-9"),
        Err(NotificationError::UnknownCase)
    ));
    assert_eq!(queue.open_in("ZK-1").unwrap(), [1, 4]);
    let order: Vec<_> = queue.all().unwrap().iter().map(|entry| entry.id).collect();
    assert_eq!(
        order,
        [1, 3, 4, 2],
        "the longest overdue first, settled ones last"
    );
}

#[test]
fn nothing_is_on_the_disk_in_clear() {
    let world = World::new();
    {
        let queue = world.queue(true);
        ask(
            &queue,
            "ZK-GEHEIM",
            &[(NUMBERS[0], AgeBracket::From16, Some("Jansen"))],
        );
    }
    let mut folders = vec![world.dir.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            files += 1;
            for secret in [NUMBERS[0], "ZK-GEHEIM", "Jansen"] {
                let found = bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", path.display());
            }
        }
    }
    assert!(files > 0);
}
