//! A form whose session ended while it stood open, on a page of the tests' own; and many passwords at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Router};
use hitmachine_node::accounts::{Roles, User};
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::deployment::{Deployment, Recipe};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::app::App;
use crate::draft::{Draft, Keep};
use crate::visitor::{Posted, Visitor, cookie_name};

const KEEP: Keep = Keep::of("/form", &["case", "birth-*", "number-*"]);

struct Bench {
    app: App,
    router: Router,
    _dir: tempfile::TempDir,
}

/// What came: status, where to, and the page.
type Came = (u16, String, String);

impl Bench {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            seed: 7,
            persons: 400,
            today: jiff::Zoned::now().date(),
            witnessed: false,
            live: Vec::new(),
        };
        let deployment = Deployment::create(&dir.path().join("d"), recipe).unwrap();
        let mut config = NodeConfig::load(&deployment.node_config("veiligheidshuis")).unwrap();
        let settings = ConsoleSection::default();
        config.console = Some(settings.clone());
        let node = Arc::new(Node::open(config).await.unwrap());
        for id in ["jansen", "bakker"] {
            let user = User {
                id: id.into(),
                name: id.into(),
                roles: Roles::default(),
            };
            node.accounts().add(&user).unwrap();
        }
        let address = settings.listen;
        let app = App::new(node, settings, address).unwrap();
        let router = Router::new()
            .route("/form", get(shown).post(sent).layer(Extension(KEEP)))
            .route("/other", get(shown).post(sent))
            .with_state(app.clone());
        Self {
            app,
            router,
            _dir: dir,
        }
    }

    fn session(&self, user: &str) -> String {
        let token = self.app.node().accounts().begin_session(user).unwrap();
        format!("{}={}", cookie_name(&self.app), token.expose_text())
    }

    fn end(&self, user: &str) {
        self.app.node().accounts().end_all(user, None).unwrap();
    }

    async fn call(&self, request: Request<Body>) -> Came {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let to = response.headers().get("location");
        let to = to.map_or("", |to| to.to_str().unwrap()).to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, to, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, cookie: &str, path: &str) -> Came {
        self.call(
            Request::get(path)
                .header("cookie", cookie)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    async fn post(&self, cookie: &str, path: &str, csrf: &str) -> Came {
        let body = format!("csrf={csrf}&case=Z-1&birth-1=01-03-2015&number-1=999990019&bsn=999990019");
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("origin", self.app.url())
            .body(Body::from(body));
        self.call(request.unwrap()).await
    }

    /// The word that this session's forms carry.
    async fn csrf(&self, cookie: &str, path: &str) -> String {
        let (status, _, page) = self.get(cookie, path).await;
        assert_eq!(status, 200);
        page.split('|').next().unwrap().to_owned()
    }
}

/// The form's word, and what it is filled in with.
async fn shown(visitor: Visitor, draft: Draft) -> String {
    let filled = draft.fields.map(|fields| {
        let value = |name| fields.get(name).to_owned();
        [
            value("case"),
            value("birth-1"),
            value("number-1"),
            value("bsn"),
            value("csrf"),
        ]
        .join(",")
    });
    format!("{}|{}", visitor.csrf, filled.as_deref().unwrap_or("empty"))
}

async fn sent(posted: Posted) -> String {
    format!("sent {}", posted.fields.get("case"))
}

#[tokio::test]
async fn a_form_that_came_too_late_waits_for_its_own_person() {
    let bench = Bench::open().await;
    let first = bench.session("jansen");
    let csrf = bench.csrf(&first, "/form").await;
    bench.end("jansen");
    let late = bench.post(&first, "/form", &csrf).await;
    assert_eq!(
        late,
        (303, "/sign-in?next=%2Fform&because=over".into(), String::new())
    );
    // Who signs in instead, on the same machine, gets nothing of it.
    let other = bench.session("bakker");
    assert!(bench.get(&other, "/form").await.2.ends_with("|empty"));
    // The same person gets all but the numbers, on that page only, and again when the page is loaded anew.
    let second = bench.session("jansen");
    assert!(bench.get(&second, "/other").await.2.ends_with("|empty"));
    for _ in 0..2 {
        assert!(
            bench
                .get(&second, "/form")
                .await
                .2
                .ends_with("|Z-1,01-03-2015,,,")
        );
    }
    // Once it is sent it is over.
    let csrf = bench.csrf(&second, "/form").await;
    assert_eq!(bench.post(&second, "/form", &csrf).await.2, "sent Z-1");
    assert!(bench.get(&second, "/form").await.2.ends_with("|empty"));
}

#[tokio::test]
async fn a_form_of_nobody_or_of_somebody_else_leaves_nothing() {
    let bench = Bench::open().await;
    let jansen = bench.session("jansen");
    let word = bench.csrf(&jansen, "/form").await;
    let bakker = bench.session("bakker");
    bench.csrf(&bakker, "/form").await;
    // Another's form is refused while one is signed in, and is not kept for either.
    assert_eq!(bench.post(&bakker, "/form", &word).await.0, 403);
    for cookie in [&jansen, &bakker] {
        assert!(bench.get(cookie, "/form").await.2.ends_with("|empty"));
    }
    // A word that no session had.
    assert_eq!(bench.post("", "/form", &"0".repeat(64)).await.0, 303);
    assert!(bench.get(&jansen, "/form").await.2.ends_with("|empty"));
    // A page that says nothing of drafts keeps nothing.
    bench.end("jansen");
    let late = bench.post(&jansen, "/other", &word).await;
    assert_eq!((late.0, late.1.as_str()), (303, "/sign-in?next=%2F&because=over"));
    let again = bench.session("jansen");
    assert!(bench.get(&again, "/other").await.2.ends_with("|empty"));
}

#[tokio::test]
async fn a_form_of_an_earlier_session_goes_on_in_the_new_one() {
    let bench = Bench::open().await;
    let first = bench.session("jansen");
    let csrf = bench.csrf(&first, "/form").await;
    bench.end("jansen");
    // Signed in again in another tab; this tab still shows the old form.
    let second = bench.session("jansen");
    let answer = bench.post(&second, "/form", &csrf).await;
    assert_eq!((answer.0, answer.1.as_str()), (303, "/form"));
    assert!(
        bench
            .get(&second, "/form")
            .await
            .2
            .ends_with("|Z-1,01-03-2015,,,")
    );
    // Where nothing may be kept it is refused.
    assert_eq!(bench.post(&second, "/other", &csrf).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_take_turns_and_all_get_theirs() {
    let bench = Bench::open().await;
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (app, busy, most) = (bench.app.clone(), Arc::clone(&busy), Arc::clone(&most));
        tries.spawn(async move {
            let done = app.with_password(move |_| {
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
                busy.fetch_sub(1, Ordering::SeqCst);
            });
            done.await.is_ok()
        });
    }
    assert!(tries.join_all().await.into_iter().all(|done| done));
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
