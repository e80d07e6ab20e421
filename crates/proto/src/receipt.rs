//! Receipts: out of the broker only from [`Released`] answers, into the node only as unverified parts.

use hitmachine_audit::{Hash, Opening, ReceiptParts};
use hitmachine_core::Released;

use crate::query::array;
use crate::{WireError, v1};

/// The response to a question. There is no other way to make one than from answers whose entries are durable.
/// `cosigned` is what witnesses say about the log.
pub fn response(released: Vec<Released>, cosigned: Option<v1::Cosigned>) -> v1::AskResponse {
    let checkpoint = released
        .first()
        .map(|one| one.receipt.checkpoint().to_vec())
        .unwrap_or_default();
    let consistency = released
        .first()
        .map(|one| {
            let proofs = one.receipt.consistency().iter();
            proofs
                .map(|(from, hashes)| v1::ConsistencyProof {
                    from: *from,
                    hashes: flat(hashes),
                })
                .collect()
        })
        .unwrap_or_default();
    let answers = released
        .into_iter()
        .map(|one| v1::LoggedAnswer {
            receipt: Some(v1::Receipt {
                opening: one.receipt.opening().map(Opening::encode).unwrap_or_default(),
                leaf_index: one.receipt.leaf_index(),
                inclusion: flat(one.receipt.inclusion()),
            }),
            answer: one.answer,
        })
        .collect();
    v1::AskResponse {
        answers,
        checkpoint,
        consistency,
        cosigned,
    }
}

/// The parts of a response that belong to the log.
///
/// # Errors
/// [`WireError`] if a receipt is missing or hashes are not whole.
pub fn parts(response: &v1::AskResponse) -> Result<Vec<ReceiptParts>, WireError> {
    let consistency = response
        .consistency
        .iter()
        .map(|proof| Ok((proof.from, hashes(&proof.hashes)?)))
        .collect::<Result<Vec<_>, WireError>>()?;
    response
        .answers
        .iter()
        .map(|answer| {
            let receipt = answer.receipt.as_ref().ok_or(WireError("receipt_missing"))?;
            Ok(ReceiptParts {
                opening: receipt.opening.clone(),
                leaf_index: receipt.leaf_index,
                inclusion: hashes(&receipt.inclusion)?,
                checkpoint: response.checkpoint.clone(),
                consistency: consistency.clone(),
            })
        })
        .collect()
}

/// Hashes behind each other, as proofs travel.
pub fn flat(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads [`flat`].
///
/// # Errors
/// [`WireError`] if the hashes are not whole or more than a proof has.
pub fn hashes(bytes: &[u8]) -> Result<Vec<Hash>, WireError> {
    if !bytes.len().is_multiple_of(32) || bytes.len() > 65 * 32 {
        return Err(WireError("proof_length"));
    }
    bytes
        .chunks_exact(32)
        .map(|hash| Ok(Hash(array(hash, "proof_length")?)))
        .collect()
}
