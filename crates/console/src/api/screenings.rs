//! Screening a list.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use hitmachine_core::volume::local;
use hitmachine_node::control::{AskPerson, ClassWord, NumberKind};
use hitmachine_node::screening::{
    List, ListHousehold, ListPerson, OnQuota, Plan, ScreeningState, ScreeningView,
};
use hitmachine_node::source::{Age, age_on};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::authorised::Authorised;
use super::problems::{Body, Refused};
use crate::app::App;
use crate::jobs::ask::{Field, Mistake};
use crate::jobs::screening::{self, Screening};
use crate::problem::Problem;

/// A list as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScreeningBody {
    purpose: String,
    case: String,
    responsible: Option<String>,
    #[serde(default)]
    on_quota: OnQuota,
    households: Vec<HouseholdBody>,
}

/// A household as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HouseholdBody {
    name: String,
    persons: Vec<PersonBody>,
}

/// A person as it comes: birth date or class.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonBody {
    number: Zeroizing<String>,
    birth_date: Option<String>,
    class: Option<ClassWord>,
    reference: Option<String>,
}

impl ScreeningBody {
    /// What is the same for each question, and the list. Persons count from 1 in the order in which they came.
    ///
    /// # Errors
    /// Every person without an age that can be used.
    pub(crate) fn split(self, today: Date) -> Result<(Screening, List, OnQuota), Vec<Mistake>> {
        let (mut households, mut mistakes, mut row) = (Vec::new(), Vec::new(), 0_usize);
        for household in self.households {
            let mut persons = Vec::new();
            for person in household.persons {
                let age = match (&person.birth_date, person.class) {
                    (Some(date), None) => age_on(today, date).ok(),
                    (None, Some(class)) => Some(Age::of_class(class.into())),
                    _ => None,
                };
                match age {
                    Some(age) => persons.push(ListPerson {
                        row: row as u64 + 1,
                        label: person.reference.clone(),
                        person: AskPerson {
                            kind: NumberKind::Bsn,
                            number: person.number,
                            class: age.class.into(),
                            age: age.bracket,
                            reference: person.reference,
                        },
                    }),
                    None => mistakes.push(Mistake {
                        field: Field::Birth(row),
                        code: "age",
                        text_nl: "Geef een geboortedatum (jjjj-mm-dd) of `class`, en niet allebei.".into(),
                        text_en: "Give a birth date (yyyy-mm-dd) or `class`, and not both.".into(),
                    }),
                }
                row += 1;
            }
            households.push(ListHousehold {
                name: household.name,
                bad_rows: Vec::new(),
                persons,
            });
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let screening = Screening {
            purpose: self.purpose,
            case: self.case,
            responsible: self.responsible,
        };
        let list = List {
            households,
            issues: Vec::new(),
            issue_count: 0,
        };
        Ok((screening, list, self.on_quota))
    }
}

fn today(app: &App) -> Date {
    local(app.node().clock().now()).date()
}

pub(super) async fn plan(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<ScreeningBody>,
) -> Result<Json<Plan>, Refused> {
    let asker = caller.asker()?;
    let (screening, list, _) = body.split(today(&app)).map_err(Refused::Mistakes)?;
    Ok(Json(screening::plan(&app, &asker, &screening, list).await?))
}

/// How a screening stands.
#[derive(Serialize)]
pub(super) struct StateBody {
    #[serde(flatten)]
    view: ScreeningView,
    /// Until when it waits for a quota (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_until: Option<String>,
    /// Seconds it will take still.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_s: Option<u64>,
    /// Code of why it does not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
}

impl From<ScreeningState> for StateBody {
    fn from(state: ScreeningState) -> Self {
        Self {
            view: state.view,
            waits_until: state.waits_until.map(|at| at.to_string()),
            left_s: state.left_s,
            stopped: state.stopped.map(|failure| failure.code),
        }
    }
}

pub(super) async fn start(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<ScreeningBody>,
) -> Result<Response, Refused> {
    let asker = caller.asker()?;
    let (screening, list, on_quota) = body.split(today(&app)).map_err(Refused::Mistakes)?;
    let id = screening::start(&app, &asker, &screening, list, on_quota).await?;
    let state: StateBody = screening::state(&app, &asker, &id).await?.into();
    let location = [(LOCATION, format!("/api/v1/screenings/{id}"))];
    Ok((StatusCode::CREATED, location, Json(state)).into_response())
}

pub(super) async fn list(
    State(app): State<App>,
    Authorised(caller): Authorised,
) -> Result<Json<Vec<ScreeningView>>, Problem> {
    Ok(Json(screening::list(&app, &caller.asker()?).await?))
}

pub(super) async fn one(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
) -> Result<Json<StateBody>, Problem> {
    Ok(Json(screening::state(&app, &caller.asker()?, &id).await?.into()))
}

/// The form of a report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

pub(super) async fn report(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
    form: Result<Query<Form>, QueryRejection>,
) -> Result<Response, Problem> {
    let asker = caller.asker()?;
    let Query(form) = form.map_err(|_| Problem::malformed())?;
    let report = screening::report(&app, &asker, &id).await?;
    Ok(match form.format {
        Format::Json => Json(report).into_response(),
        Format::Csv => {
            let csv = report.csv().map_err(|error| Problem::node(&error))?;
            ([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response()
        }
    })
}

pub(super) async fn stop(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    screening::stop(&app, &caller.asker()?, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to do when a quota is used up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeBody {
    #[serde(default)]
    on_quota: OnQuota,
}

pub(super) async fn resume(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
    Body(body): Body<ResumeBody>,
) -> Result<StatusCode, Problem> {
    screening::resume(&app, &caller.asker()?, &id, body.on_quota).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn forget(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    screening::forget(&app, &caller.asker()?, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
