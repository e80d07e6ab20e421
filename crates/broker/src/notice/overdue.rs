//! How long notices wait, for privacy officers and figures.

use std::collections::BTreeMap;

use hitmachine_core::{Covenant, PartnerId};
use hitmachine_proto::v1;
use hitmachine_store::TableError;

use super::{ALARMED, Notices, Queue};
use crate::metrics::{ByPartner, PartnerLabel};

/// Milliseconds in a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Notices {
    /// Partners that have not fetched a notice for longer than the covenant allows, of which nobody was told within
    /// that time; from now on somebody was.
    ///
    /// # Errors
    /// [`TableError`].
    pub(super) fn newly_overdue(&self) -> Result<Vec<PartnerId>, TableError> {
        let covenant = self.rules.covenant();
        let now = self.now_ms();
        let most = patience_ms(&covenant);
        let mut overdue = Vec::new();
        let queue = self.queue();
        for partner in covenant.partners() {
            let name = [&[ALARMED], partner.id.as_str().as_bytes()].concat();
            let told = self.table.get(&name)?;
            let told = told.and_then(|ms| ms.as_slice().try_into().ok().map(u64::from_be_bytes));
            if !is_overdue(oldest(&queue, &partner.id), now, most) {
                if told.is_some() {
                    self.table.change(&[(name, None)])?;
                }
            } else if told.is_none_or(|told| told.saturating_add(most) <= now) {
                self.table.change(&[(name, Some(now.to_be_bytes().to_vec()))])?;
                overdue.push(partner.id.clone());
            }
        }
        Ok(overdue)
    }

    /// How many wait for whom, for a privacy officer: every partner that a purpose notifies. Nothing about a person.
    pub(crate) fn summary(&self, covenant: &Covenant) -> v1::WaitingNotices {
        let (now, most) = (self.now_ms(), patience_ms(covenant));
        let queue = self.queue();
        let notified = covenant
            .partners()
            .iter()
            .map(|partner| &partner.id)
            .filter(|id| {
                let mut purposes = covenant.purposes().iter();
                purposes.any(|purpose| purpose.notifies.contains(id))
                    || queue.waiting.contains_key(*id)
                    || queue.done.contains_key(*id)
            });
        let partners = notified
            .map(|id| v1::WaitingNoticesOf {
                partner: id.to_string(),
                waiting: queue.waiting.get(id).map_or(0, |waiting| waiting.len() as u64),
                oldest_ms: oldest(&queue, id).unwrap_or(0),
                overdue: is_overdue(oldest(&queue, id), now, most),
                acknowledged: queue.done.get(id).map_or(0, |keys| keys.values().sum()),
                connected: self.streams().open.contains_key(id),
            })
            .collect();
        v1::WaitingNotices {
            partners,
            notice_days: covenant.alarm_rules().notice_days,
        }
    }

    /// Brings the figures of each partner up to date.
    pub(super) fn measure(&self) {
        let covenant = self.rules.covenant();
        let now = self.now_ms();
        let queue = self.queue();
        for partner in covenant.partners() {
            let label = PartnerLabel {
                partner: partner.id.to_string(),
            };
            let waiting = queue.waiting.get(&partner.id).map_or(0, BTreeMap::len);
            let age = oldest(&queue, &partner.id).map_or(0, |at| now.saturating_sub(at) / 1000);
            let set = |family: &ByPartner, value: i64| {
                family.get_or_create(&label).set(value);
            };
            set(&self.metrics.waiting, i64::try_from(waiting).unwrap_or(i64::MAX));
            set(
                &self.metrics.oldest_seconds,
                i64::try_from(age).unwrap_or(i64::MAX),
            );
        }
    }
}

/// How long a notice may wait.
fn patience_ms(covenant: &Covenant) -> u64 {
    u64::from(covenant.alarm_rules().notice_days) * DAY_MS
}

fn is_overdue(oldest: Option<u64>, now: u64, most: u64) -> bool {
    oldest.is_some_and(|at| at.saturating_add(most) <= now)
}

/// When the oldest that waits was asked. The log is in the order of time.
fn oldest(queue: &Queue, partner: &PartnerId) -> Option<u64> {
    let (_, row) = queue.waiting.get(partner)?.first_key_value()?;
    Some(row.time_ms)
}
