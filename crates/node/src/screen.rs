//! What came of a screening: results per household and person, and totals, as tables and for machines.

mod csv;
mod html;
mod shared;
mod upset;

use std::collections::BTreeMap;
use std::sync::Arc;

use hitmachine_service::exit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::{Client, Reply, Request};
use crate::failure::Failure;
use crate::language::Language;
use crate::screening::{List, OnQuota, ScreenAsk, ScreenReply, Stand, Whole};
use crate::source::households::HouseholdOutcome;
use crate::sync::Progress;
use crate::view::{IssueView, PartnerView, PersonView, StatusWord, refusal_text, table};

/// What is the same for every question of a screening.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// Who asks.
    pub user: String,
    /// In which role.
    pub role: String,
    /// On whose behalf.
    pub responsible: Option<String>,
}

/// What came of a screening.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScreeningReport {
    /// The screening's name at the node; absent if it was not even begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How it stands.
    pub stand: Stand,
    /// Why it stopped before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Failure>,
    /// When it was begun (RFC 3339).
    pub started_at: String,
    /// What was the same for every question.
    pub frame: Frame,
    /// Persons answered by number of the covenant that they were asked under; more than one if it changed meanwhile.
    pub covenants: BTreeMap<u32, usize>,
    /// Counts over the whole list.
    pub totals: Totals,
    /// Rows of the list that were left out, the first of them: never the value.
    pub issues: Vec<IssueView>,
    /// Households in the order of the list.
    pub households: Vec<HouseholdView>,
}

/// Counts over a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Households on the list.
    pub households: usize,
    /// Persons on the list with a usable number.
    pub persons: usize,
    /// Rows of the list that were left out.
    pub bad_rows: usize,
    /// Persons about whom an answer was given, proven to be in the log.
    pub answered: usize,
    /// Persons about whom the hub refused to answer.
    pub refused: usize,
    /// Persons about whom nobody could be asked.
    pub not_asked: usize,
    /// Per partner and status, the number of persons.
    pub partners: BTreeMap<String, BTreeMap<StatusWord, usize>>,
    /// Households of which every person was answered and nobody is known at any partner that could be asked.
    pub households_not_known: usize,
}

/// One household.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HouseholdView {
    /// Its name on the list.
    pub household: String,
    /// Rows of the list that were left out.
    pub bad_rows: Vec<u64>,
    /// Its persons in the order of the list.
    pub persons: Vec<ScreenedPerson>,
}

/// One person of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScreenedPerson {
    /// Row of the list.
    pub row: u64,
    /// The asker's own label.
    pub label: Option<String>,
    /// Number of the covenant that the answer was given under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covenant: Option<u32>,
    /// The answer, or why there is none.
    #[serde(flatten)]
    pub result: ScreenResult,
}

/// What came of asking about one person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreenResult {
    /// An answer or a refusal, both proven to be in the log.
    Answer(PersonView),
    /// Nobody could be asked. Never the same as not known.
    NotAsked(Failure),
}

/// Asks about every household of a list, from the beginning; `done` hears how many persons have been dealt with. What
/// fails as a whole is a report in which nobody was asked.
pub async fn screen(
    client: Arc<Client>,
    frame: &Frame,
    list: &HouseholdOutcome,
    done: impl Fn(usize) + Send + Sync + 'static,
) -> ScreeningReport {
    let ask = ScreenAsk::Start {
        frame: frame.clone(),
        list: list.into(),
        on_quota: OnQuota::Wait,
    };
    let progress = Arc::new(move |at| {
        if let Progress::Screening { done: so_far, .. } = at {
            done(usize::try_from(so_far).unwrap_or(usize::MAX));
        }
    });
    let failure = match client.call(Request::Screening(Box::new(ask)), progress).await {
        Ok(Reply::Screening(reply)) => match *reply {
            ScreenReply::Ended(report) => return report,
            _ => Failure::node("unexpected reply"),
        },
        Ok(Reply::Failed(failure)) => failure,
        Ok(_) => Failure::node("unexpected reply"),
        Err(error) => Failure::node(&error.to_string()),
    };
    ScreeningReport::of_nobody(frame, &list.into(), failure)
}

/// `bad_rows`: also those that name no household.
fn totals(households: &[HouseholdView], bad_rows: u64) -> Totals {
    let mut totals = Totals {
        households: households.len(),
        bad_rows: usize::try_from(bad_rows).unwrap_or(usize::MAX),
        ..Totals::default()
    };
    for household in households {
        totals.persons += household.persons.len();
        let mut nobody_known = !household.persons.is_empty() && household.bad_rows.is_empty();
        for person in &household.persons {
            match &person.result {
                ScreenResult::NotAsked(_) => {
                    totals.not_asked += 1;
                    nobody_known = false;
                }
                ScreenResult::Answer(answer) if answer.refused.is_some() => {
                    totals.refused += 1;
                    nobody_known = false;
                }
                ScreenResult::Answer(answer) => {
                    totals.answered += 1;
                    for row in &answer.partners {
                        let counts = totals.partners.entry(row.partner.clone()).or_default();
                        *counts.entry(row.status).or_default() += 1;
                        nobody_known &= row.status != StatusWord::Known;
                    }
                }
            }
        }
        totals.households_not_known += usize::from(nobody_known);
    }
    totals
}

impl ScreeningReport {
    /// What a node remembers of a screening; `ended` says why it stopped just now.
    pub(crate) fn of(id: &str, whole: &Whole, ended: Option<Failure>) -> Self {
        let because = whole.end.as_ref().and_then(|end| end.because.clone());
        let stopped = ended.or(because).or_else(|| whole.stopped.clone());
        let stand = whole.stand();
        let missing = stopped.clone().unwrap_or_else(not_yet);
        let results = whole.results();
        let households = whole.meta.households.iter().zip(results);
        let households: Vec<_> = households
            .map(|(household, results)| HouseholdView {
                household: household.name.clone(),
                bad_rows: household.bad_rows.clone(),
                persons: household
                    .persons
                    .iter()
                    .zip(results)
                    .map(|((row, label), result)| {
                        let (result, covenant) = match result {
                            Some((result, covenant)) => (result, Some(covenant)),
                            None => (ScreenResult::NotAsked(missing.clone()), None),
                        };
                        ScreenedPerson {
                            row: *row,
                            label: label.clone(),
                            covenant,
                            result,
                        }
                    })
                    .collect(),
            })
            .collect();
        let mut covenants = BTreeMap::new();
        for answered in &whole.answered {
            *covenants.entry(answered.covenant).or_default() += answered.persons.len();
        }
        let started = Timestamp::from_millisecond(whole.meta.started_ms).unwrap_or_default();
        Self {
            id: Some(id.to_owned()),
            stand,
            stopped: stopped.filter(|_| stand != Stand::Done),
            started_at: started.to_string(),
            frame: whole.meta.frame.clone(),
            covenants,
            totals: totals(&households, whole.meta.issue_count),
            issues: whole.meta.issues.clone(),
            households,
        }
    }

    /// A report in which nobody was asked.
    fn of_nobody(frame: &Frame, list: &List, failure: Failure) -> Self {
        let households = list.households.iter().map(|household| HouseholdView {
            household: household.name.clone(),
            bad_rows: household.bad_rows.clone(),
            persons: household
                .persons
                .iter()
                .map(|person| ScreenedPerson {
                    row: person.row,
                    label: person.label.clone(),
                    covenant: None,
                    result: ScreenResult::NotAsked(failure.clone()),
                })
                .collect(),
        });
        let households: Vec<_> = households.collect();
        Self {
            id: None,
            stand: Stand::Stopped,
            started_at: Timestamp::now().to_string(),
            frame: frame.clone(),
            covenants: BTreeMap::new(),
            totals: totals(&households, list.issue_count),
            issues: list.issues.clone(),
            households,
            stopped: Some(failure),
        }
    }

    /// The households in which somebody is known at one of these partners.
    pub fn households_known_at<'a>(
        &'a self,
        partners: &'a [&str],
    ) -> impl Iterator<Item = &'a HouseholdView> {
        self.households
            .iter()
            .filter(move |household| household.is_known_at(partners))
    }

    /// The report as text for people: a table with a row per person, and totals. `rows` bounds the table.
    pub fn text(&self, language: Language, rows: Option<usize>) -> String {
        let columns = self.partner_columns();
        let mut header = vec![
            language.pick("Huishouden", "Household"),
            language.pick("Rij", "Row"),
            language.pick("Kenmerk", "Label"),
        ];
        header.extend(columns.iter().map(|(_, name)| name.as_str()));
        let mut out = table(&header);
        let persons = self.households.iter().flat_map(|household| {
            household
                .persons
                .iter()
                .map(move |person| (household.household.as_str(), person))
        });
        for (household, person) in persons.take(rows.unwrap_or(usize::MAX)) {
            let mut cells = vec![
                household.to_owned(),
                person.row.to_string(),
                person.label.clone().unwrap_or_default(),
            ];
            match &person.result {
                ScreenResult::NotAsked(failure) => cells.push(failure.text(language).to_owned()),
                ScreenResult::Answer(PersonView {
                    refused: Some(code), ..
                }) => {
                    cells.push(refusal_text(code, language).to_owned());
                }
                ScreenResult::Answer(answer) => cells.extend(columns.iter().map(|(id, _)| {
                    let row = answer.partners.iter().find(|row| row.partner == *id);
                    row.map_or("", |row| mark(row, language)).to_owned()
                })),
            }
            out.add_row(cells);
        }
        let left = self.totals.persons.saturating_sub(rows.unwrap_or(usize::MAX));
        let more = if left == 0 {
            String::new()
        } else {
            format!(
                "{} {left} {}\n",
                language.pick("… en nog", "… and"),
                language.pick("personen", "more persons")
            )
        };
        format!(
            "{out}\n{more}{}{}",
            self.totals.text(language, &columns),
            self.end_text(language)
        )
    }

    /// Under which covenants, and why it stopped.
    fn end_text(&self, language: Language) -> String {
        let mut text = String::new();
        if self.covenants.len() > 1 {
            let parts: Vec<_> = self
                .covenants
                .iter()
                .map(|(number, persons)| format!("{number} ({persons})"))
                .collect();
            text.push_str(&format!(
                "{}: {}\n",
                language.pick(
                    "Het convenant is onderweg gewijzigd; personen per versie",
                    "The covenant changed meanwhile; persons by version"
                ),
                parts.join(", ")
            ));
        }
        if let Some(failure) = &self.stopped {
            text.push_str(&format!(
                "{}: {}\n",
                language.pick("Niet afgemaakt", "Not finished"),
                failure.text(language)
            ));
        }
        if let Some(id) = self.id.as_ref().filter(|_| self.stand == Stand::Stopped) {
            text.push_str(&format!(
                "{} hitmachine-node screen --resume {id}\n",
                language.pick("Ga verder met:", "Go on with:")
            ));
        }
        text
    }

    /// Exit code of a process that made it: of everything that came of it, the gravest.
    pub fn exit_code(&self) -> u8 {
        let persons = self.households.iter().flat_map(|household| &household.persons);
        let codes = persons.map(|person| match &person.result {
            ScreenResult::NotAsked(failure) => failure.exit,
            ScreenResult::Answer(answer) if answer.refused.is_some() => exit::REFUSED,
            ScreenResult::Answer(_) => exit::OK,
        });
        // The codes grow with what they ask for: another try, other words, patience, somebody who finds out why.
        codes.max().unwrap_or(exit::OK)
    }

    /// Every organisation of which there is an answer, by short name and by name for people, in the covenant's order.
    pub fn partner_columns(&self) -> Vec<(String, String)> {
        let answers = self.households.iter().flat_map(|household| &household.persons);
        let mut columns: Vec<(String, String)> = Vec::new();
        for person in answers {
            if let ScreenResult::Answer(answer) = &person.result {
                for row in &answer.partners {
                    if !columns.iter().any(|(id, _)| *id == row.partner) {
                        columns.push((row.partner.clone(), row.name.clone()));
                    }
                }
            }
        }
        columns
    }
}

impl HouseholdView {
    /// Whether somebody of it is known at one of these partners.
    pub fn is_known_at(&self, partners: &[&str]) -> bool {
        self.persons.iter().any(|person| match &person.result {
            ScreenResult::Answer(answer) => answer
                .partners
                .iter()
                .any(|row| row.status == StatusWord::Known && partners.contains(&row.partner.as_str())),
            ScreenResult::NotAsked(_) => false,
        })
    }
}

/// A person whose turn has not come.
fn not_yet() -> Failure {
    Failure::new(
        "not_asked_yet",
        exit::REFUSED,
        "not asked yet",
        "nog niet bevraagd",
    )
}

fn mark(row: &PartnerView, language: Language) -> &'static str {
    match row.status {
        StatusWord::Known => language.pick("● bekend", "● known"),
        StatusWord::NotKnown => "·",
        StatusWord::CouldNotAsk => language.pick("? niet bevraagd", "? not asked"),
        StatusWord::DoesNotApply => language.pick("n.v.t.", "n/a"),
    }
}

impl Totals {
    fn text(&self, language: Language, columns: &[(String, String)]) -> String {
        let mut out = table(&[
            language.pick("Instantie", "Organisation"),
            language.pick("Bekend", "Known"),
            language.pick("Niet bekend", "Not known"),
            language.pick("Niet bevraagd", "Could not be asked"),
            language.pick("N.v.t.", "Does not apply"),
        ]);
        let words = [
            StatusWord::Known,
            StatusWord::NotKnown,
            StatusWord::CouldNotAsk,
            StatusWord::DoesNotApply,
        ];
        for (id, name) in columns {
            let counts = self.partners.get(id);
            let mut cells = vec![name.clone()];
            cells.extend(words.map(|word| counts.and_then(|row| row.get(&word)).unwrap_or(&0).to_string()));
            out.add_row(cells);
        }
        let mut lines = vec![
            format!("{out}"),
            format!(
                "{}: {}   {}: {}   {}: {}",
                language.pick("Huishoudens", "Households"),
                self.households,
                language.pick("Personen", "Persons"),
                self.persons,
                language.pick(
                    "Beantwoord en bewezen vastgelegd",
                    "Answered and proven to be in the log"
                ),
                self.answered
            ),
        ];
        for (count, nl, en) in [
            (self.refused, "Geweigerd", "Refused"),
            (
                self.not_asked,
                "Niet bevraagd door een storing",
                "Could not be asked because of a failure",
            ),
            (self.bad_rows, "Rijen overgeslagen", "Rows left out"),
        ] {
            if count > 0 {
                lines.push(format!("{}: {count}", language.pick(nl, en)));
            }
        }
        lines.push(format!(
            "{}: {}",
            language.pick(
                "Huishoudens waarvan niemand bekend is",
                "Households of which nobody is known"
            ),
            self.households_not_known
        ));
        lines.join("\n") + "\n"
    }
}
