//! Sign-in through an identity provider: one that signs real tokens and does each thing wrong in turn, and a real one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::Locator;
use hitmachine_console::Console;
use hitmachine_node::Node;
use hitmachine_node::accounts::{Filter, Kind};
use hitmachine_node::config::{ConsoleSection, NodeConfig, OidcRole, OidcSection};
use hitmachine_testkit::process::free_address;
use hitmachine_tests::browser::{Browser, Look, node_modules};
use hitmachine_tests::provider::{CLIENT, Provider, SECRET, Signing, Ways};
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use serde_json::{Value, json};

/// `[console.oidc]` towards a provider, with the client's secret in a file.
fn section(dir: &Path, issuer: &str) -> OidcSection {
    let secret = dir.join("oidc-secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let role = |value: &str, role: &str, covenant_role: Option<&str>| OidcRole {
        value: value.into(),
        role: role.into(),
        covenant_role: covenant_role.map(Into::into),
    };
    OidcSection {
        issuer: issuer.into(),
        client_id: CLIENT.into(),
        client_secret: Some(secret),
        name: "Gemeente Voorbeeld".into(),
        scopes: vec!["openid".into(), "profile".into()],
        user_claim: "preferred_username".into(),
        name_claim: "name".into(),
        role_claim: "roles".into(),
        role: vec![
            role("hit-vrager", "vrager", Some("informatiecoordinator")),
            role("hit-fg", "privacyfunctionaris", None),
            role("hit-beheer", "beheerder", None),
        ],
        required_acr: Vec::new(),
        required_amr: Vec::new(),
        authority: None,
        clock_skew_seconds: 60,
        timeout_seconds: 20,
        local_accounts: true,
    }
}

/// The coordinator's console with this provider.
async fn desk(site: &Site, issuer: &str, change: impl FnOnce(&mut OidcSection)) -> Desk {
    desk_of(site, "veiligheidshuis", issuer, change).await
}

async fn desk_of(site: &Site, partner: &str, issuer: &str, change: impl FnOnce(&mut OidcSection)) -> Desk {
    let mut oidc = section(site.world.deployment.dir(), issuer);
    change(&mut oidc);
    let set = |config: &mut NodeConfig| config.console.as_mut().unwrap().oidc = Some(oidc);
    site.desk_with(partner, set).await
}

/// A browser's cookies after an answer: those it had, changed as the answer says.
fn cookies(before: Option<&str>, answer: &Answered) -> Option<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    let had = before.unwrap_or_default().split("; ").filter(|each| !each.is_empty());
    let set = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    for each in had.chain(set) {
        let (name, value) = each.split(';').next().unwrap().split_once('=').unwrap();
        all.retain(|(before, _)| before != name);
        if !value.is_empty() {
            all.push((name.into(), value.into()));
        }
    }
    let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(all.join("; "))
}

/// Where an answer leads, if it is on `site`.
fn leads(answer: &Answered, site: &str) -> String {
    let to = answer.header("location").strip_prefix(site);
    to.unwrap_or_else(|| panic!("{} is not on {site}: {}", answer.header("location"), answer.body)).to_owned()
}

/// Goes to the provider and back, up to the address that the console is to be asked for last.
async fn to_and_fro(desk: &Desk, provider: &str, begin: &str) -> (Visitor, String) {
    let mut visitor = desk.stranger();
    let begun = visitor.get(begin).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    visitor.cookie = cookies(None, &begun);
    let mut there = desk.stranger();
    there.url = provider.to_owned();
    let granted = there.get(&leads(&begun, provider)).await;
    let back = leads(&granted, &desk.url);
    (visitor, back)
}

/// The whole way; the visitor has the cookies that they are left with.
async fn sign_in(desk: &Desk, provider: &Provider) -> (Visitor, Answered) {
    let (mut visitor, back) = to_and_fro(desk, provider.url(), "/sign-in/oidc?next=/history").await;
    let answer = visitor.get(&back).await;
    visitor.cookie = cookies(visitor.cookie.as_deref(), &answer);
    (visitor, answer)
}

fn sets_session(answer: &Answered) -> bool {
    let lines = answer.headers.get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap()).any(|line| line.starts_with("__Host-hitmachine-veiligheidshuis="))
}

/// Kind, user and detail of the newest entry of the book.
fn newest(desk: &Desk) -> (Kind, String, String) {
    let page = desk.node.accounts().book().list(&Filter::default(), 1).unwrap();
    let entry = page.entries.into_iter().next().unwrap();
    (entry.kind, entry.user, entry.detail.unwrap_or_default())
}

/// Nobody was let in, the page says so in Dutch, and nothing that came along is in it.
fn assert_refused(desk: &Desk, provider: &Provider, answer: &Answered, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{code}: {}", answer.body);
    assert!(!sets_session(answer), "{code}");
    assert!(answer.body.contains("Inloggen is niet gelukt"), "{code}: {}", answer.body);
    assert!(answer.body.contains(&format!("<code>{code}</code>")), "{code}: {}", answer.body);
    for secret in provider.tokens() {
        assert!(!answer.body.contains(&secret), "{code}");
    }
    assert_eq!(answer.header("refresh"), "", "{code}");
    let (kind, _, detail) = newest(desk);
    assert_eq!((kind, detail), (Kind::Failure, format!("provider;{code}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_vouches_and_the_person_is_in() {
    let site = Site::open(61);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;

    let begun = desk.stranger().get("/sign-in/oidc?next=/history").await;
    let cookie = begun.header("set-cookie");
    assert!(cookie.starts_with("__Host-hitmachine-oidc-veiligheidshuis="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
    let to = begun.header("location");
    for part in ["response_type=code&", "code_challenge_method=S256", "&state=", "&nonce=", "scope=openid+profile"] {
        assert!(to.contains(part), "{part} in {to}");
    }

    for signing in [Signing::Rs256, Signing::Es256, Signing::EdDsa] {
        for in_user_info in [false, true] {
            provider.set(|ways| (ways.signing, ways.in_user_info) = (signing, in_user_info));
            let (visitor, answer) = sign_in(&desk, &provider).await;
            assert_eq!(answer.status, 200, "{signing:?}: {}", answer.body);
            assert_eq!(answer.header("refresh"), "0; url=/history");
            assert!(answer.body.contains("href=\"/history\"") && answer.body.contains("Verder"), "{}", answer.body);
            let set = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
            let set: Vec<&str> = set.collect();
            assert!(set[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set:?}");
            assert!(set[1].starts_with("__Host-hitmachine-oidc-veiligheidshuis=;") && set[1].ends_with("Max-Age=0"));
            for secret in provider.tokens() {
                assert!(!answer.body.contains(&secret));
            }
            let home = visitor.get("/").await;
            assert!(home.status == 200 && home.body.contains("J. Jansen"), "{}", home.body);
            assert!(home.body.contains("Vraag stellen") && !home.body.contains("Beheer"), "{}", home.body);
            assert_eq!(newest(&desk), (Kind::SignIn, "jansen".into(), "provider".into()));
        }
    }
    let user = desk.node.accounts().user("jansen").unwrap().unwrap();
    assert_eq!(user.roles, roles(Some("informatiecoordinator"), false, false));

    // Other roles at the provider are other roles here, from the next sign-in on; what was open is closed.
    let (before, _) = sign_in(&desk, &provider).await;
    let person = |roles: Value| json!({"preferred_username": "Jansen", "roles": roles});
    provider.set(|ways| ways.person = person(json!(["hit-fg", "hit-beheer", "iets-anders"])));
    let (visitor, _) = sign_in(&desk, &provider).await;
    let user = desk.node.accounts().user("jansen").unwrap().unwrap();
    assert_eq!((user.roles, user.name.as_str()), (roles(None, true, true), "jansen"));
    assert_eq!(before.get("/").await.status, 303);
    assert_eq!(visitor.get("/").await.status, 200);

    // And one who has none left is out, here too.
    provider.set(|ways| ways.person = person(json!(["iets-anders"])));
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_refused(&desk, &provider, &answer, 403, "oidc_no_role");
    assert!(answer.body.contains("nog geen rol in Hitmachine"), "{}", answer.body);
    assert_eq!(visitor.get("/").await.status, 303);
    assert_eq!(desk.node.accounts().book().check().unwrap().broken, None);
}

/// Something that a provider does wrong, and what the console says to it.
type Fault = (&'static str, fn(&mut Ways), u16, &'static str);

const FAULTS: &[Fault] = &[
    ("expired", |ways| ways.change = |claims| shift(claims, "exp", -300 - 70), 403, "oidc_token_expired"),
    ("issued before this sign-in", |ways| ways.change = |claims| shift(claims, "iat", -70), 403, "oidc_token_expired"),
    ("from the future", |ways| ways.change = |claims| shift(claims, "iat", 70), 403, "oidc_token_not_yet"),
    ("not valid yet", |ways| ways.change = |claims| claims["nbf"] = now(70), 403, "oidc_token_not_yet"),
    ("a clock that is ahead", |ways| ways.ahead = 75, 403, "oidc_token_not_yet"),
    ("a clock that is behind", |ways| ways.ahead = -75, 403, "oidc_token_expired"),
    ("for another client", |ways| ways.change = |claims| claims["aud"] = "iemand".into(), 403, "oidc_token_audience"),
    ("for others too", |ways| ways.change = |claims| claims["aud"] = json!([CLIENT, "x"]), 403, "oidc_token_audience"),
    ("for nobody", |ways| ways.change = |claims| remove(claims, "aud"), 403, "oidc_token_audience"),
    ("made for another", |ways| ways.change = |claims| claims["azp"] = "iemand".into(), 403, "oidc_token_audience"),
    ("of another issuer", |ways| ways.change = |claims| claims["iss"] = "https://x.example".into(), 403, "oidc_token_issuer"),
    ("of another sign-in", |ways| ways.change = |claims| claims["nonce"] = "abc".into(), 403, "oidc_token_nonce"),
    ("of no sign-in", |ways| ways.change = |claims| remove(claims, "nonce"), 403, "oidc_token_nonce"),
    ("of another access", |ways| ways.change = |claims| claims["at_hash"] = "abc".into(), 403, "oidc_token_access_token"),
    ("without an end", |ways| ways.change = |claims| remove(claims, "exp"), 403, "oidc_token_malformed"),
    ("without a person", |ways| ways.change = |claims| remove(claims, "sub"), 403, "oidc_token_malformed"),
    ("another's key", |ways| ways.signing = Signing::OtherKey, 403, "oidc_token_signature"),
    ("an unknown key", |ways| ways.signing = Signing::UnknownKey, 403, "oidc_token_key"),
    ("changed", |ways| ways.signing = Signing::Tampered, 403, "oidc_token_signature"),
    ("not signed", |ways| ways.signing = Signing::Nothing, 403, "oidc_token_algorithm"),
    ("a public secret", |ways| ways.signing = Signing::PublicKeyAsSecret, 403, "oidc_token_algorithm"),
    ("a shared secret", |ways| ways.signing = Signing::ClientSecret, 403, "oidc_token_algorithm"),
    ("no token", |ways| ways.instead = instead("/token", 200, r#"{"access_token":"a"}"#), 502, "oidc_answer"),
    ("garbage", |ways| ways.instead = instead("/token", 200, "<script>alert(1)</script>"), 502, "oidc_answer"),
    ("a bad token", |ways| ways.instead = instead("/token", 200, BAD_TOKEN), 403, "oidc_token_malformed"),
    ("a fault", |ways| ways.instead = instead("/token", 500, ""), 503, "oidc_unreachable"),
    ("no client", |ways| ways.instead = instead("/token", 401, r#"{"error":"invalid_client"}"#), 502, "oidc_client"),
    ("userinfo down", |ways| user_info(ways, 503, ""), 503, "oidc_unreachable"),
    ("userinfo of another", |ways| user_info(ways, 200, r#"{"sub":"x","roles":["hit-beheer"]}"#), 502, "oidc_answer"),
    ("userinfo garbage", |ways| user_info(ways, 200, "[1]"), 502, "oidc_answer"),
    ("nobody", |ways| ways.person = json!({"roles": ["hit-vrager"]}), 403, "oidc_name"),
    ("a number for a name", |ways| ways.person["preferred_username"] = "999990019".into(), 403, "oidc_name"),
    ("a role by another name", |ways| ways.person["roles"] = json!(["beheerder", "HIT-VRAGER"]), 403, "oidc_no_role"),
    ("the person broke off", |ways| ways.error = Some("access_denied"), 403, "oidc_denied"),
    ("another provider", |ways| ways.says_issuer = Some("https://x.example".into()), 502, "oidc_answer"),
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
        assert!(!answer.body.contains("stoute") && !answer.body.contains("<script>alert"), "{name}");
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
    for back in ["/sign-in/oidc/back", "/sign-in/oidc/back?code=1&state=2", "/sign-in/oidc/back?state=a&state=b"] {
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
    first.cookie = cookies(first.cookie.as_deref(), &begun);
    let mut there = desk.stranger();
    there.url = provider.url().to_owned();
    let back_second = leads(&there.get(&leads(&begun, provider.url())).await, &desk.url);
    assert_eq!(first.get(&back_second).await.header("refresh"), "0; url=/notices");
    assert_eq!(first.get(&back_first).await.header("refresh"), "0; url=/ask");
    // Nobody is sent to another site afterwards.
    for next in ["https://x.example/", "//x.example", "/%5Cx.example", "/a%0d%0aSet-Cookie:%20x=1", "/;url=//x.example"] {
        let (visitor, back) = to_and_fro(&desk, provider.url(), &format!("/sign-in/oidc?next={next}")).await;
        assert_eq!(visitor.get(&back).await.header("refresh"), "0; url=/", "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_or_has_new_keys() {
    let site = Site::open(64);
    let provider = Provider::start().await;
    let url = provider.url().to_owned();
    let desk = desk(&site, &url, |oidc| oidc.timeout_seconds = 2).await;
    // Descriptions that are none, and one that does not come.
    for (path, body) in [
        ("/openid-configuration", "garbage".to_owned()),
        ("/openid-configuration", json!({"issuer": "https://x.example"}).to_string()),
        ("/keys", "{}".to_owned()),
    ] {
        provider.set(|ways| ways.instead = vec![(path, 200, body)]);
        assert_refused(&desk, &provider, &desk.stranger().get("/sign-in/oidc").await, 502, "oidc_answer");
    }
    provider.set(|ways| ways.slow = Some(("/openid-configuration", Duration::from_secs(30))));
    let answer = desk.stranger().get("/sign-in/oidc").await;
    assert_refused(&desk, &provider, &answer, 503, "oidc_unreachable");
    assert!(answer.body.contains("Gemeente Voorbeeld is nu niet bereikbaar"), "{}", answer.body);
    assert!(answer.body.contains("Inloggen op een andere manier"), "{}", answer.body);
    // Accounts of the node go on, and so does the provider when it is back.
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    assert_eq!(desk.visitor("pietersen").get("/").await.status, 200);
    provider.set(|_| ());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    // Its description is kept.
    let asked = provider.asked("/.well-known/openid-configuration");
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    assert_eq!(provider.asked("/.well-known/openid-configuration"), asked);
    // New keys are fetched when a token needs them, but not each time that somebody makes up a key.
    let keys = provider.asked("/keys");
    provider.rotate();
    assert_eq!(sign_in(&desk, &provider).await.1.status, 200);
    assert_eq!(provider.asked("/keys"), keys + 1);
    provider.set(|ways| ways.signing = Signing::UnknownKey);
    for _ in 0..3 {
        let (_, answer) = sign_in(&desk, &provider).await;
        assert_refused(&desk, &provider, &answer, 403, "oidc_token_key");
    }
    assert_eq!(provider.asked("/keys"), keys + 1);
    // A token that does not come.
    provider.set(|ways| ways.slow = Some(("/token", Duration::from_secs(30))));
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_refused(&desk, &provider, &answer, 503, "oidc_unreachable");
    // One that was known, and is gone.
    provider.set(|_| ());
    let (visitor, back) = to_and_fro(&desk, &url, "/sign-in/oidc").await;
    drop(provider);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = visitor.get(&back).await;
    assert_eq!((answer.status, sets_session(&answer)), (503, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_the_node_and_of_the_provider_stay_apart() {
    let site = Site::open(65);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |oidc| oidc.required_acr = vec!["hoog".into(), "substantieel".into()]).await;
    // Strong enough.
    let weak: [fn(&mut Value); 2] = [|_| (), |claims| claims["acr"] = "laag".into()];
    for change in weak {
        provider.set(|ways| ways.change = change);
        let (_, answer) = sign_in(&desk, &provider).await;
        assert_refused(&desk, &provider, &answer, 403, "oidc_weak");
    }
    let strong: fn(&mut Value) = |claims| claims["acr"] = "hoog".into();
    // A name that an account of the node has already: the provider cannot give itself that account.
    desk.account("jansen", roles(None, false, true));
    provider.set(|ways| ways.change = strong);
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_refused(&desk, &provider, &answer, 403, "oidc_taken");
    assert_eq!(desk.node.accounts().user("jansen").unwrap().unwrap().roles, roles(None, false, true));
    // Blocked here is blocked, whatever the provider says.
    let person = json!({"preferred_username": "bakker", "roles": ["hit-vrager"]});
    provider.set(|ways| (ways.change, ways.person) = (strong, person));
    let (visitor, answer) = sign_in(&desk, &provider).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    desk.node.accounts().block("bakker", "beheer").unwrap();
    assert_eq!(visitor.get("/").await.status, 303);
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_eq!((answer.status, sets_session(&answer)), (403, false));
    assert!(answer.body.contains("<code>oidc_blocked</code>"), "{}", answer.body);
    assert_eq!(newest(&desk), (Kind::Failure, "bakker".into(), "blocked".into()));

    // A console without a provider has none of these pages.
    let without = site.desk("politie").await;
    for path in ["/sign-in/oidc", "/sign-in/oidc/back?code=1&state=2", "/sign-in/oidc/out", "/sign-in/oidc/signed-out"] {
        assert_eq!(without.stranger().get(path).await.status, 404, "{path}");
    }
    // One that wants no local accounts takes no passwords, whoever sends them.
    drop(without);
    let only = desk_of(&site, "politie", provider.url(), |oidc| {
        oidc.local_accounts = false;
        oidc.required_amr = vec!["mfa".into()];
    })
    .await;
    for path in ["/sign-in", "/sign-in/password", "/sign-in/code", "/sign-in/enrol"] {
        let answer = only.stranger().post(path, &[("user", "x"), ("password", "y")]).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("local_sign_in_off"), "{path}: {}", answer.body);
    }
    for (methods, status) in [(json!(["pwd"]), 403), (json!(["pwd", "mfa"]), 200)] {
        let person = json!({"preferred_username": "bakker", "roles": ["hit-fg"], "amr": methods});
        provider.set(|ways| ways.person = person);
        assert_eq!(sign_in(&only, &provider).await.1.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_opens_no_console() {
    let site = Site::open(66);
    let config = || {
        let mut config = NodeConfig::load(&site.world.deployment.node_config("politie")).unwrap();
        config.broker.address = site.world.address.to_string();
        config
    };
    let mut changed = config();
    changed.console = Some(ConsoleSection {
        listen: ([127, 0, 0, 1], 0).into(),
        oidc: Some(section(site.world.deployment.dir(), "http://login.example")),
        ..ConsoleSection::default()
    });
    let node = std::sync::Arc::new(Node::open(changed).await.unwrap());
    let Err(refused) = Console::bind(node).await else { panic!("it opened") };
    let text = hitmachine_service::console::chain(&refused);
    assert!(text.contains("console.oidc.issuer must be an https address"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_comes_back_signed_in_with_and_without_scripts() {
    let site = Site::open(67);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;
    for scripts in [true, false] {
        let browser = Browser::open(Look { scripts, ..Look::default() }).await;
        let client = &browser.client;
        // With a page of the provider in between, and straight through.
        for page in [true, false] {
            provider.set(|ways| ways.page = page);
            client.delete_all_cookies().await.unwrap();
            client.goto(&format!("{}/sign-in/oidc?next=/account", desk.url)).await.unwrap();
            if page {
                let current = client.current_url().await.unwrap();
                assert!(current.as_str().starts_with(provider.url()), "{current}");
                client.find(Locator::Id("link")).await.unwrap().click().await.unwrap();
            }
            let to = format!("{}/account", desk.url).parse().unwrap();
            client.wait().at_most(Duration::from_secs(30)).for_url(&to).await.unwrap();
            assert!(browser.source().await.contains("J. Jansen"));
            // Nothing of the answer stays behind: the address with the code is replaced by the page that it led to.
            client.back().await.unwrap();
            let current = client.current_url().await.unwrap();
            assert!(!current.as_str().contains("code="), "{current}");
        }
        // What another site leads to comes without the session: that is why the way back has a page of its own.
        let elsewhere = format!("{}/elsewhere?to={}/", provider.url(), desk.url);
        client.goto(&elsewhere).await.unwrap();
        client.find(Locator::Id("link")).await.unwrap().click().await.unwrap();
        let to = format!("{}/sign-in?next=%2F", desk.url).parse().unwrap();
        client.wait().at_most(Duration::from_secs(30)).for_url(&to).await.unwrap();
        client.goto(&desk.url).await.unwrap();
        assert!(browser.source().await.contains("J. Jansen"));
    }
    // The pages of one's own; a broken off sign-in first.
    for (width, dark, name) in [(1280, false, "1280_light"), (375, true, "375_dark")] {
        let browser = Browser::open(Look { width, dark, ..Look::default() }).await;
        let client = &browser.client;
        provider.set(|ways| ways.error = Some("access_denied"));
        client.goto(&format!("{}/sign-in/oidc", desk.url)).await.unwrap();
        assert!(browser.source().await.contains("Misschien hebt u het inloggen afgebroken"));
        assert_eq!(browser.axe().await, Vec::<String>::new());
        browser.picture(&format!("oidc_failed_{name}")).await;
        client.goto(&format!("{}/sign-in/oidc/signed-out", desk.url)).await.unwrap();
        assert_eq!(browser.axe().await, Vec::<String>::new());
        browser.picture(&format!("oidc_signed_out_{name}")).await;
        client.find(Locator::LinkText("Ook uitloggen bij Gemeente Voorbeeld")).await.unwrap().click().await.unwrap();
        assert!(browser.source().await.contains("Bij ons bent u ook uitgelogd"));
        let current = client.current_url().await.unwrap();
        assert!(current.query().unwrap().starts_with(&format!("client_id={CLIENT}&post_logout_redirect_uri=")), "{current}");
    }
}

/// The provider of other people, as its own process.
struct Foreign {
    child: Child,
    url: String,
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Foreign {
    fn start(console: &str) -> Self {
        let modules = node_modules();
        assert!(modules.join("oidc-provider").exists(), "oidc-provider is missing: run tests/browser/prepare (tests/run does)");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/provider.mjs");
        let mut child = Command::new("node")
            .arg(program)
            .args([modules.to_str().unwrap(), console, CLIENT, SECRET])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        assert!(url.starts_with("http://127.0.0.2:"), "the provider did not start: {url}");
        Self { child, url }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_others_made() {
    let site = Site::open(68);
    // Each must know the other's address beforehand.
    let listen = free_address().unwrap();
    let foreign = Foreign::start(&format!("http://{listen}"));
    let oidc = section(site.world.deployment.dir(), &foreign.url);
    let set = |config: &mut NodeConfig| {
        let console = config.console.as_mut().unwrap();
        (console.listen, console.oidc) = (listen, Some(oidc));
    };
    let desk = site.desk_with("veiligheidshuis", set).await;
    let browser = Browser::open(Look::default()).await;
    let client = &browser.client;
    client.goto(&format!("{}/sign-in/oidc?next=/account", desk.url)).await.unwrap();
    let find = async |selector| client.wait().at_most(Duration::from_secs(30)).for_element(Locator::Css(selector)).await.unwrap();
    find("input[name=login]").await.send_keys("de-vries").await.unwrap();
    find("input[name=password]").await.send_keys("maakt niet uit").await.unwrap();
    find("button[type=submit]").await.click().await.unwrap();
    find("input[name=prompt][value=consent]").await;
    find("button[type=submit]").await.click().await.unwrap();
    let to = format!("{}/account", desk.url).parse().unwrap();
    client.wait().at_most(Duration::from_secs(30)).for_url(&to).await.unwrap();
    assert!(browser.source().await.contains("De-vries van de aanbieder"));
    let user = desk.node.accounts().user("de-vries").unwrap().unwrap();
    assert_eq!(user.roles, roles(None, true, false));
    assert_eq!(newest(&desk), (Kind::SignIn, "de-vries".into(), "provider".into()));
    // Out here, and out there: the provider asks whether that is meant.
    client.goto(&format!("{}/sign-in/oidc/out", desk.url)).await.unwrap();
    find("button[name=logout]").await.click().await.unwrap();
    let to = format!("{}/sign-in", desk.url).parse().unwrap();
    client.wait().at_most(Duration::from_secs(30)).for_url(&to).await.unwrap();
    // It knows nobody any more, so it asks again; and then one who breaks off is told so.
    client.goto(&format!("{}/sign-in/oidc", desk.url)).await.unwrap();
    find("input[name=login]").await;
    client.find(Locator::Css("a[href$='/abort']")).await.unwrap().click().await.unwrap();
    find("[role=alert]").await;
    assert!(browser.source().await.contains("Misschien hebt u het inloggen afgebroken"));
}
