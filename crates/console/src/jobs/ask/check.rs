//! What is wrong with a question as typed, field by field. No text repeats what was typed.

use hitmachine_core::{CaseReference, TextError, UserId};
use hitmachine_identifier::{Admission, Bsn, BsnError, Skn, contains_bsn};
use hitmachine_node::control::{Ask, AskPerson, ClassWord, NumberKind};
use hitmachine_node::source::{Age, IssueKind, age_on};
use jiff::civil::Date;

use super::{AskedFor, Asking, MOST_PERSONS, PurposeChoice};
use crate::caller::Asker;
use crate::kept::KeptPerson;

/// Code of a text that holds what reads as a BSN: not to be shown again.
pub const BSN_IN_TEXT: &str = "bsn_in_text";
/// The most characters of the asker's own reference of a person.
const MOST_REFERENCE: usize = 64;

/// A field of a question. Places of persons count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Why one asks.
    Purpose,
    /// Case reference.
    Case,
    /// On whose behalf.
    Responsible,
    /// The persons together.
    Persons,
    /// A person's number.
    Number(usize),
    /// A person's birth date.
    Birth(usize),
    /// Minor or adult.
    Class(usize),
    /// The asker's own reference of a person.
    Reference(usize),
}

impl Field {
    /// Where it is in a JSON body (RFC 6901).
    pub fn pointer(self) -> String {
        match self {
            Self::Purpose => "/purpose".to_owned(),
            Self::Case => "/case".to_owned(),
            Self::Responsible => "/responsible".to_owned(),
            Self::Persons => "/persons".to_owned(),
            Self::Number(place) => format!("/persons/{place}/number"),
            Self::Birth(place) => format!("/persons/{place}/birth_date"),
            Self::Class(place) => format!("/persons/{place}/class"),
            Self::Reference(place) => format!("/persons/{place}/reference"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// With which field.
    pub field: Field,
    /// Stable code.
    pub code: &'static str,
    /// For people, in Dutch.
    pub text_nl: String,
    /// For people, in English.
    pub text_en: String,
}

/// A question without mistakes.
pub(crate) struct Checked {
    pub(crate) ask: Ask,
    pub(super) purpose: PurposeChoice,
    pub(super) persons: Vec<KeptPerson>,
}

/// A person's number.
#[derive(PartialEq)]
enum Number {
    Bsn(Bsn),
    Skn(Skn),
}

/// All mistakes, in the order of the fields.
#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, field: Field, code: &'static str, nl: impl Into<String>, en: impl Into<String>) {
        self.0.push(Mistake {
            field,
            code,
            text_nl: nl.into(),
            text_en: en.into(),
        });
    }
}

/// Checks all of a question.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn checked(
    asker: &Asker<'_>,
    asking: &Asking,
    purposes: Vec<PurposeChoice>,
    admission: &Admission,
    today: Date,
) -> Result<Checked, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let purpose = purposes
        .into_iter()
        .find(|purpose| purpose.code == asking.purpose);
    if purpose.is_none() {
        mistakes.add(
            Field::Purpose,
            "purpose",
            "Kies een doel uit de lijst.",
            "Choose a purpose from the list.",
        );
    }
    case(&asking.case, &mut mistakes);
    let responsible = asking
        .responsible
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    if let Some(text) = responsible {
        line(
            Field::Responsible,
            text,
            text.parse::<UserId>().err(),
            &mut mistakes,
        );
    }
    count(asking.persons.len(), purpose.as_ref(), &mut mistakes);

    let mut seen = Vec::new();
    let mut asked = Vec::with_capacity(asking.persons.len());
    for (place, person) in asking.persons.iter().enumerate() {
        number(place, person, admission, &mut seen, &mut mistakes);
        let reference = reference(place, person, &mut mistakes);
        let age = age(place, person, today, &mut mistakes);
        asked.extend(age.map(|age| AskPerson {
            kind: person.kind,
            number: person.number.clone(),
            class: age.class.into(),
            age: age.bracket,
            reference,
        }));
    }
    match purpose {
        Some(purpose) if mistakes.0.is_empty() => Ok(Checked {
            persons: asked
                .iter()
                .map(|person| KeptPerson {
                    class: person.class,
                    reference: person.reference.clone(),
                })
                .collect(),
            ask: Ask {
                purpose: asking.purpose.clone(),
                case: asking.case.trim().to_owned(),
                user: asker.user().to_owned(),
                role: asker.role().to_owned(),
                responsible: responsible.map(str::to_owned),
                persons: asked,
            },
            purpose,
        }),
        _ => Err(mistakes.0),
    }
}

fn case(text: &str, mistakes: &mut Mistakes) {
    match text.parse::<CaseReference>() {
        Err(TextError::Empty) => mistakes.add(
            Field::Case,
            "case_missing",
            "Vul de zaak in waarvoor u vraagt.",
            "Fill in the case that you ask for.",
        ),
        parsed => line(Field::Case, text, parsed.err(), mistakes),
    }
}

/// A line of text that goes into the log.
fn line(field: Field, text: &str, problem: Option<TextError>, mistakes: &mut Mistakes) {
    match problem {
        _ if contains_bsn(text) => mistakes.add(
            field,
            BSN_IN_TEXT,
            "Hier staat iets dat op een BSN lijkt. Schrijf een kenmerk zonder BSN.",
            "This holds something that reads as a BSN. Write a reference without one.",
        ),
        None => {}
        Some(TextError::TooLong(most)) => mistakes.add(
            field,
            "too_long",
            format!("Dit is te lang. Gebruik hoogstens {most} tekens."),
            format!("This is too long. Use at most {most} characters."),
        ),
        Some(_) => mistakes.add(
            field,
            "character",
            "Hier staat een teken dat niet mag.",
            "This holds a character that is not allowed.",
        ),
    }
}

fn count(persons: usize, purpose: Option<&PurposeChoice>, mistakes: &mut Mistakes) {
    if persons == 0 {
        mistakes.add(
            Field::Persons,
            "persons_missing",
            "Vul in over wie u vraagt.",
            "Fill in whom you ask about.",
        );
    }
    let most = purpose.map_or(MOST_PERSONS, |purpose| purpose.max_persons);
    if persons > most {
        mistakes.add(
            Field::Persons,
            "persons_too_many",
            format!("Een vraag voor dit doel gaat over hoogstens {most} personen."),
            format!("A question for this purpose is about at most {most} persons."),
        );
    }
}

fn number(
    place: usize,
    person: &AskedFor,
    admission: &Admission,
    seen: &mut Vec<Number>,
    mistakes: &mut Mistakes,
) {
    let field = Field::Number(place);
    if person.number.trim().is_empty() {
        let what = match person.kind {
            NumberKind::Bsn => "BSN",
            NumberKind::Skn => "SKN",
        };
        mistakes.add(
            field,
            "number_missing",
            format!("Vul het {what} in."),
            format!("Fill in the {what}."),
        );
        return;
    }
    let number = match person.kind {
        NumberKind::Bsn => match Bsn::parse(&person.number, admission) {
            Ok(bsn) => Number::Bsn(bsn),
            Err(error) => {
                let (nl, en) = bsn_texts(error);
                return mistakes.add(field, error.code(), nl, en);
            }
        },
        NumberKind::Skn => match Skn::parse(&person.number) {
            Ok(skn) => Number::Skn(skn),
            Err(error) => {
                return mistakes.add(
                    field,
                    error.code(),
                    "Dit SKN klopt niet. Controleer elk cijfer.",
                    "This SKN is not right. Check each digit.",
                );
            }
        },
    };
    if seen.contains(&number) {
        mistakes.add(
            field,
            "number_twice",
            "Deze persoon staat al in uw vraag.",
            "This person is in your question already.",
        );
    }
    seen.push(number);
}

fn bsn_texts(error: BsnError) -> (&'static str, &'static str) {
    match error {
        BsnError::Character => (
            "Een BSN heeft alleen cijfers. Haal andere tekens weg.",
            "A BSN has digits only. Remove other characters.",
        ),
        BsnError::Length => ("Een BSN heeft 9 cijfers.", "A BSN has 9 digits."),
        BsnError::TestRange => (
            "Dit is een testnummer. Daarmee kunt u hier niet vragen.",
            "This is a test number. It cannot be used here.",
        ),
        BsnError::NotTestRange => (
            "Dit is geen testnummer. Deze omgeving werkt alleen met testnummers.",
            "This is no test number. This installation takes test numbers only.",
        ),
        _ => (
            "Dit BSN klopt niet. Controleer elk cijfer.",
            "This BSN is not right. Check each digit.",
        ),
    }
}

fn reference(place: usize, person: &AskedFor, mistakes: &mut Mistakes) -> Option<String> {
    let text = person
        .reference
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())?;
    let problem = if text.chars().count() > MOST_REFERENCE {
        Some(TextError::TooLong(MOST_REFERENCE))
    } else if text.chars().any(char::is_control) {
        Some(TextError::Character)
    } else {
        None
    };
    line(Field::Reference(place), text, problem, mistakes);
    Some(text.to_owned())
}

/// From the birth date, or the class if that is all that is known. Both must agree.
fn age(place: usize, person: &AskedFor, today: Date, mistakes: &mut Mistakes) -> Option<Age> {
    let birth = person
        .birth_date
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let Some(birth) = birth else {
        if person.class.is_none() {
            mistakes.add(
                Field::Birth(place),
                "age_missing",
                "Vul de geboortedatum in, of kies minderjarig of volwassen.",
                "Fill in the birth date, or choose minor or adult.",
            );
        }
        return person.class.map(|class| Age::of_class(class.into()));
    };
    match age_on(today, birth) {
        Ok(age)
            if person
                .class
                .is_none_or(|class| class == ClassWord::from(age.class)) =>
        {
            Some(age)
        }
        Ok(_) => {
            mistakes.add(
                Field::Class(place),
                "age_differs",
                "Dit past niet bij de geboortedatum. Controleer welke van de twee klopt.",
                "This does not fit the birth date. Check which of the two is right.",
            );
            None
        }
        Err(problem) => {
            let (nl, en) = match problem {
                IssueKind::DatePartial => (
                    "Deze geboortedatum is niet compleet. Maak het veld leeg en kies minderjarig of volwassen.",
                    "This birth date is not complete. Empty the field and choose minor or adult.",
                ),
                IssueKind::DateImplausible => ("Deze geboortedatum kan niet.", "This birth date cannot be."),
                _ => (
                    "Schrijf de geboortedatum als dag-maand-jaar, zoals 31-01-2010.",
                    "Write the birth date as day-month-year, such as 31-01-2010.",
                ),
            };
            mistakes.add(Field::Birth(place), problem.code(), nl, en);
            None
        }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
