//! The samples in `deploy/` are read by the program they are for, and the program says what is wrong with others.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hitmachine_audit::Origin;
use hitmachine_broker::BrokerConfig;
use hitmachine_core::Covenant;
use hitmachine_core::covenant::Answers;
use hitmachine_pseudonym::{DeploymentKind, KeyCheckValue, Scheme};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name)
}

/// `broker.toml` with one text replaced by another, in a folder of its own.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let text = fs::read_to_string(sample("broker.toml")).unwrap();
    assert!(text.contains(from), "{from} is not in the sample");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broker.toml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    (dir, path)
}

fn broker(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hitmachine-broker"))
        .args(arguments)
        .env_clear()
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
fn the_sample_configuration_is_read_whole() {
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

#[test]
fn the_sample_covenant_is_one() {
    let covenant = Covenant::parse(&fs::read(sample("covenant.toml")).unwrap()).unwrap();
    assert_eq!(covenant.deployment().kind, DeploymentKind::Test);
    assert!(
        covenant.partners().iter().all(|partner| partner.oin.is_test()),
        "no OIN of a real organisation"
    );
    assert!(
        covenant
            .partners()
            .iter()
            .all(|partner| partner.answers == Answers::Index)
    );
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
fn an_unknown_field_is_refused_in_every_section() {
    for (section, field) in [
        ("", "listen ="),
        ("tls", "authority ="),
        ("epoch", "number ="),
        ("audit", "origin ="),
        ("limits", "max_connections ="),
    ] {
        let (_dir, path) = changed(field, &format!("surprise = 1\n{field}"));
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
fn help_lists_every_command() {
    let output = broker(&["--help"]);
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
    assert_eq!(names, ["serve", "check", "rebuild-registry", "help"]);
    assert!(help.contains("Exit codes: 0 ok"), "{help}");
    for name in names.iter().filter(|name| **name != "help") {
        let output = broker(&[name, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && help.contains("--config"),
            "{name}: {help}"
        );
    }
    assert_eq!(broker(&[]).status.code(), Some(2), "no command is wrong use");
    assert_eq!(broker(&["fly"]).status.code(), Some(2));
}

#[test]
fn a_wrong_configuration_ends_with_code_2_and_says_where_but_not_what() {
    // The value could be a key that somebody pasted into the wrong place.
    const PASTED: &str = "8f1d0c5be7a94263";
    for (case, from, to, field, problem) in [
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
    ] {
        let (_dir, path) = changed(from, to);
        for command in ["serve", "check", "rebuild-registry"] {
            let output = broker(&[command, "--config", path.to_str().unwrap()]);
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(2), "{case}: {text}");
            assert!(text.contains("broker.toml, line "), "{case}: {text}");
            assert!(text.contains(field) && text.contains(problem), "{case}: {text}");
            if !to.is_empty() {
                let line = line_of(&path, to.lines().next().unwrap());
                assert!(text.contains(&format!("line {line}")), "{case}: {text}");
            }
            assert!(!text.contains(PASTED), "{case}: {text}");
        }
    }
    let missing = broker(&["check", "--config", "/nowhere/broker.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .contains("/nowhere/broker.toml")
    );
}

/// `check` goes on where reading the file ended. The sample's certificates are not there.
#[test]
fn check_names_the_file_that_is_missing() {
    let output = broker(&["check", "--config", sample("broker.toml").to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("authority.pem"), "{text}");
}
