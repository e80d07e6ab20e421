//! How every page looks and reads: valid HTML, axe-core, widths, zoom, weight, words, both languages, and pictures.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::browser::{Browser, Look, node_modules};
use hitmachine_tests::crawl::{Crawled, crawl, words};
use hitmachine_tests::site::{Desk, Site, Visitor, roles};
use serde_json::json;

/// Pages that the walk opens at most.
const MOST: usize = 150;
/// Bytes of a page with its style and script.
const MOST_BYTES: usize = 100_000;
/// Words that the coordinator need not know.
const FORBIDDEN: [&str; 6] = ["pseudoniem", "pseudonym", "token", "hash", "oprf", "checkpoint"];
/// What those who ask read.
const ASKERS_TEXTS: [&str; 5] = ["ask", "screening", "notice", "common", "sign_in"];

/// A desk with somebody who holds every role.
async fn everything(site: &Site) -> Desk {
    let desk = site.desk("veiligheidshuis").await;
    desk.account("pietersen", roles(Some("informatiecoordinator"), true, true));
    desk.account("coordinator", roles(Some("informatiecoordinator"), false, false));
    desk
}

/// Somebody in a register, and somebody else: pages with an answer, a household's answer, and a history.
async fn ask(site: &Site, visitor: &Visitor) {
    let mut known = site.world.population.members(Register::Schuldhulpverlening);
    let adult = &known.find(|person| person.class == AgeClass::Adult).unwrap().bsn;
    let minor = site.world.bsn(AgeClass::Minor);
    let one = [("rows", "1"), ("number-1", adult.as_str()), ("class-1", "adult")];
    let two = [("rows", "2"), ("number-2", minor), ("class-2", "minor")];
    for (case, persons) in [
        ("ZK-2026-1", one.to_vec()),
        ("ZK-2026-2", [&one[1..], &two].concat()),
    ] {
        let form = visitor.get("/ask").await.hidden("form");
        let fields = [
            &[("form", form.as_str()), ("purpose", "screening"), ("case", case)],
            persons.as_slice(),
        ]
        .concat();
        let sent = visitor.fill("/ask", "/ask", &fields).await;
        assert_eq!(sent.status, 303, "{}", sent.body);
    }
}

/// The officer says what for before anything is read.
async fn begin_oversight(visitor: &Visitor) {
    let fields = [("reference", "kwartaalcontrole 2026-4"), ("next", "/officer")];
    let sent = visitor
        .fill("/officer/reference", "/officer/reference", &fields)
        .await;
    assert_eq!(sent.status, 303, "{}", sent.body);
}

/// Every page that can be reached from the first.
async fn pages(visitor: &Visitor) -> Vec<Crawled> {
    let crawled = crawl(visitor, &["/", "/accessibility", "/no-such-page"], MOST).await;
    assert!(crawled.len() < MOST, "more pages than expected");
    let mut dead = Vec::new();
    for page in &crawled {
        let fine = matches!(page.answered.status, 200 | 303) || page.path == "/no-such-page";
        if !fine {
            dead.push(format!(
                "{} on {}: {}",
                page.path, page.from, page.answered.status
            ));
        }
    }
    assert_eq!(dead, Vec::<String>::new(), "links that lead nowhere");
    let pages = crawled
        .into_iter()
        .filter(|page| page.is_page() && page.answered.status != 303);
    pages.collect()
}

/// What stands between the first of these and what follows it.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = text.split_once(begin).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(part, _)| part)
}

/// What is wrong with the HTML of these pages, as html-validate has it.
fn invalid(pages: &[Crawled]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (number, page) in pages.iter().enumerate() {
        let name = format!("{number:03}-{}.html", page.name());
        std::fs::write(dir.path().join(name), &page.answered.body).unwrap();
    }
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/htmlvalidate.json");
    let said = Command::new("node")
        .arg(node_modules().join("html-validate/bin/html-validate.mjs"))
        .arg("--config")
        .arg(config)
        .args(["--formatter", "text"])
        .arg(dir.path())
        .output()
        .expect("node is missing: install the Debian package nodejs (tests/run does)");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.code().is_some_and(|code| code < 2),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    assert_eq!(said.status.success(), text.trim().is_empty(), "{text}");
    text
}

/// One page's own marks: language, title, one heading of the first level, nothing that the content policy would stop.
fn check_marks(page: &Crawled, language: &str) {
    let (path, body) = (&page.path, &page.answered.body);
    assert!(
        body.contains(&format!("<html lang=\"{language}\">")),
        "{path}: language"
    );
    let title = between(body, "<title>", "</title>");
    assert!(
        !title.trim_start().starts_with('–') && title.contains(" – "),
        "{path}: title {title:?}"
    );
    assert_eq!(
        body.matches("<h1").count(),
        1,
        "{path}: headings of the first level"
    );
    assert!(
        !between(body, "<h1", "</h1>").trim().ends_with('>'),
        "{path}: an empty heading"
    );
    for inline in ["<style", " style=\"", " onclick=", " onsubmit=", "javascript:"] {
        assert!(!body.contains(inline), "{path}: {inline}");
    }
    for script in body.split("<script").skip(1) {
        assert!(
            script.trim_start().starts_with("src=\"/assets/"),
            "{path}: a script in the page"
        );
    }
    // A text that is not there is shown as "?".
    for missing in [">?<", "\"?\""] {
        assert!(!body.contains(missing), "{path}: a text is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_valid_light_enough_and_in_plain_words() {
    let site = Site::open(2);
    let desk = everything(&site).await;
    let visitor = desk.visitor("pietersen");
    ask(&site, &visitor).await;
    begin_oversight(&visitor).await;
    let pages_nl = pages(&visitor).await;
    let mut asset_bytes = 0;
    for name in ["console.css", "console.js"] {
        let (before, _) = pages_nl[0].answered.body.split_once(name).unwrap();
        let (_, version) = before.rsplit_once("/assets/").unwrap();
        let asset = visitor.get(&format!("/assets/{version}{name}")).await;
        assert_eq!(asset.status, 200, "{name}");
        asset_bytes += asset.body.len();
    }
    for page in &pages_nl {
        check_marks(page, "nl");
        let weight = page.answered.body.len() + asset_bytes;
        assert!(weight < MOST_BYTES, "{} weighs {weight}", page.path);
    }
    assert_eq!(invalid(&pages_nl), "");

    let mut english = visitor.clone();
    english.cookie = visitor
        .cookie
        .clone()
        .map(|cookie| format!("{cookie}; __Host-language=en"));
    let pages_en = pages(&english).await;
    for page in &pages_en {
        check_marks(page, "en");
    }
    assert_eq!(invalid(&pages_en), "");
    let paths = |pages: &[Crawled]| pages.iter().map(Crawled::name).collect::<BTreeSet<_>>();
    assert_eq!(paths(&pages_nl), paths(&pages_en));

    // Those who ask read nothing that only engineers know.
    let asker = desk.visitor("coordinator");
    for page in crawl(&asker, &["/"], MOST).await {
        assert!(
            matches!(page.answered.status, 200 | 303),
            "{} on {}",
            page.path,
            page.from
        );
        check_words(&page.path, &page.words());
    }
    for page in ["/sign-in", "/accessibility"] {
        check_words(page, &words(&desk.stranger().get(page).await.body));
    }
}

fn check_words(place: &str, text: &str) {
    let text = text.to_lowercase();
    for word in FORBIDDEN {
        assert!(!text.contains(word), "{place}: {word:?}");
    }
}

#[test]
fn the_askers_texts_are_plain() {
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/console/texts");
    for part in ASKERS_TEXTS {
        for language in ["nl", "en"] {
            let file = texts.join(language).join(format!("{part}.toml"));
            for line in std::fs::read_to_string(file).unwrap().lines() {
                let Some((name, text)) = line.split_once(" = ") else {
                    continue;
                };
                check_words(&format!("{language} {part}.{name}"), text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_brings_back_to_the_same_page() {
    let site = Site::open(3);
    let desk = everything(&site).await;
    let visitor = desk.visitor("pietersen");
    let page = visitor.get("/accessibility?from=here").await;
    let next = page.hidden("next");
    let changed = visitor.post("/language/en", &[("next", &next)]).await;
    assert_eq!(
        (changed.status, changed.header("location")),
        (303, "/accessibility?from=here")
    );
    assert!(
        changed
            .header("set-cookie")
            .starts_with("__Host-language=en; Path=/; Secure; HttpOnly; SameSite=Strict")
    );
    for elsewhere in [
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "/a\r\nx: y",
        "",
    ] {
        let changed = visitor.post("/language/en", &[("next", elsewhere)]).await;
        assert_eq!(
            (changed.status, changed.header("location")),
            (303, "/"),
            "{elsewhere}"
        );
    }
    assert_eq!(visitor.post("/language/de", &[("next", "/")]).await.status, 404);
    let foreign = [
        ("origin", "https://evil.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        visitor
            .send("POST", "/language/en", &foreign, "next=%2F")
            .await
            .status,
        403
    );
}

/// A screen: its width, and whether the person prefers dark pages.
async fn set_screen(browser: &Browser, width: u32, dark: bool) {
    let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    browser
        .devtools("Emulation.setDeviceMetricsOverride", &screen)
        .await;
    let scheme = if dark { "dark" } else { "light" };
    // Without motion: a colour that is changing is neither the one nor the other.
    let media = json!({"media": "", "features": [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]});
    browser.devtools("Emulation.setEmulatedMedia", &media).await;
}

/// The browser goes on in the visitor's own session.
async fn share_session(browser: &Browser, visitor: &Visitor) {
    let (name, value) = visitor.cookie.as_deref().unwrap().split_once('=').unwrap();
    let cookie = json!({"url": visitor.url, "name": name, "value": value, "path": "/", "secure": true, "httpOnly": true});
    let set = browser.devtools("Network.setCookie", &cookie).await;
    assert_eq!(set["success"], true, "{set}");
}

/// How many pixels the page is wider than its window.
const TOO_WIDE: &str = "const root = document.documentElement;
    return Math.max(0, root.scrollWidth - root.clientWidth);";
/// The same with letters of twice the size, and with the space between letters, words and lines of WCAG 1.4.12.
const TOO_WIDE_SPACED: &str = "const root = document.documentElement;
    root.style.fontSize = '200%';
    const large = root.scrollWidth - root.clientWidth;
    root.style.fontSize = '';
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-block-end: 2em !important }');
    document.adoptedStyleSheets = [sheet];
    const spaced = root.scrollWidth - root.clientWidth;
    document.adoptedStyleSheets = [];
    return Math.max(0, large, spaced);";
/// What can get the focus and does not show it, or is too small to hit (links within text aside).
const UNSEEN: &str = r#"const found = [];
    for (const each of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')) {
        if (!each.checkVisibility() || each.disabled || each.type === 'hidden' || each.closest('[aria-hidden="true"]')) continue;
        each.focus({focusVisible: true});
        if (document.activeElement !== each) continue;
        const style = getComputedStyle(each);
        if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) found.push('no focus: ' + each.outerHTML.slice(0, 90));
        const box = each.getBoundingClientRect();
        if (each.matches('button, input, select, nav a') && (box.height < 24 || box.width < 24)) found.push('small: ' + each.outerHTML.slice(0, 90));
    }
    document.activeElement.blur();
    return found;"#;

/// What is wrong with the open page on any screen; leaves pictures.
async fn check_screens(browser: &Browser, page: &Crawled) -> Vec<String> {
    let mut wrong = Vec::new();
    let run = async |script: &str| browser.client.execute(script, vec![]).await.unwrap();
    for dark in [false, true] {
        let theme = if dark { "dark" } else { "light" };
        for width in [1280, 375, 320] {
            set_screen(browser, width, dark).await;
            if width != 375 {
                let found = browser.axe().await;
                wrong.extend(
                    found
                        .into_iter()
                        .map(|rule| format!("{} {width} {theme}: {rule}", page.path)),
                );
            }
            let wider = run(TOO_WIDE).await;
            if wider != 0 {
                wrong.push(format!("{} {width}: {wider} pixels too wide", page.path));
            }
            if width != 320 {
                browser
                    .picture(&format!("look_{}_{width}_{theme}", page.name()))
                    .await;
            }
        }
    }
    // Zoomed to 200 %, a window of 1280 pixels has room for 640; at 400 % for 320.
    for width in [640, 1280] {
        set_screen(browser, width, false).await;
        let wider = run(if width == 640 { TOO_WIDE } else { TOO_WIDE_SPACED }).await;
        if wider != 0 {
            wrong.push(format!(
                "{} enlarged at {width}: {wider} pixels too wide",
                page.path
            ));
        }
    }
    let unseen = run(UNSEEN).await;
    for each in unseen.as_array().unwrap() {
        wrong.push(format!("{}: {each}", page.path));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_suits_every_screen() {
    let site = Site::open(4);
    let desk = everything(&site).await;
    let visitor = desk.visitor("pietersen");
    ask(&site, &visitor).await;
    begin_oversight(&visitor).await;
    let pages = pages(&visitor).await;
    let browser = Browser::open(Look::default()).await;
    share_session(&browser, &visitor).await;
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for page in &pages {
        if !seen.insert(page.name()) {
            continue;
        }
        browser
            .client
            .goto(&format!("{}{}", desk.url, page.path))
            .await
            .unwrap();
        wrong.extend(check_screens(&browser, page).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_paper_and_in_high_contrast_the_words_stay() {
    let site = Site::open(5);
    let desk = everything(&site).await;
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "pietersen", "/accessibility").await;
    let shown = async |selector: &str| {
        let script = format!("return document.querySelector('{selector}').checkVisibility();");
        browser.client.execute(&script, vec![]).await.unwrap()
    };
    assert_eq!(shown(".page-nav").await, true);
    browser
        .devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}))
        .await;
    for hidden in [
        ".page-nav",
        ".page-header__account",
        ".page-header__language",
        ".skip-link",
    ] {
        assert_eq!(shown(hidden).await, false, "{hidden} on paper");
    }
    for kept in ["h1", ".page-header__organisation", ".alert p"] {
        assert_eq!(shown(kept).await, true, "{kept} on paper");
    }
    browser.picture("look_accessibility_print").await;
    let contrast = json!({"media": "", "features": [{"name": "forced-colors", "value": "active"}]});
    browser.devtools("Emulation.setEmulatedMedia", &contrast).await;
    // What the system's own colours make of it is for eyes: axe reads the colours that the style asked for.
    browser.picture("look_accessibility_contrast").await;
    let edge = "const style = getComputedStyle(document.querySelector('.page-header'));
                return matchMedia('(forced-colors: active)').matches && style.borderBottomStyle;";
    assert_eq!(browser.client.execute(edge, vec![]).await.unwrap(), "solid");
}
