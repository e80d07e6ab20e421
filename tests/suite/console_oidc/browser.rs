//! The way there and back in a real browser: to a provider of ours, and to one that others made.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::Locator;
use hitmachine_node::accounts::Kind;
use hitmachine_node::config::NodeConfig;
use hitmachine_testkit::process::free_address;
use hitmachine_tests::browser::{Browser, Look, node_modules};
use hitmachine_tests::provider::{CLIENT, Provider, SECRET};
use hitmachine_tests::site::{Site, roles};

use crate::steps::{desk, newest, section};

/// The page, when it is there, is of this person.
async fn signed_in_as(client: &fantoccini::Client, name: &str) {
    let link = Locator::Css("header a[href='/account']");
    let shown = client
        .wait()
        .at_most(Duration::from_secs(30))
        .for_element(link)
        .await;
    let text = shown.unwrap().text().await.unwrap();
    assert!(text.ends_with(name), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_comes_back_signed_in_with_and_without_scripts() {
    let site = Site::open(67);
    let provider = Provider::start().await;
    let desk = desk(&site, provider.url(), |_| ()).await;
    for scripts in [true, false] {
        let browser = Browser::open(Look {
            scripts,
            ..Look::default()
        })
        .await;
        let client = &browser.client;
        // With a page of the provider in between, and straight through.
        for page in [true, false] {
            provider.set(|ways| ways.page = page);
            client.delete_all_cookies().await.unwrap();
            client
                .goto(&format!("{}/sign-in/oidc?next=/account", desk.url))
                .await
                .unwrap();
            if page {
                let current = client.current_url().await.unwrap();
                assert!(current.as_str().starts_with(provider.url()), "{current}");
                client
                    .find(Locator::Id("link"))
                    .await
                    .unwrap()
                    .click()
                    .await
                    .unwrap();
            }
            let to = format!("{}/account", desk.url).parse().unwrap();
            client
                .wait()
                .at_most(Duration::from_secs(30))
                .for_url(&to)
                .await
                .unwrap();
            signed_in_as(client, "J. Jansen").await;
            // Nothing of the answer stays behind: the address with the code is replaced by the page that it led to.
            client.back().await.unwrap();
            let current = client.current_url().await.unwrap();
            assert!(!current.as_str().contains("code="), "{current}");
        }
        // What another site leads to comes without the session: that is why the way back has a page of its own.
        let elsewhere = format!("{}/elsewhere?to={}/", provider.url(), desk.url);
        client.goto(&elsewhere).await.unwrap();
        client
            .find(Locator::Id("link"))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
        let to = format!("{}/sign-in?next=%2F", desk.url).parse().unwrap();
        client
            .wait()
            .at_most(Duration::from_secs(30))
            .for_url(&to)
            .await
            .unwrap();
        client.goto(&desk.url).await.unwrap();
        signed_in_as(client, "J. Jansen").await;
    }
    // The pages of one's own; a broken off sign-in first.
    for (width, dark, name) in [(1280, false, "1280_light"), (375, true, "375_dark")] {
        let browser = Browser::open(Look {
            width,
            dark,
            ..Look::default()
        })
        .await;
        let client = &browser.client;
        provider.set(|ways| ways.error = Some("access_denied"));
        client.goto(&format!("{}/sign-in/oidc", desk.url)).await.unwrap();
        assert!(
            browser
                .source()
                .await
                .contains("Misschien hebt u het inloggen afgebroken")
        );
        assert_eq!(browser.axe().await, Vec::<String>::new());
        browser.picture(&format!("oidc_failed_{name}")).await;
        client
            .goto(&format!("{}/sign-in/oidc/signed-out", desk.url))
            .await
            .unwrap();
        assert_eq!(browser.axe().await, Vec::<String>::new());
        browser.picture(&format!("oidc_signed_out_{name}")).await;
        client
            .find(Locator::LinkText("Ook uitloggen bij Gemeente Voorbeeld"))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
        assert!(browser.source().await.contains("Bij ons bent u ook uitgelogd"));
        let current = client.current_url().await.unwrap();
        assert!(
            current
                .query()
                .unwrap()
                .starts_with(&format!("client_id={CLIENT}&post_logout_redirect_uri=")),
            "{current}"
        );
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
        assert!(
            modules.join("oidc-provider").exists(),
            "oidc-provider is missing: run tests/browser/prepare (tests/run does)"
        );
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/provider.mjs");
        let mut child = Command::new("node")
            .arg(program)
            .args([modules.to_str().unwrap(), console, CLIENT, SECRET])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().to_owned();
        assert!(
            url.starts_with("http://127.0.0.2:"),
            "the provider did not start: {url}"
        );
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
    client
        .goto(&format!("{}/sign-in/oidc?next=/account", desk.url))
        .await
        .unwrap();
    let find = async |selector| {
        client
            .wait()
            .at_most(Duration::from_secs(30))
            .for_element(Locator::Css(selector))
            .await
            .unwrap()
    };
    find("input[name=login]")
        .await
        .send_keys("de-vries")
        .await
        .unwrap();
    find("input[name=password]")
        .await
        .send_keys("maakt niet uit")
        .await
        .unwrap();
    find("button[type=submit]").await.click().await.unwrap();
    find("input[name=prompt][value=consent]").await;
    find("button[type=submit]").await.click().await.unwrap();
    let to = format!("{}/account", desk.url).parse().unwrap();
    client
        .wait()
        .at_most(Duration::from_secs(30))
        .for_url(&to)
        .await
        .unwrap();
    signed_in_as(client, "De-vries van de aanbieder").await;
    let user = desk.node.accounts().user("de-vries").unwrap().unwrap();
    assert_eq!(user.roles, roles(None, true, false));
    assert_eq!(
        newest(&desk),
        (Kind::SignIn, "de-vries".into(), "provider".into())
    );
    // Out here, and out there: the provider asks whether that is meant.
    client
        .goto(&format!("{}/sign-in/oidc/out", desk.url))
        .await
        .unwrap();
    find("button[name=logout]").await.click().await.unwrap();
    let to = format!("{}/sign-in", desk.url).parse().unwrap();
    client
        .wait()
        .at_most(Duration::from_secs(30))
        .for_url(&to)
        .await
        .unwrap();
    // It knows nobody any more, so it asks again; and then one who breaks off is told so.
    client.goto(&format!("{}/sign-in/oidc", desk.url)).await.unwrap();
    find("input[name=login]").await;
    client
        .find(Locator::Css("a[href$='/abort']"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    find("[role=alert]").await;
    assert!(
        browser
            .source()
            .await
            .contains("Misschien hebt u het inloggen afgebroken")
    );
}
