//! What lies on the disk at any moment of a recording, and what of it outlives a power cut.
//!
//! A file's bytes and length are durable after a sync of that file, a name after a sync of its folder. Of all else any
//! part may be there after a cut: each sector of each write by itself, each change of a length, each name. That is more
//! than any file system does to anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hitmachine_testkit::rng::Rng;

use super::trace::{Act, Call, File, Trace};

/// Files and folders below some folders.
#[derive(Clone, Default)]
pub(super) struct Disk {
    roots: Vec<PathBuf>,
    inodes: Vec<Inode>,
    durable: Names,
    current: Names,
    pending: Vec<Pending>,
    /// Open files: inode, place, and whether it is written at the end.
    open: BTreeMap<u32, (usize, u64, bool)>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// What is not durable, and the line where it was done.
    unsynced: Vec<(usize, Change)>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
struct Pending {
    line: usize,
    change: Rename,
    /// Folders still to be synced.
    unsynced: BTreeSet<PathBuf>,
}

#[derive(Clone)]
enum Rename {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Move(PathBuf, PathBuf),
}

impl Rename {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Move(from, to) => {
                // A folder takes with it what is in it.
                let moved: Vec<PathBuf> = names
                    .range(from.clone()..)
                    .map(|(path, _)| path.clone())
                    .take_while(|path| path.starts_with(from))
                    .collect();
                for path in moved {
                    let within = path.strip_prefix(from).unwrap_or(Path::new(""));
                    let place = if within == Path::new("") {
                        to.clone()
                    } else {
                        to.join(within)
                    };
                    if let Some(node) = names.remove(&path) {
                        names.insert(place, node);
                    }
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => put(bytes, *at, new),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl Inode {
    fn change(&mut self, line: usize, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push((line, change));
    }

    /// Durable is what was done before this line.
    fn sync(&mut self, before: usize) {
        let (done, rest) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|(line, _)| *line < before);
        self.unsynced = rest;
        let done: Vec<(usize, Change)> = done;
        for (_, change) in done {
            change.apply(&mut self.durable);
        }
    }

    /// Keeps what the cut leaves. Writes to one sector come to it in their order, so of each a beginning is there.
    fn cut(&mut self, rng: &mut Rng, how: Cut) -> u64 {
        let mut lost = 0;
        let writes = std::mem::take(&mut self.unsynced);
        let sector = how.sector;
        let mut survivors: BTreeMap<usize, usize> = BTreeMap::new();
        let touched = |change: &Change| match change {
            Change::Write(at, new) if !new.is_empty() => at / sector..(at + new.len() - 1) / sector + 1,
            _ => 0..0,
        };
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, change) in &writes {
            for one in touched(change) {
                *counts.entry(one).or_default() += 1;
            }
        }
        for (one, count) in counts {
            let kept = match how.keep {
                Keep::All => count,
                Keep::None => 0,
                Keep::Some => rng.index(count + 1),
            };
            lost += u64::from(kept < count);
            survivors.insert(one, kept);
        }
        for (_, change) in &writes {
            match change {
                Change::Write(at, new) => {
                    for one in touched(change) {
                        let left = survivors.entry(one).or_default();
                        if *left > 0 {
                            *left -= 1;
                            let (begin, end) =
                                ((one * sector).max(*at), ((one + 1) * sector).min(at + new.len()));
                            put(&mut self.durable, begin, &new[begin - at..end - at]);
                        }
                    }
                }
                Change::Length(length) => {
                    if how.keep == Keep::All || (how.keep == Keep::Some && rng.percent(50)) {
                        self.durable.resize(*length, 0);
                    } else {
                        lost += 1;
                    }
                }
            }
        }
        self.current.clone_from(&self.durable);
        lost
    }
}

/// How much of what was not synced a cut leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    None,
    Some,
    All,
}

/// How a cut is made.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Bytes that survive together.
    pub(super) sector: usize,
    pub(super) keep: Keep,
}

impl Cut {
    /// One at random: mostly some of it.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let keep = match rng.below(8) {
            0 => Keep::None,
            1 => Keep::All,
            _ => Keep::Some,
        };
        let sector = if rng.percent(50) { 512 } else { 4096 };
        Self { sector, keep }
    }
}

impl Disk {
    /// What lies below these folders now, all of it durable. One that is not there may come.
    pub(super) fn of(roots: &[PathBuf]) -> Self {
        let mut disk = Self {
            roots: roots.to_vec(),
            ..Self::default()
        };
        for root in roots.iter().filter(|root| root.exists()) {
            disk.read(root);
        }
        disk.durable.clone_from(&disk.current);
        disk
    }

    fn read(&mut self, dir: &Path) {
        self.current.insert(dir.to_owned(), Node::Dir);
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                self.read(&path);
            } else if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                self.current.insert(path, Node::File(self.inodes.len()));
                self.inodes.push(Inode {
                    durable: bytes.clone(),
                    current: bytes,
                    unsynced: vec![],
                });
            }
        }
    }

    /// Does what happened in the lines from `from` to before `to`.
    pub(super) fn replay(&mut self, trace: &Trace, from: usize, to: usize) {
        for call in &trace.calls {
            if let Some(line) = call.returned.filter(|line| (from..to).contains(line)) {
                self.apply(call, line);
            }
        }
    }

    /// What was under way at this line and may have been done in part.
    pub(super) fn begun(&mut self, trace: &Trace, at: usize) {
        for call in &trace.calls {
            let under_way = call.began < at && call.returned.is_none_or(|line| line >= at);
            if under_way && !matches!(call.act, Act::Sync(_) | Act::Open { .. }) {
                self.apply(call, at);
            }
        }
    }

    fn inode(&self, file: &File) -> Option<usize> {
        if let Some((inode, ..)) = self.open.get(&file.fd) {
            return Some(*inode);
        }
        match self.current.get(&file.path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    fn rename(&mut self, line: usize, change: Rename, paths: &[&Path]) {
        change.apply(&mut self.current);
        let unsynced = paths
            .iter()
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        self.pending.push(Pending {
            line,
            change,
            unsynced,
        });
    }

    fn apply(&mut self, call: &Call, line: usize) {
        let ours = |path: &Path| self.roots.iter().any(|root| path.starts_with(root));
        match &call.act {
            Act::Open {
                fd,
                path,
                made,
                emptied,
                appends,
            } if ours(path) => {
                if *made && !self.current.contains_key(path) {
                    let node = Node::File(self.inodes.len());
                    self.inodes.push(Inode::default());
                    self.rename(line, Rename::Add(path.clone(), node), &[path]);
                }
                if let Some(Node::File(inode)) = self.current.get(path).copied() {
                    if *emptied && !self.inodes[inode].current.is_empty() {
                        self.inodes[inode].change(line, Change::Length(0));
                    }
                    self.open.insert(*fd, (inode, 0, *appends));
                } else {
                    self.open.remove(fd);
                }
            }
            Act::Open { fd, .. } | Act::Close(fd) => {
                self.open.remove(fd);
            }
            Act::Seek(fd, to) => {
                if let Some((_, place, _)) = self.open.get_mut(fd) {
                    *place = *to;
                }
            }
            Act::Write(file, bytes) => {
                if let Some((inode, place, appends)) = self.open.get_mut(&file.fd) {
                    let inode = &mut self.inodes[*inode];
                    if *appends {
                        *place = inode.current.len() as u64;
                    }
                    let at = usize::try_from(*place).unwrap();
                    *place += bytes.len() as u64;
                    inode.change(line, Change::Write(at, bytes.clone()));
                }
            }
            Act::WriteAt(file, at, bytes) => {
                if let Some(inode) = self.inode(file) {
                    let at = usize::try_from(*at).unwrap();
                    self.inodes[inode].change(line, Change::Write(at, bytes.clone()));
                }
            }
            Act::SetLength(file, length) => {
                if let Some(inode) = self.inode(file) {
                    self.inodes[inode].change(line, Change::Length(usize::try_from(*length).unwrap()));
                }
            }
            Act::Sync(file) => self.sync(file, call.began),
            Act::Rename(from, to) if ours(from) && ours(to) => {
                self.rename(line, Rename::Move(from.clone(), to.clone()), &[from, to]);
            }
            Act::Unlink(path) | Act::RemoveDir(path) if ours(path) => {
                self.rename(line, Rename::Remove(path.clone()), &[path]);
            }
            Act::MakeDir(path) if ours(path) => {
                self.rename(line, Rename::Add(path.clone(), Node::Dir), &[path]);
            }
            Act::Unknown(what) => assert!(
                self.roots
                    .iter()
                    .all(|root| !what.contains(&*root.to_string_lossy())),
                "the recorder cannot follow: {what}"
            ),
            Act::Rename(..) | Act::Unlink(_) | Act::RemoveDir(_) | Act::MakeDir(_) => {}
        }
    }

    fn sync(&mut self, file: &File, began: usize) {
        if let Some(inode) = self.inode(file) {
            self.inodes[inode].sync(began);
            return;
        }
        let Self { pending, durable, .. } = self;
        pending.retain_mut(|pending| {
            if pending.line < began {
                pending.unsynced.remove(&file.path);
            }
            if pending.unsynced.is_empty() {
                pending.change.apply(durable);
            }
            !pending.unsynced.is_empty()
        });
    }

    /// The power goes. How many sectors, lengths and names were lost.
    pub(super) fn cut(&mut self, rng: &mut Rng, how: Cut) -> u64 {
        let mut lost = 0;
        for pending in std::mem::take(&mut self.pending) {
            if how.keep == Keep::All || (how.keep == Keep::Some && rng.percent(50)) {
                pending.change.apply(&mut self.durable);
            } else {
                lost += 1;
            }
        }
        // A name in a folder that did not survive is gone with it.
        let (names, roots) = (self.durable.clone(), self.roots.clone());
        self.durable.retain(|path, _| {
            let above = path.ancestors().skip(1);
            let mut above = above.take_while(|dir| roots.iter().any(|root| dir.starts_with(root)));
            above.all(|dir| names.get(dir) == Some(&Node::Dir))
        });
        self.current.clone_from(&self.durable);
        self.open.clear();
        lost + self
            .inodes
            .iter_mut()
            .map(|inode| inode.cut(rng, how))
            .sum::<u64>()
    }

    /// Puts everything there is now below its folders, in the place of what is there.
    pub(super) fn put_in_place(&self) {
        for root in self.roots.iter().filter(|root| root.exists()) {
            fs::remove_dir_all(root).unwrap();
        }
        for (path, node) in &self.current {
            match node {
                Node::Dir => {
                    fs::create_dir_all(path).unwrap();
                    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
                }
                Node::File(inode) => {
                    let mut options = fs::OpenOptions::new();
                    let mut file = options
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(path)
                        .unwrap();
                    std::io::Write::write_all(&mut file, &self.inodes[*inode].current).unwrap();
                }
            }
        }
    }

    /// Fails unless everything in the trace, done again, gives the very files that the process left when it was killed:
    /// then nothing was overlooked. Of what was under way at its end nobody knows whether it was done.
    pub(super) fn check(mut self, trace: &Trace, recording: &Path) {
        let lines = trace.times.len();
        self.replay(trace, 0, lines);
        self.begun(trace, lines);
        let open = trace.calls.iter().filter(|call| call.returned.is_none());
        let open: BTreeSet<&Path> = open.flat_map(|call| call.act.paths()).collect();
        let differences = self.differences();
        let missed: Vec<&PathBuf> = differences
            .iter()
            .filter(|path| !open.contains(path.as_path()))
            .collect();
        let found: Vec<String> = missed.iter().map(|path| self.difference(trace, path)).collect();
        if !missed.is_empty() {
            let kept = std::env::temp_dir().join("recording-that-misses-something");
            let _ = fs::copy(recording, &kept);
            panic!(
                "the recording, kept as {}, misses something: {found:#?}",
                kept.display()
            );
        }
    }

    /// Where a file and what was recorded of it begin to differ, and which calls were about that place.
    fn difference(&self, trace: &Trace, path: &Path) -> String {
        let real = fs::read(path).unwrap_or_default();
        let Some(Node::File(inode)) = self.current.get(path) else {
            return format!("{}: not a file in the recording", path.display());
        };
        let ours = &self.inodes[*inode].current;
        let same = ours.iter().zip(&real).take_while(|(one, other)| one == other);
        let at = same.count();
        let differ = ours.iter().zip(&real).filter(|(one, other)| one != other).count();
        let lengths = (ours.len(), real.len());
        let words = |call: &&Call| {
            let what = match &call.act {
                Act::Open { fd, .. } => format!("open {fd}"),
                Act::Write(file, bytes) => format!("write {} {}", file.fd, bytes.len()),
                Act::WriteAt(file, from, bytes) => format!("write {} {} at {from}", file.fd, bytes.len()),
                Act::SetLength(file, length) => format!("length {} {length}", file.fd),
                other => format!("{other:?}").chars().take(60).collect(),
            };
            let is_near = match &call.act {
                Act::WriteAt(_, from, bytes) => {
                    let from = usize::try_from(*from).unwrap();
                    (from..=from + bytes.len()).contains(&at)
                }
                _ => true,
            };
            is_near.then(|| format!("{}-{:?} {what}", call.began, call.returned))
        };
        let about = trace.calls.iter().filter(|call| call.act.paths().contains(&path));
        let about: Vec<String> = about.filter_map(|call| words(&call)).collect();
        let last = &about[about.len().saturating_sub(12)..];
        format!(
            "{}: {differ} bytes differ, from {at}, ours {:?}, found {:?}; lengths {lengths:?}; of {} lines the last calls about it: {last:?}",
            path.display(),
            ours.get(at),
            real.get(at),
            trace.times.len()
        )
    }

    /// What differs from the files that lie below its folders.
    fn differences(&self) -> Vec<PathBuf> {
        let real = Self::of(&self.roots);
        let content = |disk: &Self, path: &Path| match disk.current.get(path) {
            Some(Node::File(inode)) => Some(Some(disk.inodes[*inode].current.clone())),
            Some(Node::Dir) => Some(None),
            None => None,
        };
        let paths: BTreeSet<&PathBuf> = self.current.keys().chain(real.current.keys()).collect();
        let paths = paths.into_iter();
        paths
            .filter(|path| content(self, path) != content(&real, path))
            .cloned()
            .collect()
    }
}
