//! Made-up entries, as the log would give them, and the search that looks at each.

use std::path::Path;

use hitmachine_core::covenant::Purpose;
use hitmachine_core::ids::{SubjectClass, TraceContext};
use hitmachine_core::query::{PartnerStatus, Subject, User};
use hitmachine_core::record::Outcome;
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
pub(super) use hitmachine_core::{CaseReference, Oin, PurposeCode, UserId};
use hitmachine_core::{CovenantVersion, RequestId};
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

pub(super) const KEY: [u8; 32] = [42; 32];
/// 2026-01-01.
pub(super) const NEW_YEAR: u64 = 1_767_225_600_000;
pub(super) const DAY: u64 = 86_400_000;

/// What one entry is made of, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// Indexes left out before it: control entries, or erased ones.
    pub(super) gap: u64,
    pub(super) day: u64,
    pub(super) class: u16,
    pub(super) kind: u8,
    pub(super) requester: u8,
    pub(super) user: Option<u8>,
    pub(super) purpose: Option<u8>,
    pub(super) case: Option<u8>,
    pub(super) tokens: [Option<u8>; 2],
    pub(super) request: Option<u8>,
    pub(super) trace: u8,
    pub(super) status: u8,
}

pub(super) fn made() -> impl Strategy<Value = Made> {
    use proptest::option::of;
    let numbers = (
        prop_oneof![9 => Just(0), 1 => 1..200_u64, 1 => Just(70_000)],
        0..60_u64,
        0..2_u16,
        0..8_u8,
        0..3_u8,
    );
    let ids = (of(0..3_u8), of(0..3_u8), of(0..4_u8));
    // Nothing keeps two identifiers from having one token.
    let tokens = (of(0..5_u8), of(3..8_u8));
    let rest = (of(0..9_u8), 0..6_u8, 0..4_u8);
    (numbers, ids, tokens, rest).prop_map(|(numbers, ids, tokens, rest)| Made {
        gap: numbers.0,
        day: numbers.1,
        class: [12, 60][usize::from(numbers.2)],
        // Mostly lookups.
        kind: numbers.3.saturating_sub(4),
        requester: numbers.4,
        user: ids.0,
        purpose: ids.1,
        case: ids.2,
        tokens: [tokens.0, tokens.1],
        request: rest.0,
        trace: rest.1,
        status: rest.2,
    })
}

pub(super) fn oin(number: u8) -> Oin {
    format!("0000009900000000{number}000").parse().unwrap()
}

pub(super) fn user(number: u8) -> UserId {
    format!("user {number}").parse().unwrap()
}

pub(super) fn purpose(number: u8) -> PurposeCode {
    ["screening", "triage", "casusoverleg"][usize::from(number)]
        .parse()
        .unwrap()
}

pub(super) fn case(number: u8) -> CaseReference {
    format!("ZK-2026-{number}").parse().unwrap()
}

pub(super) fn token(number: u8) -> Token {
    Token::from_bytes([number ^ 0x5a; 32])
}

pub(super) fn request(number: u8) -> RequestId {
    let mut bytes = [number; 16];
    bytes[6] = 0x71;
    bytes[8] = 0x81;
    RequestId::from_bytes(&bytes).unwrap()
}

/// All zeros is no trace; two have the same last bytes.
pub(super) fn trace(number: u8) -> [u8; 16] {
    let mut trace = [number; 16];
    if number > 4 {
        trace[8..].fill(4);
    }
    trace
}

pub(super) fn row(index: u64, made: &Made) -> IndexRow {
    let time_ms = NEW_YEAR + made.day * DAY + index % DAY;
    let kind = [Kind::Lookup, Kind::Denied, Kind::OfficerSearch, Kind::Export][usize::from(made.kind)];
    let lookup = kind == Kind::Lookup;
    let user = made.user.map(|number| User {
        id: user(number),
        role: "regisseur".parse().unwrap(),
        responsible: None,
    });
    let purpose = made.purpose.or(lookup.then_some(0)).map(|number| Purpose {
        code: purpose(number),
        title: String::new(),
        legal_basis: "AVG".into(),
        processing_activity: "https://register.example/1".into(),
        askers: Vec::new(),
        roles: Vec::new(),
        consults: Vec::new(),
        log_retention_months: 60,
        notifies: vec![],
        max_subjects: 1,
        max_screening: 1,
        strict: false,
        confidential: false,
    });
    let kinds = [IdentifierType::Bsn, IdentifierType::Skn];
    let mut tokens: Vec<_> = kinds
        .into_iter()
        .zip(made.tokens)
        .filter_map(|(kind, number)| Some((kind, token(number?))))
        .collect();
    if lookup && tokens.is_empty() {
        tokens.push((IdentifierType::Bsn, token(0)));
    }
    let subject = (!tokens.is_empty()).then_some(Subject {
        class: SubjectClass::Adult,
        tokens,
    });
    let case = made.case.map(case);
    let partners = [(
        "om".parse().unwrap(),
        PartnerStatus::ALL[usize::from(made.status)],
    )];
    let record = Record {
        kind,
        time: Timestamp::from_millisecond(i64::try_from(time_ms).unwrap()).unwrap(),
        request: made.request.or(lookup.then_some(0)).map(request),
        requester: &oin(made.requester),
        user: user.as_ref(),
        ground: purpose
            .as_ref()
            .map(|purpose| (purpose, CovenantVersion([1; 32]))),
        case: case.as_ref(),
        subject: subject.as_ref().map(|subject| (KeyEpoch::FIRST, subject)),
        result: match kind {
            Kind::Lookup => RecordResult::Answered(&partners),
            Kind::Denied => RecordResult::Refused("unknown_purpose"),
            _ => RecordResult::Done {
                action: "search",
                rows: 1,
            },
        },
        trace: TraceContext {
            trace: trace(made.trace),
            parent: [0; 8],
        },
        place: 0,
        signed: None,
        request_digest: [2; 32],
        answer_digest: [3; 32],
    };
    IndexRow {
        index,
        time_ms,
        class: RetentionClass(made.class),
        period: Period::of_unix_ms(time_ms),
        record: DecodedRecord::decode(&record.fields()).unwrap(),
    }
}

pub(super) fn rows(made: &[Made]) -> Vec<IndexRow> {
    let mut index = 0;
    made.iter()
        .map(|made| {
            index += made.gap;
            let row = row(index, made);
            index += 1;
            row
        })
        .collect()
}

/// What a search must find, oldest first: every row looked at, nothing keyed.
pub(super) fn brute_force(rows: &[IndexRow], filter: &Filter) -> Vec<u64> {
    fn is<T: PartialEq>(wanted: Option<&T>, value: Option<&T>) -> bool {
        wanted.is_none_or(|wanted| Some(wanted) == value)
    }
    let found = rows.iter().filter(|row| {
        let record = &row.record;
        let tokens: Vec<&Token> = record
            .subject
            .iter()
            .flat_map(|(_, subject)| &subject.tokens)
            .map(|(_, token)| token)
            .collect();
        filter.from_ms.is_none_or(|from| row.time_ms >= from)
            && filter.until_ms.is_none_or(|until| row.time_ms < until)
            && is(filter.requester.as_ref(), Some(&record.requester))
            && is(filter.user.as_ref(), record.user.as_ref().map(|user| &user.id))
            && is(
                filter.purpose.as_ref(),
                record.ground.as_ref().map(|ground| &ground.purpose),
            )
            && is(filter.case.as_ref(), record.case.as_ref())
            && is(filter.outcome.as_ref(), Some(&record.outcome()))
            && is(filter.request.as_ref(), record.request.as_ref())
            && is(filter.trace.as_ref(), Some(&record.trace.trace))
            && filter.trace != Some([0; 16])
            && filter
                .person
                .as_ref()
                .is_none_or(|person| person.iter().any(|token| tokens.contains(&token)))
    });
    found.map(|row| row.index).collect()
}

/// Every page of a search, put together.
pub(super) fn pages(index: &AuditIndex, filter: &Filter, limit: usize) -> Vec<u64> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = index.search(filter, after, limit).unwrap();
        assert!(page.rows.len() <= limit);
        assert!(page.next.is_none() || page.rows.len() == limit);
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Adds rows in calls of these lengths, over and over.
pub(super) fn add(index: &AuditIndex, rows: &[IndexRow], lengths: &[usize]) {
    let mut rest = rows;
    for length in lengths.iter().copied().cycle() {
        if rest.is_empty() {
            return;
        }
        let (now, later) = rest.split_at(length.min(rest.len()));
        index.add(now, now.last().unwrap().index + 1).unwrap();
        rest = later;
    }
}

/// What is on disk at this moment, as another process would find it after a crash.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(super) fn plain(day: u64) -> Made {
    Made {
        gap: 0,
        day,
        class: 60,
        kind: 0,
        requester: 1,
        user: Some(1),
        purpose: Some(1),
        case: Some(1),
        tokens: [Some(1), None],
        request: Some(1),
        trace: 1,
        status: 0,
    }
}

/// One filter for each thing that can be asked.
pub(super) fn single_filters() -> Vec<Filter> {
    let none = Filter::default;
    vec![
        none(),
        Filter {
            from_ms: Some(NEW_YEAR + 40 * DAY),
            ..none()
        },
        Filter {
            until_ms: Some(NEW_YEAR + 10 * DAY),
            ..none()
        },
        Filter {
            requester: Some(oin(1)),
            ..none()
        },
        Filter {
            user: Some(user(1)),
            ..none()
        },
        Filter {
            purpose: Some(purpose(1)),
            ..none()
        },
        Filter {
            case: Some(case(1)),
            ..none()
        },
        Filter {
            person: Some(vec![token(1)]),
            ..none()
        },
        Filter {
            person: Some(vec![token(2), token(6), token(1)]),
            ..none()
        },
        Filter {
            person: Some(Vec::new()),
            ..none()
        },
        Filter {
            request: Some(request(1)),
            ..none()
        },
        Filter {
            trace: Some(trace(4)),
            ..none()
        },
        Filter {
            trace: Some(trace(0)),
            ..none()
        },
        // Refused by the row, not by the postings.
        Filter {
            request: Some(request(0)),
            trace: Some(trace(0)),
            ..none()
        },
    ]
    .into_iter()
    .chain(Outcome::ALL.map(|outcome| Filter {
        outcome: Some(outcome),
        ..none()
    }))
    .collect()
}

pub(super) fn agrees(index: &AuditIndex, rows: &[IndexRow], filter: &Filter, limit: usize) {
    let mut expected = brute_force(rows, filter);
    expected.reverse();
    assert_eq!(pages(index, filter, limit), expected, "{filter:?}");
}
