//! One question of somebody at the console, so that a stop of this node or a broken connection leaves no doubt for good.
//!
//! A question's bytes are made once and kept before they leave ([`Parcel`]). Whoever puts the same question again sends the
//! very bytes that may have been sent before, and the hub answers those from its log: nobody is asked about twice. No number
//! is kept: whoever asks again types it again, and it must give the pseudonyms of the parcel.

use std::sync::Arc;

use hitmachine_core::Query;
use hitmachine_core::covenant::Answers;
use serde::{Deserialize, Serialize};

use crate::ask::{AskError, Inquirer, Prepared, Proven, Question};
use crate::control::Ask;
use crate::failure::Failure;
use crate::node::Node;
use crate::screening::Request;
use crate::state::StateError;
use crate::view::AnswerView;

/// A question as it was signed, to be kept until its answer is known. It holds pseudonyms: keep it sealed, and show it nowhere.
#[derive(Clone, Serialize, Deserialize)]
pub struct Parcel(Request);

/// An answer whose proof has been checked, with that proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    /// The answer.
    #[serde(flatten)]
    pub view: AnswerView,
    /// Number of the covenant that it was given under.
    pub covenant: u32,
    /// Consulted partners, by their short names, that answer each question themselves.
    pub live: Vec<String>,
    /// For each person a C2SP tlog-proof, a text: that its entry is in the log, and nothing of what it says.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub proofs: Vec<String>,
}

/// Why there is no answer to show.
#[derive(Clone, Debug)]
pub enum Missed {
    /// It was not asked, and is not in the log.
    NotAsked(Failure),
    /// Nobody knows yet whether it is in the log; the same question put again with the parcel gets its answer.
    InDoubt(Failure),
    /// It was answered without proof. The answer is not shown, and an alarm was raised.
    NotProven(Failure),
    /// The parcel is that of another question.
    AnotherQuestion,
}

impl Missed {
    fn of(error: AskError, sent_before: bool) -> Self {
        match error {
            AskError::NotProven(_) => Self::NotProven(error.into()),
            error if error.never_asked() => Self::NotAsked(error.into()),
            error if error.was_not_logged() && !sent_before => Self::NotAsked(error.into()),
            error => Self::InDoubt(error.into()),
        }
    }
}

impl Node {
    /// Asks one question. `before` is its parcel, if it may have been sent before; `keep` is called with the parcel of what is
    /// about to be sent, which must be durable when it returns.
    ///
    /// # Errors
    /// [`Missed`]; in none of these cases is anything known about the persons.
    pub async fn ask_durably<K, F>(&self, ask: Ask, before: Option<&Parcel>, keep: K) -> Result<Given, Missed>
    where
        K: Fn(Parcel) -> F,
        F: Future<Output = Result<(), StateError>>,
    {
        let question = self.question(ask).map_err(Missed::NotAsked)?;
        Inquirer::check(&question).map_err(|error| Missed::NotAsked(error.into()))?;
        let kept = match before {
            Some(parcel) => self.taken_up(&question, parcel).await?,
            None => None,
        };
        let again = kept.is_some();
        let ready = match kept {
            Some(ready) => ready,
            None => self.made_ready(&question, &keep).await?,
        };
        match self.inquirer.send_surely(&ready, again).await {
            // Covenant or key epoch changed meanwhile.
            Ok(proven) if proven.is_of_before() => {}
            Ok(proven) => return self.given(&question, &ready, proven).await,
            // It was kept, and did not leave before the stop; by now it is too old to be put.
            Err(error) if again && error.never_asked() => {}
            Err(error) => return Err(Missed::of(error, again)),
        }
        let ready = self.made_ready(&question, &keep).await?;
        let proven = self.inquirer.send_surely(&ready, false).await;
        let proven = proven.map_err(|error| Missed::of(error, false))?;
        self.given(&question, &ready, proven).await
    }

    /// A new question, kept before anybody sends it.
    async fn made_ready<K, F>(&self, question: &Question, keep: &K) -> Result<Prepared, Missed>
    where
        K: Fn(Parcel) -> F,
        F: Future<Output = Result<(), StateError>>,
    {
        let prepared = self.inquirer.prepare(question).await;
        let prepared = prepared.map_err(|error| Missed::NotAsked(error.into()))?;
        let parcel = Parcel(Request::new(prepared.signed(), prepared.made()));
        let kept = keep(parcel).await;
        kept.map_err(|error| Missed::NotAsked(AskError::from(error).into()))?;
        Ok(prepared)
    }

    /// The question that was kept, if covenant and keys are still those that it was made with; otherwise it is made anew.
    async fn taken_up(&self, question: &Question, parcel: &Parcel) -> Result<Option<Prepared>, Missed> {
        let damaged = || Missed::InDoubt(AskError::State(StateError::DoesNotOpen).into());
        let (signed, made) = parcel.0.signed().ok_or_else(damaged)?;
        let in_doubt = |error: AskError| Missed::InDoubt(error.into());
        let taken = self.inquirer.take_up(signed, made).await.map_err(in_doubt)?;
        match taken {
            None => Ok(None),
            Some(prepared) => match self.is_same(question, prepared.query()).await? {
                Some(true) => Ok(Some(prepared)),
                Some(false) => Err(Missed::AnotherQuestion),
                None => Ok(None),
            },
        }
    }

    /// Whether a question that was signed is this one, about these very persons; `None` if its key is not held any more.
    async fn is_same(&self, question: &Question, query: &Query) -> Result<Option<bool>, Missed> {
        let classes = question.persons.iter().map(|person| person.class);
        if question.purpose != query.purpose
            || question.case != query.case
            || question.user != query.user
            || !classes.eq(query.subjects.iter().map(|subject| subject.class))
        {
            return Ok(Some(false));
        }
        let held = self.synchroniser.keys.held();
        let Some(key) = held.iter().find(|key| key.keys.number == query.epoch) else {
            return Ok(None);
        };
        let identifiers: Vec<_> = question
            .persons
            .iter()
            .map(|person| person.identifier.clone())
            .collect();
        let tokens = key.pseudonymiser.tokens(&identifiers).await;
        let tokens = tokens.map_err(|error| Missed::InDoubt(AskError::from(error).into()))?;
        let asked = query.subjects.iter().map(|subject| subject.tokens.as_slice());
        let same = |(token, asked): (_, &[_])| matches!(asked, [(_, one)] if one == token);
        Ok(Some(tokens.iter().zip(asked).all(same)))
    }

    /// What must be durable before the answer is shown is that.
    async fn given(&self, question: &Question, ready: &Prepared, proven: Proven) -> Result<Given, Missed> {
        let covenant = Arc::clone(ready.covenant());
        let settled = self.inquirer.settle(question, proven, &covenant).await;
        let answer = settled.map_err(|error| Missed::InDoubt(error.into()))?;
        let own = &self.link.own().partner;
        let consulted = covenant.purpose(&question.purpose).into_iter();
        let consulted = consulted.flat_map(|purpose| purpose.consulted_by(own));
        let live = consulted.filter(|id| covenant.partner(id).is_some_and(|of| of.answers == Answers::Live));
        let proofs = (0..answer.persons.len()).filter_map(|person| answer.proof(person));
        Ok(Given {
            view: AnswerView::new(&answer, &covenant),
            covenant: covenant.number(),
            live: live.map(ToString::to_string).collect(),
            // The form has no bytes but base64 and the note, which is a text.
            proofs: proofs
                .map(|proof| String::from_utf8_lossy(&proof.format()).into_owned())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use hitmachine_service::client::ConnectError;

    use super::*;
    use crate::ask::Evidence;
    use crate::link::LinkError;

    /// What may be in the log is never said to be not asked.
    #[test]
    fn what_may_be_in_the_log_stays_in_doubt() {
        let connect = |error| AskError::Link(LinkError::Connect(error));
        let broke = |kind| connect(ConnectError::Unreachable { kind });
        let refused = |text: &str| AskError::Link(LinkError::Refused(text.to_owned()));
        let word = |error, sent_before| match Missed::of(error, sent_before) {
            Missed::NotAsked(failure) => ("not asked", failure.code),
            Missed::InDoubt(failure) => ("in doubt", failure.code),
            Missed::NotProven(failure) => ("not proven", failure.code),
            Missed::AnotherQuestion => ("another", String::new()),
        };
        // Each error after the first sending, and after one that may have been heard.
        let errors: [(&dyn Fn() -> AskError, &str, &str); 9] = [
            (&|| connect(ConnectError::Refused), "not asked", "in doubt"),
            (&|| broke(ErrorKind::HostUnreachable), "not asked", "in doubt"),
            (&|| broke(ErrorKind::ConnectionReset), "in doubt", "in doubt"),
            (&|| connect(ConnectError::Protocol), "in doubt", "in doubt"),
            (&|| AskError::Link(LinkError::TimedOut), "in doubt", "in doubt"),
            (&|| refused("no_quorum: x"), "in doubt", "in doubt"),
            (&|| refused("never_asked: x"), "not asked", "not asked"),
            (
                &|| AskError::State(StateError::DoesNotOpen),
                "in doubt",
                "in doubt",
            ),
            (
                &|| AskError::NotProven(Evidence::Answers),
                "not proven",
                "not proven",
            ),
        ];
        for (place, (error, first, later)) in errors.into_iter().enumerate() {
            assert_eq!(word(error(), false).0, first, "{place}");
            assert_eq!(word(error(), true).0, later, "{place}");
        }
        assert_eq!(
            word(AskError::NotProven(Evidence::Answers), false).1,
            "not_proven"
        );
    }
}
