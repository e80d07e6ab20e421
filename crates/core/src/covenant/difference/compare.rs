//! Field by field.

use std::collections::BTreeMap;

use super::{Change, ChangeKind, QuotaName, Subject, Unit, Value, name_in};
use crate::covenant::{Administrators, AlarmRules, Covenant, Officer, Partner, Purpose, QuotaOf};
use crate::ids::PartnerId;

/// Every difference between the covenant `old` and the one after it, in the order of the file.
pub fn difference(old: &Covenant, new: &Covenant) -> Vec<Change> {
    let mut found = Found {
        covenants: [new, old],
        changes: Vec::new(),
    };
    found.covenant(old, new);
    found.administrators(old.administrators(), new.administrators());
    found.terms(old, new);
    found.alarms(old.alarm_rules(), new.alarm_rules());
    found.partners(old, new);
    found.purposes(old, new);
    found.officers(old, new);
    found.quotas(old, new);
    found.changes
}

struct Found<'a> {
    /// The newer first: its names count.
    covenants: [&'a Covenant; 2],
    changes: Vec<Change>,
}

impl Found<'_> {
    fn push(&mut self, subject: &Subject, field: &'static str, kind: ChangeKind) {
        self.changes.push(Change {
            subject: subject.clone(),
            field,
            kind,
        });
    }

    fn set<T: PartialEq>(
        &mut self,
        subject: &Subject,
        field: &'static str,
        (old, new): (&T, &T),
        value: impl Fn(&T) -> Value,
    ) {
        if old != new {
            let (from, to) = (value(old), value(new));
            self.push(subject, field, ChangeKind::Set { from, to });
        }
    }

    fn count<T: PartialEq + Copy + Into<u64>>(
        &mut self,
        subject: &Subject,
        field: &'static str,
        (old, new): (T, T),
        unit: Unit,
    ) {
        self.set(subject, field, (&old, &new), |n| Value::Count((*n).into(), unit));
    }

    fn list<T: PartialEq>(
        &mut self,
        subject: &Subject,
        field: &'static str,
        (old, new): (&[T], &[T]),
        ordered: bool,
        value: impl Fn(&T) -> Value,
    ) {
        let before = self.changes.len();
        for item in new.iter().filter(|item| !old.contains(item)) {
            self.push(subject, field, ChangeKind::Gained(value(item)));
        }
        for item in old.iter().filter(|item| !new.contains(item)) {
            self.push(subject, field, ChangeKind::Lost(value(item)));
        }
        if ordered && before == self.changes.len() && old != new {
            self.push(subject, field, ChangeKind::Reordered);
        }
    }

    fn partner_value(&self, id: &PartnerId) -> Value {
        Value::Partner(id.clone(), name_in(self.covenants, id))
    }

    fn covenant(&mut self, old: &Covenant, new: &Covenant) {
        let of = &Subject::Covenant;
        self.set(of, "id", (&old.id, &new.id), Value::words);
        self.set(of, "title", (&old.title, &new.title), Value::words);
        self.count(of, "version", (old.number, new.number), Unit::Plain);
        self.set(of, "valid_from", (&old.valid_from, &new.valid_from), |day| {
            Value::Day(*day)
        });
        self.set(of, "valid_until", (&old.valid_until, &new.valid_until), |day| {
            Value::Day(*day)
        });
        let (before, now) = (old.deployment, new.deployment);
        self.set(of, "deployment.id", (&before.id, &now.id), Value::words);
        self.set(of, "deployment.kind", (&before.kind, &now.kind), Value::words);
    }

    fn administrators(&mut self, old: Option<&Administrators>, new: Option<&Administrators>) {
        let of = &Subject::Administrators;
        let (old, new) = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => return self.push(of, "", ChangeKind::Added),
            (Some(_), None) => return self.push(of, "", ChangeKind::Removed),
            (Some(old), Some(new)) => (old, new),
        };
        let needed = |list: &Administrators| u64::try_from(list.needed()).unwrap_or(u64::MAX);
        self.count(of, "needed", (needed(old), needed(new)), Unit::Plain);
        // With the key: the same name with another key is another.
        self.list(of, "keys", (old.keys(), new.keys()), false, Value::words);
    }

    fn terms(&mut self, old: &Covenant, new: &Covenant) {
        let (of, old, new) = (&Subject::Terms, old.terms(), new.terms());
        let days = (old.registration_days_at_most, new.registration_days_at_most);
        self.count(of, "registration_days_at_most", days, Unit::Days);
        let months = (old.log_months_at_most, new.log_months_at_most);
        self.count(of, "log_months_at_most", months, Unit::Months);
    }

    fn alarms(&mut self, old: &AlarmRules, new: &AlarmRules) {
        let of = &Subject::Alarms;
        for (field, old, new, unit) in [
            (
                "enumeration_window",
                old.enumeration_window,
                new.enumeration_window,
                Unit::Persons,
            ),
            (
                "enumeration_hits",
                old.enumeration_hits,
                new.enumeration_hits,
                Unit::Plain,
            ),
            ("volume_factor", old.volume_factor, new.volume_factor, Unit::Plain),
            ("volume_least", old.volume_least, new.volume_least, Unit::Persons),
            ("notice_days", old.notice_days, new.notice_days, Unit::Days),
        ] {
            self.count(of, field, (old, new), unit);
        }
        self.set(of, "usual_hours", (&old.usual_hours, &new.usual_hours), |hours| {
            Value::Hours(hours.0, hours.1)
        });
    }

    fn partners(&mut self, old: &Covenant, new: &Covenant) {
        for partner in new.partners() {
            let of = Subject::Partner(partner.id.clone(), partner.name.clone());
            match old.partner(&partner.id) {
                None => self.push(&of, "", ChangeKind::Added),
                Some(before) => self.partner(&of, before, partner),
            }
        }
        for partner in old.partners() {
            if new.partner(&partner.id).is_none() {
                let of = Subject::Partner(partner.id.clone(), partner.name.clone());
                self.push(&of, "", ChangeKind::Removed);
            }
        }
    }

    fn partner(&mut self, of: &Subject, old: &Partner, new: &Partner) {
        self.set(of, "name", (&old.name, &new.name), Value::words);
        self.set(of, "oin", (&old.oin, &new.oin), Value::words);
        self.set(of, "domain", (&old.domain, &new.domain), Value::words);
        self.set(of, "contact", (&old.contact, &new.contact), Value::words);
        self.set(of, "answers", (&old.answers, &new.answers), |answers| {
            Value::Answers(*answers)
        });
        self.list(
            of,
            "registers",
            (&old.registers, &new.registers),
            false,
            |class| Value::Class(*class),
        );
        let days = (old.registration_days, new.registration_days);
        self.count(of, "registration_days", days, Unit::Days);
        let hours = (old.stale_after_hours, new.stale_after_hours);
        self.count(of, "stale_after_hours", hours, Unit::Hours);
        self.list(of, "key_pins", (&old.key_pins, &new.key_pins), false, |pin| {
            Value::words(&hex::encode(pin))
        });
        let keys = (old.signing_keys.as_slice(), new.signing_keys.as_slice());
        self.list(of, "signing_keys", keys, false, Value::words);
        let deadline = (old.live_deadline_ms, new.live_deadline_ms);
        self.count(of, "live_deadline_ms", deadline, Unit::Milliseconds);
    }

    fn purposes(&mut self, old: &Covenant, new: &Covenant) {
        for purpose in new.purposes() {
            let of = Subject::Purpose(purpose.code.clone(), purpose.title.clone());
            match old.purpose(&purpose.code) {
                None => self.push(&of, "", ChangeKind::Added),
                Some(before) => self.purpose(&of, before, purpose),
            }
        }
        for purpose in old.purposes() {
            if new.purpose(&purpose.code).is_none() {
                let of = Subject::Purpose(purpose.code.clone(), purpose.title.clone());
                self.push(&of, "", ChangeKind::Removed);
            }
        }
    }

    fn purpose(&mut self, of: &Subject, old: &Purpose, new: &Purpose) {
        self.set(of, "title", (&old.title, &new.title), Value::words);
        self.set(
            of,
            "legal_basis",
            (&old.legal_basis, &new.legal_basis),
            Value::words,
        );
        let activity = (&old.processing_activity, &new.processing_activity);
        self.set(of, "processing_activity", activity, Value::words);
        for (field, old, new, ordered) in [
            ("askers", &old.askers, &new.askers, false),
            ("consults", &old.consults, &new.consults, true),
            ("notifies", &old.notifies, &new.notifies, false),
        ] {
            let values: Vec<(PartnerId, Value)> = old
                .iter()
                .chain(new)
                .map(|id| (id.clone(), self.partner_value(id)))
                .collect();
            self.list(of, field, (old, new), ordered, |id| {
                let value = values.iter().find(|(other, _)| other == id);
                value.map_or_else(|| Value::words(id), |(_, value)| value.clone())
            });
        }
        self.list(of, "roles", (&old.roles, &new.roles), false, Value::words);
        let months = (old.log_retention_months, new.log_retention_months);
        self.count(of, "log_retention_months", months, Unit::Months);
        let subjects = [old, new].map(|purpose| u64::try_from(purpose.max_subjects).unwrap_or(u64::MAX));
        self.count(of, "max_subjects", subjects.into(), Unit::Persons);
        let screening = (old.max_screening, new.max_screening);
        self.count(of, "max_screening", screening, Unit::Persons);
        self.set(of, "strict", (&old.strict, &new.strict), |on| Value::Flag(*on));
        let confidential = (&old.confidential, &new.confidential);
        self.set(of, "confidential", confidential, |on| Value::Flag(*on));
    }

    fn officers(&mut self, old: &Covenant, new: &Covenant) {
        let find = |list: &[Officer], id: &PartnerId| -> Option<Officer> {
            list.iter().find(|officer| officer.partner == *id).cloned()
        };
        for officer in new.officers() {
            let of = Subject::Officer(officer.partner.clone(), name_in(self.covenants, &officer.partner));
            match find(old.officers(), &officer.partner) {
                None => self.push(&of, "", ChangeKind::Added),
                Some(before) => {
                    self.list(&of, "roles", (&before.roles, &officer.roles), false, Value::words);
                    let months = (before.log_retention_months, officer.log_retention_months);
                    self.count(&of, "log_retention_months", months, Unit::Months);
                }
            }
        }
        for officer in old.officers() {
            if find(new.officers(), &officer.partner).is_none() {
                let of = Subject::Officer(officer.partner.clone(), name_in(self.covenants, &officer.partner));
                self.push(&of, "", ChangeKind::Removed);
            }
        }
    }

    fn quotas(&mut self, old: &Covenant, new: &Covenant) {
        let (before, now) = (self.quotas_of(old), self.quotas_of(new));
        let mut names: Vec<&QuotaName> = before.keys().chain(now.keys()).collect();
        names.sort();
        names.dedup();
        let none = Vec::new();
        for name in names {
            let (old, new) = (before.get(name).unwrap_or(&none), now.get(name).unwrap_or(&none));
            let of = Subject::Quota(name.clone());
            match (old.as_slice(), new.as_slice()) {
                (old, new) if old == new => {}
                ([old], [new]) => {
                    self.count(&of, "persons", (old.0, new.0), Unit::Persons);
                    self.count(&of, "hours", (old.1, new.1), Unit::Hours);
                }
                // Several of one kind hold together; which became which nobody can say.
                (old, new) => {
                    for (persons, _) in new.iter().filter(|quota| !old.contains(quota)) {
                        let value = Value::Count((*persons).into(), Unit::Persons);
                        self.push(&of, "", ChangeKind::Gained(value));
                    }
                    for (persons, _) in old.iter().filter(|quota| !new.contains(quota)) {
                        let value = Value::Count((*persons).into(), Unit::Persons);
                        self.push(&of, "", ChangeKind::Lost(value));
                    }
                }
            }
        }
    }

    fn quotas_of(&self, covenant: &Covenant) -> BTreeMap<QuotaName, Vec<(u32, u32)>> {
        let mut by_name: BTreeMap<QuotaName, Vec<(u32, u32)>> = BTreeMap::new();
        for quota in covenant.quotas() {
            let partner = quota.partner.as_ref();
            let name = QuotaName {
                each_user: quota.of == QuotaOf::User,
                partner: partner.map(|id| (id.clone(), name_in(self.covenants, id))),
                purpose: quota.purpose.clone(),
            };
            by_name
                .entry(name)
                .or_default()
                .push((quota.persons, quota.hours));
        }
        for same in by_name.values_mut() {
            same.sort_unstable();
            // The same one twice holds once.
            same.dedup();
        }
        by_name
    }
}
