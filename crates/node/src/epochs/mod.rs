//! Key epochs at a node: which keys it holds, what the hub says of their epochs, and a register for each.
//!
//! A node holds the key of the present epoch and, once it has been handed over, that of the next. What each may be used
//! for is the hub's word: asked is in the epoch that the hub calls active, registered in that one and in one that is
//! being filled. A question has tokens of one epoch only.

mod keys;
mod registers;

pub use keys::{EpochStatus, HeldKey, Keys};
pub(crate) use registers::{EpochRegister, Registers};
