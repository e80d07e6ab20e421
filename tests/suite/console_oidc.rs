//! Sign-in through an identity provider: one that signs real tokens and does each thing wrong in turn, and a real one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

#[path = "console_oidc/accounts.rs"]
mod accounts;
#[path = "console_oidc/away.rs"]
mod away;
#[path = "console_oidc/browser.rs"]
mod browser;
#[path = "console_oidc/faults.rs"]
mod faults;
#[path = "console_oidc/good.rs"]
mod good;
#[path = "console_oidc/replay.rs"]
mod replay;
#[path = "console_oidc/steps.rs"]
mod steps;
