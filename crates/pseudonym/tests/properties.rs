//! What holds for every key, identifier and epoch.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hitmachine_pseudonym::frame::{Purpose, frame};
use hitmachine_pseudonym::{
    CANARY_CODE, CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch,
    MAX_BATCH, NodeKey, Pepper, PseudonymError, Pseudonymiser, Scheme, TagKey, TagKeys, Token,
};
use proptest::prelude::*;

/// Scheme 1 never waits, so no runtime is needed.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("scheme 1 waited"),
    }
}

fn skn(number: usize) -> CanonicalIdentifier {
    CanonicalIdentifier::new(IdentifierType::Skn, format!("{number:08}").as_bytes()).unwrap()
}

fn node(key: u8, deployment: u8, epoch: u32) -> HmacSha256Pseudonymiser {
    HmacSha256Pseudonymiser::new(
        NodeKey::from_bytes([key; 32]),
        DeploymentId::from_bytes([deployment; 16]),
        KeyEpoch::new(epoch).unwrap(),
    )
}

#[test]
fn a_batch_keeps_the_order_and_has_a_limit() {
    let node: Box<dyn Pseudonymiser> = Box::new(node(1, 2, 3));
    assert_eq!((node.scheme(), node.epoch().get()), (Scheme::HmacSha256, 3));
    assert_eq!(now(node.tokens(&[])), Ok(vec![]));

    let ids: Vec<_> = (0..=MAX_BATCH).map(skn).collect();
    let tokens = now(node.tokens(&ids[..MAX_BATCH])).unwrap();
    assert_eq!(tokens.len(), MAX_BATCH);
    for (at, token) in tokens.iter().enumerate() {
        assert_eq!(
            now(node.tokens(&ids[at..=at])).unwrap().first(),
            Some(token),
            "{at}"
        );
    }
    let error = now(node.tokens(&ids)).unwrap_err();
    assert_eq!(error, PseudonymError::BatchTooLarge { len: 1025 });
    assert_eq!(
        error.to_string(),
        "1025 identifiers in one batch; at most 1024 are allowed"
    );
}

#[test]
fn key_deployment_epoch_and_type_each_change_the_token() {
    let digits = b"0000000001";
    let [a, v] = [IdentifierType::ANummer, IdentifierType::VNummer]
        .map(|kind| CanonicalIdentifier::new(kind, digits).unwrap());
    let base = node(1, 1, 1);
    let token = base.token(&a);
    for (what, other) in [
        ("key", node(2, 1, 1).token(&a)),
        ("deployment", node(1, 2, 1).token(&a)),
        ("epoch", node(1, 1, 2).token(&a)),
        ("type", base.token(&v)),
    ] {
        assert_ne!(token, other, "{what}");
    }
    for (what, other) in [
        ("key", node(2, 1, 1)),
        ("deployment", node(1, 2, 1)),
        ("epoch", node(1, 1, 2)),
    ] {
        assert_ne!(base.key_check_value(), other.key_check_value(), "{what}");
    }
    // The check value is public: it must not be the beginning of a token.
    assert_ne!(base.key_check_value().as_bytes()[..], token.expose_secret()[..8]);
}

#[test]
fn pepper_deployment_epoch_and_type_each_change_the_tag() {
    let token = Token::from_bytes([9; 32]);
    let tag = |pepper: u8, deployment: u8, epoch: u32, kind| {
        let (pepper, deployment) = (
            Pepper::from_bytes([pepper; 32]),
            DeploymentId::from_bytes([deployment; 16]),
        );
        let keys = TagKeys::derive(
            &pepper,
            &deployment,
            KeyEpoch::new(epoch).unwrap(),
            Scheme::HmacSha256,
        );
        keys.tag(kind, &token)
    };
    let base = tag(1, 1, 1, IdentifierType::Bsn);
    assert_ne!(base, tag(2, 1, 1, IdentifierType::Bsn));
    assert_ne!(base, tag(1, 2, 1, IdentifierType::Bsn));
    assert_ne!(base, tag(1, 1, 2, IdentifierType::Bsn));
    let of_types: std::collections::HashSet<_> = IdentifierType::ALL
        .into_iter()
        .map(|kind| tag(1, 1, 1, kind))
        .collect();
    assert_eq!(of_types.len(), IdentifierType::ALL.len());
}

#[test]
fn a_canary_is_nobodys_token_and_its_tag_nobodys_tag() {
    // No identifier has its code, so a question cannot name one.
    assert!(IdentifierType::try_from(CANARY_CODE).is_err());
    let (name, other) = (*b"00000099000000001000", *b"00000099000000002000");
    let base = node(1, 1, 1);
    let canary = base.canary(&name);
    for (what, token) in [
        ("name", base.canary(&other)),
        ("key", node(2, 1, 1).canary(&name)),
        ("deployment", node(1, 2, 1).canary(&name)),
        ("epoch", node(1, 1, 2).canary(&name)),
    ] {
        assert_ne!(canary, token, "{what}");
    }
    assert_eq!(now(base.canaries(&[other, name])).unwrap()[1], canary);
    assert_eq!(
        now(base.canaries(&vec![name; MAX_BATCH + 1])),
        Err(PseudonymError::BatchTooLarge { len: MAX_BATCH + 1 })
    );
    // The same body and type under the purpose of persons is another frame, and so is every person's.
    let deployment = DeploymentId::from_bytes([1; 16]);
    let framed = |purpose| frame(purpose, &deployment, KeyEpoch::FIRST, CANARY_CODE, &name).unwrap();
    assert_ne!(framed(Purpose::Canary), framed(Purpose::Id));
    let keys = TagKeys::derive(
        &Pepper::from_bytes([1; 32]),
        &deployment,
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    for kind in IdentifierType::ALL {
        assert_ne!(keys.canary_tag(&canary), keys.tag(kind, &canary), "{kind}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let node = node(0xab, 1, 1);
    let keys = TagKeys::derive(
        &Pepper::from_bytes([0xab; 32]),
        &DeploymentId::from_bytes([1; 16]),
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    let token = node.token(&skn(1_234_567));
    let printed = format!("{node:?} {keys:?} {token:?} {:?}", skn(1_234_567));
    for secret in [
        "abab",
        "171, 171",
        "01234567",
        &hex::encode(&token.expose_secret()[..4]),
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

/// Checked by the compiler: a secret that loses its erasing no longer builds.
#[test]
fn secrets_are_erased_on_drop() {
    fn erased<T: zeroize::ZeroizeOnDrop>() -> bool {
        std::mem::needs_drop::<T>()
    }
    assert!(erased::<NodeKey>() && erased::<Pepper>() && erased::<TagKey>());
    assert!(erased::<Token>() && erased::<CanonicalIdentifier>());
}

fn any_purpose() -> impl Strategy<Value = Purpose> {
    prop::sample::select(Purpose::ALL.to_vec())
}

type Parts = (Purpose, [u8; 16], u32, u8, Vec<u8>);

fn any_parts() -> impl Strategy<Value = Parts> {
    (
        any_purpose(),
        any::<[u8; 16]>(),
        1..=u32::MAX,
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..40),
    )
}

fn framed((purpose, deployment, epoch, code, body): &Parts) -> Vec<u8> {
    let epoch = KeyEpoch::new(*epoch).unwrap();
    frame(
        *purpose,
        &DeploymentId::from_bytes(*deployment),
        epoch,
        *code,
        body,
    )
    .unwrap()
    .to_vec()
}

/// Reads a frame back from its bytes alone: what can be read back in one way only is injective.
fn unframed(bytes: &[u8]) -> Option<Parts> {
    let rest = bytes.strip_prefix(b"hitmachine/v1/")?;
    let end = rest.iter().position(|b| *b == 0)?;
    let purpose = Purpose::ALL
        .into_iter()
        .find(|p| p.label().as_bytes() == &rest[..end])?;
    let (deployment, rest) = rest[end + 1..].split_first_chunk::<16>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (code, rest) = rest.split_first()?;
    let (len, body) = rest.split_first_chunk::<2>()?;
    (body.len() == usize::from(u16::from_be_bytes(*len))).then(|| {
        (
            purpose,
            *deployment,
            u32::from_be_bytes(*epoch),
            *code,
            body.to_vec(),
        )
    })
}

proptest! {
    #[test]
    fn a_frame_reads_back_in_one_way(parts in any_parts()) {
        prop_assert_eq!(unframed(&framed(&parts)), Some(parts));
    }

    #[test]
    fn the_token_is_the_mac_of_the_frame(
        key in any::<[u8; 32]>(), deployment in any::<[u8; 16]>(), epoch in 1..=u32::MAX, number in 0..100_000_000_usize,
    ) {
        use hmac::{Hmac, KeyInit, Mac};
        let (deployment, epoch) = (DeploymentId::from_bytes(deployment), KeyEpoch::new(epoch).unwrap());
        let id = skn(number);
        let bytes = frame(Purpose::Id, &deployment, epoch, id.kind().code(), id.expose_secret()).unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(&bytes);
        let expected = Token::from_bytes(mac.finalize().into_bytes().into());
        let node = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(key), deployment, epoch);
        prop_assert_eq!(node.token(&id), expected);
    }
}
