//! What a real process did to its files, call by call, as `strace` saw it.
//!
//! `strace -f -ttt -y -xx` writes a line for each system call in the order in which it saw them, with the time, the file
//! behind each descriptor and all bytes that were written, both in hexadecimal. A call during which another thread was
//! seen has two lines, `… <unfinished ...>` where it began and `<... resumed>` where it returned. The place of a line is
//! a clock that all threads share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use hitmachine_testkit::rng::Rng;

/// The calls that the recorder must see to know what is in the files.
const CALLS: &str = "trace=open,openat,creat,close,lseek,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,\
                     fallocate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,\
                     linkat,symlink,symlinkat,sendfile,copy_file_range,splice";

/// The arguments of `strace` for a recording in this file; the program comes after them.
pub(super) fn arguments(trace: &Path) -> Vec<OsString> {
    let fixed = [
        "-f",
        "-ttt",
        "-y",
        "-xx",
        "-s",
        "268435456",
        "-e",
        "signal=none",
        "-e",
        CALLS,
        "-o",
    ];
    let fixed = fixed.into_iter().map(OsString::from);
    fixed.chain([trace.as_os_str().to_owned(), "--".into()]).collect()
}

/// One system call on a file or folder.
#[derive(Debug)]
pub(super) struct Call {
    /// Line where it began.
    pub(super) began: usize,
    /// Line where it returned; none if it never did.
    pub(super) returned: Option<usize>,
    /// What it did.
    pub(super) act: Act,
}

/// What a call does. Descriptors are numbers, with the file that `strace` saw behind them.
#[derive(Debug)]
pub(super) enum Act {
    /// A descriptor for a path; `made` if it may be new, `emptied` if what was in it goes.
    Open {
        fd: u32,
        path: PathBuf,
        made: bool,
        emptied: bool,
        appends: bool,
    },
    Close(u32),
    Seek(u32, u64),
    /// At the descriptor's own place.
    Write(File, Vec<u8>),
    WriteAt(File, u64, Vec<u8>),
    SetLength(File, u64),
    Sync(File),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
    /// Anything that the recorder cannot follow.
    Unknown(String),
}

impl Act {
    /// The files and folders that it may change.
    pub(super) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Write(file, _) | Self::WriteAt(file, ..) | Self::SetLength(file, _) => vec![&file.path],
            Self::Open { path, .. } | Self::Unlink(path) | Self::MakeDir(path) | Self::RemoveDir(path) => {
                vec![path]
            }
            Self::Rename(from, to) => vec![from, to],
            Self::Close(_) | Self::Seek(..) | Self::Sync(_) | Self::Unknown(_) => vec![],
        }
    }
}

/// A descriptor and the path behind it.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) fd: u32,
    pub(super) path: PathBuf,
}

/// A trace: all calls in the order in which they returned, and the time of each line, in microseconds since 1970.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
    pub(super) times: Vec<u64>,
}

impl Trace {
    /// Reads a trace.
    pub(super) fn read(text: &[u8]) -> Self {
        let (mut calls, mut times) = (Vec::new(), Vec::new());
        let mut unfinished: BTreeMap<&[u8], (Vec<u8>, usize)> = BTreeMap::new();
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        // What the last line ends with tells whether it is whole; a killed tracer may leave a half.
        lines.pop();
        for (place, line) in lines.into_iter().enumerate() {
            let mut words = line.splitn(2, |byte| *byte == b' ');
            let (thread, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let rest = rest.trim_ascii_start();
            let space = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            let (time, call) = rest.split_at(space);
            times.push(micros(time).unwrap_or_else(|| times.last().copied().unwrap_or_default()));
            let call = call.trim_ascii_start();
            if let Some(begun) = call.strip_suffix(b" <unfinished ...>") {
                unfinished.insert(thread, (begun.to_vec(), place));
                continue;
            }
            let (text, began) = if call.starts_with(b"<... ") {
                let Some((mut text, began)) = unfinished.remove(thread) else {
                    continue;
                };
                let end = find(call, b" resumed>").map_or(call.len(), |at| at + b" resumed>".len());
                text.extend_from_slice(&call[end..]);
                (text, began)
            } else {
                (call.to_vec(), place)
            };
            // A process that is killed in a call leaves open what became of it.
            let text = text.trim_ascii_end();
            let (text, cut_off) = match text.strip_suffix(b" <detached ...>") {
                Some(text) => (text, true),
                None => (text, false),
            };
            let returned = !cut_off && !text.ends_with(b"= ?");
            if let Some(act) = act(text, returned) {
                let returned = returned.then_some(place);
                calls.push(Call { began, returned, act });
            }
        }
        for (text, began) in unfinished.into_values() {
            if let Some(act) = act(&text, false) {
                let returned = None;
                calls.push(Call { began, returned, act });
            }
        }
        Self { calls, times }
    }
}

impl Trace {
    /// A line at random, mostly one before which something was just changed below this folder, so that there is something
    /// to lose.
    pub(super) fn moment(&self, root: &Path, rng: &mut Rng) -> usize {
        let changes = self.calls.iter().filter(|call| {
            let changes = !matches!(call.act, Act::Open { made: false, .. });
            changes && call.act.paths().iter().any(|path| path.starts_with(root))
        });
        let lines: Vec<usize> = changes.filter_map(|call| call.returned).collect();
        if lines.is_empty() || rng.percent(20) {
            rng.index(self.times.len()) + 1
        } else {
            lines[rng.index(lines.len())] + 1
        }
    }
}

/// `1795350798.584916` in microseconds.
fn micros(time: &[u8]) -> Option<u64> {
    let (seconds, micros) = std::str::from_utf8(time).ok()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// What a call did. Nothing if it failed, or is about nothing on a disk.
fn act(text: &[u8], returned: bool) -> Option<Act> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let name = std::str::from_utf8(&text[..open]).ok()?;
    let arguments = &text[open + 1..];
    let (arguments, result) = if returned {
        let end = rfind(arguments, b" = ")?;
        let inside = arguments[..end].trim_ascii_end();
        (
            inside.strip_suffix(b")").unwrap_or(inside),
            Some(&arguments[end + 3..]),
        )
    } else {
        // `…, 96) = ?` of a process that was killed in it, or nothing after the last argument.
        let inside = arguments
            .strip_suffix(b"= ?")
            .unwrap_or(arguments)
            .trim_ascii_end();
        (inside.strip_suffix(b")").unwrap_or(inside), None)
    };
    let mut words = result
        .unwrap_or(b"0")
        .split(|byte| *byte == b' ' || *byte == b'<');
    let number: i64 = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    if number < 0 {
        return None;
    }
    let arguments = split(arguments);
    let count = usize::try_from(number).ok()?;
    let path = |at: usize| Some(PathBuf::from(OsString::from_vec(quoted(arguments.get(at)?)?)));
    let beside = |at: usize| {
        let path = path(at)?;
        let dir = arguments.get(at - 1).and_then(|dir| descriptor(dir));
        Some(dir.map_or(path.clone(), |dir| dir.path.join(path)))
    };
    let file = || descriptor(arguments.first()?).filter(|file| file.path.is_absolute());
    let value = |at: usize| -> Option<u64> {
        std::str::from_utf8(arguments.get(at)?.trim_ascii())
            .ok()?
            .parse()
            .ok()
    };
    let written = |mut bytes: Vec<u8>| {
        // A call that did not return may have done all of it.
        if returned {
            bytes.truncate(count);
        }
        bytes
    };
    let has = |at: usize, flag: &str| {
        arguments
            .get(at)
            .is_some_and(|flags| find(flags, flag.as_bytes()).is_some())
    };
    Some(match name {
        "openat" | "open" => {
            let (path, flags) = if name == "open" {
                (path(0)?, 1)
            } else {
                (beside(1)?, 2)
            };
            let (made, emptied) = (has(flags, "O_CREAT"), has(flags, "O_TRUNC"));
            if !returned && !made && !emptied {
                return None;
            }
            Act::Open {
                // One that did not return has no descriptor: whether it did something shows the file.
                fd: if returned {
                    u32::try_from(number).ok()?
                } else {
                    u32::MAX
                },
                path,
                made,
                emptied,
                appends: has(flags, "O_APPEND"),
            }
        }
        "close" => Act::Close(descriptor(arguments.first()?)?.fd),
        "lseek" => Act::Seek(file()?.fd, u64::try_from(number).ok()?),
        "write" => Act::Write(file()?, written(quoted(arguments.get(1)?)?)),
        "pwrite64" => Act::WriteAt(file()?, value(3)?, written(quoted(arguments.get(1)?)?)),
        "writev" => Act::Write(file()?, written(all_quoted(arguments.get(1)?))),
        "ftruncate" => Act::SetLength(file()?, value(1)?),
        "fsync" | "fdatasync" => Act::Sync(file()?),
        "rename" => Act::Rename(path(0)?, path(1)?),
        "renameat" | "renameat2" => Act::Rename(beside(1)?, beside(3)?),
        "unlink" => Act::Unlink(path(0)?),
        "unlinkat" if has(2, "AT_REMOVEDIR") => Act::RemoveDir(beside(1)?),
        "unlinkat" => Act::Unlink(beside(1)?),
        "mkdir" => Act::MakeDir(path(0)?),
        "mkdirat" => Act::MakeDir(beside(1)?),
        "rmdir" => Act::RemoveDir(path(0)?),
        _ => Act::Unknown(
            name.to_owned() + " " + &file().map_or(String::new(), |file| file.path.display().to_string()),
        ),
    })
}

fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).rposition(|window| window == part)
}

/// The arguments, at the commas that are in no text, list or descriptor.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut begin, mut depth, mut inside) = (Vec::new(), 0, 0_i32, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' => inside = !inside,
            _ if inside => {}
            b'[' | b'{' | b'<' => depth += 1,
            b']' | b'}' | b'>' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// `9<\x2f\x74>`: descriptor and path.
fn descriptor(text: &[u8]) -> Option<File> {
    let text = text.trim_ascii();
    let open = text.iter().position(|byte| *byte == b'<')?;
    let close = text.iter().rposition(|byte| *byte == b'>')?;
    let fd = match &text[..open] {
        b"AT_FDCWD" => u32::MAX,
        number => std::str::from_utf8(number).ok()?.parse().ok()?,
    };
    let path = PathBuf::from(OsString::from_vec(bytes(text.get(open + 1..close)?)));
    Some(File { fd, path })
}

/// The bytes of a text in quotation marks. Nothing if it is none, or was cut off.
fn quoted(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii().strip_prefix(b"\"")?;
    let end = text.iter().position(|byte| *byte == b'"')?;
    Some(bytes(&text[..end]))
}

/// Those of all texts in it, one after the other.
fn all_quoted(text: &[u8]) -> Vec<u8> {
    let parts = text.split(|byte| *byte == b'"').skip(1).step_by(2);
    parts.flat_map(bytes).collect()
}

/// `\x2f\x74` or plain text.
fn bytes(text: &[u8]) -> Vec<u8> {
    if !text.starts_with(b"\\x") {
        return text.to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
    let pairs = text.chunks_exact(4);
    pairs
        .map(|pair| u8::try_from(digit(pair[2]) << 4 | digit(pair[3])).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_a_kill_cut_off_is_known_and_did_not_return() {
        let text = concat!(
            "7 1.000001 pwrite64(11</d/db>, \"\\x61\\x62\", 2, 96) = 2\n",
            "7 1.000002 pwrite64(11</d/db>, \"\\x61\\x62\", 2, 98) = ?\n",
            "8 1.000003 ftruncate(11</d/db>, 8192 <unfinished ...>\n",
            "9 1.000004 write(12</d/seg>, \"\\x61\", 1 <unfinished ...>\n",
            "9 1.000005 <... write resumed>) = ?\n",
            "6 1.000006 openat(AT_FDCWD</d>, \"new\", O_RDWR|O_CREAT, 0666 <detached ...>\n",
            "7 1.000007 +++ killed by SIGKILL +++\n",
        );
        let trace = Trace::read(text.as_bytes());
        assert_eq!(trace.times.len(), 7);
        let done: Vec<_> = trace.calls.iter().map(|call| call.returned).collect();
        assert_eq!(done, [Some(0), None, None, None, None]);
        let acts: Vec<_> = trace.calls.iter().map(|call| &call.act).collect();
        assert!(matches!(acts[0], Act::WriteAt(_, 96, bytes) if bytes == b"ab"));
        assert!(matches!(acts[1], Act::WriteAt(_, 98, bytes) if bytes == b"ab"));
        assert!(matches!(acts[2], Act::Write(file, bytes) if file.fd == 12 && bytes == b"a"));
        assert!(matches!(acts[3], Act::Open { path, made: true, .. } if path == Path::new("/d/new")));
        assert!(matches!(acts[4], Act::SetLength(_, 8192)));
    }
}
