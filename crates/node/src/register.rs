//! The node's copy of what the broker has acknowledged, and what must change there.

use std::collections::{HashMap, HashSet};

use hitmachine_core::registry::{Change, MAX_CHANGES, Tally};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, Token};

use crate::state::{Held, LocalChange, Slot, StateError, SyncMark};

/// What the source says about one token today.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) identifier: IdentifierType,
    pub(crate) token: Token,
    pub(crate) class: SubjectClass,
    pub(crate) reference: Option<Box<str>>,
}

/// The acknowledged register in memory, folded from the batches in a [`Slot`].
#[derive(Default)]
pub(crate) struct LocalRegister {
    pub(crate) mark: SyncMark,
    /// Batches written but not acknowledged, in order: the broker may or may not have them.
    pub(crate) in_doubt: Vec<(u64, Vec<LocalChange>)>,
    /// By token: the kind of number is part of what a token is made of, so two kinds never share one.
    held: HashMap<Token, (IdentifierType, Held)>,
    tally: Tally,
}

impl LocalRegister {
    pub(crate) fn load(slot: &Slot) -> Result<Self, StateError> {
        let mut local = Self {
            mark: slot.mark()?,
            ..Self::default()
        };
        let (generation, acknowledged) = (local.mark.generation, local.mark.acknowledged);
        slot.batches(generation, &mut |sequence, changes| {
            if sequence <= acknowledged {
                local.fold(changes);
            } else {
                local.in_doubt.push((sequence, changes));
            }
        })?;
        Ok(local)
    }

    /// The sequence after the last batch that was written.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.in_doubt
            .last()
            .map_or(self.mark.acknowledged, |(sequence, _)| *sequence)
            + 1
    }

    /// The broker has everything up to `sequence`.
    pub(crate) fn acknowledge(&mut self, sequence: u64) {
        let later = self.in_doubt.partition_point(|(own, _)| *own <= sequence);
        for (own, changes) in self.in_doubt.drain(..later).collect::<Vec<_>>() {
            self.mark.acknowledged = own;
            self.fold(changes);
        }
    }

    /// Starts over with an empty register in a new generation.
    pub(crate) fn restart(&mut self, generation: u32) {
        self.in_doubt.clear();
        self.held.clear();
        self.tally = Tally::default();
        self.mark = SyncMark {
            generation,
            acknowledged: 0,
            ..self.mark
        };
    }

    fn fold(&mut self, changes: Vec<LocalChange>) {
        for LocalChange {
            identifier,
            token,
            registration,
        } in changes
        {
            if let Some((_, old)) = self.held.get(&token) {
                self.tally.remove(identifier, &token, old.class, old.valid_until);
            }
            match registration {
                Some(held) => {
                    self.tally.add(identifier, &token, held.class, held.valid_until);
                    self.held.insert(token, (identifier, held));
                }
                None => {
                    self.held.remove(&token);
                }
            }
        }
    }

    /// What is registered of a token, also in a batch that the broker may have and has not acknowledged.
    pub(crate) fn find(&self, identifier: IdentifierType, token: &Token) -> Option<&Held> {
        let doubtful = self.in_doubt.iter().rev().flat_map(|(_, changes)| changes);
        let doubtful = doubtful
            .filter(|change| change.identifier == identifier && change.token == *token)
            .find_map(|change| change.registration.as_ref());
        let held = || {
            let (of, held) = self.held.get(token)?;
            (*of == identifier).then_some(held)
        };
        doubtful.or_else(held)
    }

    /// Every token that is held, and the last day on which it answers.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&Token, Day)> {
        self.held
            .iter()
            .map(|(token, (_, held))| (token, held.valid_until))
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    pub(crate) fn len(&self) -> u64 {
        self.held.len() as u64
    }

    /// What must be sent so that the broker has exactly `wanted`: new and changed registrations, those whose term
    /// is half over, and withdrawals. How many of what is held would go is told apart, for the guard.
    pub(crate) fn difference(&self, wanted: &[Wanted], today: Day, term_days: u32) -> Difference {
        let valid_until = today.plus(term_days);
        let refresh_before = today.plus(term_days / 2);
        let mut changes = Vec::new();
        let mut seen: HashSet<&Token> = HashSet::with_capacity(wanted.len());
        for row in wanted.iter().filter(|row| seen.insert(&row.token)) {
            let unchanged = self.held.get(&row.token).is_some_and(|(_, held)| {
                held.class == row.class
                    && held.reference == row.reference
                    && held.valid_until >= refresh_before
                    && held.valid_until <= valid_until
            });
            if !unchanged {
                let held = Held {
                    class: row.class,
                    valid_until,
                    reference: row.reference.clone(),
                };
                changes.push(LocalChange {
                    identifier: row.identifier,
                    token: row.token.clone(),
                    registration: Some(held),
                });
            }
        }
        let registered = changes.len() as u64;
        for (token, (identifier, _)) in self.held.iter().filter(|(token, _)| !seen.contains(token)) {
            changes.push(LocalChange {
                identifier: *identifier,
                token: token.clone(),
                registration: None,
            });
        }
        let withdrawn = changes.len() as u64 - registered;
        Difference {
            changes,
            registered,
            withdrawn,
        }
    }
}

/// What must be sent.
pub(crate) struct Difference {
    pub(crate) changes: Vec<LocalChange>,
    pub(crate) registered: u64,
    pub(crate) withdrawn: u64,
}

impl Difference {
    /// In random order, so that the broker cannot tell who stood together in the source, and cut into batches.
    pub(crate) fn into_batches(mut self, first: u64) -> Result<Vec<(u64, Vec<LocalChange>)>, StateError> {
        shuffle(&mut self.changes)?;
        let mut batches = Vec::with_capacity(self.changes.len() / MAX_CHANGES + 1);
        let mut rest = self.changes.into_iter();
        for sequence in first.. {
            let batch: Vec<LocalChange> = rest.by_ref().take(MAX_CHANGES).collect();
            if batch.is_empty() {
                break;
            }
            batches.push((sequence, batch));
        }
        Ok(batches)
    }
}

/// Fisher–Yates with the operating system's randomness, drawn in one go.
fn shuffle<T>(items: &mut [T]) -> Result<(), StateError> {
    let mut random = vec![0; items.len() * 8];
    getrandom::fill(&mut random).map_err(|_| StateError::Random)?;
    for (place, bytes) in (1..items.len()).rev().zip(random.chunks_exact(8)) {
        let draw = bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        // The remainder's bias is below 2⁻³⁰ for any register; this hides an order, it is no key.
        let other = usize::try_from(draw % (place as u64 + 1)).unwrap_or(place);
        items.swap(place, other);
    }
    Ok(())
}

/// The part of a change that the broker gets.
pub(crate) fn for_broker(change: &LocalChange) -> Change {
    Change {
        identifier: change.identifier,
        token: change.token.clone(),
        registration: change
            .registration
            .as_ref()
            .map(|held| (held.class, held.valid_until)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    const TODAY: Day = Day(20_778);

    fn wanted(person: u8, class: SubjectClass) -> Wanted {
        let reference = Some(format!("LP-{person}").into());
        Wanted {
            identifier: IdentifierType::Bsn,
            token: Token::from_bytes([person; 32]),
            class,
            reference,
        }
    }

    fn send(local: &mut LocalRegister, wanted: &[Wanted], today: Day) -> (u64, u64) {
        let difference = local.difference(wanted, today, 365);
        let counts = (difference.registered, difference.withdrawn);
        let first = local.next_sequence();
        local.in_doubt.extend(difference.into_batches(first).unwrap());
        local.acknowledge(local.next_sequence() - 1);
        counts
    }

    #[test]
    fn only_what_changed_is_sent() {
        let mut local = LocalRegister::default();
        let minors = |persons: std::ops::Range<u8>| {
            persons
                .map(|p| wanted(p, SubjectClass::Minor))
                .collect::<Vec<_>>()
        };
        assert_eq!(send(&mut local, &minors(0..10), TODAY), (10, 0));
        assert_eq!(send(&mut local, &minors(0..10), TODAY.plus(1)), (0, 0));
        assert_eq!(
            send(&mut local, &minors(2..11), TODAY.plus(2)),
            (1, 2),
            "one came, two went"
        );
        let mut grown = minors(2..10);
        grown.push(wanted(10, SubjectClass::Adult));
        assert_eq!(send(&mut local, &grown, TODAY.plus(3)), (1, 0), "one came of age");
        let mut twice = minors(2..10);
        twice.extend([wanted(10, SubjectClass::Adult), wanted(10, SubjectClass::Adult)]);
        assert_eq!(send(&mut local, &twice, TODAY.plus(4)), (0, 0), "in two sources");
        assert_eq!((local.len(), local.tally().count), (9, 9));
    }

    #[test]
    fn registrations_are_renewed_at_half_term() {
        let mut local = LocalRegister::default();
        let one = || vec![wanted(1, SubjectClass::Minor)];
        send(&mut local, &one(), TODAY);
        assert_eq!(send(&mut local, &one(), TODAY.plus(183)), (0, 0));
        assert_eq!(send(&mut local, &one(), TODAY.plus(184)), (1, 0));
        assert_eq!(
            send(&mut local, &one(), TODAY.plus(1)),
            (1, 0),
            "a clock that ran ahead is corrected"
        );
    }

    #[test]
    fn large_differences_are_cut_and_shuffled() {
        let local = LocalRegister::default();
        let rows = (0..3_000u32).map(|n| {
            let mut token = [0; 32];
            token[..4].copy_from_slice(&n.to_be_bytes());
            Wanted {
                identifier: IdentifierType::Bsn,
                token: Token::from_bytes(token),
                class: SubjectClass::Adult,
                reference: None,
            }
        });
        let batches = local
            .difference(&rows.collect::<Vec<_>>(), TODAY, 365)
            .into_batches(5)
            .unwrap();
        assert_eq!(
            batches.iter().map(|(n, b)| (*n, b.len())).collect::<Vec<_>>(),
            [(5, 1024), (6, 1024), (7, 952)]
        );
        let order: Vec<_> = batches
            .iter()
            .flat_map(|(_, b)| b.iter().map(|c| c.token.clone()))
            .collect();
        let mut sorted = order.clone();
        sorted.sort();
        assert_ne!(order, sorted);
        sorted.dedup();
        assert_eq!(sorted.len(), 3_000);
    }

    #[test]
    fn after_a_stop_batches_in_doubt_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path(), &crate::state::StateKey::from_bytes([1; 32])).unwrap();
        let slot = Slot::open(&std::sync::Arc::new(state), 1, &[1; 8]).unwrap();
        let mut local = LocalRegister::load(&slot).unwrap();
        local.restart(1);
        let batches = local
            .difference(&[wanted(1, SubjectClass::Minor)], TODAY, 365)
            .into_batches(1)
            .unwrap();
        slot.append(local.mark, &batches).unwrap();
        let mut again = LocalRegister::load(&slot).unwrap();
        assert_eq!(
            (again.in_doubt.len(), again.len(), again.next_sequence()),
            (1, 0, 2)
        );
        again.acknowledge(1);
        assert_eq!(
            (again.in_doubt.len(), again.len(), again.next_sequence()),
            (0, 1, 2)
        );
    }
}
