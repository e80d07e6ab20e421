use std::sync::Arc;

use super::super::{Log, LogConfig};
use super::*;
use crate::disk::testing::SimulatedDisk;
use crate::{Draft, FieldId, Fields, LogSigner, RetentionClass, WrappingKey, verify_receipt};

fn draft(text: &str) -> Draft {
    let fields = Fields::new().with(FieldId::Ground, text).unwrap();
    Draft::payload(fields, RetentionClass(60))
}

#[test]
fn a_receipt_made_later_proves_the_entry_as_the_first_did() {
    let signer = LogSigner::new("hitmachine.example/broker-a/audit/1".parse().unwrap(), &[7; 32]);
    let verifier = signer.verifier();
    let config = LogConfig {
        clock: Arc::new(|| 1_767_225_600_000),
        ..LogConfig::new(
            "/log".into(),
            "/keys".into(),
            signer,
            WrappingKey::from_bytes([3; 32]),
        )
    };
    let mut log = Log::open(config, Arc::new(SimulatedDisk::new())).unwrap().0;
    log.commit(vec![draft("one"), draft("two")]).unwrap();
    let early = log.sign_head().unwrap();
    log.commit(vec![draft("three")]).unwrap();
    let signed = log.sign_head().unwrap();
    let reader = log.reader();
    for index in 0..3 {
        let entry = reader.read_entry(index).unwrap();
        let receipt = reader.receipt(entry, &signed, &[1, 2, 99]).unwrap();
        assert_eq!(receipt.leaf_index(), index);
        let sizes: Vec<u64> = receipt.consistency().iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [1, 2], "a size that the log does not have has no proof");
        let verified = verify_receipt(&receipt.to_parts(), &verifier, verifier.origin()).unwrap();
        assert_eq!((verified.leaf_index(), verified.head().size), (index, 3));
    }
    let entry = || reader.read_entry(2).unwrap();
    let beyond = reader.receipt(entry(), &early, &[]).unwrap_err();
    assert!(matches!(beyond, ReadError::NoEntry(2)), "not in that head");
    let mut moved = entry();
    moved.index = 1;
    let moved = reader.receipt(moved, &signed, &[]).unwrap_err();
    assert!(matches!(moved, ReadError::Leaf(1)), "another place");
    let mut exchanged = entry();
    exchanged.content = reader.read_entry(0).unwrap().content;
    let exchanged = reader.receipt(exchanged, &signed, &[]).unwrap_err();
    assert!(matches!(exchanged, ReadError::Leaf(2)), "another content");
    let mut foreign = signed.clone();
    foreign.head.root = crate::hash::Hash([1; 32]);
    assert!(reader.receipt(entry(), &foreign, &[]).is_err(), "another head");
    let mut erased = entry();
    erased.content = StoredContent::Erased;
    let erased = reader.receipt(erased, &signed, &[]).unwrap_err();
    assert!(matches!(erased, ReadError::Payload(2)), "nothing to prove");
}
