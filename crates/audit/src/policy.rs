//! Which cosignatures make a head believable: a file in the form of C2SP tlog-policy.
//!
//! ```text
//! # comment
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> <k | any | all> <name>...
//! quorum <name | none>
//! ```
//!
//! Two quorums of `k` out of `n` have at least `2k − n` witnesses in common. With `k = 1 + ⌊2n/3⌋` that is more
//! than `n/3`, so a fork needs more than `n/3` witnesses that cosign both sides:
//!
//! | witnesses `n` | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | needed `k` | 1 | 2 | 3 | 3 | 4 | 5 | 5 | 6 | 7 | 7 |
//! | may be down | 0 | 0 | 0 | 1 | 1 | 1 | 2 | 2 | 2 | 3 |

use std::{fmt, fmt::Write};

use crate::{
    cosignature::{Cosignature, Cosigned, WitnessVerifier, cosignatures},
    note::{LogVerifier, NoteError, lines::SignedNote},
};

mod parse;

/// Longest policy read. The standard asks for at least 32 logs, witnesses and groups each.
const MAX_POLICY: usize = 256 * 1024;
/// Name of the group in a generated policy.
const PARTNERS: &str = "partners";

/// A line of a policy that does not fit. Says nothing of what the line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {problem}")]
pub struct PolicyError {
    /// Counted from 1; the last line for what is missing.
    pub line: usize,
    /// What is wrong with it.
    pub problem: PolicyProblem,
}

impl PolicyError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        self.problem.code()
    }
}

/// Why a line of a policy was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// The file is longer than 256 KiB.
    TooLong,
    /// A control character other than tab and newline.
    Character,
    /// The last line has no newline: the file may be cut off.
    CutOff,
    /// Not `log`, `witness`, `group` or `quorum`.
    Keyword,
    /// Too few or too many items.
    Items,
    /// Not a verifier key of the type that is needed here.
    Key,
    /// The same public key twice among the logs or among the witnesses.
    DuplicateKey,
    /// The name `none` cannot be given.
    Reserved,
    /// The name is given already.
    DuplicateName,
    /// No witness or group of this name on a line before.
    UnknownName,
    /// The name is a member already, here or of another group.
    MemberTwice,
    /// Not `any`, `all` or a number from 1 to the number of members.
    Threshold,
    /// A second quorum line.
    SecondQuorum,
    /// No quorum line.
    NoQuorum,
}

impl PolicyProblem {
    /// Stable name for machines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "policy_too_long",
            Self::Character => "policy_character",
            Self::CutOff => "policy_cut_off",
            Self::Keyword => "policy_keyword",
            Self::Items => "policy_items",
            Self::Key => "policy_key",
            Self::DuplicateKey => "policy_duplicate_key",
            Self::Reserved => "policy_reserved_name",
            Self::DuplicateName => "policy_duplicate_name",
            Self::UnknownName => "policy_unknown_name",
            Self::MemberTwice => "policy_member_twice",
            Self::Threshold => "policy_threshold",
            Self::SecondQuorum => "policy_second_quorum",
            Self::NoQuorum => "policy_no_quorum",
        }
    }
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "file is longer than 256 KiB",
            Self::Character => "control character",
            Self::CutOff => "no newline at the end",
            Self::Keyword => "not log, witness, group or quorum",
            Self::Items => "too few or too many items",
            Self::Key => "not a verifier key for this use",
            Self::DuplicateKey => "public key is there already",
            Self::Reserved => "the name none cannot be given",
            Self::DuplicateName => "name is there already",
            Self::UnknownName => "no witness or group of this name before",
            Self::MemberTwice => "name is a member already",
            Self::Threshold => "not any, all or a number of members",
            Self::SecondQuorum => "second quorum",
            Self::NoQuorum => "no quorum",
        })
    }
}

/// Whether and since when a quorum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuorumTime {
    /// The policy asks for no cosignatures; so there is no time either.
    NotAsked,
    /// Too few cosignatures.
    Missing,
    /// The cosignatures made at this time or later are a quorum, and at no later time they are. As long as
    /// fewer than `k` clocks are wrong they cannot move it beyond what a right one says.
    Held {
        /// The time, in seconds since 1970.
        since_s: u64,
    },
}

impl QuorumTime {
    /// True unless cosignatures are missing.
    pub const fn holds(self) -> bool {
        !matches!(self, Self::Missing)
    }
}

/// A log in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    verifier: LogVerifier,
    url: Option<Vec<u8>>,
}

impl PolicyLog {
    /// Its key.
    pub const fn verifier(&self) -> &LogVerifier {
        &self.verifier
    }

    /// As written; the standard allows any bytes but spaces and control characters.
    pub fn url(&self) -> Option<&[u8]> {
        self.url.as_deref()
    }
}

/// A witness in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    verifier: WitnessVerifier,
    url: Option<Vec<u8>>,
}

impl PolicyWitness {
    /// Its key.
    pub const fn verifier(&self) -> &WitnessVerifier {
        &self.verifier
    }

    /// As written; the standard allows any bytes but spaces and control characters.
    pub fn url(&self) -> Option<&[u8]> {
        self.url.as_deref()
    }
}

/// What can be a quorum or a member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    /// Opaque bytes, as the standard says.
    name: Vec<u8>,
    rule: Rule,
    /// Is a member of a group.
    taken: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Witness(Box<PolicyWitness>),
    /// Members are nodes before this one, so there are no circles and no depth.
    Group {
        needed: usize,
        members: Vec<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    /// `quorum none`.
    NotAsked,
    Node(usize),
}

/// Logs, witnesses and the quorum. Made by [`parse`](Self::parse).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    nodes: Vec<Node>,
    quorum: Quorum,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], the first line that does not fit.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        parse::policy(file)
    }

    /// Text of a policy in which `1 + ⌊2n/3⌋` of these `n` witnesses have to cosign this log; `quorum none`
    /// without witnesses. In it each witness has the name of its key.
    ///
    /// # Errors
    /// [`PolicyError`] if the text would not be a policy: a key or a name twice, or a witness called `none` or
    /// `partners`.
    pub fn generate(log: &LogVerifier, witnesses: &[WitnessVerifier]) -> Result<String, PolicyError> {
        let mut text = format!("log {log}\n");
        if witnesses.is_empty() {
            text.push_str("quorum none\n");
        } else {
            let (n, k) = (witnesses.len(), quorum_of(witnesses.len()));
            for witness in witnesses {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "witness {} {witness}", witness.name());
            }
            let _ = write!(text, "# {k} of {n}: 1 + 2n/3, rounded down\ngroup {PARTNERS} {k}");
            for witness in witnesses {
                let _ = write!(text, " {}", witness.name());
            }
            let _ = writeln!(text, "\nquorum {PARTNERS}");
        }
        Self::parse(text.as_bytes()).map(|_| text)
    }

    /// The logs, in the order of the file.
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses, in the order of the file, also those that the quorum does not need.
    pub fn witnesses(&self) -> impl Iterator<Item = &PolicyWitness> {
        self.nodes.iter().filter_map(|node| match &node.rule {
            Rule::Witness(witness) => Some(&**witness),
            Rule::Group { .. } => None,
        })
    }

    /// How many cosignatures are a quorum: 0 for `quorum none`, 1 for a single witness, `k` for a group of
    /// witnesses. `None` for groups of groups, where it is not a matter of numbers alone.
    pub fn needed(&self) -> Option<usize> {
        let Quorum::Node(quorum) = self.quorum else {
            return Some(0);
        };
        let is_witness = |member: &usize| matches!(self.rule(*member), Some(Rule::Witness(_)));
        match self.rule(quorum)? {
            Rule::Witness(_) => Some(1),
            Rule::Group { needed, members } => members.iter().all(is_witness).then_some(*needed),
        }
    }

    /// Whether these cosignatures are a quorum, and since when. Those by witnesses that are not in the policy
    /// do not count.
    pub fn quorum_time(&self, cosignatures: &[Cosignature]) -> QuorumTime {
        let Quorum::Node(quorum) = self.quorum else {
            return QuorumTime::NotAsked;
        };
        // The time since which each node holds. A group of k holds since the k-th newest of its members.
        let mut since: Vec<Option<u64>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let time = match &node.rule {
                Rule::Witness(witness) => cosignatures
                    .iter()
                    .filter(|cosignature| *cosignature.witness() == witness.verifier)
                    .map(Cosignature::time_s)
                    .max(),
                Rule::Group { needed, members } => {
                    let times = members.iter().filter_map(|member| since.get(*member)?.as_ref());
                    let mut times: Vec<u64> = times.copied().collect();
                    times.sort_unstable_by(|a, b| b.cmp(a));
                    needed.checked_sub(1).and_then(|index| times.get(index).copied())
                }
            };
            since.push(time);
        }
        match since.get(quorum).copied().flatten() {
            Some(since_s) => QuorumTime::Held { since_s },
            None => QuorumTime::Missing,
        }
    }

    /// Opens a note signed by one of the logs and says whether it is cosigned well enough.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] if none of the logs signed it; otherwise as
    /// [`LogVerifier::open_cosigned`], which is also the way for a policy without logs. A missing quorum is
    /// no error here.
    pub fn open(&self, note: &[u8]) -> Result<(Cosigned, QuorumTime), NoteError> {
        let note = SignedNote::parse(note)?;
        let mut checkpoint = None;
        // All of them: a bad signature by any known key spoils the note.
        for log in &self.logs {
            if log.verifier.has_signed(&note)? {
                checkpoint = Some(log.verifier.open_parsed(&note)?);
            }
        }
        let checkpoint = checkpoint.ok_or(NoteError::NotSigned)?;
        let witnesses: Vec<_> = self.witnesses().map(PolicyWitness::verifier).collect();
        let cosignatures = cosignatures(&note, &witnesses)?;
        let quorum = self.quorum_time(&cosignatures);
        let cosigned = Cosigned {
            checkpoint,
            cosignatures,
        };
        Ok((cosigned, quorum))
    }

    /// The policy without comments and with single spaces; [`parse`](Self::parse) reads the same policy from
    /// it. Bytes, since names and addresses need not be UTF-8.
    pub fn to_text(&self) -> Vec<u8> {
        let mut lines: Vec<Vec<Vec<u8>>> = Vec::new();
        for log in &self.logs {
            let items = [b"log".to_vec(), log.verifier.to_string().into_bytes()];
            lines.push(items.into_iter().chain(log.url.clone()).collect());
        }
        for node in &self.nodes {
            lines.push(match &node.rule {
                Rule::Witness(witness) => {
                    let key = witness.verifier.to_string().into_bytes();
                    let items = [b"witness".to_vec(), node.name.clone(), key];
                    items.into_iter().chain(witness.url.clone()).collect()
                }
                Rule::Group { needed, members } => {
                    let items = [
                        b"group".to_vec(),
                        node.name.clone(),
                        needed.to_string().into_bytes(),
                    ];
                    items
                        .into_iter()
                        .chain(members.iter().map(|member| self.name(*member)))
                        .collect()
                }
            });
        }
        let quorum = match self.quorum {
            Quorum::NotAsked => parse::NONE.to_vec(),
            Quorum::Node(quorum) => self.name(quorum),
        };
        lines.push(vec![b"quorum".to_vec(), quorum]);
        let lines = lines
            .into_iter()
            .map(|items| [items.join(&b' '), vec![b'\n']].concat());
        lines.flatten().collect()
    }

    fn rule(&self, node: usize) -> Option<&Rule> {
        self.nodes.get(node).map(|node| &node.rule)
    }

    fn name(&self, node: usize) -> Vec<u8> {
        self.nodes
            .get(node)
            .map(|node| node.name.clone())
            .unwrap_or_default()
    }
}

/// How many of `n` witnesses have to cosign: `1 + ⌊2n/3⌋`, none of none. See the table above.
pub const fn quorum_of(n: usize) -> usize {
    match n {
        0 => 0,
        // Without 2n, which might not fit: n = 3q + r, and ⌊2n/3⌋ = 2q + ⌊2r/3⌋.
        _ => 1 + n / 3 * 2 + n % 3 * 2 / 3,
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
