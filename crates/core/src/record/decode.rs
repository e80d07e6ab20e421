//! Log entries read back: the fields that [`Record::fields`](super::Record::fields) wrote, as a record.
//!
//! Strict: an entry reads only if it has the form that this version writes. The bytes come from a log that was
//! checked against its tree, but another version or another program may have written them, so nothing here relies
//! on their form.

use hitmachine_audit::{FieldId, Fields};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::Timestamp;

use super::Kind;
use crate::covenant::CovenantVersion;
use crate::ids::{CaseReference, Oin, PartnerId, PurposeCode, RequestId, SubjectClass, TraceContext, UserId};
use crate::query::{PartnerStatus, Subject, User};
use crate::signed::SignedRequest;

/// Why a log entry is not a record. Names the field, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An entry of this kind must have this field.
    #[error("the log entry has no field {0:?}")]
    Missing(FieldId),
    /// The field has another form than ours, or one that does not fit the entry's kind.
    #[error("the log entry's field {0:?} does not have the form of a record")]
    Form(FieldId),
}

impl DecodeError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "record_field_missing",
            Self::Form(_) => "record_field_form",
        }
    }

    /// The field at fault.
    pub const fn field(&self) -> FieldId {
        match self {
            Self::Missing(field) | Self::Form(field) => *field,
        }
    }
}

/// Why one might ask; field 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// URI of the processing activity in the public register.
    pub processing_activity: String,
    /// The purpose in the covenant.
    pub purpose: PurposeCode,
    /// Lawful basis in words.
    pub legal_basis: String,
    /// The covenant that was in force.
    pub covenant: CovenantVersion,
}

/// What came of it; field 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodedResult {
    /// A status for each consulted partner.
    Answered(Vec<(PartnerId, PartnerStatus)>),
    /// The refusal's code.
    Refused(String),
    /// A privacy officer's action was carried out.
    Done {
        /// Which.
        action: String,
        /// How many entries it showed or took out.
        rows: u32,
    },
}

/// What came of it in one word, for searches and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// At least one partner knows the person.
    Hit = 1,
    /// No partner knows the person, and all that apply were asked.
    NoHit = 2,
    /// No partner that was asked knows the person, but one could not be asked: neither hit nor miss.
    CouldNotAsk = 3,
    /// The question was refused.
    Refused = 4,
    /// A privacy officer's search or export.
    Officer = 5,
}

impl Outcome {
    /// All five, in the order of the codes.
    pub const ALL: [Self; 5] = [
        Self::Hit,
        Self::NoHit,
        Self::CouldNotAsk,
        Self::Refused,
        Self::Officer,
    ];

    /// The byte in the index.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The outcome with that byte.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }

    /// The word in machine-readable output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NoHit => "no_hit",
            Self::CouldNotAsk => "could_not_ask",
            Self::Refused => "refused",
            Self::Officer => "officer",
        }
    }
}

/// A log entry, read back. Only [`decode`](Self::decode) makes one.
///
/// `Debug` shows neither user nor case, and of a token a short id that means nothing outside this process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodedRecord {
    /// What happened.
    pub kind: Kind,
    /// When, by the hub's clock, in whole milliseconds.
    pub time: Timestamp,
    /// The query; `None` if it could not be read.
    pub request: Option<RequestId>,
    /// Who asked.
    pub requester: Oin,
    /// The person who asked. `None` also if group B was erased.
    pub user: Option<User>,
    /// Why one might ask.
    pub ground: Option<Ground>,
    /// For which case. `None` also if group B was erased.
    pub case: Option<CaseReference>,
    /// About whom, with the epoch of the tokens.
    pub subject: Option<(KeyEpoch, Subject)>,
    /// What came of it.
    pub result: DecodedResult,
    /// Ids of the query's trace; zeros if they could not be read.
    pub trace: TraceContext,
    /// Id of this entry's own span in that trace.
    pub span: [u8; 8],
    /// The request as the asking node signed it; `None` also if it stands in another entry or group B was erased.
    pub signed: Option<SignedRequest>,
    /// SHA-256 of the request as the asking node signed it.
    pub request_digest: [u8; 32],
    /// SHA-256 of the answer as sent.
    pub answer_digest: [u8; 32],
}

impl DecodedRecord {
    /// Reads what [`Record::fields`](super::Record::fields) writes and nothing else. Fields 3 and 5 may be absent
    /// from every entry, because they are erased apart; a lookup has all the others, and of the other kinds fields
    /// 4 and 6 may be absent too.
    ///
    /// # Errors
    /// [`DecodeError`] names the first field that is missing or has another form.
    pub fn decode(fields: &Fields) -> Result<Self, DecodeError> {
        let (kind, time, request) = required(fields, FieldId::Event, event)?;
        let lookup = kind == Kind::Lookup;
        if lookup && request.is_none() {
            return Err(DecodeError::Form(FieldId::Event));
        }
        let requester = required(fields, FieldId::Requester, |input| {
            std::str::from_utf8(input.rest()).ok()?.parse().ok()
        })?;
        let user = optional(fields, FieldId::User, user)?;
        let ground = optional(fields, FieldId::Ground, ground)?;
        let case = optional(fields, FieldId::Case, |input| {
            let text = std::str::from_utf8(input.rest()).ok()?;
            text.parse()
                .ok()
                .filter(|case: &CaseReference| case.as_str() == text)
        })?;
        let subject = optional(fields, FieldId::Subject, subject)?;
        for (present, field) in [
            (ground.is_some(), FieldId::Ground),
            (subject.is_some(), FieldId::Subject),
        ] {
            if lookup && !present {
                return Err(DecodeError::Missing(field));
            }
        }
        let result = required(fields, FieldId::Result, result)?;
        let fits = match result {
            DecodedResult::Answered(_) => lookup,
            DecodedResult::Refused(_) => kind == Kind::Denied,
            DecodedResult::Done { .. } => matches!(kind, Kind::OfficerSearch | Kind::Export),
        };
        if !fits {
            return Err(DecodeError::Form(FieldId::Result));
        }
        let (trace, span, parent) = required(fields, FieldId::Trace, |input| {
            Some((input.array()?, input.array()?, input.array()?))
        })?;
        let (request_digest, answer_digest) = required(fields, FieldId::Binding, |input| {
            Some((input.array()?, input.array()?))
        })?;
        let signed = optional(fields, FieldId::Request, |input| {
            SignedRequest::decode(input.rest())
        })?;
        if signed
            .as_ref()
            .is_some_and(|signed| signed.digest() != request_digest)
        {
            return Err(DecodeError::Form(FieldId::Request));
        }
        Ok(Self {
            kind,
            time,
            request,
            requester,
            user,
            ground,
            case,
            subject,
            result,
            trace: TraceContext { trace, parent },
            span,
            signed,
            request_digest,
            answer_digest,
        })
    }

    /// What came of it in one word.
    pub fn outcome(&self) -> Outcome {
        let partners = match &self.result {
            DecodedResult::Refused(_) => return Outcome::Refused,
            DecodedResult::Done { .. } => return Outcome::Officer,
            DecodedResult::Answered(partners) => partners,
        };
        let any = |wanted| partners.iter().any(|(_, status)| *status == wanted);
        if any(PartnerStatus::Known) {
            Outcome::Hit
        } else if any(PartnerStatus::CouldNotAsk) {
            Outcome::CouldNotAsk
        } else {
            Outcome::NoHit
        }
    }
}

fn required<'a, T>(
    fields: &'a Fields,
    id: FieldId,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Result<T, DecodeError> {
    optional(fields, id, read)?.ok_or(DecodeError::Missing(id))
}

/// Reads a field if it is there; it must be read to its last byte.
fn optional<'a, T>(
    fields: &'a Fields,
    id: FieldId,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Result<Option<T>, DecodeError> {
    let Some(value) = fields.get(id) else {
        return Ok(None);
    };
    let mut input = Reader(value);
    let value = read(&mut input).filter(|_| input.0.is_empty());
    value.map(Some).ok_or(DecodeError::Form(id))
}

fn event(input: &mut Reader<'_>) -> Option<(Kind, Timestamp, Option<RequestId>)> {
    let kind = match input.u8()? {
        1 => Kind::Lookup,
        2 => Kind::Denied,
        3 => Kind::OfficerSearch,
        4 => Kind::Export,
        _ => return None,
    };
    let ms = i64::try_from(u64::from_be_bytes(input.array()?)).ok()?;
    let time = Timestamp::from_millisecond(ms).ok()?;
    let request: [u8; 16] = input.array()?;
    let request = if request == [0; 16] {
        None
    } else {
        Some(RequestId::from_bytes(&request).ok()?)
    };
    Some((kind, time, request))
}

fn user(input: &mut Reader<'_>) -> Option<User> {
    let (id, role) = (user_id(input.text()?)?, input.text()?.parse().ok()?);
    let responsible = match input.text()? {
        "" => None,
        text => Some(user_id(text)?),
    };
    Some(User {
        id,
        role,
        responsible,
    })
}

/// Parsing trims; a logged text was trimmed before it was written.
fn user_id(text: &str) -> Option<UserId> {
    text.parse().ok().filter(|id: &UserId| id.as_str() == text)
}

fn ground(input: &mut Reader<'_>) -> Option<Ground> {
    Some(Ground {
        processing_activity: input.text()?.to_owned(),
        purpose: input.text()?.parse().ok()?,
        legal_basis: input.text()?.to_owned(),
        covenant: CovenantVersion(input.array()?),
    })
}

fn subject(input: &mut Reader<'_>) -> Option<(KeyEpoch, Subject)> {
    let epoch = KeyEpoch::new(input.u32()?)?;
    let class = SubjectClass::from_code(input.u8()?)?;
    let mut tokens: Vec<(IdentifierType, Token)> = Vec::new();
    while !input.0.is_empty() {
        let identifier = IdentifierType::try_from(input.u8()?).ok()?;
        // Of different types, so there are no more tokens than types.
        if tokens.iter().any(|(other, _)| *other == identifier) {
            return None;
        }
        tokens.push((identifier, Token::from_bytes(input.array()?)));
    }
    (!tokens.is_empty()).then_some((epoch, Subject { class, tokens }))
}

fn result(input: &mut Reader<'_>) -> Option<DecodedResult> {
    Some(match input.u8()? {
        1 => {
            let mut partners = Vec::new();
            for _ in 0..input.u8()? {
                let length = input.u8()?.into();
                let id = std::str::from_utf8(input.take(length)?).ok()?.parse().ok()?;
                partners.push((id, PartnerStatus::from_code(input.u8()?)?));
            }
            DecodedResult::Answered(partners)
        }
        2 => DecodedResult::Refused(input.text()?.to_owned()),
        3 => DecodedResult::Done {
            action: input.text()?.to_owned(),
            rows: input.u32()?,
        },
        _ => return None,
    })
}

/// Walks over foreign bytes; every read says `None` at the end instead of panicking.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// `text` of the table: u16 length ‖ UTF-8.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.array().map(u16::from_be_bytes)?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
