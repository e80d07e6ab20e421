//! From question to answer: [`Query`] → [`Permit`] → [`Lookup`] → [`Finding`] → log → [`Released`].
//!
//! Each step takes the one before by value, and nobody outside can make one: a question that the covenant
//! did not allow cannot be looked up, and what the log did not take cannot be sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{Draft, Receipt, RetentionClass};
use hitmachine_pseudonym::{KeyEpoch, Tag};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock::Day;
use crate::covenant::{Answers, Covenant, CovenantVersion, Partner, Purpose};
use crate::ids::{Oin, PartnerId, RequestId, SubjectClass};
use crate::live::{LiveAnswers, LiveFrame, LiveQuestion, openings};
use crate::query::{Asker, PartnerStatus, Query};
use crate::quota::Demand;
use crate::record::{Kind, Record, Result as RecordResult};
use crate::refusal::Refusal;
use crate::registry::Register;
use crate::usage::hit;

/// The class of log entries about questions that name no purpose of the covenant, in months.
pub const RETENTION_WITHOUT_PURPOSE: u16 = 60;

/// Proof that the covenant allows a query.
#[derive(Debug)]
pub struct Permit {
    covenant: Arc<Covenant>,
    purpose: usize,
    asker: usize,
    query: Query,
}

impl Covenant {
    /// The partner that `asker` is.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartner`], [`Refusal::KeyNotPinned`].
    pub fn identify(&self, asker: &Asker) -> Result<&Partner, Refusal> {
        let partner = self.partner_by_oin(&asker.oin).ok_or(Refusal::UnknownPartner)?;
        if !partner.accepts_key(&asker.public_key_sha256) {
            return Err(Refusal::KeyNotPinned);
        }
        Ok(partner)
    }

    /// Whether `asker` may ask `query` at this moment, with tokens of the epoch in use.
    ///
    /// # Errors
    /// A [`RefusedQuery`], which goes into the log like any answer.
    pub fn authorise(
        self: &Arc<Self>,
        asker: &Asker,
        query: Query,
        epoch: KeyEpoch,
        now: Timestamp,
    ) -> Result<Permit, Box<RefusedQuery>> {
        match self.decide(asker, &query, epoch, now) {
            Ok((purpose, asker)) => Ok(Permit {
                covenant: Arc::clone(self),
                purpose,
                asker,
                query,
            }),
            Err(refusal) => Err(Box::new(RefusedQuery::new(
                self,
                asker,
                refusal,
                Asked::Parsed(Box::new(query)),
            ))),
        }
    }

    fn decide(
        &self,
        asker: &Asker,
        query: &Query,
        epoch: KeyEpoch,
        now: Timestamp,
    ) -> Result<(usize, usize), Refusal> {
        let partner = self.identify(asker)?;
        if !partner.signed(&query.signed) {
            return Err(Refusal::NotSigned);
        }
        if !self.in_force(now) {
            return Err(Refusal::CovenantNotInForce);
        }
        if query.covenant != self.version() {
            return Err(Refusal::CovenantChanged);
        }
        let place = self
            .purposes()
            .iter()
            .position(|purpose| purpose.code == query.purpose);
        let place = place.ok_or(Refusal::UnknownPurpose)?;
        let purpose = &self.purposes()[place];
        if !purpose.askers.contains(&partner.id) {
            return Err(Refusal::PurposeNotGranted);
        }
        if !purpose.roles.contains(&query.user.role) {
            return Err(Refusal::RoleNotGranted);
        }
        if query.subjects.len() > purpose.max_subjects {
            return Err(Refusal::TooManySubjects);
        }
        if query.epoch != epoch {
            return Err(Refusal::WrongEpoch);
        }
        if purpose.asks_live(self, &partner.id) {
            let frame = LiveFrame::of(&partner.id, query).encode();
            let signature = query.signed.live();
            if !signature.is_some_and(|signature| partner.signed_live(&frame, signature)) {
                return Err(Refusal::NotSigned);
            }
        }
        let asker = self.partners().iter().position(|other| other.id == partner.id);
        Ok((place, asker.ok_or(Refusal::UnknownPartner)?))
    }
}

impl Permit {
    /// The key epoch of every token in the question: it is answered from that epoch's register alone.
    pub fn epoch(&self) -> KeyEpoch {
        self.query.epoch
    }

    /// Whether the answer waits for a quorum of witnesses.
    pub fn is_strict(&self) -> bool {
        self.purpose().strict
    }

    /// What quotas look at.
    pub fn demand(&self) -> Demand<'_> {
        Demand {
            partner: &self.asker().id,
            oin: &self.asker().oin,
            user: Some(&self.query.user.id),
            purpose: &self.purpose().code,
            // At most 64.
            persons: u32::try_from(self.query.subjects.len()).unwrap_or(u32::MAX),
        }
    }

    /// The query's name.
    pub fn request(&self) -> RequestId {
        self.query.request
    }

    /// Gives the permit up for a refusal that the covenant alone does not decide.
    pub fn refuse(self, refusal: Refusal) -> RefusedQuery {
        RefusedQuery {
            refusal,
            oin: self.asker().oin.clone(),
            covenant: self.covenant.version(),
            purpose: Some(self.purpose().clone()),
            asked: Asked::Parsed(Box::new(self.query)),
        }
    }

    fn purpose(&self) -> &Purpose {
        &self.covenant.purposes()[self.purpose]
    }

    fn asker(&self) -> &Partner {
        &self.covenant.partners()[self.asker]
    }

    fn consulted(&self) -> impl Iterator<Item = &Partner> {
        self.purpose()
            .consulted_by(&self.asker().id)
            .filter_map(|id| self.covenant.partner(id))
    }

    /// Looks every subject up at every partner that the purpose consults. What partners that answer live know is still
    /// open.
    pub fn look_up(self, register: &Register, now: Timestamp) -> Lookup {
        let consulted: Vec<&Partner> = self.consulted().collect();
        let subjects = self
            .query
            .subjects
            .iter()
            .map(|subject| {
                let tags = register.tags(&subject.tokens);
                consulted
                    .iter()
                    .map(|partner| {
                        (
                            partner.id.clone(),
                            status(partner, subject.class, &tags, register, now),
                        )
                    })
                    .collect()
            })
            .collect();
        Lookup {
            permit: self,
            subjects,
        }
    }
}

/// What the index says; `None` for a partner that must be asked live.
fn status(
    partner: &Partner,
    class: SubjectClass,
    tags: &[Tag],
    register: &Register,
    now: Timestamp,
) -> Option<PartnerStatus> {
    if !partner.registers(class) {
        return Some(PartnerStatus::DoesNotApply);
    }
    if partner.answers == Answers::Live {
        return None;
    }
    if !register.is_fresh(&partner.id, partner.asked_for_hours(), now) {
        return Some(PartnerStatus::CouldNotAsk);
    }
    let today = Day::of(now);
    let known = tags.iter().any(|tag| register.is_known(&partner.id, tag, today));
    Some(if known {
        PartnerStatus::Known
    } else {
        PartnerStatus::NotKnown
    })
}

/// What the index says; the places of partners that answer live are open until [`Lookup::answered`].
#[derive(Debug)]
pub struct Lookup {
    permit: Permit,
    subjects: Vec<Vec<(PartnerId, Option<PartnerStatus>)>>,
}

impl Lookup {
    /// What must be asked of partners that answer live: one question for each, about the persons that it may be asked
    /// about. None for a partner that none of them applies to.
    pub fn live_questions(&self) -> Vec<LiveQuestion> {
        let query = &self.permit.query;
        let Some(signature) = query.signed.live() else {
            return Vec::new();
        };
        let mut frame = None;
        let mut questions = Vec::new();
        for (place, partner) in self.permit.consulted().enumerate() {
            let is_open = |row: &Vec<(PartnerId, Option<PartnerStatus>)>| row[place].1.is_none();
            if !self.subjects.iter().any(is_open) {
                continue;
            }
            let subjects = openings(query).enumerate();
            let frame = frame.get_or_insert_with(|| LiveFrame::of(&self.permit.asker().id, query).encode());
            questions.push(LiveQuestion {
                partner: partner.id.clone(),
                deadline: Duration::from_millis(partner.live_deadline_ms.into()),
                frame: frame.clone(),
                signature: *signature,
                subjects: subjects
                    .filter(|(subject, _)| is_open(&self.subjects[*subject]))
                    .collect(),
            });
        }
        questions
    }

    /// Fills the open places in. Whoever did not answer, or not about each person, could not be asked: never "not
    /// known".
    pub fn answered(self, answers: &LiveAnswers) -> Finding {
        let mut open: HashMap<PartnerId, usize> = HashMap::new();
        for (partner, _) in self
            .subjects
            .iter()
            .flatten()
            .filter(|(_, status)| status.is_none())
        {
            *open.entry(partner.clone()).or_default() += 1;
        }
        let mut said: HashMap<&PartnerId, _> = open
            .iter()
            .filter_map(|(partner, count)| Some((partner, answers.of(partner, *count)?.iter())))
            .collect();
        let mut fill = |partner: &PartnerId| {
            let next = said.get_mut(partner).and_then(Iterator::next);
            next.map_or(PartnerStatus::CouldNotAsk, |status| (*status).into())
        };
        let subjects = self
            .subjects
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|(partner, status)| {
                        let status = status.unwrap_or_else(|| fill(&partner));
                        (partner, status)
                    })
                    .collect()
            })
            .collect();
        Finding {
            permit: self.permit,
            subjects,
        }
    }
}

/// What the lookup yielded. It may not leave before the log has it: see [`Finding::seal`].
#[derive(Debug)]
pub struct Finding {
    permit: Permit,
    subjects: Vec<Vec<(PartnerId, PartnerStatus)>>,
}

/// What one answer says, for whoever encodes it.
#[derive(Clone, Copy, Debug)]
pub enum AnswerContent<'a> {
    /// A status for each consulted partner.
    Found {
        /// The query.
        request: RequestId,
        /// Which of its subjects, from 0.
        subject: usize,
        /// Partner and status, in the covenant's order.
        partners: &'a [(PartnerId, PartnerStatus)],
    },
    /// A refusal.
    Refused {
        /// The query, if that much could be read.
        request: Option<RequestId>,
        /// Which of its subjects, from 0.
        subject: usize,
        /// Why.
        refusal: Refusal,
    },
}

/// Answers that wait for the log.
#[derive(Debug)]
pub struct Unreleased {
    answers: Vec<Vec<u8>>,
}

/// An answer whose log entry is durable; only [`Unreleased::release`] makes one.
#[derive(Debug)]
pub struct Released {
    /// The encoded answer, exactly the bytes that the entry is bound to.
    pub answer: Vec<u8>,
    /// Proof that the entry is in the log.
    pub receipt: Receipt,
}

/// The log's receipts are not those of these answers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{receipts} receipts for {answers} answers")]
pub struct ReleaseError {
    answers: usize,
    receipts: usize,
}

impl Unreleased {
    pub(crate) fn new(answers: Vec<Vec<u8>>) -> Self {
        Self { answers }
    }

    /// Turns receipts into answers.
    ///
    /// # Errors
    /// [`ReleaseError`] unless there is exactly one receipt for each answer.
    pub fn release(self, receipts: Vec<Receipt>) -> Result<Vec<Released>, ReleaseError> {
        if receipts.len() != self.answers.len() {
            return Err(ReleaseError {
                answers: self.answers.len(),
                receipts: receipts.len(),
            });
        }
        let pairs = self.answers.into_iter().zip(receipts);
        Ok(pairs
            .map(|(answer, receipt)| Released { answer, receipt })
            .collect())
    }
}

impl Finding {
    /// Statuses by subject, for counting; not a way to answer.
    pub fn statuses(&self) -> impl Iterator<Item = PartnerStatus> + '_ {
        self.subjects.iter().flatten().map(|(_, status)| *status)
    }

    /// What quotas look at, and person by person a hit, a miss or neither ([`hit`]); not a way to answer.
    pub fn seen(&self) -> (Demand<'_>, impl Iterator<Item = Option<bool>> + '_) {
        let persons = self.subjects.iter();
        let persons = persons.map(|partners| hit(partners.iter().map(|(_, status)| *status)));
        (self.permit.demand(), persons)
    }

    /// Encodes the answers and writes down what the log must hold before they may leave: one entry for
    /// each subject.
    pub fn seal(
        self,
        now: Timestamp,
        encode: impl Fn(&AnswerContent<'_>) -> Vec<u8>,
    ) -> (Vec<Draft>, Unreleased) {
        let query = &self.permit.query;
        let purpose = self.permit.purpose();
        let retention = RetentionClass(purpose.log_retention_months);
        let request_digest = query.signed.digest();
        let mut drafts = Vec::with_capacity(self.subjects.len());
        let mut answers = Vec::with_capacity(self.subjects.len());
        for (place, (partners, subject)) in self.subjects.iter().zip(&query.subjects).enumerate() {
            let answer = encode(&AnswerContent::Found {
                request: query.request,
                subject: place,
                partners,
            });
            let record = Record {
                kind: Kind::Lookup,
                time: now,
                request: Some(query.request),
                requester: &self.permit.asker().oin,
                user: Some(&query.user),
                ground: Some((purpose, self.permit.covenant.version())),
                case: Some(&query.case),
                subject: Some((query.epoch, subject)),
                result: RecordResult::Answered(partners),
                trace: query.trace,
                place,
                signed: Some(&query.signed),
                request_digest,
                answer_digest: Sha256::digest(&answer).into(),
            };
            drafts.push(Draft::payload(record.fields(), retention));
            answers.push(answer);
        }
        (drafts, Unreleased { answers })
    }
}

/// A question that is not answered, with as much of it as could be read.
#[derive(Debug)]
pub struct RefusedQuery {
    refusal: Refusal,
    oin: Oin,
    covenant: CovenantVersion,
    purpose: Option<Purpose>,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Parsed(Box<Query>),
    Malformed {
        request: Option<RequestId>,
        digest: [u8; 32],
    },
}

impl RefusedQuery {
    fn new(covenant: &Covenant, asker: &Asker, refusal: Refusal, asked: Asked) -> Self {
        let purpose = match &asked {
            Asked::Parsed(query) => covenant.purpose(&query.purpose).cloned(),
            Asked::Malformed { .. } => None,
        };
        Self {
            refusal,
            oin: asker.oin.clone(),
            covenant: covenant.version(),
            purpose,
            asked,
        }
    }

    /// A question whose bytes could not be read: `digest` is their SHA-256, `field` a stable code.
    pub fn malformed(
        covenant: &Covenant,
        asker: &Asker,
        field: &'static str,
        request: Option<RequestId>,
        digest: [u8; 32],
    ) -> Self {
        let asked = Asked::Malformed { request, digest };
        Self::new(covenant, asker, Refusal::Malformed(field), asked)
    }

    /// A question refused for a reason outside the covenant.
    pub fn other(covenant: &Covenant, asker: &Asker, refusal: Refusal, query: Query) -> Self {
        Self::new(covenant, asker, refusal, Asked::Parsed(Box::new(query)))
    }

    /// Why.
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// How many persons it is about, none if they could not be read, and its name, if that much could be.
    pub fn size(&self) -> (u32, Option<RequestId>) {
        match &self.asked {
            Asked::Parsed(query) => {
                let persons = u32::try_from(query.subjects.len()).unwrap_or(u32::MAX);
                (persons, Some(query.request))
            }
            Asked::Malformed { request, .. } => (0, *request),
        }
    }

    /// As [`Finding::seal`]: one entry and one answer for each subject that could be read, at least one.
    pub fn seal(
        self,
        now: Timestamp,
        encode: impl Fn(&AnswerContent<'_>) -> Vec<u8>,
    ) -> (Vec<Draft>, Unreleased) {
        let (query, request, digest) = match &self.asked {
            Asked::Parsed(query) => (Some(query.as_ref()), Some(query.request), query.signed.digest()),
            Asked::Malformed { request, digest } => (None, *request, *digest),
        };
        let months = self
            .purpose
            .as_ref()
            .map_or(RETENTION_WITHOUT_PURPOSE, |p| p.log_retention_months);
        let count = query.map_or(1, |query| query.subjects.len());
        let mut drafts = Vec::with_capacity(count);
        let mut answers = Vec::with_capacity(count);
        for place in 0..count {
            let answer = encode(&AnswerContent::Refused {
                request,
                subject: place,
                refusal: self.refusal,
            });
            let record = Record {
                kind: Kind::Denied,
                time: now,
                request,
                requester: &self.oin,
                user: query.map(|query| &query.user),
                ground: self.purpose.as_ref().map(|purpose| (purpose, self.covenant)),
                case: query.map(|query| &query.case),
                subject: query.map(|query| (query.epoch, &query.subjects[place])),
                result: RecordResult::Refused(self.refusal.code()),
                trace: query.map(|query| query.trace).unwrap_or_default(),
                place,
                signed: query
                    .filter(|_| self.refusal != Refusal::NotSigned)
                    .map(|query| &query.signed),
                request_digest: digest,
                answer_digest: Sha256::digest(&answer).into(),
            };
            drafts.push(Draft::payload(record.fields(), RetentionClass(months)));
            answers.push(answer);
        }
        (drafts, Unreleased { answers })
    }
}
