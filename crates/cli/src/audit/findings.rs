//! What a verification found, for machines; `text` says it to people.

use std::path::PathBuf;
use std::time::Duration;

use hitmachine_audit::tiles::{Problem, Report};
use hitmachine_audit::{Origin, QuorumTime};
use serde_json::{Value, json};

use super::{evidence::Shown, proof::Checked};

/// Everything that was found.
pub(super) struct Findings {
    pub(super) origin: Origin,
    /// The tree; or the stable code and the text of why it could not be looked at.
    pub(super) tree: Result<Report, (&'static str, String)>,
    pub(super) witnesses: Vec<WitnessFound>,
    /// Cosignatures that make a quorum; `None` for groups of groups.
    pub(super) needed: Option<usize>,
    pub(super) quorum: QuorumTime,
    /// What is wrong with the note, if it is not a witness's line.
    pub(super) note: Option<&'static str>,
    pub(super) proofs: Vec<(PathBuf, Checked)>,
    pub(super) evidence: Vec<(PathBuf, Shown)>,
    pub(super) took: Duration,
}

/// What a witness of the policy has under the checkpoint.
pub(super) struct WitnessFound {
    pub(super) name: String,
    pub(super) cosigned: Cosigned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cosigned {
    /// At this time, in seconds since 1970.
    At(u64),
    No,
    /// There is a line in its name that does not fit.
    Wrong,
}

impl Findings {
    pub(super) fn new(origin: Origin, tree: Result<Report, (&'static str, String)>) -> Self {
        Self {
            origin,
            tree,
            witnesses: Vec::new(),
            needed: None,
            quorum: QuorumTime::Missing,
            note: None,
            proofs: Vec::new(),
            evidence: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// True if nothing at all is wrong.
    pub(super) fn is_whole(&self) -> bool {
        self.tree.as_ref().is_ok_and(Report::is_sound)
            && self.note.is_none()
            && self.quorum.holds()
            && self
                .witnesses
                .iter()
                .all(|witness| witness.cosigned != Cosigned::Wrong)
            && self.proofs.iter().all(|(_, proof)| proof.code.is_none())
            && self.evidence.iter().all(|(_, shown)| shown.is_settled())
    }

    /// The first index that is wrong in the tree; the size, if only the root is.
    pub(super) fn first_bad(&self) -> Option<u64> {
        self.tree.as_ref().ok()?.first_bad()
    }

    pub(super) fn to_json(&self) -> Value {
        let report = self.tree.as_ref().ok();
        let problem = |problem: &Problem| {
            json!({
                "file": problem.file.to_string(),
                "index": problem.index,
                "code": problem.kind.code(),
            })
        };
        let witness = |found: &WitnessFound| {
            let (code, time_s) = match found.cosigned {
                Cosigned::At(time_s) => ("cosigned", Some(time_s)),
                Cosigned::No => ("missing", None),
                Cosigned::Wrong => ("bad_cosignature", None),
            };
            json!({ "witness": found.name, "code": code, "time_s": time_s })
        };
        let since_s = match self.quorum {
            QuorumTime::Held { since_s } => Some(since_s),
            QuorumTime::NotAsked | QuorumTime::Missing => None,
        };
        let proof = |(path, proof): &(PathBuf, Checked)| json!({ "file": path, "found": proof });
        let evidence = |(path, shown): &(PathBuf, Shown)| json!({ "file": path, "found": shown.view() });
        json!({
            "whole": self.is_whole(),
            "origin": self.origin.as_str(),
            "refused": self.tree.as_ref().err().map(|(code, _)| code),
            "size": report.map(|report| report.checkpoint.size),
            "root": report.map(|report| report.checkpoint.root.to_string()),
            "checked": report.map(|report| report.checked),
            "first_bad": self.first_bad(),
            "problems": report.map(|report| report.problems.iter().map(problem).collect::<Vec<_>>()),
            "note": self.note,
            "witnesses": self.witnesses.iter().map(witness).collect::<Vec<_>>(),
            "quorum": { "needed": self.needed, "holds": self.quorum.holds(), "since_s": since_s },
            "proofs": self.proofs.iter().map(proof).collect::<Vec<_>>(),
            "evidence": self.evidence.iter().map(evidence).collect::<Vec<_>>(),
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
