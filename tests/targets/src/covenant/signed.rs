//! Signatures beside a covenant: whatever stands there, nobody signed who did not, and fewer than are needed are not
//! enough.

use std::sync::LazyLock;

use hitmachine_audit::{NoteSigner, SignedText};
use hitmachine_core::Covenant;
use hitmachine_core::covenant::acceptance::{accept, accept_after, signed_by_its_own, signed_text};
use hitmachine_core::covenant::{Document, Trust};

use super::SAMPLE;

struct World {
    /// Of two of three administrators.
    held: Covenant,
    offered: Covenant,
    file: Vec<u8>,
    /// Signed by the first of them, and by two.
    notes: [Vec<u8>; 2],
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let signers: Vec<NoteSigner> = (1..=3)
        .map(|seed| NoteSigner::new(format!("a{seed}"), &[seed; 32]).unwrap())
        .collect();
    let mut table: toml::Table = SAMPLE.parse().unwrap();
    let keys = signers
        .iter()
        .map(|signer| signer.verifier().to_string().into())
        .collect();
    table["administrators"]["keys"] = toml::Value::Array(keys);
    let held = toml::to_string(&table).unwrap();
    table.insert("version".into(), 2.into());
    let file = toml::to_string(&table).unwrap().into_bytes();
    let offered = Covenant::parse(&file).unwrap();
    let text = signed_text(&offered);
    let one = signers[0].sign(&text, None).unwrap();
    let two = signers[1].sign(&text, Some(&one)).unwrap();
    World {
        held: Covenant::parse(held.as_bytes()).unwrap(),
        offered,
        file,
        notes: [one, two],
    }
});

/// The target.
pub fn check(input: &[u8]) {
    let World {
        held,
        offered,
        file,
        notes: [one, two],
    } = &*WORLD;
    let document = |signatures: Vec<u8>| Document {
        file: file.clone(),
        signatures,
    };
    let taken =
        |signatures: &[u8]| accept(Trust::Held(held), offered, &document(signatures.to_vec())).is_ok();
    // The input alone, and behind what one administrator signed: the keys of the others are in nobody's hands.
    for signatures in [input.to_vec(), [one, input].concat()] {
        if taken(&signatures) {
            let lines = |note: &[u8]| -> Vec<Vec<u8>> {
                note.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
            };
            let there = lines(&signatures);
            assert!(
                lines(two).iter().all(|line| there.contains(line)),
                "both had signed"
            );
        }
        let whole = document(signatures.clone());
        assert_eq!(signed_by_its_own(offered, &whole).is_ok(), taken(&signatures));
        assert_eq!(
            accept_after(Trust::Held(held), &[], offered, &whole).is_ok(),
            taken(&signatures)
        );
    }
    // The signatures with the input in the place of the text are of another file.
    if let Some((_, lines)) = split(two)
        && let Ok(text) = std::str::from_utf8(input)
    {
        let other = [text.as_bytes(), lines].concat();
        assert!(!taken(&other) || other == *two);
    }
    assert!(taken(two) && !taken(one));
    let Ok(note) = SignedText::parse(input) else {
        return;
    };
    assert!(input.starts_with(note.text().as_bytes()));
    let by: Vec<&str> = offered
        .administrators()
        .unwrap()
        .signers(&note)
        .unwrap_or_default();
    assert!(by.is_empty() || signed_text(offered) == note.text());
}

/// Text and signatures.
fn split(note: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = note.windows(2).position(|pair| pair == b"\n\n")?;
    note.split_at_checked(at + 1)
}
