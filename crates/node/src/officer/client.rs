//! One action of a privacy officer: signed, done by the hub, and its result verified before anything is shown.

use std::fmt;
use std::sync::Arc;

use hitmachine_audit::{FieldId, Fields, Hash, Head, LogVerifier, ReceiptParts, verify_receipt};
use hitmachine_core::record::{
    CLOCK_TOLERANCE_MS, DecodedRecord, DecodedResult, Kind, Mismatch, Record, Result as RecordResult,
};
use hitmachine_core::{
    CaseReference, Covenant, OfficerRequest, Oin, RequestId, SignedRequest, TraceContext, User, UserId,
};
use hitmachine_identifier::contains_bsn;
use hitmachine_proto::officer::{self, Action};
use hitmachine_proto::v1::officer_result::Result as Outcome;
use hitmachine_proto::{WireError, receipt, v1};
use jiff::Timestamp;
use prost::Message;
use sha2::{Digest, Sha256};

use super::OfficerError;
use super::rows::{self, VerifiedRow};
use crate::ask::{AskError, Evidence, Inquirer};
use crate::journal::JournalEntry;
use crate::state::StateError;

/// As for questions.
const COVENANT_CHANGED: &str = "covenant_changed";

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct OfficerFrame {
    /// The officer.
    pub user: User,
    /// Why one looks: a file, an instruction, a request. Never a BSN.
    pub reference: CaseReference,
}

/// What was done, with everything in it proven.
#[derive(Clone)]
pub(crate) struct Acted {
    /// The action's name.
    pub(crate) request: RequestId,
    /// What came of it; never a refusal.
    pub(crate) outcome: Outcome,
    /// The rows of the outcome, each proven under `head`.
    pub(crate) rows: Vec<VerifiedRow>,
    /// Index of the action's own entry.
    pub(crate) entry: u64,
    /// The head it is all proven under.
    pub(crate) head: Head,
    /// The signed note of it.
    pub(crate) checkpoint: Vec<u8>,
    /// The covenant in force.
    pub(crate) covenant: Arc<Covenant>,
}

impl fmt::Debug for Acted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acted = &mut f.debug_struct("Acted");
        acted.field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// A privacy officer at this node.
pub(crate) struct Officer<'a> {
    pub(crate) inquirer: &'a Inquirer,
}

impl Officer<'_> {
    /// Does one action. It is an entry of the log, also if it is refused.
    ///
    /// # Errors
    /// [`OfficerError`]; then nothing of a result is shown.
    pub(crate) async fn act(&self, frame: &OfficerFrame, action: &Action) -> Result<Acted, OfficerError> {
        let responsible = frame.user.responsible.as_ref().map(UserId::as_str);
        for (field, text) in [
            ("the reference", Some(frame.reference.as_str())),
            ("the user", Some(frame.user.id.as_str())),
            ("the responsible user", responsible),
            ("the role", Some(frame.user.role.as_str())),
        ] {
            if text.is_some_and(contains_bsn) {
                return Err(AskError::BsnInText(field).into());
            }
        }
        match self.act_once(frame, action).await {
            Err(OfficerError::Refused(code)) if code == COVENANT_CHANGED => {
                self.inquirer.link.forget_covenant();
                self.act_once(frame, action).await
            }
            acted => acted,
        }
    }

    async fn act_once(&self, frame: &OfficerFrame, action: &Action) -> Result<Acted, OfficerError> {
        let Inquirer {
            link,
            heads,
            state,
            notes,
            clock,
            ..
        } = self.inquirer;
        let covenant = link.covenant().await.map_err(AskError::from)?;
        let own = covenant.partner(&link.own().partner);
        let own = own.ok_or(AskError::NotProven(Evidence::Answers))?;
        let request = self.request(frame, action, &covenant)?;
        let named = heads.named();
        let sent = v1::OfficerRequest {
            action: request.signed.bytes().to_vec(),
            signature: request.signed.signature().to_vec(),
            known_sizes: named.sizes(),
        };
        let response = link.act(sent).await.map_err(AskError::from)?;
        let asked = Asked {
            request: &request,
            action,
            oin: &own.oin,
            now: clock.now(),
        };
        let checked = asked.verify(notes.verifier(), &response).and_then(|verified| {
            let (head, proofs) = (verified.head, &verified.consistency);
            heads.accept_history(&named, head, &response.checkpoint, proofs)?;
            Ok(verified)
        });
        let verified = match checked {
            Ok(verified) => verified,
            Err(evidence) => {
                tracing::error!(request = %request.request, reason = %evidence, "officer's result not proven; not shown");
                self.keep_evidence(&request, &response, &evidence);
                return Err(AskError::NotProven(evidence).into());
            }
        };
        heads.journal([JournalEntry {
            index: verified.entry,
            request: *request.request.as_bytes(),
            leaf: verified.leaf,
            time_ms: u64::try_from(clock.now().as_millisecond()).unwrap_or(0),
        }]);
        heads.persist(state).await.map_err(AskError::from)?;
        if let Outcome::Refused(refused) = verified.outcome {
            return Err(OfficerError::Refused(refused.code));
        }
        Ok(Acted {
            request: request.request,
            outcome: verified.outcome,
            rows: verified.rows,
            entry: verified.entry,
            head: verified.head,
            checkpoint: response.checkpoint,
            covenant,
        })
    }

    fn request(
        &self,
        frame: &OfficerFrame,
        action: &Action,
        covenant: &Covenant,
    ) -> Result<OfficerRequest, AskError> {
        let signer = self.inquirer.signer.as_ref().ok_or(AskError::NoSigningKey)?;
        let mut trace = TraceContext::default();
        getrandom::fill(&mut trace.trace).map_err(|_| StateError::Random)?;
        getrandom::fill(&mut trace.parent).map_err(|_| StateError::Random)?;
        let mut request = OfficerRequest {
            request: RequestId::generate(),
            user: frame.user.clone(),
            reference: frame.reference.clone(),
            covenant: covenant.version(),
            trace,
            signed: SignedRequest::default(),
        };
        request.signed = signer.sign(officer::encode(&request, action.clone()));
        Ok(request)
    }

    /// As for a question: what proves a fault of the log, and nothing of what was looked for.
    fn keep_evidence(&self, request: &OfficerRequest, response: &v1::OfficerResponse, found: &Evidence) {
        let (name, heads, alarms) = (
            request.request.to_string(),
            &self.inquirer.heads,
            &self.inquirer.alarms,
        );
        if let Evidence::Log(error) = found {
            let consistency = consistency(response).unwrap_or_default();
            let proof = consistency.into_iter().find(|(from, _)| error.is_from(*from));
            let proof = proof.map(|(_, proof)| proof);
            if let Some(evidence) = heads.evidence(error, &response.checkpoint, proof) {
                return alarms.contradiction(&name, &evidence);
            }
        }
        let mut text = format!("officer request {name}\nrefused because {found}\n");
        if let Evidence::Row { index } = found {
            text.push_str(&format!("row of the result: entry {index} with path\n"));
            let result = v1::OfficerResult::decode(response.result.as_slice()).ok();
            let place = match result.and_then(|result| result.result) {
                Some(Outcome::Rows(rows)) => rows.rows.iter().position(|row| row.index == *index),
                _ => None,
            };
            let path = place.and_then(|place| response.inclusion.get(place));
            for hash in path.map(Vec::as_slice).unwrap_or_default().chunks(32) {
                text.push_str(&format!("  {}\n", hex::encode(hash)));
            }
        }
        text.push_str(&format!("heads held before:\n{}", heads.describe()));
        let note = String::from_utf8_lossy(&response.checkpoint);
        text.push_str(&format!("the hub's signed checkpoint:\n{note}"));
        alarms.receipt(&name, text.as_bytes());
    }
}

/// What a response must be the answer to.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a OfficerRequest,
    pub(crate) action: &'a Action,
    /// Of this organisation.
    pub(crate) oin: &'a Oin,
    pub(crate) now: Timestamp,
}

/// A response of which everything holds but for the history of the log.
pub(crate) struct Verified {
    pub(crate) outcome: Outcome,
    pub(crate) rows: Vec<VerifiedRow>,
    pub(crate) entry: u64,
    pub(crate) leaf: Hash,
    pub(crate) head: Head,
    pub(crate) consistency: Vec<(u64, Vec<Hash>)>,
}

impl Asked<'_> {
    /// The action's own entry is in the signed log and says what was asked and answered; so is every row, and the
    /// rows are those asked for.
    pub(crate) fn verify(
        &self,
        verifier: &LogVerifier,
        response: &v1::OfficerResponse,
    ) -> Result<Verified, Evidence> {
        let consistency = consistency(response)?;
        let receipt = response.receipt.as_ref().ok_or(WireError("receipt_missing"))?;
        let parts = ReceiptParts {
            opening: receipt.opening.clone(),
            leaf_index: receipt.leaf_index,
            inclusion: receipt::hashes(&receipt.inclusion)?,
            checkpoint: response.checkpoint.clone(),
            consistency: Vec::new(),
        };
        let verified = verify_receipt(&parts, verifier, verifier.origin())?;
        let result = v1::OfficerResult::decode(response.result.as_slice());
        let result = result.map_err(|_| WireError("result_encoding"))?;
        let outcome = result.result.ok_or(WireError("result_missing"))?;
        let named = result.request_id == *self.request.request.as_bytes();
        let nameless =
            matches!(outcome, Outcome::Refused(_)) && result.request_id.iter().all(|byte| *byte == 0);
        if !(named || nameless) || !self.is_answered_by(&outcome) {
            return Err(Evidence::Result);
        }
        let fields = verified.opening().fields();
        let logged = DecodedRecord::decode(fields).ok();
        let record = self.record(&outcome, &response.result, logged.as_ref());
        if record.kind == Kind::Denied {
            // The hub may have read less of it than was sent.
            record.check(fields)?;
        } else {
            check_done(record, fields)?;
        }
        let head = verified.head();
        let rows = match &outcome {
            Outcome::Rows(page) => {
                let rows = rows::verify(&page.rows, &response.inclusion, &head)?;
                if !rows::fit(self.action, page, &rows) {
                    return Err(Evidence::Result);
                }
                rows
            }
            _ => Vec::new(),
        };
        Ok(Verified {
            outcome,
            rows,
            entry: verified.leaf_index(),
            leaf: verified.opening().commitment().leaf_hash(),
            head,
            consistency,
        })
    }

    /// The entry as the hub must have written it.
    fn record<'a>(
        &'a self,
        outcome: &'a Outcome,
        result: &[u8],
        logged: Option<&DecodedRecord>,
    ) -> Record<'a> {
        let kind = match outcome {
            Outcome::Refused(_) => Kind::Denied,
            _ if officer::is_export(self.action) => Kind::Export,
            _ => Kind::OfficerSearch,
        };
        let result_field = match outcome {
            Outcome::Refused(refused) => RecordResult::Refused(&refused.code),
            outcome => RecordResult::Done {
                action: officer::action_code(self.action),
                rows: match (outcome, logged.map(|logged| &logged.result)) {
                    (Outcome::Rows(page), _) => u32::try_from(page.rows.len()).unwrap_or(u32::MAX),
                    // How many entries went into a table or a count, only the hub knows.
                    (_, Some(DecodedResult::Done { rows, .. })) => *rows,
                    _ => 0,
                },
            },
        };
        Record {
            kind,
            time: self.now,
            request: Some(self.request.request),
            requester: self.oin,
            user: Some(&self.request.user),
            ground: None,
            case: Some(&self.request.reference),
            subject: None,
            result: result_field,
            trace: self.request.trace,
            place: 0,
            signed: Some(&self.request.signed),
            request_digest: self.request.signed.digest(),
            answer_digest: Sha256::digest(result).into(),
        }
    }

    fn is_answered_by(&self, outcome: &Outcome) -> bool {
        matches!(
            (self.action, outcome),
            (_, Outcome::Refused(_))
                | (Action::Search(_) | Action::Entries(_), Outcome::Rows(_))
                | (Action::Statistics(_), Outcome::Statistics(_))
                | (Action::Completeness(_), Outcome::Completeness(_))
                | (Action::Review(_), Outcome::Reviewed(_))
                | (Action::Alarms(_), Outcome::Alarms(_))
                | (Action::WaitingNotices(_), Outcome::WaitingNotices(_))
                | (Action::Erase(_), Outcome::Erased(_))
                | (Action::Acknowledge(_) | Action::Lift(_), Outcome::AlarmChanged(_))
                | (Action::Overview(_), Outcome::Overview(_))
        )
    }
}

/// The entry of an action that was carried out: every field byte for byte, none more and none fewer, but for the hub's
/// time. (`Record::check` takes an entry without a ground only from a refusal.)
fn check_done(own: Record<'_>, logged: &Fields) -> Result<(), Mismatch> {
    let time = DecodedRecord::decode(logged)
        .map_err(|error| Mismatch(error.field()))?
        .time;
    let apart = time.as_millisecond().abs_diff(own.time.as_millisecond());
    if apart > CLOCK_TOLERANCE_MS {
        return Err(Mismatch(FieldId::Event));
    }
    let own = Record { time, ..own }.fields();
    let differs = |id: &FieldId| own.get(*id) != logged.get(*id);
    match FieldId::ALL.into_iter().find(differs) {
        Some(id) => Err(Mismatch(id)),
        None => Ok(()),
    }
}

fn consistency(response: &v1::OfficerResponse) -> Result<Vec<(u64, Vec<Hash>)>, WireError> {
    let proofs = response.consistency.iter();
    proofs
        .map(|proof| Ok((proof.from, receipt::hashes(&proof.hashes)?)))
        .collect()
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
