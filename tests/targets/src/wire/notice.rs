//! Hit notices: as the node reads them, and as the hub writes them.

use hitmachine_proto::notice::{encode, parse};
use hitmachine_proto::v1;
use prost::Message;

use super::{canonical, trimmed};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(wire) = v1::Notice::decode(input) else {
        return;
    };
    let Ok(notice) = parse(wire.clone()) else {
        return;
    };
    let written = encode(&notice);
    if canonical::<v1::Notice>(input).is_some() && trimmed(&wire.case_reference) {
        assert!(written == wire, "one form");
    }
    let again = parse(written.clone()).expect("what the hub writes");
    assert!(encode(&again) == written);
}
