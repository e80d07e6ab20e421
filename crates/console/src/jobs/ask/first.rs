//! Asking the question of a form, so that its row in the book says at each moment what is known of it.

use std::sync::{Mutex, PoisonError};

use hitmachine_node::asking::{Missed, Parcel};
use hitmachine_node::control::Ask;
use hitmachine_node::failure::Failure;
use hitmachine_service::exit;
use jiff::Timestamp;
use uuid::Uuid;

use super::check::Checked;
use super::form_used;
use super::forms::{Sent, Turn};
use crate::app::App;
use crate::kept::{Kept, Outcome, Row};

/// A question whose form was not sent before, as far as this run knows.
pub(super) struct First {
    pub(super) app: App,
    pub(super) form: Uuid,
    pub(super) checked: Checked,
    pub(super) now: Timestamp,
}

impl First {
    /// Asks it, and tells all who wait.
    pub(super) async fn ask(self, turn: Turn) {
        let sent = self.sent().await;
        let settled = sent
            .as_ref()
            .is_ok_and(|kept| matches!(kept.outcome, Outcome::Answered(_) | Outcome::NotProven(_)));
        turn.end(sent, settled);
    }

    fn kept(&self, asked_at: Timestamp, outcome: Outcome) -> Kept {
        let Checked {
            ask,
            purpose,
            persons,
        } = &self.checked;
        Kept {
            id: self.form,
            user: ask.user.clone(),
            role: ask.role.clone(),
            responsible: ask.responsible.clone(),
            purpose: ask.purpose.clone(),
            title: purpose.title.clone(),
            legal_basis: purpose.legal_basis.clone(),
            case: ask.case.clone(),
            asked_at,
            persons: persons.clone(),
            outcome,
        }
    }

    async fn sent(&self) -> Sent {
        let book = &self.app.asked().book;
        let (before, asked_at) = match book.row(self.form)? {
            None => (None, self.now),
            Some(row) if row.kept.user != self.checked.ask.user => return Err(form_used()),
            Some(row) => match row.kept.outcome {
                Outcome::NotAsked(_) => (None, self.now),
                Outcome::InDoubt(_) => (row.parcel, row.kept.asked_at),
                // Its content was forgotten with the run that knew it: another person's answer must not be shown.
                Outcome::Answered(_) | Outcome::NotProven(_) => return Err(form_used()),
            },
        };
        let sent: Mutex<Option<Parcel>> = Mutex::new(before.clone());
        let keep = |parcel: Parcel| {
            *sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(parcel.clone());
            let row = Row {
                kept: self.kept(asked_at, Outcome::InDoubt(stopped())),
                proofs: Vec::new(),
                parcel: Some(parcel),
            };
            book.put(row)
        };
        let ask: Ask = self.checked.ask.clone();
        let given = self.app.node().ask_durably(ask, before.as_ref(), keep).await;
        let parcel = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut proofs = Vec::new();
        let (outcome, parcel) = match given {
            Ok(mut given) => {
                proofs = std::mem::take(&mut given.proofs);
                (Outcome::Answered(Box::new(given)), None)
            }
            Err(Missed::NotAsked(failure)) => (Outcome::NotAsked(failure), None),
            Err(Missed::NotProven(failure)) => (Outcome::NotProven(failure), None),
            Err(Missed::InDoubt(failure)) => (Outcome::InDoubt(failure), parcel),
            Err(Missed::AnotherQuestion) => return Err(form_used()),
        };
        let kept = self.kept(asked_at, outcome);
        let row = Row {
            kept: kept.clone(),
            proofs,
            parcel,
        };
        book.put(row).await?;
        Ok(Box::new(kept))
    }
}

/// What a question is while its answer is not there: read only if this program stopped in between.
fn stopped() -> Failure {
    Failure {
        code: "stopped".to_owned(),
        exit: exit::UNREACHABLE,
        text_en: "this node stopped before the answer came".to_owned(),
        text_nl: "dit station stopte voordat het antwoord er was".to_owned(),
    }
}
