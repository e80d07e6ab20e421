//! Asking, and reading one's own answers again.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hitmachine_node::control::{ClassWord, NumberKind};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::authorised::Authorised;
use super::problems::{Body, Refused};
use crate::app::App;
use crate::jobs::ask::{self, AskedFor, Asking, Filter, HistoryPage, PurposeChoice};
use crate::kept::{Kept, Outcome};
use crate::problem::Problem;

/// The name that a caller gives its question: the same question sent again is not asked again.
const KEY: &str = "idempotency-key";

/// A question as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuestionBody {
    purpose: String,
    case: String,
    responsible: Option<String>,
    persons: Vec<PersonBody>,
}

/// A person as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonBody {
    #[serde(default = "bsn")]
    kind: NumberKind,
    number: Zeroizing<String>,
    birth_date: Option<String>,
    class: Option<ClassWord>,
    reference: Option<String>,
}

fn bsn() -> NumberKind {
    NumberKind::Bsn
}

impl From<PersonBody> for AskedFor {
    fn from(body: PersonBody) -> Self {
        Self {
            kind: body.kind,
            number: body.number,
            birth_date: body.birth_date,
            class: body.class,
            reference: body.reference,
        }
    }
}

impl QuestionBody {
    /// The question, under the name that its caller gave it.
    pub(crate) fn asking(self, form: Uuid) -> Asking {
        Asking {
            form,
            purpose: self.purpose,
            case: self.case,
            responsible: self.responsible,
            persons: self.persons.into_iter().map(Into::into).collect(),
        }
    }
}

pub(super) async fn purposes(
    State(app): State<App>,
    Authorised(caller): Authorised,
) -> Result<Json<Vec<PurposeChoice>>, Problem> {
    Ok(Json(ask::purposes(&app, &caller.asker()?).await?))
}

pub(super) async fn ask(
    State(app): State<App>,
    Authorised(caller): Authorised,
    headers: HeaderMap,
    Body(body): Body<QuestionBody>,
) -> Result<Response, Refused> {
    let asker = caller.asker()?;
    let asking = body.asking(key(&headers)?);
    let kept = ask::ask(&app, &asker, asking).await?;
    let location = format!("/api/v1/questions/{}", kept.id);
    let mut response = answered(&kept, StatusCode::CREATED)?;
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The name of the question, which must be a random UUID: a counter could meet another application's.
fn key(headers: &HeaderMap) -> Result<Uuid, Problem> {
    let text = headers.get(KEY).and_then(|value| value.to_str().ok());
    let id = text.and_then(|text| text.parse::<Uuid>().ok());
    id.filter(|id| id.get_version_num() == 4).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key",
            "Geef de vraag een naam: `Idempotency-Key` met een willekeurige UUID (versie 4). Dezelfde naam is dezelfde vraag.",
            "Give the question a name: `Idempotency-Key` with a random UUID (version 4). The same name is the same question.",
        )
    })
}

/// An answer, or the problem that there is none. One that was refused says when it may be asked again.
fn answered(kept: &Kept, status: StatusCode) -> Result<Response, Problem> {
    let given = match &kept.outcome {
        Outcome::Answered(given) => given,
        Outcome::NotAsked(failure) | Outcome::InDoubt(failure) | Outcome::NotProven(failure) => {
            return Err(failure.clone().into());
        }
    };
    let retry = given
        .view
        .persons
        .iter()
        .filter_map(|person| person.retry_at.as_deref());
    let retry = retry.filter_map(|at| at.parse::<Timestamp>().ok()).max();
    let mut response = (status, Json(kept)).into_response();
    if let Some(at) = retry {
        let seconds = at.as_second().saturating_sub(Timestamp::now().as_second()).max(1);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Which of one's own questions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    purpose: Option<String>,
    from: Option<Date>,
    until: Option<Date>,
    #[serde(default = "first")]
    page: usize,
}

fn first() -> usize {
    1
}

/// Without the case: it would stand in an address.
pub(super) async fn list(
    State(app): State<App>,
    Authorised(caller): Authorised,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<HistoryPage>, Problem> {
    let asker = caller.asker()?;
    let Query(which) = which.map_err(|_| Problem::malformed())?;
    let filter = Filter {
        purpose: which.purpose,
        from: which.from,
        until: which.until,
        ..Filter::default()
    };
    Ok(Json(ask::history(&app, &asker, &filter, which.page)))
}

pub(super) async fn one(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    answered(&ask::kept(&app, &caller.asker()?, &id)?, StatusCode::OK)
}

/// Persons count from 1.
pub(super) async fn proof(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path((id, person)): Path<(String, usize)>,
) -> Result<Response, Problem> {
    let place = person.checked_sub(1).ok_or_else(Problem::not_found)?;
    let proof = ask::proof(&app, &caller.asker()?, &id, place)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], proof.text).into_response())
}
