//! The published log: what anybody may fetch to check it, as static files (C2SP tlog-tiles v0.1.0).
//!
//! ```text
//! <dir>/checkpoint                    signed note, the only file that changes
//! <dir>/tile/entries/<N>[.p/<W>]      256 (partial: W) entries, each u16 length ‖ entry
//! <dir>/tile/<L>/<N>[.p/<W>]          256 (partial: W) hashes of 2^(8·L) leaves each
//! ```
//!
//! All of it is derived from the log and holds no personal data: an entry is a salted commitment or a public
//! control entry. [`Publisher`] writes it, [`verify_published`] checks it from these files alone.
//!
//! What holds of the folder at any moment, power cuts included: **every file that its checkpoint needs is
//! there and right.** So files come first, made durable, and the checkpoint last; a full tile is never
//! removed, a partial one only when a checkpoint is published that needs the full one.
//!
//! Left to others: serving the files, and who calls the publisher when.

mod bundle;
mod of_log;
mod path;
mod publish;
mod read;
mod source;
mod verify;

pub use bundle::{BundleError, encode_bundle, parse_bundle};
pub use path::{PathError, TilePath};
pub use publish::{Healed, PublishError, Published, Publisher};
pub use read::{Folder, LeavesError, PublishedFolder, ReadTile, leaves_from_bundles};
pub use source::{PublishSource, SourceError};
pub use verify::{
    MAX_PROBLEMS, Observer, Problem, ProblemKind, PublishedFile, Report, VerifyError, verify_published,
};

/// Name of the checkpoint in the folder.
const CHECKPOINT: &str = "checkpoint";
