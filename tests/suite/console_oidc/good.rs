//! The provider vouches for somebody.

use hitmachine_node::accounts::Kind;
use hitmachine_tests::provider::{Provider, Signing};
use hitmachine_tests::site::{Site, roles};
use serde_json::{Value, json};

use crate::steps::{assert_refused, desk, newest, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_vouches_and_the_person_is_in() {
    let site = Site::open(61);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;

    let begun = desk.stranger().get("/sign-in/oidc?next=/history").await;
    let cookie = begun.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-hitmachine-oidc-veiligheidshuis="),
        "{cookie}"
    );
    assert!(
        cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"),
        "{cookie}"
    );
    let to = begun.header("location");
    for part in [
        "response_type=code&",
        "code_challenge_method=S256",
        "&state=",
        "&nonce=",
        "scope=openid+profile",
    ] {
        assert!(to.contains(part), "{part} in {to}");
    }

    for signing in [Signing::Rs256, Signing::Es256, Signing::EdDsa] {
        for in_user_info in [false, true] {
            provider.set(|ways| (ways.signing, ways.in_user_info) = (signing, in_user_info));
            let (visitor, answer) = sign_in(&desk, &provider).await;
            assert_eq!(answer.status, 200, "{signing:?}: {}", answer.body);
            assert_eq!(answer.header("refresh"), "0; url=/history");
            assert!(
                answer.body.contains("href=\"/history\"") && answer.body.contains("Verder"),
                "{}",
                answer.body
            );
            let set = answer
                .headers
                .get_all("set-cookie")
                .iter()
                .map(|line| line.to_str().unwrap());
            let set: Vec<&str> = set.collect();
            assert!(
                set[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
                "{set:?}"
            );
            assert!(
                set[1].starts_with("__Host-hitmachine-oidc-veiligheidshuis=;")
                    && set[1].ends_with("Max-Age=0")
            );
            for secret in provider.tokens() {
                assert!(!answer.body.contains(&secret));
            }
            let home = visitor.get("/").await;
            assert!(
                home.status == 200 && home.body.contains("J. Jansen"),
                "{}",
                home.body
            );
            assert!(
                home.body.contains("Vraag stellen") && !home.body.contains("Beheer"),
                "{}",
                home.body
            );
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
    assert_eq!(
        (user.roles, user.name.as_str()),
        (roles(None, true, true), "jansen")
    );
    assert_eq!(before.get("/").await.status, 303);
    assert_eq!(visitor.get("/").await.status, 200);

    // And one who has none left is out, here too.
    provider.set(|ways| ways.person = person(json!(["iets-anders"])));
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_refused(&desk, &provider, &answer, 403, "oidc_no_role");
    assert!(
        answer.body.contains("nog geen rol in Hitmachine"),
        "{}",
        answer.body
    );
    assert_eq!(visitor.get("/").await.status, 303);
    assert_eq!(desk.node.accounts().book().check().unwrap().broken, None);
}
