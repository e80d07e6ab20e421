//! Whole screenings in a browser.

use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::key::Key;
use hitmachine_testkit::population::LIST_FILE;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::Site;

use super::{PATIENCE, USER, desk, holds_none};

/// Looks at the page as it is: nothing wrong for people with a screen reader, no number in its source.
async fn look(browser: &Browser, site: &Site, name: &str) {
    assert_eq!(browser.axe().await, Vec::<String>::new(), "{name}");
    holds_none(site, &browser.source().await);
    browser.picture(&format!("screening_{name}")).await;
}

async fn click(browser: &Browser, css: &str) {
    browser.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
}

async fn heading(browser: &Browser) -> String {
    browser.client.find(Locator::Css("h1")).await.unwrap().text().await.unwrap()
}

/// Waits until the page's source holds a text; `again` is done before each further look.
async fn wait_for(browser: &Browser, text: &str, refresh: bool) {
    let begun = Instant::now();
    while !browser.source().await.contains(text) {
        assert!(begun.elapsed() < PATIENCE, "never {text}: {}", browser.source().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        if refresh && let Ok(link) = browser.client.find(Locator::LinkText("Ververs")).await {
            link.click().await.unwrap();
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
    look(&browser, &site, "new_1280_light").await;
    click(&browser, "form.form button[type=submit]").await;
    assert!(browser.client.title().await.unwrap().starts_with("Fout: "));
    look(&browser, &site, "new_wrong_1280_light").await;
    let field = |css| browser.client.find(Locator::Css(css));
    field("#case").await.unwrap().send_keys("TOP150").await.unwrap();
    field("#list").await.unwrap().send_keys(file.to_str().unwrap()).await.unwrap();
    click(&browser, "form.form button[type=submit]").await;
    assert_eq!(heading(&browser).await, "Controleer uw lijst");
    look(&browser, &site, "plan_1280_light").await;
    let plan = browser.client.current_url().await.unwrap();
    click(&browser, "details summary").await;
    look(&browser, &site, "columns_1280_light").await;
    click(&browser, ".button-row .button--primary").await;
    assert_eq!(heading(&browser).await, "Screening TOP150");
    look(&browser, &site, "running_1280_light").await;
    // The page changes by itself.
    wait_for(&browser, "Resultaten</h2>", false).await;
    look(&browser, &site, "results_1280_light").await;
    let id = browser.client.current_url().await.unwrap();
    for address in [&plan, &id] {
        let address = address.as_str();
        assert!(!address.contains("bsn") && !address.contains('?'), "{address}");
    }
    // Nothing stays in the browser.
    let kept = browser.client.execute("return localStorage.length + sessionStorage.length", vec![]).await;
    assert_eq!(kept.unwrap(), 0);

    let small = Look { width: 375, height: 812, dark: true, ..Look::default() };
    let browser = Browser::open(small).await;
    for (path, name) in [("/screenings", "list"), ("/screenings/new", "new"), (id.path(), "results")] {
        browser.visit_as(&desk, USER, path).await;
        look(&browser, &site, &format!("{name}_375_dark")).await;
        let wide = browser.client.execute("return document.documentElement.scrollWidth", vec![]).await.unwrap();
        assert!(wide.as_u64().unwrap() <= 375, "{name} is {wide} wide");
    }
    let wide = Look { dark: true, ..Look::default() };
    let browser = Browser::open(wide).await;
    browser.visit_as(&desk, USER, id.path()).await;
    look(&browser, &site, "results_1280_dark").await;
}

/// Presses a key where the focus is.
async fn press(browser: &Browser, keys: &str) {
    browser.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
}

/// Goes on with the tab key until the focus is on what matches.
async fn tab_to(browser: &Browser, css: &str) {
    let tab = char::from(Key::Tab).to_string();
    let script = "return document.activeElement.matches(arguments[0])";
    for _ in 0..80 {
        press(browser, &tab).await;
        let here = browser.client.execute(script, vec![css.into()]).await.unwrap();
        if here == serde_json::json!(true) {
            return;
        }
    }
    panic!("the tab key never comes to {css}: {}", browser.source().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_screened_with_the_keyboard_and_without_scripts() {
    let site = Site::open(722);
    let desk = desk(&site).await;
    let file = site.world.deployment.registers().join(LIST_FILE);
    let browser = Browser::open(Look { scripts: false, ..Look::default() }).await;
    let (enter, space) = (char::from(Key::Enter).to_string(), " ");
    browser.visit_as(&desk, USER, "/screenings").await;
    tab_to(&browser, "a[href='/screenings/new']").await;
    press(&browser, &enter).await;
    tab_to(&browser, "[name=purpose]").await;
    press(&browser, space).await;
    tab_to(&browser, "#case").await;
    press(&browser, "TOP150").await;
    // What a window of the operating system would do.
    tab_to(&browser, "#list").await;
    press(&browser, file.to_str().unwrap()).await;
    tab_to(&browser, "form.form button[type=submit]").await;
    press(&browser, &enter).await;
    assert_eq!(heading(&browser).await, "Controleer uw lijst");
    tab_to(&browser, ".button-row .button--primary").await;
    press(&browser, &enter).await;
    assert_eq!(heading(&browser).await, "Screening TOP150");
    wait_for(&browser, "Resultaten</h2>", true).await;
    tab_to(&browser, ".tabs a[href*='show=known']").await;
    press(&browser, &enter).await;
    assert!(browser.client.current_url().await.unwrap().as_str().contains("show=known"));
    tab_to(&browser, "[name=sure]").await;
    press(&browser, space).await;
    tab_to(&browser, "button.button--danger").await;
    press(&browser, &enter).await;
    assert!(browser.source().await.contains("De screening is vergeten."));
    holds_none(&site, &browser.source().await);
}
