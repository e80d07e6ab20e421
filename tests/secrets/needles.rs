//! The search: many secrets, in many forms, in one pass over a text.
//!
//! Bytes are looked for in pieces of eight, so that a shortened print is found too. Base64 has no fixed form for
//! something in the middle of a longer text: depending on where it begins, its first bit falls on one of three places
//! of a group. So each of the three is looked for, without the characters at both ends that depend on the neighbours.
//!
//! The first eight bytes of every form are in one table, and every place of the text is looked up in it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Bytes are looked for in pieces of this length.
const PIECE: usize = 8;

/// What a needle is of. Nothing here ever says which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person's number.
    Bsn,
    /// What a node makes of it.
    Token,
    /// What the broker makes of that.
    Tag,
    /// Any key.
    Key,
    /// A register's own file number.
    Reference,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As it is: text, or bytes.
    Plain,
    /// `ab cd` without the space.
    HexLower,
    /// The same in capitals.
    HexUpper,
    /// `[ab, cd]`, as `{:02x?}` writes it.
    HexList,
    /// Either alphabet, at any place of a longer text.
    Base64,
    /// `[171, 205]`, as `{:?}` writes it.
    List,
    /// `[171,205]`, as JSON has it.
    JsonList,
    /// `\xab`, as byte strings are shown.
    Escaped,
}

struct Needle {
    kind: Kind,
    form: Form,
    bytes: Vec<u8>,
}

/// Everything that is looked for.
#[derive(Default)]
pub struct Needles {
    all: Vec<Needle>,
    /// By their first eight bytes.
    by_start: HashMap<u64, Vec<usize>>,
    /// One bit for each of many hashes of those: most places of a text need no look into the map.
    filter: Vec<u64>,
}

/// Bits of the filter.
const FILTER_BITS: u32 = 22;

fn start(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(first)
}

fn bit(start: u64) -> (usize, u64) {
    let hash = start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

impl Needles {
    /// This, as it is.
    pub fn add(&mut self, kind: Kind, form: Form, bytes: Vec<u8>) {
        assert!(
            bytes.len() >= 8,
            "{kind:?} {form:?} is too short to be looked for"
        );
        let begins = start(&bytes);
        self.filter.resize(1 << (FILTER_BITS - 6), 0);
        let (word, mask) = bit(begins);
        self.filter[word] |= mask;
        let same = self.by_start.entry(begins).or_default();
        if !same.iter().any(|&other| self.all[other].bytes == bytes) {
            same.push(self.all.len());
            self.all.push(Needle { kind, form, bytes });
        }
    }

    /// `bytes` in every form, as a whole.
    pub fn add_bytes(&mut self, kind: Kind, bytes: &[u8]) {
        for (form, text) in forms(bytes) {
            self.add(kind, form, text);
        }
    }

    /// Something that is no text, in pieces.
    pub fn add_secret(&mut self, kind: Kind, bytes: &[u8]) {
        assert_eq!(bytes.len() % PIECE, 0);
        for piece in bytes.chunks(PIECE) {
            self.add_bytes(kind, piece);
        }
    }

    /// What of `kinds` is in `text`, and where.
    ///
    /// In a `printed` text a BSN in plain digits counts only if no further digit, decimal or hexadecimal, touches it:
    /// nine of the digits of a hash or a request id are now and then somebody's number, by chance.
    pub fn find(&self, text: &[u8], printed: bool, kinds: &[Kind]) -> Vec<(Kind, Form, usize)> {
        let mut found = Vec::new();
        for place in 0..text.len().saturating_sub(7) {
            let begins = start(&text[place..]);
            let (word, mask) = bit(begins);
            if self.filter[word] & mask == 0 {
                continue;
            }
            for &number in self.by_start.get(&begins).into_iter().flatten() {
                let Needle { kind, form, bytes } = &self.all[number];
                if !kinds.contains(kind) || !text[place..].starts_with(bytes) {
                    continue;
                }
                let digit =
                    |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_hexdigit);
                let touched = digit(place.checked_sub(1)) || digit(Some(place + bytes.len()));
                if !(printed && *kind == Kind::Bsn && *form == Form::Plain && touched) {
                    found.push((*kind, *form, place));
                }
            }
        }
        found
    }
}

/// Every kind.
pub const ALL: [Kind; 5] = [Kind::Bsn, Kind::Token, Kind::Tag, Kind::Key, Kind::Reference];

/// The forms in which a program may write bytes.
fn forms(bytes: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let joined = |between: &str, one: &dyn Fn(&u8) -> String| {
        bytes
            .iter()
            .map(one)
            .collect::<Vec<_>>()
            .join(between)
            .into_bytes()
    };
    // Rust's own way, and that of the crate `bytes`.
    let escaped = bytes.escape_ascii().to_string();
    let as_bytes = escaped.replace("\\x00", "\\0").replace("\\'", "'");
    let mut forms = vec![
        (Form::Plain, bytes.to_vec()),
        (Form::HexLower, hex::encode(bytes).into_bytes()),
        (Form::HexUpper, hex::encode_upper(bytes).into_bytes()),
        (Form::HexList, joined(", ", &|byte| format!("{byte:02x}"))),
        (Form::List, joined(", ", &ToString::to_string)),
        (Form::JsonList, joined(",", &ToString::to_string)),
        (Form::Escaped, escaped.into_bytes()),
        (Form::Escaped, as_bytes.into_bytes()),
    ];
    for alphabet in [STANDARD, URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        for shift in 0..3 {
            // `shift` bytes before it: their bits, and at the end those that its last character shares with what
            // follows, are left out.
            let text = engine.encode([&vec![0; shift], bytes].concat());
            let (first, last) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
            forms.push((Form::Base64, text.as_bytes()[first..last].to_vec()));
        }
    }
    forms
}
