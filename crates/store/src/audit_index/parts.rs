//! Which databases there are, and those that are open.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hitmachine_audit::{Period, RetentionClass};

use super::IndexError;
use super::chunk::Bounds;
use super::part::Part;

/// What the entries of a class and month have in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Half {
    /// Group A.
    Processing,
    /// Group B, keyed blind.
    People,
}

impl Half {
    pub(super) const ALL: [Self; 2] = [Self::Processing, Self::People];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::People => "people",
        }
    }
}

/// Names one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId {
    pub(super) class: u16,
    pub(super) period: Period,
    pub(super) half: Half,
}

impl PartId {
    pub(super) fn new(class: RetentionClass, period: Period, half: Half) -> Self {
        Self {
            class: class.0,
            period,
            half,
        }
    }

    /// Its folder.
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }

    pub(super) fn with(self, half: Half) -> Self {
        Self { half, ..self }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.class, self.period, self.half.as_str())
    }
}

/// The open databases, the one used last at the end.
pub(super) struct OpenParts {
    dir: PathBuf,
    open: Vec<(PartId, Arc<Part>)>,
    most: usize,
    /// The watermark when this process began; what lies above it is left over from another one.
    start: u64,
    /// Cut off at `start` and compared with the watermark's file.
    checked: BTreeSet<PartId>,
}

impl OpenParts {
    pub(super) fn new(dir: &Path, most: usize, start: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            open: Vec::new(),
            most,
            start,
            checked: BTreeSet::new(),
        }
    }

    /// Opens a database, or gives the open one. `known` is what the watermark's file says of it.
    pub(super) fn part(&mut self, id: PartId, known: Option<Bounds>) -> Result<Arc<Part>, IndexError> {
        if let Some(place) = self.open.iter().position(|(open, _)| *open == id) {
            let used = self.open.remove(place);
            let part = Arc::clone(&used.1);
            self.open.push(used);
            return Ok(part);
        }
        while self.open.len() >= self.most {
            // One that is in use stays; the bound is exceeded until it is free.
            let Some(place) = self
                .open
                .iter()
                .position(|(_, part)| Arc::strong_count(part) == 1)
            else {
                break;
            };
            if let Some((_, part)) = self.open.get(place) {
                part.sync()?;
            }
            self.open.remove(place);
        }
        let part = Arc::new(Part::open(&id.path(&self.dir), id.to_string())?);
        if !self.checked.contains(&id) {
            part.trim(self.start)?;
            let last = part.bounds().next_back().transpose()?;
            // sled cuts off a damaged tail without a word.
            if last.map(|bounds| bounds.last) != known.map(|bounds| bounds.last) {
                return Err(part.damaged());
            }
            self.checked.insert(id);
        }
        self.open.push((id, Arc::clone(&part)));
        Ok(part)
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        self.open.iter().try_for_each(|(_, part)| part.sync())
    }

    /// Closes the databases of a month, which are about to go.
    pub(super) fn forget(&mut self, class: RetentionClass, period: Period) {
        let gone = |id: &PartId| id.class == class.0 && id.period == period;
        self.open.retain(|(id, _)| !gone(id));
        self.checked.retain(|id| !gone(id));
    }

    /// Closes all, which are about to go.
    pub(super) fn forget_all(&mut self) {
        self.open.clear();
        self.checked.clear();
        self.start = 0;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}
