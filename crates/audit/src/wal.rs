//! The segment files of the write-ahead log.
//!
//! ```text
//! wal/<yyyy-mm>/<segment number, ten digits, from 1>.seg
//! ```
//!
//! A segment is filled with zeros and made durable, name included, before its first frame, so that a commit
//! needs one flush and no new blocks. The next one is prepared on a helper thread. Frames follow each other
//! from offset 0; a frame never spans segments; a file is never used again. Every month begins a new segment.
//!
//! An erasure unlinks segments from the first one on, each durably before the next, so those that are missing
//! are a beginning. What the tree needs of them is in the published entry bundles.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use crate::{
    disk::{self, Disk, DiskFile},
    period::Period,
    replay::{Damage, End, Place, Replay},
};

mod erased;

const ENDING: &str = ".seg";

fn file_name(number: u64) -> String {
    format!("{number:010}{ENDING}")
}

fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(ENDING)?.parse().ok()?;
    (number > 0 && file_name(number) == name).then_some(number)
}

/// What reading the segments found.
pub(crate) struct Loaded {
    pub(crate) replay: Replay,
    pub(crate) segments: BTreeMap<u64, PathBuf>,
    /// The segment to go on with and where its frames end.
    tail: Option<(u64, Period, u64)>,
    pub(crate) torn: Option<TornEnd>,
}

/// A torn end that is still in its file.
pub(crate) struct TornEnd {
    pub(crate) bytes: Vec<u8>,
    path: PathBuf,
    offset: u64,
    /// What to go on with if nothing but the torn end is in the file.
    before: Option<(u64, Period, u64)>,
}

/// Why the segments cannot be read.
pub(crate) enum LoadError {
    Damaged {
        segment: u64,
        offset: u64,
        index: u64,
        damage: Damage,
    },
    Io(io::Error),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads and checks all segments, and in the place of those that an erasure unlinked the bundles in
/// `published`. Removes prepared segments that no frame ever reached, and nothing else.
pub(crate) fn load(disk: &dyn Disk, dir: &Path, published: &Path) -> Result<Loaded, LoadError> {
    let mut files = find(disk, dir)?;
    let last_used = remove_unused(disk, &mut files)?;
    let mut loaded = Loaded {
        replay: Replay::default(),
        segments: BTreeMap::new(),
        tail: None,
        torn: None,
    };
    let first = files.first_key_value().map_or(1, |(number, _)| *number);
    if first > 1 {
        erased::take(disk, published, &files, &mut loaded.replay)?;
    }
    for number in first..=last_used {
        let index = loaded.replay.front.size();
        let damaged = |offset: usize, damage| LoadError::Damaged {
            segment: number,
            offset: offset as u64,
            index,
            damage,
        };
        let mut used = Vec::new();
        let all = files.remove(&number).unwrap_or_default();
        let count = all.len();
        for (period, path) in all {
            let bytes = disk::read(disk, &path)?;
            if count > 1 && is_unused(&bytes) {
                // Prepared for another month and moved, but the power went before its old name was gone for
                // good.
                remove(disk, &path)?;
            } else {
                used.push((period, path, bytes));
            }
        }
        let Some((period, path, bytes)) = used.pop() else {
            return Err(damaged(0, Damage::Missing));
        };
        if !used.is_empty() {
            return Err(damaged(0, Damage::Twice));
        }
        let end = loaded.replay.segment(number, &bytes);
        let index = loaded.replay.front.size();
        let damaged = |offset: usize, damage| LoadError::Damaged {
            segment: number,
            offset: offset as u64,
            index,
            damage,
        };
        match end.map_err(|(offset, damage)| damaged(offset, damage))? {
            End::Clean { offset } => loaded.tail = Some((number, period, offset as u64)),
            // The next segment was used, so everything here had been flushed: this is damage.
            End::Torn { offset, error, .. } if number != last_used => {
                return Err(damaged(offset, Damage::BrokenFrame(error)));
            }
            End::Torn { offset, end, .. } => {
                let (bytes, before) = (bytes[offset..end].to_vec(), loaded.tail);
                loaded.torn = Some(TornEnd {
                    bytes,
                    path: path.clone(),
                    offset: offset as u64,
                    before,
                });
                loaded.tail = Some((number, period, offset as u64));
            }
        }
        loaded.segments.insert(number, path);
    }
    // Nobody but an erasure that the log tells of may take segments away.
    let (named, index) = loaded.replay.erasures.named();
    if named < first - 1 {
        return Err(LoadError::Damaged {
            segment: named + 1,
            offset: 0,
            index,
            damage: Damage::Missing,
        });
    }
    Ok(loaded)
}

type Files = BTreeMap<u64, Vec<(Period, PathBuf)>>;

fn find(disk: &dyn Disk, dir: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for month in disk.list(dir)? {
        let Ok(period) = month.name.parse() else { continue };
        let month = dir.join(month.name);
        disk::remove_temporary(disk, &month)?;
        // Names that a failed sync left in doubt are in doubt no longer.
        disk.sync_dir(&month)?;
        for entry in disk.list(&month)? {
            if let Some(number) = number_of(&entry.name) {
                files
                    .entry(number)
                    .or_default()
                    .push((period, month.join(entry.name)));
            }
        }
    }
    Ok(files)
}

/// Writes the last frame once more and flushes it. Its flush may have failed before this start: then the
/// system shows bytes that are not on disk and takes them for clean, so that a flush alone would not write
/// them. All frames before it were flushed with success, or it would not have been written.
fn rewrite(file: &mut dyn DiskFile, last: &Place) -> io::Result<()> {
    let length = usize::try_from(last.length).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read_at(last.offset, &mut bytes)?;
    file.write_at(last.offset, &bytes)?;
    file.sync()
}

/// Removes files of zeros behind the last one that is not, whose number is returned.
fn remove_unused(disk: &dyn Disk, files: &mut Files) -> io::Result<u64> {
    while let Some(last) = files.last_entry() {
        for (_, path) in last.get() {
            if !is_unused(&disk::read(disk, path)?) {
                return Ok(*last.key());
            }
        }
        for (_, path) in last.remove() {
            remove(disk, &path)?;
        }
    }
    Ok(0)
}

/// No frame ever reached it.
fn is_unused(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.unlink(path)?;
    disk.sync_dir(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

impl Loaded {
    /// Cuts the torn end off, durably. The caller has kept a copy.
    pub(crate) fn cut(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let Some(torn) = self.torn.take() else {
            return Ok(());
        };
        if torn.offset == 0 {
            // The first frame never got here whole: the file was never used.
            self.segments.retain(|_, path| *path != torn.path);
            self.tail = torn.before;
            return remove(disk, &torn.path);
        }
        let mut file = disk.open(&torn.path)?;
        file.write_at(torn.offset, &vec![0; torn.bytes.len()])?;
        file.sync()
    }
}

/// The segment that frames are written to, and the one after it.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_size: u64,
    current: Option<Segment>,
    spare: Option<Spare>,
    pub(crate) segments: BTreeMap<u64, PathBuf>,
}

struct Segment {
    number: u64,
    period: Period,
    file: Box<dyn DiskFile>,
    offset: u64,
    /// Bytes in the file; it never grows.
    capacity: u64,
}

impl Wal {
    /// Goes on where the loaded segments end and begins to prepare the next one.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_size: u64,
        period: Period,
        loaded: Loaded,
    ) -> io::Result<(Self, Replay)> {
        let mut current = None;
        if let Some((number, period, offset)) = loaded.tail {
            let path = loaded.segments.get(&number).ok_or(ErrorKind::NotFound)?;
            let mut file = disk.open(path)?;
            let capacity = file.size()?;
            if let Some(last) = loaded.replay.places.last().filter(|last| last.segment == number) {
                rewrite(&mut *file, last)?;
            }
            current = Some(Segment {
                number,
                period,
                file,
                offset,
                capacity,
            });
        }
        let mut wal = Self {
            disk,
            dir,
            segment_size,
            current,
            spare: None,
            segments: loaded.segments,
        };
        wal.prepare(period)?;
        Ok((wal, loaded.replay))
    }

    /// Most bytes of a frame.
    pub(crate) const fn segment_size(&self) -> u64 {
        self.segment_size
    }

    /// Makes sure that the current segment is of this month and has room, and says its number.
    pub(crate) fn place(&mut self, period: Period, length: u64) -> io::Result<u64> {
        if let Some(current) = &self.current
            && current.period == period
            && length <= current.capacity.saturating_sub(current.offset)
        {
            return Ok(current.number);
        }
        self.prepare(period)?;
        let mut spare = self.spare.take().ok_or(ErrorKind::NotFound)?;
        spare.wait()?;
        let (number, made_for) = (spare.number, spare.period);
        let path = self.move_to(period, made_for, number)?;
        let file = self.disk.open(&path)?;
        let capacity = file.size()?;
        self.segments.insert(number, path);
        self.current = Some(Segment {
            number,
            period,
            file,
            offset: 0,
            capacity,
        });
        Ok(number)
    }

    /// Writes and flushes a frame that was given its place. Returns its offset.
    pub(crate) fn append(&mut self, frame: &[u8]) -> io::Result<u64> {
        let current = self.current.as_mut().ok_or(ErrorKind::NotFound)?;
        let offset = current.offset;
        current.file.write_at(offset, frame)?;
        current.file.sync()?;
        current.offset += frame.len() as u64;
        Ok(offset)
    }

    /// Begins to prepare the next segment, unless that has begun.
    pub(crate) fn prepare(&mut self, period: Period) -> io::Result<()> {
        if self.spare.is_none() {
            let number = self.current.as_ref().map_or(1, |current| current.number + 1);
            let (disk, dir) = (Arc::clone(&self.disk), self.dir.clone());
            self.spare = Some(Spare::begin(disk, dir, period, number, self.segment_size)?);
        }
        Ok(())
    }

    /// Number of the segment that frames are written to.
    pub(crate) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.number)
    }

    /// Unlinks these segments, in this order, each durably before the next. One that is gone already is no
    /// error.
    pub(crate) fn unlink(&mut self, numbers: &[u64]) -> io::Result<()> {
        let current = self.current();
        for number in numbers.iter().filter(|number| current != Some(**number)) {
            if let Some(path) = self.segments.remove(number) {
                remove(&*self.disk, &path)?;
            }
        }
        Ok(())
    }

    /// Waits until the next segment is there.
    pub(crate) fn wait_for_spare(&mut self) -> io::Result<()> {
        self.spare.as_mut().map_or(Ok(()), Spare::wait)
    }

    /// A segment prepared last month goes to the folder of this month, before anything is in it.
    fn move_to(&self, period: Period, made_for: Period, number: u64) -> io::Result<PathBuf> {
        let name = file_name(number);
        let made = self.dir.join(made_for.to_string());
        if period == made_for {
            return Ok(made.join(name));
        }
        let month = self.dir.join(period.to_string());
        disk::make_dir(&*self.disk, &month)?;
        self.disk.rename(&made.join(&name), &month.join(&name))?;
        self.disk.sync_dir(&month)?;
        self.disk.sync_dir(&made)?;
        Ok(month.join(name))
    }
}

/// A segment that is being prepared. Dropping it waits, so that nobody writes when the log is closed.
struct Spare {
    number: u64,
    period: Period,
    state: Preparing,
}

enum Preparing {
    Running(JoinHandle<io::Result<()>>),
    Ready,
    /// For good: the file may be there without being durable.
    Failed,
}

impl Spare {
    fn begin(disk: Arc<dyn Disk>, dir: PathBuf, period: Period, number: u64, size: u64) -> io::Result<Self> {
        let fill = move || fill(&*disk, &dir, period, number, size);
        let helper = thread::Builder::new()
            .name("audit-segment".to_owned())
            .spawn(fill)?;
        Ok(Self {
            number,
            period,
            state: Preparing::Running(helper),
        })
    }

    fn wait(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, Preparing::Failed) {
            Preparing::Running(helper) => match helper.join() {
                Ok(result) => result?,
                Err(_) => return Err(io::Error::other("the helper thread panicked")),
            },
            Preparing::Ready => {}
            Preparing::Failed => return Err(io::Error::other("the next segment could not be prepared")),
        }
        self.state = Preparing::Ready;
        Ok(())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // An error is found by whoever needs the segment, and nobody does any more.
        let _ = self.wait();
    }
}

fn fill(disk: &dyn Disk, dir: &Path, period: Period, number: u64, size: u64) -> io::Result<()> {
    const CHUNK: usize = 1 << 20;
    let month = dir.join(period.to_string());
    disk::make_dir(disk, &month)?;
    let path = month.join(file_name(number));
    let temporary = month.join(format!("{}{}", file_name(number), disk::TEMPORARY));
    let mut file = disk.create(&temporary)?;
    let zeros = vec![0; usize::try_from(size).map_or(CHUNK, |size| size.min(CHUNK))];
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset).map_or(CHUNK, |left| left.min(zeros.len()));
        file.write_at(offset, &zeros[..count])?;
        offset += count as u64;
    }
    file.sync()?;
    drop(file);
    disk.rename(&temporary, &path)?;
    disk.sync_dir(&month)
}
