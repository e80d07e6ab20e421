//! The sample in `deploy/` is read by the program it is for, fits the covenant beside it, and the program says what is
//! wrong with others.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hitmachine_audit::LogVerifier;
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_identifier::Admission;
use hitmachine_node::NodeConfig;
use hitmachine_pseudonym::{DeploymentId, DeploymentKind, Scheme};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name)
}

/// `node.toml` with one text replaced by another, in a folder of its own.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let text = fs::read_to_string(sample("node.toml")).unwrap();
    assert!(text.contains(from), "{from} is not in the sample");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (dir, path)
}

fn node(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hitmachine-node"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Line, from 1, of the first occurrence.
fn line_of(path: &Path, part: &str) -> usize {
    1 + fs::read_to_string(path)
        .unwrap()
        .lines()
        .position(|line| line.contains(part))
        .unwrap()
}

#[test]
fn the_sample_is_read_whole_and_fits_the_sample_covenant() {
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
fn an_unknown_field_is_refused_in_every_section() {
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
        let (_dir, path) = changed(&format!("\n{field}"), &format!("\nsurprise = 1\n{field}"));
        let error = NodeConfig::load(&path).expect_err(section).to_string();
        assert!(error.contains("unknown field `surprise`"), "{section}: {error}");
        assert!(error.contains("line "), "{section}: {error}");
    }
}

#[test]
fn help_lists_every_command() {
    let output = node(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    // Names are indented by two; wrapped explanations by more.
    let names: Vec<_> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, ["serve", "sync", "query", "screen", "status", "help"]);
    assert!(
        help.contains("Exit codes: 0 ok") && help.contains("--config") && help.contains("--json"),
        "{help}"
    );
    for name in names.iter().filter(|name| **name != "help") {
        assert!(node(&[name, "--help"]).status.success(), "{name}");
    }
    assert_eq!(node(&[]).status.code(), Some(2), "no command is wrong use");
    assert_eq!(node(&["fly"]).status.code(), Some(2));
}

/// A number on the command line could be seen by every user of the machine.
#[test]
fn a_person_number_is_never_an_argument() {
    let asking = [
        "query",
        "--purpose",
        "p",
        "--case",
        "c",
        "--role",
        "r",
        "--class",
        "adult",
    ];
    for number in [&["999900006"][..], &["--bsn", "999900006"]] {
        let output = node(&[&asking, number].concat());
        assert_eq!(output.status.code(), Some(2), "{number:?}");
        let help = String::from_utf8(node(&["query", "--help"]).stdout).unwrap();
        assert!(!help.contains("--bsn"), "{help}");
    }
}

#[test]
fn a_wrong_configuration_ends_with_code_2_and_says_where_but_not_what() {
    // The value could be a key that somebody pasted into the wrong place.
    const PASTED: &str = "8f1d0c5be7a94263";
    for (case, from, to, field, problem) in [
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
    ] {
        let (_dir, path) = changed(from, to);
        let config = path.to_str().unwrap();
        for command in [&["serve"][..], &["sync"], &["status"]] {
            let output = node(&[&["--config", config], command].concat());
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(2), "{case}: {text}");
            assert!(text.contains("node.toml, line "), "{case}: {text}");
            assert!(text.contains(field) && text.contains(problem), "{case}: {text}");
            assert!(!text.contains(PASTED), "{case}: {text}");
            if !to.starts_with('#') && case != "two classes" {
                let line = line_of(&path, to);
                assert!(text.contains(&format!("line {line}")), "{case}: {text}");
            }
        }
    }
    let missing = node(&["--config", "/nowhere/node.toml", "status"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .contains("/nowhere/node.toml")
    );
}
