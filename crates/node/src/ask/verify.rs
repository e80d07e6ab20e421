//! The asking node's duty: what the hub answers is proven to be in its log, or it is kept as evidence.

use hitmachine_audit::{AskerError, Named, OpenedNotes, Opening, VerifiedReceipt, verify_entry};
use hitmachine_core::Query;
use hitmachine_core::record::{Kind, Record, Result as RecordResult};
use hitmachine_proto::answer::{Answer, Outcome};
use hitmachine_proto::{answer, receipt, v1};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use crate::heads::{HeldCosigned, Offered};

use super::{COVENANT_CHANGED, Evidence, Inquirer, PersonAnswer, Prepared, VerifiedAnswer};

impl Inquirer {
    /// The asking node's duty, before anything is shown: the log's signature, the proof that it only grew, the
    /// proof that the entries are in it, and that they say what was asked and answered.
    pub(super) fn verify(
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
    pub(super) fn keep_evidence(&self, query: &Query, response: &v1::AskResponse, found: &Evidence) {
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
