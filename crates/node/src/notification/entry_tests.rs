use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 3, 15);

fn by(today: Date) -> By<'static> {
    By {
        user: "pietersen",
        at: "2026-03-15T10:00:00Z",
        today,
    }
}

fn entry() -> Entry {
    Entry {
        id: 7,
        kind: Kind::Entry,
        person: [1; 16],
        number: None,
        reference: Some("K-1".into()),
        case: "ZK-1".into(),
        purpose: "screening".into(),
        purpose_title: "Screening".into(),
        legal_basis: "wet".into(),
        processing_activity: "https://example.nl/1".into(),
        since: TODAY,
        due: due_after(TODAY),
        minor: false,
        bracket: AgeBracket::From16,
        state: State::Due,
        history: Vec::new(),
    }
}

fn deferred(until: Date) -> What {
    What::Deferred {
        reason: Deferral::Investigation,
        until,
        note: None,
    }
}

#[test]
fn a_month_ends_where_the_next_one_ends() {
    for (asked, due) in [
        (date(2026, 1, 31), date(2026, 2, 28)),
        (date(2028, 1, 31), date(2028, 2, 29)),
        (date(2026, 2, 28), date(2026, 3, 28)),
        (date(2026, 3, 31), date(2026, 4, 30)),
        (date(2026, 12, 31), date(2027, 1, 31)),
        // The nights of summer time are days like others.
        (date(2026, 2, 28), date(2026, 3, 28)),
        (date(2026, 9, 25), date(2026, 10, 25)),
    ] {
        assert_eq!(due_after(asked), due, "{asked}");
    }
}

#[test]
fn whom_to_address() {
    for (bracket, addressee) in [
        (AgeBracket::Under12, Addressee::Representative),
        (AgeBracket::From12, Addressee::Both),
        (AgeBracket::From16, Addressee::Person),
        (AgeBracket::Unknown, Addressee::Both),
    ] {
        assert_eq!(Addressee::of(bracket), addressee);
    }
}

#[test]
fn the_last_day_itself_is_in_time() {
    let entry = entry();
    assert!(!entry.is_overdue(date(2026, 4, 15)));
    assert!(entry.is_overdue(date(2026, 4, 16)));
}

#[test]
fn a_deferral_needs_a_later_day_and_counts_from_then_on() {
    let mut entry = entry();
    for until in [TODAY, date(2026, 3, 14), date(2027, 3, 17)] {
        assert!(matches!(
            entry.apply(deferred(until), by(TODAY)),
            Err(NotificationError::Until)
        ));
    }
    assert!(entry.history.is_empty());
    entry.apply(deferred(date(2026, 6, 1)), by(TODAY)).unwrap();
    assert_eq!(entry.last_day(), Some(date(2026, 6, 1)));
    assert!(!entry.is_overdue(date(2026, 5, 1)));
    assert!(!entry.wants_letter(date(2026, 5, 31)));
    assert!(entry.wants_letter(date(2026, 6, 1)));
    assert!(entry.is_overdue(date(2026, 6, 2)));
    // Again, with another reason.
    entry
        .apply(deferred(date(2026, 7, 1)), by(date(2026, 6, 2)))
        .unwrap();
    assert_eq!(
        (entry.last_day(), entry.history.len()),
        (Some(date(2026, 7, 1)), 2)
    );
}

#[test]
fn reasons_and_notes() {
    let mut entry = entry();
    let vague = |note: Option<&str>| What::Deferred {
        reason: Deferral::PublicInterest,
        until: date(2026, 6, 1),
        note: note.map(Into::into),
    };
    assert!(matches!(
        entry.apply(vague(None), by(TODAY)),
        Err(NotificationError::NoteNeeded)
    ));
    assert!(matches!(
        entry.apply(vague(Some("over 999990019")), by(TODAY)),
        Err(NotificationError::ContainsBsn("note"))
    ));
    for text in [" ".to_owned(), "n".repeat(501)] {
        assert!(matches!(
            entry.apply(vague(Some(&text)), by(TODAY)),
            Err(NotificationError::Text("note"))
        ));
    }
    entry.apply(vague(Some("in overleg")), by(TODAY)).unwrap();
}

#[test]
fn what_is_settled_stays_so_and_goes_in_time() {
    for settle in [
        What::Sent,
        What::NotNeeded {
            reason: NotNeeded::AlreadyInformed,
            note: None,
        },
    ] {
        let mut entry = entry();
        entry.apply(settle, by(TODAY)).unwrap();
        for again in [What::Sent, deferred(date(2026, 6, 1))] {
            assert!(matches!(
                entry.apply(again, by(TODAY)),
                Err(NotificationError::Settled(7))
            ));
        }
        assert!(!entry.is_overdue(date(2036, 1, 1)));
        assert!(!entry.is_over(date(2027, 3, 15), 12));
        assert!(entry.is_over(date(2027, 3, 16), 12));
    }
    assert!(!entry().is_over(date(2036, 1, 1), 12), "what is open never goes");
}

fn any_act() -> impl Strategy<Value = (What, i32)> {
    let what = prop_oneof![
        (-400..800_i32).prop_map(|days| deferred(TODAY.saturating_add(days.days()))),
        Just(What::Sent),
        Just(What::NotNeeded {
            reason: NotNeeded::Deceased,
            note: None
        }),
    ];
    (what, 0..400_i32)
}

proptest! {
    /// Whatever is done in whatever order: nothing settled is opened again, an open one always has a last day, what
    /// is refused leaves no trace, and the history has each act that changed something.
    #[test]
    fn any_row_of_acts(acts in proptest::collection::vec(any_act(), 0..12)) {
        let mut entry = entry();
        let mut done = 0;
        let mut today = TODAY;
        for (what, later) in acts {
            today = today.saturating_add(later.days());
            let before = entry.clone();
            if entry.apply(what.clone(), by(today)).is_ok() {
                done += 1;
                prop_assert!(before.last_day().is_some());
                prop_assert_eq!(&entry.history.last().unwrap().what, &what);
                if let What::Deferred { until, .. } = what {
                    prop_assert!(until > today);
                    prop_assert_eq!(entry.last_day(), Some(until));
                    prop_assert!(!entry.is_overdue(today));
                } else {
                    prop_assert_eq!(entry.last_day(), None);
                }
            } else {
                prop_assert_eq!(&entry, &before);
            }
            prop_assert_eq!(entry.history.len(), done);
            prop_assert!(!(entry.is_over(today, 12) && entry.last_day().is_some()));
        }
    }
}
