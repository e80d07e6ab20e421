//! Parties that do not keep to the rules: a node that lies, a hub that lies, a user who scripts the console. What each
//! gets out of it stands in `docs/threat-model.md`, with the names of these tests and of those in other suites.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "parties/hub.rs"]
mod hub;
#[path = "parties/hub_live.rs"]
mod hub_live;
#[path = "parties/liar.rs"]
mod liar;
#[path = "parties/node.rs"]
mod node;
#[path = "parties/node_live.rs"]
mod node_live;
#[path = "parties/user.rs"]
mod user;
#[path = "parties/witness.rs"]
mod witness;
