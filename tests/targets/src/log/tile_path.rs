//! Paths of the published log, as they come in URLs, and entry bundles.

use hitmachine_audit::TilePath;
use hitmachine_audit::tiles::{encode_bundle, parse_bundle};

/// The target.
pub fn check(input: &[u8]) {
    if let Some((width, bundle)) = input.split_first() {
        let width = u16::from(*width) + 1;
        if let Ok(entries) = parse_bundle(bundle, width) {
            assert_eq!(entries.len(), usize::from(width));
            assert_eq!(encode_bundle(&entries).expect("entries that were parsed"), bundle);
        }
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text, "one text per path");
        assert!(!text.contains("..") && !text.starts_with('/'));
        assert!((1..=256).contains(&path.width()));
    }
}
