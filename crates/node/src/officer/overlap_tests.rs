use hitmachine_core::RequestSigner;

use super::*;

fn leaf(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn id(number: u8) -> [u8; 16] {
    let mut id = [number; 16];
    // UUID version 7.
    (id[6], id[8]) = (0x70, 0x80);
    id
}

fn own(index: u64, request: u8) -> JournalEntry {
    JournalEntry {
        index,
        request: id(request),
        leaf: leaf(u8::try_from(index).unwrap()),
        time_ms: 1,
    }
}

/// The first entry of a request, signed by the node with this key.
fn signed(index: u64, request: u8, key: u8) -> Logged {
    let signed = RequestSigner::new(&[key; 32]).sign(vec![request]);
    Logged {
        index,
        leaf: leaf(u8::try_from(index).unwrap()),
        request: Some(id(request)),
        digest: signed.digest(),
        signed: Some(signed),
        partial: false,
    }
}

/// The entry of a further person of that request.
fn further(index: u64, of: &Logged) -> Logged {
    Logged {
        index,
        leaf: leaf(u8::try_from(index).unwrap()),
        request: of.request,
        digest: of.digest,
        signed: None,
        partial: false,
    }
}

fn compared(journal: &[JournalEntry], found: &[(u64, Hash)], logged: &[Logged]) -> OverlapView {
    let ours = RequestSigner::new(&[5; 32]).key();
    let found = found.iter().copied().collect();
    compare(journal, &found, logged, &|request| ours.verifies(request))
}

fn codes(view: &OverlapView) -> Vec<(u64, &str)> {
    let differences = view.differences.iter();
    differences
        .map(|difference| (difference.log_index, difference.code.as_str()))
        .collect()
}

#[test]
fn what_agrees_is_no_difference() {
    let logged = [signed(3, 1, 5), signed(2, 2, 5)];
    let view = compared(&[own(2, 2), own(3, 1)], &[(2, leaf(2)), (3, leaf(3))], &logged);
    assert_eq!(codes(&view), []);
    assert_eq!((view.journal, view.log, view.began), (2, 2, Some(2)));
    assert!(view.unanswered.is_empty());
}

#[test]
fn a_changed_entry_shows_also_if_it_is_erased_or_hidden_from_the_search() {
    let view = compared(&[own(2, 2), own(3, 1)], &[(2, leaf(2)), (3, leaf(9))], &[]);
    assert_eq!(codes(&view), [(3, "changed")]);
    let mut moved = signed(2, 2, 5);
    moved.leaf = leaf(8);
    assert_eq!(codes(&compared(&[own(2, 2)], &[], &[moved])), [(2, "changed")]);
}

#[test]
fn an_invented_entry_shows() {
    let journal = [own(2, 2)];
    assert_eq!(
        codes(&compared(&journal, &[], &[signed(4, 3, 6)])),
        [(4, "not_signed")],
        "signed by another"
    );
    let unsigned = further(4, &signed(4, 3, 5));
    assert_eq!(codes(&compared(&journal, &[], &[unsigned])), [(4, "not_signed")]);
    let mut partial = further(4, &signed(4, 3, 5));
    partial.partial = true;
    assert_eq!(codes(&compared(&journal, &[], &[partial])), [(4, "unknown")]);
}

#[test]
fn a_question_without_an_answer_is_none_invented() {
    let first = signed(4, 3, 5);
    let second = further(5, &first);
    // Newest first, as the log gives them.
    let view = compared(&[own(2, 2)], &[], &[second, first]);
    assert_eq!(codes(&view), []);
    assert_eq!(view.unanswered, [4, 5]);
}

#[test]
fn a_request_that_was_used_again_shows() {
    // Of a question that was answered, and of one that was not.
    let journal = [own(2, 2)];
    assert_eq!(
        codes(&compared(&journal, &[], &[signed(6, 2, 5), signed(2, 2, 5)])),
        [(6, "repeated")]
    );
    let view = compared(&journal, &[], &[signed(7, 3, 5), signed(4, 3, 5)]);
    assert_eq!(codes(&view), [(7, "repeated")]);
    assert_eq!(view.unanswered, [4]);
    assert!(view.differences[0].request_id.is_some());
}
