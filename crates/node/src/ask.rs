//! One question: pseudonyms, the hub's answer, the proof that it was logged, and only then the answer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hitmachine_audit::{
    AskerError, Hash, Head, LogVerifier, Named, SeenHeads, VerifiedReceipt, verify_receipt,
};
use hitmachine_core::record::{Kind, Mismatch, Record, Result as RecordResult};
use hitmachine_core::{
    CaseReference, Clock, Covenant, PurposeCode, Query, RequestId, RequestSigner, SignedRequest, Subject,
    SubjectClass, TextError, TraceContext, User, UserId,
};
use hitmachine_identifier::contains_bsn;
use hitmachine_proto::answer::{Answer, Outcome};
use hitmachine_proto::{WireError, answer, query, receipt, v1};
use hitmachine_pseudonym::{CanonicalIdentifier, PseudonymError, Pseudonymiser};
use sha2::{Digest, Sha256};

use crate::link::{Link, LinkError};
use crate::state::{State, StateError};

/// The refusal after which the covenant is fetched anew and the question asked once more.
const COVENANT_CHANGED: &str = "covenant_changed";

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
#[derive(Clone, Debug)]
pub struct AskedPerson {
    /// BSN, or another number.
    pub identifier: CanonicalIdentifier,
    /// Minor or adult.
    pub class: SubjectClass,
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
}

/// The answer about one person.
#[derive(Clone, Debug)]
pub struct PersonAnswer {
    /// Statuses, or why not.
    pub outcome: Outcome,
    /// Place of its entry in the log, from 0.
    pub log_index: u64,
    /// Leaf hash of its entry: what the log at that place must have for ever.
    pub leaf: Hash,
}

/// Why there is no answer to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// A field that a person typed is missing or wrong.
    #[error("{field} {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: TextError,
    },
    /// A field that a person typed holds something that reads as a BSN; nothing was sent.
    #[error("{0} holds what reads as a BSN; write a reference that is none")]
    BsnInText(&'static str),
    /// No persons, or more than the covenant allows.
    #[error("a question is about 1 to {0} persons")]
    PersonCount(usize),
    /// The configuration names no key to sign requests with.
    #[error("this node has no signing_key, so it cannot ask")]
    NoSigningKey,
    /// The hub cannot be reached or refuses. Nothing is known about the persons.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The answer or its proof is not right. Nothing is shown; the evidence is kept.
    #[error("the hub's answer is not proven to be in its log ({0}); the answer is not shown")]
    NotProven(#[source] Evidence),
    /// The local state fails.
    #[error(transparent)]
    State(#[from] StateError),
    /// Tokens cannot be made.
    #[error("pseudonyms cannot be made")]
    Pseudonym(#[from] PseudonymError),
    /// A part of this program stopped unexpectedly.
    #[error("an internal task stopped")]
    Stopped,
}

/// In what way an answer is not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Evidence {
    /// Signature, tree or history of the log.
    #[error("{0}")]
    Log(#[from] AskerError),
    /// The entry says something else than was asked and answered.
    #[error("{0}")]
    Entry(#[from] Mismatch),
    /// The response is not well-formed.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Not one answer for each person, in order, about this question.
    #[error("the answers are not those of this question")]
    Answers,
}

/// What asking works with.
pub struct Inquirer {
    pub(crate) pseudonymiser: Arc<dyn Pseudonymiser>,
    pub(crate) signer: Option<RequestSigner>,
    pub(crate) link: Arc<Link>,
    pub(crate) state: Arc<State>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) verifier: LogVerifier,
    pub(crate) heads: Heads,
    pub(crate) evidence_dir: PathBuf,
}

impl Inquirer {
    /// Asks one question.
    ///
    /// # Errors
    /// [`AskError`]; in none of these cases is anything known about the persons.
    pub async fn ask(&self, question: &Question) -> Result<VerifiedAnswer, AskError> {
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
        let answer = self.ask_once(question).await?;
        let changed = |person: &PersonAnswer| matches!(&person.outcome, Outcome::Refused(code) if code == COVENANT_CHANGED);
        if answer.persons.iter().any(changed) {
            self.link.forget_covenant();
            return self.ask_once(question).await;
        }
        Ok(answer)
    }

    async fn ask_once(&self, question: &Question) -> Result<VerifiedAnswer, AskError> {
        let covenant = self.link.covenant().await?;
        let query = self.query(question, &covenant).await?;
        let named = self.heads.named();
        let request = v1::AskRequest {
            query: query.signed.bytes().to_vec(),
            signature: query.signed.signature().to_vec(),
            known_sizes: named.sizes(),
            ..v1::AskRequest::default()
        };
        let response = self.link.ask(request).await?;
        match self.verify(&query, &covenant, &response, &named) {
            Ok(answer) => {
                // Known durably before it is shown: a later, shorter log is then recognised.
                self.heads.persist(&self.state).await?;
                Ok(answer)
            }
            Err(evidence) => {
                tracing::error!(request = %query.request, reason = %evidence, "answer not proven; not shown");
                self.keep_evidence(&query, &response);
                Err(AskError::NotProven(evidence))
            }
        }
    }

    async fn query(&self, question: &Question, covenant: &Covenant) -> Result<Query, AskError> {
        let signer = self.signer.as_ref().ok_or(AskError::NoSigningKey)?;
        let identifiers: Vec<_> = question
            .persons
            .iter()
            .map(|person| person.identifier.clone())
            .collect();
        let tokens = self.pseudonymiser.tokens(&identifiers).await?;
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
            epoch: self.pseudonymiser.epoch(),
            subjects,
            trace,
            signed: SignedRequest::default(),
        };
        query.signed = signer.sign(query::encode(&query));
        Ok(query)
    }

    /// The asking node's duty, before anything is shown: the log's signature, the proof that it only grew, the
    /// proof that the entries are in it, and that they say what was asked and answered.
    fn verify(
        &self,
        query: &Query,
        covenant: &Covenant,
        response: &v1::AskResponse,
        named: &Named,
    ) -> Result<VerifiedAnswer, Evidence> {
        let parts = receipt::parts(response)?;
        if parts.len() != query.subjects.len() && parts.len() != 1 || parts.is_empty() {
            return Err(Evidence::Answers);
        }
        let mut persons = Vec::with_capacity(parts.len());
        let mut head = None;
        for (place, (parts, logged)) in parts.iter().zip(&response.answers).enumerate() {
            let verified = verify_receipt(parts, &self.verifier, self.verifier.origin())?;
            let answer = answer::parse(&logged.answer)?;
            let refused = matches!(answer.outcome, Outcome::Refused(_));
            let own_request = answer.request == Some(query.request) || (refused && answer.request.is_none());
            if answer.subject != place || !own_request {
                return Err(Evidence::Answers);
            }
            self.check_entry(query, covenant, place, &answer, &logged.answer, &verified)?;
            let leaf = verified.opening().commitment().leaf_hash();
            persons.push(PersonAnswer {
                outcome: answer.outcome,
                log_index: verified.leaf_index(),
                leaf,
            });
            head = Some(verified.head());
        }
        let found = persons
            .iter()
            .any(|person| matches!(person.outcome, Outcome::Found(_)));
        let head = head
            .filter(|_| !found || persons.len() == query.subjects.len())
            .ok_or(Evidence::Answers)?;
        self.heads.accept(head, named, &parts[0].consistency)?;
        // A question that could not be read has one refusal, which is that of every person in it.
        if let [one] = persons.as_slice() {
            persons = vec![one.clone(); query.subjects.len()];
        }
        Ok(VerifiedAnswer {
            request: query.request,
            persons,
            log_size: head.size,
        })
    }

    fn check_entry(
        &self,
        query: &Query,
        covenant: &Covenant,
        place: usize,
        answer: &Answer,
        answer_bytes: &[u8],
        verified: &VerifiedReceipt,
    ) -> Result<(), Evidence> {
        let own = covenant
            .partner(&self.link.own().partner)
            .ok_or(Evidence::Answers)?;
        let purpose = covenant.purpose(&query.purpose);
        let (kind, result) = match &answer.outcome {
            Outcome::Found(partners) => {
                let (Some(purpose), asked) = (purpose, partners.iter().map(|(id, _)| id)) else {
                    return Err(Evidence::Answers);
                };
                // An answer names exactly the partners that the covenant grants: none left out, none added.
                if !purpose.consulted_by(&own.id).eq(asked) {
                    return Err(Evidence::Answers);
                }
                (Kind::Lookup, RecordResult::Answered(partners.as_slice()))
            }
            Outcome::Refused(code) => (Kind::Denied, RecordResult::Refused(code)),
        };
        // The hub's ground is then that of a covenant which this node does not have yet.
        let changed = matches!(&answer.outcome, Outcome::Refused(code) if code == COVENANT_CHANGED);
        let record = Record {
            kind,
            time: self.clock.now(),
            request: Some(query.request),
            requester: &own.oin,
            user: Some(&query.user),
            ground: purpose
                .filter(|_| !changed)
                .map(|purpose| (purpose, covenant.version())),
            case: Some(&query.case),
            subject: query.subjects.get(place).map(|subject| (query.epoch, subject)),
            result,
            trace: query.trace,
            place,
            request_digest: query.signed.digest(),
            answer_digest: Sha256::digest(answer_bytes).into(),
        };
        Ok(record.check(verified.opening().fields())?)
    }

    /// Keeps what proves a fault of the log: its signed statement and the sizes we held. Nothing of the question.
    fn keep_evidence(&self, query: &Query, response: &v1::AskResponse) {
        let path = self.evidence_dir.join(format!("{}.txt", query.request));
        let heads = self.heads.describe();
        let note = String::from_utf8_lossy(&response.checkpoint);
        let text = format!(
            "request {}\nheads held before:\n{heads}\nthe hub's signed checkpoint:\n{note}",
            query.request
        );
        let kept = std::fs::create_dir_all(&self.evidence_dir).and_then(|()| std::fs::write(&path, text));
        match kept {
            Ok(()) => tracing::error!(path = %path.display(), "evidence kept"),
            Err(error) => tracing::error!(%error, "evidence could not be kept"),
        }
    }
}

/// The log heads this node holds, in memory and on disk.
pub(crate) struct Heads {
    seen: Mutex<(SeenHeads, u64)>,
    /// The count of changes that is on disk; locked while writing, so that one write serves all that wait.
    written: tokio::sync::Mutex<u64>,
}

impl Heads {
    pub(crate) fn load(state: &State) -> Result<Self, StateError> {
        let seen = match state.heads()? {
            None => SeenHeads::default(),
            Some(bytes) => SeenHeads::decode(&bytes).map_err(|_| StateError::DoesNotOpen)?,
        };
        Ok(Self {
            seen: Mutex::new((seen, 0)),
            written: tokio::sync::Mutex::new(0),
        })
    }

    fn named(&self) -> Named {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.name()
    }

    fn accept(&self, head: Head, named: &Named, proofs: &[(u64, Vec<Hash>)]) -> Result<(), AskerError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0.accept(named, head, proofs)?;
        seen.1 += 1;
        Ok(())
    }

    fn describe(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for head in seen.0.heads() {
            text.push_str(&format!("{} {}\n", head.size, head.root));
        }
        text
    }

    pub(crate) fn largest(&self) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0.heads().map(|head| head.size).max().unwrap_or(0)
    }

    /// Returns when everything accepted so far is durable.
    async fn persist(&self, state: &Arc<State>) -> Result<(), AskError> {
        let due = self.seen.lock().unwrap_or_else(PoisonError::into_inner).1;
        let mut written = self.written.lock().await;
        if *written >= due {
            return Ok(());
        }
        let (bytes, upto) = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            (seen.0.encode(), seen.1)
        };
        let state = Arc::clone(state);
        let writing = tokio::task::spawn_blocking(move || state.set_heads(&bytes));
        writing.await.map_err(|_| AskError::Stopped)??;
        *written = upto;
        Ok(())
    }
}
