use hitmachine_core::{Subject, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};

use super::*;
use crate::state::StateKey;

const PERSON: [u8; 32] = [0xab; 32];

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn checked(months: u16) -> Checked {
    Checked {
        frame: LiveFrame {
            request: RequestId::generate(),
            covenant: hitmachine_core::CovenantVersion([3; 32]),
            epoch: KeyEpoch::FIRST,
            asker: "zvh".parse().unwrap(),
            purpose: "vraag".parse().unwrap(),
            digests: vec![[1; 32]],
        },
        digest: [5; 32],
        subjects: vec![Subject {
            class: SubjectClass::Adult,
            tokens: vec![(IdentifierType::Bsn, Token::from_bytes(PERSON))],
        }],
        months,
        before: None,
    }
}

fn open(dir: &std::path::Path) -> LiveJournal {
    let state = State::open(dir, &StateKey::from_bytes([3; 32])).unwrap();
    LiveJournal::open(&Arc::new(state)).unwrap()
}

#[test]
fn entries_survive_in_order_and_hold_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let first = checked(12);
    let lines: Vec<Line> = (0..3u8)
        .map(|n| {
            let at = now() + jiff::Span::new().seconds(i64::from(n));
            Line::of(at, &first, &[LiveStatus::Known], None)
        })
        .collect();
    {
        let journal = open(dir.path());
        journal.write(&[]).unwrap();
        journal.write(&lines[..2]).unwrap();
        // Twice in one millisecond: two entries.
        journal.write(&[lines[2].clone(), lines[2].clone()]).unwrap();
    }
    let journal = open(dir.path());
    let all = journal.since(0).unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(all[..3], lines);
    let ms = now().as_millisecond();
    assert_eq!(journal.since(ms + 1).unwrap().len(), 3);
    assert_eq!(journal.count_since(ms + 1_001).unwrap(), 2);
    let newest: Vec<_> = journal
        .newest(3)
        .unwrap()
        .iter()
        .map(|line| line.at_ms - ms)
        .collect();
    assert_eq!(newest, [2_000, 2_000, 1_000]);
    let (request, digest, statuses) = all[0].answered().unwrap();
    assert_eq!((request, digest), (first.frame.request, [5; 32]));
    assert_eq!(statuses, [LiveStatus::Known]);
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains(&hex::encode(PERSON)), "not the token itself");
}

#[test]
fn an_entry_goes_when_its_term_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let line = |months| Line::of(now(), &checked(months), &[LiveStatus::NotKnown], None);
    journal.write(&[line(1), line(12)]).unwrap();
    journal
        .write(&[Line::refused(now(), None, "live_malformed", 1)])
        .unwrap();
    let day = |text: &str| Day::from_date(text.parse().unwrap());
    for (today, left) in [
        ("2026-12-21", 3),
        ("2026-12-22", 2),
        ("2027-11-21", 2),
        ("2027-11-22", 0),
    ] {
        journal.prune(day(today)).unwrap();
        assert_eq!(journal.since(0).unwrap().len(), left, "{today}");
    }
}

#[test]
fn a_refusal_says_what_the_covenant_has_a_name_for() {
    let line = Line::refused(now(), None, "live_malformed", 2);
    assert_eq!(
        (line.request.as_ref(), line.asker.as_ref(), line.persons),
        (None, None, 2)
    );
    assert_eq!(line.answered(), None);
}
