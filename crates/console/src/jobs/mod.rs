//! What pages and API have the node do. Each job takes the role it needs.

pub mod accounts;
pub mod admin;
pub mod ask;
pub mod log_check;
pub mod notice;
pub mod officer;
pub mod review;
pub mod screening;
