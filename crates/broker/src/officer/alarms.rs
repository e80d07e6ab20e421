//! What officers do about alarms. Each act is an entry of its own with the officer's note, as all that officers do, and
//! beside it, in the same commit, a public entry that says which alarm it was about: what is open and who is stopped
//! follows from the log alone.

use hitmachine_audit::{Draft, StoredContent};
use hitmachine_core::record::DecodedRecord;
use hitmachine_core::{Covenant, OfficerPermit, PartnerId, Refusal, UserId};
use hitmachine_proto::officer::Action;
use hitmachine_proto::v1;
use hitmachine_proto::v1::officer_result::Result as Found;
use jiff::Timestamp;

use super::{Answer, Office};
use crate::alarm::{Act, Alarms};

/// Characters of a note.
const MOST_NOTE: usize = 1_000;

/// What becomes of an alarm once the log says so.
pub(super) struct Changed {
    act: Act,
    alarm: u64,
    time_ms: u64,
}

fn ms(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

fn is_note(note: &str) -> bool {
    (1..=MOST_NOTE).contains(&note.chars().count())
}

impl Office {
    /// Every alarm, with the person it is about as far as the log still says so.
    pub(super) fn list(&self) -> v1::Alarms {
        let mut alarms = self.alarms.list();
        for alarm in &mut alarms {
            alarm.user = self.user_of(alarm);
        }
        v1::Alarms { alarms }
    }

    /// Who of the partner asked what the alarm follows from; empty if it is about the whole partner.
    fn user_of(&self, alarm: &v1::Alarm) -> String {
        let user = || {
            let who = self.alarms.at(alarm.index)?.who?;
            let entry = self.reader.read_entry(alarm.entry.checked_sub(1)?).ok()?;
            let StoredContent::Open(opening) = &entry.content else {
                return None;
            };
            let record = DecodedRecord::decode(opening.fields()).ok()?;
            let user = record.user?.id;
            (self.hub.watch().who(&record.requester, Some(&user)) == who).then(|| user.as_str().to_owned())
        };
        user().unwrap_or_default()
    }

    /// The alarm as it will be once it is acknowledged.
    pub(super) fn acknowledge(&self, wanted: &v1::AcknowledgeAlarm, now: Timestamp) -> Answer {
        if !is_note(&wanted.note) {
            return Err(Refusal::Malformed("note"));
        }
        let mut alarm = self.alarms.at(wanted.index).ok_or(Refusal::NoSuchAlarm)?.alarm;
        if alarm.acknowledged_ms == 0 {
            alarm.acknowledged_ms = ms(now);
        }
        Ok(self.changed_alarm(alarm))
    }

    /// The alarm as it will be once its stop is lifted.
    pub(super) fn lift(&self, covenant: &Covenant, wanted: &v1::LiftStop, now: Timestamp) -> Answer {
        if !is_note(&wanted.note) {
            return Err(Refusal::Malformed("note"));
        }
        let partner: PartnerId = wanted
            .partner
            .parse()
            .map_err(|_| Refusal::Malformed("partner"))?;
        let user = Some(wanted.user.as_str()).filter(|user| !user.is_empty());
        let user: Option<UserId> = user
            .map(str::parse)
            .transpose()
            .map_err(|_| Refusal::Malformed("user"))?;
        let partner = covenant.partner(&partner).ok_or(Refusal::NoSuchAlarm)?;
        let who = self.hub.watch().who(&partner.oin, user.as_ref());
        let mut alarm = self.alarms.stop_of(&who).ok_or(Refusal::NoSuchAlarm)?.alarm;
        if alarm.acknowledged_ms == 0 {
            alarm.acknowledged_ms = ms(now);
        }
        alarm.lifted_ms = ms(now);
        alarm.stops = false;
        Ok(self.changed_alarm(alarm))
    }

    fn changed_alarm(&self, mut alarm: v1::Alarm) -> Found {
        alarm.user = self.user_of(&alarm);
        Found::AlarmChanged(v1::AlarmChanged { alarm: Some(alarm) })
    }

    /// The public entry that goes with an officer's act, and what follows once it is in the log.
    pub(super) fn change(
        permit: &OfficerPermit,
        action: &Action,
        result: &v1::OfficerResult,
        now: Timestamp,
    ) -> Option<(Draft, Changed)> {
        let Some(Found::AlarmChanged(v1::AlarmChanged { alarm: Some(alarm) })) = &result.result else {
            return None;
        };
        let act = if matches!(action, Action::Lift(_)) {
            Act::Lift
        } else {
            Act::Acknowledge
        };
        let by = permit.covenant().partner_by_oin(permit.oin());
        let by = by.map_or("", |partner| partner.id.as_str());
        let changed = Changed {
            act,
            alarm: alarm.index,
            time_ms: ms(now),
        };
        Some((Alarms::draft(act, alarm.index, by, changed.time_ms)?, changed))
    }

    /// The act is in the log.
    pub(super) fn changed(&self, changed: &Changed) {
        let who = self.alarms.at(changed.alarm).and_then(|logged| logged.who);
        self.alarms.acted(changed.act, changed.alarm, changed.time_ms);
        if let (Act::Lift, Some(who)) = (changed.act, who) {
            self.hub.watch().lift(&who);
        }
    }
}
