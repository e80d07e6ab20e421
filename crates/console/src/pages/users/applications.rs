//! Applications of the local API.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_node::accounts::{Application, NewApplication, Roles, is_user_id, task};

use super::roles::{self, RoleFields};
use super::{Asked, Mistakes, local, typed};
use crate::app::App;
use crate::jobs::accounts;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// How long a token is good if nobody says so, and the most, in days.
const USUAL_DAYS: &str = "365";
const MOST_DAYS: u32 = 3_650;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/admin/applications", get(list))
        .route("/admin/applications/new", get(new).post(create))
        .route("/admin/applications/{id}/revoke", post(revoke))
}

struct Row {
    id: String,
    name: String,
    roles: String,
    purposes: String,
    last: String,
    until: String,
    ended: bool,
}

#[derive(askama::Template)]
#[template(path = "users_applications.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
    done: Option<&'static str>,
}

async fn list(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Asked,
) -> Result<Response, Problem> {
    let all = accounts::applications(&app, &visitor.caller.administrator()?).await?;
    let now = app.node().clock().now();
    let row = |application: Application| Row {
        roles: roles::text(&page, &application.roles),
        purposes: application.purposes.map_or_else(
            || page.t("users.all_purposes").to_owned(),
            |purposes| purposes.join(", "),
        ),
        last: application
            .last_used
            .map_or_else(|| page.t("users.never").to_owned(), local),
        until: application.expires.map(local).unwrap_or_default(),
        ended: application.expires.is_some_and(|end| end <= now),
        id: application.id,
        name: application.name,
    };
    let rows = all.into_iter().map(row).collect();
    let done = super::done(&page, &asked);
    html(&ListPage { page, rows, done })
}

/// A purpose to tick.
struct PurposeField {
    code: String,
    title: String,
    chosen: bool,
}

#[derive(askama::Template)]
#[template(path = "users_application_new.html")]
struct NewPage {
    page: Page,
    id: String,
    name: String,
    days: String,
    roles: RoleFields,
    purposes: Vec<PurposeField>,
    errors: Mistakes,
}

impl NewPage {
    async fn new(app: &App, page: Page, roles: &Roles, chosen: &[String]) -> Self {
        let covenant = app.covenant().await.ok();
        let own = app.node().config().partner.parse().ok();
        let granted = covenant.as_ref().zip(own).map(|(covenant, own)| {
            let all = covenant.purposes().iter();
            let granted = all.filter(|purpose| purpose.askers.contains(&own));
            let field = |purpose: &hitmachine_core::covenant::Purpose| PurposeField {
                chosen: chosen.iter().any(|code| code == purpose.code.as_str()),
                code: purpose.code.to_string(),
                title: purpose.title.clone(),
            };
            granted.map(field).collect()
        });
        Self {
            id: String::new(),
            name: String::new(),
            days: USUAL_DAYS.to_owned(),
            roles: RoleFields::new(app, &page, roles).await,
            purposes: granted.unwrap_or_default(),
            errors: Vec::new(),
            page,
        }
    }

    fn error(&self, field: &str) -> &str {
        let found = self.errors.iter().find(|(each, _)| each == field);
        found.map_or("", |(_, text)| text.as_str())
    }
}

async fn new(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    visitor.caller.administrator()?;
    html(&NewPage::new(&app, page, &Roles::default(), &[]).await)
}

#[derive(askama::Template)]
#[template(path = "users_token.html")]
struct TokenPage<'a> {
    page: Page,
    name: &'a str,
    token: &'a str,
}

async fn create(State(app): State<App>, page: Page, posted: Posted) -> Result<Response, Problem> {
    let who = posted.visitor.caller.administrator()?;
    let fields = &posted.fields;
    let roles = roles::read(fields);
    let chosen: Vec<String> = fields.all("purpose").map(ToOwned::to_owned).collect();
    let mut errors = Vec::new();
    let mut wrong = |field: &str, text: &str| errors.push((field.to_owned(), text.to_owned()));
    let days = fields.get("days").parse().ok();
    let days = days.filter(|days| (1..=MOST_DAYS).contains(days));
    if days.is_none() {
        wrong("days", page.t("users.days_wrong"));
    }
    if roles == Roles::default() {
        wrong("asks_as", page.t("users.no_role_application"));
    }
    if let (Some(days), true) = (days, errors.is_empty()) {
        let new = NewApplication {
            id: fields.get("id").to_owned(),
            name: fields.get("name").to_owned(),
            roles: roles.clone(),
            purposes: (!chosen.is_empty()).then(|| chosen.clone()),
            expires: Some(task::in_days(app.node().clock().now(), days)),
        };
        match accounts::add_application(&app, &who, new).await {
            Ok(token) => {
                let name = fields.get("name");
                let token = token.expose_text();
                return html(&TokenPage { page, name, token });
            }
            Err(problem) => {
                let (field, text) = match problem.code.as_str() {
                    "account_exists" => ("id", problem.text(page.language)),
                    "account_name"
                        if is_user_id(fields.get("id")) && !fields.get("id").contains(['.', '_', '@']) =>
                    {
                        ("name", page.t("users.name_wrong"))
                    }
                    "account_name" => ("id", page.t("users.application_id_wrong")),
                    "account_roles" | "covenant_role" => ("asks_as", problem.text(page.language)),
                    _ => return Err(problem),
                };
                errors.push((field.to_owned(), text.to_owned()));
            }
        }
    }
    let form = NewPage {
        id: typed(fields, "id"),
        name: typed(fields, "name"),
        days: typed(fields, "days"),
        errors,
        ..NewPage::new(&app, page, &roles, &chosen).await
    };
    html_with(StatusCode::UNPROCESSABLE_ENTITY, &form)
}

async fn revoke(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Result<Response, Problem> {
    accounts::revoke(&app, &posted.visitor.caller.administrator()?, &id).await?;
    Ok(Redirect::to("/admin/applications?done=revoked").into_response())
}
