//! The partner's agent: keeps its organisation's register in step at the hub, and asks.
//!
//! It is the only place where a person number exists. What leaves it are tokens; what it shows has been proven to be
//! in the hub's log first.
//!
//! - [`source`] reads the organisation's own files; [`sync`] sends the difference; [`state`] remembers, encrypted.
//! - [`ask`] asks one question and verifies the answer; [`screen`] asks about a list of households.
//! - [`notice`] keeps what the hub says of hits in this register.
//! - [`live`] answers questions at this node, for an organisation that does not hand over its register.
//! - [`ask`] asks one question and verifies the answer; [`screening`] asks about a list of households, and
//!   [`screen`] shows what came of it.
//! - [`notification`] keeps who must be told that one asked about them.
//! - [`officer`] is for the privacy officer: searching, showing and checking the hub's log.
//! - [`accounts`]: who may sign in at the console, whose pages are in `hitmachine-console`.
//! - [`control`] lets the command line speak to a node that is running ([`serve`]).

pub mod accounts;
mod agreements;
mod alarm;
pub mod ask;
pub mod asking;
pub mod canary;
pub mod chart;
pub mod config;
pub mod control;
pub mod covenant_view;
pub mod epochs;
pub mod failure;
#[doc(hidden)]
pub mod fuzz;
mod heads;
pub mod health;
mod html;
mod journal;
pub mod language;
mod link;
pub mod live;
mod node;
pub mod notice;
pub mod notification;
pub mod officer;
mod register;
pub mod screen;
pub mod screening;
pub mod serve;
pub mod source;
pub mod spreadsheet;
pub mod state;
pub mod sync;
pub mod sync_book;
pub mod view;
mod witness;

pub use agreements::{Agreements, PastCovenant};
pub use alarm::Alarm;
pub use config::NodeConfig;
pub use heads::BackingError;
pub use link::{Link, LinkError, Own};
pub use node::{Node, OpenError, Surroundings};
