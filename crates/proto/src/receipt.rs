//! Receipts: out of the broker only from [`Released`] answers, into the node only as unverified parts.

use hitmachine_audit::{ConsistencyProofs, Hash, Opening, ReceiptParts};
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

/// The receipt of one answer. Checkpoint and consistency proofs are those of the whole response.
#[derive(Clone, Debug)]
pub struct EntryReceipt<'a> {
    /// The opening, as [`Opening::decode`] reads it.
    pub opening: &'a [u8],
    /// Index of the leaf, from 0.
    pub leaf_index: u64,
    /// Path from the leaf to the root that the response's checkpoint signs.
    pub inclusion: Vec<Hash>,
}

/// The receipts of a response, in the order of its answers.
///
/// # Errors
/// [`WireError`] if one is missing or its hashes are not whole.
pub fn entries(response: &v1::AskResponse) -> Result<Vec<EntryReceipt<'_>>, WireError> {
    response.answers.iter().map(entry).collect()
}

fn entry(answer: &v1::LoggedAnswer) -> Result<EntryReceipt<'_>, WireError> {
    let receipt = answer.receipt.as_ref().ok_or(WireError("receipt_missing"))?;
    Ok(EntryReceipt {
        opening: &receipt.opening,
        leaf_index: receipt.leaf_index,
        inclusion: hashes(&receipt.inclusion)?,
    })
}

/// The consistency proofs of a response, each with the size that it is from.
///
/// # Errors
/// [`WireError`] if hashes are not whole.
pub fn consistency(response: &v1::AskResponse) -> Result<ConsistencyProofs, WireError> {
    let proofs = response.consistency.iter();
    proofs
        .map(|proof| Ok((proof.from, hashes(&proof.hashes)?)))
        .collect()
}

/// The parts of a response that belong to the log, each answer's apart.
///
/// # Errors
/// [`WireError`] if a receipt is missing or hashes are not whole.
pub fn parts(response: &v1::AskResponse) -> Result<Vec<ReceiptParts>, WireError> {
    let consistency = consistency(response)?;
    let part = |entry: EntryReceipt<'_>| ReceiptParts {
        opening: entry.opening.to_vec(),
        leaf_index: entry.leaf_index,
        inclusion: entry.inclusion,
        checkpoint: response.checkpoint.clone(),
        consistency: consistency.clone(),
    };
    Ok(entries(response)?.into_iter().map(part).collect())
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
