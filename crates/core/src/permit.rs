//! From question to answer: [`Query`] → [`Permit`] → [`Finding`] → log → [`Released`].
//!
//! Each step takes the one before by value, and nobody outside can make one: a question that the covenant
//! did not allow cannot be looked up, and what the log did not take cannot be sent.

use std::sync::Arc;

use hitmachine_audit::{Draft, Receipt, RetentionClass};
use hitmachine_pseudonym::{KeyEpoch, Tag};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock::Day;
use crate::covenant::{Answers, Covenant, CovenantVersion, Partner, Purpose};
use crate::ids::{Oin, PartnerId, RequestId, SubjectClass};
use crate::query::{Asker, PartnerStatus, Query};
use crate::record::{Kind, Record, Result as RecordResult};
use crate::refusal::Refusal;
use crate::registry::Register;

/// The class of log entries about questions that name no purpose of the covenant, in months.
pub(crate) const RETENTION_WITHOUT_PURPOSE: u16 = 60;

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

    /// Whether `asker` may ask `query` on `today`, with tokens of the epoch in use.
    ///
    /// # Errors
    /// A [`RefusedQuery`], which goes into the log like any answer.
    pub fn authorise(
        self: &Arc<Self>,
        asker: &Asker,
        query: Query,
        epoch: KeyEpoch,
        today: Day,
    ) -> Result<Permit, Box<RefusedQuery>> {
        match self.decide(asker, &query, epoch, today) {
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
        today: Day,
    ) -> Result<(usize, usize), Refusal> {
        let partner = self.identify(asker)?;
        if !partner.signed(&query.signed) {
            return Err(Refusal::NotSigned);
        }
        if !self.in_force(today) {
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
        let asker = self.partners().iter().position(|other| other.id == partner.id);
        Ok((place, asker.ok_or(Refusal::UnknownPartner)?))
    }
}

impl Permit {
    /// Whether the answer waits for a quorum of witnesses.
    pub fn is_strict(&self) -> bool {
        self.purpose().strict
    }

    fn purpose(&self) -> &Purpose {
        &self.covenant.purposes()[self.purpose]
    }

    fn asker(&self) -> &Partner {
        &self.covenant.partners()[self.asker]
    }

    /// Looks every subject up at every partner that the purpose consults.
    pub fn look_up(self, register: &Register, now: Timestamp) -> Finding {
        let consulted: Vec<&Partner> = self
            .purpose()
            .consulted_by(&self.asker().id)
            .filter_map(|id| self.covenant.partner(id))
            .collect();
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
        Finding {
            permit: self,
            subjects,
        }
    }
}

fn status(
    partner: &Partner,
    class: SubjectClass,
    tags: &[Tag],
    register: &Register,
    now: Timestamp,
) -> PartnerStatus {
    if !partner.registers(class) {
        return PartnerStatus::DoesNotApply;
    }
    // Live partners are asked over their own stream; a hub that has none cannot ask them.
    if partner.answers == Answers::Live || !register.is_fresh(&partner.id, partner.stale_after_hours, now) {
        return PartnerStatus::CouldNotAsk;
    }
    let today = Day::of(now);
    if tags.iter().any(|tag| register.is_known(&partner.id, tag, today)) {
        PartnerStatus::Known
    } else {
        PartnerStatus::NotKnown
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
                request_digest: query.signed.digest(),
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
