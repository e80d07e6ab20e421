//! No person number, pseudonym, tag or key is in anything that the programs print, log, count or leave behind.
//!
//! What is looked for is worked out from the plain registers and the key files. Each secret is looked for in the forms
//! in which programs write bytes, see [`hitmachine_tests::secrets`].
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "secrets/programs.rs"]
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use hitmachine_tests::deployment;
use hitmachine_tests::secrets::{ALL, Kind, Printed, Secrets, files};

use crate::programs::{Desk, Serving};

#[test]
fn the_demo_prints_no_secret_however_talkative_it_is() {
    for json in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("demo");
        let mut command = Command::new(program("hitmachine").unwrap());
        command
            .args(["demo", "--once", "--log", "trace", "--persons", "500", "--dir"])
            .arg(&folder);
        command
            .args(if json { &["--json"][..] } else { &[] })
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );

        let mut printed = Printed::default();
        printed.add_output("demo", &output);
        // It was talkative.
        let log = printed.text("demo, standard error");
        assert!(
            log.contains("hitmachine_broker") && log.contains("sync ended"),
            "{log}"
        );
        let secrets = Secrets::of(&Deployment::open(&folder).unwrap());
        // Household labels are the list's own, and are shown; that is how an answer finds its person.
        assert!(printed.text("demo, standard output").contains("T150-001-1"));
        secrets.check_printed(&printed);
        check_planted(&secrets, &printed.0["demo, standard error"]);
        check_storage(&Deployment::open(&folder).unwrap(), &secrets);
    }
}

/// The search finds what is there: each kind in each form, put into what was printed.
fn check_planted(secrets: &Secrets, log: &[u8]) {
    let long = secrets
        .bsns
        .iter()
        .find(|bsn| bsn.starts_with("9999"))
        .unwrap()
        .clone();
    let zero = secrets
        .bsns
        .iter()
        .find(|bsn| bsn.starts_with("0000"))
        .unwrap()
        .clone();
    let (token, tag, key) = (&secrets.tokens[7], &secrets.tags[7], &secrets.keys[0]);
    let quoted = |text: &str| format!("{{\"case\":\"{text}\"}}").into_bytes();
    let mut plants: Vec<(Kind, &str, Vec<u8>)> = vec![
        (Kind::Bsn, "a number", format!("bsn={long} ").into_bytes()),
        (Kind::Bsn, "with zeros", quoted(&zero)),
        (Kind::Bsn, "without the first zero", quoted(&zero[1..])),
        (Kind::Bsn, "in a sentence", format!("person {long}.").into_bytes()),
        (Kind::Bsn, "hex", quoted(&hex::encode(&long))),
        (Kind::Key, "a line of PEM", quoted(&secrets.pem_lines[1])),
        (
            Kind::Key,
            "a private key's bytes",
            quoted(&hex::encode(secrets.keys.last().unwrap())),
        ),
        (Kind::Reference, "a reference", quoted(&secrets.references[3])),
    ];
    for (kind, secret) in [
        (Kind::Bsn, long.as_bytes()),
        (Kind::Token, token),
        (Kind::Tag, tag),
        (Kind::Key, key),
    ] {
        plants.push((kind, "bytes", secret.to_vec()));
        plants.push((kind, "hex", quoted(&hex::encode(secret))));
        plants.push((kind, "hex in capitals", quoted(&hex::encode_upper(secret))));
        plants.push((kind, "a list", format!("Some({secret:?})").into_bytes()));
        plants.push((kind, "a list in hex", format!("Some({secret:02x?})").into_bytes()));
        plants.push((kind, "JSON", serde_json::to_vec(secret).unwrap()));
        plants.push((
            kind,
            "a byte string",
            format!("b\"\\n{}\"", secret.escape_ascii()).into_bytes(),
        ));
        // In the middle of a longer message, at each of the three places.
        for before in ["", "m", "me", "mes", "mess"] {
            let message = [before.as_bytes(), secret, b"age"].concat();
            for (name, alphabet) in [("base64", &STANDARD), ("base64 for URLs", &URL_SAFE)] {
                plants.push((
                    kind,
                    name,
                    quoted(&GeneralPurpose::new(alphabet, NO_PAD).encode(&message)),
                ));
            }
        }
    }
    // Shortened, as logs do.
    plants.push((
        Kind::Token,
        "the first half in hex",
        quoted(&format!("{}…", &hex::encode(token)[..16])),
    ));
    let middle = log.len() / 2;
    for (kind, name, plant) in plants {
        let text = [&log[..middle], b" ", &plant, b" ", &log[middle..]].concat();
        let found = secrets.needles.find(&text, true, &ALL);
        let kinds: BTreeSet<Kind> = found.iter().map(|found| found.0).collect();
        assert_eq!(kinds, BTreeSet::from([kind]), "planted: a {kind:?} as {name}");
        let leaks = secrets.leaks(&BTreeMap::from([("planted".to_owned(), text)]));
        assert_eq!(leaks.len(), 1, "planted: a {kind:?} as {name}");
    }
}

/// What lies on disk, seen by a thief without the keys.
fn check_storage(deployment: &Deployment, secrets: &Secrets) {
    let data = deployment.dir().join("broker").join("data");
    let unreadable = [Kind::Bsn, Kind::Token, Kind::Key, Kind::Reference];
    assert!(
        secrets.check_files(&data, &unreadable) > 16 << 20,
        "registrations and a segment of the log"
    );
    secrets.check_files(&data.join("audit"), &ALL);
    // The register holds tags; so the search looks in the right place, and these are the right tags and tokens.
    let registered: usize = files(&data.join("registry"))
        .iter()
        .map(|path| {
            secrets
                .needles
                .find(&fs::read(path).unwrap(), false, &[Kind::Tag])
                .len()
        })
        .sum();
    assert!(registered > 1_000, "only {registered} tags in the register");
    for partner in deployment.registering().chain([COORDINATOR]) {
        let state = deployment.node_config(partner).with_file_name("state");
        let looked = secrets.check_files(&state, &ALL);
        assert!(looked > 1_000, "{partner}: only {looked} bytes of state");
    }
}

#[test]
fn no_process_prints_or_keeps_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let deployment = deployment(&dir.path().join("d"), 23);
    let partners: Vec<&str> = deployment.registering().chain([COORDINATOR]).collect();
    let configs = partners
        .iter()
        .map(|partner| deployment.node_config(partner))
        .chain([deployment.broker_config()]);
    for config in configs {
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, text + "\n[log]\nformat = \"json\"\nfilter = \"trace\"\n").unwrap();
    }
    let mut secrets = Secrets::of(&deployment);
    // Numbers that are no BSNs must not be repeated either: they are somebody's, mistyped.
    let (good, bad) = (secrets.bsns.first().unwrap().clone(), mistyped(&secrets));
    secrets.bsns.insert(bad.clone());
    secrets.prepare();
    let list = dir.path().join("list.csv");
    write_list(&list, &secrets, &bad);
    let list = list.to_str().unwrap();

    let address = free_address().unwrap();
    let broker = BrokerProcess::start(&deployment, address).unwrap();
    let mut desk = Desk {
        deployment: &deployment,
        broker: address,
        printed: Printed::default(),
    };
    // Each node for itself, and then as a service that the command line goes through.
    for partner in deployment.registering() {
        desk.run(partner, &["sync"], "", 0);
    }
    let before = dir.path().join("audit before");
    for serving in [false, true] {
        let nodes: Vec<Serving> = partners
            .iter()
            .filter(|_| serving)
            .map(|partner| Serving::start(&deployment, partner, address))
            .collect();
        for partner in deployment.registering() {
            desk.run(partner, &["sync", "--full", "--json"], "", 0);
            desk.run(partner, &["status"], "", 0);
        }
        let (role, case) = ("informatiecoordinator", "ZK-2026-1");
        desk.ask(COORDINATOR, "screening", role, case, &good, 0);
        desk.ask("regieteams", "signalering", "professional", case, &good, 0);
        // Refused by the covenant: logged, and told.
        desk.ask("leerplicht", "screening", role, case, &good, 1);
        desk.ask(COORDINATOR, "screening", "stagiair", case, &good, 1);
        desk.ask(COORDINATOR, "nieuwsgierigheid", role, case, &good, 1);
        // Refused by the node.
        desk.ask(COORDINATOR, "screening", role, &format!("ZK-{good}"), &good, 2);
        for wrong in [
            bad.as_str(),
            &good[..7],
            &format!("{good}x"),
            &format!("{good} {good}"),
            "",
        ] {
            desk.ask(COORDINATOR, "screening", role, case, wrong, 2);
        }
        let screening = [
            "screen",
            "--yes",
            "--purpose",
            "screening",
            "--role",
            role,
            "--case",
            case,
            "--user",
            "u",
            list,
        ];
        desk.run(COORDINATOR, &screening, "", 0);
        desk.run(COORDINATOR, &[&screening[..], &["--json"]].concat(), "", 0);
        // A list without its header, so that numbers stand in its place.
        let headless = format!("{list}.headless");
        fs::write(
            &headless,
            fs::read_to_string(list).unwrap().split_once('\n').unwrap().1,
        )
        .unwrap();
        desk.run(
            COORDINATOR,
            &[&screening[..10], &[headless.as_str()]].concat(),
            "",
            2,
        );
        let page = broker.metrics().unwrap();
        assert!(
            page.contains("hitmachine_lookups_total{outcome=\"refused\"}"),
            "{page}"
        );
        desk.printed.add(format!("metrics, serving {serving}"), page);
        for node in nodes {
            node.stop();
        }
        if !serving {
            copy(&deployment.dir().join("broker/data/audit"), &before);
        }
    }
    assert_eq!(broker.stop().unwrap(), Some(0));

    // The log as it was: its answers prove nothing to a node that saw more, which keeps the evidence.
    let audit = deployment.dir().join("broker/data/audit");
    fs::remove_dir_all(&audit).unwrap();
    copy(&before, &audit);
    let broker = BrokerProcess::start(&deployment, address).unwrap();
    desk.ask(
        COORDINATOR,
        "screening",
        "informatiecoordinator",
        "ZK-2026-2",
        &good,
        4,
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
    // Nobody there.
    desk.ask(
        COORDINATOR,
        "screening",
        "informatiecoordinator",
        "ZK-2026-2",
        &good,
        3,
    );

    let mut printed = desk.printed;
    let evidence = files(
        &deployment
            .node_config(COORDINATOR)
            .with_file_name("state")
            .join("evidence"),
    );
    assert!(!evidence.is_empty(), "no evidence was kept");
    let logs = partners
        .iter()
        .map(|partner| deployment.node_config(partner).with_file_name("node.log"));
    for path in evidence
        .into_iter()
        .chain(logs)
        .chain([deployment.dir().join("broker/broker.log")])
    {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.is_empty(), "{}", path.display());
        printed.add(
            path.strip_prefix(deployment.dir()).unwrap().to_str().unwrap(),
            bytes,
        );
    }
    for log in ["broker/broker.log", "nodes/leerplicht/node.log"] {
        let text = printed.text(log);
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()),
            "{log} is not JSON"
        );
        assert!(text.contains("\"target\":\"hitmachine_"), "{log}");
    }
    assert!(printed.text("broker/broker.log").contains("question refused"));
    secrets.check_printed(&printed);
    check_planted(&secrets, &printed.0["broker/broker.log"]);
    check_storage(&deployment, &secrets);
}

/// A number of a test range that nobody has and that fails the elfproef.
fn mistyped(secrets: &Secrets) -> String {
    let passes = |number: &str| {
        hitmachine_identifier::check_digit(number[..8].parse().unwrap()).map(|digit| char::from(b'0' + digit))
            == number.chars().next_back()
    };
    let mut numbers = (999_900_000..).map(|number: u32| number.to_string());
    numbers
        .find(|number| !passes(number) && !secrets.bsns.contains(number))
        .unwrap()
}

/// Three households, one row with a bad number.
fn write_list(path: &Path, secrets: &Secrets, bad: &str) {
    let mut text = "huishouden;bsn;geboortedatum;kenmerk\n".to_owned();
    let numbers = secrets.bsns.iter().filter(|bsn| *bsn != bad).filter(|bsn| {
        hitmachine_identifier::check_digit(bsn[..8].parse().unwrap()).map(|digit| char::from(b'0' + digit))
            == bsn.chars().next_back()
    });
    for (place, bsn) in numbers.take(9).map(String::as_str).chain([bad]).enumerate() {
        writeln!(text, "H{};{bsn};01-02-1980;p{place}", place % 3).unwrap();
    }
    fs::write(path, text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
