//! What entries are found by, keyed blind.

use hitmachine_core::PurposeCode;
use hitmachine_core::record::{DecodedRecord, Outcome};
use hitmachine_core::{CaseReference, Oin, UserId};
use hitmachine_pseudonym::Token;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::IndexRow;
use super::chunk::Entry;

/// What a term is about: first byte of its postings' keys, and of what is keyed blind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Request = 1,
    Trace = 2,
    Token = 3,
    Case = 4,
    User = 5,
    Requester = 6,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Request,
        Self::Trace,
        Self::Token,
        Self::Case,
        Self::User,
        Self::Requester,
    ];
}

/// 16 bytes that entries are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term {
    pub(super) kind: Kind,
    pub(super) value: [u8; 16],
}

/// `K_index`: `blind(kind, value) = HMAC-SHA256(K_index, kind u8 ‖ value)[..16]`; kind 0 is the key check value.
/// Without the key, nobody who reads the index can test a guess. Not printed.
pub(super) struct BlindKey(Hmac<Sha256>);

impl BlindKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        // A key shorter than the hash's block is filled up with zeros (RFC 2104 §2).
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(key);
        Self(Hmac::new((&*block).into()))
    }

    pub(super) fn check_value(&self) -> [u8; 8] {
        let mut check = [0; 8];
        check.copy_from_slice(&self.mac(0, b"")[..8]);
        check
    }

    pub(super) fn token(&self, token: &Token) -> Term {
        self.term(Kind::Token, token.expose_secret())
    }

    pub(super) fn user(&self, user: &UserId) -> Term {
        self.term(Kind::User, user.as_str().as_bytes())
    }

    pub(super) fn case(&self, case: &CaseReference) -> Term {
        self.term(Kind::Case, case.as_str().as_bytes())
    }

    pub(super) fn requester(&self, requester: &Oin) -> Term {
        self.term(Kind::Requester, requester.as_str().as_bytes())
    }

    fn term(&self, kind: Kind, value: &[u8]) -> Term {
        let mut blind = [0; 16];
        blind.copy_from_slice(&self.mac(kind as u8, value)[..16]);
        Term { kind, value: blind }
    }

    fn mac(&self, kind: u8, value: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(&[kind]);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// What goes into `processing`, and into `people` if there is anything.
    pub(super) fn entries(&self, row: &IndexRow) -> (Entry, Option<Entry>) {
        let IndexRow { index, time_ms, .. } = *row;
        let (processing, terms) = self.processing(time_ms, &row.record);
        let processing = Entry {
            index,
            time_ms,
            row: processing,
            terms,
        };
        let user = row.record.user.as_ref().map(|user| self.user(&user.id));
        let case = row.record.case.as_ref().map(|case| self.case(case));
        let terms: Vec<Term> = user.into_iter().chain(case).collect();
        let people = (!terms.is_empty()).then(|| Entry {
            index,
            time_ms,
            row: people_row(&terms),
            terms,
        });
        (processing, people)
    }

    fn processing(&self, time_ms: u64, record: &DecodedRecord) -> (Vec<u8>, Vec<Term>) {
        let raw = |kind, value: [u8; 16]| Term { kind, value };
        let request = record.request.map_or([0; 16], |request| *request.as_bytes());
        let purpose = record
            .ground
            .as_ref()
            .map_or("", |ground| ground.purpose.as_str());
        let mut row = Vec::with_capacity(112);
        row.extend_from_slice(&time_ms.to_be_bytes());
        row.push(record.outcome().code());
        row.extend_from_slice(record.requester.as_str().as_bytes());
        // A purpose has at most 32 characters.
        row.push(u8::try_from(purpose.len()).unwrap_or(u8::MAX));
        row.extend_from_slice(purpose.as_bytes());
        row.extend_from_slice(&request);
        row.extend_from_slice(&record.trace.trace);
        let mut terms = vec![self.requester(&record.requester)];
        let ids = [(Kind::Request, request), (Kind::Trace, record.trace.trace)];
        terms.extend(
            ids.into_iter()
                .filter(|(_, id)| *id != [0; 16])
                .map(|(kind, id)| raw(kind, id)),
        );
        // One for each type of identifier: at most four.
        for (_, token) in record.subject.iter().flat_map(|(_, subject)| &subject.tokens) {
            let token = self.token(token);
            row.extend_from_slice(&token.value);
            terms.push(token);
        }
        (row, terms)
    }
}

/// A row of `processing`: time ms u64 ‖ outcome u8 ‖ OIN 20 ‖ u8 length ‖ purpose ‖ request id 16 ‖ trace id 16 ‖
/// blind tokens, 16 each. No purpose has length 0, and ids that are not known are zeros.
#[derive(Clone, Copy)]
pub(super) struct ProcessingRow<'a> {
    pub(super) time_ms: u64,
    pub(super) outcome: Outcome,
    pub(super) requester: &'a str,
    pub(super) purpose: &'a str,
    /// Bytes of outcome, requester and purpose: what is counted by.
    pub(super) counted: &'a [u8],
    request: &'a [u8],
    trace: &'a [u8],
    tokens: &'a [u8],
}

impl<'a> ProcessingRow<'a> {
    pub(super) fn parse(row: &'a [u8]) -> Option<Self> {
        let (time_ms, rest) = row.split_first_chunk()?;
        let length = rest.get(21).copied().map(usize::from)?;
        let (counted, ids) = rest.split_at_checked(22 + length)?;
        let (request, ids) = ids.split_at_checked(16)?;
        let (trace, tokens) = ids.split_at_checked(16)?;
        if tokens.len() % 16 != 0 {
            return None;
        }
        Some(Self {
            time_ms: u64::from_be_bytes(*time_ms),
            outcome: Outcome::from_code(*counted.first()?)?,
            requester: std::str::from_utf8(counted.get(1..21)?).ok()?,
            purpose: std::str::from_utf8(counted.get(22..)?).ok()?,
            counted,
            request,
            trace,
            tokens,
        })
    }

    /// Whether the entry has this term. Zeros are no id: they have no postings either.
    pub(super) fn has(&self, term: &Term) -> bool {
        let is_id = term.value != [0; 16];
        match term.kind {
            Kind::Request => is_id && self.request == term.value,
            Kind::Trace => is_id && self.trace == term.value,
            Kind::Token => self.tokens.chunks_exact(16).any(|token| token == term.value),
            Kind::Case | Kind::User | Kind::Requester => false,
        }
    }
}

/// Organisation, purpose and outcome of [`ProcessingRow::counted`].
pub(super) fn counted(bytes: &[u8]) -> Option<(Oin, Option<PurposeCode>, Outcome)> {
    let outcome = Outcome::from_code(*bytes.first()?)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let requester = text(bytes.get(1..21)?)?.parse().ok()?;
    let purpose = match text(bytes.get(22..)?)? {
        "" => None,
        code => Some(code.parse().ok()?),
    };
    Some((requester, purpose, outcome))
}

/// A row of `people`: (kind u8 ‖ blind 16)*.
fn people_row(terms: &[Term]) -> Vec<u8> {
    let mut row = Vec::with_capacity(34);
    for term in terms {
        row.push(term.kind as u8);
        row.extend_from_slice(&term.value);
    }
    row
}

/// Whether a row of `people` has this term.
pub(super) fn people_has(row: &[u8], term: &Term) -> bool {
    row.chunks_exact(17).any(|known| {
        known
            .split_first()
            .is_some_and(|(kind, value)| *kind == term.kind as u8 && value == term.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another implementation. What is keyed says what it is: a case and a user of one name differ.
    #[test]
    fn blind_terms_have_these_bytes() {
        let key = BlindKey::new(&[42; 32]);
        for (term, expected) in [
            (
                key.token(&Token::from_bytes([0x5a; 32])),
                "6cf696dd0ed174d6318707e40689974b",
            ),
            (
                key.case(&"ZK-2026-1".parse().unwrap()),
                "8c46705674f8cda8e77d78849979645b",
            ),
            (
                key.user(&"ZK-2026-1".parse().unwrap()),
                "177a2c21dbbbe9cc484539ef081b88fe",
            ),
            (
                key.requester(&"00000099000000001000".parse().unwrap()),
                "6065e0d1ad3adf17e8cd7c3d228d93f9",
            ),
        ] {
            assert_eq!(hex::encode(term.value), expected, "{:?}", term.kind);
        }
        assert_eq!(hex::encode(key.check_value()), "42a1774d9896b943");
    }

    #[test]
    fn rows_of_another_form_are_none() {
        let row = [
            &[0; 8][..],
            &[1],
            b"00000099000000001000",
            &[3],
            b"abc",
            &[7; 16],
            &[8; 16],
            &[9; 32],
        ]
        .concat();
        assert!(ProcessingRow::parse(&row).is_some_and(|row| row.purpose == "abc" && row.tokens.len() == 32));
        for length in (0..row.len()).filter(|length| ![65, 81].contains(length)) {
            assert!(ProcessingRow::parse(&row[..length]).is_none(), "{length}");
        }
        for (place, byte) in [(8, 6), (9, 0xff), (29, 90), (30, 0xff)] {
            let mut bad = row.clone();
            bad[place] = byte;
            assert!(ProcessingRow::parse(&bad).is_none(), "{place}");
        }
    }
}
