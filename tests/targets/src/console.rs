//! What a browser, another system or an identity provider sends to the console.

pub mod api;
pub mod form;
pub mod next;
pub mod oidc;
pub mod upload;

use hitmachine_console::fuzz::{PURPOSE, judged};
use hitmachine_console::jobs::ask::Asking;
use hitmachine_core::{CaseReference, UserId};
use hitmachine_identifier::{Admission, Bsn, Skn, contains_bsn};
use hitmachine_node::control::NumberKind;
use hitmachine_node::source::age_on;
use hitmachine_pseudonym::DeploymentKind;
use jiff::civil::{Date, date};

use crate::said;

/// The day on which everything is asked.
const TODAY: Date = date(2026, 11, 22);

/// A question that is asked holds numbers of persons where they belong and nowhere else; one that is not says why,
/// without a word of what was typed.
fn question(asking: &Asking) {
    let admission = Admission::with_default_prefixes(DeploymentKind::Test);
    let asked = match judged(asking, &admission, TODAY).expect("somebody who may ask") {
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                for text in [mistake.text_nl, mistake.text_en] {
                    // What the texts give as an example.
                    said::holds_no_number(&text.replace("31-01-2010", ""));
                }
            }
            return;
        }
        Ok(asked) => asked,
    };
    assert_eq!(asked.purpose, PURPOSE.0);
    assert!((1..=PURPOSE.1).contains(&asked.persons.len()) && asked.persons.len() == asking.persons.len());
    assert!(
        asked
            .case
            .parse::<CaseReference>()
            .is_ok_and(|case| case.as_str() == asked.case)
    );
    assert!(
        asked
            .responsible
            .as_ref()
            .is_none_or(|user| user.parse::<UserId>().is_ok())
    );
    let references = asked
        .persons
        .iter()
        .filter_map(|person| person.reference.as_ref());
    let texts = [&asked.case]
        .into_iter()
        .chain(&asked.responsible)
        .chain(references);
    assert!(
        texts.into_iter().all(|text| !contains_bsn(text)),
        "no number in a text"
    );
    let mut numbers = Vec::new();
    for (typed, person) in asking.persons.iter().zip(&asked.persons) {
        let number = match person.kind {
            NumberKind::Bsn => Bsn::parse(&person.number, &admission)
                .map(|bsn| bsn.canonical())
                .ok(),
            NumberKind::Skn => Skn::parse(&person.number).map(|skn| skn.canonical()).ok(),
        };
        let number = number.expect("a number that can be asked about");
        assert!(!numbers.contains(&number), "each person once");
        numbers.push(number);
        let birth = typed
            .birth_date
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        if let Some(birth) = birth {
            let age = age_on(TODAY, birth).expect("a birth date");
            assert!(person.class == age.class.into() && person.age == age.bracket);
        }
        assert!(typed.class.is_none_or(|class| class == person.class));
    }
}
