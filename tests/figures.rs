//! What measuring programs read of the machine.
#![allow(clippy::unwrap_used, reason = "a measuring program")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The most memory that a process has had so far.
pub fn peak_rss(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb: Option<f64> = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    kb.map_or("?".into(), |kb| format!("{:.0} MB", kb / 1e3))
}

/// Bytes of the files in a folder.
pub fn disk(dir: &Path) -> u64 {
    let output = Command::new("du").args(["-sb"]).arg(dir).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
