//! The result per person as CSV for a [`spreadsheet`](crate::spreadsheet): a column for each organisation.

use hitmachine_core::PartnerStatus;

use super::{ScreenResult, ScreeningReport};
use crate::spreadsheet::{safe, writer};

/// Columns before those of the organisations.
const BEFORE: [&str; 5] = ["household", "row", "label", "outcome", "reason"];
/// Columns after them.
const AFTER: [&str; 4] = ["contact", "log_entry", "covenant", "screening"];

impl ScreeningReport {
    /// A line for each person. `outcome` is `answered`, `refused` or `could_not_ask`; an organisation's cell is
    /// `known`, `not_known`, `could_not_ask` or `does_not_apply`, and empty where there is no answer. Rows that were left
    /// out come last, with their household if they name one.
    ///
    /// # Errors
    /// As the writer, which is memory here.
    pub fn csv(&self) -> std::io::Result<Vec<u8>> {
        let columns = self.partner_columns();
        let mut out = writer(true);
        let names = columns.iter().map(|(id, _)| id.as_str());
        let header: Vec<&str> = BEFORE.into_iter().chain(names).chain(AFTER).collect();
        out.write_record(&header)?;
        let id = self.id.clone().unwrap_or_default();
        for household in &self.households {
            for person in &household.persons {
                let (outcome, reason, entry) = match &person.result {
                    ScreenResult::NotAsked(failure) => ("could_not_ask", failure.code.clone(), None),
                    ScreenResult::Answer(answer) => match &answer.refused {
                        Some(code) => ("refused", code.clone(), Some(answer.log_index)),
                        None => ("answered", String::new(), Some(answer.log_index)),
                    },
                };
                let partners = match &person.result {
                    ScreenResult::Answer(answer) => answer.partners.as_slice(),
                    ScreenResult::NotAsked(_) => &[],
                };
                let statuses = columns.iter().map(|(id, _)| {
                    let row = partners.iter().find(|row| row.partner == *id);
                    row.map_or("", |row| PartnerStatus::from(row.status).as_str())
                        .to_owned()
                });
                let contacts: Vec<_> = partners
                    .iter()
                    .filter_map(|row| Some(format!("{}: {}", row.name, row.contact.as_ref()?)))
                    .collect();
                let mut cells = vec![
                    household.household.clone(),
                    person.row.to_string(),
                    person.label.clone().unwrap_or_default(),
                    outcome.to_owned(),
                    reason,
                ];
                cells.extend(statuses);
                cells.extend([
                    contacts.join("; "),
                    entry.map_or_else(String::new, |index| index.saturating_add(1).to_string()),
                    person
                        .covenant
                        .map_or_else(String::new, |number| number.to_string()),
                    id.clone(),
                ]);
                out.write_record(cells.iter().map(|cell| safe(cell)))?;
            }
        }
        for issue in &self.issues {
            let of = self
                .households
                .iter()
                .find(|household| household.bad_rows.contains(&issue.row));
            let mut cells = vec![
                of.map_or_else(String::new, |household| household.household.clone()),
                issue.row.to_string(),
                String::new(),
                "row_left_out".to_owned(),
                issue.code.clone(),
            ];
            cells.resize(header.len(), String::new());
            out.write_record(cells.iter().map(|cell| safe(cell)))?;
        }
        out.into_inner().map_err(::csv::IntoInnerError::into_error)
    }
}
