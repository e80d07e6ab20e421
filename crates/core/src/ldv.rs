//! Log entries as data-processing records, by the Logius standard *Logboek dataverwerkingen* (LDV), and the trace id
//! that ties them to the records of the asking organisation (W3C Trace Context).
//!
//! One record for each entry that says something of a person or of the log's use. Users and cases are never in these
//! records: the standard keeps them in a log apart, which is group B of the entry. The mapping cannot reach group B at
//! all: it is given a value that has no place for it.
//!
//! | field | from |
//! |---|---|
//! | `trace_id`, `span_id`, `parent_span_id` | field 8 of the entry |
//! | `status` | `Error` if refused, else `Ok`: whether somebody was found is not told |
//! | `name` | kind of the entry |
//! | `start_time`, `end_time` | field 1, and the time of the commit |
//! | `dpl.core.processing_activity_id` | field 4, else the activity of reviewing the log |
//! | `dpl.core.data_subject_id` | SHA-256 of the first token of field 6 |
//! | `dpl.core.foreign_operation.processor` | field 2 |
//!
//! The covenant is not asked: an entry names the activity that was in force when it was written, and the covenant of
//! today may name another.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ids::{Oin, TraceContext};
use crate::query::Subject;
use crate::record::{DecodedRecord, Kind};

/// Processing activity of what privacy officers do, and of refused questions that name no ground: reviewing the log.
/// A deployment sets its own.
pub const REVIEW_ACTIVITY: &str = "https://register.hitmachine.example/v1/activities/logbeoordeling";

/// `dpl.core.data_subject_id_type` of every record: SHA-256 of `hitmachine/ldv`, a zero byte and the token, in
/// hexadecimal digits.
pub const SUBJECT_ID_TYPE: &str = "https://hitmachine.example/id/pseudonym-sha256";

/// Attribute: URI of the activity in the public register.
pub const PROCESSING_ACTIVITY_ID: &str = "dpl.core.processing_activity_id";
/// Attribute: whom it is about, pseudonymously; absent if the entry names nobody.
pub const DATA_SUBJECT_ID: &str = "dpl.core.data_subject_id";
/// Attribute: what kind of id that is; there if, and only if, the id is.
pub const DATA_SUBJECT_ID_TYPE: &str = "dpl.core.data_subject_id_type";
/// Attribute: the organisation whose application asked.
pub const FOREIGN_PROCESSOR: &str = "dpl.core.foreign_operation.processor";

/// Attributes of a record or its resource, by name.
pub type Attributes = BTreeMap<&'static str, String>;

/// `status` of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LdvStatus {
    /// Nothing is said. Of the standard; an entry never has it.
    Unset,
    /// It was done. A lookup without a hit is that too.
    Ok,
    /// It was refused.
    Error,
}

/// What produced a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LdvResource {
    /// `service.name`, `service.version` and `hitmachine.log.origin`.
    pub attributes: Attributes,
}

/// One data-processing record. As JSON it has the names and forms of the standard: ids in hexadecimal digits, times in
/// milliseconds.
///
/// `Debug` shows no attributes, since one of them is about a person.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct LdvRecord {
    /// The same over the whole chain; never zero.
    #[serde(serialize_with = "digits")]
    pub trace_id: [u8; 16],
    /// Of this entry alone.
    #[serde(serialize_with = "digits")]
    pub span_id: [u8; 8],
    /// Span of the asking node, if known.
    #[serde(serialize_with = "optional_digits", skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<[u8; 8]>,
    /// How it ended.
    pub status: LdvStatus,
    /// What was done.
    pub name: &'static str,
    /// When the hub took it up, in milliseconds since 1970.
    pub start_time: u64,
    /// When the log had it, in milliseconds since 1970; not before `start_time`.
    pub end_time: u64,
    /// What produced the record.
    pub resource: LdvResource,
    /// The attributes of the standard.
    pub attributes: Attributes,
}

impl fmt::Debug for LdvRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LdvRecord")
            .field("name", &self.name)
            .field("status", &self.status)
            .field("start_time", &self.start_time)
            .field("end_time", &self.end_time)
            .finish_non_exhaustive()
    }
}

/// What all records of one log have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdvSource {
    resource: LdvResource,
    review_activity: String,
}

/// What of an entry a record is made of: group A. There is no user, no case and no signed request in it, so none can
/// get into a record.
struct GroupA<'a> {
    kind: Kind,
    time_ms: u64,
    requester: &'a Oin,
    processing_activity: Option<&'a str>,
    subject: Option<&'a Subject>,
    trace: TraceContext,
    span: [u8; 8],
    request_digest: [u8; 32],
}

impl<'a> GroupA<'a> {
    fn of(entry: &'a DecodedRecord) -> Self {
        Self {
            kind: entry.kind,
            time_ms: u64::try_from(entry.time.as_millisecond()).unwrap_or(0),
            requester: &entry.requester,
            processing_activity: entry
                .ground
                .as_ref()
                .map(|ground| ground.processing_activity.as_str()),
            subject: entry.subject.as_ref().map(|(_, subject)| subject),
            trace: entry.trace,
            span: entry.span,
            request_digest: entry.request_digest,
        }
    }
}

impl LdvSource {
    /// Of the log `log_origin`, told by version `service_version` of the program `service_name`. `review_activity` is
    /// the URI of the activity of reviewing the log, such as [`REVIEW_ACTIVITY`].
    pub fn new(service_name: &str, service_version: &str, log_origin: &str, review_activity: &str) -> Self {
        let attributes = [
            ("service.name", service_name),
            ("service.version", service_version),
            ("hitmachine.log.origin", log_origin),
        ];
        Self {
            resource: LdvResource {
                attributes: owned(attributes),
            },
            review_activity: review_activity.to_owned(),
        }
    }

    /// What stands in the resource of each record.
    pub const fn resource(&self) -> &LdvResource {
        &self.resource
    }

    /// The record of an entry that was committed at `committed_ms` (milliseconds since 1970, 0 if unknown). The same
    /// entry always gives the same record, so one that was told twice can be found by its `span_id`.
    pub fn record(&self, entry: &DecodedRecord, committed_ms: u64) -> LdvRecord {
        self.map(&GroupA::of(entry), committed_ms)
    }

    fn map(&self, entry: &GroupA<'_>, committed_ms: u64) -> LdvRecord {
        let (name, status) = match entry.kind {
            Kind::Lookup => ("lookup", LdvStatus::Ok),
            Kind::Denied => ("lookup refused", LdvStatus::Error),
            Kind::OfficerSearch => ("officer search", LdvStatus::Ok),
            Kind::Export => ("export", LdvStatus::Ok),
        };
        let activity = match entry.kind {
            Kind::Lookup | Kind::Denied => entry.processing_activity,
            Kind::OfficerSearch | Kind::Export => None,
        };
        let mut attributes = Attributes::from([
            (
                PROCESSING_ACTIVITY_ID,
                activity.unwrap_or(&self.review_activity).to_owned(),
            ),
            (FOREIGN_PROCESSOR, format!("urn:oin:{}", entry.requester.as_str())),
        ]);
        if let Some(id) = entry.subject.and_then(subject_id) {
            attributes.insert(DATA_SUBJECT_ID, id);
            attributes.insert(DATA_SUBJECT_ID_TYPE, SUBJECT_ID_TYPE.to_owned());
        }
        let (trace_id, parent_span_id) = ids(entry);
        LdvRecord {
            trace_id,
            span_id: entry.span,
            parent_span_id,
            status,
            name,
            start_time: entry.time_ms,
            end_time: entry.time_ms.max(committed_ms),
            resource: self.resource.clone(),
            attributes,
        }
    }
}

/// Trace and parent. A question that could not be read has no trace, but the standard wants one, and a trace id of
/// zeros is not valid (W3C Trace Context §3.2.2.3): then it is derived from the request, the same for its every entry.
fn ids(entry: &GroupA<'_>) -> ([u8; 16], Option<[u8; 8]>) {
    let TraceContext { trace, parent } = entry.trace;
    if trace != [0; 16] {
        return (trace, Some(parent).filter(|parent| *parent != [0; 8]));
    }
    let mut hash = Sha256::new();
    hash.update(b"hitmachine/ldv/trace\0");
    hash.update(entry.request_digest);
    let digest: [u8; 32] = hash.finalize().into();
    let mut trace = [0; 16];
    trace.copy_from_slice(&digest[..16]);
    (trace, None)
}

/// Pseudonym of a pseudonym: whoever has the records cannot ask with it.
fn subject_id(subject: &Subject) -> Option<String> {
    let (_, token) = subject.tokens.first()?;
    let mut hash = Sha256::new();
    hash.update(b"hitmachine/ldv\0");
    hash.update(token.expose_secret());
    Some(hex::encode(hash.finalize()))
}

fn owned<const N: usize>(attributes: [(&'static str, &str); N]) -> Attributes {
    attributes
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

fn digits<const N: usize, S: Serializer>(id: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hex::encode(id))
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn optional_digits<const N: usize, S: Serializer>(id: &Option<[u8; N]>, to: S) -> Result<S::Ok, S::Error> {
    id.map(hex::encode).serialize(to)
}

/// The header `traceparent` of a call for this query, sampled always (W3C Trace Context §3.2); `None` if an id is zero,
/// which is not valid.
pub fn traceparent(trace: &TraceContext) -> Option<String> {
    let valid = trace.trace != [0; 16] && trace.parent != [0; 8];
    valid.then(|| format!("00-{}-{}-01", hex::encode(trace.trace), hex::encode(trace.parent)))
}

/// The trace id that a header `traceparent` names; `None` if the header is not well-formed (W3C Trace Context §3.2).
/// Headers of later versions may be longer (§3.2.2).
pub fn trace_id_of(traceparent: &str) -> Option<[u8; 16]> {
    let mut parts = traceparent.splitn(5, '-');
    let [version] = field::<1>(parts.next()?)?;
    let trace = field::<16>(parts.next()?)?;
    let parent = field::<8>(parts.next()?)?;
    field::<1>(parts.next()?)?;
    let fits = match version {
        0 => parts.next().is_none(),
        0xff => false,
        _ => true,
    };
    (fits && trace != [0; 16] && parent != [0; 8]).then_some(trace)
}

/// `N` bytes in lower-case hexadecimal digits.
fn field<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}
