//! Rows of a node's own state, as they are when the seal is off.

use hitmachine_node::fuzz;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(written) = fuzz::journal_entry(input) {
        assert_eq!(written, input, "one form");
    }
    for read in [fuzz::local_changes, fuzz::heads] {
        if let Some(written) = read(input) {
            // Written again it reads the same.
            assert_eq!(read(&written), Some(written));
        }
    }
}
