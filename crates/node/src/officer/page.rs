//! Verified entries as people and machines see them, with the covenant's names for what is in them.

use std::fmt;

use hitmachine_core::record::{DecodedRecord, DecodedResult, Kind, Outcome};
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::Acted;
use super::rows::{Content, VerifiedRow};
use crate::view::StatusWord;

/// Domain of the ids that stand for data subjects in LDV records.
const LDV: &[u8] = b"hitmachine/ldv\0";

/// The entry of an officer's own action, and the log it is proven in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OwnEntry {
    /// The action's name.
    pub request_id: String,
    /// Its place in the log, from 0.
    pub log_index: u64,
    /// Size of the log in which it and every row are proven.
    pub log_size: u64,
}

impl From<&Acted> for OwnEntry {
    fn from(acted: &Acted) -> Self {
        Self {
            request_id: acted.request.to_string(),
            log_index: acted.entry,
            log_size: acted.head.size,
        }
    }
}

/// A page of entries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PageView {
    /// The entry of this look at the log.
    pub own: OwnEntry,
    /// The entries, newest first in a search.
    pub rows: Vec<RowView>,
    /// `before` of the next page; 0 if this was the last.
    pub next: u64,
    /// Entries that the search covers; the log may be a little ahead.
    pub indexed: u64,
    /// Whether entries of confidential processing activities are left out.
    pub withholds: bool,
    /// What was erased, oldest first.
    pub erasures: Vec<ErasureView>,
    /// The signed note that every row is proven under.
    pub checkpoint: String,
    /// What the covenant says about the names in the rows.
    pub covenant: CovenantView,
}

/// One entry, proven.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RowView {
    /// Place in the log, from 0.
    pub log_index: u64,
    /// When, RFC 3339; of control entries and erased ones the hub's word only.
    pub time: String,
    /// What there is of it.
    pub form: Form,
    /// What it says, if it is a record that this version reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordView>,
    /// A public control entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<serde_json::Value>,
    /// Leaf hash in hexadecimal.
    pub leaf: String,
    /// The proof; only where it is to be written or shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofView>,
}

/// What there is of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// All fields.
    Whole,
    /// Without user and case.
    Processing,
    /// A public control entry.
    Control,
    /// Its payload was erased.
    #[default]
    Erased,
}

/// The proof that a row is in the log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// Path from the leaf to the root, hashes in hexadecimal.
    pub path: Vec<String>,
    /// C2SP tlog-proof, a text. It opens the entry: as sensitive as the entry.
    pub tlog_proof: String,
}

impl fmt::Debug for ProofView {
    /// The proof opens the entry, token included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = &mut f.debug_struct("ProofView");
        proof.field("path", &self.path.len()).finish_non_exhaustive()
    }
}

/// What an entry says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordView {
    /// `lookup`, `denied`, `officer_search` or `export`.
    pub kind: String,
    /// The request's name; absent if it could not be read.
    pub request_id: Option<String>,
    /// Who asked.
    pub requester: OrganisationView,
    /// The person who asked; absent if erased or not asked for.
    pub user: Option<UserView>,
    /// Why one might ask.
    pub ground: Option<GroundView>,
    /// For which case; an officer's reason. Absent if erased or not asked for.
    pub case: Option<String>,
    /// `minor` or `adult`.
    pub class: Option<String>,
    /// Epoch of the pseudonym key.
    pub key_epoch: Option<u32>,
    /// `hit`, `no_hit`, `could_not_ask`, `refused` or `officer`.
    pub outcome: String,
    /// Code of a refusal.
    pub refused: Option<String>,
    /// A status for each consulted partner, in the covenant's order.
    pub partners: Vec<PartnerResult>,
    /// Code of an officer's action.
    pub action: Option<String>,
    /// Entries that it showed or took out.
    pub rows: Option<u32>,
    /// W3C Trace Context, in hexadecimal.
    pub trace_id: String,
    /// This entry's own span.
    pub span_id: String,
    /// The asking node's span.
    pub parent_span_id: String,
    /// SHA-256 of the request as signed.
    pub request_digest: String,
    /// SHA-256 of the answer as sent.
    pub answer_digest: String,
    /// Only in LDV records: hexadecimal SHA-256 of a domain and the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_subject: Option<String>,
}

/// An organisation, by the covenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationView {
    /// Its OIN.
    pub oin: String,
    /// Short name; absent if the covenant has no such partner.
    pub partner: Option<String>,
    /// Name for people; the OIN if the covenant has none.
    pub name: String,
}

/// A person who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Inside the organisation.
    pub id: String,
    /// In which role.
    pub role: String,
    /// On whose behalf.
    pub responsible: Option<String>,
}

/// Purpose and legal basis, as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroundView {
    /// Short name of the purpose.
    pub purpose: String,
    /// Name for people; the short name if the covenant has it no more.
    pub title: String,
    /// Lawful basis in words.
    pub legal_basis: String,
    /// URI of the processing activity.
    pub processing_activity: String,
    /// SHA-256 of the covenant that was in force.
    pub covenant: String,
}

/// What one partner's register said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerResult {
    /// Short name.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// What it said.
    pub status: StatusWord,
}

/// What was erased.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ErasureView {
    /// The entry that says so, from 0.
    pub log_index: u64,
    /// When, RFC 3339.
    pub time: String,
    /// On which ground.
    pub ground: String,
    /// By whom.
    pub by: String,
    /// Months and classes, such as `2026-11/60`.
    pub periods: Vec<String>,
    /// Entries that were in them.
    pub entries: u64,
}

impl From<&v1::Erasure> for ErasureView {
    fn from(erasure: &v1::Erasure) -> Self {
        Self {
            log_index: erasure.index,
            time: time(erasure.time_ms),
            ground: erasure.ground.clone(),
            by: erasure.by.clone(),
            periods: erasure.periods.clone(),
            entries: erasure.entries,
        }
    }
}

/// The parts of the covenant that a reader of entries needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CovenantView {
    /// Its title.
    pub title: String,
    /// Its number.
    pub number: u32,
    /// Origin of the log.
    pub log: String,
    /// Partners, in its order.
    pub partners: Vec<ContactView>,
    /// Purposes, in its order.
    pub purposes: Vec<PurposeView>,
}

/// How to reach a partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactView {
    /// Short name.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// Desk, telephone, e-mail.
    pub contact: String,
}

/// How long entries of a purpose are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurposeView {
    /// Short name.
    pub purpose: String,
    /// Name for people.
    pub title: String,
    /// Months that its entries are kept, after the month they are of.
    pub log_retention_months: u16,
    /// Left out of the report for a person.
    pub confidential: bool,
}

impl CovenantView {
    fn new(covenant: &Covenant, log: &str) -> Self {
        let partners = covenant.partners().iter().map(|partner| ContactView {
            partner: partner.id.to_string(),
            name: partner.name.clone(),
            contact: partner.contact.clone(),
        });
        let purposes = covenant.purposes().iter().map(|purpose| PurposeView {
            purpose: purpose.code.to_string(),
            title: purpose.title.clone(),
            log_retention_months: purpose.log_retention_months,
            confidential: purpose.confidential,
        });
        Self {
            title: covenant.title().to_owned(),
            number: covenant.number(),
            log: log.to_owned(),
            partners: partners.collect(),
            purposes: purposes.collect(),
        }
    }
}

/// RFC 3339; empty for a time that is none.
pub(crate) fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok();
    at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |at| at.to_string())
}

/// A page of verified rows, without its proofs unless they are wanted.
pub(crate) fn page(acted: &Acted, log: &str, wanted: v1::Use, proofs: bool) -> PageView {
    let covenant = &acted.covenant;
    let wire = match &acted.outcome {
        v1::officer_result::Result::Rows(rows) => rows.clone(),
        _ => v1::Rows::default(),
    };
    let confidential = |row: &VerifiedRow| {
        let ground = row.record.as_ref().and_then(|record| record.ground.as_ref());
        let purpose = ground.and_then(|ground| covenant.purpose(&ground.purpose));
        wanted == v1::Use::Report && purpose.is_some_and(|purpose| purpose.confidential)
    };
    let shown: Vec<_> = acted.rows.iter().filter(|row| !confidential(row)).collect();
    PageView {
        own: acted.into(),
        withholds: wire.withholds || shown.len() < acted.rows.len(),
        rows: shown
            .into_iter()
            .map(|row| row_view(row, covenant, wanted, proofs.then_some(&acted.checkpoint)))
            .collect(),
        next: wire.next,
        indexed: wire.indexed,
        erasures: wire.erasures.iter().map(ErasureView::from).collect(),
        checkpoint: String::from_utf8_lossy(&acted.checkpoint).into_owned(),
        covenant: CovenantView::new(covenant, log),
    }
}

pub(crate) fn row_view(
    row: &VerifiedRow,
    covenant: &Covenant,
    wanted: v1::Use,
    proof_under: Option<&Vec<u8>>,
) -> RowView {
    let record = row.record.as_ref();
    RowView {
        log_index: row.index,
        time: record.map_or_else(|| time(row.time_ms), |record| record.time.to_string()),
        form: match row.content {
            Content::Whole(_) => Form::Whole,
            Content::Processing(_) => Form::Processing,
            Content::Control(_) => Form::Control,
            Content::Erased => Form::Erased,
        },
        record: record.map(|record| record_view(record, covenant, wanted)),
        control: match &row.content {
            Content::Control(json) => serde_json::from_slice(json).ok(),
            _ => None,
        },
        leaf: hex::encode(row.leaf.as_bytes()),
        proof: proof_under.map(|checkpoint| ProofView {
            path: row.path.iter().map(|hash| hex::encode(hash.as_bytes())).collect(),
            // The form has no bytes but base64 and the note, which is a text.
            tlog_proof: String::from_utf8_lossy(&row.proof(checkpoint).format()).into_owned(),
        }),
    }
}

fn record_view(record: &DecodedRecord, covenant: &Covenant, wanted: v1::Use) -> RecordView {
    let (mut refused, mut partners, mut action, mut rows) = (None, Vec::new(), None, None);
    match &record.result {
        DecodedResult::Answered(answered) => {
            let named = answered.iter().map(|(id, status)| PartnerResult {
                partner: id.to_string(),
                name: name_of(covenant, id),
                status: (*status).into(),
            });
            partners = named.collect();
        }
        DecodedResult::Refused(code) => refused = Some(code.clone()),
        DecodedResult::Done {
            action: code,
            rows: count,
        } => {
            (action, rows) = (Some(code.clone()), Some(*count));
        }
    }
    let requester = covenant.partner_by_oin(&record.requester);
    let subject = record.subject.as_ref();
    RecordView {
        kind: match record.kind {
            Kind::Lookup => "lookup",
            Kind::Denied => "denied",
            Kind::OfficerSearch => "officer_search",
            Kind::Export => "export",
        }
        .to_owned(),
        request_id: record.request.map(|id| id.to_string()),
        requester: OrganisationView {
            oin: record.requester.to_string(),
            partner: requester.map(|partner| partner.id.to_string()),
            name: requester.map_or_else(|| record.requester.to_string(), |partner| partner.name.clone()),
        },
        user: record.user.as_ref().map(|user| UserView {
            id: user.id.as_str().to_owned(),
            role: user.role.to_string(),
            responsible: user.responsible.as_ref().map(|id| id.as_str().to_owned()),
        }),
        ground: record.ground.as_ref().map(|ground| GroundView {
            purpose: ground.purpose.to_string(),
            title: covenant
                .purpose(&ground.purpose)
                .map_or_else(|| ground.purpose.to_string(), |purpose| purpose.title.clone()),
            legal_basis: ground.legal_basis.clone(),
            processing_activity: ground.processing_activity.clone(),
            covenant: ground.covenant.to_string(),
        }),
        case: record.case.as_ref().map(|case| case.as_str().to_owned()),
        class: subject.map(|(_, subject)| subject.class.to_string()),
        key_epoch: subject.map(|(epoch, _)| epoch.get()),
        outcome: record.outcome().as_str().to_owned(),
        refused,
        partners,
        action,
        rows,
        trace_id: hex::encode(record.trace.trace),
        span_id: hex::encode(record.span),
        parent_span_id: hex::encode(record.trace.parent),
        request_digest: hex::encode(record.request_digest),
        answer_digest: hex::encode(record.answer_digest),
        data_subject: subject
            .filter(|_| wanted == v1::Use::Ldv)
            .and_then(|(_, subject)| subject.tokens.first())
            .map(|(_, token)| {
                let mut hash = Sha256::new();
                hash.update(LDV);
                hash.update(token.expose_secret());
                hex::encode(hash.finalize())
            }),
    }
}

fn name_of(covenant: &Covenant, id: &PartnerId) -> String {
    let partner = covenant.partner(id);
    partner.map_or_else(|| id.to_string(), |partner| partner.name.clone())
}

/// The outcome with this word.
pub(crate) fn outcome(word: &str) -> Option<Outcome> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
