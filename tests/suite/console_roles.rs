//! Each role keeps to its own pages: somebody who follows every link, and then tries every address and form that others
//! have, sees nothing of another role. And no person's number is on any page.

use std::collections::BTreeSet;

use hitmachine_node::accounts::Roles;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::crawl::{Area, Crawled, area, crawl};
use hitmachine_tests::site::{Desk, Site, Visitor, roles};

/// More pages than there are.
const MOST: usize = 400;

/// Each role by itself, where its pages are, and who holds it here.
fn each() -> [(&'static str, Roles, Area); 3] {
    [
        (
            "vrager",
            roles(Some("informatiecoordinator"), false, false),
            Area::Asker,
        ),
        ("functionaris", roles(None, true, false), Area::Officer),
        ("beheer", roles(None, false, true), Area::Administrator),
    ]
}

/// Something to find: a question about a person, and an officer who has said why they look.
async fn work(desk: &Desk, number: &str) {
    let asker = desk.visitor("vrager");
    let form = asker.get("/ask").await.hidden("form");
    let fields = [
        ("form", form.as_str()),
        ("purpose", "screening"),
        ("case", "ZK-2026-9"),
        ("rows", "1"),
        ("number-1", number),
        ("class-1", "adult"),
    ];
    assert_eq!(asker.fill("/ask", "/ask", &fields).await.status, 303);
}

/// Everything that this visitor reaches by links.
async fn everything(visitor: &Visitor) -> Vec<Crawled> {
    let reached = crawl(visitor, &["/"], MOST).await;
    assert!(reached.len() < MOST, "more pages than expected");
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_a_page_of_another_role() {
    let site = Site::open(71);
    let desk = site.desk("veiligheidshuis").await;
    for (id, roles, _) in each() {
        desk.account(id, roles);
    }
    let number = site.world.bsn(AgeClass::Adult).to_owned();
    work(&desk, &number).await;
    let mut own = Vec::new();
    for (id, _, of) in each() {
        let visitor = desk.visitor(id);
        if of == Area::Officer {
            let fields = [("reference", "controle"), ("next", "/officer")];
            let begun = visitor
                .fill("/officer/reference", "/officer/reference", &fields)
                .await;
            assert_eq!(begun.status, 303, "{}", begun.body);
        }
        let reached = everything(&visitor).await;
        let areas: BTreeSet<String> = reached
            .iter()
            .filter(|page| ![of, Area::Everybody].contains(&area(&page.path)))
            .map(|page| format!("{} on {}", page.path, page.from))
            .collect();
        assert_eq!(areas, BTreeSet::new(), "{id} is led to pages of another role");
        let mine: Vec<_> = reached
            .into_iter()
            .filter(|page| area(&page.path) == of)
            .collect();
        assert!(mine.len() >= 3, "{id} has only {} pages", mine.len());
        own.push((id, visitor, mine));
    }
    let mut tried = 0;
    for (id, visitor, _) in &own {
        for (of, _, theirs) in own.iter().filter(|(of, ..)| of != id) {
            for page in theirs {
                let answered = visitor.get(&page.path).await;
                assert!(
                    matches!(answered.status, 403 | 404),
                    "{id} got {} from {} of {of}",
                    answered.status,
                    page.path
                );
                tried += 1;
                for (_, action) in page.forms().iter().filter(|(method, _)| method == "post") {
                    if area(action) == Area::Everybody {
                        continue;
                    }
                    let csrf = visitor.get("/account").await.hidden("csrf");
                    let answered = visitor.post(action, &[("csrf", &csrf)]).await;
                    assert!(
                        matches!(answered.status, 400 | 403 | 404),
                        "{id} got {} from the form {action} of {of}",
                        answered.status
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 60, "only {tried} addresses were tried");
    for (id, _, pages) in &own {
        for page in pages {
            assert!(!page.answered.body.contains(&number), "{id}: {}", page.path);
        }
    }
}
