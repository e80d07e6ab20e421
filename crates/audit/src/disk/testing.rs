//! Disks for tests: one whose power can be cut, and one that fails on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{DirEntry, Disk, DiskFile, DiskLock};

/// What survives a power cut is decided in pieces of this size.
pub const SECTOR: usize = 512;

/// Small deterministic random numbers (`SplitMix64`), so that a failing case can be run again by its seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit` (at least 1).
    pub const fn below(&mut self, limit: usize) -> usize {
        // usize is at most 64 bits wide, and the remainder is below it.
        #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
        let number = (self.next_u64() % limit as u64) as usize;
        number
    }
}

/// A disk in memory that keeps unsynced writes apart.
///
/// On [`power_cut`](Self::power_cut) each 512-byte sector of an unsynced write survives or not, by itself,
/// and so does each creation, move or removal of a name whose folder was not synced. Clones share the disk;
/// [`fork`](Self::fork) copies it.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    /// Raised by each crash: files opened before are dead.
    life: u64,
    inodes: Vec<Inode>,
    durable: Names,
    current: Names,
    pending: Vec<Pending>,
    locks: BTreeSet<PathBuf>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct Pending {
    change: Change,
    /// Folders still to be synced before it is durable.
    unsynced: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone)]
enum Change {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl State {
    fn change(&mut self, change: Change, dirs: &[&Path]) {
        change.apply(&mut self.current);
        let unsynced = dirs.iter().map(|dir| dir.to_path_buf()).collect();
        self.pending.push(Pending { change, unsynced });
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.current.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn need_dir(&self, dir: &Path) -> io::Result<()> {
        match self.current.get(dir) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None if dir.parent().is_none() => Ok(()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// The folder a name is in.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedDisk {
    /// An empty disk with only the folder `/`.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State::default())))
    }

    /// A separate disk in the same state, with no open files or locks.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut state = self.state().clone();
        state.locks.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    /// The process dies: open files and locks are gone, everything written is still there.
    pub fn crash(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locks.clear();
    }

    /// The power goes: as [`crash`](Self::crash), and of what was not synced only what `choose` keeps
    /// survives.
    ///
    /// `choose(n)` gives a number below `n`; it is asked once for every unsynced name (0 gone, 1 kept) and
    /// once for every sector with `n - 1` unsynced writes in it (0 as last synced, k as after the k-th
    /// write).
    pub fn power_cut(&self, choose: &mut dyn FnMut(usize) -> usize) {
        let mut state = self.state();
        let state = &mut *state;
        state.life += 1;
        state.locks.clear();
        for pending in std::mem::take(&mut state.pending) {
            if choose(2) == 1 {
                pending.change.apply(&mut state.durable);
            }
        }
        // A name in a folder that did not survive is gone with it.
        let names = state.durable.clone();
        state.durable.retain(|path, _| {
            path.ancestors()
                .skip(1)
                .all(|dir| dir.parent().is_none() || names.get(dir) == Some(&Node::Dir))
        });
        state.current.clone_from(&state.durable);
        for inode in &mut state.inodes {
            inode.cut(choose);
        }
    }

    /// All files there are now.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let file = |(path, node): (&PathBuf, &Node)| matches!(node, Node::File(_)).then(|| path.clone());
        state.current.iter().filter_map(file).collect()
    }

    /// Changes a file behind the program's back, durably.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.file(path)?;
        let inode = &mut state.inodes[inode];
        change(&mut inode.current);
        inode.durable.clone_from(&inode.current);
        inode.unsynced.clear();
        Ok(())
    }

    /// What Linux may do when a flush fails: what was not synced stays visible and counts as clean, so that
    /// no later sync writes it, and is gone after a power cut.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn forget_unsynced(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.file(path)?;
        state.inodes[inode].unsynced.clear();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, state: &State, inode: usize) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile {
            disk: self.clone(),
            inode,
            life: state.life,
        })
    }
}

impl Inode {
    fn write(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
        let end = offset + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(new);
    }

    fn cut(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        let writes = std::mem::take(&mut self.unsynced);
        let sector_of = |(offset, bytes): &(usize, Vec<u8>)| {
            let last = (offset + bytes.len()).saturating_sub(1) / SECTOR;
            if bytes.is_empty() {
                0..0
            } else {
                offset / SECTOR..last + 1
            }
        };
        let sectors: BTreeSet<usize> = writes.iter().flat_map(sector_of).collect();
        for sector in sectors {
            let touching: Vec<_> = writes
                .iter()
                .filter(|write| sector_of(write).contains(&sector))
                .collect();
            let survivors = choose(touching.len() + 1);
            for (offset, bytes) in touching.into_iter().take(survivors) {
                let start = (sector * SECTOR).max(*offset);
                let end = ((sector + 1) * SECTOR).min(offset + bytes.len());
                Self::write(&mut self.durable, start, &bytes[start - offset..end - offset]);
            }
        }
        self.current.clone_from(&self.durable);
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|dir| state.need_dir(dir).is_err())
            .collect();
        for dir in missing.into_iter().rev() {
            if state.current.contains_key(dir) {
                return Err(ErrorKind::NotADirectory.into());
            }
            state.change(Change::Add(dir.to_path_buf(), Node::Dir), &[folder(dir)]);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state();
        state.need_dir(dir)?;
        let inside = state
            .current
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(DirEntry {
                name,
                is_dir: *node == Node::Dir,
            })
        };
        Ok(inside.filter_map(entry).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.need_dir(folder(path))?;
        if state.current.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(
            Change::Add(path.to_path_buf(), Node::File(inode)),
            &[folder(path)],
        );
        Ok(self.opened(&state, inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        let inode = state.file(path)?;
        Ok(self.opened(&state, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(from)?;
        state.need_dir(folder(to))?;
        let change = Change::Rename(from.to_path_buf(), to.to_path_buf());
        state.change(change, &[folder(from), folder(to)]);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(path)?;
        state.change(Change::Remove(path.to_path_buf()), &[folder(path)]);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.need_dir(dir)?;
        let State { pending, durable, .. } = &mut *state;
        pending.retain_mut(|pending| {
            pending.unsynced.remove(dir);
            if pending.unsynced.is_empty() {
                pending.change.apply(durable);
            }
            !pending.unsynced.is_empty()
        });
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let mut state = self.state();
        state.need_dir(folder(path))?;
        if !state.locks.insert(path.to_path_buf()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(DiskLock::new(SimulatedLock {
            disk: self.clone(),
            path: path.to_path_buf(),
            life: state.life,
        }))
    }
}

struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    life: u64,
}

impl SimulatedFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("this file was open when the machine crashed"));
        }
        act(&mut state.inodes[self.inode])
    }
}

impl DiskFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|inode| Ok(inode.current.len() as u64))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.with(|inode| {
            let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
            let bytes = inode
                .current
                .get(start..)
                .and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|inode| {
            let start = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
            Inode::write(&mut inode.current, start, bytes);
            inode.unsynced.push((start, bytes.to_vec()));
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|inode| {
            for (offset, bytes) in std::mem::take(&mut inode.unsynced) {
                Inode::write(&mut inode.durable, offset, &bytes);
            }
            Ok(())
        })
    }
}

/// What was asked of a [`FailingDisk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    /// [`Disk::create_dir`].
    CreateDir,
    /// [`Disk::create`].
    Create,
    /// [`DiskFile::write_at`].
    Write,
    /// [`DiskFile::sync`].
    Sync,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::unlink`].
    Unlink,
    /// [`Disk::sync_dir`].
    SyncDir,
}

/// One change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Counted from 0 over the life of the disk.
    pub number: usize,
    /// What.
    pub kind: OpKind,
    /// On which file or folder; for a move the new name.
    pub path: PathBuf,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not done.
    Lost,
    /// Done, but reported as failed.
    Kept,
    /// Of a write only so many bytes are done; anything else is lost.
    Short(usize),
}

/// Decides the fate of an operation; may also wait, to hold the disk up.
pub type Plan = Arc<dyn Fn(&Op) -> Option<Fault> + Send + Sync>;

/// Passes everything to another disk, keeps a list of all changes, and fails those that its plan names. After
/// a failure the disk works again: that nothing more succeeds has to be the doing of the program.
#[derive(Clone)]
pub struct FailingDisk {
    inner: Arc<dyn Disk>,
    shared: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    ops: Vec<Op>,
    plan: Option<Plan>,
}

impl fmt::Debug for FailingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailingDisk")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl FailingDisk {
    /// Over another disk; fails nothing yet.
    pub fn new(inner: impl Disk) -> Self {
        Self {
            inner: Arc::new(inner),
            shared: Arc::default(),
        }
    }

    /// Fails what this plan says from now on.
    pub fn set_plan(&self, plan: impl Fn(&Op) -> Option<Fault> + Send + Sync + 'static) {
        self.record().plan = Some(Arc::new(plan));
    }

    /// Fails the operation `after` the next one (0: the next), once.
    pub fn fail_after(&self, after: usize, fault: Fault) {
        let number = self.record().ops.len() + after;
        self.set_plan(move |op| (op.number == number).then_some(fault));
    }

    /// All changes asked for so far, in order.
    pub fn ops(&self) -> Vec<Op> {
        self.record().ops.clone()
    }

    /// How many syncs of files whose path ends so were asked for.
    pub fn syncs(&self, ending: &str) -> usize {
        let matches = |op: &&Op| op.kind == OpKind::Sync && op.path.to_string_lossy().ends_with(ending);
        self.record().ops.iter().filter(matches).count()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `act` gets the number of bytes to do, `None` for all.
    fn run<T>(
        &self,
        kind: OpKind,
        path: &Path,
        act: impl FnOnce(Option<usize>) -> io::Result<T>,
    ) -> io::Result<T> {
        let (op, plan) = {
            let mut record = self.record();
            let op = Op {
                number: record.ops.len(),
                kind,
                path: path.to_path_buf(),
            };
            record.ops.push(op.clone());
            (op, record.plan.clone())
        };
        // Outside the lock: a plan may wait.
        match plan.and_then(|plan| plan(&op)) {
            None => return act(None),
            Some(Fault::Kept) => drop(act(None)?),
            Some(Fault::Short(bytes)) if kind == OpKind::Write => drop(act(Some(bytes))?),
            Some(Fault::Lost | Fault::Short(_)) => {}
        }
        Err(io::Error::other("injected failure"))
    }

    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FailingFile {
            disk: self.clone(),
            path: path.to_path_buf(),
            file,
        })
    }
}

impl Disk for FailingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.run(OpKind::CreateDir, path, |_| self.inner.create_dir(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.run(OpKind::Create, path, |_| self.inner.create(path))?;
        Ok(self.wrap(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(path, self.inner.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(OpKind::Rename, to, |_| self.inner.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.run(OpKind::Unlink, path, |_| self.inner.unlink(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(OpKind::SyncDir, dir, |_| self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.inner.lock(path)
    }
}

struct FailingFile {
    disk: FailingDisk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FailingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.run(OpKind::Write, &self.path, |some| {
            let done = some.map_or(bytes, |count| &bytes[..count.min(bytes.len())]);
            self.file.write_at(offset, done)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.run(OpKind::Sync, &self.path, |_| self.file.sync())
    }
}
