//! Entries as data-processing records of the Logius standard *Logboek dataverwerkingen*: one JSON object per data
//! subject and action. Users and cases are never in them; trace and span ids tie them to the log.

use serde::Serialize;

use hitmachine_core::ldv::SUBJECT_ID_TYPE;

use super::page::RowView;

/// In front of the OIN of the organisation that had the data processed, as in what the hub exports.
const PROCESSOR: &str = "urn:oin:";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LdvRecord {
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits; each data subject has its own.
    pub span_id: String,
    /// The asking node's span.
    pub parent_span_id: String,
    /// `Ok`, or `Error` for a refused question. No hit is no error.
    pub status: &'static str,
    /// For people.
    pub name: &'static str,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// The same: the entry has one time.
    pub end_time: i64,
    /// System and version.
    pub resource: Attributes<Resource>,
    /// What was processed.
    pub attributes: Processed,
}

/// `resource.attributes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attributes<T> {
    /// Its fields.
    pub attributes: T,
}

/// Which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its name.
    #[serde(rename = "service.name")]
    pub name: &'static str,
    /// Its version.
    #[serde(rename = "service.version")]
    pub version: &'static str,
}

/// `dpl.core.*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Processed {
    /// URI in the register of processing activities.
    #[serde(rename = "dpl.core.processing_activity_id")]
    pub processing_activity: String,
    /// Digest of the pseudonym.
    #[serde(rename = "dpl.core.data_subject_id")]
    pub data_subject: String,
    /// [`SUBJECT_ID_TYPE`].
    #[serde(rename = "dpl.core.data_subject_id_type")]
    pub data_subject_type: &'static str,
    /// The organisation that asked.
    #[serde(rename = "dpl.core.foreign_operation.processor")]
    pub processor: String,
}

/// The record of an entry; `None` for one that processed no person's data under a processing activity: control
/// entries, officers' actions, erased ones, and questions that could not be read.
pub fn record(row: &RowView) -> Option<LdvRecord> {
    let record = row.record.as_ref()?;
    let ground = record.ground.as_ref()?;
    let time: jiff::Timestamp = row.time.parse().ok()?;
    Some(LdvRecord {
        trace_id: record.trace_id.clone(),
        span_id: record.span_id.clone(),
        parent_span_id: record.parent_span_id.clone(),
        status: if record.refused.is_some() { "Error" } else { "Ok" },
        name: if record.refused.is_some() {
            "lookup refused"
        } else {
            "lookup"
        },
        start_time: time.as_millisecond(),
        end_time: time.as_millisecond(),
        resource: Attributes {
            attributes: Resource {
                name: "hitmachine",
                version: env!("CARGO_PKG_VERSION"),
            },
        },
        attributes: Processed {
            processing_activity: ground.processing_activity.clone(),
            data_subject: record.data_subject.clone()?,
            data_subject_type: SUBJECT_ID_TYPE,
            processor: format!("{PROCESSOR}{}", record.requester.oin),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::officer::sample_rows::rows;

    #[test]
    fn records_have_the_fields_of_the_standard_and_no_others() {
        let rows = rows();
        let records: Vec<_> = rows
            .iter()
            .map(|row| record(row).map(serde_json::to_value))
            .collect();
        assert!(records[2].is_none(), "an officer's action has no data subject");
        assert!(records[3].is_none(), "nor has an erased entry");
        let hit = records[0].as_ref().unwrap().as_ref().unwrap();
        assert_eq!(
            *hit,
            serde_json::json!({
                "trace_id": "11".repeat(16),
                "span_id": "22".repeat(8),
                "parent_span_id": "33".repeat(8),
                "status": "Ok",
                "name": "lookup",
                "start_time": 1_795_262_400_000_i64,
                "end_time": 1_795_262_400_000_i64,
                "resource": {"attributes": {"service.name": "hitmachine", "service.version": env!("CARGO_PKG_VERSION")}},
                "attributes": {
                    "dpl.core.processing_activity_id": "https://register.example/v/1",
                    "dpl.core.data_subject_id": "ab".repeat(32),
                    "dpl.core.data_subject_id_type": SUBJECT_ID_TYPE,
                    "dpl.core.foreign_operation.processor": "urn:oin:00000099000000001000",
                }
            })
        );
        let refused = records[1].as_ref().unwrap().as_ref().unwrap();
        assert_eq!(refused["status"], "Error");
        let text = serde_json::to_string(&records.iter().flatten().flatten().collect::<Vec<_>>()).unwrap();
        for never in ["jansen", "ZK-2026", "zorgregisseur"] {
            assert!(!text.contains(never), "{never}");
        }
    }
}
