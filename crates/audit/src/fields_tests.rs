use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{Checkpoint, LogSigner};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/audit-v1.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn salt(value: &Value) -> Salt {
    Salt(bytes(value).try_into().unwrap())
}

fn opening() -> Opening {
    let vectors = vectors();
    // Of the published vectors; field 10 came later.
    let nine = FieldId::ALL.into_iter().take(9);
    let fields = nine.fold(Fields::new(), |fields, id| {
        fields
            .with(id, bytes(&vectors["fields"][id.code().to_string()]))
            .unwrap()
    });
    Opening::new(salt(&vectors["salt_a"]), salt(&vectors["salt_b"]), fields)
}

#[test]
fn the_known_answers_bit_for_bit() {
    let (vectors, opening) = (vectors(), opening());
    for id in [FieldId::User, FieldId::Subject] {
        let (salt, name) = (opening.salt(id.group()), id.code().to_string());
        assert_eq!(
            salt.field_salt(id).as_slice(),
            bytes(&vectors["field_salts"][&name])
        );
        let digest = salt.digest(id, opening.fields.get(id).unwrap());
        assert_eq!(digest.0.as_slice(), bytes(&vectors["field_digests"][&name]));
    }
    let commitment = opening.commitment();
    assert_eq!(commitment.hash().to_string(), vectors["commitment"]);
    assert_eq!(commitment.entry()[..1], [0x01]);
    assert_eq!(commitment.leaf_hash().to_string(), vectors["leaf"]);

    let seed: [u8; 32] = bytes(&vectors["log_seed"]).try_into().unwrap();
    let verifier_text = vectors["log_verifier"].as_str().unwrap();
    let origin = verifier_text.split('+').next().unwrap().parse().unwrap();
    let signer = LogSigner::new(origin, &seed);
    let verifier = signer.verifier();
    assert_eq!(verifier.to_string(), verifier_text);
    assert_eq!(verifier_text.parse(), Ok(verifier.clone()));
    let checkpoint = Checkpoint {
        origin: signer.origin().clone(),
        size: 1,
        root: commitment.leaf_hash(),
    };
    let note = vectors["note"].as_str().unwrap();
    assert_eq!(signer.sign(&checkpoint).unwrap(), note.as_bytes());
    // Signatures of witnesses are for others to check.
    let cosigned = format!("{note}{}", vectors["cosignature"].as_str().unwrap());
    assert_eq!(verifier.open(cosigned.as_bytes()), Ok(checkpoint));
}

#[test]
fn encodings_are_pinned() {
    let fields = Fields::new()
        .with(FieldId::Case, *b"c1")
        .unwrap()
        .with(FieldId::Event, [7])
        .unwrap();
    let opening = Opening::new(Salt([0xaa; 32]), Salt([0xbb; 32]), fields);
    let (a, b) = ("aa".repeat(32), "bb".repeat(32));
    assert_eq!(
        hex::encode(opening.encode()),
        format!("01{a}{b}02{}{}", "01000107", "0500026331")
    );
    assert_eq!(
        hex::encode(opening.group_bytes(Group::B).as_slice()),
        format!("{b}01{}", "0500026331")
    );
    let digest = opening.salt_b.digest(FieldId::Case, b"c1");
    assert_eq!(
        hex::encode(opening.group_bytes(Group::A).as_slice()),
        format!("{a}01{}0105{digest}", "01000107")
    );
    for group in Group::ALL {
        assert_eq!(
            opening.group_bytes(group).len(),
            group_len(opening.fields(), group)
        );
        assert_eq!(Group::from_code(group.code()), Some(group));
    }
    let codes: Vec<u8> = EntryKind::ALL.into_iter().map(EntryKind::code).collect();
    assert_eq!(codes, [1, 2, 3, 4, 5]);
    assert_eq!(EntryKind::from_code(3), Some(EntryKind::OfficerSearch));
    assert_eq!(EntryKind::from_code(6), None);
    let in_b: Vec<u8> = FieldId::ALL
        .into_iter()
        .filter(|id| id.group() == Group::B)
        .map(FieldId::code)
        .collect();
    assert_eq!(in_b, [3, 5, 10]);
}

#[test]
fn fields_are_ordered_unique_and_bounded() {
    let fields = Fields::new()
        .with(FieldId::Trace, [1])
        .unwrap()
        .with(FieldId::Event, [])
        .unwrap();
    assert_eq!(fields.iter().map(|(id, _)| id.code()).collect::<Vec<_>>(), [1, 8]);
    assert_eq!(fields.get(FieldId::Trace), Some(&[1][..]));
    assert_eq!(fields.get(FieldId::Case), None);
    assert_eq!(
        fields.clone().with(FieldId::Event, [2]),
        Err(FieldsError::Twice(FieldId::Event))
    );
    assert!(Fields::new().with(FieldId::Case, vec![0; MAX_VALUE]).is_ok());
    let long = Fields::new().with(FieldId::Case, vec![0; MAX_VALUE + 1]);
    assert_eq!(long, Err(FieldsError::TooLong(FieldId::Case)));
}

#[test]
fn decode_takes_one_form_only() {
    let good = opening().encode();
    assert_eq!(Opening::decode(&good), Ok(opening()));
    let refused = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(Opening::decode(&bytes), Err(FieldsError::Encoding), "{what}");
    };
    refused("other type", &|bytes| bytes[0] = 2);
    refused("a byte more", &|bytes| bytes.push(0));
    refused("a byte less", &|bytes| bytes.truncate(bytes.len() - 1));
    refused("a field less than counted", &|bytes| bytes[65] = 10);
    refused("a field more than counted", &|bytes| bytes[65] = 8);
    refused("unknown field", &|bytes| bytes[66] = 0);
    refused("fields out of order", &|bytes| bytes[66] = 2);
    for end in 0..good.len() {
        assert!(Opening::decode(&good[..end]).is_err());
    }
}

#[test]
fn each_changed_byte_changes_the_commitment() {
    let encoded = opening().encode();
    let commitment = opening().commitment();
    for place in 0..encoded.len() {
        let mut changed = encoded.clone();
        changed[place] ^= 1;
        if let Ok(other) = Opening::decode(&changed) {
            assert_ne!(other.commitment(), commitment, "byte {place}");
        }
    }
}

#[test]
fn group_a_alone_still_gives_the_commitment() {
    let opening = opening();
    let [a, b] = Group::ALL.map(|group| opening.group_bytes(group));
    assert_eq!(Processing::decode(&a).unwrap().commitment(), opening.commitment());
    let shown = Processing::decode(&a).unwrap().into_fields();
    assert_eq!((shown.get(FieldId::User), shown.get(FieldId::Case)), (None, None));
    assert_eq!(Processing::decode(&a).unwrap().join(&b).unwrap(), opening);
    // The halves cannot be taken for each other.
    assert!(Processing::decode(&b).is_none());
    assert!(Processing::decode(&a).unwrap().join(&a).is_none());
    for end in 0..a.len() {
        assert!(Processing::decode(&a[..end]).is_none());
    }
}

#[test]
fn nothing_secret_is_printed() {
    let printed = format!("{:?} {:?}", opening(), opening().salt_a);
    assert!(printed.contains("Requester"), "{printed}");
    for (_, value) in opening().fields().iter() {
        assert!(!printed.contains(&format!("{value:?}")) && !printed.contains(&hex::encode(value)));
    }
    assert!(!printed.contains("31, 3"), "{printed}");
}

proptest! {
    #[test]
    fn openings_come_back(
        salts in any::<[[u8; 32]; 2]>(),
        values in proptest::collection::btree_map(
            0..FieldId::ALL.len(),
            proptest::collection::vec(any::<u8>(), 0..40),
            0..FieldId::ALL.len(),
        ),
    ) {
        let fields = values.into_iter().fold(Fields::new(), |fields, (id, value)| {
            fields.with(FieldId::ALL[id], value).unwrap()
        });
        let opening = Opening::new(Salt(salts[0]), Salt(salts[1]), fields);
        prop_assert_eq!(Opening::decode(&opening.encode()), Ok(opening.clone()));
        let [a, b] = Group::ALL.map(|group| opening.group_bytes(group));
        let processing = Processing::decode(&a).unwrap();
        prop_assert_eq!(processing.commitment(), opening.commitment());
        prop_assert_eq!(processing.join(&b), Some(opening));
    }

    #[test]
    fn foreign_bytes_are_harmless(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(first) = bytes.first_mut() {
            *first = PAYLOAD;
        }
        if let Ok(opening) = Opening::decode(&bytes) {
            prop_assert_eq!(opening.encode(), bytes.clone());
        }
        let _ = Processing::decode(&bytes);
    }
}
