//! One question: pseudonyms, the hub's answer, the proof that it was logged, and only then the answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{
    AskerError, FreshError, Hash, Named, OpenedNotes, Opening, TlogProof, VerifiedReceipt, verify_entry,
};
use hitmachine_core::record::{Kind, Mismatch, Record, Result as RecordResult};
use hitmachine_core::{
    CaseReference, Clock, Covenant, LiveFrame, PurposeCode, Query, RequestId, RequestSigner, SignedRequest,
    Subject, SubjectClass, TextError, TraceContext, User, UserId,
};
use hitmachine_identifier::contains_bsn;
use hitmachine_proto::answer::{Answer, Outcome};
use hitmachine_proto::{WireError, answer, query, receipt, v1};
use hitmachine_pseudonym::{CanonicalIdentifier, PseudonymError};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::alarm::Alarms;
use crate::epochs::Keys;
use crate::heads::{AcceptError, BackingError, Heads, HeldCosigned, Offered};
use crate::journal::JournalEntry;
use crate::link::{Link, LinkError};
use crate::notification::{AskedAbout, Queue};
use crate::source::AgeBracket;
use crate::state::{State, StateError};

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
    /// Too few partners have cosigned the log, or too long ago. Nothing is shown; it may pass.
    #[error("too few partners vouch for the hub's log at this moment ({0}); the answer is not shown")]
    NotBacked(#[source] BackingError),
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
    /// Too few witnesses, or too long ago.
    #[error("{0}")]
    Backing(#[from] BackingError),
    /// Another history than partners cosigned.
    #[error("{error}")]
    Branch {
        /// In what way.
        error: FreshError,
        /// The signed note that they cosigned.
        note: Vec<u8>,
    },
    /// An entry in an officer's result is not in the signed tree, or says nothing that fits the leaf.
    #[error("entry {} is not proven", index.saturating_add(1))]
    Row {
        /// Its index, from 0.
        index: u64,
    },
    /// An officer's result is not what was asked for.
    #[error("the result is not that of this request")]
    Result,
    /// Not one answer for each person, in order, about this question.
    #[error("the answers are not those of this question")]
    Answers,
}

impl AskError {
    /// Whether the question may have been logged, and the same question asked again may have an answer.
    pub(crate) fn leaves_doubt(&self) -> bool {
        use hitmachine_service::client::ConnectError;
        match self {
            Self::Link(LinkError::TimedOut | LinkError::Connect(ConnectError::Protocol)) => true,
            Self::Link(LinkError::Connect(ConnectError::Unreachable { kind })) => broke_off(*kind),
            _ => false,
        }
    }

    /// Whether the question cannot have reached the log: it did not leave this machine, or the hub has never had it.
    pub(crate) fn was_not_logged(&self) -> bool {
        use hitmachine_service::client::ConnectError;
        match self {
            // A connection that broke may have carried it.
            Self::Link(LinkError::Connect(ConnectError::Unreachable { kind })) => !broke_off(*kind),
            Self::Link(LinkError::Connect(error)) => !matches!(error, ConnectError::Protocol),
            error => error.never_asked(),
        }
    }

    /// Whether the hub's log does not have a question of which this node did not know that.
    pub(crate) fn never_asked(&self) -> bool {
        matches!(self, Self::Link(LinkError::Refused(text)) if text.starts_with("never_asked"))
    }

    /// Whether the same question can have an answer later, without anybody changing anything.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Link(error) => error.may_pass(),
            Self::NotBacked(_) => true,
            _ => false,
        }
    }
}

/// Whether there was a connection before this happened.
fn broke_off(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind;
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
    )
}

impl From<AcceptError> for Evidence {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::History(error) => Self::Log(error),
            AcceptError::Backing(error) => Self::Backing(error),
            AcceptError::Branch { error, note } => Self::Branch { error, note },
        }
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

    /// The asking node's duty, before anything is shown: the log's signature, the proof that it only grew, the
    /// proof that the entries are in it, and that they say what was asked and answered.
    fn verify(
        &self,
        notes: &OpenedNotes,
        prepared: &Prepared,
        response: &v1::AskResponse,
        named: &Named,
        own: Option<&HeldCosigned>,
    ) -> Result<VerifiedAnswer, Evidence> {
        let Prepared { query, covenant, .. } = prepared;
        let entries = receipt::entries(response)?;
        if entries.len() != query.subjects.len() && entries.len() != 1 || entries.is_empty() {
            return Err(Evidence::Answers);
        }
        let head = notes.head(&response.checkpoint).map_err(AskerError::from)?;
        let mut persons = Vec::with_capacity(entries.len());
        for (place, (entry, logged)) in entries.into_iter().zip(&response.answers).enumerate() {
            let verified = verify_entry(entry.opening, entry.leaf_index, &entry.inclusion, head)?;
            let answer = answer::parse(&logged.answer)?;
            let refused = matches!(answer.outcome, Outcome::Refused(_));
            let own_request = answer.request == Some(query.request) || (refused && answer.request.is_none());
            if answer.subject != place || !own_request {
                return Err(Evidence::Answers);
            }
            self.check_entry(prepared, place, &answer, &logged.answer, &verified)?;
            let retry = answer.retry_after_ms.and_then(|ms| i64::try_from(ms).ok());
            let retry_at =
                retry.and_then(|ms| self.clock.now().checked_add(SignedDuration::from_millis(ms)).ok());
            persons.push(PersonAnswer {
                outcome: answer.outcome,
                retry_at,
                log_index: verified.leaf_index(),
                leaf: verified.leaf(),
                path: entry.inclusion,
            });
        }
        let found = persons
            .iter()
            .any(|person| matches!(person.outcome, Outcome::Found(_)));
        if found && persons.len() != query.subjects.len() {
            return Err(Evidence::Answers);
        }
        let beside = response.cosigned.clone().unwrap_or_default();
        let strict = covenant
            .purpose(&query.purpose)
            .is_some_and(|purpose| purpose.strict && found);
        let offered = Offered {
            head,
            note: &response.checkpoint,
            proofs: &receipt::consistency(response)?,
            own,
            cosigned: &beside.note,
            between: &receipt::hashes(&beside.consistency)?,
            strict,
            now_s: u64::try_from(self.clock.now().as_second()).unwrap_or(0),
        };
        let witnessed_s = self.heads.accept(named, &offered)?;
        // A question that could not be read has one refusal, which is that of every person in it.
        if let [one] = persons.as_slice() {
            persons = vec![one.clone(); query.subjects.len()];
        }
        Ok(VerifiedAnswer {
            request: query.request,
            persons,
            log_size: head.size,
            witnessed_s,
            checkpoint: response.checkpoint.clone(),
        })
    }

    fn check_entry(
        &self,
        prepared: &Prepared,
        place: usize,
        answer: &Answer,
        answer_bytes: &[u8],
        verified: &VerifiedReceipt,
    ) -> Result<(), Evidence> {
        let Prepared {
            query,
            digest,
            covenant,
            made,
        } = prepared;
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
            signed: Some(&query.signed),
            request_digest: *digest,
            answer_digest: Sha256::digest(answer_bytes).into(),
        };
        Ok(record.check_since(verified.opening().fields(), *made)?)
    }

    /// Keeps what proves a fault of the log, and reports it. Nothing of the question is in it.
    fn keep_evidence(&self, query: &Query, response: &v1::AskResponse, found: &Evidence) {
        if let Evidence::Branch { note, .. } = found {
            let beside = response
                .cosigned
                .as_ref()
                .map(|beside| receipt::hashes(&beside.consistency));
            let proof = beside.and_then(Result::ok);
            if let Ok(evidence) =
                hitmachine_audit::Evidence::new(note.clone(), response.checkpoint.clone(), proof)
            {
                return self.alarms.contradiction(&query.request.to_string(), &evidence);
            }
        }
        if let Evidence::Log(error) = found {
            let proofs = receipt::parts(response).ok();
            let proofs = proofs.as_ref().and_then(|parts| parts.first());
            let proof =
                proofs.and_then(|parts| parts.consistency.iter().find(|(from, _)| error.is_from(*from)));
            let proof = proof.map(|(_, proof)| proof.clone());
            if let Some(evidence) = self.heads.evidence(error, &response.checkpoint, proof) {
                return self.alarms.contradiction(&query.request.to_string(), &evidence);
            }
        }
        let note = String::from_utf8_lossy(&response.checkpoint);
        let mut text = format!("request {}\nrefused because {found}\n", query.request);
        for answer in &response.answers {
            let receipt = answer.receipt.clone().unwrap_or_default();
            let leaf =
                Opening::decode(&receipt.opening).map(|opening| opening.commitment().leaf_hash().to_string());
            let leaf = leaf.unwrap_or_else(|_| "that cannot be read".to_owned());
            text.push_str(&format!(
                "entry {} with leaf {leaf} and path\n",
                receipt.leaf_index
            ));
            for hash in receipt.inclusion.chunks(32) {
                text.push_str(&format!("  {}\n", hex::encode(hash)));
            }
        }
        text.push_str(&format!("heads held before:\n{}", self.heads.describe()));
        text.push_str(&format!("the hub's signed checkpoint:\n{note}"));
        self.alarms.receipt(&query.request.to_string(), text.as_bytes());
    }
}
