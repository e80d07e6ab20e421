//! Writes the seeds that are made by programs into `tests/fuzz/corpus`: messages, records, spreadsheets. All persons in
//! them are made up. Others were written by hand, or found by the fuzzer; they stay as they are.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a tool of the tests"
)]

use std::fs;
use std::path::Path;

use hitmachine_audit::{Opening, Salt};
use hitmachine_core::live::openings;
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
use hitmachine_core::registry::{Batch, Tally, TallyMask};
use hitmachine_core::{
    AnswerContent, Covenant, Day, LiveFrame, LiveQuestion, LiveStatus, PartnerStatus, Refusal, Registration,
    SignedRequest, SubjectClass,
};
use hitmachine_proto::registry::pack;
use hitmachine_proto::{answer, live, notice, officer, query, v1};
use hitmachine_pseudonym::{DeploymentId, IdentifierType, KeyEpoch, Pepper, Scheme, Tag, Token};
use hitmachine_targets::source::xlsx;
use prost::Message as _;

const REQUEST: [u8; 16] = [1, 154, 99, 27, 60, 0, 0x70, 7, 0x80, 9, 10, 11, 12, 13, 14, 15];

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
    println!("{target}/{name}: {} bytes", bytes.len());
}

fn subject(token: u8) -> v1::Subject {
    v1::Subject {
        class: v1::SubjectClass::Minor.into(),
        tokens: vec![v1::IdentifierToken {
            r#type: 1,
            token: vec![token; 32],
        }],
    }
}

fn user() -> v1::User {
    v1::User {
        id: "p.pietersen".into(),
        role: "informatiecoordinator".into(),
        responsible: "j.jansen".into(),
    }
}

fn question() -> v1::Query {
    v1::Query {
        request_id: REQUEST.to_vec(),
        purpose: "screening".into(),
        case_reference: "ZVH-2026-0042".into(),
        user: Some(user()),
        covenant_version: vec![7; 32],
        key_epoch: 1,
        subjects: vec![subject(1), subject(2)],
        trace_id: vec![2; 16],
        parent_span_id: vec![3; 8],
    }
}

fn messages() {
    let bytes = question().encode_to_vec();
    write("query", "household", &bytes);
    let parsed = query::parse(SignedRequest::new(bytes, [9; 64])).unwrap();
    let partners = [
        ("om".parse().unwrap(), PartnerStatus::Known),
        ("leerplicht".parse().unwrap(), PartnerStatus::CouldNotAsk),
    ];
    let found = AnswerContent::Found {
        request: parsed.request,
        subject: 1,
        partners: &partners,
    };
    let refused = AnswerContent::Refused {
        request: Some(parsed.request),
        subject: 0,
        refusal: Refusal::OverQuota {
            retry_after_ms: 1_500,
        },
    };
    write("answer", "found", &answer::encode(&found));
    write("answer", "refused", &answer::encode(&refused));

    let frame = LiveFrame::of(&"leerplicht".parse().unwrap(), &parsed);
    let subjects: Vec<_> = openings(&parsed).enumerate().collect();
    write("live", "frame", &frame.encode());
    write("live", "opening", &subjects[0].1.encode());
    let asked = LiveQuestion {
        partner: "om".parse().unwrap(),
        deadline: std::time::Duration::from_secs(2),
        frame: frame.encode(),
        signature: [5; 64],
        subjects,
    };
    write("live", "question", &live::question(3, &asked).encode_to_vec());
    let statuses = [LiveStatus::Known, LiveStatus::NotKnown, LiveStatus::CouldNotAsk];
    write("live", "answer", &live::answer(3, &statuses).encode_to_vec());

    let told = v1::Notice {
        log_index: 7,
        leaf: vec![3; 32],
        time_ms: 1_795_000_000_123,
        requester: "00000099000000000010".into(),
        purpose: "signalering".into(),
        case_reference: "ZVH-2026-0042".into(),
        request_id: REQUEST.to_vec(),
        key_epoch: 1,
        subject: Some(subject(4)),
    };
    assert!(notice::parse(told.clone()).is_ok());
    write("notice", "hit", &told.encode_to_vec());

    let action = |action| v1::OfficerAction {
        request_id: REQUEST.to_vec(),
        user: Some(user()),
        reference: "Steekproef november".into(),
        covenant_version: vec![7; 32],
        trace_id: vec![2; 16],
        parent_span_id: vec![3; 8],
        action: Some(action),
    };
    let search = v1::Search {
        from_ms: 1_790_000_000_000,
        requester: "00000099000000000010".into(),
        user: "j.jansen".into(),
        tokens: vec![vec![1; 32]],
        limit: 100,
        r#use: v1::Use::Report.into(),
        ..v1::Search::default()
    };
    let review = v1::Review {
        index: 4,
        verdict: "in_order".into(),
        note: "Past bij de casus.".into(),
    };
    for (name, action) in [
        ("search", action(officer::Action::Search(search))),
        ("review", action(officer::Action::Review(review))),
    ] {
        write("officer", name, &action.encode_to_vec());
    }

    let changes = query::parse(SignedRequest::new(question().encode_to_vec(), [9; 64])).unwrap();
    let token = |place: usize| changes.subjects[place].tokens[0].1.clone();
    let changes = [
        hitmachine_core::Change {
            identifier: IdentifierType::Bsn,
            token: token(0),
            registration: Some((SubjectClass::Adult, Day(20_778))),
        },
        hitmachine_core::Change {
            identifier: IdentifierType::Skn,
            token: token(1),
            registration: None,
        },
    ];
    write("changes", "two", &pack(&changes));
}

fn records() {
    let covenant = include_str!("../../../deploy/covenant.toml");
    let covenant = Covenant::parse(covenant.as_bytes()).unwrap();
    let purpose = &covenant.purposes()[0];
    let signed = SignedRequest::new(question().encode_to_vec(), [9; 64]);
    let asked = query::parse(signed.clone()).unwrap();
    let partners = [("om".parse().unwrap(), PartnerStatus::Known)];
    let requester = "00000099000000000010".parse().unwrap();
    let lookup = Record {
        kind: Kind::Lookup,
        time: "2026-11-22T12:00:00Z".parse().unwrap(),
        request: Some(asked.request),
        requester: &requester,
        user: Some(&asked.user),
        ground: Some((purpose, covenant.version())),
        case: Some(&asked.case),
        subject: Some((KeyEpoch::FIRST, &asked.subjects[0])),
        result: RecordResult::Answered(&partners),
        trace: asked.trace,
        place: 0,
        signed: Some(&signed),
        request_digest: signed.digest(),
        answer_digest: [4; 32],
    };
    let denied = Record {
        kind: Kind::Denied,
        result: RecordResult::Refused("unknown_purpose"),
        ground: None,
        signed: None,
        ..lookup
    };
    let search = Record {
        kind: Kind::OfficerSearch,
        result: RecordResult::Done {
            action: "search",
            rows: 3,
        },
        ground: None,
        subject: None,
        ..denied
    };
    let opening = |record: &Record<'_>| {
        Opening::new(
            Salt::from_bytes([1; 32]),
            Salt::from_bytes([2; 32]),
            record.fields(),
        )
        .encode()
    };
    for (name, record) in [("lookup", &lookup), ("denied", &denied), ("search", &search)] {
        write("record", name, &opening(record));
    }
    let response = v1::AskResponse {
        answers: vec![v1::LoggedAnswer {
            receipt: Some(v1::Receipt {
                opening: opening(&lookup),
                leaf_index: 3,
                inclusion: vec![8; 96],
            }),
            answer: vec![1, 2, 3],
        }],
        checkpoint: b"log.example/a\n5\n".to_vec(),
        consistency: vec![v1::ConsistencyProof {
            from: 2,
            hashes: vec![9; 64],
        }],
        cosigned: None,
    };
    write("receipt", "response", &response.encode_to_vec());
    write("receipt", "hashes", &[6; 64]);

    let mask = TallyMask::derive(
        &Pepper::from_bytes([3; 32]),
        &DeploymentId::from_bytes([1; 16]),
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    let mut after = Tally::default();
    after.add(
        IdentifierType::Bsn,
        &Token::from_bytes([1; 32]),
        SubjectClass::Minor,
        Day(20_800),
    );
    let batch = Batch {
        partner: "om".parse().unwrap(),
        generation: 1,
        sequence: 1,
        changes: vec![
            Ok(Registration {
                tag: Tag::from_bytes([7; 16]),
                class: SubjectClass::Minor,
                valid_until: Day(20_800),
            }),
            Err(Tag::from_bytes([8; 16])),
        ],
        after,
    };
    write("batch", "two", &batch.pack(&mask));
}

fn rows() {
    let number = |bytes: &mut Vec<u8>, numbers: &[u32]| {
        for number in numbers {
            bytes.extend(number.to_be_bytes());
        }
    };
    let mut volume = Vec::new();
    number(&mut volume, &[20_778, 12]);
    volume.push(1);
    number(&mut volume, &[3, 4, 5]);
    write("counters", "volume", &volume);
    let mut run = Vec::new();
    number(&mut run, &[5, 1, 4]);
    run.push(0);
    run.extend(1_795_000_000_000_i64.to_be_bytes());
    write("counters", "run", &run);
    let heads = [&[1_u8, 0, 0, 0, 1][..], &7_u64.to_be_bytes(), &[2; 32]].concat();
    write("counters", "heads", &heads);

    let change = [
        &[1_u8][..],
        &[7; 32],
        &[2],
        &20_778_u32.to_be_bytes(),
        &[0, 6],
        b"Z-2026",
    ]
    .concat();
    write("node_row", "change", &change);
    write("node_row", "journal", &[5; 56]);
    let note = b"log.example/a\n";
    let head = [&7_u64.to_be_bytes()[..], &(note.len() as u32).to_be_bytes(), note].concat();
    write("node_row", "head", &head);

    let purpose = b"screening";
    let row = [
        &1_795_000_000_000_u64.to_be_bytes()[..],
        &[1],
        b"00000099000000000010",
        &[purpose.len() as u8],
        purpose,
        &[1; 16],
        &[2; 16],
        &[3; 32],
    ]
    .concat();
    let length = (row.len() as u16).to_be_bytes();
    write("store_row", "row", &row);
    write("store_row", "group", &[&[0, 2][..], &length, &row].concat());
    write(
        "store_row",
        "bounds",
        &[&[0; 8][..], &9_u64.to_be_bytes(), &[0; 8], &[1; 8]].concat(),
    );
}

fn spreadsheets() {
    for (which, (name, text)) in xlsx::PARTS.iter().enumerate() {
        let name = name
            .rsplit('/')
            .next()
            .unwrap()
            .trim_start_matches('.')
            .replace(['[', ']'], "");
        write("xlsx", &name, &[&[which as u8], text.as_bytes()].concat());
    }
    let (name, text) = xlsx::PARTS[0];
    write(
        "xlsx",
        "whole",
        &[&[0xff], xlsx::with(name, text.as_bytes()).as_slice()].concat(),
    );
}

fn main() {
    messages();
    records();
    rows();
    spreadsheets();
}
