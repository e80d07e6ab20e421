//! What lies on a disk, and comes back after who knows what.

pub mod batch;
pub mod counters;
pub mod node_row;
pub mod record;
pub mod store_row;
