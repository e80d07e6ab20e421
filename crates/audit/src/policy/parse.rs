//! Reading of a policy, line by line.

use std::str::FromStr;

use super::{MAX_POLICY, Node, Policy, PolicyError, PolicyLog, PolicyProblem, PolicyWitness, Quorum, Rule};
use crate::checkpoint::decimal;

/// The quorum of a policy without cosignatures.
pub(super) const NONE: &[u8] = b"none";

pub(super) fn policy(file: &[u8]) -> Result<Policy, PolicyError> {
    if file.len() > MAX_POLICY {
        return Err(PolicyError {
            line: 1,
            problem: PolicyProblem::TooLong,
        });
    }
    let mut reading = Reading::default();
    let mut count = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        count += 1;
        reading
            .line(line)
            .map_err(|problem| PolicyError { line: count, problem })?;
    }
    let quorum = reading.quorum.ok_or(PolicyError {
        line: count.max(1),
        problem: PolicyProblem::NoQuorum,
    })?;
    Ok(Policy {
        logs: reading.logs,
        nodes: reading.nodes,
        quorum,
    })
}

#[derive(Default)]
struct Reading {
    logs: Vec<PolicyLog>,
    nodes: Vec<Node>,
    quorum: Option<Quorum>,
}

impl Reading {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyProblem> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyProblem::CutOff)?;
        // 0x09, 0x20-0x7E and 0x80-0xFF ("Character set").
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(PolicyProblem::Character);
        }
        let items: Vec<&[u8]> = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|item| !item.is_empty())
            .collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, needed, members @ ..] if !members.is_empty() => {
                self.group(name, needed, members)
            }
            [b"quorum", name] => self.set_quorum(name),
            [b"log" | b"witness" | b"group" | b"quorum", ..] => Err(PolicyProblem::Items),
            _ => Err(PolicyProblem::Keyword),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyProblem> {
        let log = PolicyLog {
            verifier: vkey(key)?,
            url: url.map(<[u8]>::to_vec),
        };
        if self.logs.iter().any(|held| held.verifier.same_key(&log.verifier)) {
            return Err(PolicyProblem::DuplicateKey);
        }
        self.logs.push(log);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyProblem> {
        let witness = PolicyWitness {
            verifier: vkey(key)?,
            url: url.map(<[u8]>::to_vec),
        };
        let is_same = |node: &Node| match &node.rule {
            Rule::Witness(held) => held.verifier.same_key(&witness.verifier),
            Rule::Group { .. } => false,
        };
        if self.nodes.iter().any(is_same) {
            return Err(PolicyProblem::DuplicateKey);
        }
        self.define(name, Rule::Witness(Box::new(witness)))
    }

    fn group(&mut self, name: &[u8], needed: &[u8], names: &[&[u8]]) -> Result<(), PolicyProblem> {
        let needed = match needed {
            b"any" => 1,
            b"all" => names.len(),
            number => std::str::from_utf8(number)
                .ok()
                .and_then(decimal)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=names.len()).contains(number))
                .ok_or(PolicyProblem::Threshold)?,
        };
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = self.find(name)?;
            let node = self.nodes.get_mut(member).ok_or(PolicyProblem::UnknownName)?;
            // Each witness contributes in one way only.
            if node.taken {
                return Err(PolicyProblem::MemberTwice);
            }
            node.taken = true;
            members.push(member);
        }
        self.define(name, Rule::Group { needed, members })
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), PolicyProblem> {
        if self.quorum.is_some() {
            return Err(PolicyProblem::SecondQuorum);
        }
        self.quorum = Some(match name {
            NONE => Quorum::NotAsked,
            name => Quorum::Node(self.find(name)?),
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], rule: Rule) -> Result<(), PolicyProblem> {
        if name == NONE {
            return Err(PolicyProblem::Reserved);
        }
        if self.find(name).is_ok() {
            return Err(PolicyProblem::DuplicateName);
        }
        self.nodes.push(Node {
            name: name.to_vec(),
            rule,
            taken: false,
        });
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Result<usize, PolicyProblem> {
        let found = self.nodes.iter().position(|node| node.name == name);
        found.ok_or(PolicyProblem::UnknownName)
    }
}

fn vkey<T: FromStr>(key: &[u8]) -> Result<T, PolicyProblem> {
    let key = std::str::from_utf8(key).ok();
    key.and_then(|key| key.parse().ok()).ok_or(PolicyProblem::Key)
}
