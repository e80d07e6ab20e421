//! The samples in `deploy/` are read by the programs they are for, fit each other, and a program says what is wrong with
//! others.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hitmachine_audit::{LogVerifier, NoteSigner, Origin};
use hitmachine_broker::BrokerConfig;
use hitmachine_core::covenant::{Answers, Document, Trust, acceptance, advice};
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_identifier::Admission;
use hitmachine_node::NodeConfig;
use hitmachine_pseudonym::{DeploymentId, DeploymentKind, KeyCheckValue, Scheme};
use hitmachine_testkit::process::program;

/// A value that could be a key that somebody pasted into the wrong place.
const PASTED: &str = "8f1d0c5be7a94263";

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// A sample with one text replaced by another, in a folder of its own.
fn changed(name: &str, from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let text = fs::read_to_string(sample(name)).unwrap();
    assert!(text.contains(from), "{from} is not in the sample");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (dir, path)
}

fn run(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program(name).unwrap());
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Line, from 1, of the first occurrence.
fn line_of(path: &Path, part: &str) -> usize {
    let text = fs::read_to_string(path).unwrap();
    1 + text.lines().position(|line| line.contains(part)).unwrap()
}

/// What is wrong with a configuration: a name, the change, the field and the problem that are to be named.
type Wrong<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

/// A wrong configuration ends each command with code 2, and with file, line and field but no value.
fn refused(name: &str, file: &str, commands: &[&str], wrong: &[Wrong<'_>]) {
    for (case, from, to, field, problem) in wrong {
        let (_dir, path) = changed(file, from, to);
        for command in commands {
            let output = run(name, &[command, "--config", path.to_str().unwrap()]);
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(2), "{case}: {text}");
            assert!(text.contains(&format!("{file}, line ")), "{case}: {text}");
            assert!(text.contains(field) && text.contains(problem), "{case}: {text}");
            assert!(!text.contains(PASTED), "{case}: {text}");
            // What is missing or contradicts itself is not on one line.
            if !to.is_empty() && !to.starts_with('#') && !to.contains('\n') {
                let line = line_of(&path, to);
                assert!(text.contains(&format!("line {line}")), "{case}: {text}");
            }
        }
    }
    let missing = run(name, &[commands[0], "--config", "/nowhere/missing.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .contains("/nowhere/missing.toml")
    );
}

#[test]
fn a_wrong_broker_configuration_says_where_but_not_what() {
    refused(
        "hitmachine-broker",
        "broker.toml",
        &["serve", "check", "rebuild-registry"],
        &[
            (
                "unknown field",
                "listen = ",
                "lissten = ",
                "",
                "unknown field `lissten`",
            ),
            (
                "missing field",
                "covenant = \"covenant.toml\"\n",
                "",
                "",
                "missing field `covenant`",
            ),
            (
                "no address",
                "\"0.0.0.0:7443\"",
                &format!("\"{PASTED}\""),
                "listen",
                "socket address",
            ),
            (
                "no number",
                "number = 1",
                &format!("number = \"{PASTED}\""),
                "epoch.number",
                "expected u32",
            ),
            (
                "no list",
                "segment_mib = 64",
                &format!("segment_mib = [\"{PASTED}\"]"),
                "audit.segment_mib",
                "expected u64",
            ),
            (
                "no TOML",
                "filter = \"info\"",
                &format!("filter = {PASTED}"),
                "",
                "",
            ),
            (
                "a number for a text",
                "listen = \"0.0.0.0:7443\"",
                "listen = 999900006",
                "listen",
                "invalid type",
            ),
        ],
    );
}

#[test]
fn a_wrong_node_configuration_says_where_but_not_what() {
    refused(
        "hitmachine-node",
        "node.toml",
        &["serve", "sync", "status"],
        &[
            (
                "unknown field",
                "partner = ",
                "partnr = ",
                "",
                "unknown field `partnr`",
            ),
            (
                "missing field",
                "state_dir = ",
                "# state_dir = ",
                "",
                "missing field `state_dir`",
            ),
            (
                "no number",
                "number = 1",
                &format!("number = \"{PASTED}\""),
                "epoch.number",
                "expected u32",
            ),
            (
                "no list",
                "test_bsn_prefixes = [",
                &format!("test_bsn_prefixes = [[\"{PASTED}\"], "),
                "deployment.test_bsn_prefixes",
                "",
            ),
            (
                "no delimiter",
                "delimiter = \";\"",
                &format!("delimiter = \"{PASTED}\""),
                "source.delimiter",
                "",
            ),
            (
                "two classes",
                "birth_date = ",
                &format!("class = \"{PASTED}\"\nbirth_date = "),
                "source.columns",
                "exactly one of",
            ),
            (
                "no TOML",
                "filter = \"info\"",
                &format!("filter = {PASTED}"),
                "",
                "",
            ),
            (
                "a number for a text",
                "partner = \"leerplicht\"",
                "partner = 999900006",
                "partner",
                "invalid type: integer, expected a string",
            ),
        ],
    );
}

#[test]
fn the_brokers_sample_is_read_whole() {
    let config = BrokerConfig::load(&sample("broker.toml")).unwrap();
    assert_eq!(config.listen.port(), 7443);
    assert_eq!(
        config.covenant,
        sample("covenant.toml"),
        "beside the configuration"
    );
    assert_eq!(
        config.tls.key,
        Path::new("credential:broker.key"),
        "credentials are no paths"
    );
    assert_eq!(
        config.registry_dir(),
        Path::new("/var/lib/hitmachine-broker/registry")
    );
    assert_eq!(
        config.limits,
        hitmachine_service::server::ServerLimits::default(),
        "says what holds if absent"
    );
    assert_eq!(
        config.metrics.map(|metrics| metrics.listen.ip().is_loopback()),
        Some(true)
    );
    // What a start parses after reading.
    assert!(config.epoch.scheme.parse::<Scheme>().is_ok());
    assert!(config.epoch.key_check_value.parse::<KeyCheckValue>().is_ok());
    assert!(Origin::new(config.audit.origin).is_ok());
}

/// Signs the sample with the published test keys of two of its administrators, when snapshots are to be updated.
fn sign_sample(covenant: &Covenant) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_none() {
        return;
    }
    let text = acceptance::signed_text(covenant);
    let mut note: Option<Vec<u8>> = None;
    for (name, seed) in [("j.jansen", 0xa1), ("f.devries", 0xa2)] {
        let signer = NoteSigner::new(name, &[seed; 32]).unwrap();
        note = Some(signer.sign(&text, note.as_deref()).unwrap());
    }
    fs::write(sample("covenant.toml.sig"), note.unwrap()).unwrap();
}

#[test]
fn the_sample_covenant_is_one() {
    let covenant = Covenant::parse(&fs::read(sample("covenant.toml")).unwrap()).unwrap();
    assert_eq!(covenant.deployment().kind, DeploymentKind::Test);
    assert!(
        covenant.partners().iter().all(|partner| partner.oin.is_test()),
        "no OIN of a real organisation"
    );
    sign_sample(&covenant);
    let live = covenant
        .partners()
        .iter()
        .filter(|partner| partner.answers == Answers::Live);
    let live: Vec<&str> = live.map(|partner| partner.id.as_str()).collect();
    assert_eq!(live, ["om-reclassering"], "may not hand over a register");
    assert_eq!(advice(&covenant, jiff::Timestamp::now(), None), []);
    // Signed by two of its administrators, whom broker and node name as those whom they trust.
    let document = Document {
        file: fs::read(sample("covenant.toml")).unwrap(),
        signatures: fs::read(sample("covenant.toml.sig")).unwrap(),
    };
    let (broker, node) = (
        BrokerConfig::load(&sample("broker.toml")).unwrap(),
        NodeConfig::load(&sample("node.toml")).unwrap(),
    );
    for trusted in [&broker.covenant_administrators, &node.covenant_administrators] {
        let trust = Trust::Configured(trusted.as_ref());
        assert_eq!(
            acceptance::accept(trust, &covenant, &document),
            Ok(()),
            "UPDATE_SNAPSHOTS=1 signs it anew"
        );
    }
    assert_eq!((covenant.partners().len(), covenant.purposes().len()), (5, 2));
    for partner in covenant.partners() {
        let asks = covenant
            .purposes()
            .iter()
            .any(|purpose| purpose.askers.contains(&partner.id));
        let asked = covenant
            .purposes()
            .iter()
            .any(|purpose| purpose.consults.contains(&partner.id));
        assert!(asks || asked, "{} has no part in anything", partner.id);
    }
}

#[test]
fn the_nodes_sample_is_read_whole_and_fits_the_sample_covenant() {
    let config = NodeConfig::load(&sample("node.toml")).unwrap();
    let covenant = Covenant::parse(&fs::read(sample("covenant.toml")).unwrap()).unwrap();

    let partner: PartnerId = config.partner.parse().unwrap();
    assert!(
        covenant
            .partner(&partner)
            .is_some_and(|partner| !partner.registers.is_empty()),
        "{partner}"
    );
    let deployment: DeploymentId = config.deployment.id.parse().unwrap();
    let kind: DeploymentKind = config.deployment.kind.parse().unwrap();
    assert_eq!(
        (deployment, kind),
        (covenant.deployment().id, covenant.deployment().kind)
    );
    assert!(Admission::new(kind, config.deployment.test_bsn_prefixes.clone()).is_ok());
    assert!(config.epoch.scheme.parse::<Scheme>().is_ok());

    let verifier: LogVerifier = config.audit.verifier.parse().unwrap();
    let broker = fs::read_to_string(sample("broker.toml")).unwrap();
    let origin = format!("origin = \"{}\"", verifier.origin().as_str());
    assert!(
        broker.contains(&origin),
        "the sample broker's log has another name than {origin}"
    );

    assert_eq!(
        config.tls.key,
        Path::new("credential:node.key"),
        "credentials are no paths"
    );
    assert_eq!(
        config.tls.certificate,
        sample("node.pem"),
        "beside the configuration"
    );
    assert_eq!(config.socket(), Path::new("/var/lib/hitmachine-node/node.sock"));
    assert_eq!(config.source.len(), 1);
    assert!(config.source[0].columns.numeric);
    assert_eq!(config.sync.max_bad_rows, Some(500));
}

#[test]
fn an_unknown_field_is_refused_in_every_section_of_the_broker_and_the_covenant() {
    for (section, field) in [
        ("", "listen ="),
        ("tls", "authority ="),
        ("epoch", "number ="),
        ("audit", "origin ="),
        ("ldv", "endpoint ="),
        ("limits", "max_connections ="),
    ] {
        let (_dir, path) = changed("broker.toml", field, &format!("surprise = 1\n{field}"));
        let error = BrokerConfig::load(&path).expect_err(section).to_string();
        let line = line_of(&path, "surprise");
        assert!(error.contains(&format!("line {line}")), "{section}: {error}");
        assert!(error.contains("unknown field `surprise`"), "{section}: {error}");
    }
    let text = fs::read_to_string(sample("covenant.toml")).unwrap();
    for field in ["format =", "kind =", "oin =", "legal_basis ="] {
        let text = text.replacen(&format!("\n{field}"), &format!("\nsurprise = 1\n{field}"), 1);
        let line = 1 + text.lines().position(|line| line == "surprise = 1").unwrap();
        let error = Covenant::parse(text.as_bytes()).expect_err(field);
        assert!(
            error.line == line && error.problem.contains("surprise"),
            "{field}: {error}"
        );
    }
}

#[test]
fn an_unknown_field_is_refused_in_every_section_of_the_node() {
    for (section, field) in [
        ("", "partner ="),
        ("broker", "server_name ="),
        ("tls", "authority ="),
        ("deployment", "kind ="),
        ("epoch", "scheme ="),
        ("audit", "verifier ="),
        ("sync", "every_minutes ="),
        ("source", "encoding ="),
        ("source.columns", "birth_date ="),
        ("log", "filter ="),
    ] {
        let (_dir, path) = changed(
            "node.toml",
            &format!("\n{field}"),
            &format!("\nsurprise = 1\n{field}"),
        );
        let error = NodeConfig::load(&path).expect_err(section).to_string();
        assert!(error.contains("unknown field `surprise`"), "{section}: {error}");
        assert!(error.contains("line "), "{section}: {error}");
    }
}

/// `check` goes on where reading the file ended. The sample's certificates are not there.
#[test]
fn check_names_the_file_that_is_missing() {
    let output = run(
        "hitmachine-broker",
        &["check", "--config", sample("broker.toml").to_str().unwrap()],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("authority.pem"), "{text}");
}
