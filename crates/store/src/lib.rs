//! Durable storage on sled, behind the traits of `hitmachine-core`.
//!
//! - [`DurableDb`]: sled 0.34 made durable. Its `flush()` alone loses acknowledged data at a power cut,
//!   because its files are not really synced; a commit here flushes and then syncs each of them.
//! - [`SledStore`]: the broker's registrations, as [`hitmachine_core::Store`].
//! - [`HubTables`]: what else the broker must remember, in tables of small values.
//! - [`AuditIndex`]: the search index of the audit log, derived from it.
//! - [`conformance`]: what every store must pass, whichever engine.
//!
//! sled is the engine of a small installation and stays inside this crate: `deny.toml` bars it elsewhere.

pub mod audit_index;
pub mod conformance;
mod durable;
mod registrations;
mod sealed;
mod tables;
mod tree;

pub use audit_index::AuditIndex;
pub use durable::{Batch, DbError, DurableDb};
pub use registrations::SledStore;
pub use tables::{HubTables, Pair, Table, TableError};
pub use tree::{Items, Tree};
