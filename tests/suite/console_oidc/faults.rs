//! Each thing that a provider can do wrong.

use hitmachine_tests::provider::{CLIENT, Provider, Signing, Ways};
use hitmachine_tests::site::Site;
use serde_json::{Value, json};

use crate::steps::{assert_refused, desk, sets_session, sign_in};

/// Something that a provider does wrong, and what the console says to it.
type Fault = (&'static str, fn(&mut Ways), u16, &'static str);

const FAULTS: &[Fault] = &[
    (
        "expired",
        |ways| ways.change = |claims| shift(claims, "exp", -300 - 70),
        403,
        "oidc_token_expired",
    ),
    (
        "issued before this sign-in",
        |ways| ways.change = |claims| shift(claims, "iat", -70),
        403,
        "oidc_token_expired",
    ),
    (
        "from the future",
        |ways| ways.change = |claims| shift(claims, "iat", 70),
        403,
        "oidc_token_not_yet",
    ),
    (
        "not valid yet",
        |ways| ways.change = |claims| claims["nbf"] = now(70),
        403,
        "oidc_token_not_yet",
    ),
    (
        "a clock that is ahead",
        |ways| ways.ahead = 75,
        403,
        "oidc_token_not_yet",
    ),
    (
        "a clock that is behind",
        |ways| ways.ahead = -75,
        403,
        "oidc_token_expired",
    ),
    (
        "for another client",
        |ways| ways.change = |claims| claims["aud"] = "iemand".into(),
        403,
        "oidc_token_audience",
    ),
    (
        "for others too",
        |ways| ways.change = |claims| claims["aud"] = json!([CLIENT, "x"]),
        403,
        "oidc_token_audience",
    ),
    (
        "for nobody",
        |ways| ways.change = |claims| remove(claims, "aud"),
        403,
        "oidc_token_audience",
    ),
    (
        "made for another",
        |ways| ways.change = |claims| claims["azp"] = "iemand".into(),
        403,
        "oidc_token_audience",
    ),
    (
        "of another issuer",
        |ways| ways.change = |claims| claims["iss"] = "https://x.example".into(),
        403,
        "oidc_token_issuer",
    ),
    (
        "of another sign-in",
        |ways| ways.change = |claims| claims["nonce"] = "abc".into(),
        403,
        "oidc_token_nonce",
    ),
    (
        "of no sign-in",
        |ways| ways.change = |claims| remove(claims, "nonce"),
        403,
        "oidc_token_nonce",
    ),
    (
        "of another access",
        |ways| ways.change = |claims| claims["at_hash"] = "abc".into(),
        403,
        "oidc_token_access_token",
    ),
    (
        "without an end",
        |ways| ways.change = |claims| remove(claims, "exp"),
        403,
        "oidc_token_malformed",
    ),
    (
        "without a person",
        |ways| ways.change = |claims| remove(claims, "sub"),
        403,
        "oidc_token_malformed",
    ),
    (
        "another's key",
        |ways| ways.signing = Signing::OtherKey,
        403,
        "oidc_token_signature",
    ),
    (
        "an unknown key",
        |ways| ways.signing = Signing::UnknownKey,
        403,
        "oidc_token_key",
    ),
    (
        "changed",
        |ways| ways.signing = Signing::Tampered,
        403,
        "oidc_token_signature",
    ),
    (
        "not signed",
        |ways| ways.signing = Signing::Nothing,
        403,
        "oidc_token_algorithm",
    ),
    (
        "a public secret",
        |ways| ways.signing = Signing::PublicKeyAsSecret,
        403,
        "oidc_token_algorithm",
    ),
    (
        "a shared secret",
        |ways| ways.signing = Signing::ClientSecret,
        403,
        "oidc_token_algorithm",
    ),
    (
        "no token",
        |ways| ways.instead = instead("/token", 200, r#"{"access_token":"a"}"#),
        502,
        "oidc_answer",
    ),
    (
        "garbage",
        |ways| ways.instead = instead("/token", 200, "<script>alert(1)</script>"),
        502,
        "oidc_answer",
    ),
    (
        "a bad token",
        |ways| ways.instead = instead("/token", 200, BAD_TOKEN),
        403,
        "oidc_token_malformed",
    ),
    (
        "a fault",
        |ways| ways.instead = instead("/token", 500, ""),
        503,
        "oidc_unreachable",
    ),
    (
        "no client",
        |ways| ways.instead = instead("/token", 401, r#"{"error":"invalid_client"}"#),
        502,
        "oidc_client",
    ),
    (
        "userinfo down",
        |ways| user_info(ways, 503, ""),
        503,
        "oidc_unreachable",
    ),
    (
        "userinfo of another",
        |ways| user_info(ways, 200, r#"{"sub":"x","roles":["hit-beheer"]}"#),
        502,
        "oidc_answer",
    ),
    (
        "userinfo garbage",
        |ways| user_info(ways, 200, "[1]"),
        502,
        "oidc_answer",
    ),
    (
        "nobody",
        |ways| ways.person = json!({"roles": ["hit-vrager"]}),
        403,
        "oidc_name",
    ),
    (
        "a number for a name",
        |ways| ways.person["preferred_username"] = "999990019".into(),
        403,
        "oidc_name",
    ),
    (
        "a role by another name",
        |ways| ways.person["roles"] = json!(["beheerder", "HIT-VRAGER"]),
        403,
        "oidc_no_role",
    ),
    (
        "the person broke off",
        |ways| ways.error = Some("access_denied"),
        403,
        "oidc_denied",
    ),
    (
        "another provider",
        |ways| ways.says_issuer = Some("https://x.example".into()),
        502,
        "oidc_answer",
    ),
];

const BAD_TOKEN: &str = r#"{"access_token":"a","token_type":"Bearer","id_token":"a.b.c"}"#;

fn shift(claims: &mut Value, name: &str, seconds: i64) {
    claims[name] = (claims[name].as_i64().unwrap() + seconds).into();
}

fn now(seconds: i64) -> Value {
    (jiff::Timestamp::now().as_second() + seconds).into()
}

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

fn instead(path: &'static str, status: u16, body: &str) -> Vec<(&'static str, u16, String)> {
    vec![(path, status, body.to_owned())]
}

fn user_info(ways: &mut Ways, status: u16, body: &str) {
    ways.in_user_info = true;
    ways.instead = instead("/userinfo", status, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_provider_does_wrong_lets_nobody_in() {
    let site = Site::open(62);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;
    // All are tried before one fails the test.
    let mut let_in = Vec::new();
    for (name, fault, status, code) in FAULTS {
        provider.set(fault);
        let (visitor, answer) = sign_in(&desk, &provider).await;
        if sets_session(&answer) {
            let_in.push(name);
            continue;
        }
        assert_refused(&desk, &provider, &answer, *status, code);
        assert!(
            !answer.body.contains("stoute") && !answer.body.contains("<script>alert"),
            "{name}"
        );
        assert_eq!(visitor.get("/").await.status, 303, "{name}");
    }
    assert!(let_in.is_empty(), "{let_in:?}");
    assert!(desk.node.accounts().users().unwrap().is_empty());

    // A clock may differ a little, both ways.
    for change in [
        (|claims| shift(claims, "exp", -300 - 50)) as fn(&mut Value),
        |claims| shift(claims, "iat", 50),
        |claims| shift(claims, "iat", -50),
        |claims| claims["nbf"] = now(50),
        // What says more than is asked for does no harm; one audience may be a list.
        |claims| claims["aud"] = json!([CLIENT]),
        |claims| claims["azp"] = CLIENT.into(),
        |claims| remove(claims, "at_hash"),
    ] {
        provider.set(|ways| ways.change = change);
        assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    }
    for ahead in [-50, 50] {
        provider.set(|ways| ways.ahead = ahead);
        assert_eq!(sign_in(&desk, &provider).await.1.status, 200, "{ahead}");
    }
}
