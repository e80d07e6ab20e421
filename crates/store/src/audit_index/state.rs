//! The watermark: up to where the log is indexed, in which databases.
//!
//! The file `state` beside them, text, a line each:
//!
//! ```text
//! hitmachine/v1/audit-index
//! key <16 hex>                                            check value of K_index
//! next <n>                                                first index that is not in the index
//! part <class> <yyyy-mm> <half> <first> <last> <earliest> <latest>      for each database
//! sum <32 hex>                                            first 16 bytes of BLAKE3 of the lines above
//! ```
//!
//! It is written after the databases are synced, so it never names more than they hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use hitmachine_audit::Period;

use super::IndexError;
use super::chunk::Bounds;
use super::parts::{Half, PartId};

const LABEL: &str = "hitmachine/v1/audit-index";
const NAME: &str = "state";

/// What is in the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) next: u64,
    pub(super) parts: BTreeMap<PartId, Bounds>,
}

impl State {
    /// Reads the file in `dir`; `None` if there is none.
    pub(super) fn read(dir: &Path, key: [u8; 8]) -> Result<Option<Self>, IndexError> {
        let text = match fs::read_to_string(dir.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Not UTF-8.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(IndexError::Damaged(NAME.into()));
            }
            read => read?,
        };
        let (state, bound) = parse(&text).ok_or_else(|| IndexError::Damaged(NAME.into()))?;
        if bound != key {
            return Err(IndexError::OtherKey);
        }
        Ok(Some(state))
    }

    /// The file's text.
    pub(super) fn text(&self, key: [u8; 8]) -> String {
        let mut text = format!("{LABEL}\nkey {}\nnext {}\n", hex::encode(key), self.next);
        for (id, bounds) in &self.parts {
            text.push_str(&format!(
                "part {} {} {} {} {} {} {}\n",
                id.class,
                id.period,
                id.half.as_str(),
                bounds.first,
                bounds.last,
                bounds.earliest,
                bounds.latest
            ));
        }
        text.push_str(&format!("sum {}\n", sum(&text)));
        text
    }

    /// Writes the file in `dir` durably, whole or not at all.
    pub(super) fn write(&self, dir: &Path, key: [u8; 8]) -> io::Result<()> {
        let temporary = dir.join("state.new");
        let mut file = File::create(&temporary)?;
        file.write_all(self.text(key).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    }
}

pub(super) fn sum(text: &str) -> String {
    hex::encode(&blake3::hash(text.as_bytes()).as_bytes()[..16])
}

pub(super) fn parse(text: &str) -> Option<(State, [u8; 8])> {
    let (body, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let body = text.get(..=body.len())?;
    if last.strip_prefix("sum ")? != sum(body) {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != LABEL {
        return None;
    }
    let mut key = [0; 8];
    hex::decode_to_slice(lines.next()?.strip_prefix("key ")?, &mut key).ok()?;
    let mut state = State {
        next: lines.next()?.strip_prefix("next ")?.parse().ok()?,
        parts: BTreeMap::new(),
    };
    for line in lines {
        let mut words = line.strip_prefix("part ")?.split(' ');
        let class = words.next()?.parse().ok()?;
        let period: Period = words.next()?.parse().ok()?;
        let half = words.next()?;
        let half = Half::ALL.into_iter().find(|known| known.as_str() == half)?;
        let mut number = || words.next()?.parse().ok();
        let bounds = Bounds {
            first: number()?,
            last: number()?,
            earliest: number()?,
            latest: number()?,
        };
        let id = PartId { class, period, half };
        if words.next().is_some() || bounds.last >= state.next || state.parts.insert(id, bounds).is_some() {
            return None;
        }
    }
    Some((state, key))
}
