//! What each Hitmachine process needs and none owns: configuration, key files, TLS identity, the gRPC server and
//! client around it, logging, metrics, the shutdown signal and exit codes.
//!
//! Nothing here knows a person, a token or a rule; `hitmachine-core` and the programs do. Two things are left to
//! others on purpose:
//!
//! - **Hardening of the process** (`RLIMIT_CORE=0`, `PR_SET_DUMPABLE=0`, no swap) needs system calls that safe Rust
//!   does not offer, and this workspace forbids `unsafe`. The systemd unit files do it; a process started by hand
//!   does not have it.
//! - **Which certificate belongs to which partner.** [`tls`] proves that the peer holds a certificate of the
//!   configured authority and reads the OIN from it; the covenant decides what that OIN may do.
//!
//! The usual order in `main`: [`telemetry::init_logging`], [`tls::install_provider`], [`config::load`],
//! [`tls::server_config`], [`server::serve`] until [`shutdown::signal`], then an [`exit`] code.

pub mod client;
pub mod config;
pub mod console;
pub mod exit;
pub mod metrics;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod web;
