//! A console with a provider, and the steps of a sign-in without a browser.

use std::path::Path;

use hitmachine_node::accounts::{Filter, Kind};
use hitmachine_node::config::{NodeConfig, OidcRole, OidcSection};
use hitmachine_tests::provider::{CLIENT, Provider, SECRET};
use hitmachine_tests::site::{Answered, Desk, Site, Visitor};

/// `[console.oidc]` towards a provider, with the client's secret in a file.
pub(crate) fn section(dir: &Path, issuer: &str) -> OidcSection {
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
pub(crate) async fn desk(site: &Site, issuer: &str, change: impl FnOnce(&mut OidcSection)) -> Desk {
    desk_of(site, "veiligheidshuis", issuer, change).await
}

pub(crate) async fn desk_of(
    site: &Site,
    partner: &str,
    issuer: &str,
    change: impl FnOnce(&mut OidcSection),
) -> Desk {
    let mut oidc = section(site.world.deployment.dir(), issuer);
    change(&mut oidc);
    let set = |config: &mut NodeConfig| config.console.as_mut().unwrap().oidc = Some(oidc);
    site.desk_with(partner, set).await
}

/// A browser's cookies after an answer: those it had, changed as the answer says.
pub(crate) fn cookies(before: Option<&str>, answer: &Answered) -> String {
    let mut all: Vec<(String, String)> = Vec::new();
    let had = before
        .unwrap_or_default()
        .split("; ")
        .filter(|each| !each.is_empty());
    let set = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().unwrap());
    for each in had.chain(set) {
        let (name, value) = each.split(';').next().unwrap().split_once('=').unwrap();
        all.retain(|(before, _)| before != name);
        if !value.is_empty() {
            all.push((name.into(), value.into()));
        }
    }
    let all: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.join("; ")
}

/// Where an answer leads, if it is on `site`.
pub(crate) fn leads(answer: &Answered, site: &str) -> String {
    let to = answer.header("location").strip_prefix(site);
    to.unwrap_or_else(|| panic!("{} is not on {site}: {}", answer.header("location"), answer.body))
        .to_owned()
}

/// Goes to the provider and back, up to the address that the console is to be asked for last.
pub(crate) async fn to_and_fro(desk: &Desk, provider: &str, begin: &str) -> (Visitor, String) {
    let mut visitor = desk.stranger();
    let begun = visitor.get(begin).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    visitor.cookie = Some(cookies(None, &begun));
    let mut there = desk.stranger();
    there.url = provider.to_owned();
    let granted = there.get(&leads(&begun, provider)).await;
    let back = leads(&granted, &desk.url);
    (visitor, back)
}

/// The whole way; the visitor has the cookies that they are left with.
pub(crate) async fn sign_in(desk: &Desk, provider: &Provider) -> (Visitor, Answered) {
    let (mut visitor, back) = to_and_fro(desk, provider.url(), "/sign-in/oidc?next=/history").await;
    let answer = visitor.get(&back).await;
    visitor.cookie = Some(cookies(visitor.cookie.as_deref(), &answer));
    (visitor, answer)
}

pub(crate) fn sets_session(answer: &Answered) -> bool {
    // The session's cookie is the only one that other sites cannot have sent along.
    let lines = answer.headers.get_all("set-cookie").iter();
    lines
        .map(|line| line.to_str().unwrap())
        .any(|line| line.contains("SameSite=Strict"))
}

/// Kind, user and detail of the newest entry of the book.
pub(crate) fn newest(desk: &Desk) -> (Kind, String, String) {
    let page = desk.node.accounts().book().list(&Filter::default(), 1).unwrap();
    let entry = page.entries.into_iter().next().unwrap();
    (entry.kind, entry.user, entry.detail.unwrap_or_default())
}

/// Nobody was let in, the page says so in Dutch, and nothing that came along is in it.
pub(crate) fn assert_refused(desk: &Desk, provider: &Provider, answer: &Answered, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{code}: {}", answer.body);
    assert!(!sets_session(answer), "{code}");
    assert!(
        answer.body.contains("Inloggen is niet gelukt"),
        "{code}: {}",
        answer.body
    );
    assert!(
        answer.body.contains(&format!("<code>{code}</code>")),
        "{code}: {}",
        answer.body
    );
    for secret in provider.tokens() {
        assert!(!answer.body.contains(&secret), "{code}");
    }
    assert_eq!(answer.header("refresh"), "", "{code}");
    let (kind, _, detail) = newest(desk);
    assert_eq!((kind, detail), (Kind::Failure, format!("provider;{code}")));
}
