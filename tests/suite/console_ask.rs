//! Asking at the console, reading the answer, and everything that can go wrong in between.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

#[path = "console_ask/browser.rs"]
mod browser;
#[path = "console_ask/hub.rs"]
mod hub;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hitmachine_console::Console;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_testkit::process::program;
use hitmachine_tests::program as programs;
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use hitmachine_tests::world::World;

use crate::hub::{Deed, Hub};

const COORDINATOR: &str = "veiligheidshuis";

/// The coordinator's desk, with an account that asks.
async fn desk(site: &Site) -> Desk {
    let desk = site.desk(COORDINATOR).await;
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    desk
}

/// An adult whom schuldhulpverlening knows.
fn known(world: &World) -> String {
    let mut members = world.population.members(Register::Schuldhulpverlening);
    members
        .find(|person| person.class == AgeClass::Adult)
        .unwrap()
        .bsn
        .clone()
}

/// The fields of a question about one adult.
fn about<'a>(bsn: &'a str, case: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("purpose", "screening"),
        ("case", case),
        ("rows", "1"),
        ("number-1", bsn),
        ("class-1", "adult"),
        ("reference-1", "T150-7"),
    ]
}

/// Opens the form and sends it; the answer to that.
async fn ask(visitor: &Visitor, fields: &[(&str, &str)]) -> Answered {
    let form = visitor.get("/ask").await;
    send(visitor, &form, fields).await
}

/// Sends a form that was opened before.
async fn send(visitor: &Visitor, form: &Answered, fields: &[(&str, &str)]) -> Answered {
    let (csrf, id) = (form.hidden("csrf"), form.hidden("form"));
    let fields = [&[("csrf", csrf.as_str()), ("form", id.as_str())], fields].concat();
    visitor.post("/ask", &fields).await
}

/// Follows to the answer.
async fn answer(visitor: &Visitor, sent: &Answered) -> Answered {
    assert_eq!(sent.status, 303, "{}", sent.body);
    let page = visitor.get(sent.header("location")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page
}

/// No number of these is in anything that the node or the broker left on the disk, but for the registers themselves.
fn none_on_disk(site: &Site, numbers: &[&str]) {
    let mut folders = vec![
        site.world.path("nodes").join(COORDINATOR).join("state"),
        site.world.path("broker"),
    ];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                files += 1;
                for number in numbers {
                    let held = bytes.windows(number.len()).any(|part| part == number.as_bytes());
                    assert!(!held, "a number is in {}", path.display());
                }
            }
        }
    }
    assert!(files > 5, "looked at {files} files");
}

/// Lookups in the log of a broker that is stopped for it.
fn lookups(site: &mut Site) -> usize {
    site.world.stop(site.broker.take().unwrap(), &[]).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_form_is_one_question() {
    let mut site = Site::open(21);
    let desk = desk(&site).await;
    desk.account("jansen", roles(Some("informatiecoordinator"), false, false));
    let (visitor, other) = (desk.visitor("pietersen"), desk.visitor("jansen"));
    let bsn = known(&site.world);
    let fields = about(&bsn, "ZK-2026-1");

    // Two at once, and once more after that: the same answer.
    let form = visitor.get("/ask").await;
    let (one, two) = tokio::join!(send(&visitor, &form, &fields), send(&visitor, &form, &fields));
    let three = send(&visitor, &form, &fields).await;
    assert_eq!(one.header("location"), two.header("location"));
    assert_eq!(one.header("location"), three.header("location"));
    let page = answer(&visitor, &one).await;
    assert!(page.body.contains("status--known"), "{}", page.body);

    // With other content: refused, with a way to the answer that it has. As somebody else: without.
    let second = site.world.bsn(AgeClass::Minor).to_owned();
    for changed in [about(&bsn, "ZK-2026-2"), about(&second, "ZK-2026-1")] {
        let refused = send(&visitor, &form, &changed).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
        assert!(refused.body.contains(one.header("location")));
        assert!(!refused.body.contains(&second));
    }
    let (csrf, id) = (other.get("/ask").await.hidden("csrf"), form.hidden("form"));
    let stolen = [
        &[("csrf", csrf.as_str()), ("form", id.as_str())],
        fields.as_slice(),
    ]
    .concat();
    let refused = other.post("/ask", &stolen).await;
    assert_eq!(refused.status, 409);
    assert!(!refused.body.contains("/answers/"), "{}", refused.body);

    // Somebody else's answer, proof and question are not there; no more than one that never was.
    let path = one.header("location");
    let id = path.strip_prefix("/answers/").unwrap();
    for path in [
        path.to_owned(),
        format!("{path}/proof/1"),
        format!("/ask?from={id}"),
    ] {
        assert_eq!(other.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(
        other
            .get("/answers/00000000-0000-4000-8000-000000000000")
            .await
            .status,
        404
    );
    assert_eq!(other.get("/answers/x").await.status, 404);
    assert_eq!(visitor.get(&format!("{path}/proof/0")).await.status, 404);
    assert_eq!(visitor.get(&format!("{path}/proof/2")).await.status, 404);
    assert!(visitor.get("/history").await.body.contains(path));
    assert!(!other.get("/history").await.body.contains(path));

    // Another run of the console does not know what the form held: it shows no answer as that of this form.
    let console = Console::bind(Arc::clone(&desk.node)).await.unwrap().unwrap();
    let mut late = visitor.clone();
    console.url().clone_into(&mut late.url);
    let serving = tokio::spawn(console.serve());
    let csrf = late.get("/ask").await.hidden("csrf");
    let fields = [&[("csrf", csrf.as_str()), ("form", id)], fields.as_slice()].concat();
    assert_eq!(late.post("/ask", &fields).await.status, 409);
    assert_eq!(late.get(path).await.status, 200, "kept");
    serving.abort();
    none_on_disk(&site, &[&bsn, &second]);
    assert_eq!(lookups(&mut site), 1, "one form, one entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_keep_everything_but_the_number() {
    let mut site = Site::open(22);
    let desk = desk(&site).await;
    let visitor = desk.visitor("pietersen");
    let good = known(&site.world);
    let mut digits = good.clone().into_bytes();
    digits[8] = b'0' + (digits[8] - b'0' + 1) % 10;
    let bad = String::from_utf8(digits).unwrap();
    let script = "<script>alert('x')</script>\"'";
    let case = format!("ZK {script}");
    let fields = [
        ("purpose", "screening"),
        ("case", case.as_str()),
        ("responsible", script),
        ("rows", "2"),
        ("number-1", &bad),
        ("birth-1", "31-02-2010"),
        ("reference-1", script),
        ("number-2", &good),
        ("class-2", "adult"),
        ("reference-2", "T150-8"),
    ];
    let page = ask(&visitor, &fields).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("<title>Fout: "), "{}", page.body);
    assert!(page.body.contains("href=\"#number-1\"") && page.body.contains("href=\"#birth-1\""));
    assert!(page.body.contains("T150-8") && page.body.contains("31-02-2010"));
    assert!(!page.body.contains("<script>alert"), "text stays text");
    for number in [&bad, &good] {
        assert!(!page.body.contains(number.as_str()));
    }
    // A BSN as case reference or reference is not repeated either.
    let page = ask(&visitor, &about(&good, &format!("zaak {good}"))).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("href=\"#case\""), "{}", page.body);
    // What was typed there is shown again, but not a number.
    assert!(!page.body.contains(&good));

    // Fields that the page does not offer.
    for (name, value) in [("purpose", "signalering"), ("purpose", "x"), ("purpose", "")] {
        let mut fields = about(&good, "ZK-1");
        fields.retain(|(each, _)| *each != name);
        fields.push((name, value));
        let page = ask(&visitor, &fields).await;
        assert_eq!(page.status, 422);
        assert!(page.body.contains("Kies een doel uit de lijst."));
    }
    let page = ask(
        &visitor,
        &[
            ("action", "rows"),
            ("rows", "3"),
            ("case", "ZK-9"),
            ("number-1", &good),
        ],
    )
    .await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("number-3") && !page.body.contains("number-4") && page.body.contains("ZK-9"));
    assert!(!page.body.contains(&good));
    for id in ["", "x", "1"] {
        let csrf = visitor.get("/ask").await.hidden("csrf");
        let fields = [
            &[("csrf", csrf.as_str()), ("form", id)],
            about(&good, "ZK-1").as_slice(),
        ]
        .concat();
        assert_eq!(visitor.post("/ask", &fields).await.status, 400);
    }
    // Scripts in every text field of a question that is asked.
    let fields = [
        ("purpose", "screening"),
        ("case", case.as_str()),
        ("responsible", script),
        ("rows", "1"),
        ("number-1", &good),
        ("class-1", "adult"),
        ("reference-1", script),
    ];
    let page = answer(&visitor, &ask(&visitor, &fields).await).await;
    let list = visitor.get("/history").await;
    let encoded: String = form_urlencoded::byte_serialize(case.as_bytes()).collect();
    let found = visitor
        .get(&format!(
            "/history?case={encoded}&purpose={encoded}&from=x&page=x"
        ))
        .await;
    assert_eq!(found.status, 200);
    for page in [&page, &list, &found] {
        assert!(!page.body.contains("<script>alert"), "{}", page.body);
        assert!(!page.body.contains(&good));
    }
    // Who may not ask sees none of it.
    desk.account("fg", roles(None, true, true));
    let stranger = desk.visitor("fg");
    for path in [
        "/ask",
        "/history",
        "/answers/00000000-0000-4000-8000-000000000000",
    ] {
        assert_eq!(stranger.get(path).await.status, 403, "{path}");
    }
    assert_eq!(lookups(&mut site), 1, "nothing that was wrong was asked");
}

/// The proof that a person downloads is accepted by the real command, and says nothing about the person.
#[tokio::test(flavor = "multi_thread")]
async fn the_proof_can_be_checked_by_others() {
    let site = Site::open(23);
    let desk = desk(&site).await;
    let visitor = desk.visitor("pietersen");
    let bsn = known(&site.world);
    let sent = ask(&visitor, &about(&bsn, "ZK-2026-23")).await;
    let page = answer(&visitor, &sent).await;
    assert!(page.body.contains("Het bewijs is gecontroleerd."));
    let proof = visitor.get(&format!("{}/proof/1", sent.header("location"))).await;
    assert_eq!(proof.status, 200);
    let name = proof
        .header("content-disposition")
        .split('"')
        .nth(1)
        .unwrap()
        .to_owned();
    assert!(
        proof.body.starts_with("c2sp.org/tlog-proof@v1\nindex "),
        "{}",
        proof.body
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(&name);
    std::fs::write(&file, &proof.body).unwrap();
    let published = site.world.path("broker/data/audit/tiles");
    let policy = site.world.path("witness-policy.txt");
    programs::until("the log is published", || verify(&published, &policy, &file));
    // The number of the file is that of the entry on the page.
    let number = name.strip_suffix(".tlog-proof").unwrap();
    assert!(
        page.body.contains(&format!("Vastgelegd als regel {number}.")),
        "{name}"
    );
    let index = proof
        .body
        .lines()
        .find_map(|line| line.strip_prefix("index "))
        .unwrap();
    let moved = proof.body.replace(&format!("index {index}\n"), "index 0\n");
    std::fs::write(&file, moved).unwrap();
    assert!(
        index == "0" || !verify(&published, &policy, &file),
        "another entry's"
    );
}

fn verify(published: &Path, policy: &Path, proof: &Path) -> bool {
    let mut command = Command::new(program("hitmachine").unwrap());
    command
        .args(["audit", "verify", "--lang", "en", "--policy"])
        .arg(policy);
    let output = command.arg("--proof").arg(proof).arg(published).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() || text.contains("Proofs: 1 good of 1"),
        "{text}"
    );
    output.status.success()
}

/// "Could not be asked" is never "not known", and it can be asked when the hub is back.
#[tokio::test(flavor = "multi_thread")]
async fn the_hub_is_away() {
    let mut site = Site::open(24);
    let desk = desk(&site).await;
    let visitor = desk.visitor("pietersen");
    let bsn = known(&site.world);
    answer(&visitor, &ask(&visitor, &about(&bsn, "ZK-1")).await).await;
    let before = lookups(&mut site);
    let form = visitor.get("/ask").await;
    assert_eq!(form.status, 200, "the form needs no hub");
    let sent = send(&visitor, &form, &about(&bsn, "ZK-2")).await;
    let page = answer(&visitor, &sent).await;
    for text in [
        "De vraag is niet gesteld",
        "Wij konden het niet vragen",
        "role=\"alert\"",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(!page.body.contains("status--not-known") && !page.body.contains("Vastgelegd als regel"));
    let list = visitor.get("/history").await;
    assert!(list.body.contains("Niet gesteld"), "{}", list.body);

    // Back again: the same form, and a new one that is filled in.
    let id = sent
        .header("location")
        .strip_prefix("/answers/")
        .unwrap()
        .to_owned();
    let again = visitor.get(&format!("/ask?from={id}")).await;
    assert!(again.body.contains("ZK-2") && again.body.contains("T150-7") && !again.body.contains(&bsn));
    assert_ne!(again.hidden("form"), id);
    site.broker = Some(site.world.broker());
    let sent = send(&visitor, &form, &about(&bsn, "ZK-2")).await;
    let page = answer(&visitor, &sent).await;
    assert!(page.body.contains("status--known"), "{}", page.body);
    assert_eq!(lookups(&mut site), before + 1);
}

/// An answer that was lost on its way is fetched from the log; one without proof is never shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_loses_answers_or_lies() {
    let mut site = Site::open(25);
    let (hub, address) = Hub::start(&site.world).await;
    let desk = site
        .desk_with(COORDINATOR, |config| config.broker.address = address.to_string())
        .await;
    desk.account("pietersen", roles(Some("informatiecoordinator"), false, false));
    let visitor = desk.visitor("pietersen");
    let (bsn, other) = (known(&site.world), site.world.bsn(AgeClass::Minor).to_owned());

    hub.will(Deed::Loses);
    let sent = ask(&visitor, &about(&bsn, "ZK-3")).await;
    let page = answer(&visitor, &sent).await;
    assert!(
        page.body.contains("Het antwoord is niet aangekomen"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("status--"), "{}", page.body);
    let id = sent.header("location").strip_prefix("/answers/").unwrap();
    hub.will(Deed::Honest);
    let again = visitor.get(&format!("/ask?from={id}")).await;
    assert_eq!(again.hidden("form"), id, "the same question");
    // About somebody else it is not the same question, and nobody is asked about.
    let mut wrong = about(&other, "ZK-3");
    assert_eq!(send(&visitor, &again, &wrong).await.status, 409);
    wrong = about(&bsn, "ZK-4");
    assert_eq!(send(&visitor, &again, &wrong).await.status, 409);
    let sent = send(&visitor, &again, &about(&bsn, "ZK-3")).await;
    assert_eq!(sent.header("location"), format!("/answers/{id}"));
    let page = answer(&visitor, &sent).await;
    assert!(page.body.contains("status--known"), "{}", page.body);

    hub.will(Deed::Lies);
    let sent = ask(&visitor, &about(&bsn, "ZK-5")).await;
    let page = answer(&visitor, &sent).await;
    assert!(
        page.body.contains("Dit antwoord is niet te vertrouwen"),
        "{}",
        page.body
    );
    assert!(page.body.contains("not_proven") && page.body.contains("privacyfunctionaris"));
    for hidden in [
        "status--",
        "Vastgelegd als regel",
        "/proof/",
        "card--",
        "ask?from=",
    ] {
        assert!(!page.body.contains(hidden), "{hidden}: {}", page.body);
    }
    let proof = visitor.get(&format!("{}/proof/1", sent.header("location"))).await;
    assert_eq!(proof.status, 404);
    drop((desk, hub));
    assert_eq!(lookups(&mut site), 2, "fetched, not asked again");
}
