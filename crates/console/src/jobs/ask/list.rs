//! One's own questions.

use std::collections::BTreeSet;

use hitmachine_core::volume::local;
use jiff::civil::Date;
use serde::Serialize;

use crate::app::App;
use crate::caller::Asker;
use crate::kept::Summary;

/// Questions on one page.
pub const PAGE: usize = 25;

/// Which of one's own questions to show; all if nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Case reference, in capitals or not.
    pub case: Option<String>,
    /// Purpose, by its short name.
    pub purpose: Option<String>,
    /// Not before this day, by the clock here.
    pub from: Option<Date>,
    /// Not after this day, by the clock here.
    pub until: Option<Date>,
}

/// A page of one's own questions.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryPage {
    /// Newest first.
    pub rows: Vec<Summary>,
    /// Which page, from 1.
    pub page: usize,
    /// Pages there are, at least 1.
    pub pages: usize,
    /// Questions on all pages.
    pub total: usize,
    /// Case references of all one's own questions, whatever the filter; the one asked for last comes first.
    pub cases: Vec<String>,
}

impl Filter {
    fn fits(&self, summary: &Summary) -> bool {
        let day = local(summary.asked_at).date();
        let case = self.case.as_ref().map(|case| case.to_lowercase());
        case.is_none_or(|case| case == summary.case.to_lowercase())
            && self
                .purpose
                .as_ref()
                .is_none_or(|purpose| *purpose == summary.purpose)
            && self.from.is_none_or(|from| from <= day)
            && self.until.is_none_or(|until| day <= until)
    }
}

/// One's own questions, newest first. A page beyond the last is the last.
pub fn history(app: &App, asker: &Asker<'_>, filter: &Filter, page: usize) -> HistoryPage {
    let mut rows = app.asked().book.of(asker.user());
    let mut seen = BTreeSet::new();
    let cases = rows.iter().map(|summary| &summary.case);
    let cases = cases
        .filter(|case| seen.insert(case.to_lowercase()))
        .cloned()
        .collect();
    rows.retain(|summary| filter.fits(summary));
    let total = rows.len();
    let pages = total.div_ceil(PAGE).max(1);
    let page = page.clamp(1, pages);
    let rows = rows.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
    HistoryPage {
        rows,
        page,
        pages,
        total,
        cases,
    }
}
