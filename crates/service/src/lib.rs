//! What each Hitmachine process needs and none owns: configuration, key files, TLS identity, the gRPC server and
//! client around it, logging, metrics, the shutdown signal and exit codes.
//!
//! Nothing here knows a person, a token or a rule; `hitmachine-core` and the programs do. Two things are left to
//! others on purpose:
//!
//! - **Keeping keys out of swap.** The systemd unit files do it; a process started by hand does not have it. Core dumps
//!   each program forbids by itself: [`memory::keep_private`].
//! - **Which certificate belongs to which partner.** [`tls`] proves that the peer holds a certificate of the
//!   configured authority and reads the OIN from it; the covenant decides what that OIN may do.
//!
//! The usual order in `main`: [`memory::keep_private`], [`telemetry::init_logging`], [`tls::install_provider`],
//! [`config::load`], [`tls::server_config`], [`server::serve`] until [`shutdown::signal`], then an [`exit`] code.

pub mod client;
pub mod config;
pub mod console;
pub mod exit;
pub mod memory;
pub mod metrics;
pub mod network;
pub mod pages;
pub mod places;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod web;
