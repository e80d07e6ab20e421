//! The compact table: tag → which registers hold it, of which class, until when.
//!
//! A tag is the output of a keyed hash, so its first bytes are the hash. Most persons are known at one
//! place, and their one entry (6 bytes) lies in the table itself; more go to one exact allocation. A slot is
//! 33 bytes with its control byte, so a person known at ten places costs about 150 bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use hitmachine_pseudonym::Tag;

use crate::clock::Day;
use crate::ids::SubjectClass;

/// One generation of one partner's register. Numbers are handed out by [`super::Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Column(pub(super) u16);

/// What one register says about one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) column: Column,
    until: u16,
    pub(super) class: SubjectClass,
}

/// Day 0 of the packed form: 2000-01-01.
const DAY_ZERO: u32 = 10_957;

impl Entry {
    pub(super) fn new(column: Column, class: SubjectClass, until: Day) -> Self {
        let until = u16::try_from(until.0.saturating_sub(DAY_ZERO)).unwrap_or(u16::MAX);
        Self { column, until, class }
    }

    pub(super) fn until(self) -> Day {
        Day(DAY_ZERO + u32::from(self.until))
    }
}

#[derive(Debug)]
enum Known {
    One(Entry),
    Many(Box<[Entry]>),
}

impl Known {
    fn entries(&self) -> &[Entry] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    fn from_entries(entries: Vec<Entry>) -> Option<Self> {
        match entries.as_slice() {
            [] => None,
            [one] => Some(Self::One(*one)),
            _ => Some(Self::Many(entries.into_boxed_slice())),
        }
    }
}

/// Takes a tag's first eight bytes as its hash: a tag is already the output of a keyed hash.
#[derive(Default)]
struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let taken = bytes.len().min(8);
        first[..taken].copy_from_slice(&bytes[..taken]);
        self.0 = u64::from_le_bytes(first);
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[derive(Debug, Default)]
pub(super) struct Index {
    slots: HashMap<Tag, Known, BuildHasherDefault<TagHasher>>,
}

impl Index {
    pub(super) fn entries(&self, tag: &Tag) -> &[Entry] {
        self.slots.get(tag).map_or(&[], Known::entries)
    }

    pub(super) fn get(&self, tag: &Tag, column: Column) -> Option<Entry> {
        self.entries(tag)
            .iter()
            .copied()
            .find(|entry| entry.column == column)
    }

    /// Sets what `entry.column` says about `tag`; whether it said something before.
    pub(super) fn set(&mut self, tag: Tag, entry: Entry) -> bool {
        use std::collections::hash_map::Entry as Slot;
        match self.slots.entry(tag) {
            Slot::Vacant(slot) => {
                slot.insert(Known::One(entry));
                false
            }
            Slot::Occupied(mut slot) => {
                let mut entries = slot.get().entries().to_vec();
                let before = entries.len();
                entries.retain(|other| other.column != entry.column);
                let was_there = entries.len() != before;
                entries.push(entry);
                if let Some(known) = Known::from_entries(entries) {
                    slot.insert(known);
                }
                was_there
            }
        }
    }

    /// Removes what `column` says about `tag`; whether it said something.
    pub(super) fn remove(&mut self, tag: &Tag, column: Column) -> bool {
        let Some(known) = self.slots.get(tag) else {
            return false;
        };
        let left: Vec<Entry> = known
            .entries()
            .iter()
            .copied()
            .filter(|e| e.column != column)
            .collect();
        if left.len() == known.entries().len() {
            return false;
        }
        match Known::from_entries(left) {
            Some(known) => self.slots.insert(*tag, known),
            None => self.slots.remove(tag),
        };
        true
    }

    /// Removes everything that `column` says.
    pub(super) fn sweep(&mut self, column: Column) {
        self.slots.retain(|_, known| {
            if !known.entries().iter().any(|entry| entry.column == column) {
                return true;
            }
            let left = known
                .entries()
                .iter()
                .copied()
                .filter(|entry| entry.column != column)
                .collect();
            match Known::from_entries(left) {
                Some(rest) => {
                    *known = rest;
                    true
                }
                None => false,
            }
        });
    }

    /// Number of tags, whoever knows them.
    pub(super) fn tags(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 6);
        assert_eq!(size_of::<(Tag, Known)>(), 32);
    }

    proptest! {
        /// Whatever the order of changes, the table says what a plain map says.
        #[test]
        fn the_table_agrees_with_a_plain_map(
            steps in prop::collection::vec((0u8..6, 0u16..4, 0u8..10, 0u32..40_000), 0..300)
        ) {
            let mut index = Index::default();
            let mut plain: BTreeMap<(u8, u16), (SubjectClass, Day)> = BTreeMap::new();
            for (person, column, action, day) in steps {
                let tag = Tag::from_bytes([person; 16]);
                match action {
                    0..=5 => {
                        let class = if action % 2 == 0 { SubjectClass::Minor } else { SubjectClass::Adult };
                        let until = Day(DAY_ZERO + day);
                        let was_there = index.set(tag, Entry::new(Column(column), class, until));
                        prop_assert_eq!(was_there, plain.insert((person, column), (class, until)).is_some());
                    }
                    6..=8 => {
                        let was_there = index.remove(&tag, Column(column));
                        prop_assert_eq!(was_there, plain.remove(&(person, column)).is_some());
                    }
                    _ => {
                        index.sweep(Column(column));
                        plain.retain(|(_, other), _| *other != column);
                    }
                }
                for person in 0..6 {
                    for column in 0..4 {
                        let found = index.get(&Tag::from_bytes([person; 16]), Column(column));
                        let found = found.map(|entry| (entry.class, entry.until()));
                        prop_assert_eq!(found, plain.get(&(person, column)).copied());
                    }
                }
                let persons: std::collections::BTreeSet<u8> = plain.keys().map(|(p, _)| *p).collect();
                prop_assert_eq!(index.tags(), persons.len());
            }
        }
    }
}
