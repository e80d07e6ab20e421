//! The report for one person (AVG art. 15): everything asked about them, hits and misses alike, what is withheld and
//! why, and what was erased. Who asked inside an organisation is not in it, nor the cases, nor the person's number.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::page::{
    ContactView, ErasureView, OrganisationView, PageView, PartnerResult, PurposeView, RowView,
};
use crate::language::Language;

/// A report, as JSON has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// `hitmachine/person-report/1`.
    pub schema: String,
    /// When it was made, RFC 3339.
    pub generated_at: String,
    /// How the officer names the person or the request; never a number of theirs.
    pub subject_reference: Option<String>,
    /// Title of the covenant.
    pub covenant: String,
    /// Its number.
    pub covenant_number: u32,
    /// Origin of the log.
    pub log: String,
    /// Size of the log in which the entries are proven.
    pub log_size: u64,
    /// Entries of the log that were searched.
    pub searched: u64,
    /// The log entries of the searches themselves, from 0.
    pub own_entries: Vec<u64>,
    /// What was asked, newest first.
    pub rows: Vec<ReportRow>,
    /// What is not in it.
    pub withheld: Withheld,
    /// How long entries are kept, by purpose.
    pub retention: Vec<PurposeView>,
    /// What was erased; entries about this person may have been among it.
    pub erasures: Vec<ErasureView>,
    /// The organisations that asked or were asked.
    pub contacts: Vec<ContactView>,
}

/// What is not in a report, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Names of employees: kept apart.
    pub users: bool,
    /// Case references.
    pub cases: bool,
    /// The covenant has confidential processing activities, which are left out (AVG art. 23). Says nothing about
    /// whether there are entries.
    pub confidential: bool,
}

/// One question about the person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportRow {
    /// Number of the log entry, from 1 as people count.
    pub log_entry: u64,
    /// Its leaf hash in hexadecimal.
    pub leaf: String,
    /// The leaf is proven to be in the signed log; a row without that is in no report.
    pub proof_checked: bool,
    /// When, RFC 3339.
    pub time: String,
    /// Who asked.
    pub organisation: OrganisationView,
    /// Purpose in words.
    pub purpose: String,
    /// Lawful basis in words.
    pub legal_basis: String,
    /// URI of the processing activity.
    pub processing_activity: String,
    /// `hit`, `no_hit`, `could_not_ask` or `refused`.
    pub outcome: String,
    /// Code of the refusal; nothing was told then.
    pub refused: Option<String>,
    /// What the organisations asked answered.
    pub partners: Vec<PartnerResult>,
}

impl Report {
    /// From all pages of a search for the person.
    pub fn new(pages: &[PageView], subject_reference: Option<String>, generated_at: String) -> Self {
        let rows: Vec<ReportRow> = pages.iter().flat_map(|page| &page.rows).filter_map(row).collect();
        let named: BTreeSet<&str> = rows
            .iter()
            .flat_map(|row| {
                let asked = row.partners.iter().map(|partner| partner.partner.as_str());
                asked.chain(row.organisation.partner.as_deref())
            })
            .collect();
        let last = pages.last().cloned().unwrap_or_default();
        let contacts = last.covenant.partners.iter();
        let contacts = contacts.filter(|partner| named.contains(partner.partner.as_str()));
        let contacts = contacts.cloned().collect();
        Self {
            schema: "hitmachine/person-report/1".to_owned(),
            generated_at,
            subject_reference,
            covenant: last.covenant.title,
            covenant_number: last.covenant.number,
            log: last.covenant.log,
            log_size: pages.iter().map(|page| page.own.log_size).max().unwrap_or(0),
            searched: pages.iter().map(|page| page.indexed).min().unwrap_or(0),
            own_entries: pages.iter().map(|page| page.own.log_index).collect(),
            withheld: Withheld {
                users: true,
                cases: true,
                confidential: pages.iter().any(|page| page.withholds),
            },
            retention: last.covenant.purposes,
            erasures: last.erasures,
            rows,
            contacts,
        }
    }

    /// As a page to print: no scripts, nothing fetched.
    pub fn html(&self, language: Language) -> String {
        super::report_html::html(self, language)
    }

    /// What stands on that page under its heading, for a page around it: HTML without styles, every text escaped.
    pub fn body(&self, language: Language) -> String {
        super::report_html::body(self, language)
    }
}

fn row(row: &RowView) -> Option<ReportRow> {
    // Control entries and officers' actions are about nobody.
    let record = row.record.as_ref().filter(|record| record.action.is_none())?;
    let ground = record.ground.clone().unwrap_or_default();
    Some(ReportRow {
        log_entry: row.log_index.saturating_add(1),
        leaf: row.leaf.clone(),
        proof_checked: true,
        time: row.time.clone(),
        organisation: record.requester.clone(),
        purpose: ground.title,
        legal_basis: ground.legal_basis,
        processing_activity: ground.processing_activity,
        outcome: record.outcome.clone(),
        refused: record.refused.clone(),
        partners: record.partners.clone(),
    })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
