//! Who gets to see which page: sessions, forms from elsewhere, headers and cookies.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::Arc;

use hitmachine_console::{Console, ConsoleError};
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_service::tls::TlsIdentity;
use hitmachine_testkit::pki::{CertificateUsage, IssueOptions};
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use hitmachine_tests::telephone::{self, PASSWORD, SECRET};
use jiff::Timestamp;

const SESSION: &str = "__Host-hitmachine-veiligheidshuis";
const PENDING: &str = "__Host-hitmachine-sign-in-veiligheidshuis";
const FLAGS: &str = "; Path=/; Secure; HttpOnly; SameSite=Strict";

/// An account that has signed in before.
fn ready(desk: &Desk, id: &str) {
    desk.account(id, roles(Some("informatiecoordinator"), false, false));
    desk.node.accounts().set_up(id, PASSWORD, SECRET).unwrap();
}

/// The `Set-Cookie` of a name.
fn set_cookie(answered: &Answered, name: &str) -> Option<String> {
    let lines = answered.headers.get_all("set-cookie").iter();
    let mut lines = lines.map(|line| line.to_str().unwrap().to_owned());
    lines.find(|line| line.starts_with(&format!("{name}=")))
}

/// The first step, with the cookie that it gives.
async fn half_way(desk: &Desk, user: &str, next: &str) -> (Visitor, Answered) {
    let mut visitor = desk.stranger();
    let fields = [("user", user), ("password", PASSWORD), ("next", next)];
    let step = visitor.post("/sign-in", &fields).await;
    visitor.keep(&step);
    (visitor, step)
}

/// What the form of the second step carries; a page of somebody who is signed in already has another form above it.
fn word_of_step(page: &Answered) -> String {
    let (_, form) = page.body.split_once("action=\"/sign-in/").unwrap();
    let page = Answered {
        body: form.to_owned(),
        ..page.clone()
    };
    page.hidden("csrf")
}

/// Both steps.
async fn sign_in(desk: &Desk, user: &str, next: &str) -> Answered {
    let (visitor, first) = half_way(desk, user, next).await;
    let page = visitor.get(first.header("location")).await;
    let (csrf, next) = (page.hidden("csrf"), page.hidden("next"));
    let code = telephone::code(SECRET, 0);
    let fields = [("csrf", csrf.as_str()), ("next", &next), ("code", &code)];
    visitor.post("/sign-in/code", &fields).await
}

/// On every answer, whatever came of it.
fn assert_headers(answered: &Answered, what: &str) {
    let policy = answered.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // No TLS here, so nothing may promise it (RFC 6797, 7.2).
        ("strict-transport-security", ""),
    ] {
        assert_eq!(answered.header(name), value, "{what}: {name}");
    }
    let kept = answered.header("cache-control");
    let asset = what.starts_with("/assets");
    assert_eq!(kept == "no-store", !asset, "{what}: {kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_needs_a_session() {
    let site = Site::open(1);
    let desk = site.desk("veiligheidshuis").await;
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    let stranger = desk.stranger().get("/").await;
    assert_eq!(
        (stranger.status, stranger.header("location")),
        (303, "/sign-in?next=%2F")
    );
    let page = desk.visitor("pietersen").get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Vraag stellen"), "{}", page.body);
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "pietersen", "/").await;
    assert!(browser.source().await.contains("pietersen van Test"));
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.picture("home").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_on_every_answer_and_cookies_are_for_this_console_only() {
    let site = Site::open(11);
    let desk = site.desk("veiligheidshuis").await;
    ready(&desk, "jansen");
    let stranger = desk.stranger();
    let page = stranger.get("/sign-in").await;
    let style = page
        .body
        .split('"')
        .find(|part| part.ends_with("/console.css"))
        .unwrap()
        .to_owned();
    for path in [
        "/",
        "/sign-in",
        "/no-such-page",
        "/api/v1/no-such",
        "/account",
        style.as_str(),
    ] {
        assert_headers(&stranger.get(path).await, path);
    }
    assert_headers(
        &stranger.post("/sign-in", &[("user", "x")]).await,
        "a form with a mistake",
    );
    assert_headers(
        &stranger.send("POST", "/sign-in", &[("origin", "null")], "").await,
        "a refusal",
    );
    assert_headers(
        &stranger.send("DELETE", "/sign-in", &[], "").await,
        "a wrong method",
    );

    // Each cookie has its flags and lasts as long as the browser is open.
    let (mut visitor, first) = half_way(&desk, "jansen", "").await;
    assert_headers(&first, "the first step");
    let pending = set_cookie(&first, PENDING).unwrap();
    assert!(
        pending.ends_with(FLAGS) && !pending.contains("Max-Age"),
        "{pending}"
    );
    assert_eq!(set_cookie(&first, SESSION), None);
    // Between the steps one has no session yet.
    assert_eq!(visitor.get("/account").await.status, 303);
    let page = visitor.get("/sign-in/code").await;
    assert_headers(&page, "the second step");
    let csrf = page.hidden("csrf");
    let code = telephone::code(SECRET, 0);
    let last = visitor
        .post("/sign-in/code", &[("csrf", &csrf), ("code", &code)])
        .await;
    let session = set_cookie(&last, SESSION).unwrap();
    assert!(
        session.ends_with(FLAGS) && !session.contains("Max-Age") && !session.contains("Domain"),
        "{session}"
    );
    assert!(set_cookie(&last, PENDING).unwrap().contains("Max-Age=0"));
    visitor.keep(&last);
    let page = visitor.get("/account").await;
    assert_eq!(page.status, 200);
    assert_headers(&page, "/account");
    // The secret of the cookie is on no page.
    let secret = session.split(['=', ';']).nth(1).unwrap();
    assert_eq!(secret.len(), 64);
    assert!(!page.body.contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_from_elsewhere_change_nothing() {
    let site = Site::open(12);
    let desk = site.desk("veiligheidshuis").await;
    ready(&desk, "jansen");
    ready(&desk, "bakker");
    let (jansen, bakker) = (desk.visitor("jansen"), desk.visitor("bakker"));
    let own = jansen.get("/account").await.hidden("csrf");
    let others = bakker.get("/account").await.hidden("csrf");
    assert_ne!(own, others);
    let path = "/account/sign-out-everywhere";
    for (what, fields) in [
        ("no word", vec![]),
        ("an empty word", vec![("csrf", "")]),
        ("part of it", vec![("csrf", &own[..63])]),
        ("somebody else's", vec![("csrf", others.as_str())]),
    ] {
        let answer = jansen.post(path, &fields).await;
        assert_eq!(answer.status, 403, "{what}");
        assert!(answer.body.contains("not_from_here"), "{what}: {}", answer.body);
    }
    let body = format!("csrf={own}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let answer = jansen.send("POST", path, &[form, (name, value)], &body).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    // A page does not change anything, whoever leads there.
    assert_eq!(jansen.get(path).await.status, 400);
    assert_eq!(jansen.get("/sign-out").await.status, 400);
    assert_eq!(jansen.get("/account").await.status, 200);

    // Nobody is signed in as somebody else by a form on another site.
    let body = format!("user=bakker&password={}", PASSWORD.replace(' ', "+"));
    let answer = desk
        .stranger()
        .send(
            "POST",
            "/sign-in",
            &[form, ("origin", "https://evil.example")],
            &body,
        )
        .await;
    assert_eq!((answer.status, set_cookie(&answer, PENDING)), (403, None));
    // Nor by the second step: its form belongs to its own first step.
    let (bakkers, _) = half_way(&desk, "bakker", "").await;
    let (jansens, _) = half_way(&desk, "jansen", "").await;
    let csrf = bakkers.get("/sign-in/code").await.hidden("csrf");
    let code = telephone::code(SECRET, 0);
    let answer = jansens
        .post("/sign-in/code", &[("csrf", &csrf), ("code", &code)])
        .await;
    assert_eq!((answer.status, set_cookie(&answer, SESSION)), (403, None));

    // And the real form does what it says.
    let answer = jansen.post(path, &[("csrf", &own)]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/sign-in?because=out")
    );
    assert_eq!(jansen.get("/account").await.status, 303);
    assert_eq!(bakker.get("/account").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_new_is_its_own_and_ends() {
    let site = Site::open(13);
    let desk = site.desk("veiligheidshuis").await;
    for id in ["jansen", "bruin", "groot", "bakker", "visser", "smit"] {
        ready(&desk, id);
    }
    // One goes on to pages of this console only.
    for (user, next, to) in [
        ("jansen", "/history?page=2", "/history?page=2"),
        ("bruin", "//evil.example/", "/ask"),
        ("groot", "https://evil.example", "/ask"),
    ] {
        let last = sign_in(&desk, user, next).await;
        assert_eq!((last.status, last.header("location")), (303, to), "{next}");
    }
    for next in [
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "/sign-out",
        "javascript:alert(1)",
    ] {
        let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = desk.stranger().get(&format!("/sign-in?next={query}")).await;
        assert_eq!(page.hidden("next"), "", "{next}");
        let answer = desk.visitor("smit").get(&format!("/sign-in?next={query}")).await;
        assert_eq!(answer.header("location"), "/ask", "{next}");
    }

    // Fixation: a value that somebody else put in the browser becomes no session, and an older session ends.
    let (mut visitor, first) = half_way(&desk, "bakker", "").await;
    assert_eq!(first.status, 303);
    let planted = "00".repeat(32);
    let older = desk.session("bakker").1;
    for brought in [planted.as_str(), older.as_str()] {
        let pending = visitor.cookie.clone().unwrap();
        let pending = pending
            .split("; ")
            .find(|pair| pair.starts_with(PENDING))
            .unwrap();
        visitor.cookie = Some(format!("{pending}; {SESSION}={brought}"));
    }
    let csrf = word_of_step(&visitor.get("/sign-in/code").await);
    let code = telephone::code(SECRET, 0);
    let last = visitor
        .post("/sign-in/code", &[("csrf", &csrf), ("code", &code)])
        .await;
    visitor.keep(&last);
    let given = set_cookie(&last, SESSION).unwrap_or_else(|| panic!("{last:?}"));
    assert!(!given.contains(&older) && !given.contains(&planted));
    let with = |value: &str| {
        let mut thief = desk.stranger();
        thief.cookie = Some(format!("{SESSION}={value}"));
        thief
    };
    for brought in [planted.as_str(), older.as_str(), "x", ""] {
        assert_eq!(with(brought).get("/account").await.status, 303);
    }
    // The cookie of a sign-in under way is worth nothing after it.
    let again = visitor
        .post(
            "/sign-in/code",
            &[("csrf", &csrf), ("code", &telephone::code(SECRET, 1))],
        )
        .await;
    assert_eq!(again.header("location"), "/sign-in?because=late");

    // Two tabs: signing out in one signs out the other, and a stolen cookie is worth nothing any more.
    let thief = visitor.clone();
    assert_eq!(thief.get("/account").await.status, 200);
    let out = visitor.fill("/account", "/sign-out", &[]).await;
    assert_eq!(
        (out.status, out.header("location")),
        (303, "/sign-in?because=out")
    );
    assert!(set_cookie(&out, SESSION).unwrap().contains("Max-Age=0"));
    let stolen = thief.get("/account").await;
    assert_eq!(
        (stolen.status, stolen.header("location")),
        (303, "/sign-in?next=%2Faccount&because=over")
    );
    let page = thief.get(stolen.header("location")).await;
    assert!(
        page.body.contains("U was te lang niet bezig") && !page.body.contains("bakker"),
        "{}",
        page.body
    );

    // Blocked: at once, and half-way too.
    let (half, _) = half_way(&desk, "visser", "").await;
    let visser = desk.visitor("visser");
    desk.node.accounts().block("visser", "test").unwrap();
    assert_eq!(visser.get("/account").await.status, 303);
    assert_eq!(
        half.get("/sign-in/code").await.header("location"),
        "/sign-in?because=late"
    );

    // Steps cannot be skipped.
    let (half, _) = half_way(&desk, "smit", "").await;
    for step in ["/sign-in/password", "/sign-in/enrol"] {
        assert_eq!(half.get(step).await.header("location"), "/sign-in/code", "{step}");
        let csrf = half.get("/sign-in/code").await.hidden("csrf");
        let fields = [
            ("csrf", csrf.as_str()),
            ("password-new", "een heel ander wachtwoord"),
            ("password-again", "een heel ander wachtwoord"),
        ];
        assert_eq!(
            half.post(step, &fields).await.header("location"),
            "/sign-in/code",
            "{step}"
        );
        assert_eq!(
            desk.stranger().get(step).await.header("location"),
            "/sign-in?because=late",
            "{step}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_the_settings_say() {
    let site = Site::open(14);
    let settings = [
        ("veiligheidshuis", 15, 600, true),
        ("leerplicht", 0, 600, false),
        ("regieteams", 15, 0, false),
    ];
    for (partner, idle, whole, stays) in settings {
        let desk = site
            .desk_with(partner, |config| {
                let console = config.console.as_mut().unwrap();
                (console.idle_minutes, console.session_minutes) = (idle, whole);
            })
            .await;
        desk.account("jansen", roles(Some("informatiecoordinator"), false, false));
        let visitor = desk.visitor("jansen");
        let answer = visitor.get("/account").await;
        assert_eq!(answer.status == 200, stays, "{idle} {whole}");
        if !stays {
            assert_eq!(answer.header("location"), "/sign-in?next=%2Faccount&because=over");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_shown_as_text() {
    let site = Site::open(15);
    let desk = site.desk("veiligheidshuis").await;
    let script = "\"><script>alert(1)</script>";
    let page = desk
        .stranger()
        .post(
            "/sign-in",
            &[("user", script), ("password", script), ("next", script)],
        )
        .await;
    assert_eq!(page.status, 422);
    assert!(
        page.body.contains("&#60;script&#62;") || page.body.contains("&lt;script"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("<script>"), "{}", page.body);
    // A number of a person in the wrong field is not shown again.
    let page = desk
        .stranger()
        .post("/sign-in", &[("user", "999990019"), ("password", "x")])
        .await;
    assert!(!page.body.contains("999990019"));
    let query: String = form_urlencoded::byte_serialize(script.as_bytes()).collect();
    for path in [
        format!("/sign-in?next={query}&because={query}"),
        format!("/{query}"),
    ] {
        assert!(
            !desk.stranger().get(&path).await.body.contains("<script>alert"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_there_is_tls_only() {
    let site = Site::open(16);
    // Without a certificate it does not open beyond loopback.
    let mut config = NodeConfig::load(&site.world.deployment.node_config("veiligheidshuis")).unwrap();
    config.broker.address = site.world.address.to_string();
    config.console = Some(ConsoleSection {
        listen: ([0, 0, 0, 0], 0).into(),
        ..ConsoleSection::default()
    });
    let node = Arc::new(Node::open(config).await.unwrap());
    assert!(matches!(
        Console::bind(Arc::clone(&node)).await,
        Err(ConsoleError::NeedsTls(_))
    ));
    drop(node);

    let now = Timestamp::now();
    let issued = site.world.deployment.authority().unwrap().issue(&IssueOptions {
        oin: None,
        usage: CertificateUsage::Server,
        ..IssueOptions::partner("Veiligheidshuis", "", now, 30)
    });
    let dir = tempfile::tempdir().unwrap();
    issued.unwrap().save(dir.path(), "console").unwrap();
    let desk = site
        .desk_with("veiligheidshuis", |config| {
            config.console.as_mut().unwrap().tls = Some(TlsIdentity {
                certificate: dir.path().join("console.pem"),
                key: dir.path().join("console.key"),
            });
        })
        .await;
    assert!(desk.url.starts_with("https://127.0.0.1:"), "{}", desk.url);
    ready(&desk, "jansen");
    let browser = Browser::open(Look::default()).await;
    browser.visit_as(&desk, "jansen", "/account").await;
    assert!(browser.source().await.contains("jansen van Test"));
    let hsts = browser
        .client
        .execute_async(
            "const done = arguments[arguments.length - 1];
             fetch('/sign-in').then(answer => done(answer.headers.get('strict-transport-security')))",
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(hsts, "max-age=63072000");
    // The cookies of a real sign-in are taken here too, and forms count as coming from here.
    let out = browser
        .client
        .find(fantoccini::Locator::Css("form[action='/sign-out'] button"))
        .await
        .unwrap();
    out.click().await.unwrap();
    let signed_out = browser
        .client
        .wait()
        .for_element(fantoccini::Locator::Css(".alert--info"))
        .await;
    assert_eq!(signed_out.unwrap().text().await.unwrap(), "U bent uitgelogd.");
}
