//! Whole screenings in a browser.

use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::key::Key;
use hitmachine_testkit::population::LIST_FILE;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::Site;
use serde_json::json;

use super::life::with_quota;
use super::{PATIENCE, USER, desk, first_rows, holds_none, planned, says, start};

/// Looks at the page as it is: nothing wrong for people with a screen reader, no number in its source.
async fn look(browser: &Browser, site: &Site, name: &str) {
    assert_eq!(browser.axe().await, Vec::<String>::new(), "{name}");
    holds_none(site, &browser.source().await);
    browser.picture(&format!("screening_{name}")).await;
}

async fn click(browser: &Browser, css: &str) {
    browser
        .client
        .find(Locator::Css(css))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
}

/// Waits until a page has this heading: a click does not wait for the page behind it.
async fn arrives(browser: &Browser, heading: &str) {
    wait_for(browser, &format!("<h1>{heading}</h1>"), false).await;
}

/// Waits until the page's source holds a text; `again` is done before each further look.
async fn wait_for(browser: &Browser, text: &str, refresh: bool) {
    let begun = Instant::now();
    while !browser.source().await.contains(text) {
        assert!(
            begun.elapsed() < PATIENCE,
            "never {text}: {}",
            browser.source().await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
        if refresh && let Ok(link) = browser.client.find(Locator::LinkText("Ververs")).await {
            // It may have gone with the page that the script loaded meanwhile.
            let _ = link.click().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_screened_with_scripts_and_looked_at() {
    let site = Site::open(721);
    let desk = desk(&site).await;
    let file = site.world.deployment.registers().join(LIST_FILE);
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, USER, "/screenings").await;
    look(&browser, &site, "none_1280_light").await;
    click(&browser, "main a.button--primary").await;
    arrives(&browser, "Nieuwe screening").await;
    look(&browser, &site, "new_1280_light").await;
    click(&browser, "form.form button[type=submit]").await;
    wait_for(&browser, "<title>Fout: ", false).await;
    look(&browser, &site, "new_wrong_1280_light").await;
    let field = |css| browser.client.find(Locator::Css(css));
    field("#case").await.unwrap().send_keys("TOP150").await.unwrap();
    field("#list")
        .await
        .unwrap()
        .send_keys(file.to_str().unwrap())
        .await
        .unwrap();
    click(&browser, "form.form button[type=submit]").await;
    arrives(&browser, "Controleer uw lijst").await;
    look(&browser, &site, "plan_1280_light").await;
    let plan = browser.client.current_url().await.unwrap();
    click(&browser, "details summary").await;
    look(&browser, &site, "columns_1280_light").await;
    click(&browser, ".button-row .button--primary").await;
    arrives(&browser, "Screening TOP150").await;
    // The page changes by itself.
    wait_for(&browser, "Resultaten</h2>", false).await;
    look(&browser, &site, "results_1280_light").await;
    let id = browser.client.current_url().await.unwrap();
    for address in [&plan, &id] {
        let address = address.as_str();
        assert!(!address.contains("bsn") && !address.contains('?'), "{address}");
    }
    // Nothing stays in the browser.
    let kept = browser
        .client
        .execute("return localStorage.length + sessionStorage.length", vec![])
        .await;
    assert_eq!(kept.unwrap(), 0);

    let small = Look {
        width: 375,
        height: 812,
        dark: true,
        ..Look::default()
    };
    let browser = Browser::open(small).await;
    for (path, name) in [
        ("/screenings", "list"),
        ("/screenings/new", "new"),
        (id.path(), "results"),
    ] {
        browser.visit_as(&desk, USER, path).await;
        look(&browser, &site, &format!("{name}_375_dark")).await;
        let wide = browser
            .client
            .execute("return document.documentElement.scrollWidth", vec![])
            .await
            .unwrap();
        assert!(wide.as_u64().unwrap() <= 375, "{name} is {wide} wide");
    }
    let wide = Look {
        dark: true,
        ..Look::default()
    };
    let browser = Browser::open(wide).await;
    browser.visit_as(&desk, USER, id.path()).await;
    look(&browser, &site, "results_1280_dark").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screening_that_waits_and_one_that_stopped_are_looked_at() {
    let site = with_quota(723, 6);
    let desk = desk(&site).await;
    let visitor = desk.visitor(USER);
    let rows = first_rows(&site.world, 12) + "H999;1;1-1-1980;x\n";
    let plan = planned(&visitor, "TOP150", "wait", (LIST_FILE, rows.as_bytes())).await;
    let id = start(&visitor, &plan).await;
    says(&visitor, &id, "De screening gaat vanzelf verder na").await;
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, USER, &id).await;
    look(&browser, &site, "waiting_1280_light").await;
    browser
        .client
        .find(Locator::Css("section form button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait_for(&browser, "Ga verder</button>", true).await;
    look(&browser, &site, "stopped_1280_light").await;
    let file = site.world.path("more.csv");
    std::fs::write(&file, rows.replace("huishouden", "familie")).unwrap();
    browser.visit_as(&desk, USER, "/screenings/new").await;
    let field = |css| browser.client.find(Locator::Css(css));
    field("#case").await.unwrap().send_keys("TOP151").await.unwrap();
    field("#list")
        .await
        .unwrap()
        .send_keys(file.to_str().unwrap())
        .await
        .unwrap();
    click(&browser, "form.form button[type=submit]").await;
    wait_for(&browser, "Wij herkennen niet alle kolommen", false).await;
    look(&browser, &site, "columns_unknown_1280_light").await;
    click(&browser, "#household option[value='0']").await;
    click(&browser, "details form button[type=submit]").await;
    wait_for(&browser, "Begin met vragen", false).await;
    click(&browser, "details summary").await;
    look(&browser, &site, "rows_left_out_1280_light").await;
    let small = Browser::open(Look {
        width: 375,
        height: 812,
        ..Look::default()
    })
    .await;
    small.visit_as(&desk, USER, &id).await;
    look(&small, &site, "stopped_375_light").await;
}

/// Presses a key where the focus is.
async fn press(browser: &Browser, keys: &str) {
    browser
        .client
        .active_element()
        .await
        .unwrap()
        .send_keys(keys)
        .await
        .unwrap();
}

/// Goes on with the tab key until the focus is on what matches.
async fn tab_to(browser: &Browser, css: &str) {
    let script = "return document.activeElement.matches(arguments[0])";
    for pressed in 0.. {
        assert!(
            pressed < 80,
            "the tab key never comes to {css}: {}",
            browser.source().await
        );
        // Not by the element: the keys of a field for a file are a path.
        for kind in ["rawKeyDown", "keyUp"] {
            let tab = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            browser.devtools("Input.dispatchKeyEvent", &tab).await;
        }
        let here = browser.client.execute(script, vec![css.into()]).await.unwrap();
        if here == json!(true) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_screened_with_the_keyboard_and_without_scripts() {
    let site = Site::open(722);
    let desk = desk(&site).await;
    let file = site.world.deployment.registers().join(LIST_FILE);
    let browser = Browser::open(Look {
        scripts: false,
        ..Look::default()
    })
    .await;
    let (enter, space) = (char::from(Key::Enter).to_string(), " ");
    browser.visit_as(&desk, USER, "/screenings").await;
    tab_to(&browser, "a[href='/screenings/new']").await;
    press(&browser, &enter).await;
    arrives(&browser, "Nieuwe screening").await;
    tab_to(&browser, "[name=purpose]").await;
    press(&browser, space).await;
    tab_to(&browser, "#case").await;
    press(&browser, "TOP150").await;
    // What a window of the operating system would do.
    tab_to(&browser, "#list").await;
    press(&browser, file.to_str().unwrap()).await;
    tab_to(&browser, "form.form button[type=submit]").await;
    press(&browser, &enter).await;
    arrives(&browser, "Controleer uw lijst").await;
    tab_to(&browser, ".button-row .button--primary").await;
    press(&browser, &enter).await;
    arrives(&browser, "Screening TOP150").await;
    wait_for(&browser, "Resultaten</h2>", true).await;
    tab_to(&browser, ".tabs a[href*='show=known']").await;
    press(&browser, &enter).await;
    wait_for(&browser, "show=known#per-person\" aria-current=\"page\"", false).await;
    tab_to(&browser, "[name=sure]").await;
    press(&browser, space).await;
    tab_to(&browser, "button.button--danger").await;
    press(&browser, &enter).await;
    wait_for(&browser, "De screening is vergeten.", false).await;
    holds_none(&site, &browser.source().await);
}
