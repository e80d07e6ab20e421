//! The privacy officer's actions: who may, and what the log must hold before a result may leave.
//!
//! The order is that of a query: [`OfficerRequest`] → [`OfficerPermit`] → the result → log → released. The entry holds
//! the signed request itself, so a search says what was searched for, and a review holds its note.

use std::sync::Arc;

use hitmachine_audit::{Draft, RetentionClass};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::covenant::{Covenant, CovenantVersion, Officer};
use crate::ids::{CaseReference, Oin, RequestId, TraceContext};
use crate::permit::{RETENTION_WITHOUT_PURPOSE, Unreleased};
use crate::query::{Asker, User};
use crate::record::{Kind, Record, Result as RecordResult};
use crate::refusal::Refusal;
use crate::signed::SignedRequest;

/// What an officer wants done, but for the action itself.
#[derive(Clone, Debug)]
pub struct OfficerRequest {
    /// Its name, made by the node.
    pub request: RequestId,
    /// Who asks.
    pub user: User,
    /// Why.
    pub reference: CaseReference,
    /// The covenant that the node knows.
    pub covenant: CovenantVersion,
    /// Ids that tie records together.
    pub trace: TraceContext,
    /// The bytes as received, and the node's signature.
    pub signed: SignedRequest,
}

/// Proof that the covenant lets somebody review the log.
#[derive(Debug)]
pub struct OfficerPermit {
    covenant: Arc<Covenant>,
    oin: Oin,
    retention: RetentionClass,
    request: OfficerRequest,
}

/// A request that is not carried out.
#[derive(Debug)]
pub struct RefusedOfficer {
    refusal: Refusal,
    oin: Oin,
    retention: RetentionClass,
    asked: Result<OfficerRequest, (Option<RequestId>, [u8; 32])>,
}

impl Covenant {
    /// Whether `asker` may review the log at this moment.
    ///
    /// # Errors
    /// A [`RefusedOfficer`], which goes into the log like any answer.
    pub fn authorise_officer(
        self: &Arc<Self>,
        asker: &Asker,
        request: OfficerRequest,
        now: Timestamp,
    ) -> Result<OfficerPermit, Box<RefusedOfficer>> {
        match self.may_review(asker, &request, now) {
            Ok(officer) => Ok(OfficerPermit {
                covenant: Arc::clone(self),
                oin: asker.oin.clone(),
                retention: RetentionClass(officer.log_retention_months),
                request,
            }),
            Err(refusal) => Err(Box::new(self.refuse_officer(asker, refusal, Ok(request)))),
        }
    }

    fn may_review(
        &self,
        asker: &Asker,
        request: &OfficerRequest,
        now: Timestamp,
    ) -> Result<&Officer, Refusal> {
        let partner = self.identify(asker)?;
        if !partner.signed(&request.signed) {
            return Err(Refusal::NotSigned);
        }
        if !self.in_force(now) {
            return Err(Refusal::CovenantNotInForce);
        }
        if request.covenant != self.version() {
            return Err(Refusal::CovenantChanged);
        }
        let mut officers = self
            .officers()
            .iter()
            .filter(|officer| officer.partner == partner.id);
        officers
            .find(|officer| officer.roles.contains(&request.user.role))
            .ok_or(Refusal::NotAnOfficer)
    }

    /// A request that is refused for another reason, or could not be read: then its name, if that much could be read,
    /// and the digest of its bytes with their signature.
    pub fn refuse_officer(
        &self,
        asker: &Asker,
        refusal: Refusal,
        asked: Result<OfficerRequest, (Option<RequestId>, [u8; 32])>,
    ) -> RefusedOfficer {
        let mut officers = self.officers().iter();
        let months = officers.next().map(|officer| officer.log_retention_months);
        RefusedOfficer {
            refusal,
            oin: asker.oin.clone(),
            retention: RetentionClass(months.unwrap_or(RETENTION_WITHOUT_PURPOSE)),
            asked,
        }
    }
}

impl OfficerPermit {
    /// The covenant that allows it.
    pub fn covenant(&self) -> &Arc<Covenant> {
        &self.covenant
    }

    /// The request.
    pub fn request(&self) -> &OfficerRequest {
        &self.request
    }

    /// The organisation that asks.
    pub fn oin(&self) -> &Oin {
        &self.oin
    }

    /// Gives the permit up for a refusal that depends on the action.
    pub fn refuse(self, refusal: Refusal) -> RefusedOfficer {
        RefusedOfficer {
            refusal,
            oin: self.oin,
            retention: self.retention,
            asked: Ok(self.request),
        }
    }

    /// What the log must hold before this result may leave: which action, and how many entries it shows.
    pub fn seal(
        self,
        now: Timestamp,
        kind: Kind,
        action: &str,
        rows: u32,
        result: Vec<u8>,
    ) -> (Draft, Unreleased) {
        let record = Record {
            kind,
            time: now,
            request: Some(self.request.request),
            requester: &self.oin,
            user: Some(&self.request.user),
            ground: None,
            case: Some(&self.request.reference),
            subject: None,
            result: RecordResult::Done { action, rows },
            trace: self.request.trace,
            place: 0,
            signed: Some(&self.request.signed),
            request_digest: self.request.signed.digest(),
            answer_digest: Sha256::digest(&result).into(),
        };
        let draft = Draft::payload(record.fields(), self.retention);
        (draft, Unreleased::new(vec![result]))
    }
}

impl RefusedOfficer {
    /// Why.
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// The request's name, if it could be read.
    pub fn request(&self) -> Option<RequestId> {
        match &self.asked {
            Ok(request) => Some(request.request),
            Err((request, _)) => *request,
        }
    }

    /// As [`OfficerPermit::seal`].
    pub fn seal(self, now: Timestamp, result: Vec<u8>) -> (Draft, Unreleased) {
        let asked = self.asked.as_ref().ok();
        let digest = match &self.asked {
            Ok(request) => request.signed.digest(),
            Err((_, digest)) => *digest,
        };
        let record = Record {
            kind: Kind::Denied,
            time: now,
            request: self.request(),
            requester: &self.oin,
            user: asked.map(|asked| &asked.user),
            ground: None,
            case: asked.map(|asked| &asked.reference),
            subject: None,
            result: RecordResult::Refused(self.refusal.code()),
            trace: asked.map(|asked| asked.trace).unwrap_or_default(),
            place: 0,
            signed: asked
                .filter(|_| self.refusal != Refusal::NotSigned)
                .map(|asked| &asked.signed),
            request_digest: digest,
            answer_digest: Sha256::digest(&result).into(),
        };
        let draft = Draft::payload(record.fields(), self.retention);
        (draft, Unreleased::new(vec![result]))
    }
}
