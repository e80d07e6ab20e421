//! The checkpoint: what a log signs (C2SP tlog-checkpoint v1.0.0, without extension lines).

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    hash::Hash,
    note::{NoteError, Origin},
};

/// Size and root of a tree, without saying of which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree with that many leaves.
    pub root: Hash,
}

/// A head of the log called `origin`. No time and no extension lines, so signing it again gives the same
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The one log this is about.
    pub origin: Origin,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree with that many leaves.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: origin, size in decimal and base64 of the root, each ended by a newline.
    pub fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        )
    }

    /// Size and root.
    pub fn head(&self) -> Head {
        Head {
            size: self.size,
            root: self.root,
        }
    }

    /// Reads what [`to_text`](Self::to_text) writes and nothing else: one text per checkpoint.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`] for a bad origin, a size with sign or leading zero, a root that is not
    /// canonical base64 of 32 bytes, or a number of lines other than three (extension lines are not
    /// auditable, hence refused).
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let lines = text.strip_suffix('\n').ok_or(NoteError::Checkpoint)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Checkpoint);
        };
        let (Ok(origin), Some(size), Some(root)) = (origin.parse(), decimal(size), base64_hash(root)) else {
            return Err(NoteError::Checkpoint);
        };
        Ok(Self { origin, size, root })
    }
}

/// Canonical base64 of 32 bytes.
pub(crate) fn base64_hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&STANDARD.decode(text).ok()?)
}

/// One line of base64 per hash.
pub(crate) fn hash_lines(hashes: &[Hash]) -> String {
    let lines = hashes.iter().map(|hash| STANDARD.encode(hash.0) + "\n");
    lines.collect()
}

/// Digits only, no leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "hRazBc9UrKSLrFXrU1TmcUba+KE2RQlVW/yVhVQJmLY=";

    #[test]
    fn one_text_per_checkpoint() {
        let good = format!("a/b\n7\n{ROOT}\n");
        let checkpoint = Checkpoint::from_text(&good).unwrap();
        assert_eq!(checkpoint.to_text(), good);
        assert_eq!(
            checkpoint.head(),
            Head {
                size: 7,
                root: checkpoint.root
            }
        );
        for (what, text) in [
            ("no newline at the end", format!("a/b\n7\n{ROOT}")),
            ("leading zero", format!("a/b\n07\n{ROOT}\n")),
            ("plus sign", format!("a/b\n+7\n{ROOT}\n")),
            ("no size", format!("a/b\n\n{ROOT}\n")),
            (
                "size above 64 bits",
                format!("a/b\n18446744073709551616\n{ROOT}\n"),
            ),
            ("extension line", format!("a/b\n7\n{ROOT}\nmore\n")),
            ("two lines", "a/b\n7\n".to_owned()),
            ("space in origin", format!("a b\n7\n{ROOT}\n")),
            ("short root", "a/b\n7\nAAAA\n".to_owned()),
            (
                "root with loose bits",
                format!("a/b\n7\n{}\n", ROOT.replace("LY=", "LZ=")),
            ),
            (
                "root without padding",
                format!("a/b\n7\n{}\n", ROOT.trim_end_matches('=')),
            ),
        ] {
            assert_eq!(Checkpoint::from_text(&text), Err(NoteError::Checkpoint), "{what}");
        }
    }
}
