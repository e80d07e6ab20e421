//! Files with persons: registers that a node reads, and lists that somebody sends.

pub mod csv;
pub mod list;
pub mod xlsx;

use hitmachine_core::SubjectClass;
use hitmachine_identifier::Admission;
use hitmachine_node::source::{MAX_ISSUES, ReadOutcome, RowIssue, Source, SourceError};
use hitmachine_pseudonym::DeploymentKind;
use jiff::civil::{Date, date};

use crate::said;

/// The day on which everything is read.
const TODAY: Date = date(2026, 11, 22);
/// What the texts about dates give as examples.
const FORMS: &str = "01-02-2026, 2026-02-01, 20260201";

fn admission() -> Admission {
    Admission::with_default_prefixes(DeploymentKind::Test)
}

/// Reads a register; whatever comes of it says nothing of the values, and counts each row once.
fn register(source: &Source) -> Result<ReadOutcome, SourceError> {
    let classes = [SubjectClass::Minor, SubjectClass::Adult];
    let mut last = (0, 0);
    let read = hitmachine_node::source::read(source, &admission(), TODAY, &classes, &mut |now, all| {
        assert!(now <= all && now >= last.0, "progress goes one way");
        last = (now, all);
    });
    let outcome = read.inspect_err(says_no_value)?;
    assert_eq!(
        outcome.rows.len() as u64 + outcome.issue_count,
        outcome.total_rows
    );
    assert!(outcome.duplicates <= outcome.issue_count);
    for (at, row) in outcome.rows.iter().enumerate() {
        let again = outcome.rows[..at]
            .iter()
            .any(|other| other.identifier == row.identifier);
        assert!(!again, "each person once");
    }
    issues(&outcome.issues, outcome.issue_count);
    Ok(outcome)
}

/// Issues come in the order of the file, one for a row, and say no value.
fn issues(issues: &[RowIssue], count: u64) {
    assert_eq!(issues.len() as u64, count.min(MAX_ISSUES as u64));
    assert!(issues.is_sorted_by(|one, next| one.row < next.row));
    for issue in issues {
        for text in [issue.to_string(), issue.text_nl()] {
            said::holds_no_number(&text.replace(FORMS, ""));
        }
    }
}

fn says_no_value(error: &SourceError) {
    let texts = [error.to_string(), error.text_nl(), format!("{error:?}")];
    for text in texts {
        said::holds_no_number(&text);
    }
}
