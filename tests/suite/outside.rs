//! The published log, checked by programs that know nothing of the broker: ours, ours in Python, Go's `sumdb/tlog` and
//! `note`, and the Python library `aics-tlog`. They agree on what is whole, and one flipped byte is refused by all.
//!
//! Needs what `tests/logcheck/prepare` makes; `tests/run` calls it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "outside/cli.rs"]
mod cli;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use hitmachine_audit::TlogProof;
use hitmachine_testkit::process::program;
use hitmachine_tests::program::{made_ready, python};
use hitmachine_tests::published::{GrownLog, signed, verifier, witnesses, write_policy};

/// Level 0: 273 full tiles and one of 112; level 1: one full and one of 17; level 2: one of 1.
const SIZE: u64 = 70_000;
/// Partial tiles on one, two and three levels, and none at all.
const SIZES: [u64; 8] = [0, 1, 255, 256, 257, 65_536, 65_537, SIZE];

/// Grown once, in a folder that the next run replaces; each test publishes it for itself.
static LOG: LazyLock<GrownLog> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    GrownLog::grow(&dir, SIZE)
});

/// A program that checks a published log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Ours,
    Python,
    Go,
    Aics,
}

const TOOLS: [Tool; 4] = [Tool::Ours, Tool::Python, Tool::Go, Tool::Aics];

/// What a tool said of a folder.
struct Said {
    accepted: bool,
    text: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Tool {
    fn check(self, published: &Path) -> Said {
        let script = |script: &str| {
            let mut command = python();
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
            command
        };
        let (mut command, refused) = match self {
            Self::Ours => (Command::new(program("hitmachine").unwrap()), 4),
            Self::Python => (script("../deploy/audit-verify.py"), 1),
            Self::Go => (Command::new(made_ready("verify")), 1),
            Self::Aics => (script("logcheck/aics.py"), 1),
        };
        if self == Self::Ours {
            let policy = write_policy(published.parent().unwrap());
            command.args(["audit", "verify", "--lang", "en", "--policy"]);
            command.arg(policy).arg(published);
        } else {
            command.arg(published).arg(verifier().to_string());
            command.args(witnesses().iter().map(ToString::to_string));
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command.stdin(Stdio::null()).output().unwrap();
        let text = [stdout, stderr].concat();
        let text = format!("{self:?}: {}", String::from_utf8(text).unwrap());
        assert!(!text.contains("Traceback"), "{text}");
        let code = status.code().unwrap();
        assert!(code == 0 || code == refused, "ended with {code}; {text}");
        Said {
            accepted: code == 0,
            text,
        }
    }
}

#[test]
fn all_accept_every_size() {
    let dir = tempfile::tempdir().unwrap();
    for size in SIZES {
        let published = dir.path().join(format!("at-{size}"));
        LOG.publish(&published, size);
        let proofs = fs::read_dir(published.join("proofs")).unwrap().count();
        assert!(size == 0 || proofs >= 3, "{proofs} proofs at {size}");
        for tool in TOOLS {
            let said = tool.check(&published);
            assert!(said.accepted, "at {size} {said}");
            // They looked at them all.
            let seen = match tool {
                Tool::Ours if proofs == 0 => "Everything fits".to_owned(),
                Tool::Ours => format!("Proofs: {proofs} good of {proofs}"),
                _ => format!("{proofs} proofs"),
            };
            assert!(said.text.contains(&seen), "at {size} {said}");
        }
    }
}

/// What is flipped, where, and what it is about.
struct Flip {
    file: &'static str,
    at: usize,
    /// The first bad index, if it is about entries.
    index: Option<u64>,
    by: &'static [Tool],
}

/// An entry of 33 bytes after its length.
const fn in_bundle(place: usize) -> usize {
    35 * place + 12
}

const FLIPS: [Flip; 8] = [
    // 12,345 = 48 · 256 + 57. No control entry is before it in the bundle, so all are of one length.
    flip("tile/entries/048", in_bundle(57), Some(12_345)),
    // The length of an entry, in the last bundle, which is partial: 69,888 + 3.
    flip("tile/entries/273.p/112", 35 * 3 + 1, Some(69_891)),
    flip("tile/0/048", 32 * 57 + 31, Some(12_345)),
    flip("tile/0/273.p/112", 32 * 111, Some(69_999)),
    // The hash over the entries 25,600 to 25,855.
    flip("tile/1/000", 32 * 100 + 5, Some(25_600)),
    // The hash over the first 65,536.
    flip("tile/2/000.p/1", 7, Some(0)),
    flip("proofs/10015-part.tlog-proof", 120, None),
    // In the entry, whose salts and fields come first in the file.
    flip("proofs/10015.tlog-proof", 200, None),
];

const fn flip(file: &'static str, at: usize, index: Option<u64>) -> Flip {
    Flip {
        file,
        at,
        index,
        by: &TOOLS,
    }
}

#[test]
fn one_flipped_byte_is_refused_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let published = dir.path().join("published");
    LOG.publish(&published, SIZE);
    for Flip { file, at, index, by } in FLIPS {
        with_changed(
            &published.join(file),
            |bytes| bytes[at] ^= 1,
            |what| {
                for tool in by {
                    let said = tool.check(&published);
                    assert!(!said.accepted, "{what} {at}: {said}");
                    let named = format!("first bad index {}", index.unwrap_or(0));
                    if index.is_some() && [Tool::Ours, Tool::Python].contains(tool) {
                        let named = said
                            .text
                            .split_once(&named)
                            .is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()));
                        assert!(named, "{what} {at} is at {index:?}: {said}");
                    }
                }
            },
        );
    }
    // As it was: what was refused was refused for the change.
    for tool in TOOLS {
        let said = tool.check(&published);
        assert!(said.accepted, "{said}");
    }
}

/// The log's own signature, each witness's, and those in an exported proof.
#[test]
fn one_flipped_byte_of_a_signature_is_refused_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let published = dir.path().join("published");
    // A small log: each run looks at all of it.
    LOG.publish(&published, 300);
    for file in ["checkpoint", "proofs/2.tlog-proof"] {
        for line in 0..5 {
            // In the middle of the base64 of the signature, another letter than there was.
            let change = |bytes: &mut Vec<u8>| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let dashes: Vec<usize> = text.match_indices("\n\u{2014} ").map(|(at, _)| at).collect();
                assert_eq!(dashes.len(), 5);
                let end = dashes[line] + 1 + text[dashes[line] + 1..].find('\n').unwrap();
                bytes[end - 30] = if bytes[end - 30] == b'A' { b'B' } else { b'A' };
            };
            with_changed(&published.join(file), change, |what| {
                for tool in TOOLS {
                    let said = tool.check(&published);
                    assert!(!said.accepted, "{what}, signature {line}: {said}");
                }
            });
        }
    }
}

/// Entries that were taken out, put in another order, or added: not one byte, but what a forger would do.
#[test]
fn forgeries_are_refused_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let published = dir.path().join("published");
    LOG.publish(&published, 700);
    let exchange = |bytes: &mut Vec<u8>| {
        let (left, right) = bytes.split_at_mut(35 * 101);
        left[35 * 100..].swap_with_slice(&mut right[..35]);
    };
    let cases: [(&str, Change<'_>, u64); 4] = [
        ("tile/entries/001", &exchange, 356),
        (
            "tile/entries/001",
            &|bytes| drop(bytes.drain(35 * 9..35 * 10)),
            265,
        ),
        ("tile/entries/002.p/188", &|bytes| bytes.truncate(35 * 187), 699),
        ("tile/0/002.p/188", &|bytes| bytes.truncate(32 * 187), 699),
    ];
    for (file, change, index) in cases {
        with_changed(&published.join(file), change, |what| {
            for tool in TOOLS {
                let said = tool.check(&published);
                assert!(!said.accepted, "{what}: {said}");
                if [Tool::Ours, Tool::Python].contains(&tool) {
                    assert!(
                        said.text.contains(&format!("first bad index {index}")),
                        "{what}: {said}"
                    );
                }
            }
        });
    }
    // Bundle and tile changed alike: only the level above tells.
    let bundle = fs::read(published.join("tile/entries/001")).unwrap();
    let mut forged = bundle.clone();
    forged[35 * 5 + 20] ^= 1;
    let leaf = hitmachine_audit::leaf_hash(&forged[35 * 5 + 2..35 * 6]);
    fs::write(published.join("tile/entries/001"), &forged).unwrap();
    let tile = |bytes: &mut Vec<u8>| bytes[32 * 5..32 * 6].copy_from_slice(&leaf.0);
    with_changed(&published.join("tile/0/001"), tile, |what| {
        for tool in TOOLS {
            let said = tool.check(&published);
            assert!(!said.accepted, "{what}: {said}");
            if [Tool::Ours, Tool::Python].contains(&tool) {
                assert!(said.text.contains("first bad index 256"), "{what}: {said}");
            }
        }
    });
}

/// Every signature holds, and yet: too few witnesses, entries that give another root, a proof from another history.
#[test]
fn what_was_signed_for_something_else_is_refused_by_all() {
    let (_dir, published) = published(200);
    let refused = |what: &str| {
        for tool in TOOLS {
            let said = tool.check(&published);
            assert!(!said.accepted, "{what}: {said}");
        }
    };
    let two_less = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        *bytes = lines[..lines.len() - 2].concat().into_bytes();
    };
    with_changed(&published.join("checkpoint"), two_less, refused);

    // Entry 2 as the only one of a log, which the log's key signed as well.
    let proof = published.join("proofs/2.tlog-proof");
    let fork = |bytes: &mut Vec<u8>| {
        let mut proof = TlogProof::parse(bytes).unwrap();
        proof.checkpoint = signed(1, LOG.opening(2).commitment().leaf_hash());
        (proof.index, proof.path) = (0, Vec::new());
        *bytes = proof.format();
    };
    with_changed(&proof, fork, refused);
    // No level is above it, and no proof is about it: only the root tells.
    fs::remove_dir_all(published.join("proofs")).unwrap();
    let place = 100;
    let bundle = published.join("tile/entries/000.p/200");
    let entry = |bytes: &[u8]| {
        let start = |place: usize| {
            (0..place).fold(0, |at, _| {
                at + 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
            })
        };
        start(place) + 2..start(place + 1)
    };
    let forge = |bytes: &mut Vec<u8>| {
        let last = entry(bytes).end - 1;
        bytes[last] ^= 1;
    };
    with_changed(&bundle, forge, |_| {
        let bytes = fs::read(&bundle).unwrap();
        let leaf = hitmachine_audit::leaf_hash(&bytes[entry(&bytes)]);
        let tile = |bytes: &mut Vec<u8>| bytes[32 * place..32 * (place + 1)].copy_from_slice(&leaf.0);
        with_changed(&published.join("tile/0/000.p/200"), tile, refused);
    });
    for tool in TOOLS {
        let said = tool.check(&published);
        assert!(said.accepted, "{said}");
    }
}

/// A copy with an older checkpoint than the tiles around it, as a slow download makes: full tiles stand in for partial
/// ones that are gone. Go's program reads exactly the widths of the checkpoint, so it is not asked.
#[test]
fn a_log_that_has_grown_meanwhile() {
    let (_dir, published) = published(300);
    let checkpoint = fs::read(published.join("checkpoint")).unwrap();
    LOG.publish(&published, 700);
    fs::remove_dir_all(published.join("proofs")).unwrap();
    assert!(!published.join("tile/0/001.p/44").exists());
    fs::write(published.join("checkpoint"), checkpoint).unwrap();
    for tool in [Tool::Ours, Tool::Python, Tool::Aics] {
        let said = tool.check(&published);
        assert!(said.accepted, "{said}");
    }
}

type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// Runs `then` while the file is changed, and puts it back.
fn with_changed(file: &Path, change: impl Fn(&mut Vec<u8>), then: impl Fn(&str)) {
    let before = fs::read(file).unwrap();
    let mut bytes = before.clone();
    change(&mut bytes);
    assert_ne!(bytes, before, "{}", file.display());
    fs::write(file, bytes).unwrap();
    then(&file.display().to_string());
    fs::write(file, before).unwrap();
}

/// A published log of this size, in a folder that goes when it is dropped.
fn published(size: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let published = dir.path().join("published");
    LOG.publish(&published, size);
    (dir, published)
}
