//! Tries a source out: what it holds and what is wrong with it, in numbers. Never a value, and without hub or keys.

use std::collections::BTreeMap;

use hitmachine_core::SubjectClass;
use hitmachine_identifier::Admission;
use hitmachine_service::exit;
use jiff::civil::Date;
use serde::Serialize;

use super::{ClassFrom, ReadOutcome, RowIssue, Source, SourceError, header, read};
use crate::failure::Failure;
use crate::language::Language;
use crate::view::{IssueView, table};

/// What came of trying out one source.
#[derive(Clone, Debug, Serialize)]
pub struct SourceCheck {
    /// Its name.
    pub source: String,
    /// `csv`, `xlsx`, `sqlite` or `postgresql`.
    pub kind: &'static str,
    /// Whether a sync would take it, as far as can be told without the hub.
    pub usable: bool,
    /// Why it is refused, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
    /// What it holds; absent if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What a source holds.
#[derive(Clone, Debug, Serialize)]
pub struct Content {
    /// Names in the header row or of the result, shortened; those that look like data are left out.
    pub columns: Vec<String>,
    /// What the configuration reads from which column.
    pub mapping: Vec<Mapped>,
    /// Rows, without the header and without empty ones.
    pub rows: u64,
    /// Persons, each once.
    pub persons: u64,
    /// How many of them are minors.
    pub minors: u64,
    /// How many of them are adults.
    pub adults: u64,
    /// How many of them have a local reference.
    pub with_reference: u64,
    /// Rows that would be left out.
    pub bad_rows: u64,
    /// The same by column and reason, of the rows whose reason was kept.
    pub reasons: Vec<Reason>,
    /// The first of them.
    pub issues: Vec<IssueView>,
}

/// One field of `[source.columns]`.
#[derive(Clone, Debug, Serialize)]
pub struct Mapped {
    /// Name of the field.
    pub field: &'static str,
    /// The column it names.
    pub column: String,
}

/// How often a reason occurs in a column.
#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    /// The column; absent if it is about whole rows.
    pub column: Option<String>,
    /// Stable code.
    pub code: &'static str,
    /// Rows.
    pub rows: u64,
    /// In English.
    pub text_en: String,
    /// In Dutch.
    pub text_nl: &'static str,
}

/// Reads a source as a sync would and says what is in it; at most `most_issues` rows are named. `max_bad_rows` is the
/// limit of `[sync]`. Blocks.
pub fn check(
    source: &Source,
    admission: &Admission,
    today: Date,
    max_bad_rows: Option<u64>,
    most_issues: usize,
) -> SourceCheck {
    // Which classes this organisation registers stands in the covenant, which the hub has.
    let classes = [SubjectClass::Minor, SubjectClass::Adult];
    let outcome = read(source, admission, today, &classes, &mut |_, _| ());
    let (refused, content) = match outcome {
        Ok(outcome) => {
            let bad = outcome.issue_count;
            let refused = max_bad_rows
                .filter(|limit| bad > *limit)
                .map(|limit| too_many(bad, limit));
            (refused, Some(Content::new(source, &outcome, most_issues)))
        }
        Err(error) => (Some(refusal(&error)), None),
    };
    SourceCheck {
        source: source.name.clone(),
        kind: source.kind(),
        usable: refused.is_none(),
        refused,
        content,
    }
}

/// A source that cannot be used is refused; only one that cannot be reached is not.
fn refusal(error: &SourceError) -> Failure {
    let mut failure = Failure::source(error);
    if failure.exit != exit::UNREACHABLE {
        failure.exit = exit::REFUSED;
    }
    failure
}

fn too_many(bad: u64, limit: u64) -> Failure {
    Failure::new(
        "too_many_bad_rows",
        exit::REFUSED,
        format!("{bad} bad rows, more than max_bad_rows = {limit}"),
        format!("{bad} foute rijen, meer dan max_bad_rows = {limit}"),
    )
}

impl Content {
    fn new(source: &Source, outcome: &ReadOutcome, most_issues: usize) -> Self {
        let minors = outcome
            .rows
            .iter()
            .filter(|row| row.class == SubjectClass::Minor)
            .count() as u64;
        let persons = outcome.rows.len() as u64;
        Self {
            columns: outcome.names.iter().map(|name| header::shown(name)).collect(),
            mapping: mapping(source),
            rows: outcome.total_rows,
            persons,
            minors,
            adults: persons - minors,
            with_reference: outcome.rows.iter().filter(|row| row.reference.is_some()).count() as u64,
            bad_rows: outcome.issue_count,
            reasons: reasons(&outcome.issues),
            issues: outcome
                .issues
                .iter()
                .take(most_issues)
                .map(IssueView::from)
                .collect(),
        }
    }
}

fn mapping(source: &Source) -> Vec<Mapped> {
    let columns = &source.columns;
    let class = match &columns.class {
        ClassFrom::BirthDate(column) => Some(("birth_date", column)),
        ClassFrom::Column(column) => Some(("class", column)),
        ClassFrom::Fixed(_) => None,
    };
    let reference = columns.reference.as_ref().map(|column| ("reference", column));
    [Some(("identifier", &columns.identifier)), class, reference]
        .into_iter()
        .flatten()
        .map(|(field, column)| Mapped {
            field,
            column: column.clone(),
        })
        .collect()
}

fn reasons(issues: &[RowIssue]) -> Vec<Reason> {
    let mut counted: BTreeMap<(Option<&str>, &'static str), (u64, &RowIssue)> = BTreeMap::new();
    for issue in issues {
        let key = (issue.column.as_deref(), issue.code());
        counted.entry(key).or_insert((0, issue)).0 += 1;
    }
    counted
        .into_iter()
        .map(|((column, code), (rows, issue))| Reason {
            column: column.map(ToOwned::to_owned),
            code,
            rows,
            text_en: issue.kind.to_string(),
            text_nl: issue.kind.text_nl(),
        })
        .collect()
}

impl SourceCheck {
    /// As text for people.
    pub fn text(&self, language: Language) -> String {
        let verdict = if self.usable {
            language.pick("bruikbaar", "usable")
        } else {
            language.pick("GEWEIGERD", "REFUSED")
        };
        let mut text = format!("{} ({}): {verdict}\n", self.source, self.kind);
        if let Some(failure) = &self.refused {
            text.push_str(&format!("  {}\n", failure.text(language)));
        }
        if let Some(content) = &self.content {
            text.push_str(&content.text(language));
        }
        text
    }
}

impl Content {
    fn text(&self, language: Language) -> String {
        let mut counts = table(&["", language.pick("Aantal", "Number")]);
        for (nl, en, count) in [
            ("Rijen gelezen", "Rows read", self.rows),
            ("Personen", "Persons", self.persons),
            ("  minderjarig", "  minors", self.minors),
            ("  volwassen", "  adults", self.adults),
            ("  met eigen kenmerk", "  with own reference", self.with_reference),
            ("Rijen overgeslagen", "Rows left out", self.bad_rows),
        ] {
            counts.add_row([language.pick(nl, en), &count.to_string()]);
        }
        let mut text = format!("{counts}\n");
        for mapped in &self.mapping {
            text.push_str(&format!(
                "  {} = \"{}\": {}\n",
                mapped.field,
                mapped.column,
                language.pick("gevonden", "found")
            ));
        }
        text.push_str(&format!(
            "  {}: {}\n",
            language.pick("kolommen in de bron", "columns in the source"),
            self.columns.join(", ")
        ));
        if !self.reasons.is_empty() {
            let mut reasons = table(&[
                language.pick("Kolom", "Column"),
                language.pick("Reden", "Reason"),
                language.pick("Rijen", "Rows"),
            ]);
            for reason in &self.reasons {
                reasons.add_row([
                    reason
                        .column
                        .as_deref()
                        .unwrap_or(language.pick("(hele rij)", "(whole row)")),
                    language.pick(reason.text_nl, &reason.text_en),
                    &reason.rows.to_string(),
                ]);
            }
            text.push_str(&format!("{reasons}\n"));
        }
        for issue in &self.issues {
            text.push_str(&format!("  {}\n", issue.text(language)));
        }
        if self.bad_rows > self.issues.len() as u64 {
            text.push_str(language.pick("  … en meer\n", "  … and more\n"));
        }
        text
    }
}
