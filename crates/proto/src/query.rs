//! `Query`: built by the asking node, parsed by the broker.

use hitmachine_core::{
    CovenantVersion, Query, RequestId, SignedRequest, Subject, SubjectClass, TextError, TraceContext, User,
};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use prost::Message;
use zeroize::Zeroizing;

use crate::{WireError, v1};

/// The most persons in one query, whatever the covenant says.
pub const MAX_SUBJECTS: usize = 64;
/// The most bytes of one query: 64 persons with all their identifiers take 11 kB. The log keeps the bytes as they came.
pub const MAX_QUERY_BYTES: usize = 32 * 1024;
/// The most identifiers of one person.
const MAX_TOKENS: usize = 4;

/// A question that could not be read: which field, and the query's name if that much could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedQuery {
    /// The query.
    pub request: Option<RequestId>,
    /// Stable code naming the field.
    pub field: &'static str,
}

/// Parses the bytes of a `Query`, signed as they came.
///
/// # Errors
/// [`MalformedQuery`] names the first field that is missing or wrong.
pub fn parse(signed: SignedRequest) -> Result<Query, MalformedQuery> {
    if signed.bytes().len() > MAX_QUERY_BYTES {
        return Err(MalformedQuery {
            request: None,
            field: "query_too_long",
        });
    }
    let wire = v1::Query::decode(signed.bytes()).map_err(|_| MalformedQuery {
        request: None,
        field: "query_encoding",
    })?;
    let request = RequestId::from_bytes(&wire.request_id).map_err(|_| MalformedQuery {
        request: None,
        field: "request_id",
    })?;
    fields(wire, request, signed).map_err(|WireError(field)| MalformedQuery {
        request: Some(request),
        field,
    })
}

fn fields(wire: v1::Query, request: RequestId, signed: SignedRequest) -> Result<Query, WireError> {
    let user = wire.user.ok_or(WireError("user_missing"))?;
    let responsible = Some(user.responsible).filter(|id| !id.is_empty());
    let subjects = wire
        .subjects
        .into_iter()
        .map(subject)
        .collect::<Result<Vec<_>, _>>()?;
    if subjects.is_empty() || subjects.len() > MAX_SUBJECTS {
        return Err(WireError("subjects_count"));
    }
    Ok(Query {
        request,
        purpose: wire.purpose.parse().map_err(|_| WireError("purpose"))?,
        case: wire.case_reference.parse().map_err(|error| match error {
            TextError::Empty => WireError("case_reference_missing"),
            TextError::TooLong(_) => WireError("case_reference_too_long"),
            _ => WireError("case_reference"),
        })?,
        user: User {
            id: user.id.parse().map_err(|error| match error {
                TextError::Empty => WireError("user_missing"),
                TextError::TooLong(_) => WireError("user_too_long"),
                _ => WireError("user"),
            })?,
            role: user.role.parse().map_err(|_| WireError("role"))?,
            responsible: responsible
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| WireError("responsible"))?,
        },
        covenant: CovenantVersion(array(&wire.covenant_version, "covenant_version")?),
        epoch: KeyEpoch::new(wire.key_epoch).ok_or(WireError("key_epoch"))?,
        subjects,
        trace: TraceContext {
            trace: array(&wire.trace_id, "trace_id")?,
            parent: array(&wire.parent_span_id, "parent_span_id")?,
        },
        signed,
    })
}

pub(crate) fn subject(wire: v1::Subject) -> Result<Subject, WireError> {
    let class = match wire.class() {
        v1::SubjectClass::Minor => SubjectClass::Minor,
        v1::SubjectClass::Adult => SubjectClass::Adult,
        v1::SubjectClass::Unspecified => return Err(WireError("subject_class")),
    };
    if wire.tokens.is_empty() || wire.tokens.len() > MAX_TOKENS {
        return Err(WireError("subject_tokens"));
    }
    let mut tokens: Vec<(IdentifierType, Token)> = Vec::with_capacity(wire.tokens.len());
    for item in wire.tokens {
        let bytes = Zeroizing::new(item.token);
        let identifier = identifier(item.r#type)?;
        if tokens.iter().any(|(other, _)| *other == identifier) {
            return Err(WireError("identifier_type_twice"));
        }
        tokens.push((identifier, Token::from_bytes(array(&bytes, "token")?)));
    }
    Ok(Subject { class, tokens })
}

pub(crate) fn identifier(code: u32) -> Result<IdentifierType, WireError> {
    u8::try_from(code)
        .ok()
        .and_then(|code| IdentifierType::try_from(code).ok())
        .ok_or(WireError("identifier_type"))
}

pub(crate) fn array<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError(field))
}

/// Encodes a question. The bytes are what the log entry is bound to: keep them, never encode again.
pub fn encode(query: &Query) -> Vec<u8> {
    let subjects = query.subjects.iter().map(wire_subject).collect();
    v1::Query {
        request_id: query.request.as_bytes().to_vec(),
        purpose: query.purpose.as_str().into(),
        case_reference: query.case.as_str().into(),
        user: Some(v1::User {
            id: query.user.id.as_str().into(),
            role: query.user.role.as_str().into(),
            responsible: query
                .user
                .responsible
                .as_ref()
                .map_or("", |id| id.as_str())
                .into(),
        }),
        covenant_version: query.covenant.0.to_vec(),
        key_epoch: query.epoch.get(),
        subjects,
        trace_id: query.trace.trace.to_vec(),
        parent_span_id: query.trace.parent.to_vec(),
    }
    .encode_to_vec()
}

pub(crate) fn wire_subject(subject: &Subject) -> v1::Subject {
    let tokens = subject.tokens.iter();
    v1::Subject {
        class: class(subject.class).into(),
        tokens: tokens
            .map(|(identifier, token)| v1::IdentifierToken {
                r#type: u32::from(identifier.code()),
                token: token.expose_secret().to_vec(),
            })
            .collect(),
    }
}

fn class(class: SubjectClass) -> v1::SubjectClass {
    match class {
        SubjectClass::Minor => v1::SubjectClass::Minor,
        SubjectClass::Adult => v1::SubjectClass::Adult,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> v1::Query {
        v1::Query {
            request_id: RequestId::generate().as_bytes().to_vec(),
            purpose: "screening".into(),
            case_reference: "ZK-2026-1".into(),
            user: Some(v1::User {
                id: "jansen".into(),
                role: "coordinator".into(),
                responsible: String::new(),
            }),
            covenant_version: vec![1; 32],
            key_epoch: 1,
            subjects: vec![v1::Subject {
                class: v1::SubjectClass::Minor.into(),
                tokens: vec![v1::IdentifierToken {
                    r#type: 1,
                    token: vec![7; 32],
                }],
            }],
            trace_id: vec![2; 16],
            parent_span_id: vec![3; 8],
        }
    }

    #[test]
    fn what_is_encoded_parses_to_the_same() {
        let bytes = good().encode_to_vec();
        let signed = SignedRequest::new(bytes.clone(), [9; 64]);
        let query = parse(signed.clone()).unwrap();
        assert_eq!(encode(&query), bytes);
        assert_eq!(query.signed, signed);
    }

    #[test]
    fn each_wrong_field_is_named() {
        type Damage = fn(&mut v1::Query);
        let cases: [(&str, Damage); 20] = [
            ("request_id", |q| q.request_id[6] = 0),
            ("purpose", |q| q.purpose = "Screening!".into()),
            ("case_reference_missing", |q| q.case_reference = "  ".into()),
            ("case_reference_too_long", |q| q.case_reference = "x".repeat(65)),
            ("case_reference", |q| q.case_reference = "a\u{7}b".into()),
            ("user_missing", |q| q.user = None),
            ("user_missing", |q| q.user.as_mut().unwrap().id = String::new()),
            ("user_too_long", |q| q.user.as_mut().unwrap().id = "x".repeat(65)),
            ("role", |q| q.user.as_mut().unwrap().role = String::new()),
            ("responsible", |q| {
                q.user.as_mut().unwrap().responsible = "x".repeat(65);
            }),
            ("covenant_version", |q| q.covenant_version.truncate(31)),
            ("key_epoch", |q| q.key_epoch = 0),
            ("subjects_count", |q| q.subjects.clear()),
            ("subjects_count", |q| q.subjects = vec![q.subjects[0].clone(); 65]),
            ("subject_class", |q| q.subjects[0].class = 0),
            ("subject_tokens", |q| q.subjects[0].tokens.clear()),
            ("identifier_type", |q| q.subjects[0].tokens[0].r#type = 99),
            ("identifier_type_twice", |q| {
                let again = q.subjects[0].tokens[0].clone();
                q.subjects[0].tokens.push(again);
            }),
            ("token", |q| q.subjects[0].tokens[0].token.truncate(16)),
            ("trace_id", |q| q.trace_id.clear()),
        ];
        for (field, damage) in cases {
            let mut wire = good();
            damage(&mut wire);
            let signed = SignedRequest::new(wire.encode_to_vec(), [0; 64]);
            assert_eq!(parse(signed).unwrap_err().field, field);
        }
        let noise = SignedRequest::new(vec![0xff; 9], [0; 64]);
        assert_eq!(parse(noise).unwrap_err().field, "query_encoding");
    }
}
