//! The pages in a real browser.

use fantoccini::{Client, Locator};
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::{Desk, Site, Visitor};
use serde_json::json;

use crate::{about, answer, ask, desk, known};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

async fn type_in(client: &Client, id: &str, text: &str) {
    let field = client.find(Locator::Id(id)).await.unwrap();
    field.send_keys(text).await.unwrap();
}

async fn value(client: &Client, id: &str) -> String {
    let field = client.find(Locator::Id(id)).await.unwrap();
    field.prop("value").await.unwrap().unwrap_or_default()
}

async fn click(client: &Client, css: &str) {
    client
        .find(Locator::Css(css))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
}

async fn text(client: &Client, css: &str) -> String {
    client
        .find(Locator::Css(css))
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// Waits until the page's address has this in it.
async fn at(client: &Client, part: &str) {
    for _ in 0..600 {
        if client.current_url().await.unwrap().as_str().contains(part) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never at {part}: {}", client.source().await.unwrap());
}

/// No number of these is in page, address, title or anything that the browser keeps.
async fn holds_none(browser: &Browser, numbers: &[&str]) {
    let client = &browser.client;
    let kept = "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state, \
                performance.getEntries().map(each => each.name)])";
    let kept = client.execute(kept, vec![]).await.unwrap();
    let places = [
        browser.source().await,
        client.current_url().await.unwrap().to_string(),
        client.title().await.unwrap(),
        kept.to_string(),
    ];
    for number in numbers {
        let spaced = format!("{} {} {}", &number[..4], &number[4..6], &number[6..]);
        for place in &places {
            assert!(!place.contains(number) && !place.contains(&spaced), "{place}");
        }
    }
}

async fn no_faults(browser: &Browser, picture: &str) {
    assert_eq!(browser.axe().await, Vec::<String>::new(), "{picture}");
    browser.picture(picture).await;
}

/// The whole task with scripts, and what they add; then without, by keyboard alone.
#[tokio::test(flavor = "multi_thread")]
async fn asking_in_a_browser() {
    let site = Site::open(26);
    let desk = desk(&site).await;
    let bsn = known(&site.world);
    let minor = site.world.bsn(AgeClass::Minor).to_owned();
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "pietersen", "/ask").await;
    no_faults(&browser, "ask_form_1280_light").await;
    wrong_number(&browser, &bsn).await;
    household(&browser, &bsn, &minor).await;
    two_tabs(&browser, &desk, &bsn).await;
    drop(browser);
    without_scripts(&desk, &bsn).await;
}

/// A wrong number is told at once, and by the server; nothing is lost but the number.
async fn wrong_number(browser: &Browser, bsn: &str) {
    let client = &browser.client;
    let mut wrong = bsn.to_owned().into_bytes();
    wrong[8] = b'0' + (wrong[8] - b'0' + 1) % 10;
    let wrong = String::from_utf8(wrong).unwrap();
    type_in(client, "case", "ZK-2026-26").await;
    type_in(client, "number-1", &format!("{wrong}{TAB}")).await;
    assert_eq!(
        text(client, "[data-bsn-says]").await,
        "Dit BSN klopt niet. Controleer elk cijfer."
    );
    type_in(client, "birth-1", &format!("31-01-1980{ENTER}")).await;
    client
        .wait()
        .for_element(Locator::Css(".error-summary"))
        .await
        .unwrap();
    assert!(client.title().await.unwrap().starts_with("Fout: "));
    let focus = client
        .execute("return document.activeElement.className", vec![])
        .await
        .unwrap();
    assert_eq!(focus, json!("error-summary"));
    assert_eq!(value(client, "case").await, "ZK-2026-26");
    assert_eq!(
        (value(client, "birth-1").await, value(client, "number-1").await),
        ("31-01-1980".into(), String::new())
    );
    holds_none(browser, &[&wrong, bsn]).await;
    no_faults(browser, "ask_wrong_1280_light").await;

    type_in(client, "number-1", &format!("{bsn}{TAB}")).await;
    let grouped = format!("{} {} {}", &bsn[..4], &bsn[4..6], &bsn[6..]);
    assert_eq!(value(client, "number-1").await, grouped);
    type_in(client, "case", ENTER).await;
    at(client, "/answers/").await;
    assert!(text(client, "[role=status]").await.contains("Bekend bij"));
    holds_none(browser, &[&wrong, bsn]).await;
    no_faults(browser, "ask_answer_1280_light").await;
}

/// Persons are added and removed in place; the answer is a table.
async fn household(browser: &Browser, bsn: &str, minor: &str) {
    let client = &browser.client;
    click(client, "nav a[href='/ask']").await;
    client
        .wait()
        .for_element(Locator::Css("[data-person-add]"))
        .await
        .unwrap();
    type_in(client, "case", "ZK-2026-27").await;
    type_in(client, "number-1", bsn).await;
    click(client, "#class-1-2").await;
    for _ in 0..2 {
        click(client, "[data-person-add]").await;
    }
    // What was typed stays, also the choice of the first; the second goes, the third takes its place.
    type_in(client, "number-3", minor).await;
    type_in(client, "reference-3", "T150-9").await;
    click(client, "[data-person='2'] [data-person-remove]").await;
    assert_eq!(value(client, "reference-2").await, "T150-9");
    assert_eq!(value(client, "rows").await, "2");
    assert!(
        client
            .find(Locator::Id("class-1-2"))
            .await
            .unwrap()
            .is_selected()
            .await
            .unwrap()
    );
    click(client, "#class-2").await;
    assert!(
        client
            .find(Locator::Id("class-1-2"))
            .await
            .unwrap()
            .is_selected()
            .await
            .unwrap()
    );
    no_faults(browser, "ask_household_form_1280_light").await;
    click(client, "button[name=action][value=ask]").await;
    at(client, "/answers/").await;
    let rows = client.find_all(Locator::Css("tbody tr")).await.unwrap();
    assert_eq!(rows.len(), 2);
    holds_none(browser, &[bsn, minor]).await;
    let copy = value(client, "copy").await;
    assert!(
        copy.contains("Persoon 2 (minderjarig)") && !copy.contains("T150-9"),
        "{copy}"
    );
    no_faults(browser, "ask_household_1280_light").await;
    click(client, "a[href='/history']").await;
    at(client, "/history").await;
    let first = text(client, "tbody tr").await;
    assert!(
        first.contains("ZK-2026-27") && first.contains("T150-9"),
        "{first}"
    );
    holds_none(browser, &[bsn, minor]).await;
    no_faults(browser, "ask_history_1280_light").await;
}

/// Two tabs with the form are two questions.
async fn two_tabs(browser: &Browser, desk: &Desk, bsn: &str) {
    let client = &browser.client;
    let visitor = desk.visitor("pietersen");
    let before = count(&visitor).await;
    client.goto(&format!("{}/ask", desk.url)).await.unwrap();
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    client.goto(&format!("{}/ask", desk.url)).await.unwrap();
    for window in [first.clone(), client.window().await.unwrap()] {
        client.switch_to_window(window).await.unwrap();
        type_in(client, "case", "ZK-2026-28").await;
        click(client, "#class-1-2").await;
        type_in(client, "number-1", &format!("{bsn}{ENTER}")).await;
        at(client, "/answers/").await;
    }
    // Back: an empty form of its own, which is another question.
    let used = client.current_url().await.unwrap();
    client.back().await.unwrap();
    at(client, "/ask").await;
    let fresh = "const form = document.querySelector('input[name=form]');
                 return form !== null && !arguments[0].includes(form.value)
                     && document.getElementById('number-1').value === ''";
    let mut tries = 0;
    while client.execute(fresh, vec![json!(used.as_str())]).await.ok() != Some(json!(true)) {
        tries += 1;
        assert!(tries < 600, "the used form is still there");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    holds_none(browser, &[bsn]).await;
    client.switch_to_window(first).await.unwrap();
    assert_eq!(count(&visitor).await, before + 2);
}

async fn count(visitor: &Visitor) -> usize {
    visitor
        .get("/history")
        .await
        .body
        .matches("href=\"/answers/")
        .count()
}

/// By keyboard alone on a small screen where no script runs.
async fn without_scripts(desk: &Desk, bsn: &str) {
    let look = Look {
        width: 375,
        height: 800,
        scripts: false,
        dark: false,
    };
    let browser = Browser::open(look).await;
    let client = &browser.client;
    browser.visit_as(desk, "pietersen", "/ask").await;
    browser.picture("ask_form_noscript_375_light").await;
    let press = async |keys: &str| {
        let active = client.active_element().await.unwrap();
        active.send_keys(keys).await.unwrap();
    };
    // From the case on: on whose behalf, how many persons, the button for that, number, birth date.
    client
        .find(Locator::Id("case"))
        .await
        .unwrap()
        .send_keys("ZK-2026-29")
        .await
        .unwrap();
    for keys in [TAB, TAB, TAB, TAB] {
        press(keys).await;
    }
    press(bsn).await;
    press(TAB).await;
    press("31-01-1980").await;
    // Enter asks; it does not change the number of persons.
    press(ENTER).await;
    at(client, "/answers/").await;
    assert!(text(client, "[role=status]").await.contains("Bekend bij"));
    let source = browser.source().await;
    assert!(!source.contains(bsn));
    browser.picture("ask_answer_noscript_375_light").await;
    // More persons by the button, before any number is typed.
    client.goto(&format!("{}/ask", desk.url)).await.unwrap();
    type_in(client, "case", "ZK-2026-30").await;
    let rows = client.find(Locator::Id("rows")).await.unwrap();
    rows.select_by_value("3").await.unwrap();
    click(client, "button[value=rows]").await;
    client.wait().for_element(Locator::Id("number-3")).await.unwrap();
    assert_eq!(value(client, "case").await, "ZK-2026-30");
}

/// Each page and state at the other widths and in the dark, on data made without a browser.
#[tokio::test(flavor = "multi_thread")]
async fn every_state_in_the_dark_and_on_a_telephone() {
    let mut site = Site::open(27);
    let desk = desk(&site).await;
    let visitor = desk.visitor("pietersen");
    let bsn = known(&site.world);
    let minor = site.world.bsn(AgeClass::Minor).to_owned();
    let one = ask(&visitor, &about(&bsn, "ZK-2026-31")).await;
    let household = [
        ("rows", "2"),
        ("purpose", "screening"),
        ("case", "ZK-2026-32"),
        ("number-1", bsn.as_str()),
        ("class-1", "adult"),
        ("number-2", minor.as_str()),
        ("class-2", "minor"),
        ("reference-2", "T150-2-b"),
    ];
    let two = ask(&visitor, &household).await;
    site.broker.take().unwrap().stop().unwrap();
    let away = ask(&visitor, &about(&bsn, "ZK-2026-33")).await;
    for sent in [&one, &two, &away] {
        answer(&visitor, sent).await;
    }
    for (width, dark, name) in [
        (1280, true, "1280_dark"),
        (375, false, "375_light"),
        (375, true, "375_dark"),
    ] {
        let browser = Browser::open(Look {
            width,
            dark,
            ..Look::default()
        })
        .await;
        browser.visit_as(&desk, "pietersen", "/ask").await;
        no_faults(&browser, &format!("ask_form_{name}")).await;
        for (page, path) in [
            ("answer", one.header("location").to_owned()),
            ("household", two.header("location").to_owned()),
            ("not_asked", away.header("location").to_owned()),
            ("again", format!("/ask?from={}", &away.header("location")[9..])),
            ("history", "/history".to_owned()),
            ("history_none", "/history?purpose=x".to_owned()),
        ] {
            browser.client.goto(&format!("{}{path}", desk.url)).await.unwrap();
            no_faults(&browser, &format!("ask_{page}_{name}")).await;
            let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            let over = browser.client.execute(wide, vec![]).await.unwrap();
            assert_eq!(over, json!(0), "{page} at {name} scrolls sideways");
        }
    }
}
