//! Names of the files of a published log, and which of them a size needs.

use std::{fmt, iter, num::NonZeroU8, ops::Range, str::FromStr};

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const FULL: u64 = 256;
/// Highest level a path may name.
const MAX_LEVEL: u8 = 63;

/// A text is not the path of a tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile or an entry bundle")]
pub struct PathError;

impl PathError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        "tile_path"
    }
}

/// A row of files: the entries, or the hashes of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Row {
    Entries,
    Hashes(u8),
}

impl Row {
    /// How many entries or hashes of this row a tree of `size` leaves has: `floor(size / 256^level)`.
    pub(crate) fn items(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }

    /// The rows that a tree of `size` leaves has files in.
    pub(crate) fn all(size: u64) -> impl Iterator<Item = Self> {
        iter::once(Self::Entries)
            .chain((0..=MAX_LEVEL).map(Self::Hashes))
            .filter(move |row| row.items(size) > 0)
    }

    /// Numbers of the files that are full at `to` leaves, but were not at `from`.
    pub(crate) fn filled(self, from: u64, to: u64) -> Range<u64> {
        self.items(from) / FULL..self.items(to) / FULL
    }
}

/// Path of a hash tile, `tile/<L>/<N>[.p/<W>]`, or of an entry bundle, `tile/entries/<N>[.p/<W>]`, without a
/// slash in front (C2SP tlog-tiles v0.1.0, "Merkle Tree" and "Log entries").
///
/// `N` is written in groups of three digits, all but the last with an `x`: 1234067 is `x001/x234/067`. One
/// text per path: [`FromStr`] takes what [`Display`](fmt::Display) writes and nothing else, so a text that
/// came from outside can name no other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    row: Row,
    index: u64,
    width: Option<NonZeroU8>,
}

impl TilePath {
    /// Hash tile number `index` (from 0) of a level; `width` is that of a partial tile, `None` a full one.
    /// `None` for a level above 63.
    pub const fn tile(level: u8, index: u64, width: Option<NonZeroU8>) -> Option<Self> {
        if level > MAX_LEVEL {
            return None;
        }
        Some(Self::new(Row::Hashes(level), index, width))
    }

    /// Entry bundle number `index` (from 0); `width` is that of a partial bundle, `None` a full one.
    pub const fn entries(index: u64, width: Option<NonZeroU8>) -> Self {
        Self::new(Row::Entries, index, width)
    }

    pub(crate) const fn new(row: Row, index: u64, width: Option<NonZeroU8>) -> Self {
        Self { row, index, width }
    }

    /// The file of the row that holds item number `item` in a tree of `size` leaves, as wide as it is there.
    pub(crate) fn holding(row: Row, item: u64, size: u64) -> Self {
        let (index, items) = (item / FULL, row.items(size));
        let width = if index < items / FULL { 0 } else { items % FULL };
        Self::new(row, index, u8::try_from(width).ok().and_then(NonZeroU8::new))
    }

    /// Level of a hash tile; `None` for an entry bundle.
    pub const fn level(&self) -> Option<u8> {
        match self.row {
            Row::Entries => None,
            Row::Hashes(level) => Some(level),
        }
    }

    /// Number of the file in its row, from 0.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in the file, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width.map_or(256, |width| u16::from(width.get()))
    }

    /// True unless the file is full.
    pub const fn is_partial(&self) -> bool {
        self.width.is_some()
    }

    /// The full file of the same number.
    #[must_use]
    pub const fn full(&self) -> Self {
        Self::new(self.row, self.index, None)
    }

    /// Index of the first leaf that the file is about; of the largest index, if it is beyond that.
    pub fn first_leaf(&self) -> u64 {
        self.leaf_of(0)
    }

    /// Most bytes that the file can have.
    pub fn max_len(&self) -> u64 {
        let item = match self.row {
            Row::Entries => 2 + u64::from(u16::MAX),
            Row::Hashes(_) => 32,
        };
        item * u64::from(self.width())
    }

    /// All files that a checkpoint of `size` leaves needs, each once, every row from left to right. None for
    /// the empty log.
    pub fn needed(size: u64) -> impl Iterator<Item = Self> {
        Self::needed_since(0, size)
    }

    /// The files that `to` leaves need and `from` leaves do not.
    pub(crate) fn needed_since(from: u64, to: u64) -> impl Iterator<Item = Self> {
        Row::all(to).flat_map(move |row| {
            let full = row.filled(from, to).map(move |index| Self::new(row, index, None));
            let last = Self::holding(row, row.items(to), to);
            let partial = last.is_partial() && row.items(from) != row.items(to);
            full.chain(partial.then_some(last))
        })
    }

    /// Index of the first leaf under hash or entry number `place` of the file.
    pub(crate) fn leaf_of(&self, place: u64) -> u64 {
        let item = self.item(place);
        match self.row {
            Row::Entries => item,
            Row::Hashes(level) => 1_u64
                .checked_shl(8 * u32::from(level))
                .map_or(u64::MAX, |leaves| item.saturating_mul(leaves)),
        }
    }

    /// Number in the whole row of hash or entry number `place` of the file.
    pub(crate) const fn item(&self, place: u64) -> u64 {
        self.index.saturating_mul(FULL).saturating_add(place)
    }

    /// The folder of the partial files of this number.
    pub(crate) fn partials(&self) -> String {
        format!("{}.p", self.full())
    }

    pub(crate) const fn row(&self) -> Row {
        self.row
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Row::Entries => f.write_str("tile/entries")?,
            Row::Hashes(level) => write!(f, "tile/{level}")?,
        }
        // The largest number of 64 bits has seven groups.
        let groups = (1..7_u32).rev().map(|group| self.index / 1000_u64.pow(group));
        for group in groups.skip_while(|rest| *rest == 0) {
            write!(f, "/x{:03}", group % 1000)?;
        }
        write!(f, "/{:03}", self.index % 1000)?;
        match self.width {
            Some(width) => write!(f, ".p/{width}"),
            None => Ok(()),
        }
    }
}

impl FromStr for TilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let path = parse(text).ok_or(PathError)?;
        // Leading zeros, a sign, missing digits: whatever is read alike but written otherwise.
        if path.to_string() == text {
            Ok(path)
        } else {
            Err(PathError)
        }
    }
}

/// Loosely; the caller compares with what would be written.
fn parse(text: &str) -> Option<TilePath> {
    let (row, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, Some(width.parse().ok()?)),
        None => (rest, None),
    };
    let index = index.split('/').try_fold(0_u64, |number, group| {
        let group: u16 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        number.checked_mul(1000)?.checked_add(u64::from(group))
    })?;
    match row {
        "entries" => Some(TilePath::entries(index, width)),
        level => TilePath::tile(level.parse().ok()?, index, width),
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
