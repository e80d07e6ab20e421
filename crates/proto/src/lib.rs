//! The wire: generated code, and conversions between it and the types of `hitmachine-core`.
//!
//! Wire types stop here. Inwards is a parse that names the field that is wrong and never its value;
//! past it nothing is optional by accident. Outwards cannot fail. The files are in `proto/hitmachine/v1`.

#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("hitmachine.v1");
}

pub mod answer;
pub mod live;
pub mod notice;
pub mod officer;
pub mod query;
pub mod receipt;
pub mod registry;

/// What is wrong with a message: a stable code that names the field, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not well-formed: {0}")]
pub struct WireError(pub &'static str);

/// The most bytes of one message: a sync batch has about 40 kB, a query of 64 persons about 10 kB, an answer
/// to it with all its proofs about 150 kB.
pub const MAX_MESSAGE_BYTES: usize = 512 * 1024;

/// The most log heads that one question names: as many as the log proves.
pub use hitmachine_audit::MAX_KNOWN_SIZES;
