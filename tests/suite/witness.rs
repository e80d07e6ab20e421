//! Partners as witnesses, with real processes: a broker, nodes that serve, mutual TLS between them.
//!
//! Five partners; four make a quorum. The numbers of forks and crashes (F1, C9, …) are those of the test plan.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests: a failure is a failed test"
)]

#[path = "witness/crash.rs"]
mod crash;
#[path = "witness/fork.rs"]
mod fork;
#[path = "witness/hub.rs"]
mod hub;
#[path = "witness/injected.rs"]
mod injected;
#[path = "witness/load.rs"]
mod load;
#[path = "witness/rollback.rs"]
mod rollback;
#[path = "witness/start.rs"]
mod start;
#[path = "witness/strict.rs"]
mod strict;
