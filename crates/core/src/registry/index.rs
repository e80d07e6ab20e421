//! The compact table: tag → which registers hold it, of which class, until when.
//!
//! A person's record is the tag and four bytes for each register; records of the same length lie in one slab without
//! anything between them, and the table holds only where. A person known at ten places costs 56 bytes and 10 to 20 for
//! the table. Whoever becomes known at one place more moves to the next slab, and the last record of the old one takes
//! the free place.
//!
//! A tag is the output of a hash under the hub's own key, so its bytes are spread evenly, and nobody can choose them: eight
//! are its hash in the table, and another says in which of 256 parts it is. A part of a hundred million registrations is
//! two megabytes, so that whoever changes one part after another finds most of it in the processor's cache
//! ([`Index::set_all`]).

use hashbrown::HashTable;
use hitmachine_pseudonym::Tag;

use crate::clock::Day;
use crate::ids::SubjectClass;

/// One generation of one partner's register. Numbers are handed out by [`super::Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Column(pub(super) u16);

impl Column {
    /// All are below this: one bit beside them is the class.
    pub(super) const END: u16 = 1 << 15;
}

/// What one register says about one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) column: Column,
    until: u16,
    pub(super) class: SubjectClass,
}

/// Day 0 of the packed form: 2000-01-01.
const DAY_ZERO: u32 = 10_957;
const TAG: usize = 16;
const ENTRY: usize = 4;
/// A slab that is at most this long keeps its memory.
const SMALL: usize = 1 << 12;
/// One for each value of a byte.
const PARTS: usize = 256;
/// So many changes are put off at most: a hundred megabytes.
const MUCH: usize = 1 << 22;

impl Entry {
    pub(super) fn new(column: Column, class: SubjectClass, until: Day) -> Self {
        let until = u16::try_from(until.0.saturating_sub(DAY_ZERO)).unwrap_or(u16::MAX);
        Self { column, until, class }
    }

    pub(super) fn until(self) -> Day {
        Day(DAY_ZERO + u32::from(self.until))
    }

    /// `(column ‖ class bit) u16 ‖ until u16`.
    fn pack(self) -> [u8; ENTRY] {
        let adult = u16::from(self.class == SubjectClass::Adult);
        let [a, b] = (self.column.0 << 1 | adult).to_le_bytes();
        let [c, d] = self.until.to_le_bytes();
        [a, b, c, d]
    }

    fn unpack(bytes: [u8; ENTRY]) -> Self {
        let [a, b, c, d] = bytes;
        let first = u16::from_le_bytes([a, b]);
        Self {
            column: Column(first >> 1),
            until: u16::from_le_bytes([c, d]),
            class: if first & 1 == 1 {
                SubjectClass::Adult
            } else {
                SubjectClass::Minor
            },
        }
    }
}

/// Where a record is: with how many entries, and the how manieth of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    fn new(entries: usize, place: usize) -> Self {
        // Fewer entries than columns, and fewer records than this machine has bytes.
        Self((place as u64) << 16 | entries as u64)
    }

    fn parts(self) -> (usize, usize) {
        ((self.0 & 0xffff) as usize, (self.0 >> 16) as usize)
    }
}

/// Records with the same number of entries.
#[derive(Debug)]
struct Slab {
    bytes: Vec<u8>,
    /// Bytes of a record.
    length: usize,
}

impl Slab {
    fn new(entries: usize) -> Self {
        Self {
            bytes: Vec::new(),
            length: TAG + entries * ENTRY,
        }
    }

    fn records(&self) -> usize {
        self.bytes.len() / self.length
    }

    fn record(&self, place: usize) -> &[u8] {
        self.bytes
            .get(place * self.length..(place + 1) * self.length)
            .unwrap_or_default()
    }

    /// The last record comes in its place; whether there was another than itself.
    fn swap_remove(&mut self, place: usize) -> bool {
        let last = self.records().saturating_sub(1);
        let from = last * self.length;
        if place != last {
            self.bytes.copy_within(from.., place * self.length);
        }
        self.bytes.truncate(from);
        // What others take is given back: each partner that is folded empties one slab into the next.
        if self.bytes.capacity() > SMALL && from < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(from + from / 8);
        }
        place != last
    }
}

fn tag_of(record: &[u8]) -> Tag {
    Tag::from_bytes(record.first_chunk().copied().unwrap_or_default())
}

fn entries_of(record: &[u8]) -> impl Iterator<Item = Entry> {
    let entries = record.get(TAG..).unwrap_or_default();
    entries.as_chunks().0.iter().map(|bytes| Entry::unpack(*bytes))
}

/// Takes a tag's first eight bytes as its hash.
fn hash(tag: &Tag) -> u64 {
    u64::from_le_bytes(tag.as_bytes().first_chunk().copied().unwrap_or_default())
}

/// The part that a tag is in: a byte that is not in its hash.
fn part_of(tag: &Tag) -> usize {
    tag.as_bytes().last().copied().unwrap_or_default().into()
}

/// All parts.
#[derive(Debug)]
pub(super) struct Index {
    parts: Vec<Part>,
}

impl Default for Index {
    fn default() -> Self {
        let parts = (0..PARTS).map(|_| Part::default()).collect();
        Self { parts }
    }
}

impl Index {
    pub(super) fn get(&self, tag: &Tag, column: Column) -> Option<Entry> {
        self.parts.get(part_of(tag))?.get(tag, column)
    }

    /// Sets what `entry.column` says about `tag`; whether it said something before.
    pub(super) fn set(&mut self, tag: Tag, entry: Entry) -> bool {
        let part = self.parts.get_mut(part_of(&tag));
        part.is_some_and(|part| part.set(tag, entry))
    }

    /// Removes what `column` says about `tag`; whether it said something.
    pub(super) fn remove(&mut self, tag: &Tag, column: Column) -> bool {
        let part = self.parts.get_mut(part_of(tag));
        part.is_some_and(|part| part.remove(tag, column))
    }

    /// Removes everything that `column` says.
    pub(super) fn sweep(&mut self, column: Column) {
        for part in &mut self.parts {
            part.sweep(column);
        }
    }

    /// Number of tags, whoever knows them.
    pub(super) fn tags(&self) -> usize {
        self.parts.iter().map(Part::tags).sum()
    }

    /// Does what was put off, and leaves that empty; for each batch in it, how many tags more `column` says something about.
    pub(super) fn set_all(&mut self, column: Column, later: &mut Later) -> Vec<i64> {
        let mut growth = vec![0; later.batches];
        for (part, changes) in self.parts.iter_mut().zip(&mut later.parts) {
            for (tag, entry, batch) in changes.drain(..) {
                let change = match entry {
                    Some(entry) => i64::from(!part.set(tag, entry)),
                    None => -i64::from(part.remove(&tag, column)),
                };
                if let Some(growth) = growth.get_mut(batch as usize) {
                    *growth += change;
                }
            }
        }
        (later.held, later.batches) = (0, 0);
        growth
    }
}

/// Changes of one column that are put off, by part, in their order, each with the number of its batch.
#[derive(Debug)]
pub(super) struct Later {
    parts: Vec<Vec<(Tag, Option<Entry>, u32)>>,
    held: usize,
    batches: usize,
}

impl Later {
    pub(super) fn new() -> Self {
        let parts = (0..PARTS).map(|_| Vec::new()).collect();
        Self {
            parts,
            held: 0,
            batches: 0,
        }
    }

    /// Puts a batch off; a change without an entry is a withdrawal.
    pub(super) fn push(&mut self, changes: impl IntoIterator<Item = (Tag, Option<Entry>)>) {
        // The batch itself counts, too: one can be empty.
        let batch = u32::try_from(self.batches).unwrap_or(u32::MAX);
        self.batches += 1;
        self.held += 1;
        for (tag, entry) in changes {
            if let Some(part) = self.parts.get_mut(part_of(&tag)) {
                part.push((tag, entry, batch));
                self.held += 1;
            }
        }
    }

    /// Whether there are so many that they should be done.
    pub(super) fn is_much(&self) -> bool {
        self.held >= MUCH
    }
}

/// The tags that end in one byte.
#[derive(Debug, Default)]
struct Part {
    table: HashTable<Slot>,
    /// By the number of entries in a record, from 1.
    slabs: Vec<Slab>,
    /// A record on its way from one slab to another.
    moving: Vec<u8>,
}

impl Part {
    fn record(&self, slot: Slot) -> &[u8] {
        let (entries, place) = slot.parts();
        self.slabs
            .get(entries.wrapping_sub(1))
            .map_or(&[], |slab| slab.record(place))
    }

    fn find(&self, tag: &Tag) -> Option<Slot> {
        let found = self.table.find(hash(tag), |slot| {
            self.record(*slot).first_chunk() == Some(tag.as_bytes())
        });
        found.copied()
    }

    fn get(&self, tag: &Tag, column: Column) -> Option<Entry> {
        let record = self.record(self.find(tag)?);
        entries_of(record).find(|entry| entry.column == column)
    }

    /// Sets what `entry.column` says about `tag`; whether it said something before.
    fn set(&mut self, tag: Tag, entry: Entry) -> bool {
        let Some(slot) = self.find(&tag) else {
            self.moving.clear();
            self.moving.extend_from_slice(tag.as_bytes());
            self.moving.extend_from_slice(&entry.pack());
            let slot = self.push();
            let slabs = &self.slabs;
            self.table.insert_unique(hash(&tag), slot, |slot| {
                let (entries, place) = slot.parts();
                let slab = slabs.get(entries.wrapping_sub(1));
                hash(&tag_of(slab.map_or(&[], |slab| slab.record(place))))
            });
            return false;
        };
        let there = entries_of(self.record(slot)).position(|other| other.column == entry.column);
        let (entries, place) = slot.parts();
        if let Some(there) = there {
            if let Some(slab) = self.slabs.get_mut(entries - 1) {
                let at = place * slab.length + TAG + there * ENTRY;
                slab.bytes[at..at + ENTRY].copy_from_slice(&entry.pack());
            }
            return true;
        }
        self.take_up(slot);
        self.moving.extend_from_slice(&entry.pack());
        self.relocate(&tag, slot);
        false
    }

    /// Removes what `column` says about `tag`; whether it said something.
    fn remove(&mut self, tag: &Tag, column: Column) -> bool {
        let Some(slot) = self.find(tag) else {
            return false;
        };
        let there = entries_of(self.record(slot)).position(|other| other.column == column);
        let Some(there) = there else {
            return false;
        };
        if slot.parts().0 == 1 {
            if let Ok(found) = self.table.find_entry(hash(tag), |other| *other == slot) {
                found.remove();
            }
            self.give_up(slot);
            return true;
        }
        self.take_up(slot);
        let at = TAG + there * ENTRY;
        self.moving.drain(at..at + ENTRY);
        self.relocate(tag, slot);
        true
    }

    /// Removes everything that `column` says.
    fn sweep(&mut self, column: Column) {
        // A record that loses an entry goes to the slab before, which was looked at already, and its place is taken by the
        // last of its own, which was too.
        for slab in 0..self.slabs.len() {
            for place in (0..self.slabs[slab].records()).rev() {
                let record = self.slabs[slab].record(place);
                if entries_of(record).any(|entry| entry.column == column) {
                    let tag = tag_of(record);
                    self.remove(&tag, column);
                }
            }
        }
    }

    /// Number of tags, whoever knows them.
    fn tags(&self) -> usize {
        self.table.len()
    }

    /// Copies a record to `moving`.
    fn take_up(&mut self, slot: Slot) {
        let mut moving = std::mem::take(&mut self.moving);
        moving.clear();
        moving.extend_from_slice(self.record(slot));
        self.moving = moving;
    }

    /// Puts `moving` into the slab of its length; where.
    fn push(&mut self) -> Slot {
        let entries = (self.moving.len() - TAG) / ENTRY;
        while self.slabs.len() < entries {
            self.slabs.push(Slab::new(self.slabs.len() + 1));
        }
        let slab = &mut self.slabs[entries - 1];
        let slot = Slot::new(entries, slab.records());
        let bytes = &mut slab.bytes;
        if bytes.capacity() - bytes.len() < self.moving.len() {
            // By an eighth, where a `Vec` by itself would double: what is not used yet is memory all the same.
            bytes.reserve_exact(self.moving.len().max(bytes.len() / 8));
        }
        bytes.extend_from_slice(&self.moving);
        slot
    }

    /// `moving` takes the place of the record of `tag` that was at `from`.
    fn relocate(&mut self, tag: &Tag, from: Slot) {
        let to = self.push();
        if let Some(slot) = self.table.find_mut(hash(tag), |slot| *slot == from) {
            *slot = to;
        }
        self.give_up(from);
    }

    /// Removes a record that nobody points at any more.
    fn give_up(&mut self, slot: Slot) {
        let (entries, place) = slot.parts();
        let slab = &mut self.slabs[entries - 1];
        let last = Slot::new(entries, slab.records() - 1);
        if slab.swap_remove(place) {
            let tag = tag_of(slab.record(place));
            if let Some(moved) = self.table.find_mut(hash(&tag), |other| *other == last) {
                *moved = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_small_and_says_what_it_was_made_of() {
        assert_eq!(size_of::<Slot>(), 8);
        for class in [SubjectClass::Minor, SubjectClass::Adult] {
            for column in [0, 1, 9_999, Column::END - 1] {
                for day in [DAY_ZERO, DAY_ZERO + 10_000, DAY_ZERO + 65_535] {
                    let entry = Entry::new(Column(column), class, Day(day));
                    assert_eq!(Entry::unpack(entry.pack()), entry);
                    assert_eq!(entry.until(), Day(day));
                }
            }
        }
    }

    #[test]
    fn a_slab_that_empties_gives_its_memory_back() {
        let mut part = Part::default();
        let tag = |person: u32| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&person.wrapping_mul(2_654_435_761).to_le_bytes());
            bytes[8..12].copy_from_slice(&person.to_le_bytes());
            Tag::from_bytes(bytes)
        };
        let persons = 20_000;
        for column in 0..10 {
            for person in 0..persons {
                let entry = Entry::new(Column(column), SubjectClass::Adult, Day(20_000));
                assert!(!part.set(tag(person), entry));
            }
        }
        assert_eq!(part.tags(), persons as usize);
        let held: usize = part.slabs.iter().map(|slab| slab.bytes.capacity()).sum();
        // 56 bytes each, an eighth more while it grows, and a little for each slab that is empty.
        assert!(held <= 56 * persons as usize * 9 / 8 + 10 * SMALL, "{held}");
        for person in 0..persons {
            assert!(part.remove(&tag(person), Column(3)));
        }
        part.sweep(Column(4));
        assert!(part.get(&tag(77), Column(4)).is_none());
        assert!(part.get(&tag(77), Column(5)).is_some());
        let last = part.slabs.last().unwrap();
        assert!(
            last.bytes.capacity() <= SMALL.max(2 * last.length),
            "{}",
            last.bytes.capacity()
        );
    }

    #[test]
    fn what_is_put_off_is_done_in_its_order() {
        let column = Column(3);
        let (mut one, mut other) = (Index::default(), Index::default());
        let mut later = Later::new();
        let mut growth = 0;
        for step in 0..20_000_u32 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&(step.wrapping_mul(2_654_435_761) % 3_000).to_le_bytes());
            bytes[15] = bytes[0];
            let tag = Tag::from_bytes(bytes);
            let entry = Entry::new(column, SubjectClass::Minor, Day(20_000 + step % 300));
            let entry = (step % 3 != 0).then_some(entry);
            later.push([(tag, entry)]);
            growth += match entry {
                Some(entry) => i64::from(!one.set(tag, entry)),
                None => -i64::from(one.remove(&tag, column)),
            };
        }
        let by_batch = other.set_all(column, &mut later);
        assert_eq!((by_batch.len(), by_batch.iter().sum()), (20_000, growth));
        assert!(other.set_all(column, &mut later).is_empty(), "once");
        assert_eq!(
            (one.tags(), growth),
            (other.tags(), i64::try_from(one.tags()).unwrap())
        );
        for step in 0..3_000_u32 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&step.to_le_bytes());
            bytes[15] = bytes[0];
            let tag = Tag::from_bytes(bytes);
            assert_eq!(one.get(&tag, column), other.get(&tag, column));
        }
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
                // Some differ only in their end.
                let mut bytes = [person / 2; 16];
                bytes[15] = person;
                let tag = Tag::from_bytes(bytes);
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
                    let mut bytes = [person / 2; 16];
                    bytes[15] = person;
                    for column in 0..4 {
                        let found = index.get(&Tag::from_bytes(bytes), Column(column));
                        let found = found.map(|entry| (entry.class, entry.until()));
                        prop_assert_eq!(found, plain.get(&(person, column)).copied());
                    }
                }
                let persons: BTreeSet<u8> = plain.keys().map(|(person, _)| *person).collect();
                prop_assert_eq!(index.tags(), persons.len());
            }
        }
    }
}
