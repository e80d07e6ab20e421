//! Letters from a template: a text with `{{fields}}`.

use jiff::civil::Date;

use super::entry::{Addressee, Kind};
use super::task::{NotificationReply, NotificationView};
use crate::language::Language;

/// The fields that a template may name, and what they stand for in Dutch and English.
pub const FIELDS: [(&str, &str, &str); 13] = [
    ("id", "nummer van de kennisgeving", "number of the notification"),
    (
        "reference",
        "eigen kenmerk van de persoon",
        "own reference of the person",
    ),
    (
        "number",
        "BSN, alleen met keep_number",
        "BSN, only with keep_number",
    ),
    ("case", "casus", "case"),
    ("purpose", "doel", "purpose"),
    ("legal_basis", "grondslag", "legal basis"),
    (
        "processing_activity",
        "adres in het verwerkingenregister",
        "address in the register of processing activities",
    ),
    (
        "since",
        "dag van de vraag of van het einde",
        "day of the question or of the end",
    ),
    ("last_day", "uiterste dag", "last day"),
    ("today", "vandaag", "today"),
    (
        "organisation",
        "naam van deze organisatie",
        "name of this organisation",
    ),
    (
        "contact",
        "contact van deze organisatie",
        "contact of this organisation",
    ),
    ("addressee", "aan wie", "to whom"),
];

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A field that is none of [`FIELDS`].
    #[error("line {line}: there is no field '{name}'")]
    Field {
        /// Line, from 1.
        line: usize,
        /// What stands there, shortened.
        name: String,
    },
    /// `{{` without `}}` on the same line.
    #[error("line {line}: a field is not closed by }}}}")]
    NotClosed {
        /// Line, from 1.
        line: usize,
    },
}

impl TemplateError {
    /// The message in Dutch.
    pub fn text_nl(&self) -> String {
        match self {
            Self::Field { line, name } => format!("regel {line}: er is geen veld '{name}'"),
            Self::NotClosed { line } => format!("regel {line}: een veld is niet gesloten met }}}}"),
        }
    }
}

/// A template whose fields all exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(&'static str),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] names the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        for (line, text) in (1..).zip(text.split_inclusive('\n')) {
            let mut rest = text;
            while let Some((before, after)) = rest.split_once("{{") {
                let (name, after) = after.split_once("}}").ok_or(TemplateError::NotClosed { line })?;
                let found = FIELDS.iter().find(|(field, ..)| *field == name.trim());
                let (field, ..) = found.ok_or_else(|| TemplateError::Field {
                    line,
                    name: name.trim().chars().take(40).collect(),
                })?;
                pieces.push(Piece::Text(before.to_owned()));
                pieces.push(Piece::Field(field));
                rest = after;
            }
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The letter for one notification. A value with several lines comes as one.
    pub fn fill(&self, letter: &NotificationView, reply: &NotificationReply, language: Language) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Field(field) => {
                    let value = value(field, letter, reply, language);
                    text.extend(value.chars().map(
                        |character| {
                            if character.is_control() { ' ' } else { character }
                        },
                    ));
                }
            }
        }
        text
    }
}

/// Name of the file in a folder of templates that is for this notification.
pub fn template_name(kind: Kind, addressee: Addressee) -> String {
    format!("{}-{}.txt", kind.word(), addressee.word())
}

/// What a field of one notification says.
pub(super) fn value(
    field: &str,
    letter: &NotificationView,
    reply: &NotificationReply,
    language: Language,
) -> String {
    match field {
        "id" => letter.id.to_string(),
        "reference" => letter.reference.clone().unwrap_or_default(),
        "number" => letter
            .number
            .as_ref()
            .map_or_else(String::new, |number| number.expose_secret().to_owned()),
        "case" => letter.case.clone(),
        "purpose" => letter.purpose_title.clone(),
        "legal_basis" => letter.legal_basis.clone(),
        "processing_activity" => letter.processing_activity.clone(),
        "since" => day(letter.since, language),
        "last_day" => letter
            .last_day
            .map_or_else(String::new, |date| day(date, language)),
        "today" => day(reply.today, language),
        "organisation" => reply.organisation.clone(),
        "contact" => reply.contact.clone(),
        _ => addressee(letter.addressee, language).to_owned(),
    }
}

/// An addressee in words.
pub fn addressee(addressee: Addressee, language: Language) -> &'static str {
    match addressee {
        Addressee::Representative => language.pick("wettelijk vertegenwoordiger", "legal representative"),
        Addressee::Both => language.pick(
            "betrokkene en wettelijk vertegenwoordiger",
            "the person and the legal representative",
        ),
        Addressee::Person => language.pick("betrokkene", "the person"),
    }
}

/// A day as letters write it: `31 januari 2026`.
pub(super) fn day(date: Date, language: Language) -> String {
    const NL: [&str; 12] = [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ];
    const EN: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let month = usize::try_from(date.month() - 1).unwrap_or(0);
    let names = match language {
        Language::Nl => NL,
        Language::En => EN,
    };
    format!(
        "{} {} {}",
        date.day(),
        names.get(month).unwrap_or(&""),
        date.year()
    )
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::entry::State;
    use super::*;
    use crate::control::ClassWord;
    use crate::source::AgeBracket;

    fn letter() -> (NotificationView, NotificationReply) {
        let view = NotificationView {
            id: 3,
            kind: Kind::Entry,
            case: "ZK-1".into(),
            reference: Some("K-7\nmet regel".into()),
            number: None,
            addressee: Addressee::Both,
            class: ClassWord::Minor,
            age: AgeBracket::From12,
            purpose: "screening".into(),
            purpose_title: "Screening".into(),
            legal_basis: "wet".into(),
            processing_activity: "https://example.nl/1".into(),
            since: date(2026, 1, 31),
            due: date(2026, 2, 28),
            last_day: Some(date(2026, 2, 28)),
            overdue: false,
            state: State::Due,
            history: Vec::new(),
        };
        let reply = NotificationReply {
            today: date(2026, 2, 1),
            organisation: "Veiligheidshuis".into(),
            contact: "loket".into(),
            notifications: Vec::new(),
        };
        (view, reply)
    }

    #[test]
    fn fields_are_filled() {
        let (view, reply) = letter();
        let template =
            Template::parse("Aan: {{addressee}}\n{{ reference }}: {{since}} tot {{last_day}}{{number}}.\n")
                .unwrap();
        assert_eq!(
            template.fill(&view, &reply, Language::Nl),
            "Aan: betrokkene en wettelijk vertegenwoordiger\nK-7 met regel: 31 januari 2026 tot 28 februari 2026.\n"
        );
        // A value that looks like a field is only text.
        let mut odd = view;
        odd.reference = Some("{{case}}".into());
        assert!(
            template
                .fill(&odd, &reply, Language::En)
                .contains("{{case}}: 31 January 2026")
        );
        for (field, ..) in FIELDS {
            assert!(Template::parse(&format!("{{{{{field}}}}}")).is_ok(), "{field}");
        }
    }

    #[test]
    fn a_wrong_template_is_named_by_line() {
        let name = "bsn".to_owned();
        assert_eq!(
            Template::parse("a\n{{bsn}}").unwrap_err(),
            TemplateError::Field { line: 2, name }
        );
        assert_eq!(
            Template::parse("a\nb\n{{case").unwrap_err(),
            TemplateError::NotClosed { line: 3 }
        );
        assert_eq!(
            Template::parse("{{case\n}}").unwrap_err().to_string(),
            "line 1: a field is not closed by }}"
        );
    }
}
