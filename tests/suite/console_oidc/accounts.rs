//! Accounts of the node beside those of the provider, and configurations.

use hitmachine_console::Console;
use hitmachine_node::Node;
use hitmachine_node::accounts::Kind;
use hitmachine_node::config::{ConsoleSection, NodeConfig};
use hitmachine_tests::provider::Provider;
use hitmachine_tests::site::{Site, roles};
use serde_json::{Value, json};

use crate::steps::{assert_refused, desk, desk_of, newest, section, sets_session, sign_in};

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_the_node_and_of_the_provider_stay_apart() {
    let site = Site::open(65);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |oidc| {
        oidc.required_acr = vec!["hoog".into(), "substantieel".into()];
    })
    .await;
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
    assert_eq!(
        desk.node.accounts().user("jansen").unwrap().unwrap().roles,
        roles(None, false, true)
    );
    // Blocked here is blocked, whatever the provider says.
    let person = json!({"preferred_username": "bakker", "roles": ["hit-vrager"]});
    provider.set(|ways| (ways.change, ways.person) = (strong, person));
    let (visitor, answer) = sign_in(&desk, &provider).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    desk.node.accounts().block("bakker", "beheer").unwrap();
    assert_eq!(visitor.get("/").await.status, 303);
    let (_, answer) = sign_in(&desk, &provider).await;
    assert_eq!((answer.status, sets_session(&answer)), (403, false));
    assert!(
        answer.body.contains("<code>oidc_blocked</code>"),
        "{}",
        answer.body
    );
    assert_eq!(newest(&desk), (Kind::Failure, "bakker".into(), "blocked".into()));

    // A console without a provider has none of these pages.
    let without = site.desk("regieteams").await;
    for path in [
        "/sign-in/oidc",
        "/sign-in/oidc/back?code=1&state=2",
        "/sign-in/oidc/out",
        "/sign-in/oidc/signed-out",
    ] {
        assert_eq!(without.stranger().get(path).await.status, 404, "{path}");
    }
    // One that wants no local accounts takes no passwords, whoever sends them.
    let only = desk_of(&site, "leerplicht", provider.url(), |oidc| {
        oidc.local_accounts = false;
        oidc.required_amr = vec!["mfa".into()];
    })
    .await;
    for path in ["/sign-in", "/sign-in/password", "/sign-in/code", "/sign-in/enrol"] {
        let answer = only
            .stranger()
            .post(path, &[("user", "x"), ("password", "y")])
            .await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer.body.contains("local_sign_in_off"),
            "{path}: {}",
            answer.body
        );
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
        let mut config = NodeConfig::load(&site.world.deployment.node_config("regieteams")).unwrap();
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
    let Err(refused) = Console::bind(node).await else {
        panic!("it opened")
    };
    let text = hitmachine_service::console::chain(&refused);
    assert!(
        text.contains("console.oidc.issuer must be an https address"),
        "{text}"
    );
}
