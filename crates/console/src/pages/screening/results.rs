//! The table of a screening: a row for each person, filtered and in pages.

use hitmachine_core::PartnerStatus;
use hitmachine_node::language::Language;
use hitmachine_node::screen::{HouseholdView, ScreenResult, ScreenedPerson, ScreeningReport};
use hitmachine_node::view::{PartnerView, StatusWord, refusal_text};

use super::new::sentence;
use crate::page::Page;
use crate::texts;

/// Persons on one page.
const ON_PAGE: usize = 50;

/// Which persons are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Filter {
    /// Everybody.
    #[default]
    All,
    /// Those who are known somewhere.
    Known,
    /// Those about whom somebody could not be asked.
    NotAsked,
}

impl Filter {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::All, Self::Known, Self::NotAsked];

    /// Of an address.
    pub(super) fn of(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|filter| filter.word() == word)
            .unwrap_or_default()
    }

    /// In an address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Known => "known",
            Self::NotAsked => "not-asked",
        }
    }

    fn takes(self, person: &ScreenedPerson) -> bool {
        let has = |status| match &person.result {
            ScreenResult::Answer(answer) => answer.partners.iter().any(|row| row.status == status),
            ScreenResult::NotAsked(_) => false,
        };
        match self {
            Self::All => true,
            Self::Known => has(StatusWord::Known),
            Self::NotAsked => {
                let answered =
                    matches!(&person.result, ScreenResult::Answer(answer) if answer.refused.is_none());
                !answered || has(StatusWord::CouldNotAsk)
            }
        }
    }
}

/// What one organisation says of a person.
pub(super) struct Cell {
    pub(super) class: &'static str,
    pub(super) text: &'static str,
    pub(super) contact: Option<String>,
}

/// A person.
pub(super) struct Row {
    pub(super) household: String,
    /// Rows of the household that were left out.
    pub(super) incomplete: String,
    /// Of the list.
    pub(super) number: u64,
    pub(super) label: String,
    pub(super) cells: Vec<Option<Cell>>,
    /// Why there is no answer.
    pub(super) without: Option<String>,
    /// Entry of the log, from 1.
    pub(super) entry: Option<u64>,
}

/// A filter as a link.
pub(super) struct Tab {
    pub(super) word: &'static str,
    pub(super) text: &'static str,
    pub(super) count: usize,
    pub(super) here: bool,
}

/// A page of the table.
pub(super) struct Results {
    pub(super) partners: Vec<String>,
    pub(super) tabs: Vec<Tab>,
    pub(super) filter: Filter,
    pub(super) rows: Vec<Row>,
    pub(super) page: usize,
    pub(super) pages: usize,
}

impl Results {
    /// A page of a report, from 1; a page beyond the last is the last.
    pub(super) fn of(report: &ScreeningReport, filter: Filter, number: usize, page: &Page) -> Self {
        let columns = report.partner_columns();
        let persons = || {
            let households = report.households.iter();
            households.flat_map(|household| household.persons.iter().map(move |person| (household, person)))
        };
        let tabs = Filter::ALL.map(|each| Tab {
            word: each.word(),
            text: match each {
                Filter::All => page.t("screening.filter_all"),
                Filter::Known => page.t("screening.filter_known"),
                Filter::NotAsked => page.t("screening.filter_not_asked"),
            },
            count: persons().filter(|(_, person)| each.takes(person)).count(),
            here: each == filter,
        });
        let shown = persons().filter(|(_, person)| filter.takes(person)).count();
        let pages = shown.div_ceil(ON_PAGE).max(1);
        let number = number.clamp(1, pages);
        let rows = persons()
            .filter(|(_, person)| filter.takes(person))
            .skip((number - 1) * ON_PAGE)
            .take(ON_PAGE)
            .map(|(household, person)| row(household, person, &columns, page.language));
        Self {
            rows: rows.collect(),
            partners: columns.iter().map(|(_, name)| name.clone()).collect(),
            tabs: tabs.into(),
            filter,
            page: number,
            pages,
        }
    }
}

fn row(
    household: &HouseholdView,
    person: &ScreenedPerson,
    columns: &[(String, String)],
    language: Language,
) -> Row {
    let (without, partners, entry) = match &person.result {
        ScreenResult::NotAsked(failure) => (Some(sentence(failure.text(language))), &[][..], None),
        ScreenResult::Answer(answer) => (
            answer
                .refused
                .as_deref()
                .map(|code| sentence(refusal_text(code, language))),
            answer.partners.as_slice(),
            Some(answer.log_index.saturating_add(1)),
        ),
    };
    let cell = |(id, _): &(String, String)| {
        let row = partners.iter().find(|row| row.partner == *id);
        row.map(|row| cell(row, language))
    };
    let left: Vec<_> = household.bad_rows.iter().map(u64::to_string).collect();
    Row {
        household: household.household.clone(),
        incomplete: left.join(", "),
        number: person.row,
        label: person.label.clone().unwrap_or_default(),
        cells: columns.iter().map(cell).collect(),
        without,
        entry,
    }
}

/// A status as badge and words.
fn cell(row: &PartnerView, language: Language) -> Cell {
    Cell {
        class: match row.status {
            StatusWord::Known => "status--known",
            StatusWord::NotKnown => "status--not-known",
            StatusWord::CouldNotAsk => "status--could-not-ask",
            StatusWord::DoesNotApply => "status--does-not-apply",
        },
        text: match row.status {
            // In full it would make every column wide.
            StatusWord::DoesNotApply => texts::text(language, "screening.does_not_apply"),
            status => language.status(PartnerStatus::from(status)),
        },
        contact: row.contact.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hitmachine_node::failure::Failure;
    use hitmachine_node::view::PersonView;

    fn person(result: ScreenResult) -> ScreenedPerson {
        ScreenedPerson {
            row: 2,
            label: None,
            covenant: None,
            result,
        }
    }

    fn answer(refused: Option<&str>, statuses: &[StatusWord]) -> ScreenedPerson {
        let partners = statuses.iter().map(|status| PartnerView {
            partner: "p".into(),
            name: "P".into(),
            status: *status,
            contact: None,
        });
        person(ScreenResult::Answer(PersonView {
            log_index: 0,
            refused: refused.map(Into::into),
            retry_at: None,
            partners: partners.collect(),
        }))
    }

    #[test]
    fn who_could_not_be_asked_about_is_never_left_out_of_that_filter() {
        use StatusWord::{CouldNotAsk, DoesNotApply, Known, NotKnown};
        let failure = Failure {
            code: "not_asked_yet".into(),
            exit: 1,
            text_en: String::new(),
            text_nl: String::new(),
        };
        for (person, known, not_asked) in [
            (person(ScreenResult::NotAsked(failure)), false, true),
            (answer(Some("over_quota"), &[]), false, true),
            (answer(None, &[NotKnown, CouldNotAsk]), false, true),
            (answer(None, &[Known, CouldNotAsk]), true, true),
            (answer(None, &[Known, NotKnown]), true, false),
            (answer(None, &[NotKnown, DoesNotApply]), false, false),
        ] {
            assert!(Filter::All.takes(&person));
            assert_eq!(Filter::Known.takes(&person), known, "{person:?}");
            assert_eq!(Filter::NotAsked.takes(&person), not_asked, "{person:?}");
        }
    }
}
