//! Entries as CSV for a `spreadsheet`.

use super::page::{Form, RowView};
use super::text::local;
use crate::spreadsheet::{safe, writer};

const COLUMNS: [&str; 27] = [
    "entry",
    "time_amsterdam",
    "time_utc",
    "form",
    "kind",
    "organisation",
    "organisation_name",
    "oin",
    "user",
    "role",
    "responsible",
    "purpose",
    "legal_basis",
    "processing_activity",
    "case",
    "class",
    "key_epoch",
    "outcome",
    "refused",
    "partners",
    "action",
    "rows",
    "request_id",
    "trace_id",
    "span_id",
    "leaf",
    "control",
];

/// Rows as lines of a file; the first page brings the mark and the header.
///
/// # Errors
/// As the writer, which is memory here.
pub fn csv(rows: &[RowView], first: bool) -> std::io::Result<Vec<u8>> {
    let mut out = writer(first);
    if first {
        out.write_record(COLUMNS)?;
    }
    for row in rows {
        out.write_record(cells(row).iter().map(|cell| safe(cell)))?;
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

fn cells(row: &RowView) -> [String; COLUMNS.len()] {
    let record = row.record.clone().unwrap_or_default();
    let user = record.user.unwrap_or_default();
    let ground = record.ground.unwrap_or_default();
    let partners = record.partners.iter();
    let partners = partners.map(|partner| {
        let status: hitmachine_core::PartnerStatus = partner.status.into();
        format!("{}={}", partner.partner, status.as_str())
    });
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    [
        (row.log_index.saturating_add(1)).to_string(),
        local(&row.time),
        row.time.clone(),
        match row.form {
            Form::Whole => "whole",
            Form::Processing => "processing",
            Form::Control => "control",
            Form::Erased => "erased",
        }
        .to_owned(),
        record.kind,
        record.requester.partner.unwrap_or_default(),
        record.requester.name,
        record.requester.oin,
        user.id,
        user.role,
        user.responsible.unwrap_or_default(),
        ground.purpose,
        ground.legal_basis,
        ground.processing_activity,
        record.case.unwrap_or_default(),
        record.class.unwrap_or_default(),
        number(record.key_epoch),
        record.outcome,
        record.refused.unwrap_or_default(),
        partners.collect::<Vec<_>>().join(", "),
        record.action.unwrap_or_default(),
        number(record.rows),
        record.request_id.unwrap_or_default(),
        record.trace_id,
        record.span_id,
        row.leaf.clone(),
        row.control.as_ref().map_or_else(String::new, ToString::to_string),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::officer::sample_rows::{hostile, rows};

    #[test]
    fn what_is_written_reads_back() {
        let mut all = rows();
        all.push(hostile("=HYPERLINK(\"x\");\r\n\"y\""));
        let bytes = [csv(&all[..2], true).unwrap(), csv(&all[2..], false).unwrap()].concat();
        let text = std::str::from_utf8(&bytes).unwrap();
        let text = text.strip_prefix('\u{feff}').expect("Excel needs the mark");
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(b';')
            .from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(read.len(), all.len());
        assert_eq!(&read[0][0], "8", "people count from 1");
        assert_eq!(&read[0][1], "2026-11-21 13:00:00");
        assert_eq!(&read[0][8], "j.jansen");
        assert_eq!(&read[0][19], "leerplicht=known, politie=could_not_ask");
        assert_eq!(&read[4][14], "'=HYPERLINK(\"x\");\r\n\"y\"");
    }
}
