use hitmachine_core::ldv::trace_id_of;
use hitmachine_core::{
    CovenantVersion, Query, RequestId, RequestSigner, Subject, SubjectClass, TraceContext, User,
};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};

use super::*;

fn request(trace: TraceContext) -> v1::AskRequest {
    let query = Query {
        request: RequestId::generate(),
        purpose: "vraag".parse().unwrap(),
        case: "Z-1".parse().unwrap(),
        user: User {
            id: "jansen".parse().unwrap(),
            role: "rol".parse().unwrap(),
            responsible: None,
        },
        covenant: CovenantVersion([1; 32]),
        epoch: KeyEpoch::FIRST,
        subjects: vec![Subject {
            class: SubjectClass::Adult,
            tokens: vec![(IdentifierType::Bsn, Token::from_bytes([2; 32]))],
        }],
        trace,
        signed: SignedRequest::default(),
    };
    let signed = RequestSigner::new(&[9; 32]).sign(query::encode(&query));
    v1::AskRequest {
        query: signed.bytes().to_vec(),
        signature: signed.signature().to_vec(),
        ..v1::AskRequest::default()
    }
}

#[test]
fn a_call_carries_the_trace_of_its_query_and_nothing_else() {
    let trace = TraceContext {
        trace: [0xab; 16],
        parent: [0xcd; 8],
    };
    let header = traceparent_of(&request(trace)).unwrap();
    let header = header.to_str().unwrap();
    assert_eq!(header, format!("00-{}-{}-01", "ab".repeat(16), "cd".repeat(8)));
    assert_eq!(trace_id_of(header), Some(trace.trace));
}

#[test]
fn a_request_without_a_valid_trace_is_sent_without_the_header() {
    assert_eq!(traceparent_of(&request(TraceContext::default())), None);
    assert_eq!(traceparent_of(&v1::AskRequest::default()), None);
}
