//! The life of a screening: begun once, stopped, gone on with, taken along, forgotten; never anybody else's.

use std::process::Stdio;
use std::time::Instant;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::LIST_FILE;
use hitmachine_testkit::process::node_command;
use hitmachine_tests::site::Site;
use hitmachine_tests::world::World;
use serde_json::Value;

use super::{PATIENCE, USER, desk, first_rows, holds_none, list, planned, says, start};

/// A site whose covenant lets each person ask about so many persons in a long time.
pub(super) fn with_quota(seed: u64, persons: u32) -> Site {
    let world = World::new(seed);
    let path = world.deployment.covenant();
    let text = std::fs::read_to_string(&path).unwrap();
    let quota =
        format!("\n[[quota]]\nof = \"user\"\npurpose = \"screening\"\npersons = {persons}\nhours = 2000\n");
    std::fs::write(path, text + &quota).unwrap();
    let broker = world.broker();
    world.sync_all();
    Site {
        world,
        broker: Some(broker),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_plan_is_begun_once_and_only_its_owner_sees_what_came_of_it() {
    let site = Site::open(711);
    let desk = desk(&site).await;
    let (visitor, other) = (desk.visitor(USER), desk.visitor("smit"));
    let plan = planned(&visitor, "TOP150", "wait", (LIST_FILE, &list(&site.world))).await;
    let csrf = visitor.get(&plan).await.hidden("csrf");
    let path = format!("{plan}/start");
    let fields = [("csrf", csrf.as_str())];
    let begin = || visitor.post(&path, &fields);
    let (one, two, three) = tokio::join!(begin(), begin(), begin());
    let id = one.header("location").to_owned();
    assert!(id.starts_with("/screenings/s"), "{one:?}");
    assert_eq!(
        (two.header("location"), three.header("location")),
        (id.as_str(), id.as_str())
    );
    assert_eq!(
        visitor.get(&plan).await.header("location"),
        id,
        "also by the back button"
    );
    let page = says(&visitor, &id, "Resultaten</h2>").await;
    assert_eq!(desk.node.screenings_of(USER).await.unwrap().len(), 1);

    // What the page says is what is in the registers.
    let population = &site.world.population;
    let mut households: std::collections::BTreeMap<u16, bool> = std::collections::BTreeMap::new();
    for person in population.list() {
        let known = households.entry(person.household.unwrap()).or_default();
        *known |= !person.references.is_empty();
    }
    let nobody = households.values().filter(|known| !**known).count();
    let persons = population.list().count();
    for text in [
        format!("<dd>{persons} van {persons}</dd>"),
        format!("<dd>{nobody} van {}</dd>", households.len()),
        "status--known".to_owned(),
        "pagina 1 van 5".to_owned(),
    ] {
        assert!(page.body.contains(&text), "not “{text}”: {}", page.body);
    }
    let known = population
        .list()
        .filter(|person| !person.references.is_empty())
        .count();
    assert!(
        page.body.contains(&format!("Ergens bekend ({known})")),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("Niet of niet overal bevraagd (0)"),
        "{}",
        page.body
    );

    // To take along; nothing of it holds a number.
    let csv = visitor.get(&format!("{id}/csv")).await;
    assert_eq!(csv.body.lines().count(), persons + 1);
    let report = visitor.get(&format!("{id}/report")).await;
    assert!(report.body.contains("Verslag van een screening") && !report.body.contains("H001"));
    let json = visitor.get(&format!("{id}/json")).await;
    let value: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(value["totals"]["answered"], persons);
    for file in [&csv, &report, &json] {
        assert!(
            file.header("content-disposition")
                .starts_with("attachment; filename=\"screening-s")
        );
        holds_none(&site, &file.body);
    }
    for show in ["known", "not-asked", "all&page=5", "all&page=999", "x&page=y"] {
        let page = visitor.get(&format!("{id}?show={show}")).await;
        assert_eq!(page.status, 200);
        holds_none(&site, &page.body);
    }

    // Nobody else, and not by another name.
    let csrf = other.get("/screenings").await.hidden("csrf");
    assert!(!other.get("/screenings").await.body.contains("TOP150"));
    for path in [
        id.as_str(),
        "/screenings/s0000000000",
        "/screenings/..%2f",
        "/screenings/S",
    ] {
        for part in ["", "/progress", "/csv", "/report", "/json"] {
            assert_eq!(
                other.get(&format!("{path}{part}")).await.status,
                404,
                "{path}{part}"
            );
        }
        for part in ["/stop", "/resume", "/forget"] {
            let answer = other
                .post(&format!("{path}{part}"), &[("csrf", &csrf), ("sure", "yes")])
                .await;
            assert_eq!(answer.status, 404, "{path}{part}");
        }
    }
    assert_eq!(
        visitor.fill(&id, &format!("{id}/forget"), &[]).await.status,
        422,
        "not sure"
    );
    let answer = visitor
        .fill(&id, &format!("{id}/forget"), &[("sure", "yes")])
        .await;
    assert_eq!(answer.header("location"), "/screenings?done=forgotten");
    assert_eq!(visitor.get(&id).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_stops_it_or_makes_it_wait_and_it_goes_on_where_it_was() {
    let site = with_quota(712, 6);
    let desk_before = desk(&site).await;
    let visitor = desk_before.visitor(USER);
    let rows = first_rows(&site.world, 12);
    let plan = planned(&visitor, "TOP150", "stop", (LIST_FILE, rows.as_bytes())).await;
    let page = visitor.get(&plan).await;
    assert!(
        page.body.contains("Uw eigen quotum is 6 personen per 2000 uur."),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("De lijst duurt daardoor minstens 2000 uur."),
        "{}",
        page.body
    );
    let id = start(&visitor, &plan).await;
    let page = says(&visitor, &id, "gestopt, kan verder").await;
    assert!(
        page.body
            .contains("Het quotum van het convenant is op; ga verder na"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Resultaten tot nu toe"), "{}", page.body);
    assert!(
        page.body.contains("status--could-not-ask\">niet bevraagd"),
        "{}",
        page.body
    );
    holds_none(&site, &page.body);

    // The same list again: the one that was begun is named.
    let plan = planned(&visitor, "TOP150", "stop", (LIST_FILE, rows.as_bytes())).await;
    assert!(visitor.get(&plan).await.body.contains(&format!("href=\"{id}\"")));

    // Going on and waiting; stopped by hand.
    let answer = visitor
        .fill(&id, &format!("{id}/resume"), &[("on_quota", "wait")])
        .await;
    assert_eq!(answer.header("location"), id);
    let page = says(&visitor, &id, "De screening gaat vanzelf verder na").await;
    assert!(page.body.contains("data-refresh="), "{}", page.body);
    let part = visitor.get(&format!("{id}/progress")).await;
    assert_eq!(part.header("x-refresh"), "more");
    assert!(!part.body.contains("<html"), "a part of the page");
    let forget = visitor
        .fill(&id, &format!("{id}/forget"), &[("sure", "yes")])
        .await;
    assert_eq!(forget.status, 409, "not while it runs");
    visitor.fill(&id, &format!("{id}/stop"), &[]).await;
    let page = says(&visitor, &id, "gestopt, kan verder").await;
    assert!(
        page.body.contains("Iemand heeft deze screening gestopt"),
        "{}",
        page.body
    );
    assert_eq!(
        visitor.get(&format!("{id}/progress")).await.header("x-refresh"),
        ""
    );
    let answered = desk_before.node.screenings_of(USER).await.unwrap()[0].answered;
    assert!((1..=6).contains(&answered), "{answered}");

    // The node starts anew: nothing is lost.
    drop(visitor);
    let node = std::sync::Arc::downgrade(&desk_before.node);
    drop(desk_before);
    let begun = Instant::now();
    while node.strong_count() > 0 {
        assert!(begun.elapsed() < PATIENCE, "the node does not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let desk = desk(&site).await;
    let visitor = desk.visitor(USER);
    let page = visitor.get(&id).await;
    assert!(
        page.body
            .contains(&format!("{answered} van 12 personen beantwoord")),
        "{}",
        page.body
    );
    assert!(page.body.contains("Ga verder"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screening_whose_program_was_killed_goes_on_from_its_page() {
    let site = with_quota(713, 6);
    let rows = first_rows(&site.world, 12);
    let file = site.world.path("some.csv");
    std::fs::write(&file, rows).unwrap();
    let mut command = node_command(&site.world.deployment, COORDINATOR, site.world.address).unwrap();
    let mut child = command
        .args([
            "screen",
            "--yes",
            "--purpose",
            "screening",
            "--role",
            "informatiecoordinator",
        ])
        .args(["--user", USER, "--case", "TOP150", "--on-quota", "wait"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let entries = || hitmachine_tests::logbook::read(&site.world.deployment).len();
    // The quota is used up: it waits.
    while entries() < 7 {
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let desk = desk(&site).await;
    let visitor = desk.visitor(USER);
    let page = visitor.get("/screenings").await;
    assert!(page.body.contains("gestopt, kan verder"), "{}", page.body);
    let id = desk.node.screenings_of(USER).await.unwrap()[0].id.clone();
    let path = format!("/screenings/{id}");
    let page = visitor.get(&path).await;
    assert!(page.body.contains("De screening stond stil"), "{}", page.body);
    visitor
        .fill(&path, &format!("{path}/resume"), &[("on_quota", "stop")])
        .await;
    says(&visitor, &path, "Het quotum van het convenant is op").await;
}
