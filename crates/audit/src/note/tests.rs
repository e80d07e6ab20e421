use base64::{Engine, engine::general_purpose::STANDARD};

use super::{lines::MAX_NOTE, *};
use crate::hash::{empty_root, sha256};

fn signer() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: signer().origin().clone(),
        size: 0,
        root: empty_root(),
    }
}

#[test]
fn origins() {
    for good in ["a", "log.example/a/audit/1", &"x".repeat(255)] {
        assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{7f}", &"x".repeat(256)] {
        assert_eq!(bad.parse::<Origin>(), Err(NoteError::Origin), "{bad:?}");
    }
}

#[test]
fn keys_have_one_text() {
    let verifier = signer().verifier();
    let text = verifier.to_string();
    assert_eq!(text.parse::<LogVerifier>().unwrap(), verifier);
    let (rest, key) = text.rsplit_once('+').unwrap();
    let id = rest.rsplit_once('+').unwrap().1;
    // The identity point: every signature of its kind would fit.
    let mut weak = vec![ED25519, 1];
    weak.extend([0; 31]);
    let weak_id = sha256(&[b"log.example/a/audit/1\n", &weak]);
    for (what, bad) in [
        ("other hash", text.replace(id, "00000000")),
        ("upper case hash", text.replace(id, &id.to_uppercase())),
        ("two parts", rest.to_owned()),
        ("other name", text.replace("/1+", "/2+")),
        ("empty name", format!("+{id}+{key}")),
        ("other type", text.replace("+AepK", "+BOpK")),
        ("short key", text[..text.len() - 4].to_owned()),
        (
            "weak key",
            format!(
                "log.example/a/audit/1+{}+{}",
                hex::encode(&weak_id.0[..4]),
                STANDARD.encode(&weak)
            ),
        ),
    ] {
        assert_ne!(bad, text, "{what}");
        assert_eq!(bad.parse::<LogVerifier>(), Err(NoteError::Key), "{what}");
    }
}

#[test]
fn signing_is_deterministic_and_for_one_log_only() {
    let signer = signer();
    let note = signer.sign(&checkpoint()).unwrap();
    assert_eq!(note, signer.sign(&checkpoint()).unwrap());
    assert_eq!(signer.verifier().open(&note), Ok(checkpoint()));
    let foreign = Checkpoint {
        origin: "other.example/log".parse().unwrap(),
        ..checkpoint()
    };
    assert_eq!(signer.sign(&foreign), Err(NoteError::OtherLog));
    assert!(!format!("{signer:?}").contains('7'), "the seed is not printed");
}

#[test]
fn notes_are_refused_for_each_reason() {
    let signer = signer();
    let note = String::from_utf8(signer.sign(&checkpoint()).unwrap()).unwrap();
    let (text, line) = note.split_once("\n\n").unwrap();
    let open = |note: &str| signer.verifier().open(note.as_bytes());
    let witness = "\u{2014} partner-b.example/witness AAAAAAAA\n";
    let forged = {
        let mut forged = STANDARD
            .decode(line.trim_end().rsplit(' ').next().unwrap())
            .unwrap();
        forged[40] ^= 1;
        format!("\u{2014} {} {}\n", signer.origin(), STANDARD.encode(forged))
    };
    assert!(
        open(&format!("{note}{witness}")).is_ok(),
        "unknown keys are ignored"
    );
    assert!(open(&format!("{text}\n\n{witness}{line}")).is_ok());
    let same_key_other_name = LogSigner::new("log.example/b/audit/1".parse().unwrap(), &[7; 32]);
    let other = Checkpoint {
        origin: same_key_other_name.origin().clone(),
        ..checkpoint()
    };
    let other = String::from_utf8(same_key_other_name.sign(&other).unwrap()).unwrap();
    let short = format!(
        "{text}\n\n\u{2014} {} {}\n",
        signer.origin(),
        &line[line.len() - 9..line.len() - 1]
    );
    for (what, note, error) in [
        ("another log's note", other, NoteError::NotSigned),
        (
            "only a witness",
            format!("{text}\n\n{witness}"),
            NoteError::NotSigned,
        ),
        ("short signature of an unknown key", short, NoteError::NotSigned),
        (
            "changed size",
            note.replace("\n0\n", "\n1\n"),
            NoteError::BadSignature,
        ),
        (
            "forged line",
            format!("{text}\n\n{forged}"),
            NoteError::BadSignature,
        ),
        (
            "good and forged line",
            format!("{note}{forged}"),
            NoteError::BadSignature,
        ),
        ("no signature", format!("{text}\n\n"), NoteError::Malformed),
        ("no empty line", format!("{text}\n{line}"), NoteError::Malformed),
        (
            "no newline at the end",
            note.trim_end().to_owned(),
            NoteError::Malformed,
        ),
        (
            "control character",
            note.replace("\n0\n", "\n0\r\n"),
            NoteError::Malformed,
        ),
        (
            "hyphen for dash",
            note.replace('\u{2014}', "-"),
            NoteError::Malformed,
        ),
        (
            "too many lines",
            format!("{note}{}", witness.repeat(100)),
            NoteError::Malformed,
        ),
        (
            "too long",
            format!("{note}{}", "a".repeat(MAX_NOTE)),
            NoteError::Malformed,
        ),
    ] {
        assert_eq!(open(&note), Err(error), "{what}");
    }
    assert_eq!(signer.verifier().open(b"\xff\n\n\n"), Err(NoteError::Malformed));
}

#[test]
fn a_signed_text_must_be_a_checkpoint_of_this_log() {
    let signer = signer();
    let sign = |text: &str| {
        let mut line = signer.verifier().id.to_vec();
        line.extend(signer.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {} {}\n", signer.origin(), STANDARD.encode(line))
    };
    let open = |text: &str| signer.verifier().open(sign(text).as_bytes());
    let text = checkpoint().to_text();
    assert_eq!(open(&text), Ok(checkpoint()));
    assert_eq!(open(&format!("{text}extension\n")), Err(NoteError::Checkpoint));
    assert_eq!(open(&text.replace("/a/", "/b/")), Err(NoteError::OtherLog));
}
