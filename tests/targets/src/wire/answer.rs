//! Answers: as the asking node reads them, and as the hub writes them.

use hitmachine_core::AnswerContent;
use hitmachine_proto::answer::{Outcome, encode, parse};
use hitmachine_proto::v1;

use super::canonical;

/// The target.
pub fn check(input: &[u8]) {
    let Ok(answer) = parse(input) else {
        return;
    };
    match &answer.outcome {
        Outcome::Found(partners) => {
            // An answer names its question, or it is shown to nobody.
            let Some(request) = answer.request else {
                return;
            };
            let written = encode(&AnswerContent::Found {
                request,
                subject: answer.subject,
                partners,
            });
            assert_eq!(parse(&written).as_ref(), Ok(&answer));
            if canonical::<v1::Answer>(input).is_some() {
                assert!(written == input, "one form");
            }
        }
        Outcome::Refused(code) => {
            let fine = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(fine && (1..=64).contains(&code.len()));
            assert_ne!(answer.retry_after_ms, Some(0));
        }
    }
}
