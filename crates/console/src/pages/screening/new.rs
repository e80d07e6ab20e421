//! The form with which a screening begins: purpose, case and the file.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use hitmachine_core::{CaseReference, UserId};
use hitmachine_identifier::contains_bsn;
use hitmachine_node::failure::Failure;
use hitmachine_node::screening::OnQuota;
use hitmachine_node::source::upload::look;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::columns::Chosen;
use super::held::{File, Held, Owner, Prepared, Stage};
use super::upload::{MOST_FILE, Sent, Uploaded};
use super::{Mistake, mistake_of, on_quota, to};
use crate::app::App;
use crate::caller::Asker;
use crate::draft::Draft;
use crate::fields::Fields;
use crate::jobs;
use crate::jobs::screening::{Screening, ScreeningPurpose};
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::Visitor;

#[derive(askama::Template)]
#[template(path = "screening_new.html")]
struct NewPage {
    page: Page,
    purposes: Vec<ScreeningPurpose>,
    typed: Screening,
    stops: bool,
    /// Name of a list that is held already.
    held: String,
    mistakes: Vec<Mistake>,
    most_mb: usize,
    /// Whether this is what was typed before the session ended.
    restored: bool,
}

impl NewPage {
    async fn new(app: &App, asker: &Asker<'_>, page: Page) -> Result<Self, Problem> {
        Ok(Self {
            page,
            purposes: jobs::screening::purposes(app, asker).await?,
            typed: Screening::default(),
            stops: false,
            held: String::new(),
            mistakes: Vec::new(),
            most_mb: MOST_FILE / 1024 / 1024,
            restored: false,
        })
    }

    fn mistake(&self, field: &str) -> &str {
        mistake_of(&self.mistakes, field)
    }

    fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.mistakes.push((field, text.into()));
    }

    /// Takes over what was typed, and says what is wrong with it. What looks like a BSN is not shown again.
    fn check(&mut self, fields: &Fields) {
        let typed = |name| {
            let text = fields.get(name);
            if contains_bsn(text) {
                None
            } else {
                Some(text.to_owned())
            }
        };
        self.stops = on_quota(fields.get("on_quota")) == OnQuota::Stop;
        let purpose = fields.get("purpose");
        if self.purposes.iter().any(|choice| choice.code == purpose) {
            purpose.clone_into(&mut self.typed.purpose);
        } else {
            self.add("purpose", self.page.t("screening.error_purpose"));
        }
        match typed("case") {
            None => self.add("case", self.page.t("screening.error_bsn")),
            Some(case) => {
                if case.is_empty() {
                    self.add("case", self.page.t("screening.error_case_missing"));
                } else if case.parse::<CaseReference>().is_err() {
                    self.add("case", self.page.t("screening.error_case"));
                }
                self.typed.case = case;
            }
        }
        match typed("responsible") {
            None => self.add("responsible", self.page.t("screening.error_bsn")),
            Some(responsible) => {
                if !responsible.is_empty() && responsible.parse::<UserId>().is_err() {
                    self.add("responsible", self.page.t("screening.error_responsible"));
                }
                self.typed.responsible = Some(responsible).filter(|text| !text.is_empty());
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    held: String,
}

/// Empty, or with what was typed for a list that is held.
pub(super) async fn form(
    visitor: Visitor,
    page: Page,
    draft: Draft,
    State(app): State<App>,
    Extension(held): Extension<Arc<Held>>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let mut new = NewPage::new(&app, &asker, page).await?;
    if let Some(entry) = held.get(&Owner::of(&visitor), &which.held)
        && let Stage::Prepared(prepared) = &*entry.stage.lock().await
    {
        new.typed = prepared.screening.clone();
        new.stops = prepared.on_quota == OnQuota::Stop;
        new.held = which.held;
    } else if let [only] = new.purposes.as_slice() {
        new.typed.purpose = only.code.clone();
    }
    if let Some(fields) = &draft.fields {
        new.check(fields);
        new.mistakes.clear();
        new.restored = true;
    }
    html(&new)
}

pub(super) async fn send(
    page: Page,
    State(app): State<App>,
    Extension(held): Extension<Arc<Held>>,
    uploaded: Uploaded,
) -> Result<Response, Problem> {
    let Uploaded {
        visitor,
        fields,
        sent,
    } = uploaded;
    let asker = visitor.caller.asker()?;
    let mut new = NewPage::new(&app, &asker, page).await?;
    new.check(&fields);
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut file = None;
    let mut nothing_sent = false;
    match sent {
        Sent::None => nothing_sent = true,
        Sent::TooLarge => {
            status = StatusCode::PAYLOAD_TOO_LARGE;
            new.add("list", new.page.t1("screening.error_too_large", new.most_mb));
        }
        Sent::File(bytes) => match read(bytes).await? {
            Ok(found) => file = Some(found),
            Err(failure) => {
                let text = said(&new.page, &failure);
                new.add("list", text);
            }
        },
    }
    // A list that came before, when something else was wrong, need not come again.
    let before = held
        .get(&Owner::of(&visitor), fields.get("held"))
        .filter(|_| nothing_sent);
    if nothing_sent && before.is_none() {
        new.add("list", new.page.t("screening.error_no_file"));
    }
    let on_quota = on_quota(fields.get("on_quota"));
    let name = match (before, file) {
        (Some(entry), _) => {
            if let Stage::Prepared(prepared) = &mut *entry.stage.lock().await {
                prepared.screening = new.typed.clone();
                prepared.on_quota = on_quota;
            }
            fields.get("held").to_owned()
        }
        (None, Some(file)) => {
            held.forget_own(&Owner::of(&visitor), fields.get("held"));
            let prepared = Prepared {
                screening: new.typed.clone(),
                on_quota,
                file,
            };
            held.hold(Owner::of(&visitor), prepared)?
        }
        (None, None) => String::new(),
    };
    if new.mistakes.is_empty() {
        app.drafts().sent(visitor.caller.user.as_str(), "/screenings/new");
        return Ok(to(&format!("/screenings/new/{name}")));
    }
    new.held = name;
    html_with(status, &new)
}

/// Why a file cannot be read, without words of the configuration.
pub(super) fn said(page: &Page, failure: &Failure) -> String {
    match failure.code.as_str() {
        "header_encoding" => page.t("screening.error_encoding").to_owned(),
        "header_missing" => page.t("screening.error_no_header").to_owned(),
        _ => sentence(failure.text(page.language)),
    }
}

/// A message as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let end = if text.ends_with('.') { "" } else { "." };
    first.chain(characters).chain(end.chars()).collect()
}

/// Looks how a file is written.
async fn read(bytes: Zeroizing<Vec<u8>>) -> Result<Result<File, Failure>, Problem> {
    let looking = tokio::task::spawn_blocking(move || {
        let written = look(&bytes, None, None).map_err(|error| Failure::source(&error))?;
        Ok(File {
            chosen: Chosen::of(&written),
            written,
            bytes: Arc::new(bytes),
        })
    });
    looking.await.map_err(|error| Problem::node(&error))
}
