//! What partners answered under one purpose: a table that is protected by itself, and what it says about outcomes.

use std::collections::BTreeSet;

use super::publish::ConsultedCounts;
use super::{Consulted, Purpose, Roles};
use crate::ids::PartnerId;

/// What one partner answered; `None` is withheld.
pub(super) type Answers = (PartnerId, Option<ConsultedCounts>);

/// Outcomes lost and gained; the status before and after, in which answers; and in which others the way back is.
type Way<'a> = ((usize, usize), (usize, usize), &'a [Roles], &'a [Roles]);

/// Places of outcomes, as in [`ANSWERED`](super::ANSWERED).
const HIT: usize = 0;
const NO_HIT: usize = 1;
const COULD_NOT: usize = 2;

/// Places of statuses in [`Consulted`].
const KNOWN: usize = 0;
const NOT_KNOWN: usize = 1;
const NOT_ASKED: usize = 2;
const NOT_APPLICABLE: usize = 3;

impl Purpose {
    pub(super) fn total(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Which outcomes can take each other's place, one lost and one gained, without a change in anything shown of
    /// partners: in one answer a partner's status changes and with it the outcome; and either both of its counts are
    /// suppressed, or in another answer its status changes back without another outcome.
    pub(super) fn exchanges(&self, table: &[Answers]) -> BTreeSet<(usize, usize)> {
        let sole_hit = [Roles::SOLE_HIT, Roles::SOLE_HIT_ELSE_COULD_NOT];
        let hit_elsewhere = [Roles::HIT_ELSEWHERE];
        let shared_hit = [Roles::SHARED_HIT];
        let idle_could_not = [Roles::SHARED_COULD_NOT, Roles::COULD_NOT_BUT_HIT];
        let elsewhere = [Roles::HIT_ELSEWHERE, Roles::COULD_NOT_ELSEWHERE];
        let any_could_not = [Roles::SOLE_COULD_NOT, Roles::SHARED_COULD_NOT];
        let knew = [Roles::COULD_NOT_BUT_HIT];
        let ways: [Way<'_>; 8] = [
            ((HIT, NO_HIT), (KNOWN, NOT_KNOWN), &sole_hit[..1], &hit_elsewhere),
            (
                (HIT, COULD_NOT),
                (KNOWN, NOT_KNOWN),
                &sole_hit[1..],
                &hit_elsewhere,
            ),
            ((HIT, COULD_NOT), (KNOWN, NOT_ASKED), &sole_hit, &knew),
            ((NO_HIT, HIT), (NOT_KNOWN, KNOWN), &[Roles::MISS], &shared_hit),
            (
                (NO_HIT, COULD_NOT),
                (NOT_KNOWN, NOT_ASKED),
                &[Roles::MISS],
                &idle_could_not,
            ),
            ((COULD_NOT, HIT), (NOT_KNOWN, KNOWN), &elsewhere[1..], &shared_hit),
            ((COULD_NOT, HIT), (NOT_ASKED, KNOWN), &any_could_not, &shared_hit),
            (
                (COULD_NOT, NO_HIT),
                (NOT_ASKED, NOT_KNOWN),
                &any_could_not[..1],
                &elsewhere,
            ),
        ];
        let possible = ways.into_iter().filter(|(_, (from, to), there, back)| {
            self.consulted.iter().any(|(partner, own)| {
                let published = table.iter().find(|(other, _)| other == partner);
                let counts = published.and_then(|(_, counts)| counts.as_ref());
                let is_free = counts.is_none_or(|counts| counts.are_suppressed(*from, *to, own));
                own.roles.has(there) && (is_free || own.roles.has(back))
            })
        });
        possible.map(|(outcomes, ..)| outcomes).collect()
    }

    /// The table of partners; `None` if it cannot be protected by itself.
    pub(super) fn table(&self, threshold: u64) -> Option<Vec<Answers>> {
        let total = self.total();
        let small = |count: u64| (1..threshold).contains(&count);
        let own = |row: &Consulted| total.saturating_sub(row.total());
        let complete = |row: &Consulted| own(row) == 0;
        let some_small = self.askers.values().any(|asked| small(*asked))
            || self
                .consulted
                .values()
                .any(|row| small(own(row)) || small(row.total()));
        let does_not_apply = |row: &Consulted| row.statuses.get(NOT_APPLICABLE).copied().unwrap_or(0);
        let apart = self.consulted.values().all(|row| {
            let not = does_not_apply(row);
            complete(row) && !small(not) && !small(total.saturating_sub(not))
        });
        let rows = self.consulted.iter().map(|(partner, row)| {
            let withheld = some_small && !complete(row);
            let counts = if withheld {
                None
            } else {
                Some(row.protect(apart, threshold)?)
            };
            Some((partner.clone(), counts))
        });
        rows.collect()
    }
}

impl ConsultedCounts {
    /// Whether both counts are suppressed, and one fewer of the first is still not nobody.
    fn are_suppressed(&self, from: usize, to: usize, own: &Consulted) -> bool {
        let is_hidden = |place| match place {
            KNOWN => self.known.is_none(),
            NOT_KNOWN => self.not_known.is_none(),
            _ => self.could_not_ask.is_none(),
        };
        is_hidden(from) && is_hidden(to) && own.statuses.get(from).is_some_and(|count| *count > 1)
    }
}

impl Consulted {
    fn total(&self) -> u64 {
        self.statuses.iter().sum()
    }

    /// The row with what must be suppressed; `None` if that is not enough. With `apart`, what does not apply is shown.
    fn protect(&self, apart: bool, threshold: u64) -> Option<ConsultedCounts> {
        let [known, not_known, not_asked, not_applicable] = self.statuses;
        let values = [
            known,
            if apart {
                not_known
            } else {
                not_known + not_applicable
            },
            not_asked,
        ];
        let mut hidden: [bool; 3] = values.map(|value| (1..threshold).contains(&value));
        while !self.stands(&values, hidden, threshold) {
            let shown = (0..3).filter(|place| !hidden[*place] && values[*place] > 0);
            hidden[shown.min_by_key(|place| values[*place])?] = true;
        }
        let shown = |place: usize| (!hidden[place]).then_some(values[place]);
        Some(ConsultedCounts {
            known: shown(KNOWN),
            not_known: shown(NOT_KNOWN),
            could_not_ask: shown(NOT_ASKED),
            does_not_apply: apart.then_some(not_applicable),
            total: self.total(),
        })
    }

    /// Whether no suppressed value is given by the others: together they are no small group, and each could be
    /// otherwise in an answer whose outcome stays.
    fn stands(&self, values: &[u64; 3], hidden: [bool; 3], threshold: u64) -> bool {
        let places = || (0..3).filter(|place| hidden[*place]);
        let sum: u64 = places().map(|place| values[place]).sum();
        let is_free = |place: usize| {
            let mut others = places().filter(|other| *other != place);
            others.any(|other| self.may_move(values, place, other) || self.may_move(values, other, place))
        };
        places().count() == 0 || (sum >= threshold && places().all(is_free))
    }

    /// Whether there is an answer in which one status could be the other, with the same outcome, and still some left.
    fn may_move(&self, values: &[u64; 3], from: usize, to: usize) -> bool {
        let there_is = match (from, to) {
            (KNOWN, _) => vec![Roles::SHARED_HIT],
            (NOT_KNOWN, KNOWN) => vec![Roles::HIT_ELSEWHERE],
            (NOT_KNOWN, _) => vec![Roles::HIT_ELSEWHERE, Roles::COULD_NOT_ELSEWHERE],
            (_, KNOWN) => vec![Roles::COULD_NOT_BUT_HIT],
            (_, _) => vec![Roles::COULD_NOT_BUT_HIT, Roles::SHARED_COULD_NOT],
        };
        values[from] > 1 && self.roles.has(&there_is)
    }
}
