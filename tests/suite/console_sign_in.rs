//! Signing in: the first time, with a code, with a recovery code, from the keyboard, without scripts, and when it goes wrong.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use hitmachine_node::accounts::NewUser;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::{Desk, Site, Visitor, roles};
use hitmachine_tests::telephone::{self, PASSWORD, SECRET};

/// An account that has signed in before.
fn ready(desk: &Desk, id: &str) {
    desk.account(id, roles(Some("informatiecoordinator"), false, false));
    desk.node.accounts().set_up(id, PASSWORD, SECRET).unwrap();
}

/// Types in the field of this id; what stood there goes.
async fn fill(browser: &Browser, id: &str, text: &str) {
    let field = browser.client.find(Locator::Id(id)).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys(text).await.unwrap();
}

/// Presses what this selector finds, and waits for the next page.
async fn press_on(browser: &Browser, selector: &str) {
    let before = browser.client.find(Locator::Css("html")).await.unwrap();
    let button = browser.client.find(Locator::Css(selector)).await.unwrap();
    button.click().await.unwrap();
    next_page(browser, &before).await;
}

/// Waits until this page is another.
async fn next_page(browser: &Browser, before: &Element) {
    for _ in 0..600 {
        if before.tag_name().await.is_err() && browser.client.find(Locator::Css("footer")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no other page came after {}", path(browser).await);
}

/// Presses the form's main button.
async fn press(browser: &Browser) {
    press_on(browser, "main form .button--primary").await;
}

async fn title(browser: &Browser) -> String {
    browser.client.title().await.unwrap()
}

async fn path(browser: &Browser) -> String {
    browser.client.current_url().await.unwrap().path().to_owned()
}

/// The page as it is has no fault that axe-core knows; a picture of it is kept.
async fn look(browser: &Browser, name: &str) {
    assert_eq!(browser.axe().await, Vec::<String>::new(), "{name}");
    browser.picture(name).await;
}

/// Steps through the page with the tab key until this field has the focus.
async fn tab_to(browser: &Browser, id: &str) {
    for _ in 0..40 {
        let here = browser.client.active_element().await.unwrap();
        if here.attr("id").await.unwrap().as_deref() == Some(id) {
            return;
        }
        here.send_keys(&Key::Tab.to_string()).await.unwrap();
    }
    panic!("the tab key does not lead to {id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_time_one_chooses_a_password_and_couples_an_app() {
    let site = Site::open(21);
    let desk = site.desk("veiligheidshuis").await;
    let new = NewUser {
        id: "jansen".into(),
        name: "J. <b>Jansen</b>".into(),
        roles: roles(Some("informatiecoordinator"), false, false),
    };
    let initial = desk.node.accounts().create(&new, "test").unwrap();
    let browser = Browser::open(Look::default()).await;
    browser
        .client
        .goto(&format!("{}/account?done=no", desk.url))
        .await
        .unwrap();
    assert_eq!(path(&browser).await, "/sign-in");
    assert!(title(&browser).await.starts_with("Inloggen"));
    look(&browser, "sign_in_1280_light").await;
    press(&browser).await;
    assert!(title(&browser).await.starts_with("Fout: "));
    look(&browser, "sign_in_empty_1280_light").await;
    fill(&browser, "user", "jansen").await;
    fill(&browser, "password", "niet het wachtwoord").await;
    press(&browser).await;
    assert!(
        browser
            .source()
            .await
            .contains("De gebruikersnaam of het wachtwoord klopt niet.")
    );
    assert!(!browser.source().await.contains("niet het wachtwoord"));
    look(&browser, "sign_in_wrong_1280_light").await;
    fill(&browser, "password", initial.expose_text()).await;
    press(&browser).await;

    assert_eq!(path(&browser).await, "/sign-in/password");
    assert!(browser.source().await.contains("Minstens 12 tekens"));
    look(&browser, "sign_in_password_1280_light").await;
    fill(&browser, "password-new", "kort").await;
    fill(&browser, "password-again", "anders").await;
    press(&browser).await;
    assert!(browser.source().await.contains("niet gelijk"));
    fill(&browser, "password-new", "kort").await;
    fill(&browser, "password-again", "kort").await;
    press(&browser).await;
    assert!(title(&browser).await.starts_with("Fout: "));
    look(&browser, "sign_in_password_wrong_1280_light").await;
    fill(&browser, "password-new", PASSWORD).await;
    fill(&browser, "password-again", PASSWORD).await;
    press(&browser).await;

    assert_eq!(path(&browser).await, "/sign-in/enrol");
    // A name is text, whatever is in it.
    assert!(browser.source().await.contains("&lt;b&gt;Jansen"));
    assert!(browser.client.find(Locator::Css("main svg path")).await.is_ok());
    look(&browser, "sign_in_enrol_1280_light").await;
    browser
        .client
        .find(Locator::Css("summary"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let secret = browser
        .client
        .find(Locator::Css("details code"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    fill(&browser, "code", "000000").await;
    press(&browser).await;
    assert!(title(&browser).await.starts_with("Fout: "));
    look(&browser, "sign_in_enrol_wrong_1280_light").await;
    fill(&browser, "code", &telephone::code(&secret, 0)).await;
    press(&browser).await;

    assert!(
        title(&browser).await.starts_with("Bewaar uw herstelcodes"),
        "{}",
        title(&browser).await
    );
    look(&browser, "sign_in_recovery_1280_light").await;
    let codes = browser.client.find_all(Locator::Css("li code")).await.unwrap();
    assert_eq!(codes.len(), 10);
    let recovery = codes[3].text().await.unwrap();
    press_link(&browser).await;
    // Where one wanted to go at first.
    assert!(
        browser
            .client
            .current_url()
            .await
            .unwrap()
            .as_str()
            .ends_with("/account?done=no")
    );

    // Nothing is left in the browser's storage, and the codes are shown once.
    let kept = "return JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie";
    assert_eq!(browser.client.execute(kept, vec![]).await.unwrap(), "{}{}");
    browser.client.back().await.unwrap();
    assert!(!browser.source().await.contains(&recovery));

    account_pages(&browser, &desk, &secret, &recovery).await;
}

async fn press_link(browser: &Browser) {
    press_on(browser, "main a.button--primary").await;
}

/// What somebody does to their own account.
async fn account_pages(browser: &Browser, desk: &Desk, secret: &str, recovery: &str) {
    let other = desk.visitor("jansen");
    browser
        .client
        .goto(&format!("{}/account", desk.url))
        .await
        .unwrap();
    let source = browser.source().await;
    assert!(
        source.contains("Rol in het convenant: informatiecoordinator")
            && source.contains("Nog 10 te gebruiken")
    );
    assert!(source.contains("Deze browser") && source.contains("Andere browser"));
    look(browser, "account_1280_light").await;

    browser
        .client
        .goto(&format!("{}/account/password", desk.url))
        .await
        .unwrap();
    look(browser, "account_password_1280_light").await;
    fill(browser, "password", "niet het wachtwoord").await;
    fill(browser, "password-new", "een heel ander wachtwoord").await;
    fill(browser, "password-again", "een heel ander wachtwoord").await;
    press(browser).await;
    assert!(browser.source().await.contains("Dit wachtwoord klopt niet."));
    look(browser, "account_password_wrong_1280_light").await;
    fill(browser, "password", PASSWORD).await;
    fill(browser, "password-new", "een heel ander wachtwoord").await;
    fill(browser, "password-again", "een heel ander wachtwoord").await;
    press(browser).await;
    assert!(browser.source().await.contains("Uw wachtwoord is gewijzigd."));
    // The other browser is signed out, this one is not.
    assert_eq!(other.get("/account").await.status, 303);

    browser
        .client
        .goto(&format!("{}/account/recovery", desk.url))
        .await
        .unwrap();
    look(browser, "account_confirm_1280_light").await;
    fill(browser, "password", "een heel ander wachtwoord").await;
    press(browser).await;
    assert!(!browser.source().await.contains(recovery));
    look(browser, "account_codes_1280_light").await;
    let code = browser
        .client
        .find(Locator::Css("li code"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    browser
        .client
        .goto(&format!("{}/account/app", desk.url))
        .await
        .unwrap();
    fill(browser, "password", "een heel ander wachtwoord").await;
    press(browser).await;
    assert_eq!(path(browser).await, "/sign-in/enrol");
    browser
        .client
        .find(Locator::Css("summary"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let anew = browser
        .client
        .find(Locator::Css("details code"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_ne!(anew, secret);
    fill(browser, "code", &telephone::code(&anew, 0)).await;
    press(browser).await;
    let again = browser
        .client
        .find(Locator::Css("li code"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_ne!(again, code);
    press_link(browser).await;
    assert_eq!(path(browser).await, "/account");

    // Signed out everywhere: this browser too.
    press_on(browser, "main form button").await;
    assert!(browser.source().await.contains("U bent uitgelogd."));
    browser
        .client
        .goto(&format!("{}/account", desk.url))
        .await
        .unwrap();
    assert_eq!(path(browser).await, "/sign-in");

    // With a recovery code, without scripts this time; it works once.
    let plain = Browser::open(Look {
        scripts: false,
        width: 375,
        ..Look::default()
    })
    .await;
    plain.client.goto(&format!("{}/account", desk.url)).await.unwrap();
    plain.picture("sign_in_375_light").await;
    for (typed, fine) in [
        ("aaaa-aaaa-aaaa-aaaa", false),
        (again.as_str(), true),
        (again.as_str(), false),
    ] {
        if path(&plain).await == "/sign-in" {
            fill(&plain, "user", "Jansen ").await;
            fill(&plain, "password", "een heel ander wachtwoord").await;
            press(&plain).await;
        }
        assert_eq!(path(&plain).await, "/sign-in/code");
        if plain.client.find(Locator::Css("details[open]")).await.is_err() {
            plain
                .client
                .find(Locator::Css("summary"))
                .await
                .unwrap()
                .click()
                .await
                .unwrap();
        }
        plain.picture("sign_in_code_375_light").await;
        fill(&plain, "code-recovery", typed).await;
        press(&plain).await;
        if fine {
            assert_eq!(path(&plain).await, "/account");
            assert!(plain.source().await.contains("Nog 9 te gebruiken"));
            plain.picture("account_375_light").await;
            press_on(&plain, "form[action='/sign-out'] button").await;
            assert_eq!(path(&plain).await, "/sign-in");
            plain.client.goto(&format!("{}/account", desk.url)).await.unwrap();
        } else {
            assert!(plain.source().await.contains("Deze herstelcode klopt niet"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_keyboard_alone_one_reaches_the_page_in_two_loads() {
    let site = Site::open(22);
    let desk = site.desk("veiligheidshuis").await;
    ready(&desk, "pietersen");
    let browser = Browser::open(Look {
        dark: true,
        ..Look::default()
    })
    .await;
    browser
        .client
        .goto(&format!("{}/sign-in", desk.url))
        .await
        .unwrap();
    tab_to(&browser, "user").await;
    type_on(&browser, "pietersen").await;
    tab_to(&browser, "password").await;
    type_on(&browser, PASSWORD).await;
    enter(&browser).await;
    // The first page load after the sign-in page.
    assert_eq!(path(&browser).await, "/sign-in/code");
    look(&browser, "sign_in_code_1280_dark").await;
    tab_to(&browser, "code").await;
    type_on(&browser, "12345").await;
    enter(&browser).await;
    assert!(title(&browser).await.starts_with("Fout: "));
    look(&browser, "sign_in_code_wrong_1280_dark").await;
    tab_to(&browser, "code").await;
    let code = telephone::code(SECRET, 0);
    type_on(&browser, &format!("{} {}", &code[..3], &code[3..])).await;
    enter(&browser).await;
    // The second: who holds one role is at its page.
    assert_eq!(path(&browser).await, "/ask");

    // Back shows nothing of before, and after signing out nothing of this session.
    browser
        .client
        .goto(&format!("{}/account", desk.url))
        .await
        .unwrap();
    press_on(&browser, "form[action='/sign-out'] button").await;
    assert!(browser.source().await.contains("U bent uitgelogd."));
    look(&browser, "sign_in_out_1280_dark").await;
    browser.client.back().await.unwrap();
    assert_eq!(path(&browser).await, "/sign-in");
    assert!(!browser.source().await.contains("pietersen van Test"));
}

/// Types where the focus is.
async fn type_on(browser: &Browser, text: &str) {
    let here = browser.client.active_element().await.unwrap();
    here.send_keys(text).await.unwrap();
}

/// Sends the form from the keyboard.
async fn enter(browser: &Browser) {
    let before = browser.client.find(Locator::Css("html")).await.unwrap();
    type_on(browser, &Key::Enter.to_string()).await;
    next_page(browser, &before).await;
}

/// Fills in the first page.
async fn try_password(stranger: &Visitor, user: &str, password: &str) -> hitmachine_tests::site::Answered {
    stranger
        .post("/sign-in", &[("user", user), ("password", password)])
        .await
}

/// What is on the page, without what was typed in it.
fn without(page: &str, user: &str) -> String {
    page.replace(user, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_stopped_and_tells_nobody_who_has_an_account() {
    let site = Site::open(23);
    let desk = site.desk("veiligheidshuis").await;
    ready(&desk, "jansen");
    ready(&desk, "bakker");
    let stranger = desk.stranger();
    let mut wrong = 0;
    let locked = loop {
        let known = try_password(&stranger, "jansen", "geraden wachtwoord").await;
        let unknown = try_password(&stranger, "niemand", "geraden wachtwoord").await;
        assert_eq!(known.status, unknown.status);
        if known.status == 429 {
            break known;
        }
        // Word for word the same, whether there is such an account or not.
        assert_eq!(without(&known.body, "jansen"), without(&unknown.body, "niemand"));
        assert!(
            known
                .body
                .contains("De gebruikersnaam of het wachtwoord klopt niet."),
            "{}",
            known.body
        );
        assert_eq!(known.status, 422);
        wrong += 1;
        assert!(wrong < 10);
    };
    assert!(wrong >= 4, "somebody who mistypes is not locked out: {wrong}");
    let wait: u64 = locked.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    assert!(locked.body.contains("Inloggen kan weer na "), "{}", locked.body);
    // The right password does not help now, and the other accounts are open.
    assert_eq!(try_password(&stranger, "jansen", PASSWORD).await.status, 429);
    let mut bakker = desk.stranger();
    let step = try_password(&bakker, "bakker", PASSWORD).await;
    assert_eq!((step.status, step.header("location")), (303, "/sign-in/code"));
    bakker.keep(&step);
    // Codes are guessed no better.
    let page = bakker.get("/sign-in/code").await;
    let csrf = page.hidden("csrf");
    let mut wrong = 0;
    loop {
        let answer = bakker
            .post("/sign-in/code", &[("csrf", &csrf), ("code", "000000")])
            .await;
        if answer.status == 429 {
            assert!(answer.body.contains("Inloggen kan weer na "));
            break;
        }
        assert_eq!(answer.status, 422);
        wrong += 1;
        assert!(wrong < 10);
    }
    let right = bakker
        .post(
            "/sign-in/code",
            &[("csrf", &csrf), ("code", &telephone::code(SECRET, 0))],
        )
        .await;
    assert_eq!(right.status, 429);
}
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_was_typed_when_the_session_ended_is_still_there_after_signing_in() {
    let site = Site::open(24);
    let desk = site.desk("veiligheidshuis").await;
    ready(&desk, "jansen");
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "jansen", "/ask").await;
    fill(&browser, "case", "ZVH-2026-0042").await;
    fill(&browser, "number-1", "999990019").await;
    fill(&browser, "reference-1", "gezin 3").await;
    desk.node.accounts().end_all("jansen", None).unwrap();
    press_on(&browser, "button[value='ask']").await;
    assert_eq!(path(&browser).await, "/sign-in");
    let source = browser.source().await;
    assert!(!source.contains("999990019") && !source.contains("ZVH-2026-0042"));
    fill(&browser, "user", "jansen").await;
    fill(&browser, "password", PASSWORD).await;
    press(&browser).await;
    fill(&browser, "code", &telephone::code(SECRET, 0)).await;
    press(&browser).await;
    assert_eq!(path(&browser).await, "/ask");
    let value = |id: &'static str| {
        let client = browser.client.clone();
        async move {
            client
                .find(Locator::Id(id))
                .await
                .unwrap()
                .prop("value")
                .await
                .unwrap()
                .unwrap()
        }
    };
    assert_eq!(value("case").await, "ZVH-2026-0042");
    assert_eq!(value("reference-1").await, "gezin 3");
    assert_eq!(value("number-1").await, "");
    assert!(browser.source().await.contains("U was uitgelogd."));
    look(&browser, "ask_restored_1280_light").await;
}
