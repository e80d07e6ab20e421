//! A provider that is away, slow, or has new keys.

use std::time::{Duration, Instant};

use hitmachine_tests::provider::{Provider, Signing};
use hitmachine_tests::site::{Site, roles};
use serde_json::json;

use crate::steps::{assert_refused, desk, desk_of, sets_session, sign_in, to_and_fro};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_or_has_new_keys() {
    let site = Site::open(64);
    let provider = Provider::start().await;
    let url = provider.url().to_owned();
    let desk = desk(&site, &url, |_| ()).await;
    // Descriptions that are none.
    for (path, body) in [
        ("/openid-configuration", "garbage".to_owned()),
        (
            "/openid-configuration",
            json!({"issuer": "https://x.example"}).to_string(),
        ),
        ("/keys", "{}".to_owned()),
    ] {
        provider.set(|ways| ways.instead = vec![(path, 200, body)]);
        assert_refused(
            &desk,
            &provider,
            &desk.stranger().get("/sign-in/oidc").await,
            502,
            "oidc_answer",
        );
    }
    provider.set(|_| ());
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    // Its description is kept.
    let asked = provider.asked("/.well-known/openid-configuration");
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    assert_eq!(provider.asked("/.well-known/openid-configuration"), asked);
    // New keys are fetched when a token needs them, but not each time that somebody makes up a key.
    let (keys, begun) = (provider.asked("/keys"), Instant::now());
    provider.rotate();
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    assert_eq!(provider.asked("/keys"), keys + 1);
    provider.set(|ways| ways.signing = Signing::UnknownKey);
    for _ in 0..3 {
        let (_, answer) = sign_in(&desk, &provider).await;
        assert_refused(&desk, &provider, &answer, 403, "oidc_token_key");
    }
    // At most once in ten seconds.
    let most = keys + 1 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    let asked = provider.asked("/keys");
    assert!(asked <= most, "{asked}, {most}");
    // One that was known, and is gone.
    provider.set(|_| ());
    let (visitor, back) = to_and_fro(&desk, &url, "/sign-in/oidc").await;
    drop(provider);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = visitor.get(&back).await;
    assert_eq!((answer.status, sets_session(&answer)), (503, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_is_not_waited_for_for_ever() {
    let site = Site::open(69);
    let provider = Provider::start().await;
    let desk = desk_of(&site, "leerplicht", provider.url(), |oidc| {
        oidc.timeout_seconds = 3;
    })
    .await;
    provider.set(|ways| ways.slow = Some(("/openid-configuration", Duration::from_mins(5))));
    let answer = desk.stranger().get("/sign-in/oidc").await;
    assert_refused(&desk, &provider, &answer, 503, "oidc_unreachable");
    assert!(
        answer.body.contains("Gemeente Voorbeeld is nu niet bereikbaar"),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains("Inloggen op een andere manier"),
        "{}",
        answer.body
    );
    // Accounts of the node go on, and so does the provider when it is back.
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    assert_eq!(desk.visitor("pietersen").get("/").await.status, 200);
    provider.set(|ways| ways.slow = Some(("/token", Duration::from_mins(5))));
    let begun = Instant::now();
    while desk.stranger().get("/sign-in/oidc").await.status != 303 {
        assert!(begun.elapsed() < Duration::from_mins(1), "it is back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // A token that does not come.
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_refused(&desk, &provider, &answer, 503, "oidc_unreachable");
}
