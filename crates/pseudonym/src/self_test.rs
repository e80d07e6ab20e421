//! Known answers, checked in every process before it does anything else.

use crate::{
    CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Pepper,
    Scheme, TagKey,
};

/// A known answer was not reproduced: this build on this machine must not run, because its answers
/// would silently be "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("known answer not reproduced: {step}; this program must not run on this machine")]
pub struct SelfTestError {
    step: &'static str,
}

impl SelfTestError {
    /// What was computed wrongly: `input`, `key check value`, `token` or `tag`.
    pub fn step(&self) -> &'static str {
        self.step
    }
}

/// Key material and answers of one published case, in hex; made-up persons.
struct KnownAnswer {
    deployment: [u8; 16],
    epoch: u32,
    node_key: &'static str,
    pepper: &'static str,
    kcv: &'static str,
    kind: IdentifierType,
    id: &'static str,
    token: &'static str,
    tag: &'static str,
}

/// From `vectors/v1.json`: both types in use, and an epoch that shows the byte order. A test
/// compares these with the file.
const KNOWN_ANSWERS: [KnownAnswer; 3] = [
    KnownAnswer {
        deployment: [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
        ],
        epoch: 1,
        node_key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        pepper: "c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5",
        kcv: "f5d550f53d837a16",
        kind: IdentifierType::Bsn,
        id: "999990019",
        token: "1a5e350a91533e7ee17334505b35672f7c9e218d1332e23585b419506b357bce",
        tag: "2aef76e1e5ce532d02d137249c0b8933",
    },
    KnownAnswer {
        deployment: [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
        ],
        epoch: 1,
        node_key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        pepper: "c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5",
        kcv: "f5d550f53d837a16",
        kind: IdentifierType::Skn,
        id: "01234567",
        token: "9cd510ba7f2c0c313fa7edb1036a8b2a6a12a59c817520112c9cbdeeb8a54d5d",
        tag: "93907b339b82645708ccbe73a2718072",
    },
    KnownAnswer {
        deployment: [
            0xf1, 0xe2, 0xd3, 0xc4, 0xb5, 0xa6, 0x97, 0x88, 0x79, 0x6a, 0x5b, 0x4c, 0x3d, 0x2e, 0x1f, 0x00,
        ],
        epoch: 0x0102_0304,
        node_key: "a2ef469c62aab89566b232b249b7158d1a761798eac205c2bd423ee681a5fcb1",
        pepper: "c238e4cc40277a8875c8852e231154d989053cc28bc27eb5f76a4abba0c85a3f",
        kcv: "2b9b7f8dc32eb1e5",
        kind: IdentifierType::Bsn,
        id: "000012348",
        token: "be3c670c371bd585633cd6516e2b6cc8890dd5ea3c4e11850267455cdf9b7e5b",
        tag: "391b1caeee8f360c6a846358f3059bdb",
    },
];

/// Computes key check value, token and tag of published cases and compares.
///
/// Takes microseconds. Every process calls it at start and refuses to go on when it fails.
///
/// # Errors
/// [`SelfTestError`] names the step that differs.
pub fn self_test() -> Result<(), SelfTestError> {
    KNOWN_ANSWERS.iter().try_for_each(check)
}

fn check(known: &KnownAnswer) -> Result<(), SelfTestError> {
    let fails = |step| SelfTestError { step };
    let secret = |text: &str| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map(|()| bytes)
            .map_err(|_| fails("input"))
    };
    let deployment = DeploymentId::from_bytes(known.deployment);
    let epoch = KeyEpoch::new(known.epoch).ok_or(fails("input"))?;
    let id = CanonicalIdentifier::new(known.kind, known.id.as_bytes()).map_err(|_| fails("input"))?;
    let node = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(secret(known.node_key)?), deployment, epoch);
    if node.key_check_value().to_string() != known.kcv {
        return Err(fails("key check value"));
    }
    let token = node.token(&id);
    if hex::encode(token.expose_secret()) != known.token {
        return Err(fails("token"));
    }
    let pepper = Pepper::from_bytes(secret(known.pepper)?);
    let tag = TagKey::derive(&pepper, &deployment, epoch, Scheme::HmacSha256, known.kind).tag(&token);
    if hex::encode(tag.as_bytes()) != known.tag {
        return Err(fails("tag"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_build_passes() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let wrong = |change: fn(&mut KnownAnswer)| {
            let [mut known, ..] = KNOWN_ANSWERS;
            change(&mut known);
            check(&known).unwrap_err().step()
        };
        assert_eq!(wrong(|k| k.kcv = "f5d550f53d837a17"), "key check value");
        assert_eq!(wrong(|k| k.epoch += 1), "key check value");
        assert_eq!(wrong(|k| k.id = "999900006"), "token");
        assert_eq!(wrong(|k| k.pepper = k.node_key), "tag");
        assert_eq!(wrong(|k| k.epoch = 0), "input");
    }

    #[test]
    fn the_answers_are_the_published_ones() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/v1.json")).expect("v1.json is JSON");
        for known in &KNOWN_ANSWERS {
            let sets = file["sets"].as_array().unwrap();
            let set = sets
                .iter()
                .find(|s| s["deployment"] == hex::encode(known.deployment) && s["epoch"] == known.epoch)
                .expect("the set is published");
            assert_eq!(
                (&set["node_key"], &set["pepper"], &set["kcv"]),
                (&known.node_key.into(), &known.pepper.into(), &known.kcv.into())
            );
            let published = set["identifiers"].as_array().unwrap();
            assert!(published.iter().any(|case| case["id"] == known.id
                && case["code"] == known.kind.code()
                && case["token"] == known.token
                && case["tag"] == known.tag));
        }
    }
}
