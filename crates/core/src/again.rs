//! A question that was asked before: its answer, made again from what the log holds.
//!
//! A node that lost the connection does not know what came of its question. It sends the same bytes again, and gets the
//! answer of the log: nobody is looked up again, and nothing is logged again. The log holds no answers, but all that
//! they were made of, and the SHA-256 of each, so an answer that is made again is right to the byte or not given.

use sha2::{Digest, Sha256};

use crate::ids::Oin;
use crate::permit::{AnswerContent, Unreleased};
use crate::query::Query;
use crate::record::{DecodedRecord, DecodedResult};
use crate::refusal::Refusal;

/// Whether an entry was made for exactly this question of this organisation: the same name, and the same bytes with the
/// same signature.
pub fn is_of(record: &DecodedRecord, oin: &Oin, query: &Query) -> bool {
    is_named(record, oin, query) && record.request_digest == query.signed.digest()
}

/// Whether an entry was made for a question of this organisation with the name that `query` has.
pub fn is_named(record: &DecodedRecord, oin: &Oin, query: &Query) -> bool {
    record.requester == *oin && record.request == Some(query.request)
}

/// The answers to a question that was logged before, from its entries: one for each subject, in their order. They still
/// need the receipts of those entries. `None` if the entries are not those of this question, or do not give exactly the
/// bytes that they are bound to.
pub fn repeat(
    query: &Query,
    oin: &Oin,
    entries: &[DecodedRecord],
    encode: impl Fn(&AnswerContent<'_>) -> Vec<u8>,
) -> Option<Unreleased> {
    if entries.len() != query.subjects.len() {
        return None;
    }
    let answers = entries.iter().enumerate().map(|(subject, record)| {
        let answer = match &record.result {
            DecodedResult::Answered(partners) => encode(&AnswerContent::Found {
                request: query.request,
                subject,
                partners,
            }),
            DecodedResult::Refused(code) => encode(&AnswerContent::Refused {
                request: Some(query.request),
                subject,
                refusal: Refusal::from_code(code)?,
            }),
            DecodedResult::Done { .. } => return None,
        };
        let digest: [u8; 32] = Sha256::digest(&answer).into();
        (is_of(record, oin, query) && digest == record.answer_digest).then_some(answer)
    });
    answers.collect::<Option<Vec<_>>>().map(Unreleased::new)
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
