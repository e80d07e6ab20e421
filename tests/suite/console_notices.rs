//! Hit notices at the console: a question elsewhere arrives, is seen, and its case muted.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::{Duration, Instant};

use fantoccini::Locator;
use hitmachine_testkit::population::{AgeClass, Person, Register};
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::program::{self, assert_holds_none};
use hitmachine_tests::site::{Answered, Site, Visitor, roles};

/// Who is told.
const TOLD: &str = "regieteams";
/// Who asks.
const ASKS: &str = "schuldhulpverlening";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Adults that the regieteams know.
fn known(site: &Site) -> Vec<&Person> {
    let persons = site.world.population.persons().iter();
    persons
        .filter(|person| {
            person.class == AgeClass::Adult && person.references.contains_key(&Register::Regieteams)
        })
        .collect()
}

fn ask(site: &Site, person: &Person, case: &str) -> u64 {
    let said = program::query(
        &site.world.deployment,
        ASKS,
        site.world.address,
        &person.bsn,
        &["--case", case],
    );
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["persons"][0]["log_index"].as_u64().unwrap() + 1
}

/// Waits until a page says something.
async fn says(visitor: &Visitor, path: &str, text: &str) -> Answered {
    let begun = Instant::now();
    loop {
        let page = visitor.get(path).await;
        if page.body.contains(text) {
            return page;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{path} never says {text}: {}",
            page.body
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the browser's page says something: a click does not wait for the page behind it.
async fn arrives(browser: &Browser, text: &str) {
    let begun = Instant::now();
    while !browser.source().await.contains(text) {
        assert!(begun.elapsed() < PATIENCE, "never {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many are new, as the navigation says.
fn badge(page: &Answered) -> Option<usize> {
    let badge = page.body.split("class=\"badge\"").nth(1)?.split("</a>").next()?;
    let digits: String = badge.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_arrives_is_seen_and_its_case_muted() {
    let site = Site::open(731);
    let desk = site.desk(TOLD).await;
    desk.account("bakker", roles(Some("professional"), false, false));
    desk.account("visser", roles(Some("professional"), false, false));
    desk.account("beheer", roles(None, false, true));
    let (visitor, colleague) = (desk.visitor("bakker"), desk.visitor("visser"));
    let persons = known(&site);
    let reference = persons[0].references[&Register::Regieteams].clone();
    let page = visitor.get("/notices").await;
    assert!(page.body.contains("Er zijn geen hitberichten."), "{}", page.body);

    let entry = ask(&site, persons[0], "ZK-2026-1");
    let path = format!("/notices/{entry}");
    let page = says(&visitor, "/notices", "ZK-2026-1").await;
    for text in [
        reference.as_str(),
        "Schuldhulpverlening",
        "Vermoeden van complexe problematiek",
        ">nieuw<",
    ] {
        assert!(page.body.contains(text), "not “{text}”: {}", page.body);
    }
    assert_eq!(badge(&page), Some(1), "{}", page.body);
    // Everything that could give a number or who asked away.
    let pages = [
        page,
        visitor.get(&path).await,
        visitor.get("/notices?which=all").await,
    ];
    for page in &pages {
        assert_holds_none(&page.body, &[persons[0].bsn.as_bytes(), b"pietersen"]);
    }
    assert!(
        pages[1].body.contains("team schuldhulp, 024 000 00 02"),
        "{}",
        pages[1].body
    );
    assert_eq!(
        badge(&visitor.get("/notices").await),
        Some(1),
        "looking marks nothing"
    );

    // Seen by one is seen for all; by whom stays.
    let answer = visitor.fill(&path, &format!("{path}/seen"), &[]).await;
    assert_eq!(answer.header("location"), format!("{path}?done=seen"));
    let page = colleague.get(&path).await;
    assert!(
        page.body.contains("<dt>Gezien door</dt><dd>bakker, "),
        "{}",
        page.body
    );
    assert_eq!(badge(&page), None, "{}", page.body);
    colleague.fill(&path, &format!("{path}/seen"), &[]).await;
    assert!(
        colleague
            .get(&path)
            .await
            .body
            .contains("<dt>Gezien door</dt><dd>bakker, ")
    );

    // A reason never holds a number, and is not repeated if it does.
    let mute = format!("{path}/mute");
    let bsn = persons[1].bsn.as_str();
    for (reason, says) in [(bsn, "lijkt"), ("a".repeat(201).as_str(), "hoogstens 200 tekens")] {
        let answer = visitor.fill(&path, &mute, &[("reason", reason)]).await;
        assert_eq!(answer.status, 422);
        assert!(
            answer.body.contains(says) && answer.body.contains("<title>Fout: "),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains(bsn));
    }
    let answer = visitor
        .fill(&path, &mute, &[("reason", "wij zijn betrokken <b>")])
        .await;
    assert_eq!(answer.header("location"), format!("{path}?done=muted"));
    let page = colleague.get("/notices/muted").await;
    assert!(
        page.body.contains("ZK-2026-1") && page.body.contains("wij zijn betrokken &#60;b&#62;"),
        "{}",
        page.body
    );

    // A second question of the same case comes muted, of another case it does not.
    let second = ask(&site, persons[1], "ZK-2026-1");
    ask(&site, persons[2], "ZK-2026-2");
    let page = says(&visitor, "/notices", "ZK-2026-2").await;
    assert_eq!(badge(&page), Some(1), "only one is new: {}", page.body);
    assert!(
        !page.body.contains(&format!("/notices/{second}\"")),
        "{}",
        page.body
    );
    let page = visitor.get("/notices?which=all&case=ZK-2026-1").await;
    assert!(
        page.body.contains(&format!("/notices/{second}\"")) && page.body.contains(">gedempt<"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("<td>ZK-2026-2</td>"), "{}", page.body);
    // The case comes from the notice, whatever a form says.
    let page = visitor.get("/notices").await;
    let csrf = page.hidden("csrf");
    let unmute = [("csrf", csrf.as_str()), ("asker", ASKS), ("case", "ZK-2026-1")];
    assert_eq!(
        visitor.post("/notices/unmute", &unmute).await.header("location"),
        "/notices/muted?done=unmuted"
    );
    assert_eq!(visitor.post("/notices/unmute", &unmute).await.status, 404);
    ask(&site, persons[3], "ZK-2026-1");
    says(&visitor, "/notices?which=new", "ZK-2026-1").await;

    // Several at once.
    let page = visitor.get("/notices?which=new").await;
    let entries = page
        .body
        .split("name=\"entry\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let entries: Vec<_> = entries.map(|entry| ("entry", entry)).collect();
    assert_eq!(entries.len(), 2);
    let answer = visitor.fill("/notices", "/notices/seen", &entries).await;
    assert_eq!(answer.header("location"), "/notices?done=seen");
    assert_eq!(badge(&visitor.get("/notices").await), None);

    // What is not there, and who may not look.
    let csrf = visitor.get("/notices").await.hidden("csrf");
    for path in ["/notices/0", "/notices/999999", "/notices/x"] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
        for action in ["seen", "mute"] {
            let answer = visitor
                .post(&format!("{path}/{action}"), &[("csrf", &csrf)])
                .await;
            assert_eq!(answer.status, 404, "{path}/{action}");
        }
    }
    assert_eq!(
        visitor.post(&format!("{path}/seen"), &[]).await.status,
        403,
        "without the session's mark"
    );
    let keeper = desk.visitor("beheer");
    for path in ["/notices", &path, "/notices/muted"] {
        assert_eq!(keeper.get(path).await.status, 403, "{path}");
    }
    assert_eq!(visitor.get(&format!("/notices?case={bsn}")).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_looked_at() {
    let site = Site::open(732);
    let desk = site.desk(TOLD).await;
    desk.account("bakker", roles(Some("professional"), false, false));
    let visitor = desk.visitor("bakker");
    let persons = known(&site);
    let mut last = 0;
    for (number, person) in persons.iter().take(4).enumerate() {
        last = ask(&site, person, &format!("ZK-2026-{number}"));
    }
    says(&visitor, "/notices", "ZK-2026-3").await;
    visitor
        .fill("/notices", &format!("/notices/{last}/seen"), &[])
        .await;
    let path = format!("/notices/{last}");
    for (width, dark) in [(1280, false), (375, true)] {
        let look = Look {
            width,
            dark,
            ..Look::default()
        };
        let browser = Browser::open(look).await;
        let tone = if dark { "dark" } else { "light" };
        for (path, name) in [
            ("/notices", "inbox"),
            (path.as_str(), "one"),
            ("/notices/muted", "muted"),
        ] {
            browser.visit_as(&desk, "bakker", path).await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{name}");
            browser.picture(&format!("notice_{name}_{width}_{tone}")).await;
            let wide = browser
                .client
                .execute("return document.documentElement.scrollWidth", vec![])
                .await
                .unwrap();
            assert!(
                wide.as_u64().unwrap() <= u64::from(width),
                "{name} is {wide} wide"
            );
        }
        if !dark {
            // By hand: the form of a reason that cannot be, and one that can.
            browser.visit_as(&desk, "bakker", &path).await;
            let field = browser.client.find(Locator::Css("#reason")).await.unwrap();
            field.send_keys(&persons[0].bsn).await.unwrap();
            browser
                .client
                .find(Locator::Css("form.form button"))
                .await
                .unwrap()
                .click()
                .await
                .unwrap();
            arrives(&browser, "<title>Fout: ").await;
            assert_eq!(
                browser.axe().await,
                Vec::<String>::new(),
                "a reason that cannot be"
            );
            browser.picture("notice_wrong_1280_light").await;
            let field = browser.client.find(Locator::Css("#reason")).await.unwrap();
            field.send_keys("wij zijn al betrokken").await.unwrap();
            browser
                .client
                .find(Locator::Css("form.form button"))
                .await
                .unwrap()
                .click()
                .await
                .unwrap();
            arrives(&browser, "De zaak is gedempt.").await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "muted");
        }
    }
}
