//! Exported proofs: each by itself, and against the log in the folder.

use std::io;

use hitmachine_audit::{Hash, LogVerifier, Opening, Policy, Processing, TlogProof, leaf_hash};
use serde::Serialize;

use super::place::{Place, Tree};

/// First byte of `extra`: a whole opening ([`Opening::encode`] begins with it).
const OPENING: u8 = 0x01;
/// First byte of `extra`: a public control entry, as it is in the log.
const CONTROL: u8 = 0x02;
/// First byte of `extra`: [`Processing::encode`] follows.
const PROCESSING: u8 = 0x03;

/// What a proof shows of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shows {
    /// All fields.
    Everything,
    /// Without user and case.
    Processing,
    /// A public entry of the log itself.
    Public,
    /// Only that there is an entry.
    Existence,
}

/// What was found about a proof.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Checked {
    /// Index of the entry, from 0; none if the file is no proof.
    pub(super) index: Option<u64>,
    /// Entries of the checkpoint in it, if that is the log's.
    pub(super) size: Option<u64>,
    pub(super) shows: Option<Shows>,
    /// Stable code of what is wrong; none if the proof holds.
    pub(super) code: Option<&'static str>,
}

/// Checks that the entry is at its index in a tree that the log signed, and that this tree is the beginning of the
/// one in the folder.
///
/// # Errors
/// If tiles cannot be read; whatever is wrong with the proof is in the answer.
pub(super) fn check(
    file: &[u8],
    log: &LogVerifier,
    policy: &Policy,
    tree: &mut Tree<'_>,
) -> io::Result<Checked> {
    let mut checked = Checked::default();
    checked.code = holds(file, log, policy, tree, &mut checked)?.err();
    Ok(checked)
}

fn holds(
    file: &[u8],
    log: &LogVerifier,
    policy: &Policy,
    tree: &mut Tree<'_>,
    checked: &mut Checked,
) -> io::Result<Result<(), &'static str>> {
    let proof = match TlogProof::parse(file) {
        Ok(proof) => proof,
        Err(error) => return Ok(Err(error.code())),
    };
    checked.index = Some(proof.index);
    let (shows, leaf) = match &proof.extra {
        Some(extra) => match leaf_of(extra) {
            Some(shown) => shown,
            None => return Ok(Err("opening_encoding")),
        },
        None => match tree.leaf(proof.index)? {
            Some(leaf) => (Shows::Existence, leaf),
            None => return Ok(Err("no_entry")),
        },
    };
    checked.shows = Some(shows);
    let checkpoint = match proof.verify(log, &leaf) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(Err(error.code())),
    };
    checked.size = Some(checkpoint.size);
    // A cosignature by a known witness must fit here too. How many there are does not matter: the tree is the
    // beginning of one that has its own.
    if let Err(error) = policy.open(&proof.checkpoint) {
        return Ok(Err(error.code()));
    }
    Ok(code_of(tree.place(checkpoint.head())?))
}

/// Code of a head that is not on the log.
pub(super) fn code_of(place: Place) -> Result<(), &'static str> {
    match place {
        Place::OnLog => Ok(()),
        Place::OffLog => Err("off_log"),
        Place::Beyond => Err("beyond_copy"),
    }
}

/// The leaf that `extra` is the preimage of; `None` if it is of no form of ours.
fn leaf_of(extra: &[u8]) -> Option<(Shows, Hash)> {
    match extra.split_first()? {
        (&OPENING, _) => {
            let opening = Opening::decode(extra).ok()?;
            Some((Shows::Everything, opening.commitment().leaf_hash()))
        }
        (&CONTROL, _) => Some((Shows::Public, leaf_hash(extra))),
        (&PROCESSING, rest) => {
            let processing = Processing::decode(rest)?;
            Some((Shows::Processing, processing.commitment().leaf_hash()))
        }
        _ => None,
    }
}
