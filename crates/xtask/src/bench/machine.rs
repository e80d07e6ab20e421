//! The machine: what it is, how long its disk takes, and how much of it other processes take meanwhile.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The part of the processors above which other processes disturb what is measured.
pub(crate) const NOISY: f64 = 0.3;
/// Ticks of `/proc` in a second (`USER_HZ`, the same on every Linux).
const TICKS: f64 = 100.0;
/// Kernel threads are children of this process.
const KTHREADD: u32 = 2;

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) rustc: String,
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "?".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

impl Machine {
    /// With the file system that this folder is on.
    pub(crate) fn of(dir: &Path) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let total = total.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        Self {
            processor: model.map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |line| line.trim_start_matches([' ', '\t', ':']).to_owned(),
            ),
            cores: cores(),
            memory_bytes: total.unwrap_or(0) * 1024,
            kernel: said("uname", &["-sr"]),
            file_system: said("stat", &["-f", "-c", "%T", &dir.to_string_lossy()]),
            rustc: said("rustc", &["--version"]),
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How long an append of 4 KiB and its `fdatasync` take, and how busy the machine is: looked at between rounds.
pub(crate) struct Weather {
    file: Mutex<File>,
    flushes: Mutex<Vec<f64>>,
    loads: Mutex<Vec<f64>>,
}

impl Weather {
    pub(crate) fn in_folder(dir: &Path) -> Self {
        Self {
            file: Mutex::new(File::create(dir.join("flush")).unwrap()),
            flushes: Mutex::default(),
            loads: Mutex::default(),
        }
    }

    /// Looks once more.
    pub(crate) fn look(&self) {
        let mut file = self.file.lock().unwrap();
        for _ in 0..25 {
            let begun = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            self.flushes
                .lock()
                .unwrap()
                .push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = text.split(' ').next().and_then(|load| load.parse::<f64>().ok());
        self.loads.lock().unwrap().extend(load);
    }

    /// Milliseconds of a flush, at this part of all that were seen.
    pub(crate) fn flush_ms(&self, part: f64) -> f64 {
        at(&self.flushes.lock().unwrap(), part)
    }

    /// The load, at this part of all that were seen.
    pub(crate) fn load(&self, part: f64) -> f64 {
        at(&self.loads.lock().unwrap(), part)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among some thousands"
)]
fn at(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// One process, of `/proc/<id>/stat`.
struct Process {
    parent: u32,
    /// Of itself, and of those of its children that it has waited for.
    own: u64,
    children: u64,
}

fn process(id: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        children: ticks(13)? + ticks(14)?,
    })
}

/// Processor time that a process has used.
pub(crate) fn cpu(id: u32) -> Duration {
    let ticks = process(id).map_or(0, |process| process.own);
    seconds(ticks)
}

#[expect(clippy::cast_precision_loss, reason = "ticks of some hours")]
fn seconds(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / TICKS)
}

/// Ticks so far: of all processes but the kernel's own threads, and of those below these roots.
fn ticks(roots: &[u32]) -> (u64, u64) {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let processes: HashMap<u32, Process> = ids.filter_map(|id| Some((id, process(id)?))).collect();
    let is_own = |mut id: u32| {
        loop {
            if roots.contains(&id) {
                return true;
            }
            match processes.get(&id) {
                Some(process) if process.parent != 0 => id = process.parent,
                _ => return false,
            }
        }
    };
    let own = processes.iter().filter(|(id, _)| is_own(**id));
    let own = own.map(|(_, process)| process.own + process.children).sum();
    let kernel = processes
        .iter()
        .filter(|(id, process)| **id == KTHREADD || process.parent == KTHREADD);
    let kernel: u64 = kernel.map(|(_, process)| process.own).sum();
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let field = |place: usize| fields.get(place).copied().unwrap_or(0);
    // user, nice, system; and what other machines on the same hardware took.
    let busy = field(0) + field(1) + field(2) + field(7);
    (busy.saturating_sub(kernel), own)
}

/// Looks at what others do while something is measured.
pub(crate) struct Probe {
    begun: Instant,
    roots: Vec<u32>,
    busy: u64,
    own: u64,
}

impl Probe {
    /// Begins. What is below `more` (a server that is no child of ours) counts as ours too.
    pub(crate) fn begin(more: &[u32]) -> Self {
        let roots = [&[std::process::id()], more].concat();
        let (busy, own) = ticks(&roots);
        Self {
            begun: Instant::now(),
            roots,
            busy,
            own,
        }
    }

    /// The part of the processors that others took since.
    #[expect(clippy::cast_precision_loss, reason = "ticks of some minutes, and cores")]
    pub(crate) fn others(&self) -> f64 {
        let (busy, own) = ticks(&self.roots);
        let others = (busy - self.busy).saturating_sub(own.saturating_sub(self.own));
        others as f64 / TICKS / (self.begun.elapsed().as_secs_f64() * cores() as f64)
    }

    /// Whether that is too much.
    pub(crate) fn is_noisy(&self) -> bool {
        self.others() > NOISY
    }
}

/// Bytes of memory that a process has now, and the most it has had.
pub(crate) fn memory(id: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    (kib("VmRSS:"), kib("VmHWM:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_does_is_not_of_others() {
        let probe = Probe::begin(&[]);
        let before = cpu(std::process::id());
        let begun = Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(600) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let (_, own) = ticks(&[std::process::id()]);
        assert!(own > probe.own, "own ticks do not count");
        assert!(cpu(std::process::id()) > before);
        assert!((0.0..=1.5).contains(&probe.others()));
        let (now, most) = memory(std::process::id());
        assert!(now > 0 && most >= now);
    }

    #[test]
    fn what_a_child_did_is_not_of_others() {
        let probe = Probe::begin(&[]);
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let status = Command::new("sh").args(["-c", busy]).status();
        assert!(status.unwrap().success());
        let (_, own) = ticks(&[std::process::id()]);
        assert!(own > probe.own, "a child that has ended does not count");
    }

    #[test]
    fn places_among_sorted_values() {
        assert!((at(&[3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-9);
        assert!((at(&[3.0, 1.0, 2.0], 0.99) - 3.0).abs() < 1e-9);
    }
}
