use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::{
    hash::{Hash, leaf_hash},
    note::{LogSigner, lines::MAX_SIGNATURES},
};

/// The known answers of the design: computed elsewhere, accepted by another implementation.
const LOG_KEY: &str =
    "hitmachine.example/broker-a/audit/1+76e5f81a+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
const WITNESS_KEY: &str = "partner-b.example/witness+a09ee0ca+BBOY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK";
const NOTE: &str = "hitmachine.example/broker-a/audit/1
1
hRazBc9UrKSLrFXrU1TmcUba+KE2RQlVW/yVhVQJmLY=

\u{2014} hitmachine.example/broker-a/audit/1 duX4GhRHGtTdukhDk/xLHO0BSoPv4vCiz+nRcs7LRdqoIpI4NMy4pxX1O9veHD3Ye2T5tF+1pr4hgoCvkfySU8x7Hw4=
";
const LINE: &str = "\u{2014} partner-b.example/witness oJ7gygAAAABpVbkBWdyK78xdrBadYb6fnc8F9pdNdRGhzGVW2rQXdsQ0rRgPT84J61+nLkHQKWo4o4FMm28aztr5c4ZusZC8rCsSDw==\n";
/// The big-endian bytes after the key id in `LINE`.
const TIME_S: u64 = 0x6955_b901;

fn log() -> LogSigner {
    LogSigner::new("hitmachine.example/broker-a/audit/1".parse().unwrap(), &[7; 32])
}

fn witness(seed: u8) -> WitnessSigner {
    let name = match seed {
        8 => "partner-b.example/witness".to_owned(),
        _ => format!("partner-{seed}.example/witness"),
    };
    WitnessSigner::new(name.parse().unwrap(), &[seed; 32])
}

fn checkpoint() -> Checkpoint {
    log().verifier().open(NOTE.as_bytes()).unwrap()
}

fn open(note: &str, witnesses: &[WitnessVerifier]) -> Result<Vec<(String, u64)>, NoteError> {
    let cosigned = log().verifier().open_cosigned(note.as_bytes(), witnesses)?;
    assert_eq!(cosigned.checkpoint, checkpoint());
    let read = cosigned.cosignatures.iter();
    Ok(read.map(|one| (one.name().to_string(), one.time_s())).collect())
}

/// The line with one byte after the key id changed.
fn spoiled(line: &str, byte: usize) -> String {
    let (start, bytes) = line.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = STANDARD.decode(bytes).unwrap();
    bytes[4 + byte] ^= 1;
    format!("{start} {}\n", STANDARD.encode(bytes))
}

#[test]
fn known_answers() {
    let root = leaf_hash(
        &[
            vec![1],
            hex::decode("ab259c952d0ef0315b83f807fbef1b61c5b21f1193ee752f51d08fd96d8afc50").unwrap(),
        ]
        .concat(),
    );
    let checkpoint = Checkpoint {
        origin: log().origin().clone(),
        size: 1,
        root,
    };
    assert_eq!(log().sign(&checkpoint).unwrap(), NOTE.as_bytes());
    assert_eq!(log().verifier().to_string(), LOG_KEY);
    assert_eq!(LOG_KEY.parse::<LogVerifier>().unwrap(), log().verifier());
    assert_eq!(witness(8).verifier().to_string(), WITNESS_KEY);
    assert_eq!(
        WITNESS_KEY.parse::<WitnessVerifier>().unwrap(),
        witness(8).verifier()
    );
    assert_eq!(witness(8).cosign(&checkpoint, TIME_S).unwrap(), LINE);
    assert_eq!(
        open(&format!("{NOTE}{LINE}"), &[WITNESS_KEY.parse().unwrap()]).unwrap(),
        [("partner-b.example/witness".to_owned(), TIME_S)]
    );
}

#[test]
fn names_and_keys_have_one_text() {
    for good in ["a", "partner-b.example/witness", "oid/1.2.3", &"x".repeat(255)] {
        assert_eq!(good.parse::<WitnessName>().unwrap().as_str(), good);
    }
    for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{7f}", &"x".repeat(256)] {
        assert_eq!(bad.parse::<WitnessName>(), Err(NoteError::WitnessName), "{bad:?}");
    }
    let vkey = |name: &str, bytes: &[u8]| {
        let hash = crate::hash::sha256(&[name.as_bytes(), b"\n", bytes]);
        format!("{name}+{}+{}", hex::encode(&hash.0[..4]), STANDARD.encode(bytes))
    };
    let key = witness(8).key.verifying_key().to_bytes();
    let name = "partner-b.example/witness";
    let mut identity = [0; 33];
    (identity[0], identity[1]) = (4, 1);
    // y = p + 3: the same point as y = 3, which is on the curve.
    let mut two_texts = [0xff; 33];
    (two_texts[0], two_texts[1], two_texts[32]) = (4, 0xf0, 0x7f);
    assert_eq!(vkey(name, &[&[4], key.as_slice()].concat()), WITNESS_KEY);
    for (what, bad) in [
        ("a log's key", LOG_KEY.to_owned()),
        ("type 1", vkey(name, &[&[1], key.as_slice()].concat())),
        ("type 6", vkey(name, &[&[6], key.as_slice()].concat())),
        ("short", vkey(name, &[&[4], &key[..31]].concat())),
        ("long", vkey(name, &[&[4], key.as_slice(), &[0]].concat())),
        ("weak", vkey(name, &identity)),
        ("not canonical", vkey(name, &two_texts)),
        ("no key", format!("{name}+a09ee0ca+")),
        ("other hash", WITNESS_KEY.replace("a09ee0ca", "a09ee0cb")),
        ("upper case hash", WITNESS_KEY.replace("a09ee0ca", "A09EE0CA")),
        ("other name", WITNESS_KEY.replace("partner-b", "partner-c")),
        (
            "long name",
            vkey(&"x".repeat(256), &[&[4], key.as_slice()].concat()),
        ),
        ("space after", format!("{WITNESS_KEY} ")),
        ("nothing", String::new()),
    ] {
        assert_eq!(bad.parse::<WitnessVerifier>(), Err(NoteError::Key), "{what}");
    }
    assert_eq!(WITNESS_KEY.parse::<LogVerifier>(), Err(NoteError::Key));
    assert!(
        !format!("{:?}", witness(8)).contains("[8"),
        "the seed is not printed"
    );
}

#[test]
fn times_that_can_be_cosigned() {
    for (time_s, fits) in [(0, false), (1, true), (MAX_TIME, true), (MAX_TIME + 1, false)] {
        let line = witness(8).cosign(&checkpoint(), time_s);
        assert_eq!(line.is_ok(), fits, "{time_s}");
        if let Ok(line) = line {
            let read = open(&format!("{NOTE}{line}"), &[witness(8).verifier()]).unwrap();
            assert_eq!(read[0].1, time_s);
        }
    }
    // A signature over a time above the bound, right in everything else.
    let signature = witness(8)
        .key
        .sign(message(&checkpoint().to_text(), MAX_TIME + 1).as_bytes());
    let bytes = [(MAX_TIME + 1).to_be_bytes().as_slice(), &signature.to_bytes()].concat();
    let line = SignatureLine::write(witness(8).name().as_str(), witness(8).verifier().id, &bytes);
    let refused = open(&format!("{NOTE}{line}\n"), &[witness(8).verifier()]);
    assert_eq!(refused, Err(NoteError::BadCosignature));
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_must_fit() {
    let known = [witness(8).verifier(), witness(9).verifier()];
    let other = witness(9).cosign(&checkpoint(), 5).unwrap();
    let elsewhere = Checkpoint {
        root: Hash([1; 32]),
        ..checkpoint()
    };
    let elsewhere = witness(8).cosign(&elsewhere, 5).unwrap();
    // Right key, other name: an unknown key.
    let renamed = WitnessSigner::new("partner-x.example/witness".parse().unwrap(), &[8; 32]);
    let renamed = renamed.cosign(&checkpoint(), 5).unwrap();
    let same_name = WitnessSigner::new(witness(8).name().clone(), &[77; 32]);
    let same_name = same_name.cosign(&checkpoint(), 5).unwrap();
    let short = SignatureLine::write(witness(8).name().as_str(), known[0].id, &[1; 71]) + "\n";
    let long = SignatureLine::write(witness(8).name().as_str(), known[0].id, &[1; 73]) + "\n";
    let tiny = SignatureLine::write(witness(8).name().as_str(), known[0].id, &[1; 3]) + "\n";
    let unknown = witness(10).cosign(&checkpoint(), 5).unwrap();
    for (what, lines, count) in [
        ("none", String::new(), Ok(0)),
        ("both", format!("{LINE}{other}"), Ok(2)),
        ("unknown key", format!("{LINE}{unknown}"), Ok(1)),
        ("unknown key that does not fit", spoiled(&unknown, 20), Ok(0)),
        ("known key under another name", renamed, Ok(0)),
        ("known name with another key", same_name, Ok(0)),
        ("of another checkpoint", elsewhere, Err(NoteError::BadCosignature)),
        ("changed time", spoiled(LINE, 7), Err(NoteError::BadCosignature)),
        (
            "changed signature",
            spoiled(LINE, 71),
            Err(NoteError::BadCosignature),
        ),
        (
            "good and bad",
            format!("{LINE}{}", spoiled(LINE, 20)),
            Err(NoteError::BadCosignature),
        ),
        ("short", short, Err(NoteError::BadCosignature)),
        ("long", long, Err(NoteError::BadCosignature)),
        ("tiny", tiny, Err(NoteError::BadCosignature)),
        (
            "no line",
            "partner-b.example/witness\n".to_owned(),
            Err(NoteError::Malformed),
        ),
        (
            "plus in a name",
            LINE.replace("partner-b", "partner+b"),
            Err(NoteError::Malformed),
        ),
        (
            "space of another script in a name",
            LINE.replace("partner-b", "partner\u{3000}b"),
            Err(NoteError::Malformed),
        ),
    ] {
        let read = open(&format!("{NOTE}{lines}"), &known);
        assert_eq!(read.map(|read| read.len()), count, "{what}");
    }
    // Without the log's own signature cosignatures are worth nothing.
    let text = NOTE.split_once("\n\n").unwrap().0;
    assert_eq!(
        open(&format!("{text}\n\n{LINE}"), &known),
        Err(NoteError::NotSigned)
    );
}

#[test]
fn the_newest_of_one_witness_counts() {
    let line = |time_s| witness(8).cosign(&checkpoint(), time_s).unwrap();
    for lines in [[line(5), line(9), line(7)], [line(9), line(5), line(7)]] {
        let read = open(&format!("{NOTE}{}", lines.concat()), &[witness(8).verifier()]).unwrap();
        assert_eq!(read, [(witness(8).name().to_string(), 9)]);
    }
}

#[test]
fn as_many_signatures_as_the_bounds_allow() {
    let signers: Vec<_> = (10..10 + 99).map(witness).collect();
    let known: Vec<_> = signers.iter().map(WitnessSigner::verifier).collect();
    let lines = |count: usize| -> String {
        let signers = signers.iter().take(count);
        signers
            .map(|signer| signer.cosign(&checkpoint(), 5).unwrap())
            .collect()
    };
    for count in [15, 16, MAX_SIGNATURES - 1] {
        let read = open(&format!("{NOTE}{}", lines(count)), &known).unwrap();
        assert_eq!(read.len(), count);
    }
    let full = format!("{NOTE}{}", lines(MAX_SIGNATURES - 1));
    let one_more = [witness(8).verifier()];
    let added = log()
        .verifier()
        .add_cosignatures(full.as_bytes(), LINE.as_bytes(), &one_more);
    assert_eq!(added, Err(NoteError::Malformed), "the result keeps the bounds");
}

#[test]
fn adding_takes_what_is_verified_and_newest() {
    let known = [witness(8).verifier(), witness(9).verifier()];
    let line = |seed, time_s| witness(seed).cosign(&checkpoint(), time_s).unwrap();
    let add = |note: &str, lines: &str| {
        let note = log()
            .verifier()
            .add_cosignatures(note.as_bytes(), lines.as_bytes(), &known)?;
        Ok(String::from_utf8(note).unwrap())
    };
    let foreign = line(10, 1);
    let both = format!("{NOTE}{foreign}{}{}", line(8, 5), line(9, 5));
    for (what, note, lines, expected) in [
        ("nothing", NOTE.to_owned(), String::new(), Ok(NOTE.to_owned())),
        (
            "two at once",
            format!("{NOTE}{foreign}"),
            format!("{}{}", line(8, 5), line(9, 5)),
            Ok(both.clone()),
        ),
        (
            "newer in place of older",
            both.clone(),
            line(8, 6),
            Ok(format!("{NOTE}{foreign}{}{}", line(8, 6), line(9, 5))),
        ),
        ("older", both.clone(), line(8, 4), Ok(both.clone())),
        ("the same", both.clone(), line(8, 5), Ok(both.clone())),
        ("unknown key", both.clone(), line(11, 9), Ok(both.clone())),
        (
            "the log's own line again",
            both.clone(),
            NOTE.split_once("\n\n").unwrap().1.to_owned(),
            Ok(both.clone()),
        ),
        (
            "duplicates in the note",
            format!("{both}{}", line(8, 7)),
            String::new(),
            Ok(format!("{NOTE}{foreign}{}{}", line(8, 7), line(9, 5))),
        ),
        (
            "a later time that is not signed",
            both.clone(),
            spoiled(&line(8, 6), 0),
            Err(NoteError::BadCosignature),
        ),
        (
            "no newline",
            both.clone(),
            line(8, 6).trim_end().to_owned(),
            Err(NoteError::Malformed),
        ),
        (
            "another note",
            both.clone(),
            format!("\n{}", line(8, 6)),
            Err(NoteError::Malformed),
        ),
        (
            "not the log's",
            both.replace("\n1\n", "\n2\n"),
            line(8, 6),
            Err(NoteError::BadSignature),
        ),
    ] {
        assert_eq!(add(&note, &lines), expected, "{what}");
    }
}
