//! Screening: one question for each household of a list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_service::exit;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::control::{Ask, AskPerson, Client, NumberKind, Reply, Request};
use crate::failure::Failure;
use crate::language::Language;
use crate::source::households::{Household, HouseholdOutcome};
use crate::view::{IssueView, PartnerView, PersonView, StatusWord, refusal_text, table};

/// How many questions are under way at once.
const AT_ONCE: usize = 8;
/// How often a question that could not be asked is tried, with a pause before each further try.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What is the same for every question of a screening.
#[derive(Clone, Debug)]
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

/// Asks about every household of a list; `done` hears how many persons have been dealt with.
pub async fn screen(
    client: Arc<Client>,
    frame: &Frame,
    list: &HouseholdOutcome,
    done: impl Fn(usize),
) -> ScreeningReport {
    let households = &list.households;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (place, household) in households.iter().enumerate() {
        let (client, slots) = (Arc::clone(&client), Arc::clone(&slots));
        let (ask, count) = (question(frame, household), household.persons.len());
        tasks.spawn(async move {
            // The semaphore is never closed; were it, all would run at once.
            let _slot = slots.acquire_owned().await.ok();
            (place, ask_patiently(&client, ask, count).await)
        });
    }
    let mut results: Vec<Vec<ScreenResult>> = vec![Vec::new(); households.len()];
    let mut finished = 0;
    while let Some(joined) = tasks.join_next().await {
        let Ok((place, result)) = joined else { continue };
        finished += result.len();
        results[place] = result;
        done(finished);
    }
    let households: Vec<_> = households
        .iter()
        .zip(results)
        .map(|(household, results)| view(household, results))
        .collect();
    let mut totals = totals(&households);
    // Also rows that name no household.
    totals.bad_rows = usize::try_from(list.issue_count).unwrap_or(usize::MAX);
    let issues = list.issues.iter().map(IssueView::from).collect();
    ScreeningReport {
        totals,
        issues,
        households,
    }
}

fn question(frame: &Frame, household: &Household) -> Ask {
    let persons = household
        .persons
        .iter()
        .map(|person| AskPerson {
            kind: NumberKind::Bsn,
            // Canonical numbers are ASCII digits.
            number: String::from_utf8_lossy(person.identifier.expose_secret())
                .into_owned()
                .into(),
            class: person.class.into(),
        })
        .collect();
    Ask {
        purpose: frame.purpose.clone(),
        case: frame.case.clone(),
        user: frame.user.clone(),
        role: frame.role.clone(),
        responsible: frame.responsible.clone(),
        persons,
    }
}

async fn ask_patiently(client: &Client, ask: Ask, count: usize) -> Vec<ScreenResult> {
    if count == 0 {
        return Vec::new();
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let reply = client.call(Request::Ask(ask.clone()), Arc::new(|_| ())).await;
        let failure = match reply {
            Ok(Reply::Asked(answer)) if answer.persons.len() == count => {
                return answer.persons.into_iter().map(ScreenResult::Answer).collect();
            }
            Ok(Reply::Failed(failure)) => failure,
            Ok(_) => Failure::node("unexpected reply"),
            Err(error) => Failure::node(&error.to_string()),
        };
        if failure.exit != exit::UNREACHABLE || tries == TRIES {
            return vec![ScreenResult::NotAsked(failure); count];
        }
        tokio::time::sleep(PAUSE * tries).await;
    }
}

fn view(household: &Household, results: Vec<ScreenResult>) -> HouseholdView {
    let mut results = results.into_iter();
    let persons = household
        .persons
        .iter()
        .map(|person| ScreenedPerson {
            row: person.row,
            label: person.reference.as_deref().map(str::to_owned),
            result: results
                .next()
                .unwrap_or_else(|| ScreenResult::NotAsked(Failure::node("task stopped"))),
        })
        .collect();
    HouseholdView {
        household: household.name.to_string(),
        bad_rows: household.bad_rows.clone(),
        persons,
    }
}

fn totals(households: &[HouseholdView]) -> Totals {
    let mut totals = Totals {
        households: households.len(),
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
        format!("{out}\n{more}{}", self.totals.text(language, &columns))
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

    fn partner_columns(&self) -> Vec<(String, String)> {
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
