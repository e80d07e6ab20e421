//! Rows of the index of the hub's log: what is read is written the same, and what was changed or moved is not read.

use hitmachine_store::audit_index::fuzz;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(written) = fuzz::bounds(input) {
        assert_eq!(written, input, "one form");
    }
    fuzz::row(input);
    if let Some(rows) = fuzz::rows(input) {
        assert!(rows.iter().map(|row| row.len() + 4).sum::<usize>() == input.len());
    }
    if let Some(written) = std::str::from_utf8(input).ok().and_then(fuzz::state) {
        // Written again it reads the same.
        assert_eq!(fuzz::state(&written).as_deref(), Some(written.as_str()));
    }
    let Some((at, value)) = input.split_first() else {
        return;
    };
    let mut sealed = fuzz::sealed("tree", b"key", value);
    assert_eq!(fuzz::opened("tree", b"key", &sealed), Some(value));
    assert_eq!(fuzz::opened("tree", b"other", &sealed), None);
    assert_eq!(fuzz::opened("other", b"key", &sealed), None);
    assert_eq!(fuzz::opened("tree", b"key", input), None);
    let at = usize::from(*at) % sealed.len();
    sealed[at] ^= 1;
    assert_eq!(fuzz::opened("tree", b"key", &sealed), None);
}
