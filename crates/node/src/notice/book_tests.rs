use std::sync::Mutex as StdMutex;

use hitmachine_core::query::Subject;
use hitmachine_core::{RequestId, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::{Timestamp, ToSpan};

use super::*;
use crate::register::Wanted;
use crate::state::StateKey;

const COVENANT: &str = r#"
format = 1
id = "t"
title = "T"
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
contact = "balie, 024 000 00 00"
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
code = "doel"
title = "Het doel"
legal_basis = "-"
processing_activity = "https://register.example/1"
askers = ["vraagt"]
roles = ["rol"]
consults = ["weet"]
notifies = ["weet"]
log_retention_months = 2
max_subjects = 1
"#;

/// Stands still until it is set.
pub(crate) struct Hands(StdMutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A node's notices in a folder of their own.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) hands: Arc<Hands>,
    covenant: Covenant,
    register: LocalRegister,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut register = LocalRegister::default();
        register.restart(1);
        let wanted: Vec<Wanted> = (1..=3)
            .map(|person| Wanted {
                identifier: IdentifierType::Bsn,
                token: Token::from_bytes([person; 32]),
                class: SubjectClass::Adult,
                // The third has no file number.
                reference: (person < 3).then(|| format!("D-{person}").into()),
            })
            .collect();
        let today = hitmachine_core::Day::of("2026-11-20T12:00:00Z".parse().unwrap());
        let batches = register
            .difference(&wanted[..2], today, 365)
            .into_batches(1)
            .unwrap();
        register.in_doubt.extend(batches);
        register.acknowledge(1);
        // The hub may have the third, and has not said so.
        let batches = register.difference(&wanted, today, 365).into_batches(2).unwrap();
        register.in_doubt.extend(batches);
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        Self {
            dir,
            hands: Arc::new(Hands(StdMutex::new(now))),
            covenant: Covenant::parse(COVENANT.as_bytes()).unwrap(),
            register,
        }
    }

    pub(crate) fn open(&self) -> NoticeBook {
        let state = State::open(&self.dir.path().join("state"), &StateKey::from_bytes([3; 32])).unwrap();
        NoticeBook::load(&Arc::new(state), Arc::clone(&self.hands) as Arc<dyn Clock>).unwrap()
    }

    /// What comes about a person, from a log entry, for a case.
    pub(crate) fn incoming(&self, index: u64, person: u8, case: &str) -> Incoming {
        Incoming::new(&notice(index, person, case), &self.covenant, Some(&self.register))
    }

    fn later(&self, days: i64) {
        let mut now = self.hands.0.lock().unwrap();
        *now += (days * 24).hours();
    }
}

fn notice(index: u64, person: u8, case: &str) -> HitNotice {
    HitNotice {
        index,
        leaf: [u8::try_from(index % 251).unwrap(); 32],
        time: "2026-11-21T11:59:58Z".parse().unwrap(),
        requester: "00000099000000000010".parse().unwrap(),
        purpose: "doel".parse().unwrap(),
        case: Some(case.parse().unwrap()),
        request: RequestId::generate(),
        epoch: KeyEpoch::FIRST,
        subject: Subject {
            class: SubjectClass::Adult,
            tokens: vec![(IdentifierType::Bsn, Token::from_bytes([person; 32]))],
        },
    }
}

fn places(view: &NoticesView) -> Vec<u64> {
    view.notices.iter().map(|notice| notice.log_index).collect()
}

fn id(text: &str) -> PartnerId {
    text.parse().unwrap()
}

fn case(text: &str) -> CaseReference {
    text.parse().unwrap()
}

fn user(text: &str) -> UserId {
    text.parse().unwrap()
}

#[test]
fn a_token_becomes_the_own_file_number_and_is_forgotten() {
    let world = World::new();
    for (person, registered, references) in [
        (1, true, vec!["D-1"]),
        // In a batch that is in doubt, and without a file number.
        (3, true, vec![]),
        (9, false, vec![]),
    ] {
        let view = world.incoming(1, person, "ZK-1").view;
        assert_eq!(
            (view.registered, view.references),
            (registered, references.iter().map(ToString::to_string).collect())
        );
    }
    // Of the same bytes as another kind of number, or under a key that this register is not made with: not there.
    let mut other = notice(1, 1, "ZK-1");
    other.subject.tokens[0].0 = IdentifierType::Skn;
    assert!(
        !Incoming::new(&other, &world.covenant, Some(&world.register))
            .view
            .registered
    );
    assert!(
        !Incoming::new(&notice(1, 1, "ZK-1"), &world.covenant, None)
            .view
            .registered
    );

    let view = world.incoming(1, 1, "ZK-1").view;
    assert_eq!(
        (view.asker.partner.as_str(), view.asker.name.as_str()),
        ("vraagt", "Vraagt")
    );
    assert_eq!(view.asker.contact, "balie, 024 000 00 00");
    assert_eq!(
        (view.purpose.as_str(), view.purpose_title.as_str()),
        ("doel", "Het doel")
    );
    assert_eq!(view.kept_until.as_deref(), Some("2027-02"));
    let text = serde_json::to_string(&view).unwrap();
    assert!(!text.contains("0101") && !text.contains("[1,1"), "{text}");

    // What the covenant does not have any more is said as far as it is known, and kept as long as anything may be.
    let mut stranger = notice(1, 1, "ZK-1");
    stranger.requester = "00000099000000000099".parse().unwrap();
    stranger.purpose = "oud".parse().unwrap();
    let view = Incoming::new(&stranger, &world.covenant, Some(&world.register)).view;
    assert_eq!(
        (view.asker.partner.as_str(), view.asker.name.as_str()),
        ("", "00000099000000000099")
    );
    assert_eq!(
        (view.purpose_title.as_str(), view.kept_until.as_deref()),
        ("", Some("2046-12"))
    );
}

#[test]
fn what_comes_twice_is_stored_once_also_after_a_restart() {
    let world = World::new();
    let book = world.open();
    let some = || vec![world.incoming(5, 1, "ZK-1"), world.incoming(7, 2, "ZK-1")];
    assert_eq!(book.store(some()).unwrap(), 2);
    assert_eq!(book.store(some()).unwrap(), 0);
    let twice = vec![world.incoming(8, 1, "ZK-2"), world.incoming(8, 1, "ZK-2")];
    assert_eq!(book.store(twice).unwrap(), 1);
    drop(book);
    let book = world.open();
    assert_eq!(book.store(some()).unwrap(), 0);
    assert_eq!(places(&book.list(Which::All, None)), [5, 7, 8]);
    let numbers: Vec<u64> = book
        .list(Which::All, None)
        .notices
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    // The same place with another leaf is another entry: of a log that is not the one before.
    let mut forked = world.incoming(5, 2, "ZK-1");
    forked.place.1 = [0xff; 32];
    assert_eq!(book.store(vec![forked]).unwrap(), 1);
    assert_eq!(book.of_entry(5).notices.len(), 2);
    assert_eq!(book.after(3).notices.len(), 1);
}

#[test]
fn who_saw_it_first_stays_and_nothing_changes_for_one_that_is_not_there() {
    let world = World::new();
    let book = world.open();
    book.store(vec![world.incoming(5, 1, "ZK-1"), world.incoming(7, 2, "ZK-1")])
        .unwrap();
    assert_eq!(book.seen(&[5, 6], &user("bakker")).unwrap(), None);
    assert_eq!(book.list(Which::New, None).new, 2);
    assert_eq!(book.seen(&[5], &user("bakker")).unwrap(), Some(1));
    assert_eq!(book.seen(&[5, 7], &user("visser")).unwrap(), Some(2));
    drop(book);
    let book = world.open();
    let view = book.list(Which::Open, None);
    let by: Vec<_> = view
        .notices
        .iter()
        .map(|one| one.seen_by.as_deref().unwrap())
        .collect();
    assert_eq!((by, view.new), (vec!["bakker", "visser"], 0));
}

#[test]
fn a_muted_case_of_one_asker_is_stored_and_not_shown() {
    let world = World::new();
    let book = world.open();
    book.store(vec![world.incoming(1, 1, "ZK-1")]).unwrap();
    let mute = |asker: &str, of: &str| book.mute(&id(asker), &case(of), &user("bakker"), None).unwrap();
    assert_eq!(
        (
            mute("vraagt", "ZK-1"),
            mute("vraagt", "ZK-1"),
            mute("weet", "ZK-2")
        ),
        (1, 1, 2)
    );
    // What was there stays; the same case of another asker, and another case of this one, come through.
    book.store(vec![world.incoming(2, 1, "ZK-1"), world.incoming(3, 1, "ZK-2")])
        .unwrap();
    assert_eq!(places(&book.list(Which::Open, None)), [1, 3]);
    assert_eq!(places(&book.list(Which::All, Some(&case("ZK-1")))), [1, 2]);
    assert_eq!(places(&book.after(0)), [1, 3]);
    assert_eq!(book.untold(0), (2, 3), "hooks do not hear of it");
    let mut without_case = notice(4, 1, "ZK-1");
    without_case.case = None;
    let without_case = Incoming::new(&without_case, &world.covenant, Some(&world.register));
    book.store(vec![without_case]).unwrap();
    assert_eq!(book.list(Which::All, None).muted, 1);
    drop(book);
    let book = world.open();
    assert_eq!(book.mutes().len(), 2);
    assert_eq!(book.unmute(&id("vraagt"), &case("ZK-1")).unwrap(), Some(1));
    assert_eq!(book.unmute(&id("vraagt"), &case("ZK-1")).unwrap(), None);
    book.store(vec![world.incoming(5, 1, "ZK-1")]).unwrap();
    assert_eq!(places(&book.list(Which::Open, None)), [1, 3, 4, 5]);
}

#[test]
fn a_notice_is_kept_as_long_as_its_log_entry_may_be() {
    let world = World::new();
    let book = world.open();
    book.store(vec![world.incoming(1, 1, "ZK-1")]).unwrap();
    // Two whole months after November: to the end of January.
    world.later(71);
    assert_eq!(places(&book.list(Which::All, None)), [1], "31 January");
    world.later(1);
    assert!(
        book.list(Which::All, None).notices.is_empty(),
        "not shown even before it is removed"
    );
    assert_eq!(book.list(Which::New, None).new, 0);
    assert_eq!(book.inner().notices.len(), 1);
    book.tidy().unwrap();
    assert!(book.inner().notices.is_empty());
    assert_eq!(
        book.store(vec![world.incoming(1, 1, "ZK-1")]).unwrap(),
        0,
        "nor taken again"
    );
    drop(book);
    let book = world.open();
    assert_eq!(book.list(Which::All, None).last, 1, "numbers go on");
}
