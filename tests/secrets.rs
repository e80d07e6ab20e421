//! What is secret about an installation, and the search for it in whatever programs print, log, count or leave behind.

mod known;
mod needles;

use std::collections::BTreeMap;
use std::process::Output;

pub use known::{Secrets, files};
pub use needles::{ALL, Form, Kind, Needles};

/// Everything that was printed, by whom.
#[derive(Default)]
pub struct Printed(pub BTreeMap<String, Vec<u8>>);

impl Printed {
    /// `name` printed this, and nothing else.
    pub fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        let (name, bytes) = (name.into(), bytes.into());
        let twice = self.0.insert(name.clone(), bytes);
        assert!(twice.is_none(), "{name} twice");
    }

    /// What a program that ended has printed.
    pub fn add_output(&mut self, name: &str, output: &Output) {
        self.add(format!("{name}, standard output"), output.stdout.clone());
        self.add(format!("{name}, standard error"), output.stderr.clone());
    }

    /// What `name` printed, as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.0[name]).into_owned()
    }
}
