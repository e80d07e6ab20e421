//! The memory of a process, searched while it stands still.
#![expect(clippy::expect_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rustix::process::{Pid, Signal, kill_process};

/// Read at once; what lies across two pieces is found by their overlap.
const PIECE: usize = 1 << 20;
/// No needle is longer.
const LONGEST: usize = 256;

/// What is looked for, by a name that may be printed.
#[derive(Default)]
pub struct Needles(BTreeMap<String, Vec<u8>>);

impl Needles {
    /// Looks for these bytes too.
    ///
    /// # Panics
    /// If they are too few to mean anything.
    pub fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        assert!((8..LONGEST).contains(&bytes.len()), "{name} is no needle");
        assert!(self.0.insert(name.to_owned(), bytes).is_none(), "{name} twice");
    }

    /// How often each lies in the memory of this process, which stands still meanwhile.
    ///
    /// # Panics
    /// If its memory cannot be read, which takes root.
    pub fn count(&self, process: u32) -> BTreeMap<&str, usize> {
        let pid = Pid::from_raw(process.try_into().unwrap()).expect("a process");
        kill_process(pid, Signal::STOP).unwrap();
        let (counts, searched) = self.search(process);
        kill_process(pid, Signal::CONT).unwrap();
        assert!(
            searched > 1 << 20,
            "{searched} bytes could be searched: this test reads the memory of other processes, which needs root and \
             CAP_SYS_PTRACE"
        );
        counts
    }

    /// The same of a process that may end at any moment; nothing if its memory is gone already.
    ///
    /// # Panics
    /// As [`Needles::count`].
    pub fn count_if_there(&self, process: u32) -> Option<BTreeMap<&str, usize>> {
        let pid = Pid::from_raw(process.try_into().unwrap()).expect("a process");
        kill_process(pid, Signal::STOP).unwrap();
        let (counts, searched) = self.search(process);
        kill_process(pid, Signal::CONT).unwrap();
        (searched > 0).then_some(counts)
    }

    fn search(&self, process: u32) -> (BTreeMap<&str, usize>, u64) {
        // By the first two bytes, so that most places cost one look.
        let mut begins = vec![false; 1 << 16];
        for needle in self.0.values() {
            begins[usize::from(needle[0]) << 8 | usize::from(needle[1])] = true;
        }
        let mut counts: BTreeMap<&str, usize> = self.0.keys().map(|name| (name.as_str(), 0)).collect();
        // Of a process that has ended, or that this one may not read, nothing is there.
        let Ok(memory) = File::open(format!("/proc/{process}/mem")) else {
            return (counts, 0);
        };
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        let mut searched = 0_u64;
        let mut piece = vec![0; PIECE + LONGEST];
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next().unwrap(), words.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let (mut at, to) = (address(from), address(to));
            while at < to {
                let wanted = usize::try_from(to - at).unwrap().min(piece.len());
                // The kernel's own pages cannot be read.
                let Ok(read) = memory.read_at(&mut piece[..wanted], at) else {
                    break;
                };
                if read == 0 {
                    break;
                }
                let whole = read < PIECE || at + read as u64 >= to;
                let starts = if whole { read } else { PIECE };
                self.look(&piece[..read], starts, &begins, &mut counts);
                searched += starts as u64;
                at += starts as u64;
            }
        }
        (counts, searched)
    }

    fn look<'a>(
        &'a self,
        bytes: &[u8],
        starts: usize,
        begins: &[bool],
        counts: &mut BTreeMap<&'a str, usize>,
    ) {
        for (at, pair) in bytes.windows(2).enumerate().take(starts) {
            if !begins[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                continue;
            }
            for (name, needle) in &self.0 {
                if bytes[at..].starts_with(needle) {
                    *counts.entry(name.as_str()).or_default() += 1;
                }
            }
        }
    }
}
