//! The overview for a council: counts the log, protects the counts, and says them on the wire.

use std::collections::BTreeMap;

use hitmachine_audit::{LogReader, Period, StoredContent};
use hitmachine_core::overview::{
    ConsultedRow, Detail, LEAST_THRESHOLD, MOST_THRESHOLD, MonthRow, Overview, OverviewTables, Span,
};
use hitmachine_core::record::DecodedRecord;
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_proto::v1;
use jiff::Timestamp;

use crate::officer::ActError;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    span: Span,
    threshold: u64,
}

/// What an action asks for.
///
/// # Errors
/// The field that is wrong.
pub(crate) fn wanted(action: &v1::Overview) -> Result<Wanted, &'static str> {
    let quarter = (action.quarter > 0).then(|| u8::try_from(action.quarter));
    let quarter = quarter.transpose().map_err(|_| "quarter")?;
    let year = u16::try_from(action.year).map_err(|_| "year")?;
    Span::new(year, None).ok_or("year")?;
    let threshold = match u64::from(action.threshold) {
        0 => LEAST_THRESHOLD,
        threshold => threshold,
    };
    if !(LEAST_THRESHOLD..=MOST_THRESHOLD).contains(&threshold) {
        return Err("threshold");
    }
    let span = Span::new(year, quarter).ok_or("quarter")?;
    Ok(Wanted { span, threshold })
}

/// Reads the whole log once and counts it.
///
/// # Errors
/// [`ActError::Read`] if any entry cannot be read: an overview of part of the log would be a wrong one.
pub(crate) fn tables(
    reader: &LogReader,
    covenant: &Covenant,
    registrations: &BTreeMap<PartnerId, u64>,
    wanted: Wanted,
    now: Timestamp,
) -> Result<v1::OverviewTables, ActError> {
    let mut overview = Overview::new(wanted.span);
    for entry in reader.entries(0..reader.head().size) {
        let entry = entry?;
        let fields = match &entry.content {
            StoredContent::Open(opening) => opening.fields(),
            StoredContent::Processing(processing) => processing.fields(),
            StoredContent::Control(_) => continue,
            StoredContent::Erased => {
                // Where the segment went, so did the time.
                overview.add_erased(Some(entry.time_ms).filter(|ms| *ms > 0));
                continue;
            }
        };
        match DecodedRecord::decode(fields) {
            Ok(record) => overview.add(&record),
            Err(_) => overview.add_unreadable(entry.time_ms),
        }
    }
    let tables = overview.publish(covenant, registrations, wanted.threshold);
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ok(v1::OverviewTables {
        counted_ms: now_ms,
        over: wanted.span.is_over(Period::of_unix_ms(now_ms)),
        ..wire(&tables)
    })
}

/// -1 is suppressed.
fn shown(count: Option<u64>) -> i64 {
    count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX))
}

fn all_shown(counts: &[Option<u64>]) -> Vec<i64> {
    counts.iter().copied().map(shown).collect()
}

fn wire(tables: &OverviewTables) -> v1::OverviewTables {
    let named = |partner: &Option<PartnerId>| partner.as_ref().map_or_else(String::new, ToString::to_string);
    let purposes = tables.purposes.iter().map(|row| v1::OverviewPurpose {
        purpose: row.purpose.to_string(),
        counts: all_shown(&row.counts),
        total: shown(row.total),
        consulted_withheld: row.consulted == Detail::Withheld,
        cases_withheld: row.cases == Detail::Withheld,
    });
    let refusals = tables.refusals.rows.iter().map(|row| v1::OverviewRefusals {
        code: row.label.clone(),
        counts: all_shown(&row.counts),
        total: shown(row.total),
    });
    let all_refusals = v1::OverviewRefusals {
        code: String::new(),
        counts: all_shown(&tables.refusals.totals),
        total: shown(tables.refusals.total),
    };
    let cases = tables.cases.iter().map(|row| v1::OverviewCases {
        purpose: row.purpose.to_string(),
        partner: named(&row.partner),
        count: shown(row.count),
    });
    let registered = tables.registered.iter().map(|row| v1::OverviewRegistered {
        partner: row.partner.to_string(),
        live: row.live,
        count: shown(row.count),
    });
    v1::OverviewTables {
        threshold: u32::try_from(tables.threshold).unwrap_or(u32::MAX),
        months: tables.months.iter().chain([&tables.all]).map(month).collect(),
        purposes: purposes.collect(),
        answered: shown(tables.answered),
        consulted: tables.consulted.iter().map(consulted).collect(),
        refused_askers: tables.refusals.columns.iter().map(named).collect(),
        refusals: refusals.chain([all_refusals]).collect(),
        cases: cases.collect(),
        some_without_case: tables.some_without_case,
        registered: registered.collect(),
        erased: tables.erased,
        erased_undated: tables.erased_undated,
        unreadable: tables.unreadable,
        counted_ms: 0,
        over: false,
    }
}

fn month(row: &MonthRow) -> v1::OverviewMonth {
    v1::OverviewMonth {
        month: row.month.map_or_else(String::new, |month| month.to_string()),
        counts: all_shown(&row.counts),
        total: shown(row.total),
    }
}

fn consulted(row: &ConsultedRow) -> v1::OverviewConsulted {
    let (purpose, partner) = (row.purpose.to_string(), row.partner.to_string());
    let Some(counts) = &row.counts else {
        return v1::OverviewConsulted {
            purpose,
            partner,
            withheld: true,
            ..v1::OverviewConsulted::default()
        };
    };
    v1::OverviewConsulted {
        purpose,
        partner,
        withheld: false,
        known: shown(counts.known),
        not_known: shown(counts.not_known),
        could_not_ask: shown(counts.could_not_ask),
        does_not_apply: counts.does_not_apply.map_or(-2, |count| shown(Some(count))),
        total: shown(Some(counts.total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for() {
        let ask = |year, quarter, threshold| {
            let action = v1::Overview {
                year,
                quarter,
                threshold,
            };
            wanted(&action).map(|wanted| wanted.threshold)
        };
        assert_eq!(ask(2026, 0, 0), Ok(5));
        assert_eq!(ask(2026, 4, 20), Ok(20));
        for (action, field) in [
            ((2026, 5, 0), "quarter"),
            ((2026, 300, 0), "quarter"),
            ((1969, 0, 0), "year"),
            ((70_000, 0, 0), "year"),
            ((2026, 0, 4), "threshold"),
            ((2026, 0, 1_001), "threshold"),
        ] {
            assert_eq!(ask(action.0, action.1, action.2), Err(field), "{action:?}");
        }
    }
}
