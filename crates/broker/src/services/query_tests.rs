use hitmachine_core::TraceContext;
use hitmachine_core::ldv::traceparent;
use proptest::prelude::*;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn trace_id() -> [u8; 16] {
    trace_id_of(&format!("00-{TRACE}-{PARENT}-01")).unwrap()
}

fn query(trace_id: &[u8]) -> Vec<u8> {
    let query = v1::Query {
        purpose: "vraag".into(),
        trace_id: trace_id.to_vec(),
        parent_span_id: vec![1; 8],
        subjects: vec![v1::Subject::default()],
        ..v1::Query::default()
    };
    query.encode_to_vec()
}

fn with(header: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(TRACEPARENT, header.parse().unwrap());
    metadata
}

#[test]
fn only_another_trace_is_reported() {
    let (own, other) = (query(&trace_id()), query(&[1; 16]));
    let header = with(&format!("00-{TRACE}-{PARENT}-01"));
    assert!(!names_another_trace(&header, &own));
    assert!(names_another_trace(&header, &other));
    assert!(
        names_another_trace(&header, &query(&[])),
        "a query without a trace"
    );
    assert!(!names_another_trace(&MetadataMap::new(), &other), "no header");
    assert!(
        !names_another_trace(&with("00-1-2-01"), &other),
        "not well-formed"
    );
    assert!(!names_another_trace(&header, &[0xff]), "not a query");
}

#[test]
fn the_form_of_a_traceparent_is_that_of_the_standard() {
    let good = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(trace_id_of(&good).unwrap()[..2], [0x0a, 0xf7]);
    for good in [
        format!("00-{TRACE}-{PARENT}-00"),
        format!("00-{TRACE}-{PARENT}-ff"),
        format!("01-{TRACE}-{PARENT}-01"),
        format!("fe-{TRACE}-{PARENT}-01-what-comes-later"),
    ] {
        assert_eq!(trace_id_of(&good), Some(trace_id()), "{good}");
    }
    for bad in [
        String::new(),
        format!("00-{TRACE}-{PARENT}"),
        format!("00-{TRACE}-{PARENT}-01-"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("00-{TRACE}-{PARENT}-0x"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("0-{TRACE}-{PARENT}-01"),
        format!("fe-{TRACE}-{PARENT}-01more"),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{PARENT}-01", &TRACE[2..]),
        format!(" 00-{TRACE}-{PARENT}-01"),
    ] {
        assert_eq!(trace_id_of(&bad), None, "{bad:?}");
    }
    let context = |trace, parent| TraceContext { trace, parent };
    assert_eq!(traceparent(&context(trace_id(), [0; 8])), None);
    assert_eq!(traceparent(&context([0; 16], [1; 8])), None);
}

proptest! {
    #[test]
    fn a_traceparent_names_its_trace(trace in any::<[u8; 16]>(), parent in any::<[u8; 8]>()) {
        let header = traceparent(&TraceContext { trace, parent });
        prop_assert_eq!(header.as_deref().and_then(trace_id_of), header.is_some().then_some(trace));
    }

    #[test]
    fn foreign_headers_are_read_without_harm(text in "[0-9a-f-]{0,70}|.{0,70}") {
        let _ = trace_id_of(&text);
    }
}
