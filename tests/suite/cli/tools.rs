//! `hitmachine keys` and `hitmachine pki`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hitmachine_audit::{LogSigner, Origin};
use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey};
use hitmachine_service::tls::{TlsIdentity, client_config, install_provider, server_config};
use hitmachine_testkit::pki::TestAuthority;

use crate::{ended, err, hitmachine, out};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const PURPOSES: [&str; 5] = [
    "node-key",
    "pepper",
    "audit-signing",
    "audit-wrapping",
    "node-state",
];

#[test]
fn a_new_key_is_its_owners_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = BTreeSet::new();
    for purpose in PURPOSES {
        let path = dir.path().join(format!("{purpose}.key"));
        let file = path.to_str().unwrap();
        let made = ended(
            hitmachine(&["keys", "new", file, "--purpose", purpose, "--epoch", "3"]),
            0,
        );
        assert_eq!(out(&made), format!("{file} written\n"));
        assert_eq!(mode(&path), 0o600, "{purpose}");
        let line = fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = if ["node-key", "pepper"].contains(&purpose) {
            "3"
        } else {
            "0"
        };
        assert_eq!(words[..3], ["hitmachine", purpose, number], "{purpose}");
        assert_eq!(hex::decode(words[3]).unwrap().len(), 32, "{purpose}");
        assert!(keys.insert(words[3].to_owned()), "the same key twice");

        let again = ended(hitmachine(&["keys", "new", file, "--purpose", purpose]), 1);
        assert!(err(&again).contains(file), "{}", err(&again));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            line,
            "{purpose}: the key was replaced"
        );
        assert!(
            !err(&again).contains(words[3]) && !out(&made).contains(words[3]),
            "a key was printed"
        );
    }
    let path = dir.path().join("x.key");
    let file = path.to_str().unwrap();
    ended(hitmachine(&["keys", "new", file]), 2);
    ended(hitmachine(&["keys", "new", file, "--purpose", "skeleton"]), 2);
    ended(
        hitmachine(&["keys", "new", file, "--purpose", "pepper", "--epoch", "0"]),
        2,
    );
    assert!(!path.exists());
    ended(
        hitmachine(&["keys", "new", "/nonexistent/x.key", "--purpose", "pepper"]),
        1,
    );
    // Where everybody may write, everybody may put another key in its place.
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    ended(
        hitmachine(&[
            "keys",
            "new",
            open.join("x.key").to_str().unwrap(),
            "--purpose",
            "pepper",
        ]),
        1,
    );
    assert!(!open.join("x.key").exists());
}

#[test]
fn show_tells_what_is_public_about_a_key_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let key_of = |path: &Path| -> [u8; 32] {
        let line = fs::read_to_string(path).unwrap();
        hex::decode(line.split_whitespace().next_back().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    };
    let id = ended(hitmachine(&["keys", "deployment-id"]), 0);
    let id = out(&id).trim_end().to_owned();
    let deployment: DeploymentId = id.parse().unwrap();
    assert_ne!(
        out(&hitmachine(&["keys", "deployment-id"])).trim_end(),
        id,
        "the same id twice"
    );
    let origin = "hub.example/broker/audit/1";
    let mut shown = String::new();
    for purpose in PURPOSES {
        let path = dir.path().join(format!("{purpose}.key"));
        let file = path.to_str().unwrap();
        ended(
            hitmachine(&["keys", "new", file, "--purpose", purpose, "--epoch", "2"]),
            0,
        );
        let arguments = [
            "keys",
            "show",
            file,
            "--purpose",
            purpose,
            "--deployment",
            &id,
            "--origin",
            origin,
        ];
        let said = out(&ended(hitmachine(&arguments), 0));
        let key = key_of(&path);
        match purpose {
            "node-key" => {
                let epoch = KeyEpoch::new(2).unwrap();
                let value = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(key), deployment, epoch)
                    .key_check_value();
                assert_eq!(said, format!("key epoch 2, key check value {value}\n"));
            }
            "audit-signing" => {
                let verifier = LogSigner::new(Origin::new(origin).unwrap(), &key).verifier();
                assert_eq!(said, format!("{verifier}\n"));
            }
            _ => assert!(said.contains("nothing about it is public"), "{said}"),
        }
        shown.push_str(&said);
        shown.push_str(&err(&hitmachine(&arguments)));
        // A key in the wrong place is refused, by name.
        let other = if purpose == "pepper" {
            "node-state"
        } else {
            "pepper"
        };
        let wrong = ended(
            hitmachine(&["keys", "show", file, "--purpose", other, "--deployment", &id]),
            2,
        );
        assert!(
            err(&wrong).contains(&format!("a {purpose} key")),
            "{}",
            err(&wrong)
        );
        shown.push_str(&err(&wrong));
        // What others may read is no secret any more.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = ended(hitmachine(&arguments), 2);
        assert!(err(&open).contains("chmod 600"), "{}", err(&open));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            !shown.contains(&hex::encode(key)),
            "{purpose}: the key was printed"
        );
    }
    let file = |purpose: &str| {
        dir.path()
            .join(format!("{purpose}.key"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    for (purpose, needs) in [("node-key", "--deployment"), ("audit-signing", "--origin")] {
        let output = ended(
            hitmachine(&["keys", "show", &file(purpose), "--purpose", purpose]),
            2,
        );
        assert!(err(&output).contains(needs), "{}", err(&output));
    }
    let arguments = [
        "keys",
        "show",
        &file("node-key"),
        "--purpose",
        "node-key",
        "--deployment",
        "12",
    ];
    ended(hitmachine(&arguments), 2);
    ended(
        hitmachine(&["keys", "show", "/nonexistent", "--purpose", "pepper"]),
        2,
    );
}

#[test]
fn the_test_authority_issues_for_test_oins_only() {
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("authority");
    let folder = authority.to_str().unwrap();
    ended(
        hitmachine(&["pki", "new-authority", folder, "--name", "Trial"]),
        0,
    );
    let made = fs::read(authority.join("ca.key")).unwrap();
    assert_eq!(
        (
            mode(&authority.join("ca.key")),
            mode(&authority.join("ca.pem")) & 0o022
        ),
        (0o600, 0)
    );
    ended(hitmachine(&["pki", "new-authority", folder]), 1);
    assert_eq!(
        fs::read(authority.join("ca.key")).unwrap(),
        made,
        "the authority was replaced"
    );

    let issue = |name: &str, oin: &str, more: &[&str]| {
        let out = dir.path().join("issued");
        let issued = [
            "pki",
            "issue",
            "--authority",
            folder,
            "--out",
            out.to_str().unwrap(),
            "--name",
            name,
        ];
        let whose = ["--organisation", "Gemeente Voorbeeld", "--oin", oin];
        hitmachine(&[&issued[..], &whose, more].concat())
    };
    ended(
        issue(
            "hub",
            "00000099000000000042",
            &["--dns", "hub.example", "--ip", "127.0.0.1", "--days", "30"],
        ),
        0,
    );
    ended(issue("node", "00000099000000000043", &[]), 0);
    install_provider();
    let identity = |name: &str| {
        let path = |ending: &str| dir.path().join("issued").join(format!("{name}.{ending}"));
        assert_eq!(mode(&path("key")), 0o600, "{name}");
        TlsIdentity {
            certificate: path("pem"),
            key: path("key"),
        }
    };
    // Both sides take them as they are.
    server_config(&identity("hub"), &authority.join("ca.pem")).unwrap();
    client_config(&identity("node"), &authority.join("ca.pem")).unwrap();
    TestAuthority::load(&authority).unwrap();

    // Logius' own range, another length, letters: nobody becomes a real organisation with a file from a demo.
    for oin in [
        "00000001003214345000",
        "0000009900000000004",
        "000000990000000000421",
        "00000099000000abcdef",
        "",
    ] {
        let output = ended(issue("bad", oin, &[]), 1);
        assert!(err(&output).contains("00000099"), "says which: {}", err(&output));
        assert!(!dir.path().join("issued/bad.key").exists(), "{oin}");
    }
    ended(issue("../bad", "00000099000000000042", &[]), 1);
    assert!(!dir.path().join("bad.key").exists());
    ended(issue("bad", "00000099000000000042", &["--ip", "somewhere"]), 2);
    ended(
        hitmachine(&[
            "pki",
            "issue",
            "--authority",
            "/nonexistent",
            "--out",
            folder,
            "--name",
            "x",
        ]),
        2,
    );
}
