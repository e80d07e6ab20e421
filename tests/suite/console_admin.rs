//! The administrator's pages, with a real hub: how the node is, its sources, and a source that shrank.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::fs;

use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::population::Register;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};

const PAGES: [&str; 5] = [
    "/admin",
    "/admin/sources",
    "/admin/sources/progress",
    "/admin/sources/rows.csv",
    "/admin/sources/shrunk",
];

/// The page after a sync that was begun at the page has ended.
async fn after_sync(visitor: &Visitor) -> Answered {
    let begun = std::time::Instant::now();
    loop {
        let page = visitor.get("/admin/sources").await;
        assert_eq!(page.status, 200, "{}", page.body);
        if !page.body.contains("data-refresh") {
            return page;
        }
        assert!(begun.elapsed().as_secs() < 60, "the sync goes on and on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn sync(visitor: &Visitor) -> Answered {
    let sent = visitor.fill("/admin/sources", "/admin/sources/sync", &[]).await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (303, "/admin/sources"),
        "{}",
        sent.body
    );
    after_sync(visitor).await
}

fn holds(page: &Answered, parts: &[&str]) {
    for part in parts {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_administrator_sees_how_the_node_is() {
    let site = Site::open(771);
    let desk = site.desk("leerplicht").await;
    desk.account("beheer", roles(None, false, true));
    desk.account("vrager", roles(Some("professional"), true, false));
    let (other, stranger) = (desk.visitor("vrager"), desk.stranger());
    for path in PAGES {
        assert_eq!(other.get(path).await.status, 403, "{path}");
        assert_eq!(stranger.get(path).await.status, 303, "{path}");
    }
    let csrf = desk.visitor("vrager").get("/").await.hidden("csrf");
    for path in ["/admin/sources/sync", "/admin/sources/shrunk"] {
        let fields = [("csrf", csrf.as_str()), ("lost", "1"), ("sure", "yes")];
        // Another session's form, and a role that is not held.
        assert_eq!(other.post(path, &fields).await.status, 403, "{path}");
    }
    let visitor = desk.visitor("beheer");
    let without = visitor.post("/admin/sources/sync", &[("csrf", "x")]).await;
    assert_eq!(without.status, 403, "no form of this session");
    // Nothing has shrunk, so there is nothing to confirm.
    assert_eq!(visitor.get("/admin/sources/shrunk").await.status, 404);
    let lies = [("lost", "400"), ("sure", "yes")];
    let lie = visitor
        .fill("/admin/sources", "/admin/sources/shrunk", &lies)
        .await;
    assert_eq!(lie.status, 409, "{}", lie.body);
    let odd = visitor
        .fill("/admin/sources", "/admin/sources/shrunk", &[("lost", "many")])
        .await;
    assert_eq!(odd.status, 400);
}

/// Signs in with a browser, looks, and keeps pictures wide and narrow.
async fn look(desk: &Desk, user: &str, pages: &[(&str, &str)]) {
    for (width, name) in [(1280, "1280"), (375, "375")] {
        let browser = Browser::open(Look {
            width,
            ..Look::default()
        })
        .await;
        for (path, picture) in pages {
            browser.visit_as(desk, user, path).await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}");
            browser.picture(&format!("{picture}_{name}_light")).await;
        }
        browser.client.clone().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_at_the_page_tells_what_came_of_it_and_a_shrunken_source_must_be_confirmed() {
    let mut site = Site::open(772);
    let register = Register::Leerplicht;
    let source = site.world.source(register);
    let whole = fs::read_to_string(&source).unwrap();
    let persons = site.world.members(register);
    let bad;
    {
        let desk = site.desk(register.id()).await;
        desk.account("beheer", roles(None, false, true));
        let visitor = desk.visitor("beheer");
        let page = sync(&visitor).await;
        holds(
            &page,
            &[
                "de controlesom is aan beide kanten gelijk",
                &format!("<dd>{persons}</dd>"),
            ],
        );
        // The made-up file has a few bad rows of its own.
        let bad_rows = async || visitor.get("/admin/sources/rows.csv").await.body.lines().count() - 1;
        let own = bad_rows().await;
        // Rows that are wrong: where and why, and never the value.
        let wrong = "123456789;01-01-1980;<script>alert(1)</script>\r\n;01-01-1980;LP-X\r\n";
        fs::write(&source, format!("{whole}{wrong}")).unwrap();
        let page = sync(&visitor).await;
        bad = own + 2;
        holds(
            &page,
            &[&format!("overgeslagen rijen: {bad}"), ">het veld is leeg<"],
        );
        for never in ["123456789", "<script>alert", "LP-X"] {
            assert!(!page.body.contains(never), "{never}");
        }
        let rows = visitor.get("/admin/sources/rows.csv").await;
        assert_eq!(rows.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(bad_rows().await, bad, "{}", rows.body);
        assert!(!rows.body.contains("123456789"));
        let status = visitor.get("/admin").await;
        holds(
            &status,
            &[
                &format!("Overgeslagen rijen in de bronnen: {bad}."),
                "Het knooppunt",
                "dagen",
            ],
        );
    }
    // After a restart it is still known. Connections that are just closing hold the state for a moment.
    let path = site.world.deployment.node_config(register.id());
    let begun = std::time::Instant::now();
    while let Err(error) = Node::open(NodeConfig::load(&path).unwrap()).await {
        assert!(error.is_in_use() && begun.elapsed().as_secs() < 60, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let desk = site.desk(register.id()).await;
    let visitor = desk.visitor("beheer");
    holds(
        &after_sync(&visitor).await,
        &[&format!("overgeslagen rijen: {bad}")],
    );

    // Half of the rows are gone: nothing is sent until somebody says that it is right.
    let lines: Vec<&str> = whole.lines().collect();
    let half = persons / 2;
    fs::write(&source, lines[..=half].join("\r\n") + "\r\n").unwrap();
    let page = sync(&visitor).await;
    holds(&page, &["Een bron is gekrompen", "Er is niets verstuurd"]);
    let lost = visitor.get("/admin/sources/shrunk").await.hidden("lost");
    assert!(lost.parse::<usize>().unwrap() >= persons - half, "{lost}");
    let unsure = visitor
        .fill(
            "/admin/sources/shrunk",
            "/admin/sources/shrunk",
            &[("lost", &lost)],
        )
        .await;
    assert_eq!(unsure.status, 422);
    holds(&unsure, &["<title>Fout: ", "role=\"alert\"", "href=\"#sure\""]);
    look(
        &desk,
        "beheer",
        &[
            ("/admin", "admin_status"),
            ("/admin/sources", "admin_sources"),
            ("/admin/sources/shrunk", "admin_shrunk"),
        ],
    )
    .await;
    // What was confirmed is what was seen, and not what was lost since.
    fs::write(&source, lines[..=half / 2].join("\r\n") + "\r\n").unwrap();
    let sure = [("lost", lost.as_str()), ("sure", "yes")];
    let sent = visitor
        .fill("/admin/sources/shrunk", "/admin/sources/shrunk", &sure)
        .await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    holds(&after_sync(&visitor).await, &["Een bron is gekrompen"]);
    let more = visitor.get("/admin/sources/shrunk").await.hidden("lost");
    assert!(more.parse::<usize>().unwrap() > lost.parse().unwrap(), "{more}");
    let sure = [("lost", more.as_str()), ("sure", "yes")];
    let sent = visitor
        .fill("/admin/sources/shrunk", "/admin/sources/shrunk", &sure)
        .await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let page = after_sync(&visitor).await;
    assert!(!page.body.contains("Een bron is gekrompen"), "{}", page.body);
    let left = persons - more.parse::<usize>().unwrap();
    holds(
        &page,
        &[
            "de controlesom is aan beide kanten gelijk",
            &format!("<dd>{left}</dd>"),
        ],
    );

    // A file that is gone, and a hub that is gone: said, and the page is there.
    fs::remove_file(&source).unwrap();
    holds(
        &sync(&visitor).await,
        &["De laatste synchronisatie is mislukt", "niet te lezen"],
    );
    site.broker.take().unwrap().kill().unwrap();
    let status = visitor.get("/admin").await;
    assert_eq!(status.status, 200);
    holds(
        &status,
        &[
            "Werkt niet:",
            "Het knooppunt is niet te gebruiken",
            "niet verbonden",
            "nummer 1, laatst ontvangen",
        ],
    );
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "beheer", "/admin").await;
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("admin_status_hub_away_1280_light").await;
}
