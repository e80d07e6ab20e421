//! The hub: takes registrations, answers questions, and logs each before its answer leaves.
//!
//! It never sees a name or a BSN: no crate in its dependency tree can even parse one. The rules are in
//! `hitmachine-core`, the log in `hitmachine-audit`; here they meet the network (`services`), the disk and
//! the clock (`hub`).

mod agreement;
mod alarm;
pub mod config;
pub mod control;
mod cosigned;
mod epochs;
mod erasure;
mod hub;
mod indexer;
mod ldv;
mod live;
mod metrics;
mod notice;
mod officer;
mod overview;
mod peer;
mod publication;
mod rules;
mod services;
mod start;
mod watch;
mod witness;

pub use agreement::AgreementError;
pub use config::BrokerConfig;
pub use epochs::EpochsError;
pub use indexer::IndexingError;
pub use start::{Running, StartError, check, move_store_aside, rebuild_index, run, run_in, run_reloading};
