//! The privacy officer's pages: why they look, searching, one entry and its check, the report for a person, figures, and
//! the check of the whole log.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::key::Key;
use hitmachine_node::control::{Ask, AskPerson, ClassWord, NumberKind, Reply, Request};
use hitmachine_node::source::AgeBracket;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{node_command, run_with_input};
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::program::{Said, assert_holds_none};
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use zeroize::Zeroizing;

const PARTNER: &str = "veiligheidshuis";
const REFERENCE: &str = "kwartaalcontrole 2026-4";
/// Longer than anything here takes on a slow machine.
const LONG: Duration = Duration::from_mins(2);

/// The coordinator asks about one adult.
async fn ask(desk: &Desk, bsn: &str, user: &str, case: &str) {
    let request = Request::Ask(Ask {
        purpose: "screening".into(),
        case: case.into(),
        user: user.into(),
        role: "informatiecoordinator".into(),
        responsible: None,
        persons: vec![AskPerson {
            kind: NumberKind::Bsn,
            number: Zeroizing::new(bsn.to_owned()),
            class: ClassWord::Adult,
            age: AgeBracket::From16,
            reference: None,
        }],
    });
    let reply = desk.node.handle(request, Arc::new(|_| ())).await;
    assert!(matches!(reply, Reply::Asked(_)), "{reply:?}");
}

/// A privacy officer who has said why they look.
async fn officer(desk: &Desk, id: &str) -> Visitor {
    let visitor = desk.visitor(id);
    let said = visitor
        .fill(
            "/officer/reference",
            "/officer/reference",
            &[("reference", REFERENCE), ("next", "/officer")],
        )
        .await;
    assert_eq!((said.status, said.header("location")), (303, "/officer"));
    visitor
}

/// Where a form leads.
async fn follow(visitor: &Visitor, page: &str, path: &str, fields: &[(&str, &str)]) -> (String, Answered) {
    let said = visitor.fill(page, path, fields).await;
    assert_eq!(said.status, 303, "{}", said.body);
    let to = said.header("location").to_owned();
    let shown = visitor.get(&to).await;
    assert_eq!(shown.status, 200, "{to}: {}", shown.body);
    (to, shown)
}

/// The entries of a page of results, in its order.
fn entries(page: &Answered) -> Vec<u64> {
    let links = page
        .body
        .split("<th scope=\"row\" class=\"number\"><a href=\"/officer/entries/")
        .skip(1);
    links
        .map(|link| link.split('"').next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn searching_finds_what_the_command_line_finds() {
    let site = Site::open(31);
    let bsn = site.world.bsn(AgeClass::Adult);
    let desk = site.desk(PARTNER).await;
    for place in 0..30 {
        let user = if place % 3 == 0 { "pietersen" } else { "jansen" };
        ask(&desk, bsn, user, "ZK-2026-77").await;
    }
    // The command line needs the node's state for itself; it waits for a moment, and here for longer.
    drop(desk);
    let line = |arguments: &[&str]| -> Vec<u64> {
        let begun = Instant::now();
        let said = loop {
            let mut command = node_command(&site.world.deployment, PARTNER, site.world.address).unwrap();
            command
                .args(["--json", "audit", "search", "--limit", "200"])
                .args(arguments);
            command.args(["--user", "bakker", "--reference", REFERENCE]);
            let said = Said::of(run_with_input(&mut command, b"").unwrap());
            if said.code == 0 {
                break said;
            }
            assert!(begun.elapsed() < LONG, "{said:?}");
        };
        let rows = said.json()["page"]["rows"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["log_index"].as_u64().unwrap() + 1)
            .collect()
    };
    let of_case = line(&["--case", "ZK-2026-77"]);
    let of_user = line(&["--case", "ZK-2026-77", "--by-user", "jansen"]);
    let desk = site.desk(PARTNER).await;
    desk.account("bakker", roles(None, true, false));
    desk.account("visser", roles(None, true, false));

    // Why one looks comes first, and then the page that was wanted.
    let visitor = desk.visitor("bakker");
    let first = visitor.get("/officer/search").await;
    assert_eq!(
        (first.status, first.header("location")),
        (303, "/officer/reference?next=/officer/search")
    );
    for (reference, word) in [
        ("", "Vul in waarvoor"),
        (bsn, "BSN"),
        (&"x".repeat(65), "64 gewone tekens"),
    ] {
        let fields = [("reference", reference), ("next", "/officer/search")];
        let said = visitor
            .fill("/officer/reference", "/officer/reference", &fields)
            .await;
        assert_eq!(said.status, 422);
        assert!(
            said.body.contains("<title>Fout: ") && said.body.contains(word),
            "{}",
            said.body
        );
        assert!(said.body.contains("aria-invalid=\"true\"") && !said.body.contains(bsn));
    }
    let script = "<script>alert(1)</script>\"'";
    let fields = [("reference", script), ("next", "https://elsewhere.example/")];
    let said = visitor
        .fill("/officer/reference", "/officer/reference", &fields)
        .await;
    assert_eq!(said.header("location"), "/officer", "and nowhere else");
    let form = visitor.get("/officer/search").await;
    assert!(
        form.body.contains("&#60;script&#62;") && !form.body.contains(script),
        "{}",
        form.body
    );

    // What is searched for is in no address; two pages, each fetched once.
    let visitor = officer(&desk, "bakker").await;
    let fields = [
        ("user", "jansen"),
        ("case", "ZK-2026-77"),
        ("outcome", ""),
        ("from", "1-1-2026"),
        ("to", ""),
    ];
    let (all, shown) = follow(
        &visitor,
        "/officer/search",
        "/officer/search",
        &[("case", "ZK-2026-77")],
    )
    .await;
    assert!(!all.contains("ZK") && !all.contains('?'), "{all}");
    assert!(shown.body.contains("vastgelegd als regel") && shown.body.contains("Oudere regels"));
    let beyond = visitor.get(&format!("{all}?page=3")).await;
    assert_eq!(beyond.status, 404, "where it begins is not known yet");
    let second = visitor.get(&format!("{all}?page=2")).await;
    let mut found = entries(&shown);
    assert_eq!(found.len(), 25);
    found.extend(entries(&second));
    assert_eq!(found.len(), 30);
    assert!(!second.body.contains("Oudere regels") && second.body.contains("Nieuwere regels"));
    let again = visitor.get(&all).await;
    let own = |page: &Answered| page.body.split("vastgelegd als regel ").nth(1).unwrap()[..6].to_owned();
    assert_eq!(own(&again), own(&shown), "to look at it again is no new entry");
    assert_eq!(visitor.get(&format!("{all}?page=0")).await.status, 404);
    let (narrow, few) = follow(&visitor, "/officer/search", "/officer/search", &fields).await;
    let few = entries(&few);
    assert_eq!(few.len(), 20);

    // Bad dates, a number where none belongs: said, and the number is not shown again.
    let wrong = [
        ("from", "31-2-2026"),
        ("to", "gisteren"),
        ("user", bsn),
        ("case", script),
    ];
    let said = visitor.fill("/officer/search", "/officer/search", &wrong).await;
    assert_eq!(said.status, 422);
    assert_eq!(said.body.matches("field__error").count(), 3, "{}", said.body);
    assert!(!said.body.contains(bsn) && !said.body.contains(script));
    let turned = [("from", "2-2-2026"), ("to", "1-2-2026")];
    assert!(
        visitor
            .fill("/officer/search", "/officer/search", &turned)
            .await
            .body
            .contains("voor de eerste")
    );

    // A search belongs to its session, also for the same person; the file is another entry.
    for other in [officer(&desk, "visser").await, officer(&desk, "bakker").await] {
        assert_eq!(other.get(&narrow).await.status, 404);
        let stolen = other
            .fill(
                "/officer/search",
                &format!("{narrow}/export"),
                &[("format", "csv")],
            )
            .await;
        assert_eq!(stolen.status, 404);
    }
    let export = async |format: &str| {
        visitor
            .fill(&narrow, &format!("{narrow}/export"), &[("format", format)])
            .await
    };
    let csv = export("csv").await;
    assert!(
        csv.header("content-disposition")
            .starts_with("attachment; filename=\"logregels.csv\"")
    );
    assert_eq!(csv.body.lines().count(), 21, "{}", csv.body);
    let json = export("json").await;
    assert_eq!(json.body.matches("c2sp.org/tlog-proof@v1").count(), 20);
    let ldv = export("ldv").await;
    assert_eq!(ldv.body.lines().count(), 20);
    assert_holds_none(&ldv.body, &[b"jansen", b"ZK-2026"]);
    assert_eq!(export("exe").await.status, 400);
    let (_, taken) = follow(
        &visitor,
        "/officer/search",
        "/officer/search",
        &[("outcome", "officer")],
    )
    .await;
    assert_eq!(
        taken.body.matches("uitvoer naar bestand").count(),
        2,
        "{}",
        taken.body
    );
    assert_eq!(taken.body.matches("uitvoer LDV").count(), 1);

    assert_eq!(found, of_case, "the command line finds the same");
    assert_eq!(few, of_user);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_shown_checked_and_reviewed() {
    let site = Site::open(32);
    let desk = site.desk(PARTNER).await;
    desk.account("bakker", roles(None, true, false));
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, true));
    let bsn = site.world.bsn(AgeClass::Adult);
    for _ in 0..3 {
        ask(&desk, bsn, "pietersen", "<b>ZK</b>-1").await;
    }
    // Nobody else gets here.
    let (asker, stranger) = (desk.visitor("pietersen"), desk.stranger());
    for path in [
        "/officer",
        "/officer/reference",
        "/officer/search",
        "/officer/entries/1",
        "/officer/entries/1/proof",
        "/officer/person",
        "/officer/overview",
        "/officer/check",
    ] {
        assert_eq!(asker.get(path).await.status, 403, "{path}");
        assert_eq!(stranger.get(path).await.status, 303, "{path}");
        assert!(
            stranger
                .get(path)
                .await
                .header("location")
                .starts_with("/sign-in")
        );
    }
    let csrf = asker.get("/").await.hidden("csrf");
    for path in [
        "/officer/search",
        "/officer/person",
        "/officer/check",
        "/officer/entries/1/check",
        "/officer/entries/1/review",
    ] {
        assert_eq!(asker.post(path, &[("csrf", &csrf)]).await.status, 403, "{path}");
    }

    let visitor = officer(&desk, "bakker").await;
    let page = visitor.get("/officer/entries/2").await;
    for part in [
        "Logregel 2",
        "pietersen",
        "Grondslag",
        "Wat de instanties antwoordden",
        "&#60;b&#62;ZK",
        "Vorige regel",
        "Volgende regel",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    assert!(!page.body.contains("<b>ZK"));
    // What is not there is not there, and no alarm about the hub.
    for path in [
        "/officer/entries/0",
        "/officer/entries/99999",
        "/officer/entries/x",
        "/officer/entries/-1",
        "/officer/entries/99999/proof",
    ] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
    }
    let proof = visitor.get("/officer/entries/2/proof").await;
    assert!(proof.body.starts_with("c2sp.org/tlog-proof@v1\n"));
    assert!(proof.header("content-disposition").contains("2.tlog-proof"));

    // Every step, as soon as the log is published as far as this.
    let begun = Instant::now();
    loop {
        let (to, checked) = follow(&visitor, "/officer/entries/2", "/officer/entries/2/check", &[]).await;
        assert_eq!(to, "/officer/entries/2/check");
        assert!(!checked.body.contains("klopt niet"), "{}", checked.body);
        if checked.body.contains("Alle stappen zijn goed") {
            assert_eq!(checked.body.matches("step--done").count(), 4);
            assert!(checked.body.contains("niet gevraagd"), "no partners cosign here");
            break;
        }
        assert!(begun.elapsed() < LONG, "{}", checked.body);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let never = visitor.get("/officer/entries/3/check").await;
    assert_eq!(never.header("location"), "/officer/entries/3");

    // A note: mistakes are said and nothing typed is lost, but for a number.
    let review = "/officer/entries/2/review";
    let wrong = visitor
        .fill(
            "/officer/entries/2",
            review,
            &[("verdict", ""), ("note", "wat ik vond")],
        )
        .await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("<title>Fout: ") && wrong.body.contains("wat ik vond</textarea>"));
    let number = format!("over {bsn}");
    let wrong = visitor
        .fill(
            "/officer/entries/2",
            review,
            &[("verdict", "breach"), ("note", &number)],
        )
        .await;
    assert!(
        wrong.status == 422 && !wrong.body.contains(bsn) && wrong.body.contains("value=\"breach\" checked")
    );
    let (to, done) = follow(
        &visitor,
        "/officer/entries/2",
        review,
        &[("verdict", "in_order"), ("note", "akkoord")],
    )
    .await;
    assert_eq!(to, "/officer/entries/2");
    assert!(done.body.contains("U hebt deze regel beoordeeld") && done.body.contains("In orde"));
    let (_, found) = follow(
        &visitor,
        "/officer/search",
        "/officer/search",
        &[("outcome", "officer")],
    )
    .await;
    assert_eq!(found.body.matches(">beoordeling<").count(), 1, "{}", found.body);
    let status = desk.node.status(true).await;
    assert!(status.alarms.is_empty(), "{:?}", status.alarms);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_figures_and_the_whole_log() {
    let mut site = Site::open(33);
    let desk = site.desk(PARTNER).await;
    desk.account("bakker", roles(None, true, false));
    let bsn = site.world.bsn(AgeClass::Adult);
    for _ in 0..2 {
        ask(&desk, bsn, "pietersen", "ZK-2026-77").await;
    }
    let visitor = officer(&desk, "bakker").await;

    // A person: wrong numbers are said, the right one is nowhere.
    for (number, kind) in [("", "bsn"), ("123", "bsn"), ("x", "skn")] {
        let said = visitor
            .fill(
                "/officer/person",
                "/officer/person",
                &[("kind", kind), ("number", number)],
            )
            .await;
        assert!(
            said.status == 422 && said.body.contains("id=\"number-error\""),
            "{}",
            said.body
        );
        assert!(said.body.contains("name=\"number\" type=\"text\" value=\"\""));
    }
    let fields = [("kind", "bsn"), ("number", bsn), ("name", "Verzoek 12")];
    let (report, shown) = follow(&visitor, "/officer/person", "/officer/person", &fields).await;
    for part in [
        "Verzoek 12",
        "Wat er is gevraagd",
        "Wat niet in dit overzicht staat",
        "AVG artikel 15",
    ] {
        assert!(shown.body.contains(part), "{part} in {}", shown.body);
    }
    let mut sources = vec![shown.body];
    let json = visitor.get(&format!("{report}/overzicht.json")).await;
    let value: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(value["rows"].as_array().unwrap().len(), 2);
    let csv = visitor.get(&format!("{report}/overzicht.csv")).await;
    assert_eq!(csv.body.lines().count(), 3);
    let html = visitor.get(&format!("{report}/overzicht.html")).await;
    assert!(html.header("content-disposition").starts_with("attachment"));
    sources.extend([json.body, csv.body, html.body]);
    for source in &sources {
        assert_holds_none(source, &[bsn.as_bytes(), b"pietersen", b"ZK-2026-77"]);
    }
    assert_eq!(visitor.get(&format!("{report}/overzicht.exe")).await.status, 404);
    assert_eq!(
        officer(&desk, "bakker").await.get(&report).await.status,
        404,
        "another session"
    );
    let (_, found) = follow(
        &visitor,
        "/officer/search",
        "/officer/search",
        &[("outcome", "officer")],
    )
    .await;
    assert_eq!(
        found.body.matches("overzicht voor een persoon").count(),
        1,
        "asked once: {}",
        found.body
    );

    // Figures.
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let wrong = [("year", year.as_str()), ("quarter", "0"), ("threshold", "1")];
    assert_eq!(
        visitor
            .fill("/officer/overview", "/officer/overview", &wrong)
            .await
            .status,
        422
    );
    let fields = [("year", year.as_str()), ("quarter", "0"), ("threshold", "")];
    let (overview, shown) = follow(&visitor, "/officer/overview", "/officer/overview", &fields).await;
    assert!(
        shown.body.contains("<svg class=\"chart\"") && !shown.body.contains("<style"),
        "{}",
        shown.body
    );
    let months = visitor.get(&format!("{overview}/months.csv")).await;
    assert_eq!(months.status, 200, "{}", shown.body);
    assert_eq!(visitor.get(&format!("{overview}/other.csv")).await.status, 404);

    // The dashboard counts what there is, and keeps it.
    let board = visitor.get("/officer").await;
    assert_eq!(board.status, 200, "{}", board.body);
    assert!(
        board.body.contains("Er zijn geen open alarmen")
            && board.body.contains("nog geen volledige controle")
    );
    assert!(board.body.contains("<dt>Vragen</dt><dd>2</dd>"), "{}", board.body);
    ask(&desk, bsn, "pietersen", "ZK-2026-77").await;
    assert!(
        visitor
            .get("/officer")
            .await
            .body
            .contains("<dt>Vragen</dt><dd>2</dd>")
    );
    let (_, fresh) = follow(&visitor, "/officer", "/officer/refresh", &[]).await;
    assert!(fresh.body.contains("<dt>Vragen</dt><dd>3</dd>"), "{}", fresh.body);

    // The whole log: right, once it is published.
    let begun = Instant::now();
    loop {
        follow(&visitor, "/officer/check", "/officer/check", &[]).await;
        let shown = loop {
            let shown = visitor.get("/officer/check").await;
            if !shown.body.contains("De controle loopt") {
                break shown;
            }
            assert!(begun.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(!shown.body.contains("status--error"), "{}", shown.body);
        if shown
            .body
            .contains("Laatste controle: <span class=\"status status--ok\">")
        {
            assert!(shown.body.contains("Logboek en journaal stemmen overeen"));
            break;
        }
        assert!(begun.elapsed() < LONG, "{}", shown.body);
    }
    assert!(
        !visitor
            .get("/officer")
            .await
            .body
            .contains("nog geen volledige controle")
    );

    // Without the hub: what is known is said, and so is what is not.
    assert_eq!(site.broker.take().unwrap().stop().unwrap(), Some(0));
    let visitor = officer(&desk, "bakker").await;
    let board = visitor.get("/officer").await;
    assert_eq!(board.status, 200, "{}", board.body);
    assert!(
        board.body.contains("De aantallen zijn nu niet op te halen") && board.body.contains("niet zeker")
    );
    assert_eq!(visitor.get("/officer/entries/1").await.status, 503);
    assert_eq!(visitor.get(&report).await.status, 404, "of another session");
}

/// Presses Tab until what has the focus fits.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..120 {
        let script = "return document.activeElement !== document.body && document.activeElement.matches(arguments[0]);";
        let here = browser
            .client
            .execute(script, vec![selector.into()])
            .await
            .unwrap();
        if here == true {
            return;
        }
        press(browser, &Key::Tab.to_string()).await;
    }
    panic!(
        "nothing like {selector} can be reached: {}",
        browser.source().await
    );
}

async fn press(browser: &Browser, keys: &str) {
    let focused = browser.client.active_element().await.unwrap();
    focused.send_keys(keys).await.unwrap();
}

async fn heading(browser: &Browser, text: &str) {
    let begun = Instant::now();
    loop {
        if let Ok(heading) = browser.client.find(Locator::Css("h1")).await
            && heading.text().await.is_ok_and(|found| found.contains(text))
        {
            return;
        }
        assert!(
            begun.elapsed() < LONG,
            "no heading {text}: {}",
            browser.source().await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewing_by_keyboard_alone() {
    let site = Site::open(34);
    let desk = site.desk(PARTNER).await;
    desk.account("bakker", roles(None, true, false));
    let bsn = site.world.bsn(AgeClass::Adult);
    for _ in 0..3 {
        ask(&desk, bsn, "pietersen", "ZK-2026-77").await;
    }
    let enter = Key::Enter.to_string();
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "bakker", "/officer").await;
    heading(&browser, "Waarvoor kijkt u?").await;
    tab_to(&browser, "#reference").await;
    press(&browser, REFERENCE).await;
    press(&browser, &enter).await;
    heading(&browser, "Toezicht").await;
    tab_to(&browser, ".tabs a[href='/officer/search']").await;
    press(&browser, &enter).await;
    heading(&browser, "Zoeken in het logboek").await;
    tab_to(&browser, "#case").await;
    press(&browser, "ZK-2026-77").await;
    press(&browser, &enter).await;
    heading(&browser, "Gevonden logregels").await;
    tab_to(&browser, "td a, th a").await;
    press(&browser, &enter).await;
    heading(&browser, "Logregel").await;
    tab_to(&browser, "form[action$='/check'] button").await;
    press(&browser, &enter).await;
    heading(&browser, "Controle van logregel").await;
    tab_to(&browser, "main > p a[href^='/officer/entries/']").await;
    press(&browser, &enter).await;
    heading(&browser, "Logregel").await;
    tab_to(&browser, "input[name=verdict]").await;
    press(&browser, " ").await;
    tab_to(&browser, "#note").await;
    press(&browser, "akkoord").await;
    tab_to(&browser, "form[action$='/review'] button").await;
    press(&browser, &enter).await;
    let begun = Instant::now();
    while !browser.source().await.contains("U hebt deze regel beoordeeld") {
        assert!(begun.elapsed() < LONG, "{}", browser.source().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every page of this part, with something on it.
async fn pages(desk: &Desk, browser: &Browser, bsn: &str) -> Vec<(&'static str, String)> {
    // Searches and reports belong to the browser's own session.
    let (name, _) = desk.session("bakker");
    let cookie = browser.client.get_named_cookie(&name).await.unwrap();
    let mut visitor = desk.stranger();
    visitor.cookie = Some(format!("{name}={}", cookie.value()));
    let to = [("reference", REFERENCE), ("next", "/officer")];
    visitor
        .fill("/officer/reference", "/officer/reference", &to)
        .await;
    let found = follow(
        &visitor,
        "/officer/search",
        "/officer/search",
        &[("case", "ZK-2026-77")],
    )
    .await;
    let fields = [("kind", "bsn"), ("number", bsn), ("name", "Verzoek 12")];
    let report = follow(&visitor, "/officer/person", "/officer/person", &fields).await;
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let fields = [("year", year.as_str()), ("quarter", "0"), ("threshold", "")];
    let overview = follow(&visitor, "/officer/overview", "/officer/overview", &fields).await;
    follow(&visitor, "/officer/entries/2", "/officer/entries/2/check", &[]).await;
    follow(&visitor, "/officer/check", "/officer/check", &[]).await;
    vec![
        ("reference", "/officer/reference".into()),
        ("dashboard", "/officer".into()),
        ("search", "/officer/search".into()),
        ("results", found.0),
        ("entry", "/officer/entries/2".into()),
        ("entry_check", "/officer/entries/2/check".into()),
        ("person", "/officer/person".into()),
        ("report", report.0),
        ("overview", "/officer/overview".into()),
        ("overview_result", overview.0),
        ("check", "/officer/check".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_accessible() {
    let site = Site::open(35);
    let desk = site.desk(PARTNER).await;
    desk.account("bakker", roles(None, true, false));
    let bsn = site.world.bsn(AgeClass::Adult);
    for _ in 0..28 {
        ask(&desk, bsn, "pietersen", "ZK-2026-77").await;
    }
    for (width, dark, look) in [
        (1280, false, "1280_light"),
        (375, false, "375_light"),
        (1280, true, "1280_dark"),
        (375, true, "375_dark"),
    ] {
        let browser = Browser::open(Look {
            width,
            dark,
            ..Look::default()
        })
        .await;
        browser.visit_as(&desk, "bakker", "/account").await;
        for (name, path) in pages(&desk, &browser, bsn).await {
            browser.client.goto(&format!("{}{path}", desk.url)).await.unwrap();
            browser.picture(&format!("officer_{name}_{look}")).await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{name} {look}");
            let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth;";
            let surplus = browser.client.execute(wide, vec![]).await.unwrap();
            assert_eq!(surplus, 0, "{name} {look} scrolls sideways");
            assert_holds_none(&browser.source().await, &[bsn.as_bytes()]);
        }
        // A form with mistakes.
        browser
            .client
            .goto(&format!("{}/officer/search", desk.url))
            .await
            .unwrap();
        browser
            .client
            .find(Locator::Css("#from"))
            .await
            .unwrap()
            .send_keys("gisteren\n")
            .await
            .unwrap();
        browser
            .client
            .wait()
            .for_element(Locator::Css(".error-summary"))
            .await
            .unwrap();
        browser.picture(&format!("officer_search_wrong_{look}")).await;
        assert_eq!(browser.axe().await, Vec::<String>::new(), "{look}");
    }
}
