//! Search, newest first.

use std::collections::BTreeMap;

use hitmachine_audit::Period;
use hitmachine_core::record::Outcome;
use hitmachine_core::statistics::Cell;
use hitmachine_core::{CaseReference, Oin, PurposeCode, RequestId, UserId};
use hitmachine_pseudonym::Token;

use super::chunk::{Bounds, rows};
use super::part::{Part, RowReader};
use super::parts::{Half, PartId};
use super::state::State;
use super::terms::{BlindKey, Kind, ProcessingRow, Term, counted, people_has};
use super::{AuditIndex, IndexError, guarded};

/// The most entries on one page.
pub const MAX_PAGE: usize = 10_000;

/// What to look for. An entry is found if it agrees with everything that is set; the default finds all.
///
/// `Debug` shows neither user nor case, and of tokens short ids.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not before this time, in ms since 1970.
    pub from_ms: Option<u64>,
    /// Before this time, in ms since 1970.
    pub until_ms: Option<u64>,
    /// The asking organisation.
    pub requester: Option<Oin>,
    /// The person who asked, at whichever organisation.
    pub user: Option<UserId>,
    /// The purpose.
    pub purpose: Option<PurposeCode>,
    /// The case.
    pub case: Option<CaseReference>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The person asked about: any of these tokens, for one person under each identifier and each key epoch. No
    /// tokens find nothing.
    pub person: Option<Vec<Token>>,
    /// The query.
    pub request: Option<RequestId>,
    /// The trace. Zeros stand for a trace that could not be read, and find nothing.
    pub trace: Option<[u8; 16]>,
}

/// Part of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Indexes of the entries, newest first.
    pub rows: Vec<u64>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<u64>,
    /// Entries from here on were not in the index yet, and so not searched.
    pub indexed: u64,
}

/// A filter with everything keyed as the index has it.
struct Wanted<'a> {
    filter: &'a Filter,
    /// Lists of terms of which an entry has one each, the rarest first; of `processing` and of `people`.
    processing: Vec<Vec<Term>>,
    people: Vec<Vec<Term>>,
}

impl<'a> Wanted<'a> {
    fn new(filter: &'a Filter, key: &BlindKey) -> Self {
        let raw = |kind, value| vec![Term { kind, value }];
        let request = filter
            .request
            .map(|request| raw(Kind::Request, *request.as_bytes()));
        let trace = filter.trace.map(|trace| raw(Kind::Trace, trace));
        let person = filter
            .person
            .as_ref()
            .map(|tokens| tokens.iter().map(|token| key.token(token)).collect());
        let case = filter.case.as_ref().map(|case| vec![key.case(case)]);
        let user = filter.user.as_ref().map(|user| vec![key.user(user)]);
        Self {
            filter,
            processing: request.into_iter().chain(trace).chain(person).collect(),
            people: case.into_iter().chain(user).collect(),
        }
    }

    /// The terms by which to look, in the database that has their postings: those of which an entry has the
    /// fewest namesakes.
    fn rarest(&self, key: &BlindKey) -> Option<(Half, Vec<Term>)> {
        let processing = self.processing.first().map(|terms| (Half::Processing, terms));
        let people = self.people.first().map(|terms| (Half::People, terms));
        let rarest = processing.or(people).map(|(half, terms)| (half, terms.clone()));
        let requester = self.filter.requester.as_ref();
        rarest.or_else(|| requester.map(|requester| (Half::Processing, vec![key.requester(requester)])))
    }

    fn agrees(&self, row: &ProcessingRow<'_>) -> bool {
        let filter = self.filter;
        let equal = |wanted: Option<&str>, value| wanted.is_none_or(|wanted| wanted == value);
        filter.from_ms.is_none_or(|from| from <= row.time_ms)
            && filter.until_ms.is_none_or(|until| row.time_ms < until)
            && equal(filter.requester.as_ref().map(Oin::as_str), row.requester)
            && equal(filter.purpose.as_ref().map(PurposeCode::as_str), row.purpose)
            && filter.outcome.is_none_or(|outcome| outcome == row.outcome)
            && self
                .processing
                .iter()
                .all(|terms| terms.iter().any(|term| row.has(term)))
    }

    fn people_agree(&self, row: &[u8]) -> bool {
        self.people
            .iter()
            .all(|terms| terms.iter().any(|term| people_has(row, term)))
    }

    /// Whether entries with these bounds can have the right time.
    fn may_be_within(&self, bounds: &Bounds) -> bool {
        self.filter.from_ms.is_none_or(|from| from <= bounds.latest)
            && self.filter.until_ms.is_none_or(|until| bounds.earliest < until)
    }
}

impl AuditIndex {
    /// The newest entries that `filter` finds, at most `limit` (1 to [`MAX_PAGE`]), newest first. The next page
    /// comes with `after` = [`Page::next`] of this one, and so on: however many entries are added meanwhile, each
    /// entry that was there at the first page comes once.
    ///
    /// Takes time with what the rarest of the filter's terms finds (request, trace, person, case, user, requester,
    /// in this order); without any of them, with the entries in the filter's time.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Engine`].
    pub fn search(&self, filter: &Filter, after: Option<u64>, limit: usize) -> Result<Page, IndexError> {
        let _open = self.reading();
        guarded(|| {
            let (state, wanted) = (self.state(), Wanted::new(filter, &self.key));
            let limit = limit.clamp(1, MAX_PAGE);
            let below = after.map_or(state.next, |after| after.min(state.next));
            let mut parts: Vec<(PartId, Bounds)> = state
                .parts
                .iter()
                .filter(|(id, bounds)| id.half == Half::Processing && wanted.may_be_within(bounds))
                .map(|(id, bounds)| (*id, *bounds))
                .collect();
            parts.sort_by_key(|(_, bounds)| std::cmp::Reverse(bounds.last));
            // One more than asked for tells whether there is a next page.
            let mut found: Vec<u64> = Vec::new();
            for (id, bounds) in parts {
                let least = found.get(limit).copied();
                if least.is_some_and(|least| bounds.last < least) {
                    break; // the others are older still
                }
                let first = bounds.first.max(least.map_or(0, |least| least + 1));
                let Some(last) = below.min(bounds.last.saturating_add(1)).checked_sub(1) else {
                    continue;
                };
                if first <= last {
                    self.search_part(&state, id, &wanted, (first, last), limit + 1, &mut found)?;
                }
                found.sort_unstable_by_key(|index| std::cmp::Reverse(*index));
                found.truncate(limit + 1);
            }
            let more = found.len() > limit;
            found.truncate(limit);
            Ok(Page {
                next: found.last().copied().filter(|_| more),
                rows: found,
                indexed: state.next,
            })
        })
    }

    /// How many entries there are by month, organisation, purpose and outcome, with times from `from_ms` and
    /// before `until_ms`, in ms since 1970. Reads all of them, none of whose person, user or case it sees.
    ///
    /// # Errors
    /// [`IndexError::Damaged`], [`IndexError::Engine`].
    pub fn counts(
        &self,
        from_ms: Option<u64>,
        until_ms: Option<u64>,
    ) -> Result<BTreeMap<Cell, u64>, IndexError> {
        let _open = self.reading();
        let filter = Filter {
            from_ms,
            until_ms,
            ..Filter::default()
        };
        guarded(|| {
            let (state, wanted) = (self.state(), Wanted::new(&filter, &self.key));
            let mut cells = BTreeMap::new();
            for (id, bounds) in &state.parts {
                if id.half == Half::Processing && wanted.may_be_within(bounds) {
                    let part = self.part(&state, *id)?;
                    count(&part, &wanted, state.next, &mut cells)?;
                }
            }
            Ok(cells)
        })
    }

    fn search_part(
        &self,
        state: &State,
        id: PartId,
        wanted: &Wanted<'_>,
        (first, last): (u64, u64),
        most: usize,
        found: &mut Vec<u64>,
    ) -> Result<(), IndexError> {
        let people = id.with(Half::People);
        let by_people = !wanted.people.is_empty();
        if by_people && !state.parts.contains_key(&people) {
            return Ok(());
        }
        let part = self.part(state, id)?;
        let people = by_people.then(|| self.part(state, people)).transpose()?;
        let Some((first, last)) = within_time(&part, wanted, first, last)? else {
            return Ok(());
        };
        let mut rows = part.reader();
        let mut people_rows = people.as_ref().map(|people| people.reader());
        let candidates: Box<dyn Iterator<Item = _>> = match wanted.rarest(&self.key) {
            Some((Half::Processing, terms)) => Box::new(part.having(&terms, first, last)),
            Some((Half::People, terms)) => match &people {
                Some(people) => Box::new(people.having(&terms, first, last)),
                None => return Ok(()),
            },
            None => Box::new(part.all(first, last)),
        };
        let mut left = most;
        for index in candidates {
            let index = index?;
            let row = rows.row(index)?.ok_or_else(|| part.damaged())?;
            let row = ProcessingRow::parse(&row).ok_or_else(|| part.damaged())?;
            if wanted.agrees(&row) && people_agree(&mut people_rows, wanted, index)? {
                found.push(index);
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn people_agree(
    rows: &mut Option<RowReader<'_>>,
    wanted: &Wanted<'_>,
    index: u64,
) -> Result<bool, IndexError> {
    let Some(rows) = rows else {
        return Ok(true);
    };
    Ok(rows.row(index)?.is_some_and(|row| wanted.people_agree(&row)))
}

/// The indexes outside of which no entry has the right time. The log's order is not that of its times: a clock may
/// have been set back.
fn within_time(
    part: &Part,
    wanted: &Wanted<'_>,
    first: u64,
    last: u64,
) -> Result<Option<(u64, u64)>, IndexError> {
    if wanted.filter.from_ms.is_none() && wanted.filter.until_ms.is_none() {
        return Ok(Some((first, last)));
    }
    let mut within: Option<Bounds> = None;
    for bounds in part.bounds() {
        let bounds = bounds?;
        if wanted.may_be_within(&bounds) {
            within = Some(within.map_or(bounds, |within| within.join(bounds)));
        }
    }
    Ok(within
        .map(|within| (first.max(within.first), last.min(within.last)))
        .filter(|(first, last)| first <= last))
}

fn count(
    part: &Part,
    wanted: &Wanted<'_>,
    next: u64,
    cells: &mut BTreeMap<Cell, u64>,
) -> Result<(), IndexError> {
    let mut by_month: BTreeMap<Period, BTreeMap<Vec<u8>, u64>> = BTreeMap::new();
    for group in &part.rows {
        let (key, group) = group?;
        let first = super::chunk::number(&key).ok_or_else(|| part.damaged())?;
        for row in rows(first, &group) {
            let (index, row) = row.ok_or_else(|| part.damaged())?;
            let row = ProcessingRow::parse(row).ok_or_else(|| part.damaged())?;
            if index >= next || !wanted.agrees(&row) {
                continue;
            }
            let month = by_month.entry(Period::of_unix_ms(row.time_ms)).or_default();
            // Looked up without an allocation: there are few cells and many rows.
            match month.get_mut(row.counted) {
                Some(count) => *count += 1,
                None => {
                    month.insert(row.counted.to_vec(), 1);
                }
            }
        }
    }
    for (month, counts) in by_month {
        for (bytes, count) in counts {
            let (requester, purpose, outcome) = counted(&bytes).ok_or_else(|| part.damaged())?;
            let cell = Cell {
                month,
                requester,
                purpose,
                outcome,
            };
            *cells.entry(cell).or_insert(0) += count;
        }
    }
    Ok(())
}
