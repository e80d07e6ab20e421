//! A covenant for machines: stable names, no language but in texts that are marked with one.

use hitmachine_core::covenant::difference::{ChangeKind, Value};
use hitmachine_core::covenant::{Answers, Change, QuotaOf, advice};
use hitmachine_core::{Covenant, PartnerId};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::cells;

/// Differences for machines.
pub fn changes_json(changes: &[Change]) -> Json {
    changes
        .iter()
        .map(|change| {
            let mut row = json!({
                "table": change.subject.table(),
                "which": change.subject.which(),
                "field": change.field,
                "change": change.kind.code(),
                "text_nl": change.text_nl(),
                "text_en": change.text_en(),
            });
            match &change.kind {
                ChangeKind::Set { from, to } => {
                    row["from"] = value_json(from);
                    row["to"] = value_json(to);
                }
                ChangeKind::Gained(value) | ChangeKind::Lost(value) => row["value"] = value_json(value),
                _ => {}
            }
            row
        })
        .collect()
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Words(words) => json!(words),
        Value::Count(number, _) => json!(number),
        Value::Day(day) => json!(day.to_string()),
        Value::Flag(on) => json!(on),
        Value::Answers(answers) => json!(answers_code(*answers)),
        Value::Class(class) => json!(class.as_str()),
        Value::Partner(id, _) => json!(id.as_str()),
        Value::Hours(from, to) => json!([
            from.strftime("%H:%M").to_string(),
            to.strftime("%H:%M").to_string()
        ]),
    }
}

/// All of it for machines.
pub fn covenant_json(
    covenant: &Covenant,
    now: Timestamp,
    witnesses: Option<&dyn Fn(&PartnerId) -> bool>,
) -> Json {
    let (from, until) = covenant.validity();
    let strings = |items: &mut dyn Iterator<Item = String>| -> Vec<String> { items.collect() };
    let ids = |ids: &[PartnerId]| strings(&mut ids.iter().map(ToString::to_string));
    let partners: Vec<Json> = covenant
        .partners()
        .iter()
        .map(|partner| {
            json!({
                "id": partner.id.as_str(), "name": partner.name, "oin": partner.oin.as_str(), "domain": partner.domain,
                "contact": partner.contact, "answers": answers_code(partner.answers),
                "registers": strings(&mut partner.registers.iter().map(ToString::to_string)),
                "registration_days": partner.registration_days, "stale_after_hours": partner.stale_after_hours,
                "live_deadline_ms": partner.live_deadline_ms,
            })
        })
        .collect();
    let purposes: Vec<Json> = covenant
        .purposes()
        .iter()
        .map(|purpose| {
            json!({
                "code": purpose.code.as_str(), "title": purpose.title, "legal_basis": purpose.legal_basis,
                "processing_activity": purpose.processing_activity, "askers": ids(&purpose.askers),
                "roles": strings(&mut purpose.roles.iter().map(ToString::to_string)),
                "consults": ids(&purpose.consults), "notifies": ids(&purpose.notifies),
                "log_retention_months": purpose.log_retention_months, "max_subjects": purpose.max_subjects,
                "max_screening": purpose.max_screening, "strict": purpose.strict, "confidential": purpose.confidential,
            })
        })
        .collect();
    let mut matrix = Vec::new();
    for asker in covenant.partners() {
        for asked in covenant.partners() {
            for purpose in cells(covenant, asker, asked) {
                matrix.push(json!({
                    "asks": asker.id.as_str(), "asked": asked.id.as_str(), "purpose": purpose.code.as_str(),
                    "notified": purpose.notifies.contains(&asked.id), "live": asked.answers == Answers::Live,
                    "classes": strings(&mut asked.registers.iter().map(ToString::to_string)),
                }));
            }
        }
    }
    let quotas: Vec<Json> = covenant
        .quotas()
        .iter()
        .map(|quota| {
            json!({
                "of": match quota.of { QuotaOf::Partner => "partner", QuotaOf::User => "user" },
                "partner": quota.partner.as_ref().map(PartnerId::as_str),
                "purpose": quota.purpose.as_ref().map(hitmachine_core::PurposeCode::as_str),
                "persons": quota.persons, "hours": quota.hours,
            })
        })
        .collect();
    let (alarms, terms, deployment) = (covenant.alarm_rules(), covenant.terms(), covenant.deployment());
    let warnings: Vec<Json> = advice(covenant, now, witnesses)
        .iter()
        .map(|each| json!({ "code": each.code(), "text_nl": each.text_nl(), "text_en": each.text_en() }))
        .collect();
    json!({
        "id": covenant.id(), "number": covenant.number(), "title": covenant.title(),
        "version": covenant.version().to_string(), "valid_from": from.to_string(), "valid_until": until.to_string(),
        "in_force": covenant.in_force(now),
        "deployment": { "id": deployment.id.to_string(), "kind": deployment.kind.to_string() },
        "administrators": covenant.administrators().map(|list| json!({
            "needed": list.needed(),
            "keys": strings(&mut list.keys().iter().map(ToString::to_string)),
        })),
        "terms": {
            "registration_days_at_most": terms.registration_days_at_most,
            "log_months_at_most": terms.log_months_at_most,
        },
        "partners": partners, "purposes": purposes, "matrix": matrix, "quotas": quotas,
        "officers": covenant.officers().iter().map(|officer| json!({
            "partner": officer.partner.as_str(),
            "roles": strings(&mut officer.roles.iter().map(ToString::to_string)),
            "log_retention_months": officer.log_retention_months,
        })).collect::<Vec<_>>(),
        "alarms": {
            "enumeration_window": alarms.enumeration_window, "enumeration_hits": alarms.enumeration_hits,
            "volume_factor": alarms.volume_factor, "volume_least": alarms.volume_least,
            "usual_hours": [alarms.usual_hours.0.strftime("%H:%M").to_string(), alarms.usual_hours.1.strftime("%H:%M").to_string()],
            "notice_days": alarms.notice_days,
        },
        "warnings": warnings,
    })
}

fn answers_code(answers: Answers) -> &'static str {
    match answers {
        Answers::Index => "index",
        Answers::Live => "live",
    }
}
