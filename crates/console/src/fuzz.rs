//! For the fuzzer: what is done with bytes that a browser or another system sends, without a node behind it.
//!
//! No program uses this.

use axum::body::Body;
use axum::extract::{FromRequest, Multipart};
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, HeaderValue, Request};
use hitmachine_identifier::Admission;
use hitmachine_node::accounts::{Roles, SessionToken};
use hitmachine_node::control::Ask;
use hitmachine_node::screening::List;
use jiff::civil::Date;
use uuid::Uuid;

use crate::api::questions::QuestionBody;
use crate::api::screenings::ScreeningBody;
use crate::caller::Caller;
use crate::fields::Fields;
use crate::jobs::ask::check::checked;
use crate::jobs::ask::{Asking, Mistake, PurposeChoice};
use crate::pages::ask::form::Typed;
use crate::pages::screening::upload::{Sent, read};
use crate::visitor::Visitor;

pub use crate::oidc::fuzz::{claims, id_token};

/// The purpose that is granted, and the most persons in a question for it.
pub const PURPOSE: (&str, usize) = ("screening", 3);

fn caller() -> Caller {
    Caller {
        user: "p.pietersen".into(),
        name: "P. Pietersen".into(),
        roles: Roles {
            asks_as: Some("informatiecoordinator".into()),
            ..Roles::default()
        },
        purposes: None,
    }
}

/// The question in a form as it was posted; `None` if it is no such form.
pub fn form(body: &[u8]) -> Option<Asking> {
    let fields = Fields::parse(body);
    Typed::read(&fields).ok().map(|typed| typed.asking(&fields))
}

/// Names and values of what is kept of such a form if its session had ended.
pub fn kept_of_form(body: &[u8]) -> Vec<(String, String)> {
    crate::pages::ask::KEEP.of_form(&Fields::parse(body)).pairs()
}

/// The question in a call of the API; `None` if it is none.
pub fn question(body: &[u8]) -> Option<Asking> {
    let body: QuestionBody = serde_json::from_slice(body).ok()?;
    Some(body.asking(Uuid::nil()))
}

/// A question as it would be asked for [`PURPOSE`], or what is wrong with it. `None` if the caller may not ask.
pub fn judged(asking: &Asking, admission: &Admission, today: Date) -> Option<Result<Ask, Vec<Mistake>>> {
    let purpose = PurposeChoice {
        code: PURPOSE.0.into(),
        title: String::new(),
        legal_basis: String::new(),
        processing_activity: String::new(),
        consults: Vec::new(),
        max_persons: PURPOSE.1,
        max_screening: 1,
        strict: false,
    };
    let caller = caller();
    let asker = caller.asker().ok()?;
    let question = checked(&asker, asking, vec![purpose], admission, today);
    Some(question.map(|checked| checked.ask))
}

/// The list in a call of the API, or what is wrong with it; `None` if it is none.
pub fn screening(body: &[u8], today: Date) -> Option<Result<List, Vec<Mistake>>> {
    let body: ScreeningBody = serde_json::from_slice(body).ok()?;
    Some(body.split(today).map(|(_, list, _)| list))
}

/// Where somebody goes on after signing in, if it is a page of this console.
pub fn next(text: &str) -> Option<&str> {
    crate::pages::sign_in::safe_next(text)
}

/// The value of a cookie in a line of the browser's; `None` also for what cannot be in a header.
pub fn cookie(line: &[u8], name: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_bytes(line).ok()?);
    crate::visitor::cookie(&headers, name).map(str::to_owned)
}

/// What came of an upload.
#[derive(Debug)]
pub struct Upload {
    /// Names and values of the other fields.
    pub fields: Vec<(String, String)>,
    /// The file, if there is one that is not too large.
    pub file: Option<Vec<u8>>,
}

/// A form with a file, of the session whose mark is `csrf`.
///
/// # Errors
/// The problem's code.
pub fn upload(kind: &str, body: &[u8], csrf: &str) -> Result<Upload, String> {
    let none = || "none".to_owned();
    let request = Request::post("/screenings/new")
        .header(CONTENT_TYPE, kind)
        .body(Body::from(body.to_vec()))
        .map_err(|_| none())?;
    let token = SessionToken::parse(&"0".repeat(64)).ok_or_else(none)?;
    let visitor = Visitor {
        caller: caller(),
        csrf: csrf.to_owned(),
        token: token.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(|_| none())?.block_on(async {
        let form = Multipart::from_request(request, &()).await.map_err(|_| none())?;
        let uploaded = read(visitor, form).await.map_err(|problem| problem.code)?;
        Ok(Upload {
            fields: uploaded.fields.pairs(),
            file: match uploaded.sent {
                Sent::File(bytes) => Some(bytes.to_vec()),
                Sent::None | Sent::TooLarge => None,
            },
        })
    })
}
