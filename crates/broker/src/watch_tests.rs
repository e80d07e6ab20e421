//! What is written down, and when a partner is stale.

use super::*;

fn state() -> State {
    State {
        usage: Usage::new(DigestKey::from_bytes([1; 32])),
        under_way: HashMap::new(),
        pending: Vec::new(),
        seen: BTreeMap::new(),
        seen_saved: BTreeMap::new(),
    }
}

fn hours(hours: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_300_000_000 + hours * HOUR_MS).unwrap()
}

#[test]
fn questions_under_way_are_written_down_for_a_while() {
    let mut state = state();
    let (old, new) = (RequestId::generate(), RequestId::generate());
    state.under_way.insert(old, hours(0).as_millisecond());
    state.under_way.insert(new, hours(1).as_millisecond());
    let changes = state.changes(77, hours(1));
    let [(key, Some(value))] = changes.as_slice() else {
        panic!("{} changes", changes.len());
    };
    assert_eq!(key, SIZE);
    assert_eq!(saved_size(value), Some((77, HashSet::from([new]))));
    assert_eq!(saved_size(&value[..7]), None);
}

#[test]
fn a_partner_is_stale_once_its_limit_has_passed() {
    let mut state = state();
    let (index, live): (PartnerId, PartnerId) = ("leerplicht".parse().unwrap(), "om".parse().unwrap());
    // Never there: from the moment one first looked.
    assert!(!state.is_stale(&index, Some(false), 72, hours(0)));
    assert!(!state.is_stale(&index, Some(false), 72, hours(72)));
    assert!(state.is_stale(&index, Some(false), 72, hours(73)));
    // There, and then not any more: the register says when.
    assert!(!state.is_stale(&index, Some(true), 72, hours(74)));
    assert!(state.is_stale(&index, Some(false), 72, hours(75)));
    // Live: since it was seen last.
    assert!(!state.is_stale(&live, None, 2, hours(0)));
    state.seen.insert(live.clone(), (hours(5).as_millisecond(), true));
    assert!(!state.is_stale(&live, None, 2, hours(7)));
    assert!(state.is_stale(&live, None, 2, hours(8)));
    assert_eq!(state.changes(0, hours(8)).len(), 3, "both were written down");
    assert_eq!(state.changes(0, hours(8)).len(), 1);
    state.seen.insert(live, (hours(9).as_millisecond(), true));
    assert_eq!(state.changes(0, hours(9)).len(), 2);
}

#[test]
fn an_alarm_waits_for_its_question() {
    let mut state = state();
    let request = Some(RequestId::generate());
    let notice = Notice {
        code: "unusual_hours",
        partner: "leerplicht".parse().unwrap(),
        who: None,
    };
    state.wait(vec![notice.clone()], request, hours(0));
    assert_eq!(state.pending.len(), 1);
    assert_eq!((state.pending[0].entry, state.pending[0].request), (0, request));
}
