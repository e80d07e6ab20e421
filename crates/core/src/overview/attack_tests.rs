//! The attacker: knows all that is published, the covenant and the rules of answers, and works out every log that would
//! give the same. No suppressed count is the same in all of them.
//!
//! Nothing here is shared with the protection. For each purpose all logs of up to [`MOST`] answers are made, of every
//! kind of answer that its covenant allows; those that fit the published rows are kept; then all ways to spread them
//! over two months, and all tables of refusals, that fit the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::test_log::{covenant, lookup, oin as oin_of, refusal};
use super::*;
use crate::overview::publish::ConsultedCounts;

/// Answers in a log that is tried, of one purpose. The true logs have fewer.
const MOST: usize = 8;
const MOST_TRUE: u64 = 6;
/// The highest count of refusals that is tried in one cell. The true ones are lower.
const MOST_REFUSED: u64 = 4;
const PARTNERS: [&str; 3] = ["p", "q", "r"];
const REQUESTERS: [&str; 3] = ["vh", "p", "q"];
const MONTHS: [&str; 2] = ["2026-01", "2026-02"];
const CODES: [&str; 2] = ["malformed", "role_not_granted"];

/// One kind of answer: who asked, and what each partner said; `None` is one that was not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    requester: usize,
    statuses: [Option<PartnerStatus>; 3],
}

/// Everything about one purpose that anything published depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    outcomes: [u8; 3],
    statuses: [[u8; 4]; 3],
    askers: [u8; 3],
}

impl Facts {
    fn with(mut self, kind: &Kind) -> Self {
        let any = |wanted| kind.statuses.contains(&Some(wanted));
        let outcome = if any(PartnerStatus::Known) {
            0
        } else if any(PartnerStatus::CouldNotAsk) {
            2
        } else {
            1
        };
        self.outcomes[outcome] += 1;
        self.askers[kind.requester] += 1;
        for (row, status) in self.statuses.iter_mut().zip(kind.statuses) {
            if let Some(status) = status {
                row[usize::from(status.code()) - 1] += 1;
            }
        }
        self
    }

    fn total(&self) -> u64 {
        self.outcomes.iter().map(|count| u64::from(*count)).sum()
    }
}

/// The kinds of answers that a covenant allows, and all that can come of up to `MOST` of them.
struct Universe {
    kinds: Vec<Kind>,
    all: Vec<Facts>,
}

/// Who asks; and which partners are asked (the asker is not), about whom: 'm'inors, 'a'dults, 'b'oth, '-' nobody.
fn universe(requesters: &[usize], registers: [char; 3]) -> Universe {
    use PartnerStatus::{CouldNotAsk, DoesNotApply, Known, NotKnown};
    let mut kinds: Vec<Kind> = Vec::new();
    for requester in requesters {
        for class in ['m', 'a'] {
            let mut made = vec![[None; 3]];
            for (place, registers) in registers.into_iter().enumerate() {
                let asked = registers != '-' && PARTNERS[place] != REQUESTERS[*requester];
                let can: Vec<Option<PartnerStatus>> = match (asked, registers == 'b' || registers == class) {
                    (false, _) => vec![None],
                    (true, false) => vec![Some(DoesNotApply)],
                    (true, true) => vec![Some(Known), Some(NotKnown), Some(CouldNotAsk)],
                };
                made = made
                    .into_iter()
                    .flat_map(|statuses| {
                        can.iter().map(move |status| {
                            let mut statuses = statuses;
                            statuses[place] = *status;
                            statuses
                        })
                    })
                    .collect();
            }
            for statuses in made {
                let kind = Kind {
                    requester: *requester,
                    statuses,
                };
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
    }
    let mut all = BTreeSet::from([Facts::default()]);
    let mut newest = all.clone();
    for _ in 0..MOST {
        newest = newest
            .iter()
            .flat_map(|facts| kinds.iter().map(|kind| facts.with(kind)))
            .collect();
        all.extend(newest.iter().copied());
    }
    Universe {
        kinds,
        all: all.into_iter().collect(),
    }
}

/// The log that is the truth.
struct Truth {
    facts: [Facts; 2],
    overview: Overview,
}

struct Random(u64);

impl Random {
    /// `SplitMix64`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn truth(universes: [&Universe; 2], random: &mut Random) -> Truth {
    let mut overview = Overview::new(Span::new(2026, Some(1)).unwrap());
    let mut facts = [Facts::default(); 2];
    for (place, code) in ["a", "b"].into_iter().enumerate() {
        let kinds = &universes[place].kinds;
        // Few kinds, so that counts are not all 0 and 1.
        let few: Vec<&Kind> = (0..=random.below(4))
            .map(|_| &kinds[usize::try_from(random.below(kinds.len() as u64)).unwrap()])
            .collect();
        for _ in 0..random.below(MOST_TRUE + 1) {
            let kind = few[usize::try_from(random.below(few.len() as u64)).unwrap()];
            facts[place] = facts[place].with(kind);
            let partners: Vec<(&str, PartnerStatus)> = PARTNERS
                .into_iter()
                .zip(kind.statuses)
                .filter_map(|(partner, status)| Some((partner, status?)))
                .collect();
            let month = MONTHS[usize::from(random.below(3) == 0)];
            let case = format!("zaak {}", random.below(3));
            overview.add(&lookup(
                month,
                REQUESTERS[kind.requester],
                code,
                Some(&case),
                &partners,
            ));
        }
    }
    for code in CODES {
        for requester in ["vh", "elsewhere"] {
            for _ in 0..random.below(4) {
                let month = MONTHS[usize::from(random.below(2) == 0)];
                overview.add(&refusal(month, requester, code));
            }
        }
    }
    Truth { facts, overview }
}

/// Name of a count: what, and which of these.
type Name = (&'static str, usize, usize);

/// What is suppressed, and which values it could have.
type Open = BTreeMap<Name, BTreeSet<u64>>;

fn fits(shown: Option<u64>, value: u64) -> bool {
    shown.map_or(value > 0, |shown| shown == value)
}

/// Whether a log of one purpose gives the published rows.
fn fits_purpose(tables: &OverviewTables, place: usize, facts: &Facts) -> bool {
    let row = &tables.purposes[place];
    let outcomes = row.counts.iter().zip(&facts.outcomes);
    if !outcomes
        .into_iter()
        .all(|(shown, value)| fits(*shown, u64::from(*value)))
        || !fits(row.total, facts.total())
    {
        return false;
    }
    if row.consulted == Detail::Shown {
        for (partner, statuses) in PARTNERS.into_iter().zip(&facts.statuses) {
            let [known, not_known, could_not, not] = statuses.map(u64::from);
            let total = known + not_known + could_not + not;
            match consulted(tables, place, partner) {
                None if total > 0 => return false,
                None | Some(None) => {}
                Some(Some(counts)) => {
                    let apart = counts.does_not_apply;
                    let not_known = if apart.is_some() {
                        not_known
                    } else {
                        not_known + not
                    };
                    if !(fits(counts.known, known)
                        && fits(counts.not_known, not_known)
                        && fits(counts.could_not_ask, could_not)
                        && apart.is_none_or(|apart| apart == not)
                        && counts.total == total)
                    {
                        return false;
                    }
                }
            }
        }
    }
    if row.cases == Detail::Shown {
        for (requester, asked) in REQUESTERS.into_iter().zip(facts.askers) {
            let own = cases(tables, place, requester);
            // Somebody who asked has a case, and no more cases than questions.
            let possible = match own {
                None => asked == 0,
                Some(row) => u64::from(asked) >= row.count.unwrap_or(1),
            };
            if !possible {
                return false;
            }
        }
    }
    true
}

fn consulted<'a>(
    tables: &'a OverviewTables,
    place: usize,
    partner: &str,
) -> Option<&'a Option<ConsultedCounts>> {
    let purpose = &tables.purposes[place].purpose;
    let mut rows = tables.consulted.iter();
    let row = rows.find(|row| row.purpose == *purpose && row.partner.as_str() == partner);
    row.map(|row| &row.counts)
}

/// The published row, if there is one.
fn cases<'a>(tables: &'a OverviewTables, place: usize, requester: &str) -> Option<&'a CaseRow> {
    let purpose = &tables.purposes[place].purpose;
    let mut rows = tables.cases.iter();
    let is_own = |row: &&CaseRow| {
        row.purpose == *purpose && row.partner.as_ref().is_some_and(|id| id.as_str() == requester)
    };
    rows.find(is_own)
}

/// Names and values of what is suppressed or withheld of one purpose, in one log.
fn suppressed_of(tables: &OverviewTables, place: usize, facts: &Facts) -> Vec<(Name, u64)> {
    let row = &tables.purposes[place];
    let mut found = Vec::new();
    for (outcome, (shown, value)) in row.counts.iter().zip(facts.outcomes).enumerate() {
        if shown.is_none() {
            found.push((("purpose, outcome", place, outcome), u64::from(value)));
        }
    }
    if row.total.is_none() {
        found.push((("purpose", place, 0), facts.total()));
    }
    for (which, statuses) in facts.statuses.into_iter().enumerate() {
        let counts = consulted(tables, place, PARTNERS[which]);
        let [known, not_known, could_not, not] = statuses.map(u64::from);
        let total = known + not_known + could_not + not;
        if let Some(Some(counts)) = counts {
            let apart = counts.does_not_apply.is_some();
            let not_known = if apart { not_known } else { not_known + not };
            for (name, shown, value) in [
                ("known", counts.known, known),
                ("not known", counts.not_known, not_known),
                ("could not", counts.could_not_ask, could_not),
            ] {
                if shown.is_none() {
                    found.push(((name, place, which), value));
                }
            }
        } else {
            for (name, value) in [
                ("withheld: known", known),
                ("withheld: not known", not_known),
                ("withheld: could not", could_not),
                ("withheld: does not apply", not),
                ("withheld: total", total),
            ] {
                found.push(((name, place, which), value));
            }
        }
    }
    for (which, asked) in facts.askers.into_iter().enumerate() {
        found.push((("withheld: asked by", place, which), asked.into()));
        if row.cases == Detail::Shown
            && cases(tables, place, REQUESTERS[which]).is_some_and(|row| row.count.is_none())
        {
            // Each number of cases up to that of questions is possible; the test wants two.
            found.push((("cases", place, which), u64::from(asked.min(1))));
            found.push((("cases", place, which), u64::from(asked.min(2))));
        }
    }
    found
}

/// A table of refusals: codes × who.
type Grid = [[u64; 2]; 2];

fn suppressed_refusals(tables: &OverviewTables, grid: &Grid) -> Option<Vec<(Name, u64)>> {
    let mut found = Vec::new();
    let mut add = |name: Name, shown: Option<u64>, value: u64| {
        if shown.is_none() {
            found.push((name, value));
        }
        fits(shown, value)
    };
    let columns: Vec<Option<usize>> = [Some("vh"), None]
        .into_iter()
        .map(|who| {
            let mut columns = tables.refusals.columns.iter();
            columns.position(|column| column.as_ref().map(PartnerId::as_str) == who)
        })
        .collect();
    for (which, (code, values)) in CODES.into_iter().zip(grid).enumerate() {
        let row = tables.refusals.rows.iter().find(|row| row.label == code);
        let shown = |place: Option<usize>| match (row, place) {
            (Some(row), Some(place)) => row.counts[place],
            _ => Some(0),
        };
        let total = row.map_or(Some(0), |row| row.total);
        let fit = add(("refused of vh", which, 0), shown(columns[0]), values[0])
            && add(("refused of others", which, 0), shown(columns[1]), values[1])
            && add(("refused code", which, 0), total, values.iter().sum());
        if !fit {
            return None;
        }
    }
    for (place, column) in columns.into_iter().enumerate() {
        let shown = column.map_or(Some(0), |column| tables.refusals.totals[column]);
        if !add(
            ("refused column", place, 0),
            shown,
            grid[0][place] + grid[1][place],
        ) {
            return None;
        }
    }
    let all = grid.iter().flatten().sum();
    add(("refused", 0, 0), tables.refusals.total, all).then_some(found)
}

/// Ways to spread outcomes over the two months that fit, each with what it gives for what is suppressed.
fn months(tables: &OverviewTables, all: [u64; 4]) -> Vec<Vec<(Name, u64)>> {
    let mut ways: Vec<[u64; 4]> = vec![[0; 4]];
    for (outcome, sum) in all.into_iter().enumerate() {
        let can = (0..=sum).filter(|first| {
            fits(tables.months[0].counts[outcome], *first)
                && fits(tables.months[1].counts[outcome], sum - first)
        });
        let can: Vec<u64> = can.collect();
        ways = ways
            .into_iter()
            .flat_map(|way| {
                can.iter().map(move |first| {
                    let mut way = way;
                    way[outcome] = *first;
                    way
                })
            })
            .collect();
    }
    let mut found = Vec::new();
    for first in ways {
        let mut second = all;
        for (second, first) in second.iter_mut().zip(first) {
            *second -= first;
        }
        let mut values = Vec::new();
        let mut fit = true;
        for (place, (row, counts)) in tables.months.iter().zip([first, second]).enumerate() {
            let total = counts.iter().sum();
            fit &= fits(row.total, total);
            for (outcome, (shown, value)) in row.counts.iter().zip(counts).enumerate() {
                if shown.is_none() {
                    values.push((("month, outcome", place, outcome), value));
                }
            }
            if row.total.is_none() {
                values.push((("month", place, 0), total));
            }
        }
        if fit {
            found.push(values);
        }
    }
    found
}

/// What the attacker finds: each suppressed count with its possible values.
fn attack(tables: &OverviewTables, universes: [&Universe; 2], wanted: &Open) -> Open {
    let mut open = Open::new();
    let mut still: BTreeSet<Name> = wanted.keys().copied().collect();
    // Of the logs that fit, by outcomes.
    let by_outcomes: Vec<BTreeMap<[u8; 3], Vec<&Facts>>> = (0..2)
        .map(|place| {
            let mut groups: BTreeMap<[u8; 3], Vec<&Facts>> = BTreeMap::new();
            let all = universes[place].all.iter();
            for facts in all.filter(|facts| fits_purpose(tables, place, facts)) {
                groups.entry(facts.outcomes).or_default().push(facts);
            }
            groups
        })
        .collect();
    let mut grids: BTreeMap<u64, Vec<Vec<(Name, u64)>>> = BTreeMap::new();
    let end = MOST_REFUSED + 1;
    for code in 0..end.pow(4) {
        let at = |place: u32| code / end.pow(place) % end;
        let grid = [[at(0), at(1)], [at(2), at(3)]];
        if let Some(values) = suppressed_refusals(tables, &grid) {
            grids.entry(grid.iter().flatten().sum()).or_default().push(values);
        }
    }
    let mut note = |values: &[(Name, u64)], still: &mut BTreeSet<Name>| {
        for (name, value) in values {
            if still.contains(name) {
                let seen = open.entry(*name).or_default();
                seen.insert(*value);
                if seen.len() > 1 {
                    still.remove(name);
                }
            }
        }
    };
    let mut noted: BTreeSet<(usize, [u8; 3])> = BTreeSet::new();
    for (a, of_a) in &by_outcomes[0] {
        for (b, of_b) in &by_outcomes[1] {
            for (refused, grids) in &grids {
                let mut all = [0, 0, 0, *refused];
                for (sum, (a, b)) in all.iter_mut().zip(a.iter().zip(b)) {
                    *sum = u64::from(*a) + u64::from(*b);
                }
                let totals = tables.all.counts.iter().zip(all);
                let answered = all[..3].iter().sum();
                if !totals.into_iter().all(|(shown, value)| fits(*shown, value))
                    || !fits(tables.all.total, all.iter().sum())
                    || !fits(tables.answered, answered)
                {
                    continue;
                }
                let ways = months(tables, all);
                if ways.is_empty() {
                    continue;
                }
                let mut values: Vec<(Name, u64)> = Vec::new();
                for (outcome, value) in all.into_iter().enumerate() {
                    if tables.all.counts[outcome].is_none() && outcome < 3 {
                        values.push((("outcome", outcome, 0), value));
                    }
                }
                for (name, shown, value) in [
                    ("all", tables.all.total, all.iter().sum()),
                    ("answered", tables.answered, answered),
                ] {
                    if shown.is_none() {
                        values.push(((name, 0, 0), value));
                    }
                }
                note(&values, &mut still);
                for values in &ways {
                    note(values, &mut still);
                }
                // What else fits depends only on the outcomes, or on the number of refusals.
                if noted.insert((2, [u8::try_from(*refused).unwrap(), 0, 0])) {
                    for values in grids {
                        note(values, &mut still);
                    }
                }
                for (place, outcomes, of) in [(0, a, of_a), (1, b, of_b)] {
                    let anew = noted.insert((place, *outcomes)) && !still.is_empty();
                    for facts in of.iter().filter(|_| anew) {
                        note(&suppressed_of(tables, place, facts), &mut still);
                    }
                }
                if still.is_empty() {
                    return open;
                }
            }
        }
    }
    open
}

/// What is suppressed, and what is withheld and small, with its true value.
fn secrets(tables: &OverviewTables, truth: &Truth, threshold: u64) -> Open {
    let mut values: Vec<(Name, u64)> = Vec::new();
    for (place, facts) in truth.facts.iter().enumerate() {
        values.extend(suppressed_of(tables, place, facts));
    }
    values.retain(|(name, value)| !name.0.starts_with("withheld") || (1..threshold).contains(value));
    let mut counts = [0; 4];
    for month in truth.overview.months.values() {
        for (sum, count) in counts.iter_mut().zip(month) {
            *sum += count;
        }
    }
    for (place, row) in tables.months.iter().enumerate() {
        for (outcome, shown) in row.counts.iter().enumerate() {
            if shown.is_none() {
                values.push((("month, outcome", place, outcome), 0));
            }
        }
        if row.total.is_none() {
            values.push((("month", place, 0), 0));
        }
    }
    for (outcome, shown) in tables.all.counts.iter().enumerate().take(3) {
        if shown.is_none() {
            values.push((("outcome", outcome, 0), counts[outcome]));
        }
    }
    if tables.all.total.is_none() {
        values.push((("all", 0, 0), counts.iter().sum()));
    }
    if tables.answered.is_none() {
        values.push((("answered", 0, 0), counts[..3].iter().sum()));
    }
    let grid = CODES.map(|code| {
        [Some("vh"), None].map(|who| {
            let of = truth.overview.refusals.iter();
            let of = of.filter(|((own, oin), _)| own == code && (*oin == oin_of("vh")) == who.is_some());
            of.map(|(_, count)| count).sum()
        })
    });
    values.extend(suppressed_refusals(tables, &grid).expect("the truth fits what is published"));
    values
        .into_iter()
        .map(|(name, value)| (name, BTreeSet::from([value])))
        .collect()
}

#[test]
fn nobody_can_compute_what_is_suppressed() {
    let universes = [
        universe(&[0], ['b', 'b', '-']),
        universe(&[0], ['m', 'a', '-']),
        universe(&[0], ['m', 'b', '-']),
        universe(&[0, 2], ['b', 'b', '-']),
        universe(&[1, 2], ['b', 'b', '-']),
        universe(&[0, 1, 2], ['b', 'a', '-']),
        universe(&[0], ['b', '-', '-']),
        universe(&[0, 2], ['a', 'b', 'm']),
    ];
    let covenant = covenant();
    let mut random = Random(2026);
    let (mut suppressed, mut with_partners) = (0, 0);
    for round in 0..10_000_u64 {
        let mut some = || &universes[usize::try_from(random.below(universes.len() as u64)).unwrap()];
        let universes = [some(), some()];
        let truth = truth(universes, &mut random);
        let threshold = 2 + random.below(3);
        let mut tables = truth.overview.publish(&covenant, &BTreeMap::new(), threshold);
        // The third month, of which nobody knows but that it has nothing, is left out.
        assert!(
            tables
                .months
                .pop()
                .unwrap()
                .counts
                .iter()
                .all(|count| *count == Some(0))
        );
        for (place, facts) in truth.facts.iter().enumerate() {
            assert!(
                fits_purpose(&tables, place, facts),
                "round {round}: the truth does not fit"
            );
        }
        let secrets = secrets(&tables, &truth, threshold);
        let open = attack(&tables, universes, &secrets);
        for (name, value) in &secrets {
            let values = open.get(name).map_or(0, BTreeSet::len);
            assert!(
                values > 1,
                "round {round}, threshold {threshold}: {name:?} can only be {value:?} ({:?}) in {tables:#?} of {:?}",
                open.get(name),
                truth.facts
            );
        }
        suppressed += secrets.len();
        let detail = |row: &&PurposeRow| row.consulted == Detail::Shown && row.total > Some(0);
        with_partners += tables.purposes.iter().filter(detail).count();
    }
    assert!(suppressed > 50_000, "{suppressed} secrets");
    assert!(with_partners > 1_000, "{with_partners} tables of partners");
}
