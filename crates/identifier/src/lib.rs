//! Dutch person numbers: parse, elfproef, canonical bytes. No I/O.
//!
//! Only processes that may hold a person number link this crate: the partner's node and the tools
//! around it, never the broker.
//!
//! The canonical form is part of the cryptography: two partners that spell one number differently
//! silently never match. So there is one way in per kind of field, chosen per source field:
//!
//! | field | BSN | SKN |
//! |---|---|---|
//! | text | [`Bsn::parse`]: 8 or 9 digits | [`Skn::parse`]: up to 8 digits after leading zeros |
//! | number (database, spreadsheet) | [`Bsn::from_number`] | [`Skn::from_number`] |
//! | number that became text (`12345678.0`) | [`Bsn::parse_numeric_text`] | [`Skn::parse_numeric_text`] |
//!
//! What is accepted and refused is published in `vectors/canonical.json`. No error here carries
//! the value it is about.

mod admission;
mod bsn;
mod digits;
mod elfproef;
mod free_text;
mod skn;

pub use admission::{Admission, AdmissionError, DEFAULT_TEST_PREFIXES};
pub use bsn::{Bsn, BsnError};
pub use elfproef::check_digit;
pub use free_text::contains_bsn;
pub use skn::{Skn, SknError};
