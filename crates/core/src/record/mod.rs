//! What a log entry says, field by field: written by the broker, written again by the asking node from its
//! own request and answer, and compared.
//!
//! Values, all integers big-endian, `text` = u16 length ‖ UTF-8:
//!
//! | id | field | value |
//! |---|---|---|
//! | 1 | event | kind u8 ‖ time in ms since 1970 u64 ‖ request id 16 (zeros if unreadable) |
//! | 2 | requester | OIN, 20 ASCII characters |
//! | 3 | user | text id ‖ text role ‖ text responsible user (may be empty) |
//! | 4 | ground | text processing-activity URI ‖ text purpose ‖ text legal basis ‖ covenant SHA-256 32 |
//! | 5 | case | UTF-8 |
//! | 6 | subject | key epoch u32 ‖ class u8 ‖ (identifier type u8 ‖ token 32), once per identifier |
//! | 7 | result | outcome u8 (1 answered, 2 refused, 3 done) ‖ answered: n u8 ‖ n × (u8 length ‖ partner id ‖ status u8); refused: text code; done: text action ‖ rows u32 |
//! | 8 | trace | trace id 16 ‖ span id 8 ‖ parent span id 8 |
//! | 9 | binding | SHA-256 of the request as signed by the asking node ([`SignedRequest::digest`]) ‖ SHA-256 of the answer as sent |
//! | 10 | request | the signed request itself ([`SignedRequest::encode`]), in the entry of its first subject only |
//!
//! Statuses have one byte each, whichever they are, so an entry's size does not tell a hit from a miss.
//!
//! What a privacy officer does is an entry too (kinds 3 and 4, result 3): its requester is who runs the search or
//! export, and fields 4 to 6 are absent where they say nothing.
//!
//! [`DecodedRecord`] reads these values back.

mod decode;

use hitmachine_audit::{FieldId, Fields};
use hitmachine_pseudonym::KeyEpoch;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::covenant::{CovenantVersion, Purpose};
use crate::ids::{CaseReference, Oin, PartnerId, RequestId, TraceContext};
use crate::query::{PartnerStatus, Subject, User};
use crate::signed::SignedRequest;

pub use decode::{DecodeError, DecodedRecord, DecodedResult, Ground, Outcome};

/// How far the hub's clock may be from the asking node's, in milliseconds, before an entry is refused.
pub const CLOCK_TOLERANCE_MS: u64 = 10 * 60 * 1000;

/// What happened; the first byte of field 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A question was answered.
    Lookup = 1,
    /// A question was refused.
    Denied = 2,
    /// A privacy officer searched the log.
    OfficerSearch = 3,
    /// A privacy officer took part of the log out.
    Export = 4,
}

/// What came of it; field 7.
#[derive(Clone, Copy, Debug)]
pub enum Result<'a> {
    /// A status for each consulted partner.
    Answered(&'a [(PartnerId, PartnerStatus)]),
    /// The refusal's code.
    Refused(&'a str),
    /// A privacy officer's action was carried out.
    Done {
        /// Which, as a stable code.
        action: &'a str,
        /// How many entries it showed or took out.
        rows: u32,
    },
}

/// One entry's content before it is committed. Parts that could not be read from a refused question are
/// `None`, and their fields absent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What happened.
    pub kind: Kind,
    /// When, by the hub's clock.
    pub time: Timestamp,
    /// The query.
    pub request: Option<RequestId>,
    /// Who asked: OIN of the client certificate.
    pub requester: &'a Oin,
    /// The person who asked.
    pub user: Option<&'a User>,
    /// Why one might ask.
    pub ground: Option<(&'a Purpose, CovenantVersion)>,
    /// For which case.
    pub case: Option<&'a CaseReference>,
    /// About whom.
    pub subject: Option<(KeyEpoch, &'a Subject)>,
    /// What came of it.
    pub result: Result<'a>,
    /// Ids of the query's trace.
    pub trace: TraceContext,
    /// Which subject of the query, from 0.
    pub place: usize,
    /// The request with its signature; `None` if it is not signed by the partner, and then not kept.
    pub signed: Option<&'a SignedRequest>,
    /// SHA-256 of the request with its signature.
    pub request_digest: [u8; 32],
    /// SHA-256 of the answer.
    pub answer_digest: [u8; 32],
}

/// A log entry does not say what was asked and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log entry's field {0:?} is not that of this question and answer")]
pub struct Mismatch(pub FieldId);

fn text(into: &mut Vec<u8>, text: &str) {
    // Every text of a record is shorter than 65,536 bytes by its type; a longer one would be cut, and then
    // the two sides' fields differ and the entry is refused.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

impl Record<'_> {
    /// The fields to commit to.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "cannot fail, see below"
    )]
    pub fn fields(&self) -> Fields {
        FieldId::ALL
            .into_iter()
            .filter_map(|id| self.value(id).map(|value| (id, value)))
            .try_fold(Fields::new(), |fields, (id, value)| fields.with(id, value))
            // Each id comes once; the longest value is a list of 200 partners of 34 bytes (see the covenant).
            .expect("ids are distinct and values short")
    }

    /// Whether a logged entry says the same as this one: every field byte for byte, but for the hub's time,
    /// which may differ from ours by [`CLOCK_TOLERANCE_MS`].
    ///
    /// Of a refused question the hub may have read less than we sent: fields 3 to 6 and 8 may be absent. Without a
    /// ground of its own the caller does not know the hub's covenant, and the ground is not compared; that is so
    /// only for a question refused because the covenant has changed.
    ///
    /// # Errors
    /// [`Mismatch`] names the first field that differs.
    pub fn check(&self, logged: &Fields) -> std::result::Result<(), Mismatch> {
        self.check_since(logged, self.time)
    }

    /// As [`check`](Self::check), for a question that may have been logged at any time since `first`, when it was sent
    /// for the first time.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn check_since(&self, logged: &Fields, first: Timestamp) -> std::result::Result<(), Mismatch> {
        let first = u64::try_from(first.as_millisecond()).unwrap_or(0);
        for id in FieldId::ALL {
            let own = self.value(id);
            let agrees = match (id, logged.get(id), own.as_deref()) {
                (FieldId::Ground, logged, None) => match self.kind {
                    Kind::Lookup => false,
                    Kind::Denied => true,
                    Kind::OfficerSearch | Kind::Export => logged.is_none(),
                },
                (FieldId::Event, Some(logged), Some(own)) => event_agrees(logged, own, first),
                (
                    FieldId::User | FieldId::Ground | FieldId::Case | FieldId::Subject | FieldId::Request,
                    None,
                    Some(_),
                ) => self.kind == Kind::Denied,
                (FieldId::Trace, Some(logged), Some(own)) => {
                    logged == own || (self.kind == Kind::Denied && logged.starts_with(&[0; 16]))
                }
                (_, logged, own) => logged == own,
            };
            if !agrees {
                return Err(Mismatch(id));
            }
        }
        Ok(())
    }

    fn value(&self, id: FieldId) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(64);
        match id {
            FieldId::Event => {
                value.push(self.kind as u8);
                let ms = u64::try_from(self.time.as_millisecond()).unwrap_or(0);
                value.extend_from_slice(&ms.to_be_bytes());
                value.extend_from_slice(
                    self.request
                        .as_ref()
                        .map_or(&[0; 16], RequestId::as_bytes)
                        .as_slice(),
                );
            }
            FieldId::Requester => value.extend_from_slice(self.requester.as_str().as_bytes()),
            FieldId::User => {
                let user = self.user?;
                text(&mut value, user.id.as_str());
                text(&mut value, user.role.as_str());
                text(&mut value, user.responsible.as_ref().map_or("", |id| id.as_str()));
            }
            FieldId::Ground => {
                let (purpose, covenant) = self.ground?;
                text(&mut value, &purpose.processing_activity);
                text(&mut value, purpose.code.as_str());
                text(&mut value, &purpose.legal_basis);
                value.extend_from_slice(&covenant.0);
            }
            FieldId::Case => value.extend_from_slice(self.case?.as_str().as_bytes()),
            FieldId::Subject => {
                let (epoch, subject) = self.subject?;
                value.extend_from_slice(&epoch.get().to_be_bytes());
                value.push(subject.class.code());
                for (identifier, token) in &subject.tokens {
                    value.push(identifier.code());
                    value.extend_from_slice(token.expose_secret());
                }
            }
            FieldId::Result => match self.result {
                Result::Answered(partners) => {
                    value.push(1);
                    // A covenant has at most 200 partners with names of at most 32 bytes.
                    value.push(u8::try_from(partners.len()).unwrap_or(u8::MAX));
                    for (id, status) in partners {
                        value.push(u8::try_from(id.as_str().len()).unwrap_or(u8::MAX));
                        value.extend_from_slice(id.as_str().as_bytes());
                        value.push(status.code());
                    }
                }
                Result::Refused(code) => {
                    value.push(2);
                    text(&mut value, code);
                }
                Result::Done { action, rows } => {
                    value.push(3);
                    text(&mut value, action);
                    value.extend_from_slice(&rows.to_be_bytes());
                }
            },
            FieldId::Trace => {
                value.extend_from_slice(&self.trace.trace);
                value.extend_from_slice(&self.span());
                value.extend_from_slice(&self.trace.parent);
            }
            FieldId::Binding => {
                value.extend_from_slice(&self.request_digest);
                value.extend_from_slice(&self.answer_digest);
            }
            FieldId::Request => return self.signed.filter(|_| self.place == 0).map(SignedRequest::encode),
        }
        Some(value)
    }

    /// Each subject has its own span, derived from the query so that both sides know it.
    fn span(&self) -> [u8; 8] {
        let mut hash = Sha256::new();
        hash.update(b"hitmachine/v1/span\0");
        hash.update(self.request_digest);
        hash.update((self.place as u64).to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut span = [0; 8];
        span.copy_from_slice(&digest[..8]);
        span
    }
}

/// `first`: from when on it may have been logged, in ms since 1970.
fn event_agrees(logged: &[u8], own: &[u8], first: u64) -> bool {
    let time = |event: &[u8]| {
        event
            .get(1..9)
            .and_then(|ms| ms.try_into().ok())
            .map(u64::from_be_bytes)
    };
    let (Some(theirs), Some(ours)) = (time(logged), time(own)) else {
        return false;
    };
    logged.len() == own.len()
        && logged[0] == own[0]
        && theirs <= ours.saturating_add(CLOCK_TOLERANCE_MS)
        && theirs >= first.min(ours).saturating_sub(CLOCK_TOLERANCE_MS)
        // A refused question whose id could not be read has zeros there.
        && (logged[9..] == own[9..] || (own[0] == Kind::Denied as u8 && logged[9..] == [0; 16]))
}
