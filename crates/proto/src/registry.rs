//! Packed changes of a sync batch: 38 bytes each.

use hitmachine_core::registry::{Change, MAX_CHANGES};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, Token};

use crate::WireError;

const CHANGE: usize = 38;
const WITHDRAW: u8 = 0;

/// Packs changes for a `SyncBatch`.
pub fn pack(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(changes.len() * CHANGE);
    for change in changes {
        let (class, until) = change
            .registration
            .map_or((WITHDRAW, 0), |(class, day)| (class.code(), day.0));
        bytes.push(change.identifier.code());
        bytes.extend_from_slice(change.token.expose_secret());
        bytes.push(class);
        bytes.extend_from_slice(&until.to_be_bytes());
    }
    bytes
}

/// Reads what [`pack`] wrote.
///
/// # Errors
/// [`WireError`] on a length that does not fit, more than 1,024 changes, or an unknown type or class.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Change>, WireError> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(CHANGE) || bytes.len() / CHANGE > MAX_CHANGES {
        return Err(WireError("changes_length"));
    }
    bytes
        .chunks_exact(CHANGE)
        .map(|record| {
            let mut token = [0; 32];
            token.copy_from_slice(&record[1..33]);
            let until = u32::from_be_bytes([record[34], record[35], record[36], record[37]]);
            let registration = match record[33] {
                WITHDRAW => None,
                code => Some((
                    SubjectClass::from_code(code).ok_or(WireError("class"))?,
                    Day(until),
                )),
            };
            Ok(Change {
                identifier: IdentifierType::try_from(record[0]).map_err(|_| WireError("identifier_type"))?,
                token: Token::from_bytes(token),
                registration,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_pack_and_unpack() {
        let changes = [
            Change {
                identifier: IdentifierType::Bsn,
                token: Token::from_bytes([7; 32]),
                registration: Some((SubjectClass::Adult, Day(20_778))),
            },
            Change {
                identifier: IdentifierType::Skn,
                token: Token::from_bytes([8; 32]),
                registration: None,
            },
        ];
        let bytes = pack(&changes);
        assert_eq!(pack(&unpack(&bytes).unwrap()), bytes);
        assert_eq!(unpack(&[]).unwrap_err(), WireError("changes_length"));
        assert_eq!(unpack(&bytes[..75]).unwrap_err(), WireError("changes_length"));
        assert_eq!(
            unpack(&vec![1; CHANGE * 1025]).unwrap_err(),
            WireError("changes_length")
        );
        for (place, field) in [(0, "identifier_type"), (33, "class")] {
            let mut wrong = bytes.clone();
            wrong[place] = 200;
            assert_eq!(unpack(&wrong).unwrap_err(), WireError(field));
        }
    }
}
