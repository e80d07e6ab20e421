//! Answers that come twice, late, mixed up or in another browser.

use hitmachine_tests::provider::Provider;
use hitmachine_tests::site::Site;

use crate::steps::{assert_refused, cookies, desk, leads, to_and_fro};

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_good_once_and_in_its_own_browser() {
    let site = Site::open(63);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;
    // The same answer again: with what the browser is left with, and with what it had.
    let (visitor, back) = to_and_fro(&desk, provider.url(), "/sign-in/oidc").await;
    assert_eq!(visitor.get(&back).await.status, 200);
    assert_refused(&desk, &provider, &visitor.get(&back).await, 403, "oidc_state");
    // In a browser that did not begin it, with a cookie of its own or without: neither it nor the one that began gets in.
    let (other, _) = to_and_fro(&desk, provider.url(), "/sign-in/oidc").await;
    for stranger in [desk.stranger(), other] {
        let (visitor, back) = to_and_fro(&desk, provider.url(), "/sign-in/oidc").await;
        assert_refused(&desk, &provider, &stranger.get(&back).await, 403, "oidc_state");
        assert_refused(&desk, &provider, &visitor.get(&back).await, 403, "oidc_state");
    }
    for back in [
        "/sign-in/oidc/back",
        "/sign-in/oidc/back?code=1&state=2",
        "/sign-in/oidc/back?state=a&state=b",
    ] {
        assert_refused(&desk, &provider, &visitor.get(back).await, 403, "oidc_state");
    }
    // Somebody else's code put into one's own sign-in: it was used, or it belongs to another verifier.
    let part = |address: &str, name: &str| {
        let (_, query) = address.split_once('?').unwrap();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(each, _)| each == name).unwrap().1.into_owned()
    };
    let (victim, stolen) = to_and_fro(&desk, provider.url(), "/sign-in/oidc").await;
    for used in [false, true] {
        if used {
            victim.get(&stolen).await;
        }
        let (thief, own) = to_and_fro(&desk, provider.url(), "/sign-in/oidc").await;
        let (code, state) = (part(&stolen, "code"), part(&own, "state"));
        let mixed = format!("/sign-in/oidc/back?code={code}&state={state}");
        assert_refused(&desk, &provider, &thief.get(&mixed).await, 403, "oidc_code");
    }
    // Two tabs of one browser.
    let (mut first, back_first) = to_and_fro(&desk, provider.url(), "/sign-in/oidc?next=/ask").await;
    let begun = first.get("/sign-in/oidc?next=/notices").await;
    first.cookie = Some(cookies(first.cookie.as_deref(), &begun));
    let mut there = desk.stranger();
    there.url = provider.url().to_owned();
    let back_second = leads(&there.get(&leads(&begun, provider.url())).await, &desk.url);
    assert_eq!(first.get(&back_second).await.header("refresh"), "0; url=/notices");
    assert_eq!(first.get(&back_first).await.header("refresh"), "0; url=/ask");
    // Nobody is sent to another site afterwards.
    for next in [
        "https://x.example/",
        "//x.example",
        "/%5Cx.example",
        "/a%0d%0aSet-Cookie:%20x=1",
        "/;url=//x.example",
    ] {
        let (visitor, back) = to_and_fro(&desk, provider.url(), &format!("/sign-in/oidc?next={next}")).await;
        assert_eq!(visitor.get(&back).await.header("refresh"), "0; url=/", "{next}");
    }
}
