//! Lists of households that somebody sends to the console: what is seen of their form, and the persons in them.
//!
//! The first byte of an input says what the sender chose, the rest is the file.

use hitmachine_core::SubjectClass;
use hitmachine_node::source::households::{HouseholdColumns, HouseholdOutcome};
use hitmachine_node::source::upload::{self, Written};
use hitmachine_node::source::{ClassFrom, Delimiter, Encoding, SourceError};

use super::{TODAY, admission, issues, says_no_value};
use crate::said;

/// The target.
pub fn check(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else {
        return;
    };
    let delimiter = [None, Some(';'), Some(','), Some('\t')][usize::from(choice & 3)]
        .map(|character| Delimiter::try_from(character).unwrap());
    let encoding =
        [None, Some(Encoding::Utf8), Some(Encoding::Windows1252), None][usize::from(choice >> 2 & 3)];
    let written = match upload::look(file, delimiter, encoding) {
        Ok(written) => written,
        Err(error) => return says_no_value(&error),
    };
    if !written.spreadsheet {
        assert!(delimiter.is_none_or(|chosen| chosen == written.delimiter));
        assert!(encoding.is_none_or(|chosen| chosen == written.encoding));
    }
    let Some(columns) = columns(&written, *choice) else {
        return;
    };
    let _ = households(file, &written, columns);
}

/// The columns that can be told apart, none of which shows what could be a person's; a choice of them.
pub(super) fn columns(written: &Written, choice: u8) -> Option<HouseholdColumns> {
    let columns = written.columns();
    for (at, name) in &columns {
        said::holds_no_number(name);
        assert_eq!(written.column(*at), Some(*name));
    }
    let known = written.known();
    let name = |place: Option<usize>| place.and_then(|place| written.column(place)).map(str::to_owned);
    let class = [known.class, known.birth_date];
    let class = match (name(class[0]), name(class[1])) {
        (_, Some(birth)) => ClassFrom::BirthDate(birth),
        (Some(class), None) => ClassFrom::Column(class),
        (None, None) => ClassFrom::Fixed(SubjectClass::Minor),
    };
    Some(HouseholdColumns {
        household: name(known.household.or(columns.first().map(|(at, _)| *at)))?,
        identifier: name(known.identifier.or(columns.last().map(|(at, _)| *at)))?,
        numeric: choice & 16 != 0,
        class,
        reference: name(known.reference),
    })
}

/// Reads a list: each row is a person or an issue, and nothing says a value.
pub(super) fn households(
    file: &[u8],
    written: &Written,
    columns: HouseholdColumns,
) -> Result<HouseholdOutcome, SourceError> {
    let outcome = upload::read(file, written, columns, &admission(), TODAY).inspect_err(says_no_value)?;
    issues(&outcome.issues, outcome.issue_count);
    let persons: usize = outcome.households.iter().map(|one| one.persons.len()).sum();
    assert_eq!(
        persons as u64 + outcome.issue_count,
        outcome.total_rows,
        "a person or an issue"
    );
    let mut rows = Vec::new();
    for (at, household) in outcome.households.iter().enumerate() {
        assert!(!household.name.trim().is_empty());
        let twice = outcome.households[..at]
            .iter()
            .any(|other| other.name == household.name);
        assert!(!twice, "a household once");
        for (place, person) in household.persons.iter().enumerate() {
            let earlier = &household.persons[..place];
            assert!(
                earlier
                    .iter()
                    .all(|other| other.identifier != person.identifier && other.row < person.row)
            );
        }
        rows.extend(household.persons.iter().map(|person| person.row));
        rows.extend(&household.bad_rows);
    }
    let count = rows.len();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), count, "a row is of one person");
    Ok(outcome)
}
