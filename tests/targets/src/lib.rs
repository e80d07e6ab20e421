//! What must hold for any bytes that come from elsewhere: a function for each parser, which panics when it does not.
//!
//! The fuzzer runs them (`tests/fuzz/run`), and the test `corpora` runs each over its seeds and over small changes of
//! them, so that none rots. A target does more than not to crash: it compares with a second statement of the same rule,
//! writes again what was read, or looks for what must never be said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a target panics when it has found something"
)]

pub mod console;
pub mod covenant;
pub mod held;
pub mod log;
pub mod number;
pub mod process;
mod said;
pub mod source;
pub mod wire;

/// What is done with an input.
pub type Target = fn(&[u8]);

/// Every target: its name, and what it does. Each has a folder of seeds in `tests/fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("add_checkpoint", log::add_checkpoint::check),
    ("checkpoint", log::checkpoint::check),
    ("evidence", log::evidence::check),
    ("fields", log::fields::check),
    ("frame", log::frame::check),
    ("note", log::note::check),
    ("policy", log::policy::check),
    ("proof", log::proof::check),
    ("tile_path", log::tile_path::check),
    // Numbers of persons, and texts in which there must be none.
    ("number", number::person::check),
    ("birth_date", number::birth_date::check),
    ("free_text", number::free_text::check),
    // Files with persons.
    ("csv", source::csv::check),
    ("xlsx", source::xlsx::check),
    ("list", source::list::check),
    // The covenant.
    ("covenant", covenant::file::check),
    ("covenant_change", covenant::change::check),
    ("covenant_signed", covenant::signed::check),
    // What travels between node and hub.
    ("query", wire::query::check),
    ("answer", wire::answer::check),
    ("officer", wire::officer::check),
    ("notice", wire::notice::check),
    ("live", wire::live::check),
    ("receipt", wire::receipt::check),
    ("changes", wire::changes::check),
    // What lies on a disk.
    ("batch", held::batch::check),
    ("record", held::record::check),
    ("counters", held::counters::check),
    ("store_row", held::store_row::check),
    ("node_row", held::node_row::check),
    // What a process is given.
    ("key_file", process::key_file::check),
    ("config", process::config::check),
    ("certificate", process::certificate::check),
    ("address", process::address::check),
    ("control", process::control::check),
    ("names", process::names::check),
    ("letter", process::letter::check),
    // What a browser or another system sends to the console.
    ("form", console::form::check),
    ("next", console::next::check),
    ("upload", console::upload::check),
    ("api", console::api::check),
    ("oidc", console::oidc::check),
];
