//! A user who scripts the console: what the pages do not offer, faster than a person, in other people's names.

use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::logbook;
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use hitmachine_tests::telephone::{PASSWORD, SECRET};
use hitmachine_tests::world::World;

const COORDINATOR: &str = "veiligheidshuis";
const EVIL: &str = "evil.example";

async fn desk(site: &Site) -> Desk {
    let desk = site.desk(COORDINATOR).await;
    for id in ["pietersen", "jansen"] {
        desk.account(id, roles(Some("informatiecoordinator"), false, false));
        desk.node.accounts().set_up(id, PASSWORD, SECRET).unwrap();
    }
    desk
}

/// Opens the form and sends it, with these fields before those of a question about one adult.
async fn ask(visitor: &Visitor, bsn: &str, more: &[(&str, &str)]) -> Answered {
    let form = visitor.get("/ask").await;
    let (csrf, id) = (form.hidden("csrf"), form.hidden("form"));
    let question = [
        ("csrf", csrf.as_str()),
        ("form", &id),
        ("purpose", "screening"),
        ("case", "ZK-2026-9"),
        ("rows", "1"),
        ("number-1", bsn),
        ("class-1", "adult"),
    ];
    visitor.post("/ask", &[more, &question].concat()).await
}

/// Thirty forms, one after the other and twenty at once: as many as the quota lets through, and the rest is refused and
/// logged.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_gets_no_more_than_the_quota() {
    let world = World::new(931);
    let covenant = world.deployment.covenant();
    let quota = "\n[[quota]]\nof = \"user\"\npurpose = \"screening\"\npersons = 8\nhours = 2000\n";
    let text = std::fs::read_to_string(&covenant).unwrap();
    std::fs::write(&covenant, text + quota).unwrap();
    let broker = Some(world.broker());
    let mut site = Site { world, broker };
    let desk = desk(&site).await;
    let bsn = site.world.bsn(AgeClass::Adult).to_owned();
    let visitor = desk.visitor("pietersen");
    for _ in 0..5 {
        assert_eq!(ask(&visitor, &bsn, &[]).await.status, 303);
    }
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (visitor, bsn) = (visitor.clone(), bsn.clone());
        together.spawn(async move { ask(&visitor, &bsn, &[]).await.status });
    }
    let sent = together.join_all().await;
    assert_eq!(sent.len(), 20);
    for _ in 0..5 {
        ask(&visitor, &bsn, &[]).await;
    }
    // Another's quota is its own.
    let other = ask(&desk.visitor("jansen"), &bsn, &[]).await;
    assert_eq!(other.status, 303);
    drop(desk);
    let entries = site.world.stop(site.broker.take().unwrap(), &[bsn.as_bytes()]);
    let refused = entries.iter().filter_map(logbook::Entry::refusal);
    let refused: Vec<_> = refused.collect();
    assert!(refused.iter().all(|code| code == "over_quota"), "{refused:?}");
    assert_eq!(entries.len() - refused.len(), 9, "eight of one, one of the other");
    assert_eq!(refused.len(), 22);
}

/// Fields that no page has change nothing: not who asks, not in what role, not what an account may.
#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_form_does_not_have_change_nothing() {
    let mut site = Site::open(932);
    let desk = desk(&site).await;
    let bsn = site.world.bsn(AgeClass::Adult).to_owned();
    let visitor = desk.visitor("pietersen");
    let more = [
        ("user", "jansen"),
        ("role", "privacyfunctionaris"),
        ("partner", "leerplicht"),
        ("oin", "00000099000000011000"),
        ("again", "true"),
        ("purpose", "signalering"),
        ("administers", "on"),
    ];
    // The first of two values of a field counts for nothing more than the second: it is one question under one purpose.
    let sent = ask(&visitor, &bsn, &more).await;
    let fine = ask(&visitor, &bsn, &more[..5]).await;
    assert_eq!(fine.status, 303, "{}", fine.body);
    assert_ne!(sent.status, 500);

    // One's own forms with another's rights in them, and another's forms.
    let rights = [
        ("asks_as", "informatiecoordinator"),
        ("reviews_as", "privacyfunctionaris"),
        ("administers", "on"),
        ("officer", "on"),
        ("id", "jansen"),
        ("user", "jansen"),
    ];
    let old = [("old", PASSWORD), ("new", "een heel ander wachtwoord")];
    let fields = [rights.as_slice(), &old].concat();
    visitor
        .fill("/account/password", "/account/password", &fields)
        .await;
    let csrf = visitor.get("/account").await.hidden("csrf");
    for path in [
        "/admin/users/new",
        "/admin/users/pietersen/roles",
        "/admin/users/jansen/reset",
        "/admin/users/jansen/remove",
        "/admin/applications/new",
        "/officer/erasure/erase",
        "/officer/search",
    ] {
        let fields = [rights.as_slice(), &[("csrf", csrf.as_str())]].concat();
        let answer = visitor.post(path, &fields).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let accounts = desk.node.accounts();
    assert!(accounts.begin_session("jansen").is_ok(), "jansen is gone");
    for path in ["/admin/users", "/officer"] {
        assert_eq!(desk.visitor("pietersen").get(path).await.status, 403, "{path}");
    }
    drop(desk);
    let entries = site.world.stop(site.broker.take().unwrap(), &[bsn.as_bytes()]);
    let last = entries.last().unwrap();
    let who = last.fields.get(hitmachine_audit::FieldId::User).unwrap();
    let who = String::from_utf8_lossy(who).into_owned();
    assert!(who.contains("pietersen"), "not who has signed in");
    assert!(
        !who.contains("jansen") && !who.contains("functionaris"),
        "who was typed"
    );
    assert_eq!(last.requester(), hitmachine_testkit::pki::test_oin(10));
}

/// Whatever stands in `next`, in `Host` or in a cookie: nobody is led elsewhere, no header is added, nobody is somebody.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_elsewhere_and_cookies_cannot_be_made() {
    let site = Site::open(933);
    let desk = desk(&site).await;
    let nexts = [
        "//evil.example",
        "///evil.example/x",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "http:evil.example",
        "javascript:alert(1)",
        "/ask\r\nset-cookie: a=b",
        "/ask%0d%0aset-cookie:a=b",
        "/\tevil.example",
        "/@evil.example",
    ];
    let signed_in = desk.visitor("pietersen");
    for next in nexts {
        let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let stranger = desk.stranger();
        let fields = [("user", "pietersen"), ("password", PASSWORD), ("next", next)];
        for answer in [
            stranger.post("/sign-in", &fields).await,
            stranger.get(&format!("/sign-in?next={query}")).await,
            signed_in.get(&format!("/sign-in?next={query}")).await,
            stranger.post("/language/en", &[("next", next)]).await,
        ] {
            stays_here(&answer, next);
        }
    }
    // As if it had another name, also for what is behind it.
    for name in [
        "host",
        "x-forwarded-host",
        "x-forwarded-for",
        "forwarded",
        "x-original-url",
    ] {
        for path in ["/", "/sign-in", "/ask", "/admin/users"] {
            for visitor in [&signed_in, &desk.stranger()] {
                let answer = visitor.send("GET", path, &[(name, EVIL)], "").await;
                stays_here(&answer, name);
                assert!(answer.status < 500, "{name} {path}");
                assert!(path != "/admin/users" || answer.status != 200, "{name}");
            }
        }
    }

    let (name, value) = desk.session("pietersen");
    let mut made: Vec<String> = vec![
        String::new(),
        "0".repeat(64),
        "f".repeat(64),
        value[..63].to_owned(),
        format!("{value}0"),
        format!("{}{}", &value[1..], &value[..1]),
        "pietersen".into(),
        "a".repeat(6_000),
    ];
    // One bit of each byte.
    for place in (0..64).step_by(7) {
        let mut other = value.clone().into_bytes();
        other[place] = if other[place] == b'0' { b'1' } else { b'0' };
        made.push(String::from_utf8(other).unwrap());
    }
    for value_made in made.into_iter().filter(|made| *made != value) {
        for name in [name.as_str(), "session", "__Host-hitmachine-leerplicht"] {
            let visitor = Visitor::of(desk.stranger().url, Some(format!("{name}={value_made}")));
            assert_eq!(
                visitor.get("/ask").await.status,
                303,
                "let in with a cookie made up"
            );
        }
    }
    let visitor = Visitor::of(desk.stranger().url, Some(format!("{name}={value}")));
    assert_ne!(visitor.get("/ask").await.status, 303, "the real one");
}

/// No address of somewhere else, no header that was typed.
fn stays_here(answer: &Answered, what: &str) {
    for name in ["location", "refresh", "set-cookie", "link"] {
        for value in answer.headers.get_all(name) {
            let value = value.to_str().unwrap();
            assert!(
                !value.contains(EVIL) || name == "location" && is_own(value),
                "{what}: {name}: {value}"
            );
            assert!(
                !value.contains("a=b") || name == "location" && is_own(value),
                "{what}: {name}: {value}"
            );
        }
    }
    let location = answer.header("location");
    assert!(location.is_empty() || is_own(location), "{what}: {location}");
    for link in [
        "href=\"//",
        "action=\"//",
        "href=\"http://evil",
        "href=\"https://evil",
        "action=\"http",
    ] {
        assert!(!answer.body.contains(link), "{what}: {link}");
    }
}

/// A path of this console, however it ends.
fn is_own(location: &str) -> bool {
    location.starts_with('/') && !location.starts_with("//") && !location.contains('\\')
}

/// Labels that a spreadsheet would compute come out of a screening as text.
#[test]
fn what_was_typed_is_no_formula_in_a_file() {
    let world = World::new(934);
    let broker = world.broker();
    let bsn = world.bsn(AgeClass::Adult);
    let labels = [
        "=HYPERLINK(\"http://evil.example\")",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        " =1+1",
        "\u{ff1d}1+1",
    ];
    let mut text = "huishouden;bsn;geboortedatum;kenmerk\n".to_owned();
    for label in labels {
        let label = label.replace('"', "\"\"");
        text += &format!("\"{label}\";{bsn};1980-01-01;\"{label}\"\n");
    }
    let (list, out) = (world.path("list.csv"), world.path("out.csv"));
    std::fs::write(&list, text).unwrap();
    let said = world.node(
        COORDINATOR,
        &[
            "screen",
            "--yes",
            "--purpose",
            "screening",
            "--role",
            "informatiecoordinator",
            "--case",
            "TOP150",
            "--user",
            "pietersen",
            "--csv",
            out.to_str().unwrap(),
            list.to_str().unwrap(),
        ],
    );
    assert!(said.code <= 1, "{said:?}");
    let written = std::fs::read_to_string(&out).unwrap();
    let cells = written.split([';', '\n']).map(|cell| cell.trim_matches('"'));
    let mut typed = 0;
    for cell in cells {
        typed += usize::from(cell.contains("1+1") || cell.contains("HYPERLINK"));
        let first = cell.trim_start().chars().next().unwrap_or(' ');
        assert!(!"=+-@\u{ff1d}".contains(first), "a spreadsheet computes {cell:?}");
    }
    assert!(typed >= 4, "what was typed is not in the file: {written}");
    world.stop(broker, &[bsn.as_bytes()]);
}
