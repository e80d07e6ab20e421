//! Who gets to see which page.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::{Site, roles};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_needs_a_session() {
    let site = Site::open(1);
    let desk = site.desk("veiligheidshuis").await;
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    let stranger = desk.stranger().get("/").await;
    assert_eq!((stranger.status, stranger.header("location")), (303, "/sign-in?next=%2F"));
    let page = desk.visitor("pietersen").get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Vraag stellen"), "{}", page.body);
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "pietersen", "/").await;
    assert!(browser.source().await.contains("pietersen van Test"));
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("home").await;
}
