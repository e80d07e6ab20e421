//! What is shown when something cannot be done: a page for people, RFC 9457 for machines.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hitmachine_node::accounts::{AccountError, Role};
use hitmachine_node::failure::Failure;
use hitmachine_node::language::Language;
use hitmachine_service::exit;

/// Something that could not be done. No text repeats what was typed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable code.
    pub code: String,
    /// For people, in Dutch.
    pub text_nl: String,
    /// For people, in English.
    pub text_en: String,
}

impl Problem {
    /// With its texts.
    pub fn new(status: StatusCode, code: &str, nl: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            text_nl: nl.into(),
            text_en: en.into(),
        }
    }

    /// The caller does not hold the role.
    pub fn role_missing(role: Role) -> Self {
        let word = role.word();
        Self::new(
            StatusCode::FORBIDDEN,
            "role_missing",
            format!("Voor deze pagina hebt u de rol {word} nodig. Vraag uw beheerder daarom."),
            format!("This page needs the role {word}. Ask your administrator."),
        )
    }

    /// There is no such thing, or it is somebody else's: which of the two is not said.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Deze pagina is er niet, of hij is niet van u.",
            "This page does not exist, or it is not yours.",
        )
    }

    /// A form that did not come from this console, or is from another session.
    pub fn not_from_here() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_from_here",
            "Dit formulier kwam niet van deze website of is te oud. Open de pagina opnieuw.",
            "This form did not come from this website or is too old. Open the page anew.",
        )
    }

    /// A request that is no such request.
    pub fn malformed() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "De website begrijpt dit verzoek niet.",
            "The website does not understand this request.",
        )
    }

    /// This node has a fault.
    pub fn node(error: &dyn std::error::Error) -> Self {
        tracing::error!(
            error = hitmachine_service::console::chain(error),
            "the console failed"
        );
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "node",
            "Dit station heeft een storing. Waarschuw uw beheerder.",
            "This node has a fault. Tell your administrator.",
        )
    }

    /// The text in this language.
    pub fn text(&self, language: Language) -> &str {
        language.pick(&self.text_nl, &self.text_en)
    }
}

impl From<Failure> for Problem {
    /// By the failure's exit code: 1 was refused, 2 is wrong use, 3 could not be reached, 4 is about integrity.
    fn from(failure: Failure) -> Self {
        let status = match failure.exit {
            exit::USAGE => StatusCode::UNPROCESSABLE_ENTITY,
            exit::UNREACHABLE => StatusCode::SERVICE_UNAVAILABLE,
            exit::INTEGRITY => StatusCode::BAD_GATEWAY,
            _ => StatusCode::CONFLICT,
        };
        Self {
            status,
            code: failure.code,
            text_nl: failure.text_nl,
            text_en: failure.text_en,
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::not_found(),
            error @ (AccountError::State(_) | AccountError::Hash) => Self::node(&error),
            error => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.code(),
                error.text_nl(),
                error.text_en(),
            ),
        }
    }
}

impl From<hitmachine_node::state::StateError> for Problem {
    fn from(error: hitmachine_node::state::StateError) -> Self {
        Self::node(&error)
    }
}

impl IntoResponse for Problem {
    /// Status only; the pages and the API each give it their form, from the extension that goes along.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
