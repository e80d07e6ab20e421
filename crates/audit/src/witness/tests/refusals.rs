use super::*;
use crate::{evidence::Verdict, witness::state::State};

/// Has cosigned fork 1 at 5 entries.
fn at_five() -> (TestStore, Witness<TestStore>) {
    let store = TestStore::default();
    let witness = witness(&store);
    witness.add_checkpoint(&request(1, 0, 5).format(), 10).unwrap();
    (store, witness)
}

fn verdict(refusal: &Refusal) -> Option<Verdict> {
    let evidence = refusal.evidence()?;
    assert_eq!(
        evidence,
        &Evidence::parse(&evidence.to_text()).unwrap(),
        "evidence can be stored"
    );
    Some(evidence.verify(&log().verifier()).unwrap())
}

#[test]
fn every_status() {
    let unknown = LogSigner::new("log.example/b/audit/1".parse().unwrap(), &[7; 32]);
    let unknown = unknown
        .sign(&Checkpoint {
            origin: unknown.origin().clone(),
            ..checkpoint(1, 7)
        })
        .unwrap();
    let other_key = LogSigner::new(log().origin().clone(), &[70; 32]);
    let other_key = other_key.sign(&checkpoint(1, 7)).unwrap();
    let changed = String::from_utf8(note(1, 7)).unwrap().replace("\n7\n", "\n8\n");
    let wrong_empty = Checkpoint {
        root: Hash([1; 32]),
        ..checkpoint(1, 0)
    };
    let wrong_empty = log().sign(&wrong_empty).unwrap();
    let with = |request: AddCheckpoint, checkpoint: &[u8]| AddCheckpoint {
        checkpoint: checkpoint.to_vec(),
        ..request
    };
    let with_proof = |request: AddCheckpoint, proof: Vec<Hash>| AddCheckpoint { proof, ..request };
    let good = request(1, 5, 7);
    let two_roots = Verdict::SameSizeTwoRoots {
        size: 5,
        roots: [checkpoint(1, 5).root, checkpoint(2, 5).root],
    };
    let no_proof = Verdict::ProofDoesNotConnect { from: 5, to: 7 };
    for (what, body, status, code, shown) in [
        ("no note", with(good.clone(), b""), 400, "request_malformed", None),
        ("old above new", request(1, 6, 5), 400, "old_size_above_new", None),
        (
            "unknown origin",
            with(good.clone(), &unknown),
            404,
            "unknown_log",
            None,
        ),
        // F7: a new key under the old name.
        (
            "another key",
            with(good.clone(), &other_key),
            403,
            "not_signed",
            None,
        ),
        (
            "changed text",
            with(good.clone(), changed.as_bytes()),
            403,
            "bad_signature",
            None,
        ),
        ("old too small", request(1, 4, 7), 409, "not_the_held_size", None),
        ("old too large", request(1, 6, 7), 409, "not_the_held_size", None),
        ("from the start", request(1, 0, 7), 409, "not_the_held_size", None),
        // F6: rolled back.
        ("smaller by one", request(1, 4, 4), 409, "not_the_held_size", None),
        ("to nothing", request(1, 0, 0), 409, "not_the_held_size", None),
        (
            "fork of the size held, from an older size",
            request(2, 3, 5),
            409,
            "not_the_held_size",
            Some(two_roots),
        ),
        // F1: same size, two roots.
        (
            "fork of the size held",
            request(2, 5, 5),
            422,
            "inconsistent",
            Some(two_roots),
        ),
        ("fork", request(2, 5, 7), 422, "inconsistent", Some(no_proof)),
        (
            "no proof",
            with_proof(good.clone(), vec![]),
            422,
            "inconsistent",
            Some(no_proof),
        ),
        (
            "proof too much",
            with_proof(good.clone(), [good.proof.clone(), vec![Hash([0; 32])]].concat()),
            422,
            "inconsistent",
            Some(no_proof),
        ),
        (
            "the same head with a proof",
            with_proof(request(1, 5, 5), vec![Hash([0; 32])]),
            422,
            "inconsistent",
            None,
        ),
    ] {
        let (store, witness) = at_five();
        let refused = witness.add_checkpoint(&body.format(), 20).unwrap_err();
        assert_eq!((refused.status(), refused.code()), (status, code), "{what}");
        assert_eq!(verdict(&refused), shown, "{what}");
        if let Refusal::Conflict { held, .. } = refused {
            assert_eq!(held, 5, "{what}");
        }
        assert_eq!(store.saves(), 1, "{what}: nothing is remembered");
        assert!(witness.add_checkpoint(&good.format(), 20).is_ok(), "{what}");
    }
    for (what, body, status) in [
        (
            "empty tree with a root",
            with(request(1, 0, 0), &wrong_empty),
            422,
        ),
        (
            "proof from nothing",
            with_proof(request(1, 0, 7), vec![Hash([0; 32])]),
            422,
        ),
        ("old that is not", request(1, 1, 7), 409),
    ] {
        let refused = witness(&TestStore::default())
            .add_checkpoint(&body.format(), 20)
            .unwrap_err();
        assert_eq!(refused.status(), status, "{what}");
        assert!(
            refused.evidence().is_none(),
            "{what}: nothing held to conflict with"
        );
    }
}

#[test]
fn a_signed_text_that_is_no_checkpoint_is_malformed() {
    let extended = format!("{}extension\n", checkpoint(1, 7).to_text());
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signature = ed25519_dalek::Signer::sign(&key, extended.as_bytes()).to_bytes();
    let name = log().origin().as_str().to_owned();
    let id = crate::note::lines::key_id(&name, 1, &key.verifying_key());
    let line = crate::note::lines::SignatureLine::write(&name, id, &signature);
    let body = AddCheckpoint {
        checkpoint: format!("{extended}\n{line}\n").into_bytes(),
        ..request(1, 5, 7)
    };
    let refused = at_five().1.add_checkpoint(&body.format(), 20).unwrap_err();
    assert_eq!(refused.status(), 400);
}

#[test]
fn a_store_that_fails_cosigns_nothing() {
    for fate in [Fate::FailsLost, Fate::FailsKept, Fate::FailsSeen] {
        let (store, witness) = at_five();
        store.fate(fate);
        let refused = witness.add_checkpoint(&request(1, 5, 7).format(), 20);
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.status(), refused.code()),
            (500, "witness_store"),
            "{fate:?}"
        );
        assert!(std::error::Error::source(&refused).is_some());
    }
    let (store, witness) = at_five();
    store.set(|disk| disk.unreadable = true);
    let refused = witness.add_checkpoint(&request(1, 0, 7).format(), 20);
    assert_eq!(refused.unwrap_err().status(), 500);
    assert!(witness.held(log().origin()).is_err());
    // Something else than a state: not taken for "never cosigned".
    let (store, witness) = at_five();
    store.set(|disk| disk.seen.values_mut().for_each(Vec::clear));
    let refused = witness.add_checkpoint(&request(1, 0, 7).format(), 20);
    assert_eq!(refused.unwrap_err().status(), 500);
    assert_eq!(store.saves(), 1);
}

#[test]
fn a_state_has_one_encoding() {
    let state = State {
        head: checkpoint(1, 5).head(),
        note: note(1, 5),
        time_s: 10,
    };
    let bytes = state.encode();
    let decode = |bytes: &[u8]| State::decode(bytes, log().origin());
    assert_eq!(decode(&bytes), Some(state.clone()));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(decode(&changed), None, "{at}");
        assert_eq!(decode(&bytes[..at]), None, "{at}");
    }
    assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), None);
    assert_eq!(State::decode(&bytes, &"log.example/b".parse().unwrap()), None);
    let other_head = State {
        head: checkpoint(2, 5).head(),
        ..state.clone()
    };
    assert_eq!(decode(&other_head.encode()), None, "head and note agree");
    let late = State {
        time_s: MAX_TIME + 1,
        ..state.clone()
    };
    assert_eq!(decode(&late.encode()), None, "a time that can be cosigned");
    // Right checksum over something longer or of another version.
    for change in [
        |content: &mut Vec<u8>| content.push(0),
        |content: &mut Vec<u8>| content[7] = b'2',
    ] {
        let mut content = bytes[..bytes.len() - 32].to_vec();
        change(&mut content);
        let checksum = crate::hash::sha256(&[&content]);
        content.extend(checksum.0);
        assert_eq!(decode(&content), None);
    }
}

#[test]
fn bodies_have_one_form() {
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";
    let note = String::from_utf8(note(1, 7)).unwrap();
    let parse = |body: &str| AddCheckpoint::parse(body.as_bytes());
    for (old, lines) in [
        (0, String::new()),
        (5, format!("{hash}\n")),
        (u64::MAX, format!("{hash}\n").repeat(63)),
    ] {
        let body = format!("old {old}\n{lines}\n{note}");
        let read = parse(&body).unwrap();
        assert_eq!(read.format(), body.as_bytes());
        assert_eq!((read.old, read.checkpoint.as_slice()), (old, note.as_bytes()));
    }
    for (what, body) in [
        ("nothing", String::new()),
        ("no old", format!("\n{note}")),
        ("no size", format!("old \n\n{note}")),
        ("two spaces", format!("old  5\n\n{note}")),
        ("leading zero", format!("old 05\n\n{note}")),
        ("sign", format!("old +5\n\n{note}")),
        ("capital", format!("Old 5\n\n{note}")),
        ("space after", format!("old 5 \n\n{note}")),
        ("carriage return", format!("old 5\r\n\r\n{note}")),
        ("above 64 bits", format!("old 18446744073709551616\n\n{note}")),
        (
            "64 proof lines",
            format!("old 5\n{}\n{note}", format!("{hash}\n").repeat(64)),
        ),
        ("short hash", format!("old 5\nAAAA\n\n{note}")),
        (
            "hash without padding",
            format!("old 5\n{}\n\n{note}", hash.trim_end_matches('=')),
        ),
        (
            "hash with loose bits",
            format!("old 5\n{}\n\n{note}", hash.replace("w=", "x=")),
        ),
        ("space before a hash", format!("old 5\n {hash}\n\n{note}")),
        ("no empty line", format!("old 5\n{hash}\n")),
        ("too long", format!("old 5\n\n{}", "a".repeat(80_000))),
    ] {
        assert!(matches!(parse(&body), Err(Refusal::Malformed)), "{what}");
    }
    assert!(AddCheckpoint::parse(b"old 5\n\xff\n\n").is_err());
}
