//! Asking about a person or a household, and reading the answer again.
//!
//! One form, one question, one entry in the log: see `forms`. What is wrong with a question as typed is said field by field
//! before anything is sent: see `check`.

pub(crate) mod check;
mod first;
mod forms;
mod list;

use axum::http::StatusCode;
use hitmachine_core::covenant::Answers;
use hitmachine_core::volume::local;
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_node::ask::AskError;
use hitmachine_node::control::{ClassWord, NumberKind};
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::check::checked;
pub use self::check::{BSN_IN_TEXT, Field, Mistake};
use self::first::First;
pub(crate) use self::forms::Asked;
use self::forms::Begun;
pub use self::list::{Filter, HistoryPage, PAGE, history};
use crate::app::App;
use crate::caller::Asker;
use crate::kept::{Kept, KeptPerson, Outcome, Row};
use crate::problem::Problem;

/// The most persons in one question, whatever the covenant says.
pub const MOST_PERSONS: usize = 64;

/// A purpose that somebody may ask for.
#[derive(Clone, Debug, Serialize)]
pub struct PurposeChoice {
    /// Short name.
    pub code: String,
    /// Name as people know it.
    pub title: String,
    /// Lawful basis in words.
    pub legal_basis: String,
    /// URI of the processing activity in the public register.
    pub processing_activity: String,
    /// Who is consulted, in the order in which answers list them.
    pub consults: Vec<Consulted>,
    /// The most persons in one question.
    pub max_persons: usize,
    /// The most persons in one screening of a list.
    pub max_screening: u32,
    /// Whether an answer waits until partners have confirmed its log entry.
    pub strict: bool,
}

/// An organisation that is consulted.
#[derive(Clone, Debug, Serialize)]
pub struct Consulted {
    /// Short name.
    pub partner: String,
    /// Name as people know it.
    pub name: String,
    /// Whether it answers each question itself.
    pub live: bool,
    /// Whether it is told who asked, if the person is known there.
    pub told_of_hits: bool,
}

/// A question as typed.
pub struct Asking {
    /// The form's own id, random: the same form sent twice is one question.
    pub form: Uuid,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// On whose behalf.
    pub responsible: Option<String>,
    /// About whom.
    pub persons: Vec<AskedFor>,
}

/// One person as typed.
pub struct AskedFor {
    /// Which number.
    pub kind: NumberKind,
    /// The number.
    pub number: Zeroizing<String>,
    /// Birth date, `dd-mm-jjjj` or `jjjj-mm-dd`.
    pub birth_date: Option<String>,
    /// Minor or adult, if the birth date is not known; if both are said they must agree.
    pub class: Option<ClassWord>,
    /// The asker's own reference of the person; it stays at this node.
    pub reference: Option<String>,
}

/// Why a question was not asked.
#[derive(Debug)]
pub enum NotAsked {
    /// Fields are wrong. Nothing was sent.
    Mistakes(Vec<Mistake>),
    /// Something else.
    Problem(Problem),
}

impl From<Problem> for NotAsked {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<NotAsked> for Problem {
    /// The first mistake stands for all.
    fn from(not: NotAsked) -> Self {
        match not {
            NotAsked::Problem(problem) => problem,
            NotAsked::Mistakes(mistakes) => {
                mistakes.into_iter().next().map_or_else(Self::malformed, |first| {
                    Self::new(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        first.code,
                        first.text_nl,
                        first.text_en,
                    )
                })
            }
        }
    }
}

/// A question to ask once more: everything but the numbers.
#[derive(Clone, Debug)]
pub struct Again {
    /// The form to ask with: a new one, or the same while nobody knows what came of the question.
    pub form: Uuid,
    /// Whether the log's answer to the very same question comes back, if it has one.
    pub fetches: bool,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// On whose behalf.
    pub responsible: Option<String>,
    /// About whom.
    pub persons: Vec<KeptPerson>,
}

/// A proof as a file.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Name of the file: the entry as people count, from 1.
    pub name: String,
    /// C2SP tlog-proof: that the entry is in the log, and nothing of what it says.
    pub text: String,
}

/// Code of the problem that a form was used before.
pub const FORM_USED: &str = "form_used";

/// The form was used for another question, or by somebody else, or before this program began.
fn form_used() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        FORM_USED,
        "Met dit formulier is al een vraag gesteld. Er is niets nieuws verstuurd. Open een nieuw formulier.",
        "A question was asked with this form before. Nothing new was sent. Open a new form.",
    )
}

/// What this caller may ask for: what the covenant grants this organisation and this role, within the caller's own limits.
///
/// # Errors
/// [`Problem`] if there is no covenant yet.
pub async fn purposes(app: &App, asker: &Asker<'_>) -> Result<Vec<PurposeChoice>, Problem> {
    let covenant = app.covenant().await?;
    let own: PartnerId = app
        .node()
        .config()
        .partner
        .parse()
        .map_err(|error| Problem::node(&error))?;
    Ok(granted(&covenant, &own, asker))
}

fn granted(covenant: &Covenant, own: &PartnerId, asker: &Asker<'_>) -> Vec<PurposeChoice> {
    let granted = covenant.purposes().iter().filter(|purpose| {
        purpose.askers.contains(own)
            && purpose.roles.iter().any(|role| role.as_str() == asker.role())
            && asker.may_ask_for(purpose.code.as_str())
    });
    let choice = granted.map(|purpose| PurposeChoice {
        code: purpose.code.to_string(),
        title: purpose.title.clone(),
        legal_basis: purpose.legal_basis.clone(),
        processing_activity: purpose.processing_activity.clone(),
        consults: purpose
            .consulted_by(own)
            .map(|id| {
                let partner = covenant.partner(id);
                Consulted {
                    partner: id.to_string(),
                    name: partner.map_or_else(|| id.to_string(), |partner| partner.name.clone()),
                    live: partner.is_some_and(|partner| partner.answers == Answers::Live),
                    told_of_hits: purpose.notifies.contains(id),
                }
            })
            .collect(),
        max_persons: purpose.max_subjects.clamp(1, MOST_PERSONS),
        max_screening: purpose.max_screening,
        strict: purpose.strict,
    });
    choice.collect()
}

/// Asks one question. The same form twice, at once or later, is one question and gets the same answer.
///
/// # Errors
/// [`NotAsked::Mistakes`] in the fields; code `form_used` (409) for the form of another question. A question that the hub
/// refused, or that could not be asked, is no error here: see [`Outcome`].
pub async fn ask(app: &App, asker: &Asker<'_>, asking: Asking) -> Result<Kept, NotAsked> {
    let purposes = purposes(app, asker).await?;
    let admission = app
        .node()
        .config()
        .admission()
        .map_err(|error| Problem::node(&error))?;
    let now = app.node().clock().now();
    let checked = checked(asker, &asking, purposes, &admission, local(now).date());
    let checked = checked.map_err(NotAsked::Mistakes)?;
    let mut answer = match app.asked().begin(asking.form, app.asked().print(&checked.ask)) {
        Begun::Used => return Err(form_used().into()),
        Begun::Again(answer) => answer,
        Begun::First(turn, answer) => {
            let first = First {
                app: app.clone(),
                form: asking.form,
                checked,
                now,
            };
            // A browser that goes away takes its request along; the question is asked all the same.
            tokio::spawn(first.ask(turn));
            answer
        }
    };
    // The other end goes away without a word only if its task stopped.
    let sent = answer
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|sent| sent.clone());
    match sent {
        Some(Ok(kept)) => Ok(*kept),
        Some(Err(problem)) => Err(problem.into()),
        None => Err(Problem::node(&AskError::Stopped).into()),
    }
}

fn row(app: &App, asker: &Asker<'_>, id: &str) -> Result<Row, Problem> {
    let id: Uuid = id.parse().map_err(|_| Problem::not_found())?;
    let row = app.asked().book.row(id)?;
    row.filter(|row| row.kept.user == asker.user())
        .ok_or_else(Problem::not_found)
}

/// A question of one's own, and what came of it.
///
/// # Errors
/// [`Problem::not_found`], also for somebody else's.
pub fn kept(app: &App, asker: &Asker<'_>, id: &str) -> Result<Kept, Problem> {
    Ok(row(app, asker, id)?.kept)
}

/// The proof that the entry about a person, counted from 0, is in the log.
///
/// # Errors
/// [`Problem::not_found`], also for somebody else's, and where there is none.
pub fn proof(app: &App, asker: &Asker<'_>, id: &str, person: usize) -> Result<Proof, Problem> {
    let mut row = row(app, asker, id)?;
    let answer = row.kept.answer().map_err(|_| Problem::not_found())?;
    let entry = answer
        .view
        .persons
        .get(person)
        .ok_or_else(Problem::not_found)?
        .log_index;
    if person >= row.proofs.len() {
        return Err(Problem::not_found());
    }
    Ok(Proof {
        name: format!("{}.tlog-proof", entry.saturating_add(1)),
        text: row.proofs.swap_remove(person),
    })
}

/// What to fill in to ask once more: everything but the numbers.
///
/// # Errors
/// [`Problem::not_found`], also for somebody else's.
pub fn ask_again(app: &App, asker: &Asker<'_>, id: &str) -> Result<Again, Problem> {
    let Row { kept, parcel, .. } = row(app, asker, id)?;
    let fetches = matches!(kept.outcome, Outcome::InDoubt(_)) && parcel.is_some();
    Ok(Again {
        form: if fetches { kept.id } else { Uuid::new_v4() },
        fetches,
        purpose: kept.purpose,
        case: kept.case,
        responsible: kept.responsible,
        persons: kept.persons,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
