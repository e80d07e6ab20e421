//! The form: what was typed in it, but for the numbers, and what is wrong with it.

use std::collections::HashMap;

use hitmachine_node::control::{ClassWord, NumberKind};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::fields::Fields;
use crate::jobs::ask::{Again, AskedFor, Asking, BSN_IN_TEXT, Field, MOST_PERSONS, Mistake, PurposeChoice};
use crate::page::Page;
use crate::problem::Problem;

/// What was typed, without any number: it can be shown again.
pub(crate) struct Typed {
    pub(super) form: Uuid,
    pub(super) purpose: String,
    pub(super) case: String,
    pub(super) responsible: String,
    pub(super) rows: Vec<Row>,
    /// A question that was asked before, of which nobody knows what came of it.
    pub(super) fetches: bool,
    /// A question that was asked before is asked anew.
    pub(super) again: bool,
}

/// One person, without the number.
#[derive(Clone, Default)]
pub(super) struct Row {
    pub(super) birth: String,
    pub(super) class: String,
    pub(super) reference: String,
}

fn bounded(rows: usize) -> usize {
    rows.clamp(1, MOST_PERSONS)
}

impl Typed {
    /// An empty form.
    pub(super) fn new(rows: usize) -> Self {
        Self {
            form: Uuid::new_v4(),
            purpose: String::new(),
            case: String::new(),
            responsible: String::new(),
            rows: vec![Row::default(); bounded(rows)],
            fetches: false,
            again: false,
        }
    }

    /// Filled in as a question that was asked before.
    pub(super) fn again(again: Again) -> Self {
        let rows = again.persons.into_iter().map(|person| Row {
            birth: String::new(),
            class: class_word(person.class).to_owned(),
            reference: person.reference.unwrap_or_default(),
        });
        Self {
            form: again.form,
            purpose: again.purpose,
            case: again.case,
            responsible: again.responsible.unwrap_or_default(),
            rows: rows.collect(),
            fetches: again.fetches,
            again: !again.fetches,
        }
    }

    /// What a form sent.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        let form = fields.need("form")?.parse().map_err(|_| Problem::malformed())?;
        let rows = bounded(fields.get("rows").parse().unwrap_or(1));
        Ok(Self {
            form,
            ..Self::filled(fields, rows)
        })
    }

    /// The same for a form that is to be shown as a new one.
    pub(super) fn filled(fields: &Fields, rows: usize) -> Self {
        let row = |n: usize| Row {
            birth: fields.get(&format!("birth-{n}")).to_owned(),
            class: fields.get(&format!("class-{n}")).to_owned(),
            reference: fields.get(&format!("reference-{n}")).to_owned(),
        };
        Self {
            purpose: fields.get("purpose").to_owned(),
            case: fields.get("case").to_owned(),
            responsible: fields.get("responsible").to_owned(),
            rows: (1..=bounded(rows)).map(row).collect(),
            ..Self::new(1)
        }
    }

    /// The question, with the numbers from the form.
    pub(crate) fn asking(&self, fields: &Fields) -> Asking {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let persons = self.rows.iter().zip(1..).map(|(row, n)| AskedFor {
            kind: NumberKind::Bsn,
            number: Zeroizing::new(fields.get(&format!("number-{n}")).to_owned()),
            birth_date: text(&row.birth),
            class: match row.class.as_str() {
                "minor" => Some(ClassWord::Minor),
                "adult" => Some(ClassWord::Adult),
                _ => None,
            },
            reference: text(&row.reference),
        });
        Asking {
            form: self.form,
            purpose: self.purpose.clone(),
            case: self.case.clone(),
            responsible: text(&self.responsible),
            persons: persons.collect(),
        }
    }
}

fn class_word(class: ClassWord) -> &'static str {
    match class {
        ClassWord::Minor => "minor",
        ClassWord::Adult => "adult",
    }
}

/// A purpose to choose.
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) code: String,
    pub(super) title: String,
    pub(super) legal_basis: String,
    /// Names of who is consulted.
    pub(super) consults: String,
    /// Names of who is told of a hit.
    pub(super) told: String,
    pub(super) chosen: bool,
}

#[derive(askama::Template)]
#[template(path = "ask.html")]
pub(super) struct AskPage {
    page: Page,
    choices: Vec<Choice>,
    typed: Typed,
    /// The most persons for any of the purposes.
    most: usize,
    /// Ids of fields and what is wrong with them, in the order of the page.
    errors: Vec<(String, String)>,
    by_field: HashMap<String, String>,
    /// Whether this is what was typed before the session ended.
    restored: bool,
}

#[derive(askama::Template)]
#[template(path = "ask_used.html")]
pub(super) struct UsedPage {
    pub(super) page: Page,
    /// Where the form's answer is; empty if it is somebody else's.
    pub(super) answer: String,
}

impl AskPage {
    pub(super) fn new(page: Page, purposes: Vec<PurposeChoice>, typed: Typed) -> Self {
        let only = purposes.len() == 1;
        let most = purposes
            .iter()
            .map(|purpose| purpose.max_persons)
            .max()
            .unwrap_or(1);
        let choices = purposes.into_iter().enumerate().map(|(place, purpose)| Choice {
            id: match place {
                0 => "purpose".to_owned(),
                place => format!("purpose-{}", place + 1),
            },
            chosen: only || purpose.code == typed.purpose,
            consults: names(&purpose, |_| true),
            told: names(&purpose, |told| told),
            code: purpose.code,
            title: purpose.title,
            legal_basis: purpose.legal_basis,
        });
        Self {
            choices: choices.collect(),
            page,
            typed,
            most,
            errors: Vec::new(),
            by_field: HashMap::new(),
            restored: false,
        }
    }

    /// Says that the session had ended, and that what was typed is still there.
    pub(super) fn restored(mut self, restored: bool) -> Self {
        self.restored = restored;
        self
    }

    pub(super) fn wrong(
        page: Page,
        purposes: Vec<PurposeChoice>,
        typed: Typed,
        mistakes: &[Mistake],
    ) -> Self {
        let mut page = Self::new(page, purposes, typed);
        // What reads as a BSN is not shown again, wherever it was typed.
        for mistake in mistakes.iter().filter(|mistake| mistake.code == BSN_IN_TEXT) {
            match mistake.field {
                Field::Case => page.typed.case.clear(),
                Field::Responsible => page.typed.responsible.clear(),
                Field::Reference(place) => page.typed.rows[place].reference.clear(),
                _ => {}
            }
        }
        let persons = page.typed.rows.len();
        for mistake in mistakes {
            let text = page
                .page
                .language
                .pick(&mistake.text_nl, &mistake.text_en)
                .to_owned();
            let (id, place) = field_id(mistake.field);
            let said = match place {
                Some(n) if persons > 1 => page.page.t2("ask.error_of_person", n, &text),
                _ => text.clone(),
            };
            page.errors.push((id.clone(), said));
            page.by_field.entry(id).or_insert(text);
        }
        page
    }

    /// What is wrong with a field; empty if nothing.
    fn error(&self, field: &str) -> &str {
        self.by_field.get(field).map_or("", String::as_str)
    }

    /// The same for a field of a person.
    fn error_of(&self, field: &str, n: impl std::fmt::Display) -> &str {
        self.error(&format!("{field}-{n}"))
    }

    /// For `aria-describedby`: the ids of help and error that are there.
    fn described(&self, field: &str, n: impl std::fmt::Display, helped: bool) -> String {
        let id = format!("{field}-{n}");
        let mut ids = Vec::new();
        if helped {
            ids.push(format!("{id}-help"));
        }
        if !self.error(&id).is_empty() {
            ids.push(format!("{id}-error"));
        }
        ids.join(" ")
    }

    /// How many persons may be chosen.
    fn counts(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.most.max(self.typed.rows.len())
    }

    /// Whether the numbers must be typed once more.
    fn retype(&self) -> bool {
        !self.errors.is_empty() || self.typed.fetches || self.typed.again || self.restored
    }
}

fn names(purpose: &PurposeChoice, wanted: impl Fn(bool) -> bool) -> String {
    let names = purpose
        .consults
        .iter()
        .filter(|partner| wanted(partner.told_of_hits));
    names
        .map(|partner| partner.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The id of a field in the page, and the person's number from 1 if it is of one.
fn field_id(field: Field) -> (String, Option<usize>) {
    let of = |name: &str, place: usize| (format!("{name}-{}", place + 1), Some(place + 1));
    match field {
        Field::Purpose => ("purpose".to_owned(), None),
        Field::Case => ("case".to_owned(), None),
        Field::Responsible => ("responsible".to_owned(), None),
        Field::Persons => ("rows".to_owned(), None),
        Field::Number(place) => of("number", place),
        Field::Birth(place) => of("birth", place),
        Field::Class(place) => of("class", place),
        Field::Reference(place) => of("reference", place),
    }
}
