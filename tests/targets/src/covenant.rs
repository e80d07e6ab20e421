//! The covenant: its file, what changed between two, and who signed it.

pub mod change;
pub mod file;
pub mod signed;

/// A whole covenant, of made-up organisations.
const SAMPLE: &str = include_str!("../../../deploy/covenant.toml");
