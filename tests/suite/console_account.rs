//! Accounts as the administrator keeps them: on the command line, and on the pages.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::fs;

use hitmachine_node::accounts::Next;
use hitmachine_testkit::process::node_command;
use hitmachine_tests::browser::{Browser, Look};
use hitmachine_tests::program::Said;
use hitmachine_tests::site::{Desk, Site, Visitor, roles};
use hitmachine_tests::world::World;

const PARTNER: &str = "veiligheidshuis";
const PASSWORD: &str = "fiets staat buiten";
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A command as the administrator of the machine gives it, without a hub anywhere.
fn run(world: &World, arguments: &[&str]) -> Said {
    let mut command = node_command(&world.deployment, PARTNER, world.address).unwrap();
    command.env("USER", "root").env("COLUMNS", "120");
    Said::of(command.args(arguments).output().unwrap())
}

#[test]
fn the_command_line_keeps_accounts_with_and_without_a_serving_node() {
    let world = World::new(31);
    // Nothing serves, and no hub can be reached.
    let added = run(
        &world,
        &[
            "user",
            "add",
            "Beheer",
            "--name",
            "Bea Heer",
            "--role",
            "beheerder",
        ],
    );
    assert_eq!(added.code, 0, "{added:?}");
    let password = added
        .out
        .lines()
        .next()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(password.len(), 19, "{added:?}");
    let json = run(&world, &["--json", "user", "list"]).json();
    assert_eq!(
        (&json[0]["id"], &json[0]["must_change"]),
        (&"beheer".into(), &true.into())
    );
    let listed = run(&world, &["user", "list"]);
    assert!(
        listed.out.contains("Bea Heer") && listed.out.contains("first password"),
        "{listed:?}"
    );
    let again = run(
        &world,
        &[
            "--json",
            "user",
            "add",
            "beheer",
            "--name",
            "Nog een",
            "--role",
            "beheerder",
        ],
    );
    assert_eq!(again.failure(), (1, "account_exists".into()));
    for (arguments, code) in [
        (&["--role", "baas"][..], 2),
        (&["--role", "vrager"], 2),
        (&["--role", "vrager=Geen Rol"], 2),
        (&[], 2),
    ] {
        let add = ["user", "add", "jansen", "--name", "J. Jansen"];
        assert_eq!(
            run(&world, &[&add, arguments].concat()).code,
            code,
            "{arguments:?}"
        );
    }
    // What looks like a person's number is refused and not repeated.
    let number = run(
        &world,
        &["user", "add", "123456782", "--name", "X", "--role", "beheerder"],
    );
    assert_eq!(number.code, 2);
    assert!(
        !number.out.contains("123456782") && !number.err.contains("123456782"),
        "{number:?}"
    );
    let last = run(&world, &["--json", "user", "block", "beheer"]);
    assert_eq!(last.failure(), (1, "last_administrator".into()));
    assert_eq!(
        run(&world, &["--json", "user", "block", "niemand"]).failure(),
        (1, "no_such_account".into())
    );

    // With a node that serves, through its socket; with files nothing is printed.
    let broker = world.broker();
    let node = world.serve(PARTNER);
    let (password_file, totp_file) = (world.path("password"), world.path("totp"));
    fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    fs::write(&totp_file, SECRET).unwrap();
    let files = [
        "user",
        "add",
        "jansen",
        "--name",
        "J. Jansen",
        "--role",
        "vrager=informatiecoordinator",
        "--role",
        "privacyfunctionaris",
        "--password-file",
        password_file.to_str().unwrap(),
        "--totp-file",
        totp_file.to_str().unwrap(),
    ];
    let added = run(&world, &files);
    assert_eq!((added.code, added.out.as_str()), (0, "Done.\n"), "{added:?}");
    let reset = run(&world, &["--json", "user", "reset", "jansen"]).json();
    assert_eq!(reset["initial_password"].as_str().unwrap().len(), 19);
    assert_eq!(
        run(&world, &["user", "roles", "jansen", "--role", "beheerder"]).code,
        0
    );
    assert_eq!(run(&world, &["user", "block", "jansen"]).code, 0);
    assert_eq!(run(&world, &["user", "unblock", "jansen"]).code, 0);
    assert_eq!(run(&world, &["user", "remove", "jansen"]).code, 0);
    let token = run(
        &world,
        &[
            "--json",
            "application",
            "add",
            "zaaksysteem",
            "--name",
            "Zaaksysteem",
            "--role",
            "vrager=informatiecoordinator",
            "--purpose",
            "screening",
            "--days",
            "30",
        ],
    )
    .json();
    let token = token["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("hm_"));
    let listed = run(&world, &["application", "list"]);
    assert!(
        listed.out.contains("zaaksysteem") && !listed.out.contains(&token),
        "{listed:?}"
    );
    assert_eq!(run(&world, &["application", "revoke", "zaaksysteem"]).code, 0);
    assert_eq!(
        run(&world, &["--json", "application", "revoke", "zaaksysteem"]).failure(),
        (1, "no_such_account".into())
    );
    let log = run(&world, &["user", "log"]);
    for word in [
        "Account made",
        "Roles changed",
        "Blocked",
        "Account removed",
        "Application revoked",
    ] {
        assert!(log.out.contains(word), "{word} not in {}", log.out);
    }
    let of = run(
        &world,
        &["--json", "user", "log", "--user", "jansen", "--kind", "roles"],
    )
    .json();
    assert_eq!(of["entries"].as_array().unwrap().len(), 1, "{of}");
    assert_eq!(of["entries"][0]["by"], "command:root");
    let checked = run(&world, &["user", "log", "--check"]);
    assert!(
        checked.code == 0 && checked.out.contains("is whole"),
        "{checked:?}"
    );
    let logged = node.log().unwrap();
    for secret in [
        &password,
        &token,
        PASSWORD,
        SECRET,
        reset["initial_password"].as_str().unwrap(),
    ] {
        assert!(!logged.contains(secret) && !log.out.contains(secret));
    }
    drop((node, broker));
}

/// A desk with an administrator, and somebody who signs in there.
async fn desk(site: &Site) -> (Desk, Visitor) {
    let desk = site.desk(PARTNER).await;
    desk.account("beheer", roles(None, false, true));
    desk.account("vrager", roles(Some("informatiecoordinator"), false, false));
    let visitor = desk.visitor("beheer");
    (desk, visitor)
}

/// What stands in the only `id="once"`.
fn once(body: &str) -> &str {
    let text = body.split("id=\"once\">").nth(1).unwrap();
    text.split('<').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_keeps_accounts_on_the_pages() {
    let site = Site::open(32);
    let (desk, admin) = desk(&site).await;
    let accounts = desk.node.accounts();
    let fields = [
        ("id", "Jansen"),
        ("name", "Jan <b>Jansen"),
        ("asks_as", "informatiecoordinator"),
    ];
    let made = admin.fill("/admin/users/new", "/admin/users/new", &fields).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(
        made.body.contains("Jan &#60;b&#62;Jansen") && !made.body.contains("<b>"),
        "{}",
        made.body
    );
    let (_, next) = accounts.password("jansen", once(&made.body)).unwrap();
    assert_eq!(next, Next::NewPassword);
    // Mistakes come back with what was typed, but for what could be a person's number.
    for (fields, field, typed) in [
        (
            &[("id", "jansen"), ("name", "Nog een"), ("administers", "yes")][..],
            "id",
            "jansen",
        ),
        (
            &[("id", "a/b"), ("name", "Nog een"), ("administers", "yes")],
            "id",
            "a/b",
        ),
        (
            &[("id", "piet"), ("name", "Piet"), ("asks_as", "")],
            "asks_as",
            "piet",
        ),
        (
            &[("id", "piet"), ("name", "Piet"), ("asks_as", "verzonnen")],
            "asks_as",
            "piet",
        ),
        (
            &[("id", "piet"), ("name", ""), ("administers", "yes")],
            "name",
            "piet",
        ),
        (
            &[("id", "123456782"), ("name", "Piet"), ("administers", "yes")],
            "id",
            "",
        ),
    ] {
        let wrong = admin.fill("/admin/users/new", "/admin/users/new", fields).await;
        assert_eq!(wrong.status, 422, "{fields:?}");
        assert!(wrong.body.contains("<title>Fout:"), "{}", wrong.body);
        assert!(
            wrong.body.contains(&format!("<a href=\"#{field}\">")),
            "{fields:?}: {}",
            wrong.body
        );
        assert!(
            wrong
                .body
                .contains(&format!("name=\"id\" type=\"text\" value=\"{typed}\"")),
            "{}",
            wrong.body
        );
        assert!(!wrong.body.contains("123456782"));
    }
    assert_eq!(accounts.users().unwrap().len(), 3);
    // Each change ends the person's sessions.
    let jansen = desk.visitor("jansen");
    assert_eq!(jansen.get("/").await.status, 200);
    let path = "/admin/users/jansen";
    let changed = admin
        .fill(path, "/admin/users/jansen/roles", &[("administers", "yes")])
        .await;
    assert_eq!(
        (changed.status, changed.header("location")),
        (303, "/admin/users/jansen?done=roles")
    );
    assert!(
        admin
            .get(changed.header("location"))
            .await
            .body
            .contains("role=\"status\"")
    );
    assert_eq!(jansen.get("/").await.status, 303);
    assert!(accounts.user("jansen").unwrap().unwrap().roles.administers);
    for (action, word) in [
        ("block", "blocked"),
        ("unblock", "unblocked"),
        ("sign-out", "signed-out"),
    ] {
        let done = admin.fill(path, &format!("{path}/{action}"), &[]).await;
        assert_eq!(done.header("location"), format!("{path}?done={word}"));
    }
    let reset = admin.fill(path, "/admin/users/jansen/reset", &[]).await;
    assert!(accounts.password("jansen", once(&reset.body)).is_ok());
    let page = admin.get(path).await;
    assert!(!page.body.contains(once(&reset.body)), "shown once");
    let removed = admin.fill(path, "/admin/users/jansen/remove", &[]).await;
    assert_eq!(removed.header("location"), "/admin/users?done=removed");
    assert_eq!(admin.get(path).await.status, 404);
    // The last one stays.
    let own = admin
        .fill("/admin/users/beheer", "/admin/users/beheer/block", &[])
        .await;
    assert_eq!(own.status, 422);
    assert!(own.body.contains("laatste beheerder"));
    let own = admin
        .fill("/admin/users/beheer", "/admin/users/beheer/roles", &[])
        .await;
    assert_eq!(own.status, 422);
    // The book, by kind and by user, and whole.
    let book = admin.get("/admin/users/log?user=jansen&kind=roles").await;
    assert!(
        book.body.contains("vrager=informatiecoordinator → beheerder"),
        "{}",
        book.body
    );
    assert!(!book.body.contains("Overal uitgelogd</td>"));
    assert!(
        admin
            .get("/admin/users/log?check=1")
            .await
            .body
            .contains("Het logboek is heel")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_at_them() {
    let site = Site::open(33);
    let (desk, _) = desk(&site).await;
    let others = [(desk.stranger(), 303), (desk.visitor("vrager"), 403)];
    for (visitor, status) in &others {
        for path in [
            "/admin/users",
            "/admin/users/new",
            "/admin/users/log",
            "/admin/users/beheer",
            "/admin/applications",
            "/admin/applications/new",
        ] {
            assert_eq!(visitor.get(path).await.status, *status, "{path}");
        }
    }
    let asker = &others[1].0;
    let csrf = asker.get("/").await.hidden("csrf");
    for path in [
        "/admin/users/new",
        "/admin/users/beheer/roles",
        "/admin/users/beheer/block",
        "/admin/users/beheer/unblock",
        "/admin/users/beheer/sign-out",
        "/admin/users/beheer/reset",
        "/admin/users/beheer/remove",
        "/admin/applications/new",
        "/admin/applications/x/revoke",
    ] {
        let with = [
            ("csrf", csrf.as_str()),
            ("id", "x"),
            ("name", "X"),
            ("administers", "yes"),
            ("days", "3"),
        ];
        assert_eq!(asker.post(path, &with).await.status, 403, "{path}");
        // The administrator's own form without its csrf does nothing either.
        let admin = desk.visitor("beheer");
        assert_eq!(admin.post(path, &with).await.status, 403, "{path}");
    }
    let accounts = desk.node.accounts();
    assert_eq!(accounts.users().unwrap().len(), 2);
    assert!(accounts.applications().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_gets_a_token_that_is_shown_once() {
    let site = Site::open(34);
    let (desk, admin) = desk(&site).await;
    let new = "/admin/applications/new";
    let fields = [
        ("id", "zaaksysteem"),
        ("name", "Zaaksysteem"),
        ("asks_as", "informatiecoordinator"),
        ("purpose", "screening"),
        ("days", "30"),
    ];
    let made = admin.fill(new, new, &fields).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let token = once(&made.body).to_owned();
    let accounts = desk.node.accounts();
    let application = accounts.application(&token).unwrap().unwrap();
    assert_eq!(application.purposes, Some(vec!["screening".to_owned()]));
    for (wrong, field) in [
        (("id", "zaaksysteem"), "id"),
        (("id", "Met Spatie"), "id"),
        (("name", ""), "name"),
        (("asks_as", ""), "asks_as"),
        (("days", "0"), "days"),
        (("days", "veel"), "days"),
    ] {
        let mut fields = fields;
        fields[0].1 = "ander";
        fields
            .iter_mut()
            .filter(|(name, _)| *name == wrong.0)
            .for_each(|each| *each = wrong);
        let answer = admin.fill(new, new, &fields).await;
        assert_eq!(answer.status, 422, "{wrong:?}");
        assert!(
            answer.body.contains(&format!("<a href=\"#{field}\">")),
            "{wrong:?}: {}",
            answer.body
        );
        assert!(
            answer.body.contains("value=\"screening\" checked"),
            "{}",
            answer.body
        );
    }
    assert!(!admin.get("/admin/applications").await.body.contains(&token));
    let revoked = admin
        .fill(
            "/admin/applications",
            "/admin/applications/zaaksysteem/revoke",
            &[],
        )
        .await;
    assert_eq!(revoked.header("location"), "/admin/applications?done=revoked");
    assert!(accounts.application(&token).unwrap().is_none());
    assert!(
        admin
            .get("/admin/users/log")
            .await
            .body
            .contains("Toepassing ingetrokken")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_for_everybody() {
    let site = Site::open(35);
    let (desk, admin) = desk(&site).await;
    let fields = [
        ("id", "zaak"),
        ("name", "Zaaksysteem"),
        ("asks_as", "informatiecoordinator"),
        ("days", "30"),
    ];
    admin
        .fill("/admin/applications/new", "/admin/applications/new", &fields)
        .await;
    for (width, size) in [(1280, "1280"), (375, "375")] {
        let look = Look {
            width,
            ..Look::default()
        };
        let browser = Browser::open(look).await;
        for (path, name) in [
            ("/admin/users", "list"),
            ("/admin/users/new", "new"),
            ("/admin/users/vrager", "one"),
            ("/admin/users/log?check=1", "log"),
            ("/admin/applications", "applications"),
            ("/admin/applications/new", "application_new"),
        ] {
            browser.visit_as(&desk, "beheer", path).await;
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{path}");
            browser.picture(&format!("users_{name}_{size}_light")).await;
        }
        // With a mistake, and with a password that is shown once.
        let name = format!("gebruiker{size}");
        for (id, page) in [("a/b", "wrong"), (name.as_str(), "password")] {
            browser.visit_as(&desk, "beheer", "/admin/users/new").await;
            for (field, text) in [("id", id), ("name", "Nieuwe Gebruiker")] {
                let field = browser.client.find(fantoccini::Locator::Id(field)).await.unwrap();
                field.send_keys(text).await.unwrap();
            }
            let role = browser
                .client
                .find(fantoccini::Locator::Id("administers"))
                .await
                .unwrap();
            role.click().await.unwrap();
            let button = browser
                .client
                .find(fantoccini::Locator::Css("main form button[type=submit]"))
                .await
                .unwrap();
            button.click().await.unwrap();
            browser
                .client
                .wait()
                .for_element(fantoccini::Locator::Css("[role=alert], #once"))
                .await
                .unwrap();
            assert_eq!(browser.axe().await, Vec::<String>::new(), "{page}");
            browser.picture(&format!("users_{page}_{size}_light")).await;
        }
    }
}
