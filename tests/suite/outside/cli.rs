//! `hitmachine audit` as a person at a command line meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use hitmachine_audit::{Evidence, Hash, Policy, TlogProof};
use hitmachine_testkit::process::program;
use hitmachine_tests::published::{signed, verifier, witnesses, write_policy};
use serde_json::Value;

use crate::{LOG, published, with_changed};

/// Exit code, standard output and standard error.
fn hitmachine(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program("hitmachine").unwrap());
    let output = command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// `audit verify` of the folder with the policy beside it, and more.
fn verify(published: &Path, more: &[&str]) -> (i32, String, String) {
    let policy = write_policy(published.parent().unwrap());
    let whole = [
        "audit",
        "verify",
        published.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ];
    hitmachine(&[&whole[..], more].concat())
}

fn json(published: &Path, code: i32) -> Value {
    let (ended, out, err) = verify(published, &["--json"]);
    assert_eq!(ended, code, "{out}\n{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["whole"], code == 0);
    json
}

#[test]
fn a_policy_is_what_the_library_makes() {
    let keys: Vec<String> = witnesses().iter().map(ToString::to_string).collect();
    let log = verifier().to_string();
    let mut arguments = vec!["audit", "policy", "--log", &log];
    arguments.extend(keys.iter().map(String::as_str));
    let (code, out, _) = hitmachine(&arguments);
    assert_eq!(
        (code, out),
        (0, Policy::generate(&verifier(), &witnesses()).unwrap())
    );
    let (code, out, _) = hitmachine(&["audit", "policy", "--log", &log]);
    assert_eq!((code, out.ends_with("quorum none\n")), (0, true), "{out}");
    // One key twice, and a key of another kind.
    assert_eq!(
        hitmachine(&["audit", "policy", "--log", &log, &keys[0], &keys[0]]).0,
        2
    );
    assert_eq!(hitmachine(&["audit", "policy", "--log", &keys[0]]).0, 2);
}

#[test]
fn findings_for_machines_and_in_dutch() {
    let (_dir, published) = published(300);
    let found = json(&published, 0);
    assert_eq!((&found["size"], &found["checked"]), (&300.into(), &300.into()));
    assert_eq!(found["root"], LOG.checkpoint(300).root.to_string());
    assert_eq!(found["first_bad"], Value::Null);
    assert_eq!(found["quorum"]["needed"], 3);
    // Of the times of the four the third newest.
    assert_eq!(found["quorum"]["since_s"], 1_767_225_601_u64);
    let proofs = found["proofs"].as_array().unwrap();
    assert_eq!(
        proofs.len(),
        fs::read_dir(published.join("proofs")).unwrap().count()
    );
    for shows in ["everything", "processing", "public"] {
        assert!(
            proofs.iter().any(|proof| proof["found"]["shows"] == shows),
            "{shows}"
        );
    }
    let (code, out, _) = verify(&published, &["--lang", "nl"]);
    assert_eq!(code, 0);
    for text in [
        "Alles klopt",
        "genoeg getuigen (3)",
        "zonder gebruiker en zaak",
        "2026-01-01 01:00:01 CET",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    with_changed(
        &published.join("tile/entries/000"),
        |bytes| bytes[70] ^= 4,
        |_| {
            let found = json(&published, 4);
            assert_eq!(found["first_bad"], 2);
            assert_eq!(found["problems"][0]["file"], "tile/entries/000");
            assert_eq!(found["problems"][0]["code"], "tile_differs");
            let (_, out, err) = verify(&published, &["--lang", "nl"]);
            assert!(out.contains("tile/entries/000 past niet"), "{out}");
            assert!(err.contains("eerste foute index 2 "), "{err}");
        },
    );
    fs::remove_file(published.join("tile/0/001.p/44")).unwrap();
    assert_eq!(json(&published, 4)["problems"][0]["code"], "tile_missing");
}

#[test]
fn witnesses_are_counted_and_named() {
    let (_dir, published) = published(20);
    let checkpoint = published.join("checkpoint");
    let without = |count: usize| {
        move |bytes: &mut Vec<u8>| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            *bytes = lines[..lines.len() - count].concat().into_bytes();
        }
    };
    with_changed(&checkpoint, without(1), |_| {
        let found = json(&published, 0);
        assert_eq!(found["witnesses"][3]["code"], "missing");
        assert_eq!(found["quorum"]["since_s"], 1_767_225_600_u64);
    });
    with_changed(&checkpoint, without(2), |_| {
        let found = json(&published, 4);
        assert_eq!(
            (&found["quorum"]["holds"], &found["first_bad"]),
            (&false.into(), &Value::Null)
        );
        // Nobody asked for witnesses.
        let log = verifier().to_string();
        let folder = published.to_str().unwrap();
        assert_eq!(hitmachine(&["audit", "verify", folder, "--log", &log]).0, 0);
    });
    // In the line of the last one.
    let wrong = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 40;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    };
    with_changed(&checkpoint, wrong, |_| {
        let found = json(&published, 4);
        let codes: Vec<&Value> = (0..4).map(|number| &found["witnesses"][number]["code"]).collect();
        assert_eq!(codes, ["cosigned", "cosigned", "cosigned", "bad_cosignature"]);
        assert_eq!(found["quorum"]["holds"], true);
    });
}

/// A checkpoint that is not the log's says nothing about the folder.
#[test]
fn what_another_key_signed_is_refused() {
    let (_dir, published) = published(20);
    let folder = published.to_str().unwrap();
    let other = hitmachine_audit::LogSigner::new(verifier().origin().clone(), &[70; 32]).verifier();
    let (code, out, _) = hitmachine(&["audit", "verify", folder, "--log", &other.to_string(), "--json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &found["refused"]), (4, &"not_signed".into()));
    assert_eq!((&found["size"], &found["whole"]), (&Value::Null, &false.into()));
    fs::remove_file(published.join("checkpoint")).unwrap();
    assert_eq!(json(&published, 4)["refused"], "no_checkpoint");
}

/// Proofs that hold by themselves, but not on this log.
#[test]
fn proofs_must_lie_on_the_log() {
    let (dir, published) = published(300);
    let read = |name: &str| fs::read(published.join("proofs").join(name)).unwrap();
    let proof = TlogProof::parse(&read("2.tlog-proof")).unwrap();
    let file = dir.path().join("made.tlog-proof");
    let check = |proof: &TlogProof| {
        fs::write(&file, proof.format()).unwrap();
        let (code, out, err) = verify(&published, &["--json", "--proof", file.to_str().unwrap()]);
        let found: Value = serde_json::from_str(&out).unwrap();
        let proofs = found["proofs"].as_array().unwrap();
        let own = proofs.last().unwrap();
        assert_eq!(own["file"], file.to_str().unwrap(), "{err}");
        assert_eq!(code == 0, own["found"]["code"].is_null(), "{out}");
        own["found"]["code"].as_str().unwrap_or("good").to_owned()
    };
    assert_eq!(check(&proof), "good");
    // A tree of one entry, which the log signed and does not go on from.
    let leaf = LOG.opening(2).commitment().leaf_hash();
    let alone = |size, root, path| TlogProof {
        index: 0,
        path,
        checkpoint: signed(size, root),
        ..proof.clone()
    };
    assert_eq!(check(&alone(1, leaf, Vec::new())), "off_log");
    // More entries than the folder has.
    let path = vec![Hash([1; 32]); 9];
    let root = path
        .iter()
        .fold(leaf, |left, right| hitmachine_audit::node_hash(&left, right));
    assert_eq!(check(&alone(512, root, path)), "beyond_copy");
    let with_extra = |extra: Option<Vec<u8>>| TlogProof {
        extra,
        ..proof.clone()
    };
    assert_eq!(check(&with_extra(None)), "good");
    assert_eq!(check(&with_extra(Some(vec![3]))), "opening_encoding");
    assert_eq!(check(&with_extra(Some(vec![9; 40]))), "opening_encoding");
    assert_eq!(check(&with_extra(Some(b"\x02{}".to_vec()))), "inclusion");
    let index = 300;
    assert_eq!(
        check(&TlogProof {
            index,
            ..with_extra(None)
        }),
        "no_entry"
    );
    assert_eq!(
        check(&TlogProof {
            index,
            ..proof.clone()
        }),
        "inclusion"
    );
    fs::write(&file, b"something else").unwrap();
    let (code, out, _) = verify(&published, &["--proof", file.to_str().unwrap(), "--lang", "en"]);
    assert_eq!((code, out.contains("WRONG: not a proof")), (4, true), "{out}");
}

#[test]
fn evidence_is_judged_with_the_log_at_hand() {
    let (_dir, published) = published(300);
    let (first, second) = (LOG.note(100), LOG.note(300));
    let wrong = Hash([9; 32]);
    let cases = [
        ("no_conflict", Evidence::new(first.clone(), second.clone(), None)),
        // A proof that does not connect them; the log itself does.
        (
            "no_conflict",
            Evidence::new(first.clone(), second.clone(), Some(vec![wrong])),
        ),
        (
            "same_size_two_roots",
            Evidence::new(first.clone(), signed(100, wrong), None),
        ),
        ("off_log", Evidence::new(signed(50, wrong), second.clone(), None)),
        ("beyond_copy", Evidence::new(second, LOG.note(400), None)),
    ];
    for (code, evidence) in cases {
        // Met below the folder, without being named.
        fs::write(
            published.join("proofs/found.evidence"),
            evidence.unwrap().to_text(),
        )
        .unwrap();
        let found = json(&published, if code == "no_conflict" { 0 } else { 4 });
        assert_eq!(found["evidence"][0]["found"]["code"], code);
    }
    fs::write(
        published.join("proofs/found.evidence"),
        b"hitmachine/log-evidence@v1\n",
    )
    .unwrap();
    assert_eq!(
        json(&published, 4)["evidence"][0]["found"]["code"],
        "evidence_form"
    );
}

#[test]
fn wrong_use() {
    let (dir, published) = published(20);
    let (folder, log) = (published.to_str().unwrap(), verifier().to_string());
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let other = dir.path().join("other.txt");
    fs::write(&other, b"quorum none\n").unwrap();
    let (empty, other) = (empty.to_str().unwrap(), other.to_str().unwrap());
    for arguments in [
        &[folder][..],
        &[folder, "--log", &log, "--policy", other],
        &[folder, "--log", "hub.example+00000000+AAAA"],
        &[folder, "--policy", "/nonexistent"],
        // A policy that trusts no log.
        &[folder, "--policy", other],
        &["/nonexistent", "--log", &log],
        &[folder, "--log", &log, "--proof", "/nonexistent"],
        // Nothing to check where something was named.
        &[folder, "--log", &log, "--proof", empty],
    ] {
        let (code, out, err) = hitmachine(&[&["audit", "verify"], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty());
    }
}
