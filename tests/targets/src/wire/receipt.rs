//! Responses to questions: whole proofs or none. An entry of a log that somebody signed is believed with its own proof and
//! with no other; one that nobody signed is never.

use std::sync::LazyLock;

use hitmachine_audit::{
    Checkpoint, Front, Hash, LogSigner, Opening, ReceiptParts, leaf_hash, node_hash, verify_receipt,
};
use hitmachine_proto::receipt::{flat, hashes, parts};
use hitmachine_proto::v1;
use prost::Message;

static LOG: LazyLock<LogSigner> =
    LazyLock::new(|| LogSigner::new("log.example/a".parse().unwrap(), &[7; 32]));

/// The target.
pub fn check(input: &[u8]) {
    if let Ok(found) = hashes(input) {
        assert!(found.len() <= 65);
        assert_eq!(flat(&found), input);
    }
    let Ok(response) = v1::AskResponse::decode(input) else {
        return;
    };
    let Ok(parts) = parts(&response) else {
        return;
    };
    assert_eq!(parts.len(), response.answers.len());
    let is_believed = |parts: &ReceiptParts| verify_receipt(parts, &LOG.verifier(), LOG.origin()).is_ok();
    for part in parts {
        assert_eq!(part.checkpoint, response.checkpoint);
        // The key is in nobody's hands.
        assert!(!is_believed(&part));
        let Ok(opening) = Opening::decode(&part.opening) else {
            continue;
        };
        let (checkpoint, inclusion) = logged(&opening);
        let real = ReceiptParts {
            leaf_index: 3,
            inclusion: inclusion.clone(),
            checkpoint,
            ..part.clone()
        };
        assert!(is_believed(&real));
        let other_proof = ReceiptParts {
            inclusion: part.inclusion.clone(),
            ..real.clone()
        };
        assert_eq!(is_believed(&other_proof), part.inclusion == inclusion);
        let other_place = ReceiptParts {
            leaf_index: part.leaf_index,
            ..real
        };
        assert_eq!(is_believed(&other_place), part.leaf_index == 3);
    }
}

/// A signed log of five entries, of which this is the fourth, and the proof of that.
fn logged(opening: &Opening) -> (Vec<u8>, Vec<Hash>) {
    let mut leaves: Vec<Hash> = (0..5_u8).map(|index| leaf_hash(&[index])).collect();
    leaves[3] = opening.commitment().leaf_hash();
    let mut front = Front::new();
    for leaf in &leaves {
        front.push(*leaf);
    }
    let checkpoint = Checkpoint {
        origin: LOG.origin().clone(),
        size: 5,
        root: front.root(),
    };
    let inclusion = vec![leaves[2], node_hash(&leaves[0], &leaves[1]), leaves[4]];
    (LOG.sign(&checkpoint).unwrap(), inclusion)
}
