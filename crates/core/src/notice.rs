//! Hit notices (hitberichten): who is told of a hit, and what.
//!
//! A notice is made from the log entry of the question, which is there before its answer leaves. So there is a notice
//! for every hit that somebody saw, and none for a hit that nobody can account for.

use hitmachine_pseudonym::KeyEpoch;
use jiff::Timestamp;

use crate::covenant::Covenant;
use crate::ids::{CaseReference, Oin, PartnerId, PurposeCode, RequestId};
use crate::query::{PartnerStatus, Subject};
use crate::record::{DecodedRecord, DecodedResult, Kind};

/// What the partner where a hit fell is told: which organisation asked, why, and about whom in its own register. Not
/// which of its people asked, and not where else the person is known.
///
/// `Debug` shows no case, and of a token a short id that means nothing outside this process.
#[derive(Clone, Debug)]
pub struct HitNotice {
    /// The log entry, from 0.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: [u8; 32],
    /// When it was asked, by the hub's clock.
    pub time: Timestamp,
    /// The organisation that asked.
    pub requester: Oin,
    /// Why.
    pub purpose: PurposeCode,
    /// For which case; `None` if the log does not hold it any more.
    pub case: Option<CaseReference>,
    /// The question, which may be about several persons.
    pub request: RequestId,
    /// Of the tokens.
    pub epoch: KeyEpoch,
    /// About whom: the tokens that the asker sent.
    pub subject: Subject,
}

impl HitNotice {
    /// What `partner` is told of a log entry; `None` if nothing, see [`recipients`].
    pub fn of(
        covenant: &Covenant,
        partner: &PartnerId,
        (index, leaf): (u64, [u8; 32]),
        record: &DecodedRecord,
    ) -> Option<Self> {
        recipients(covenant, record).find(|id| *id == partner)?;
        let (epoch, subject) = record.subject.clone()?;
        Some(Self {
            index,
            leaf,
            time: record.time,
            requester: record.requester.clone(),
            purpose: record.ground.as_ref()?.purpose.clone(),
            case: record.case.clone(),
            request: record.request?,
            epoch,
            subject,
        })
    }
}

/// Who is told of a log entry: of an answered question each partner that knows the person and that this covenant has
/// told under this purpose, but for the asker itself. Nobody if the covenant does not have the purpose.
pub fn recipients<'a>(
    covenant: &'a Covenant,
    record: &'a DecodedRecord,
) -> impl Iterator<Item = &'a PartnerId> {
    let answered = match &record.result {
        DecodedResult::Answered(partners) if record.kind == Kind::Lookup => partners.as_slice(),
        _ => &[],
    };
    let purpose = record.ground.as_ref();
    let purpose = purpose.and_then(|ground| covenant.purpose(&ground.purpose));
    let notifies = purpose.map_or(&[][..], |purpose| &purpose.notifies);
    answered
        .iter()
        .filter(|(_, status)| *status == PartnerStatus::Known)
        .map(|(id, _)| id)
        .filter(move |id| notifies.contains(id))
        .filter(|id| {
            let partner = covenant.partner(id);
            partner.is_some_and(|partner| partner.oin != record.requester)
        })
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
