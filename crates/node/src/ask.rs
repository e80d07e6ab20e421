//! One question: pseudonyms, the hub's answer, the proof that it was logged, and only then the answer.

mod error;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{Hash, OpenedNotes, TlogProof};
use hitmachine_core::{
    CaseReference, Clock, Covenant, LiveFrame, PurposeCode, Query, RequestId, RequestSigner, SignedRequest,
    Subject, SubjectClass, TraceContext, User, UserId,
};
use hitmachine_identifier::contains_bsn;
use hitmachine_proto::answer::Outcome;
use hitmachine_proto::{query, v1};
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::Timestamp;

use crate::alarm::Alarms;
use crate::epochs::Keys;
use crate::heads::{Heads, HeldCosigned};
use crate::journal::JournalEntry;
use crate::link::{Link, LinkError};
use crate::notification::{AskedAbout, Queue};
use crate::source::AgeBracket;
use crate::state::{State, StateError};

pub use self::error::{AskError, Evidence};

/// The refusals after which covenant and key epochs are fetched anew and the question asked once more.
const COVENANT_CHANGED: &str = "covenant_changed";
/// Pause before a question whose answer did not arrive is sent again.
const PAUSE: Duration = Duration::from_millis(200);
/// The refusal after which the key epochs are, too.
const WRONG_EPOCH: &str = "wrong_epoch";

/// One question as a person puts it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Why one asks.
    pub purpose: PurposeCode,
    /// For which case.
    pub case: CaseReference,
    /// Who asks.
    pub user: User,
    /// About whom, in the order in which answers come.
    pub persons: Vec<AskedPerson>,
}

/// One person asked about.
#[derive(Clone)]
pub struct AskedPerson {
    /// BSN, or another number.
    pub identifier: CanonicalIdentifier,
    /// Minor or adult.
    pub class: SubjectClass,
    /// Who is to be told that one asked; stays here.
    pub bracket: AgeBracket,
    /// The asker's own reference of the person, for the letter; stays here.
    pub reference: Option<Box<str>>,
}

/// Without the reference: it may be a name.
impl fmt::Debug for AskedPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedPerson")
            .field("identifier", &self.identifier)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// What may be shown: the log's proof has been checked.
#[derive(Clone, Debug)]
pub struct VerifiedAnswer {
    /// The question's name.
    pub request: RequestId,
    /// One for each person, in the order asked.
    pub persons: Vec<PersonAnswer>,
    /// Size of the log in which every entry is proven.
    pub log_size: u64,
    /// Seconds since a quorum of partners cosigned the log; `None` if the policy asks for no witnesses.
    pub witnessed_s: Option<u64>,
    /// The signed note of the log at that size.
    pub checkpoint: Vec<u8>,
}

/// The answer about one person.
#[derive(Clone, Debug)]
pub struct PersonAnswer {
    /// Statuses, or why not.
    pub outcome: Outcome,
    /// When it may be asked again, if it was refused and time is all that it takes.
    pub retry_at: Option<Timestamp>,
    /// Place of its entry in the log, from 0.
    pub log_index: u64,
    /// Leaf hash of its entry: what the log at that place must have for ever.
    pub leaf: Hash,
    /// Path from that leaf to the root that the answer's checkpoint signs.
    pub path: Vec<Hash>,
}

impl PersonAnswer {
    /// Refused because covenant or key epoch at the hub are not those that this node knew.
    pub(crate) fn is_of_before(&self) -> bool {
        matches!(&self.outcome, Outcome::Refused(code) if [COVENANT_CHANGED, WRONG_EPOCH].contains(&code.as_str()))
    }
}

/// An answer whose proof holds, and which may not be shown yet: see [`Inquirer::settle`].
pub(crate) struct Proven(VerifiedAnswer);

impl Proven {
    /// Refused because covenant or key epoch at the hub are not those that this node knew.
    pub(crate) fn is_of_before(&self) -> bool {
        self.0.persons.iter().any(PersonAnswer::is_of_before)
    }
}

impl VerifiedAnswer {
    /// The proof that a person's entry is in the log, as a file for others. Without what the entry says: it would show the
    /// pseudonym. `None` if there is no such person.
    pub fn proof(&self, person: usize) -> Option<TlogProof> {
        self.persons.get(person).map(|person| TlogProof {
            extra: None,
            index: person.log_index,
            path: person.path.clone(),
            checkpoint: self.checkpoint.clone(),
        })
    }
}

/// A question ready to be sent: its bytes are made once, and sent again as they are.
pub(crate) struct Prepared {
    query: Query,
    /// Of the signed request; the entry about each person holds it.
    digest: [u8; 32],
    covenant: Arc<Covenant>,
    made: Timestamp,
}

impl Prepared {
    /// What is asked.
    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    /// What is sent.
    pub(crate) fn signed(&self) -> &SignedRequest {
        &self.query.signed
    }

    /// When it was made ready, by this node's clock; it was not sent before.
    pub(crate) fn made(&self) -> Timestamp {
        self.made
    }

    /// The covenant that it is asked under.
    pub(crate) fn covenant(&self) -> &Arc<Covenant> {
        &self.covenant
    }
}

/// What asking works with.
pub struct Inquirer {
    pub(crate) keys: Arc<Keys>,
    pub(crate) signer: Option<RequestSigner>,
    pub(crate) link: Arc<Link>,
    pub(crate) state: Arc<State>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notes: OpenedNotes,
    pub(crate) heads: Arc<Heads>,
    pub(crate) alarms: Arc<Alarms>,
    /// Whom to inform; `None` if this node keeps no such queue.
    pub(crate) notifications: Option<Arc<Queue>>,
}

impl Inquirer {
    /// Asks one question.
    ///
    /// # Errors
    /// [`AskError`]; in none of these cases is anything known about the persons.
    pub async fn ask(&self, question: &Question) -> Result<VerifiedAnswer, AskError> {
        Self::check(question)?;
        let mut prepared = self.prepare(question).await?;
        let mut proven = self.send_surely(&prepared, false).await?;
        if proven.is_of_before() {
            prepared = self.prepare(question).await?;
            proven = self.send_surely(&prepared, false).await?;
        }
        self.settle(question, proven, prepared.covenant()).await
    }

    /// What this node sees at once of a question that may not be asked.
    ///
    /// # Errors
    /// [`AskError::BsnInText`], [`AskError::PersonCount`].
    pub(crate) fn check(question: &Question) -> Result<(), AskError> {
        for (field, text) in [
            ("the case reference", Some(question.case.as_str())),
            ("the user", Some(question.user.id.as_str())),
            (
                "the responsible user",
                question.user.responsible.as_ref().map(UserId::as_str),
            ),
            // Short names have room for one too, and a role goes into the log also when it is refused.
            ("the role", Some(question.user.role.as_str())),
            ("the purpose", Some(question.purpose.as_str())),
        ] {
            if text.is_some_and(contains_bsn) {
                return Err(AskError::BsnInText(field));
            }
        }
        if question.persons.is_empty() || question.persons.len() > query::MAX_SUBJECTS {
            return Err(AskError::PersonCount(query::MAX_SUBJECTS));
        }
        Ok(())
    }

    /// Makes a question ready: reads nothing but the covenant, and sends nothing about anybody.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn prepare(&self, question: &Question) -> Result<Prepared, AskError> {
        let covenant = self.link.covenant().await?;
        let made = self.clock.now();
        let query = self.query(question, &covenant).await?;
        Ok(Prepared {
            digest: query.signed.digest(),
            query,
            covenant,
            made,
        })
    }

    /// Takes up a question that was made ready before, at `made`. `None` if the covenant has changed since: then it
    /// would not be answered.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn take_up(
        &self,
        signed: SignedRequest,
        made: Timestamp,
    ) -> Result<Option<Prepared>, AskError> {
        let covenant = self.link.covenant().await?;
        let query = query::parse(signed).ok();
        let Some(mut query) = query.filter(|query| query.covenant == covenant.version()) else {
            return Ok(None);
        };
        // The same key signs the same bytes in the same way: what was kept need not hold it.
        self.sign_live(&mut query, &covenant)?;
        Ok(Some(Prepared {
            digest: query.signed.digest(),
            query,
            covenant,
            made,
        }))
    }

    /// Sends a question and verifies what comes back. `again`: it may have been sent before; if the hub's log has it,
    /// this is the answer that the log has, and nobody is asked about twice. Before anything of it is shown it must be
    /// [settled](Self::settle).
    ///
    /// # Errors
    /// [`AskError`]; it may have been logged all the same.
    pub(crate) async fn send(&self, prepared: &Prepared, again: bool) -> Result<Proven, AskError> {
        let Prepared { query, .. } = prepared;
        let named = self.heads.named();
        let own = self.heads.cosigned();
        let (cosigned_size, cosigned_time) = own.as_ref().map_or((0, 0), HeldCosigned::name);
        let request = v1::AskRequest {
            query: query.signed.bytes().to_vec(),
            signature: query.signed.signature().to_vec(),
            known_sizes: named.sizes(),
            cosigned_size,
            cosigned_time,
            live_signature: query.signed.live().map(|live| live.to_vec()).unwrap_or_default(),
            again,
        };
        let response = self.link.ask(request).await?;
        match self.verify(&self.notes, prepared, &response, &named, own.as_ref()) {
            Ok(answer) => {
                self.heads.journal(self.own_entries(&answer));
                let proven = Proven(answer);
                if proven.is_of_before() {
                    self.link.forget_covenant();
                }
                Ok(proven)
            }
            Err(Evidence::Backing(error)) => {
                tracing::error!(request = %query.request, reason = %error, "answer not backed by partners; not shown");
                Err(AskError::NotBacked(error))
            }
            Err(evidence) => {
                tracing::error!(request = %query.request, reason = %evidence, "answer not proven; not shown");
                self.keep_evidence(query, &response, &evidence);
                Err(AskError::NotProven(evidence))
            }
        }
    }

    /// Sends a question as [`Self::send`] does, and again if the connection breaks before the answer is there.
    pub(crate) async fn send_surely(&self, prepared: &Prepared, again: bool) -> Result<Proven, AskError> {
        match self.send(prepared, again).await {
            Err(error) if error.leaves_doubt() => {
                tokio::time::sleep(PAUSE).await;
                self.send(prepared, true).await
            }
            answered => answered,
        }
    }

    /// Makes durable, in one commit, what must be known before an answer is shown: the log's head and the own entries, so
    /// that a later, shorter log is recognised, and an entry that was invented or changed; and who is to be informed, or
    /// nobody would know whom to tell.
    ///
    /// # Errors
    /// [`AskError::State`]; nothing may be shown.
    pub(crate) async fn settle(
        &self,
        question: &Question,
        Proven(answer): Proven,
        covenant: &Covenant,
    ) -> Result<VerifiedAnswer, AskError> {
        if let Some(queue) = &self.notifications {
            let answered = question.persons.iter().zip(&answer.persons);
            let asked: Vec<_> = answered
                .filter(|(_, answer)| matches!(answer.outcome, Outcome::Found(_)))
                .map(|(person, _)| AskedAbout {
                    identifier: &person.identifier,
                    class: person.class,
                    bracket: person.bracket,
                    reference: person.reference.as_deref(),
                })
                .collect();
            let (case, user) = (question.case.as_str(), question.user.id.as_str());
            let write = |write| self.heads.beside(write);
            queue.asked(covenant, &question.purpose, case, user, &asked, write)?;
        }
        self.heads.persist(&self.state).await?;
        Ok(answer)
    }

    /// Asks one question, and gives back the verification of its answer, to be done as often as one likes: for measuring.
    /// Whether it holds; the note's signature is checked each time.
    ///
    /// # Errors
    /// [`AskError`].
    #[doc(hidden)]
    pub async fn verification(&self, question: &Question) -> Result<impl Fn() -> bool, AskError> {
        let prepared = self.prepare(question).await?;
        let (named, signed) = (self.heads.named(), prepared.signed());
        let request = v1::AskRequest {
            query: signed.bytes().to_vec(),
            signature: signed.signature().to_vec(),
            known_sizes: named.sizes(),
            ..v1::AskRequest::default()
        };
        let response = self.link.ask(request).await?;
        Ok(move || {
            let notes = OpenedNotes::new(self.notes.verifier().clone());
            self.verify(&notes, &prepared, &response, &named, None).is_ok()
        })
    }

    /// Persons of one refusal share its entry.
    fn own_entries(&self, answer: &VerifiedAnswer) -> Vec<JournalEntry> {
        let time_ms = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        let mut entries: Vec<_> = answer
            .persons
            .iter()
            .map(|person| JournalEntry {
                index: person.log_index,
                request: *answer.request.as_bytes(),
                leaf: person.leaf,
                time_ms,
            })
            .collect();
        entries.dedup_by_key(|entry| entry.index);
        entries
    }

    async fn query(&self, question: &Question, covenant: &Covenant) -> Result<Query, AskError> {
        let signer = self.signer.as_ref().ok_or(AskError::NoSigningKey)?;
        let identifiers: Vec<_> = question
            .persons
            .iter()
            .map(|person| person.identifier.clone())
            .collect();
        // One key for all of it: tokens of two epochs in one question would show who is who in both.
        let key = self.keys.asking().ok_or(LinkError::Disagree("the key epoch"))?;
        let tokens = key.pseudonymiser.tokens(&identifiers).await?;
        let subjects = question
            .persons
            .iter()
            .zip(tokens)
            .map(|(person, token)| Subject {
                class: person.class,
                tokens: vec![(person.identifier.kind(), token)],
            })
            .collect();
        let mut trace = TraceContext::default();
        getrandom::fill(&mut trace.trace).map_err(|_| StateError::Random)?;
        getrandom::fill(&mut trace.parent).map_err(|_| StateError::Random)?;
        let mut query = Query {
            request: RequestId::generate(),
            purpose: question.purpose.clone(),
            case: question.case.clone(),
            user: question.user.clone(),
            covenant: covenant.version(),
            epoch: key.keys.number,
            subjects,
            trace,
            signed: SignedRequest::default(),
        };
        query.signed = signer.sign(query::encode(&query));
        self.sign_live(&mut query, covenant)?;
        Ok(query)
    }

    /// Signs what partners that answer live get of a question, if it goes to one.
    fn sign_live(&self, query: &mut Query, covenant: &Covenant) -> Result<(), AskError> {
        let own = &self.link.own().partner;
        let purpose = covenant.purpose(&query.purpose);
        if purpose.is_some_and(|purpose| purpose.asks_live(covenant, own)) {
            let signer = self.signer.as_ref().ok_or(AskError::NoSigningKey)?;
            let frame = LiveFrame::of(own, query).encode();
            query.signed = std::mem::take(&mut query.signed).with_live(signer.sign_live(&frame));
        }
        Ok(())
    }
}
