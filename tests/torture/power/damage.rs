//! Files that are not what they were: flipped bits, zeroed sectors, cut off, gone, exchanged, or from before.
//!
//! A program that starts on such files answers right and has everything that it acknowledged, or it does not start, or
//! does not show, and says why. Which of them a single damage leads to is for the program to know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hitmachine_testkit::rng::Rng;

use crate::logbook;

/// Every file in a folder and those below it, by the path from there.
pub(super) fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(dir).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A folder as it was at some moments.
pub(super) struct Kept(Vec<tempfile::TempDir>);

impl Kept {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps the folder as it is now. Who works in it must have stopped.
    pub(super) fn keep(&mut self, dir: &Path) {
        self.0.push(logbook::copy(dir));
    }

    /// Puts the folder back as it was last kept.
    pub(super) fn restore(&self, dir: &Path) {
        let last = self.0.last().unwrap();
        fs::remove_dir_all(dir).unwrap();
        fs::create_dir(dir).unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(last.path().join("."))
            .arg(dir)
            .status();
        assert!(copied.unwrap().success());
    }

    /// Damages one file of the folder. What was done, and whether anything is different now.
    pub(super) fn damage(&self, dir: &Path, rng: &mut Rng) -> (&'static str, PathBuf, bool) {
        let files = files_in(dir);
        let name = files[rng.index(files.len())].clone();
        let path = dir.join(&name);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        // Places that mean something: most of a file may be zeros.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let place = if used.is_empty() {
            0
        } else {
            used[rng.index(used.len())]
        };
        let what = match rng.below(7) {
            0 | 1 if !bytes.is_empty() => {
                bytes[place] ^= 1 << rng.below(8);
                "a flipped bit"
            }
            2 if !bytes.is_empty() => {
                let sector = if rng.percent(50) { 512 } else { 4096 };
                let begin = place / sector * sector;
                let end = (begin + sector).min(bytes.len());
                bytes[begin..end].fill(0);
                "a zeroed sector"
            }
            3 if !bytes.is_empty() => {
                bytes.truncate(place);
                "a file cut off"
            }
            4 => {
                let other = &files[rng.index(files.len())];
                bytes = fs::read(dir.join(other)).unwrap();
                fs::write(dir.join(other), &before).unwrap();
                "two files exchanged"
            }
            5 => {
                let older = &self.0[rng.index(self.0.len())];
                match fs::read(older.path().join(&name)) {
                    Ok(older) => bytes = older,
                    Err(_) => bytes.clear(),
                }
                "an older file"
            }
            _ => {
                fs::remove_file(&path).unwrap();
                return ("a file gone", name, true);
            }
        };
        fs::write(&path, &bytes).unwrap();
        (what, name, bytes != before)
    }
}
