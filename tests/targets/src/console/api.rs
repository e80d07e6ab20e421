//! Questions and lists that another system sends as JSON.

use hitmachine_console::fuzz::{question, screening};
use hitmachine_node::control::{ClassWord, NumberKind};
use hitmachine_node::source::age_on;

use super::TODAY;
use crate::said;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(asking) = question(input) {
        super::question(&asking);
    }
    match screening(input, TODAY) {
        Some(Ok(list)) => {
            let persons: Vec<_> = list
                .households
                .iter()
                .flat_map(|household| &household.persons)
                .collect();
            for (person, row) in persons.iter().zip(1..) {
                assert_eq!(person.row, row, "persons are counted");
                assert!(person.person.kind == NumberKind::Bsn);
            }
            says_ages(
                input,
                &persons
                    .iter()
                    .map(|person| person.person.class)
                    .collect::<Vec<_>>(),
            );
        }
        Some(Err(mistakes)) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                said::holds_no_number(&mistake.text_nl);
                said::holds_no_number(&mistake.text_en);
            }
        }
        None => {}
    }
}

/// The classes are those of the birth dates in the JSON.
fn says_ages(input: &[u8], classes: &[ClassWord]) {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(input) else {
        return;
    };
    let list = |value: &serde_json::Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let households = list(&body, "households");
    let persons: Vec<_> = households
        .iter()
        .flat_map(|household| list(household, "persons"))
        .collect();
    assert_eq!(persons.len(), classes.len());
    for (person, class) in persons.iter().zip(classes) {
        if let Some(birth) = person["birth_date"].as_str() {
            let age = age_on(TODAY, birth).expect("a birth date");
            assert!(ClassWord::from(age.class) == *class);
        }
    }
}
