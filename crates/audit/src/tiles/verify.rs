//! Checking a whole published log from its files alone.

use std::{fmt, io};

use super::{
    CHECKPOINT, ReadTile,
    bundle::split_bundle,
    path::{FULL, Row, TilePath},
};
use crate::{
    checkpoint::Checkpoint,
    fields::CONTROL,
    hash::{Hash, empty_root, leaf_hash, node_hash},
    note::{LogVerifier, NoteError},
};

/// Problems after which [`verify_published`] stops: the log is beyond doubt, or a server makes fun of us.
pub const MAX_PROBLEMS: usize = 1_000;

/// Why a published log could not be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no checkpoint.
    #[error("no checkpoint is published")]
    NoCheckpoint,
    /// The checkpoint is not signed by the pinned key, or malformed.
    #[error("published checkpoint is refused")]
    Checkpoint(#[from] NoteError),
    /// A file cannot be read, which says nothing about what is in it.
    #[error("{file} cannot be read")]
    Read {
        /// The file.
        file: PublishedFile,
        /// Why.
        source: io::Error,
    },
}

impl VerifyError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCheckpoint => "no_checkpoint",
            Self::Checkpoint(error) => error.code(),
            Self::Read { .. } => "tiles_io",
        }
    }
}

/// A file of a published log. Printed as its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublishedFile {
    /// `checkpoint`.
    Checkpoint,
    /// A hash tile or an entry bundle.
    Tile(TilePath),
}

impl fmt::Display for PublishedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str(CHECKPOINT),
            Self::Tile(path) => path.fmt(f),
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// There is no such file, and no full one in its place.
    Missing,
    /// It is too short or too long, or lengths in it do not add up.
    Malformed,
    /// It says something else than the files around it.
    Differs,
    /// All of it together gives another root than the checkpoint's.
    Root,
}

impl ProblemKind {
    /// Stable name for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "tile_missing",
            Self::Malformed => "tile_malformed",
            Self::Differs => "tile_differs",
            Self::Root => "tile_root",
        }
    }
}

/// One file that is wrong, and from where.
///
/// If a bundle and its tile disagree, the one that does not fit the level above is named (in a partial pair
/// the one that does not give the signed root); if neither fits, the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PublishedFile,
    /// The first leaf index it is wrong about: in an upper tile the first leaf under the first wrong hash.
    /// For [`ProblemKind::Root`] the size of the checkpoint.
    pub index: u64,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, index, kind } = self;
        match kind {
            ProblemKind::Missing => write!(f, "{file} is missing, from index {index}"),
            ProblemKind::Malformed => write!(f, "{file} is malformed, from index {index}"),
            ProblemKind::Differs => write!(f, "{file} does not fit the files around it, from index {index}"),
            ProblemKind::Root => write!(f, "{file} has another root at {index} entries"),
        }
    }
}

/// What [`verify_published`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Signed by the pinned key; its root is vouched for by the files only if [`is_sound`](Self::is_sound).
    pub checkpoint: Checkpoint,
    /// The note it came in, with whatever cosignatures it has.
    pub note: Vec<u8>,
    /// Entries looked at; fewer than the checkpoint's only after [`MAX_PROBLEMS`].
    pub checked: u64,
    /// One per wrong file.
    pub problems: Vec<Problem>,
}

impl Report {
    /// True if everything is there and adds up to the signed root.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.checked == self.checkpoint.size
    }

    /// The smallest index that a problem names; the checkpoint's size if only the root is wrong.
    pub fn first_bad(&self) -> Option<u64> {
        self.problems.iter().map(|problem| problem.index).min()
    }
}

/// Told while a published log is checked. `()` listens to nothing.
pub trait Observer {
    /// So many entries of so many are done; called once per bundle.
    fn progress(&mut self, done: u64, size: u64) {
        let _ = (done, size);
    }

    /// The JSON of a public control entry that fits its leaf; in order. Worth as much as the whole log: to be
    /// used only if the report [is sound](Report::is_sound).
    fn control(&mut self, index: u64, json: &[u8]) {
        let _ = (index, json);
    }
}

impl Observer for () {}

/// Checks a whole published log: every entry against its tile, every tile against those below, all of it
/// against the checkpoint, which must be signed by the pinned key.
///
/// Goes through the files once, from left to right, and keeps 256 hashes per level and one bundle. A partial
/// file that is gone is looked for in its full one, since the log may have grown meanwhile (tlog-tiles,
/// "Partial Tiles"). Whether the checkpoint is the newest, and that it continues an older one, is for the
/// caller.
///
/// # Errors
/// [`VerifyError`] if nothing can be said; what is wrong with the files is in the [`Report`].
pub fn verify_published(
    reader: &dyn ReadTile,
    verifier: &LogVerifier,
    observer: &mut dyn Observer,
) -> Result<Report, VerifyError> {
    let note = reader.checkpoint().map_err(|source| VerifyError::Read {
        file: PublishedFile::Checkpoint,
        source,
    })?;
    let note = note.ok_or(VerifyError::NoCheckpoint)?;
    let checkpoint = verifier.open(&note)?;
    let mut walk = Walk {
        reader,
        observer,
        size: checkpoint.size,
        uppers: Vec::new(),
        problems: Vec::new(),
    };
    let checked = walk.run(&checkpoint.root)?;
    Ok(Report {
        problems: walk.problems,
        checkpoint,
        note,
        checked,
    })
}

/// The tile of one level from 1 up that the walk is in.
#[derive(Default)]
struct Upper {
    /// What it says, as far as it can be read.
    stated: Vec<Hash>,
    /// What it should say: computed from below, or else as stated.
    known: Vec<Option<Hash>>,
    /// Where in the file and how it is wrong by itself.
    flaw: Option<(u64, ProblemKind)>,
    /// It is in the list of problems.
    named: bool,
}

/// A bundle or its tile, as leaf hashes.
#[derive(Default)]
struct Leaves {
    hashes: Vec<Hash>,
    /// Where in the file and how it is wrong by itself.
    flaw: Option<(u64, ProblemKind)>,
}

struct Walk<'a> {
    reader: &'a dyn ReadTile,
    observer: &'a mut dyn Observer,
    size: u64,
    /// Level 1 first.
    uppers: Vec<Upper>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// Gives the number of entries looked at.
    fn run(&mut self, root: &Hash) -> Result<u64, VerifyError> {
        for number in 0..self.size / FULL {
            let stated = self.stated(1, number)?;
            let leaves = self.pair(number, &|_, leaves| stated.is_some() && subtree(leaves) == stated)?;
            self.up(1, number, leaves.as_deref().and_then(subtree))?;
            self.observer.progress((number + 1) * FULL, self.size);
            if self.problems.len() >= MAX_PROBLEMS {
                return Ok((number + 1) * FULL);
            }
        }
        let mut last = Some(Vec::new());
        if !self.size.is_multiple_of(FULL) {
            last = self.pair(self.size / FULL, &|walk, leaves| walk.root(leaves) == Some(*root))?;
            self.observer.progress(self.size, self.size);
        }
        // A root that cannot be computed has its cause among the problems.
        let computed = last.and_then(|last| self.root(&last));
        if computed.is_some_and(|computed| computed != *root) {
            self.problem(PublishedFile::Checkpoint, self.size, ProblemKind::Root);
        }
        Ok(self.size)
    }

    /// Compares a bundle with its tile. Gives the leaf hashes to go on with: those that `fit`, else the
    /// bundle's, else the tile's; `None` if neither is whole.
    fn pair(
        &mut self,
        number: u64,
        fit: &dyn Fn(&Self, &[Hash]) -> bool,
    ) -> Result<Option<Vec<Hash>>, VerifyError> {
        let item = number * FULL;
        let bundle_path = TilePath::holding(Row::Entries, item, self.size);
        let tile_path = TilePath::holding(Row::Hashes(0), item, self.size);
        let width = usize::from(bundle_path.width());
        let (bytes, read_width) = self.fetch(&bundle_path)?;
        let (entries, bundle) = entries_of(bytes.as_deref(), read_width, width);
        let tile = self.hashes(&tile_path)?;

        let whole = |leaves: &Leaves| leaves.hashes.len() == width;
        let mut sides = (0..).zip(bundle.hashes.iter().zip(&tile.hashes));
        let difference = sides.find_map(|(place, (ours, theirs))| (ours != theirs).then_some(place));
        let differs = difference.map(|place| (place, ProblemKind::Differs));
        // Only if they differ, and then at most one of them.
        let fits = |leaves: &Leaves| differs.is_some() && whole(leaves) && fit(self, &leaves.hashes);
        let (bundle_fits, tile_fits) = (fits(&bundle), fits(&tile));
        let (of_bundle, of_tile) = if bundle_fits {
            (bundle.flaw, differs)
        } else {
            (differs.or(bundle.flaw), tile.flaw)
        };
        self.flaw(&bundle_path, of_bundle);
        self.flaw(&tile_path, of_tile);

        let chosen = if whole(&bundle) && !tile_fits {
            Some(bundle.hashes)
        } else {
            whole(&tile).then_some(tile.hashes)
        };
        for ((index, entry), leaf) in (item..).zip(entries).zip(chosen.iter().flatten()) {
            match entry.split_first() {
                Some((&CONTROL, json)) if leaf_hash(entry) == *leaf => self.observer.control(index, json),
                _ => {}
            }
        }
        Ok(chosen)
    }

    /// Takes the root of a complete subtree, number `number` of its level, into the tile above it.
    fn up(&mut self, level: u8, number: u64, computed: Option<Hash>) -> Result<(), VerifyError> {
        let stated = self.stated(level, number)?;
        let path = TilePath::holding(Row::Hashes(level), number, self.size);
        let Some(upper) = self.uppers.get_mut(usize::from(level) - 1) else {
            return Ok(());
        };
        upper.known.push(computed.or(stated));
        let complete = upper.known.len() as u64 == FULL;
        let root = complete.then(|| {
            let known: Option<Vec<_>> = upper.known.iter().copied().collect();
            known.as_deref().and_then(subtree)
        });
        let place = number % FULL;
        let differs = matches!((computed, stated), (Some(computed), Some(stated)) if computed != stated);
        let differs = differs.then_some((place, ProblemKind::Differs));
        // What is wrong with it by itself is told in its place: a wrong hash may come before.
        let wrong = differs.or(upper.flaw.filter(|(flawed, _)| *flawed == place));
        if wrong.is_some() && !upper.named {
            upper.named = true;
            self.flaw(&path, wrong);
        }
        match root {
            Some(root) => self.up(level + 1, number / FULL, root),
            None => Ok(()),
        }
    }

    /// What the tile of this level says about subtree `number`; a new tile is read when the walk enters it.
    fn stated(&mut self, level: u8, number: u64) -> Result<Option<Hash>, VerifyError> {
        let place = usize::from(level) - 1;
        let within = number % FULL;
        let enters = self.uppers.get(place).is_none_or(|upper| {
            // Asked once before and once when the subtree is taken in.
            within == 0 && upper.known.len() as u64 == FULL
        });
        if enters {
            let path = TilePath::holding(Row::Hashes(level), number, self.size);
            let Leaves { hashes, flaw } = self.hashes(&path)?;
            let upper = Upper {
                stated: hashes,
                known: Vec::new(),
                flaw,
                named: false,
            };
            match self.uppers.get_mut(place) {
                Some(old) => *old = upper,
                None => self.uppers.push(upper),
            }
        }
        let upper = self.uppers.get(place);
        Ok(upper.and_then(|upper| upper.stated.get(usize::try_from(within).ok()?).copied()))
    }

    /// Root of the whole tree, with these as the leaves of the last, partial tile.
    fn root(&self, last: &[Hash]) -> Option<Hash> {
        let mut root = fold(last, None);
        for upper in &self.uppers {
            let known: Option<Vec<_>> = upper.known.iter().copied().collect();
            // A full tile is counted in the level above it.
            root = match known? {
                known if known.len() as u64 == FULL => root,
                known => fold(&known, root),
            };
        }
        Some(root.unwrap_or_else(empty_root))
    }

    /// The hashes of a tile, as many as it should have or as there are.
    fn hashes(&self, path: &TilePath) -> Result<Leaves, VerifyError> {
        let (bytes, read_width) = self.fetch(path)?;
        let Some(bytes) = bytes else {
            return Ok(Leaves {
                hashes: Vec::new(),
                flaw: Some((0, ProblemKind::Missing)),
            });
        };
        let width = usize::from(path.width());
        let hashes = bytes.chunks_exact(32).filter_map(Hash::from_slice);
        let hashes: Vec<_> = hashes.take(width).collect();
        let right = if read_width == path.width() {
            bytes.len() == 32 * width
        } else {
            hashes.len() == width
        };
        let first = hashes.len().min(width - 1) as u64;
        Ok(Leaves {
            hashes,
            flaw: (!right).then_some((first, ProblemKind::Malformed)),
        })
    }

    /// The file, or the full one in its place, and the width of the one that was read.
    fn fetch(&self, path: &TilePath) -> Result<(Option<Vec<u8>>, u16), VerifyError> {
        let read = |path: &TilePath| {
            self.reader.read(path).map_err(|source| VerifyError::Read {
                file: PublishedFile::Tile(*path),
                source,
            })
        };
        match read(path)? {
            None if path.is_partial() => Ok((read(&path.full())?, path.full().width())),
            bytes => Ok((bytes, path.width())),
        }
    }

    fn flaw(&mut self, path: &TilePath, flaw: Option<(u64, ProblemKind)>) {
        if let Some((place, kind)) = flaw {
            self.problem(PublishedFile::Tile(*path), path.leaf_of(place), kind);
        }
    }

    fn problem(&mut self, file: PublishedFile, index: u64, kind: ProblemKind) {
        self.problems.push(Problem { file, index, kind });
    }
}

/// The first `width` entries of a bundle and their leaf hashes, as many as there are.
fn entries_of(bytes: Option<&[u8]>, read_width: u16, width: usize) -> (Vec<&[u8]>, Leaves) {
    let Some(bytes) = bytes else {
        let flaw = Some((0, ProblemKind::Missing));
        return (
            Vec::new(),
            Leaves {
                flaw,
                ..Leaves::default()
            },
        );
    };
    let (mut entries, error) = split_bundle(bytes, read_width);
    entries.truncate(width);
    let hashes = entries.iter().map(|entry| leaf_hash(entry)).collect();
    // Of a full bundle in the place of a partial one the rest is not asked for.
    let error = error.filter(|error| error.entry() < width as u64);
    let flaw = error.map(|error| (error.entry(), ProblemKind::Malformed));
    (entries, Leaves { hashes, flaw })
}

/// Root of a subtree with a power of two leaves; `None` without any.
fn subtree(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        let pairs = row.chunks(2).map(|pair| match pair {
            [left, right] => node_hash(left, right),
            rest => rest.first().copied().unwrap_or_else(empty_root),
        });
        row = pairs.collect();
    }
    row.first().copied()
}

/// Root of these hashes, taken as roots of subtrees of one size, with `right` to the right of them
/// (RFC 9162 §2.1.1: complete subtrees of falling size).
fn fold(hashes: &[Hash], mut right: Option<Hash>) -> Option<Hash> {
    let mut rest = hashes;
    while !rest.is_empty() {
        let (before, last) = rest.split_at(rest.len() - (1 << rest.len().trailing_zeros()));
        let Some(left) = subtree(last) else { break };
        right = Some(right.map_or(left, |right| node_hash(&left, &right)));
        rest = before;
    }
    right
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
