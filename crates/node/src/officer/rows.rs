//! Entries of the log as a privacy officer gets them: none counts before its leaf is proven to be in the signed tree.

use std::fmt;

use hitmachine_audit::{Hash, Head, Opening, Processing, TlogProof, leaf_hash, verify_inclusion};
use hitmachine_core::record::DecodedRecord;
use hitmachine_proto::officer::Action;
use hitmachine_proto::{receipt, v1};

use crate::ask::Evidence;

/// First byte of the leaf entry of a control entry, and of the extra data of a control entry's proof.
const CONTROL: u8 = 0x02;
/// First byte of the extra data of a proof that holds group A alone.
const PROCESSING: u8 = 0x03;

/// One entry whose leaf is in the signed tree. `Debug` shows no values.
#[derive(Clone)]
pub(crate) struct VerifiedRow {
    /// Place in the log, from 0.
    pub(crate) index: u64,
    /// What there is of it.
    pub(crate) content: Content,
    /// The record, if the content has the form of one.
    pub(crate) record: Option<DecodedRecord>,
    /// Its leaf hash.
    pub(crate) leaf: Hash,
    /// Path from the leaf to the root of the result's head.
    pub(crate) path: Vec<Hash>,
    /// When, by the hub's word, in ms since 1970; a record's own time is proven.
    pub(crate) time_ms: u64,
}

/// What there is of an entry.
#[derive(Clone)]
pub(crate) enum Content {
    /// All fields.
    Whole(Opening),
    /// Without user and case: erased, or not asked for.
    Processing(Processing),
    /// JSON of a public control entry.
    Control(Vec<u8>),
    /// Erased.
    Erased,
}

impl fmt::Debug for VerifiedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &mut f.debug_struct("VerifiedRow");
        row.field("index", &self.index).field("leaf", &self.leaf);
        row.finish_non_exhaustive()
    }
}

impl VerifiedRow {
    fn new(row: &v1::Row, path: &[u8], head: &Head) -> Option<Self> {
        use v1::row::Content as Wire;
        let path = receipt::hashes(path).ok()?;
        let (content, leaf) = match row.content.as_ref()? {
            Wire::Opening(bytes) => {
                let opening = Opening::decode(bytes).ok()?;
                let leaf = opening.commitment().leaf_hash();
                (Content::Whole(opening), leaf)
            }
            Wire::Processing(bytes) => {
                let part = Processing::decode(bytes)?;
                let leaf = part.commitment().leaf_hash();
                (Content::Processing(part), leaf)
            }
            Wire::Control(json) => {
                let leaf = leaf_hash(&[&[CONTROL], json.as_slice()].concat());
                (Content::Control(json.clone()), leaf)
            }
            Wire::Erased(leaf) => (Content::Erased, Hash::from_slice(leaf)?),
        };
        if !verify_inclusion(&leaf, row.index, head.size, &path, &head.root) {
            return None;
        }
        let fields = match &content {
            Content::Whole(opening) => Some(opening.fields()),
            Content::Processing(part) => Some(part.fields()),
            Content::Control(_) | Content::Erased => None,
        };
        Some(Self {
            index: row.index,
            // An entry of another version is proven all the same; its fields cannot be put into words.
            record: fields.and_then(|fields| DecodedRecord::decode(fields).ok()),
            content,
            leaf,
            path,
            time_ms: row.time_ms,
        })
    }

    /// What an offline verifier computes the leaf from; `None` for an erased entry, of which only the leaf is left.
    pub(crate) fn extra(&self) -> Option<Vec<u8>> {
        match &self.content {
            Content::Whole(opening) => Some(opening.encode()),
            Content::Processing(part) => Some([vec![PROCESSING], part.encode()].concat()),
            Content::Control(json) => Some([&[CONTROL], json.as_slice()].concat()),
            Content::Erased => None,
        }
    }

    /// The proof as a file for others.
    pub(crate) fn proof(&self, checkpoint: &[u8]) -> TlogProof {
        TlogProof {
            extra: self.extra(),
            index: self.index,
            path: self.path.clone(),
            checkpoint: checkpoint.to_vec(),
        }
    }
}

/// Checks every row against the head of its result.
///
/// # Errors
/// [`Evidence::Row`] names the first that is not proven; [`Evidence::Result`] if there is not one proof for each.
pub(crate) fn verify(
    rows: &[v1::Row],
    inclusion: &[Vec<u8>],
    head: &Head,
) -> Result<Vec<VerifiedRow>, Evidence> {
    if rows.len() != inclusion.len() {
        return Err(Evidence::Result);
    }
    let proven = |(row, path): (&v1::Row, &Vec<u8>)| {
        VerifiedRow::new(row, path, head).ok_or(Evidence::Row { index: row.index })
    };
    rows.iter().zip(inclusion).map(proven).collect()
}

/// Whether rows and their page are what was asked for. What was left out of a search nobody can see from the answer;
/// the comparison with the nodes' own journals shows it.
pub(crate) fn fit(action: &Action, page: &v1::Rows, rows: &[VerifiedRow]) -> bool {
    match action {
        Action::Entries(asked) => {
            let indexes = rows.iter().map(|row| row.index);
            asked.indexes.iter().copied().eq(indexes) && sparing(asked.r#use(), rows)
        }
        Action::Search(search) => {
            let descending = rows.windows(2).all(|pair| match pair {
                [newer, older] => newer.index > older.index,
                _ => true,
            });
            let last = rows
                .last()
                .map_or(search.before.saturating_sub(1), |row| row.index);
            rows.len() <= usize::try_from(search.limit).unwrap_or(usize::MAX)
                && descending
                && rows
                    .first()
                    .is_none_or(|row| search.before == 0 || row.index < search.before)
                // The next page begins where this one ends, or further back.
                && (page.next <= last || (rows.is_empty() && search.before == 0))
                && sparing(search.r#use(), rows)
                && rows.iter().all(|row| matches(search, row))
        }
        _ => false,
    }
}

/// Users and cases are not received where they are not to be shown.
fn sparing(purpose: v1::Use, rows: &[VerifiedRow]) -> bool {
    !matches!(purpose, v1::Use::Report | v1::Use::Ldv)
        || rows.iter().all(|row| !matches!(row.content, Content::Whole(_)))
}

fn matches(search: &v1::Search, row: &VerifiedRow) -> bool {
    let Some(record) = &row.record else {
        // Nothing can be said of it but that it was not found by its person or organisation.
        return search.tokens.is_empty() && search.requester.is_empty();
    };
    let ms = u64::try_from(record.time.as_millisecond()).unwrap_or(0);
    let is = |wanted: &str, text: Option<&str>| wanted.is_empty() || text == Some(wanted);
    let subject = record
        .subject
        .as_ref()
        .map(|(_, subject)| subject.tokens.as_slice());
    let person = subject.unwrap_or_default().iter().any(|(_, token)| {
        let wanted = search.tokens.iter();
        wanted
            .map(Vec::as_slice)
            .any(|wanted| wanted == token.expose_secret())
    });
    (search.tokens.is_empty() || person)
        && is(&search.requester, Some(record.requester.as_str()))
        && is(
            &search.purpose,
            record.ground.as_ref().map(|ground| ground.purpose.as_str()),
        )
        && ms >= search.from_ms
        && (search.to_ms == 0 || ms <= search.to_ms)
        && (search.outcome == 0 || search.outcome == i32::from(record.outcome().code()))
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
