//! Every published vector, from `vectors/v1.json`. Frames, tokens and check values in that file were
//! computed with Python's `hmac`; tags with a separate BLAKE3: neither comes from this crate.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashSet;

use hitmachine_pseudonym::frame::{Purpose, frame};
use hitmachine_pseudonym::{
    CANARY_CODE, CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch,
    NodeKey, Pepper, Scheme, TagKey, TagKeys,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    scheme: String,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    deployment: String,
    epoch: u32,
    node_key: String,
    pepper: String,
    kcv_frame: String,
    kcv: String,
    identifiers: Vec<Case>,
    canary: Canary,
}

#[derive(Deserialize)]
struct Canary {
    oin: String,
    frame: String,
    token: String,
}

#[derive(Deserialize)]
struct Case {
    r#type: String,
    code: u8,
    id: String,
    frame: String,
    token: String,
    tag: String,
}

fn vectors() -> File {
    serde_json::from_str(include_str!("../vectors/v1.json")).unwrap()
}

fn secret(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn every_published_value_is_reproduced() {
    let file = vectors();
    let scheme: Scheme = file.scheme.parse().unwrap();
    for set in &file.sets {
        let deployment: DeploymentId = set.deployment.parse().unwrap();
        let epoch = KeyEpoch::new(set.epoch).unwrap();
        let node =
            HmacSha256Pseudonymiser::new(NodeKey::from_bytes(secret(&set.node_key)), deployment, epoch);
        let pepper = Pepper::from_bytes(secret(&set.pepper));
        let keys = TagKeys::derive(&pepper, &deployment, epoch, scheme);
        let name = format!("{deployment} epoch {epoch}");

        let kcv_frame = frame(Purpose::Kcv, &deployment, epoch, 0, b"").unwrap();
        assert_eq!(hex::encode(&*kcv_frame), set.kcv_frame, "{name}");
        assert_eq!(node.key_check_value().to_string(), set.kcv, "{name}");

        let canary = &set.canary;
        let oin: [u8; 20] = canary.oin.as_bytes().try_into().unwrap();
        let bytes = frame(Purpose::Canary, &deployment, epoch, CANARY_CODE, &oin).unwrap();
        assert_eq!(hex::encode(&*bytes), canary.frame, "{name}");
        let token = node.canary(&oin);
        assert_eq!(hex::encode(token.expose_secret()), canary.token, "{name}");

        for case in &set.identifiers {
            let name = format!("{name} {} {}", case.r#type, case.id);
            let kind = IdentifierType::try_from(case.code).unwrap();
            assert_eq!(kind.as_str(), case.r#type, "{name}");
            let bytes = frame(Purpose::Id, &deployment, epoch, case.code, case.id.as_bytes()).unwrap();
            assert_eq!(hex::encode(&*bytes), case.frame, "{name}");
            let token = node.token(&CanonicalIdentifier::new(kind, case.id.as_bytes()).unwrap());
            assert_eq!(hex::encode(token.expose_secret()), case.token, "{name}");
            let tag = TagKey::derive(&pepper, &deployment, epoch, scheme, kind).tag(&token);
            assert_eq!(hex::encode(tag.as_bytes()), case.tag, "{name}");
            assert_eq!(keys.tag(kind, &token), tag, "{name}");
        }
    }
}

/// What the file promises: so that nobody thins it out unnoticed.
#[test]
fn the_file_covers_types_epochs_and_deployments() {
    let file = vectors();
    let distinct = |of: fn(&Set) -> String| file.sets.iter().map(of).collect::<HashSet<_>>().len();
    assert!(distinct(|s| s.deployment.clone()) >= 2);
    assert!(distinct(|s| s.epoch.to_string()) >= 2);
    for set in &file.sets {
        for code in [1, 4] {
            assert!(set.identifiers.iter().filter(|case| case.code == code).count() >= 5);
        }
    }
    let cases = || file.sets.iter().flat_map(|set| &set.identifiers);
    assert_eq!(
        cases().map(|case| &case.token).collect::<HashSet<_>>().len(),
        cases().count()
    );
    assert_eq!(
        cases().map(|case| &case.tag).collect::<HashSet<_>>().len(),
        cases().count()
    );
}
