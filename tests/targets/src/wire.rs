//! What travels between nodes and hub. What is parsed is written again, and reads the same; where the bytes were the
//! canonical ones, they are the same, too.

pub mod answer;
pub mod changes;
pub mod live;
pub mod notice;
pub mod officer;
pub mod query;
pub mod receipt;

use prost::Message;

/// A message, if these bytes are exactly those that a program would write for it: no unknown fields, no default written
/// out, no field out of its order.
fn canonical<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes)
        .ok()
        .filter(|message| message.encode_to_vec() == bytes)
}

/// Nothing around it that a parser takes off.
fn trimmed(text: &str) -> bool {
    text.trim() == text
}
