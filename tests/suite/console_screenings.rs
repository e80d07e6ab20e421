//! Screening at the console: whole screenings in a browser with and without scripts, and everything that can go wrong with
//! a list.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "console_screenings/browser.rs"]
mod browser;
#[path = "console_screenings/life.rs"]
mod life;
#[path = "console_screenings/lists.rs"]
mod lists;

use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::LIST_FILE;
use hitmachine_tests::program::assert_holds_none;
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use hitmachine_tests::world::World;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Who screens.
const USER: &str = "pietersen";

/// The list of the demonstration.
fn list(world: &World) -> Vec<u8> {
    std::fs::read(world.deployment.registers().join(LIST_FILE)).unwrap()
}

/// The numbers on it.
fn numbers(world: &World) -> Vec<&str> {
    world
        .population
        .list()
        .map(|person| person.bsn.as_str())
        .collect()
}

/// The first rows of the list, header included.
fn first_rows(world: &World, rows: usize) -> String {
    let text = String::from_utf8(list(world)).unwrap();
    let lines: Vec<&str> = text.lines().take(rows + 1).collect();
    lines.join("\n") + "\n"
}

/// The coordinator's desk, with somebody who screens and somebody else who does too.
async fn desk(site: &Site) -> Desk {
    let desk = site.desk(COORDINATOR).await;
    for user in [USER, "smit"] {
        if desk.node.accounts().user(user).unwrap().is_none() {
            desk.account(user, roles(Some("informatiecoordinator"), false, false));
        }
    }
    desk
}

/// No page tells a number of the list.
fn holds_none(site: &Site, page: &str) {
    let numbers = numbers(&site.world);
    let numbers: Vec<&[u8]> = numbers.iter().map(|number| number.as_bytes()).collect();
    assert_holds_none(page, &numbers);
}

/// Uploads a list for a case; the answer.
async fn upload(visitor: &Visitor, case: &str, on_quota: &str, file: (&str, &[u8])) -> Answered {
    let csrf = visitor.get("/screenings/new").await.hidden("csrf");
    let fields = [
        ("csrf", csrf.as_str()),
        ("held", ""),
        ("purpose", "screening"),
        ("case", case),
        ("responsible", ""),
        ("on_quota", on_quota),
    ];
    visitor.upload("/screenings/new", &fields, Some(file)).await
}

/// The page of the plan of a list that was taken.
async fn planned(visitor: &Visitor, case: &str, on_quota: &str, file: (&str, &[u8])) -> String {
    let answer = upload(visitor, case, on_quota, file).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.header("location").to_owned()
}

/// Begins what was planned; the page of the screening.
async fn start(visitor: &Visitor, plan: &str) -> String {
    let answer = visitor.fill(plan, &format!("{plan}/start"), &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.header("location").to_owned()
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
