//! Addresses that are posted to: what counts as safe leads, as browsers read addresses too, over TLS or to this machine.

use hitmachine_service::web::WebClient;
use url::{Host, Url};

/// The target.
pub fn check(input: &[u8]) {
    let Some(text) = std::str::from_utf8(input)
        .ok()
        .filter(|text| WebClient::accepts(text))
    else {
        return;
    };
    let Ok(url) = Url::parse(text) else {
        // Refused by others: nobody is led astray.
        return;
    };
    assert!(url.username().is_empty() && url.password().is_none(), "{text:?}");
    match url.scheme() {
        "https" => {}
        "http" => {
            let loopback = match url.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                _ => false,
            };
            assert!(loopback, "{text:?}");
        }
        other => panic!("{other}: {text:?}"),
    }
}
