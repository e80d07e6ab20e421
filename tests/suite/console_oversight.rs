//! The privacy officer's sample, alarms, notifications, covenant and erasure, with a real hub.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use fantoccini::Locator;
use fantoccini::key::Key;
use hitmachine_identifier::{Admission, Bsn};
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::officer::task::{OfficerAsk, Task};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::screening;
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use hitmachine_tests::world::World;
use jiff::ToSpan as _;

const SCRIPT: &str = "<script>alert(1)</script>";
const PAGES: [&str; 8] = [
    "/officer/sample",
    "/officer/sample/new",
    "/officer/alarms",
    "/officer/alarms/notices",
    "/officer/notifications",
    "/officer/covenant",
    "/officer/erasure",
    "/officer/erasure/erase",
];

fn holds(page: &Answered, parts: &[&str]) {
    for part in parts {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
}

/// An officer who has said why they look.
async fn officer(desk: &Desk) -> Visitor {
    let visitor = desk.visitor("functionaris");
    let fields = [("reference", "AVG-2026-1"), ("next", "/officer/covenant")];
    let given = visitor
        .fill("/officer/reference", "/officer/reference", &fields)
        .await;
    assert_eq!(
        (given.status, given.header("location")),
        (303, "/officer/covenant"),
        "{}",
        given.body
    );
    visitor
}

async fn asked(desk: &Desk, bsn: &str) {
    desk.node
        .inquirer()
        .ask(&screening(&desk.node, bsn, "1980-01-01"))
        .await
        .unwrap();
}

/// Where a page sends on to.
fn to(answered: &Answered) -> &str {
    assert_eq!(answered.status, 303, "{}", answered.body);
    answered.header("location")
}

#[tokio::test(flavor = "multi_thread")]
async fn these_pages_are_the_officers_and_need_a_reference() {
    let site = Site::open(781);
    let desk = site.desk(COORDINATOR).await;
    desk.account("functionaris", roles(None, true, false));
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, true));
    let (fresh, other) = (desk.visitor("functionaris"), desk.visitor("pietersen"));
    for path in PAGES {
        assert!(
            to(&desk.stranger().get(path).await).starts_with("/sign-in"),
            "{path}"
        );
        assert!(
            to(&fresh.get(path).await).starts_with("/officer/reference?next=/officer"),
            "{path}"
        );
        assert_eq!(other.get(path).await.status, 403, "{path}");
    }
    let visitor = officer(&desk).await;
    for path in PAGES {
        let page = visitor.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
    }
    let csrf = other.get("/").await.hidden("csrf");
    for path in [
        "/officer/sample",
        "/officer/sample/1/review",
        "/officer/alarms/1/seen",
        "/officer/alarms/1/lift",
        "/officer/notifications/letters",
        "/officer/notifications/sent",
        "/officer/notifications/close",
        "/officer/notifications/1/defer",
        "/officer/notifications/1/not-needed",
        "/officer/erasure",
        "/officer/erasure/erase",
    ] {
        let fields = [("csrf", csrf.as_str()), ("sure", "yes"), ("form", "csv")];
        assert_eq!(other.post(path, &fields).await.status, 403, "{path}");
        assert_eq!(
            visitor.post(path, &[("csrf", "x")]).await.status,
            403,
            "{path} without its form"
        );
    }
    for path in [
        "/officer/sample/7",
        "/officer/sample/0",
        "/officer/sample/x",
        "/officer/sample/sample.csv",
        "/officer/alarms/7",
        "/officer/notifications/7",
        "/officer/notifications/x",
        "/officer/covenant/0000/covenant.toml",
    ] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_looked_at_one_by_one() {
    let site = Site::open(782);
    let desk = site.desk(COORDINATOR).await;
    desk.account("functionaris", roles(None, true, false));
    let bsn = site.world.bsn(AgeClass::Adult).to_owned();
    for _ in 0..3 {
        asked(&desk, &bsn).await;
    }
    let visitor = officer(&desk).await;
    let draw = async |fields: &[(&str, &str)]| {
        visitor
            .fill("/officer/sample/new", "/officer/sample", fields)
            .await
    };
    for (fields, field) in [
        ([("count", "0"), ("from", ""), ("to", "")], "count"),
        ([("count", SCRIPT), ("from", ""), ("to", "")], "count"),
        ([("count", "5"), ("from", "31-02-2026"), ("to", "")], "from"),
        ([("count", "5"), ("from", "2-1-2026"), ("to", "1-1-2026")], "to"),
    ] {
        let wrong = draw(&fields).await;
        assert_eq!(wrong.status, 422);
        holds(
            &wrong,
            &[
                "<title>Fout: ",
                "role=\"alert\"",
                &format!("href=\"#{field}\""),
                "aria-invalid",
            ],
        );
        assert!(!wrong.body.contains(SCRIPT));
    }
    let none = draw(&[("count", "5"), ("from", "1-1-2020"), ("to", "2-1-2020")]).await;
    assert_eq!(to(&none), "/officer/sample");
    holds(
        &visitor.get("/officer/sample").await,
        &["zijn geen vragen gevonden"],
    );
    assert_eq!(
        to(&draw(&[("count", "5"), ("from", ""), ("to", "")]).await),
        "/officer/sample"
    );
    let list = visitor.get("/officer/sample").await;
    holds(
        &list,
        &["0 van 3 bekeken", "nog niet bekeken", "vastgelegd als regel"],
    );
    let first = list.body.split("button--primary\" href=\"").nth(1).unwrap();
    let first = first.split('"').next().unwrap().to_owned();

    // The same address in another session, and a number that was not drawn, lead nowhere.
    let second = officer(&desk).await;
    assert_eq!(second.get(&first).await.status, 404);
    assert_eq!(visitor.get("/officer/sample/99999").await.status, 404);
    let review = format!("{first}/review");
    let judge = async |fields: &[(&str, &str)]| visitor.fill(&first, &review, fields).await;
    let wrong = judge(&[("note", "akkoord")]).await;
    assert_eq!(wrong.status, 422);
    holds(&wrong, &["href=\"#verdict\"", "akkoord"]);
    let wrong = judge(&[("verdict", "in_order"), ("note", &format!("bsn {bsn}"))]).await;
    assert_eq!(wrong.status, 422);
    assert!(!wrong.body.contains(&bsn), "never shown again");
    let next = judge(&[("verdict", "breach"), ("note", SCRIPT)]).await;
    assert!(
        to(&next).starts_with("/officer/sample/") && to(&next) != first,
        "{}",
        to(&next)
    );
    let page = visitor.get(&first).await;
    assert!(!page.body.contains(SCRIPT), "{}", page.body);
    holds(&page, &["overtreding", "&#60;script&#62;"]);
    let list = visitor.get("/officer/sample").await;
    holds(&list, &["1 van 3 bekeken", "overtreding"]);
    let csv = visitor.get("/officer/sample/sample.csv").await;
    assert_eq!(csv.body.lines().count(), 4);
    holds(&csv, &["breach", "tester"]);
    assert!(!csv.body.contains(&bsn));

    // With the keyboard alone: reference, draw, verdict and note.
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "functionaris", "/officer/sample").await;
    let client = &browser.client;
    let press = async |keys: String| {
        client
            .active_element()
            .await
            .unwrap()
            .send_keys(&keys)
            .await
            .unwrap();
    };
    let tab_to = async |id: &str| {
        for _ in 0..60 {
            let element = client.active_element().await.unwrap();
            if element.attr("id").await.unwrap().as_deref() == Some(id) {
                return;
            }
            element.send_keys(&Key::Tab).await.unwrap();
        }
        panic!("the keyboard does not reach {id}");
    };
    tab_to("reference").await;
    press(format!("kwartaalcontrole{}", char::from(Key::Enter))).await;
    client.wait().for_element(Locator::Id("count")).await.unwrap();
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("oversight_sample_new_1280_light").await;
    tab_to("count").await;
    press(char::from(Key::Enter).into()).await;
    client.wait().for_element(Locator::Id("seen")).await.unwrap();
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("oversight_sample_1280_light").await;
    client
        .find(Locator::Css("a.button--primary"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    client.wait().for_element(Locator::Id("verdict")).await.unwrap();
    tab_to("verdict").await;
    press(" ".into()).await;
    tab_to("note").await;
    press("gezien".into()).await;
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("oversight_sample_entry_1280_light").await;
    press(char::from(Key::Tab).into()).await;
    press(char::from(Key::Enter).into()).await;
    client
        .wait()
        .for_element(Locator::Css("[role=status]"))
        .await
        .unwrap();
    assert!(browser.source().await.contains("is vastgelegd als regel"));
}

/// A number that is valid and nobody's.
fn number(rng: &mut Rng, world: &World, admission: &Admission) -> String {
    let taken = |bsn: &str| world.population.persons().iter().any(|person| person.bsn == bsn);
    loop {
        let bsn = format!("9999{:05}", rng.below(100_000));
        if Bsn::parse(&bsn, admission).is_ok() && !taken(&bsn) {
            return bsn;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_seen_and_its_stop_lifted_and_without_the_hub_nothing_is_made_up() {
    let world = World::new(783);
    let path = world.deployment.covenant();
    let text = std::fs::read_to_string(&path).unwrap();
    let rule = "[alarms]\nenumeration_window = 20\nenumeration_hits = 1\n";
    std::fs::write(&path, text.replace("[alarms]\n", rule)).unwrap();
    let broker = world.broker();
    world.sync_all();
    let mut site = Site {
        world,
        broker: Some(broker),
    };
    let desk = site.desk(COORDINATOR).await;
    desk.account("functionaris", roles(None, true, false));
    let admission = desk.node.config().admission().unwrap();
    let mut rng = Rng::new(1);
    let mut tried = 0;
    loop {
        let bsn = number(&mut rng, &site.world, &admission);
        let question = screening(&desk.node, &bsn, "1980-01-01");
        let answer = desk.node.inquirer().ask(&question).await.unwrap();
        if matches!(
            answer.persons[0].outcome,
            hitmachine_proto::answer::Outcome::Refused(_)
        ) {
            break;
        }
        tried += 1;
        assert!(tried < 400, "nobody is stopped");
    }
    let visitor = officer(&desk).await;
    let list = visitor.get("/officer/alarms").await;
    holds(
        &list,
        &[
            "nummers te worden geprobeerd",
            "vragen gestopt",
            ": tester",
            "vastgelegd als regel",
        ],
    );
    let one = list.body.split("button--secondary\" href=\"").nth(1).unwrap();
    let one = one.split('"').next().unwrap().to_owned();
    assert_eq!(
        officer(&desk).await.get(&one).await.status,
        404,
        "another session's"
    );
    let seen = format!("{one}/seen");
    let wrong = visitor.fill(&one, &seen, &[("note", "")]).await;
    assert_eq!(wrong.status, 422);
    holds(&wrong, &["<title>Fout: ", "href=\"#note\""]);
    assert_eq!(
        to(&visitor.fill(&one, &seen, &[("note", SCRIPT)]).await),
        "/officer/alarms"
    );
    let list = visitor.get("/officer/alarms").await;
    holds(
        &list,
        &["is gezien. Dit is vastgelegd als regel", "vragen gestopt"],
    );
    assert!(!list.body.contains(SCRIPT));
    // Said once.
    assert!(
        !visitor
            .get("/officer/alarms")
            .await
            .body
            .contains("is gezien. Dit")
    );

    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "functionaris", "/officer/alarms").await;
    let client = &browser.client;
    client
        .find(Locator::Id("reference"))
        .await
        .unwrap()
        .send_keys("toezicht")
        .await
        .unwrap();
    client
        .find(Locator::Css("main button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    client.wait().for_element(Locator::Id("open")).await.unwrap();
    let pages = [
        ("/officer/alarms", "alarms"),
        (one.as_str(), "alarm"),
        ("/officer/alarms/notices", "notices"),
        ("/officer/covenant", "covenant"),
        ("/officer/erasure", "erasure"),
        ("/officer/erasure/erase", "erase"),
    ];
    for (path, name) in pages {
        client.goto(&format!("{}{path}", desk.url)).await.unwrap();
        assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}");
        browser.picture(&format!("oversight_{name}_1280_light")).await;
    }

    let lift = format!("{one}/lift");
    let wrong = visitor.fill(&one, &lift, &[("lift_note", "")]).await;
    holds(&wrong, &["href=\"#lift_note\""]);
    assert_eq!(
        to(&visitor.fill(&one, &lift, &[("lift_note", "was een proef")]).await),
        "/officer/alarms"
    );
    holds(
        &visitor.get("/officer/alarms").await,
        &["geen open alarmen", "Vragen zijn weer toegestaan"],
    );
    assert_eq!(
        visitor
            .fill(&one, &lift, &[("lift_note", "nog eens")])
            .await
            .status,
        404,
        "it stops nobody"
    );
    holds(
        &visitor.get("/officer/alarms/alarms.csv").await,
        &["enumeration", "tester"],
    );
    let notices = visitor.get("/officer/alarms/notices").await;
    holds(&notices, &["dagen volgt een alarm"]);
    holds(
        &visitor.get("/officer/alarms/notices.json").await,
        &["\"partners\""],
    );

    // What was erased, and what is erased when. The hub lets made-up data be erased early, at a terminal.
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let ask = OfficerAsk {
        user: "functionaris".into(),
        role: "privacyfunctionaris".into(),
        responsible: None,
        reference: "proef".into(),
        task: Task::Erase { up_to: month },
    };
    let before = visitor.get("/officer/erasure").await;
    holds(
        &before,
        &["nog niets gewist", "60 maanden", "Screening van de Top-150"],
    );
    let quiet = std::sync::Arc::new(|_| ());
    let reply = desk.node.handle(Request::Officer(Box::new(ask)), quiet).await;
    assert!(matches!(reply, Reply::Officer(_)), "{reply:?}");
    assert_eq!(
        visitor.get("/officer/erasure").await.body,
        before.body,
        "kept until it is asked for anew"
    );
    assert_eq!(
        to(&visitor.fill("/officer/erasure", "/officer/erasure", &[]).await),
        "/officer/erasure"
    );
    let after = visitor.get("/officer/erasure").await;
    holds(&after, &["op last"]);
    let unsure = visitor
        .fill("/officer/erasure/erase", "/officer/erasure/erase", &[])
        .await;
    assert_eq!(unsure.status, 422);
    holds(&unsure, &["href=\"#sure\""]);
    let sure = [("sure", "yes")];
    let erased = visitor
        .fill("/officer/erasure/erase", "/officer/erasure/erase", &sure)
        .await;
    assert_eq!(to(&erased), "/officer/erasure");
    holds(
        &visitor.get("/officer/erasure").await,
        &["Er was niets te wissen. Dit is vastgelegd als regel"],
    );

    // The covenant as it is held.
    let covenant = visitor.get("/officer/covenant").await;
    holds(
        &covenant,
        &[
            "Screening van de Top-150",
            "hoogstens 1 hits",
            "Het eerste convenant",
        ],
    );
    let file = visitor.get("/officer/covenant/covenant.toml").await;
    assert_eq!(file.body, std::fs::read_to_string(&path).unwrap());

    // Without the hub: what is known here is there, the rest is said not to be known.
    site.broker.take().unwrap().kill().unwrap();
    let alarms = visitor.get("/officer/alarms").await;
    assert_eq!(alarms.status, 503);
    holds(&alarms, &["Het logboek is nu niet te lezen"]);
    assert!(!alarms.body.contains("geen open alarmen"), "{}", alarms.body);
    assert_eq!(visitor.get("/officer/alarms/notices").await.status, 503);
    assert_eq!(visitor.get("/officer/covenant").await.status, 200);
    assert_eq!(visitor.get("/officer/notifications").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_asked_about_is_told() {
    let site = Site::open(784);
    let desk = site
        .desk_with(COORDINATOR, |config| config.notification.keep_number = true)
        .await;
    desk.account("functionaris", roles(None, true, false));
    let persons: Vec<String> = site
        .world
        .population
        .persons()
        .iter()
        .take(4)
        .map(|person| person.bsn.clone())
        .collect();
    for bsn in &persons {
        asked(&desk, bsn).await;
    }
    let visitor = officer(&desk).await;
    let list = visitor.get("/officer/notifications").await;
    holds(&list, &["te versturen", "ZK-2026-1", "id=\"select-4\""]);
    for bsn in &persons {
        assert!(!list.body.contains(bsn.as_str()), "a number in a list");
    }
    // The file for letters has the numbers, and the list as a file has not.
    let csv = visitor
        .fill(
            "/officer/notifications",
            "/officer/notifications/letters",
            &[("form", "csv")],
        )
        .await;
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"letters.csv\""
    );
    holds(&csv, &[persons[0].as_str(), persons[3].as_str()]);
    let letters = visitor
        .fill(
            "/officer/notifications",
            "/officer/notifications/letters",
            &[("form", "text")],
        )
        .await;
    assert_eq!(letters.body.matches("Onderwerp: ").count(), 4, "{}", letters.body);
    let file = visitor.get("/officer/notifications/list.csv").await;
    assert!(!file.body.contains(persons[0].as_str()));
    assert_eq!(file.body.lines().count(), 5);

    let one = "/officer/notifications/1";
    assert_eq!(visitor.get(one).await.status, 200);
    let (defer, until) = (
        format!("{one}/defer"),
        hitmachine_tests::today().saturating_add(1.month()),
    );
    let until = until.strftime("%d-%m-%Y").to_string();
    let send = async |path: &str, fields: &[(&str, &str)]| visitor.fill(one, path, fields).await;
    let bsn_note = format!("bel {}", persons[0]);
    for (fields, field) in [
        (
            [
                ("defer_reason", ""),
                ("until", until.as_str()),
                ("defer_note", ""),
            ],
            "defer_reason",
        ),
        (
            [
                ("defer_reason", "secrecy"),
                ("until", "morgen"),
                ("defer_note", SCRIPT),
            ],
            "until",
        ),
        (
            [
                ("defer_reason", "secrecy"),
                ("until", "1-1-2020"),
                ("defer_note", ""),
            ],
            "until",
        ),
        (
            [
                ("defer_reason", "public_interest"),
                ("until", until.as_str()),
                ("defer_note", ""),
            ],
            "defer_note",
        ),
        (
            [
                ("defer_reason", "secrecy"),
                ("until", until.as_str()),
                ("defer_note", bsn_note.as_str()),
            ],
            "defer_note",
        ),
    ] {
        let wrong = send(&defer, &fields).await;
        assert_eq!(wrong.status, 422, "{fields:?}");
        holds(&wrong, &["<title>Fout: ", &format!("href=\"#{field}\"")]);
        assert!(
            !wrong.body.contains(SCRIPT) && !wrong.body.contains(persons[0].as_str()),
            "{fields:?}"
        );
    }
    let fields = [
        ("defer_reason", "secrecy"),
        ("until", until.as_str()),
        ("defer_note", SCRIPT),
    ];
    assert_eq!(to(&send(&defer, &fields).await), "/officer/notifications");
    holds(
        &visitor.get("/officer/notifications").await,
        &["is uitgesteld tot"],
    );
    holds(
        &visitor.get("/officer/notifications?show=deferred").await,
        &["uitgesteld tot"],
    );
    let page = visitor.get(one).await;
    holds(&page, &["beroepsgeheim", "&#60;script&#62;", "functionaris"]);
    let not_needed = "/officer/notifications/2/not-needed";
    assert_eq!(
        send(not_needed, &[("reason", "impossible"), ("note", "")])
            .await
            .status,
        422
    );
    assert_eq!(
        to(&send(not_needed, &[("reason", "deceased"), ("note", "")]).await),
        "/officer/notifications"
    );
    let none = visitor
        .fill("/officer/notifications", "/officer/notifications/sent", &[])
        .await;
    assert_eq!(none.status, 422);
    holds(&none, &["href=\"#select-1\""]);
    let both = [("id", "3"), ("id", "4")];
    let sent = visitor
        .fill("/officer/notifications", "/officer/notifications/sent", &both)
        .await;
    assert_eq!(to(&sent), "/officer/notifications");
    holds(
        &visitor.get("/officer/notifications").await,
        &["Verstuurde brieven: 2."],
    );
    let close = async |case: &str| {
        visitor
            .fill(
                "/officer/notifications",
                "/officer/notifications/close",
                &[("case", case)],
            )
            .await
    };
    let unknown = close("BESTAAT-NIET").await;
    assert_eq!(unknown.status, 422);
    holds(&unknown, &["href=\"#case\"", "BESTAAT-NIET"]);
    assert_eq!(to(&close("ZK-2026-1").await), "/officer/notifications");

    for (width, name) in [(1280, "1280"), (375, "375")] {
        let browser = Browser::open(Look {
            width,
            ..Look::default()
        })
        .await;
        browser
            .visit_as(&desk, "functionaris", "/officer/notifications")
            .await;
        let client = &browser.client;
        client
            .find(Locator::Id("reference"))
            .await
            .unwrap()
            .send_keys("toezicht")
            .await
            .unwrap();
        client
            .find(Locator::Css("main button"))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
        client.wait().for_element(Locator::Id("list")).await.unwrap();
        for (path, page) in [
            ("/officer/notifications?show=all", "notifications"),
            (one, "notification"),
            ("/officer/covenant", "covenant"),
        ] {
            client.goto(&format!("{}{path}", desk.url)).await.unwrap();
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}");
            browser.picture(&format!("oversight_{page}_{name}_light")).await;
        }
        client.clone().close().await.unwrap();
    }
}
