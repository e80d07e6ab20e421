//! The audit log: notes, proofs, frames, policies, evidence, and what travels between log and witnesses.

pub mod add_checkpoint;
pub mod checkpoint;
pub mod evidence;
pub mod fields;
pub mod frame;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile_path;
