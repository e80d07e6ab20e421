//! `Answer`: encoded by the broker before it is logged, read by the asking node after the log's proof.

use hitmachine_core::{AnswerContent, PartnerId, PartnerStatus, RequestId};
use prost::Message;

use crate::query::array;
use crate::{WireError, v1};

/// Encodes one answer. The bytes are what the log entry is bound to.
pub fn encode(content: &AnswerContent<'_>) -> Vec<u8> {
    use v1::answer::Outcome;
    let (request, place, outcome) = match content {
        AnswerContent::Found {
            request,
            subject,
            partners,
        } => {
            let partners = partners
                .iter()
                .map(|(partner, status)| v1::PartnerAnswer {
                    partner: partner.as_str().into(),
                    status: i32::from(status.code()),
                })
                .collect();
            (Some(*request), *subject, Outcome::Found(v1::Found { partners }))
        }
        AnswerContent::Refused {
            request,
            subject,
            refusal,
        } => (
            *request,
            *subject,
            Outcome::Refused(v1::Refused {
                code: refusal.code().into(),
                retry_after_ms: refusal.retry_after_ms().unwrap_or(0),
            }),
        ),
    };
    v1::Answer {
        request_id: request.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        // At most 64 subjects.
        subject: u32::try_from(place).unwrap_or(u32::MAX),
        outcome: Some(outcome),
    }
    .encode_to_vec()
}

/// What the broker says about one subject. Not to be shown before its receipt is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The query, unless the broker could not read that much.
    pub request: Option<RequestId>,
    /// Which of its subjects, from 0.
    pub subject: usize,
    /// Statuses, or why not.
    pub outcome: Outcome,
    /// If it was refused and time is all that it takes: after how many milliseconds it may be asked again.
    pub retry_after_ms: Option<u64>,
}

/// Statuses, or a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One for each consulted partner, in the covenant's order.
    Found(Vec<(PartnerId, PartnerStatus)>),
    /// The refusal's stable code.
    Refused(String),
}

/// Reads one answer.
///
/// # Errors
/// [`WireError`] names the field that is missing or wrong.
pub fn parse(bytes: &[u8]) -> Result<Answer, WireError> {
    let wire = v1::Answer::decode(bytes).map_err(|_| WireError("answer_encoding"))?;
    let request = match wire.request_id.as_slice() {
        [] => None,
        id => Some(
            RequestId::from_bytes(&array::<16>(id, "request_id")?).map_err(|_| WireError("request_id"))?,
        ),
    };
    let mut retry_after_ms = None;
    let outcome = match wire.outcome.ok_or(WireError("outcome_missing"))? {
        v1::answer::Outcome::Found(found) => Outcome::Found(
            found
                .partners
                .into_iter()
                .map(|row| {
                    let id = row.partner.parse().map_err(|_| WireError("partner"))?;
                    let status = u8::try_from(row.status).ok().and_then(PartnerStatus::from_code);
                    Ok((id, status.ok_or(WireError("status"))?))
                })
                .collect::<Result<_, WireError>>()?,
        ),
        v1::answer::Outcome::Refused(refused) => {
            let code = refused.code;
            if code.is_empty()
                || code.len() > 64
                || !code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            {
                return Err(WireError("refusal_code"));
            }
            retry_after_ms = Some(refused.retry_after_ms).filter(|ms| *ms > 0);
            Outcome::Refused(code)
        }
    };
    let subject = usize::try_from(wire.subject).map_err(|_| WireError("subject"))?;
    Ok(Answer {
        request,
        subject,
        outcome,
        retry_after_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hitmachine_core::Refusal;

    #[test]
    fn a_hit_and_a_miss_have_the_same_size() {
        let request = RequestId::generate();
        let sizes = PartnerStatus::ALL.map(|status| {
            let partners = [
                ("leerplicht".parse().unwrap(), status),
                ("om".parse().unwrap(), PartnerStatus::NotKnown),
            ];
            encode(&AnswerContent::Found {
                request,
                subject: 3,
                partners: &partners,
            })
            .len()
        });
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    }

    #[test]
    fn answers_read_back() {
        let request = RequestId::generate();
        let partners = vec![("om".parse().unwrap(), PartnerStatus::CouldNotAsk)];
        let bytes = encode(&AnswerContent::Found {
            request,
            subject: 1,
            partners: &partners,
        });
        let expected = Answer {
            request: Some(request),
            subject: 1,
            outcome: Outcome::Found(partners),
            retry_after_ms: None,
        };
        assert_eq!(parse(&bytes), Ok(expected));
        let bytes = encode(&AnswerContent::Refused {
            request: None,
            subject: 0,
            refusal: Refusal::UnknownPurpose,
        });
        assert_eq!(
            parse(&bytes).unwrap().outcome,
            Outcome::Refused("unknown_purpose".into())
        );
        let over = Refusal::OverQuota {
            retry_after_ms: 1_500,
        };
        let bytes = encode(&AnswerContent::Refused {
            request: Some(request),
            subject: 0,
            refusal: over,
        });
        let answer = parse(&bytes).unwrap();
        assert_eq!(answer.outcome, Outcome::Refused("over_quota".into()));
        assert_eq!(answer.retry_after_ms, Some(1_500));
        assert_eq!(parse(&[]), Err(WireError("outcome_missing")));
        let none = v1::Answer {
            outcome: Some(v1::answer::Outcome::Found(v1::Found {
                partners: vec![v1::PartnerAnswer {
                    partner: "om".into(),
                    status: 0,
                }],
            })),
            ..v1::Answer::default()
        };
        assert_eq!(
            parse(&none.encode_to_vec()),
            Err(WireError("status")),
            "no status is not a status"
        );
    }
}
