use hitmachine_audit::AskerError;

use super::*;
use crate::officer::test_log::{NOW, TestLog, oin, request};

fn search(purpose: v1::Use) -> Action {
    Action::Search(v1::Search {
        limit: 10,
        r#use: purpose.into(),
        ..v1::Search::default()
    })
}

fn page(log: &TestLog) -> Outcome {
    Outcome::Rows(v1::Rows {
        rows: vec![log.part(1), log.part(0)],
        ..v1::Rows::default()
    })
}

fn verify(
    request: &OfficerRequest,
    action: &Action,
    log: &TestLog,
    response: &v1::OfficerResponse,
) -> Result<Verified, Evidence> {
    let asked = Asked {
        request,
        action,
        oin: &oin(),
        now: NOW,
    };
    asked.verify(&log.verifier(), response)
}

fn answered(purpose: v1::Use, spoil: &dyn Fn(&mut Record<'_>)) -> Result<Verified, Evidence> {
    let mut log = TestLog::of(&[1, 2]);
    let action = search(purpose);
    let request = request(&action);
    let outcome = page(&log);
    let response = log.answer(&request, &action, outcome, spoil);
    verify(&request, &action, &log, &response)
}

#[test]
fn a_right_answer_is_taken_whatever_it_is_for() {
    for purpose in [v1::Use::View, v1::Use::Export, v1::Use::Report, v1::Use::Ldv] {
        let verified = answered(purpose, &|_| ()).unwrap();
        assert_eq!(verified.rows.len(), 2);
        assert_eq!((verified.entry, verified.head.size), (3, 4));
    }
}

#[test]
fn the_entry_must_say_what_was_done() {
    let field = |spoil: &dyn Fn(&mut Record<'_>)| match answered(v1::Use::Export, spoil) {
        Err(Evidence::Entry(mismatch)) => mismatch.0,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("taken"),
    };
    assert_eq!(field(&|record| record.kind = Kind::OfficerSearch), FieldId::Event);
    assert_eq!(
        field(&|record| record.request = Some(RequestId::generate())),
        FieldId::Event
    );
    // The hub's clock may be ten minutes off, and no more.
    let minutes = |record: &mut Record<'_>, count: i64| record.time += jiff::SignedDuration::from_mins(count);
    assert!(answered(v1::Use::View, &|record| minutes(record, 10)).is_ok());
    assert!(answered(v1::Use::View, &|record| minutes(record, -10)).is_ok());
    assert_eq!(field(&|record| minutes(record, 11)), FieldId::Event);
    assert_eq!(field(&|record| record.user = None), FieldId::User);
    assert_eq!(field(&|record| record.case = None), FieldId::Case);
    assert_eq!(
        field(&|record| {
            let action = "export";
            record.result = RecordResult::Done { action, rows: 1 };
        }),
        FieldId::Result
    );
    assert_eq!(
        field(&|record| {
            let action = "search";
            record.result = RecordResult::Done { action, rows: 2 };
        }),
        FieldId::Result
    );
    assert_eq!(field(&|record| record.trace.trace = [0; 16]), FieldId::Trace);
    assert_eq!(field(&|record| record.answer_digest = [0; 32]), FieldId::Binding);
    assert_eq!(field(&|record| record.request_digest = [0; 32]), FieldId::Request);
    assert_eq!(field(&|record| record.signed = None), FieldId::Request);
}

#[test]
fn a_changed_response_is_refused() {
    let mut log = TestLog::of(&[1, 2]);
    let action = search(v1::Use::View);
    let request = request(&action);
    let outcome = page(&log);
    let good = log.answer(&request, &action, outcome, &|_| ());
    assert!(verify(&request, &action, &log, &good).is_ok());
    let refused = |change: &dyn Fn(&mut v1::OfficerResponse)| {
        let mut response = good.clone();
        change(&mut response);
        match verify(&request, &action, &log, &response) {
            Err(evidence) => evidence,
            Ok(_) => panic!("taken"),
        }
    };
    assert!(matches!(
        refused(&|response| response.result.extend([0x7a, 0])),
        Evidence::Entry(Mismatch(FieldId::Binding))
    ));
    assert!(matches!(
        refused(&|response| response.receipt = None),
        Evidence::Wire(_)
    ));
    assert!(matches!(
        refused(&|response| response.inclusion.swap(0, 1)),
        Evidence::Row { index: 1 }
    ));
    assert!(matches!(
        refused(&|response| drop(response.inclusion.pop())),
        Evidence::Result
    ));
    // The head of another log, rightly signed; and one not signed.
    let other = TestLog::of(&[1, 2, 3]);
    assert!(matches!(
        refused(&|response| response.checkpoint = other.note()),
        Evidence::Log(AskerError::Inclusion)
    ));
    assert!(matches!(
        refused(&|response| response.checkpoint.truncate(20)),
        Evidence::Log(AskerError::Note(_))
    ));
    assert!(matches!(
        refused(&|response| {
            if let Some(receipt) = &mut response.receipt {
                receipt.leaf_index = 0;
            }
        }),
        Evidence::Log(AskerError::Inclusion)
    ));
}

#[test]
fn an_answer_is_to_the_action_that_was_asked() {
    let outcomes = [
        Outcome::Statistics(v1::StatisticsTable::default()),
        Outcome::Reviewed(v1::Reviewed {}),
        Outcome::Alarms(v1::Alarms::default()),
        Outcome::Refused(v1::Refused {
            code: "not_an_officer".into(),
            retry_after_ms: 0,
        }),
    ];
    let actions = [
        Action::Statistics(v1::Statistics::default()),
        Action::Review(v1::Review::default()),
        Action::Alarms(v1::ListAlarms {}),
    ];
    for action in &actions {
        for (place, outcome) in outcomes.iter().enumerate() {
            let mut log = TestLog::of(&[1]);
            let request = request(action);
            let response = log.answer(&request, action, outcome.clone(), &|_| ());
            let taken = verify(&request, action, &log, &response);
            let own = std::mem::discriminant(action) == std::mem::discriminant(&actions[place.min(2)]);
            assert_eq!(taken.is_ok(), place == 3 || own, "{place}");
        }
    }
}

#[test]
fn a_table_may_count_entries_that_only_the_hub_knows() {
    let action = Action::Statistics(v1::Statistics::default());
    let mut log = TestLog::of(&[1]);
    let request = request(&action);
    let outcome = Outcome::Statistics(v1::StatisticsTable::default());
    let response = log.answer(&request, &action, outcome, &|record| {
        let action = "statistics";
        record.result = RecordResult::Done { action, rows: 4_000 };
    });
    assert!(verify(&request, &action, &log, &response).is_ok());
}
