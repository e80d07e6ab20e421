//! Where a browser is sent on to, as a browser understands addresses; and cookies.

use hitmachine_console::fuzz::{cookie, next};
use url::Url;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(value) = cookie(input, "__Host-language") {
        let line = std::str::from_utf8(input).expect("a header that is read is text");
        assert!(line.contains(&format!("__Host-language={value}")));
        assert!(!value.contains(';'));
        // A cookie of another name does not stand for it.
        let other = line.replace("__Host-language", "__Host-other");
        assert_eq!(cookie(other.as_bytes(), "__Host-language"), None);
    }
    let Some(text) = std::str::from_utf8(input)
        .ok()
        .filter(|text| next(text).is_some())
    else {
        return;
    };
    assert_eq!(next(text), Some(text), "as it came, or not at all");
    let console = Url::parse("https://console.example/sign-in?next=x").unwrap();
    let there = console.join(text).expect("an address");
    assert_eq!(there.origin(), console.origin(), "never elsewhere: {text:?}");
    assert!(there.username().is_empty() && there.password().is_none());
    // As it stands in a header.
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
}
