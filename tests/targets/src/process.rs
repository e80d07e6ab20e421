//! What a process is given: keys, configuration, certificates, addresses, requests over its own socket, templates.

pub mod address;
pub mod certificate;
pub mod config;
pub mod control;
pub mod key_file;
pub mod letter;
pub mod names;
