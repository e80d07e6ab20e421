//! What an entry says, how it is committed to, and how the commitment is opened.
//!
//! ```text
//! s_i = HMAC-SHA256(key = salt of the group of i, message = "f" ‖ u8 i)
//! d_i = SHA-256("f" ‖ u8 i ‖ s_i ‖ value_i)
//! C   = SHA-256("hitmachine/audit/v1\n" ‖ u8 count ‖ i_1 ‖ d_1 ‖ i_2 ‖ d_2 ‖ …)
//! leaf entry = 0x01 ‖ C
//! ```
//!
//! Encodings (integers big-endian):
//!
//! ```text
//! fields    u8 count ‖ (u8 id ‖ u16 length ‖ value)*          ids ascending
//! opening   0x01 ‖ salt_A 32 ‖ salt_B 32 ‖ fields
//! sealed B  salt_B 32 ‖ fields of group B
//! sealed A  salt_A 32 ‖ fields of group A ‖ u8 count ‖ (u8 id ‖ d 32)*    the digests of group B
//! ```
//!
//! Group A carries the digests of group B, so that it can still be checked against the leaf after the key of
//! group B is destroyed; without `salt_B` such a digest says nothing about the value.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    codec::Reader,
    hash::{Hash, leaf_hash, sha256},
};

/// First byte of the leaf entry of a payload, and of an encoded opening.
pub(crate) const PAYLOAD: u8 = 0x01;
/// First byte of the leaf entry of a public control entry.
pub(crate) const CONTROL: u8 = 0x02;
/// Longest value of one field, in bytes.
pub const MAX_VALUE: usize = 65_535;

const LABEL: &[u8] = b"hitmachine/audit/v1\n";

/// Why fields or an opening were refused. Says nothing about the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// The value is longer than [`MAX_VALUE`].
    #[error("field {0:?} is longer than 65,535 bytes")]
    TooLong(FieldId),
    /// The field is there already.
    #[error("field {0:?} is set twice")]
    Twice(FieldId),
    /// The bytes are no opening, or one in another form than ours.
    #[error("not an encoded opening")]
    Encoding,
}

impl FieldsError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "field_too_long",
            Self::Twice(_) => "field_twice",
            Self::Encoding => "opening_encoding",
        }
    }
}

/// The two halves of an entry, each with its own salt, ciphertext and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The processing log.
    A = 1,
    /// Who exactly, and in which case.
    B = 2,
}

impl Group {
    /// Both, in the order of the bytes.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// Code in the bytes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.code() == code)
    }
}

/// The fields of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldId {
    /// [`EntryKind`] u8 ‖ time in ms since 1970 u64 ‖ request id 16.
    Event = 1,
    /// OIN of the asking organisation.
    Requester,
    /// User id, role, responsible user. Group B.
    User,
    /// Processing-activity URI, purpose, legal ground, policy version.
    Ground,
    /// Case reference. Group B.
    Case,
    /// Key version u32 ‖ pseudonym 32.
    Subject,
    /// Outcome, partners asked, partners hit, reason of a refusal.
    Result,
    /// Trace id 16 ‖ span id 8 (‖ parent 8).
    Trace,
    /// SHA-256 of the request as signed by the asking node ‖ SHA-256 of the response message.
    Binding,
    /// The request as signed by the asking node: signature and bytes. Group B. Only in the first entry of a request.
    Request,
}

impl FieldId {
    /// All, ascending.
    pub const ALL: [Self; 10] = [
        Self::Event,
        Self::Requester,
        Self::User,
        Self::Ground,
        Self::Case,
        Self::Subject,
        Self::Result,
        Self::Trace,
        Self::Binding,
        Self::Request,
    ];

    /// The half of the entry this field is in.
    pub const fn group(self) -> Group {
        match self {
            Self::User | Self::Case | Self::Request => Group::B,
            _ => Group::A,
        }
    }

    /// Code in the bytes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.code() == code)
    }
}

/// What happened: the first byte of [`FieldId::Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A query was answered, about one subject.
    Lookup = 1,
    /// A query was refused.
    Denied = 2,
    /// The privacy officer searched the log.
    OfficerSearch = 3,
    /// Part of the log was exported.
    Export = 4,
    /// Nothing happened; hides how much does.
    Padding = 5,
}

impl EntryKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Lookup,
        Self::Denied,
        Self::OfficerSearch,
        Self::Export,
        Self::Padding,
    ];

    /// Code in the bytes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// The values of an entry by field: ids ascending, each at most once, values of at most [`MAX_VALUE`] bytes.
/// The bytes are committed and kept exactly as given. `Debug` shows which fields there are, never a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(FieldId, Vec<u8>)>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this field as well; the order of the calls does not matter.
    ///
    /// # Errors
    /// [`FieldsError::TooLong`], [`FieldsError::Twice`].
    pub fn with(mut self, id: FieldId, value: impl Into<Vec<u8>>) -> Result<Self, FieldsError> {
        let value = value.into();
        if value.len() > MAX_VALUE {
            return Err(FieldsError::TooLong(id));
        }
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(_) => Err(FieldsError::Twice(id)),
            Err(place) => {
                self.0.insert(place, (id, value));
                Ok(self)
            }
        }
    }

    /// The value of a field, if it is there.
    pub fn get(&self, id: FieldId) -> Option<&[u8]> {
        self.iter()
            .find_map(|(other, value)| (other == id).then_some(value))
    }

    /// All fields, ids ascending.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, &[u8])> {
        self.0.iter().map(|(id, value)| (*id, value.as_slice()))
    }

    /// Bytes of the encoding of the fields of one group.
    pub(crate) fn encoded_len(&self, group: Group) -> usize {
        1 + self.of(group).map(|(_, value)| 3 + value.len()).sum::<usize>()
    }

    fn of(&self, group: Group) -> impl Iterator<Item = (FieldId, &[u8])> {
        self.iter().filter(move |(id, _)| id.group() == group)
    }

    fn join(self, other: Self) -> Option<Self> {
        other
            .0
            .into_iter()
            .try_fold(self, |all, (id, value)| all.with(id, value).ok())
    }

    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        let mut fields = Vec::new();
        for _ in 0..input.u8()? {
            let id = FieldId::from_code(input.u8()?)?;
            if fields.last().is_some_and(|(last, _)| *last >= id) {
                return None;
            }
            let length = usize::from(input.u16()?);
            fields.push((id, input.take(length)?.to_vec()));
        }
        Some(Self(fields))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields")?;
        f.debug_list().entries(self.iter().map(|(id, _)| id)).finish()
    }
}

fn encode_fields<'a>(fields: impl Iterator<Item = (FieldId, &'a [u8])> + Clone, out: &mut Vec<u8>) {
    out.push(small(fields.clone().count()));
    for (id, value) in fields {
        out.push(id.code());
        // At most MAX_VALUE: `Fields` holds no longer value.
        out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(value);
    }
}

/// There are nine fields.
fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// 32 random bytes that hide the values of one group of one entry. Wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Salt([u8; 32]);

impl Salt {
    /// From random bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. Whoever has them can guess the values.
    pub const fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// `s_i` of the module's formula.
    fn field_salt(&self, id: FieldId) -> Zeroizing<[u8; 32]> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("32-byte HMAC key");
        mac.update(&[b'f', id.code()]);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// `d_i` of the module's formula.
    fn digest(&self, id: FieldId, value: &[u8]) -> Hash {
        sha256(&[b"f", &[id.code()], self.field_salt(id).as_slice(), value])
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(REDACTED)")
    }
}

/// The salted commitment `C` to all fields of one entry. Public: it is what mirrors see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment(Hash);

impl Commitment {
    /// `C` read from a record.
    pub const fn from_hash(hash: Hash) -> Self {
        Self(hash)
    }

    /// `C`.
    pub const fn hash(&self) -> Hash {
        self.0
    }

    /// `0x01 ‖ C`, what the leaf is the hash of.
    pub fn entry(&self) -> [u8; 33] {
        let mut entry = [PAYLOAD; 33];
        entry[1..].copy_from_slice(&self.0.0);
        entry
    }

    /// Hash of the leaf.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.entry())
    }

    /// From the digests of all fields, in any order.
    fn from_digests(mut digests: Vec<(FieldId, Hash)>) -> Self {
        digests.sort_by_key(|(id, _)| *id);
        let mut bytes = Vec::with_capacity(LABEL.len() + 1 + 33 * digests.len());
        bytes.extend(LABEL);
        bytes.push(small(digests.len()));
        for (id, digest) in digests {
            bytes.push(id.code());
            bytes.extend(digest.0);
        }
        Self(sha256(&[&bytes]))
    }
}

/// Both salts and all fields: everything that is needed to recompute the commitment. As sensitive as the
/// fields; the salts are wiped on drop, `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    salt_a: Salt,
    salt_b: Salt,
    fields: Fields,
}

impl Opening {
    /// From its parts. The salts must be fresh random bytes, one for each group of each entry.
    pub const fn new(salt_a: Salt, salt_b: Salt, fields: Fields) -> Self {
        Self {
            salt_a,
            salt_b,
            fields,
        }
    }

    /// The values.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The values, without the salts.
    pub fn into_fields(self) -> Fields {
        self.fields
    }

    /// The commitment `C`, recomputed.
    pub fn commitment(&self) -> Commitment {
        let digests = self
            .fields
            .iter()
            .map(|(id, value)| (id, self.salt(id.group()).digest(id, value)));
        Commitment::from_digests(digests.collect())
    }

    /// `0x01 ‖ salt_A ‖ salt_B ‖ fields`.
    pub fn encode(&self) -> Vec<u8> {
        let fields: usize = self.fields.iter().map(|(_, value)| 3 + value.len()).sum();
        let mut out = Vec::with_capacity(66 + fields);
        out.push(PAYLOAD);
        out.extend(self.salt_a.0);
        out.extend(self.salt_b.0);
        encode_fields(
            self.fields.0.iter().map(|(id, value)| (*id, value.as_slice())),
            &mut out,
        );
        out
    }

    /// Reads what [`encode`](Self::encode) writes and nothing else.
    ///
    /// # Errors
    /// [`FieldsError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldsError> {
        let mut input = Reader::new(bytes);
        let mut read = || {
            if input.u8()? != PAYLOAD {
                return None;
            }
            let (salt_a, salt_b) = (Salt(input.array()?), Salt(input.array()?));
            let fields = Fields::decode(&mut input)?;
            input.is_empty().then_some(Self {
                salt_a,
                salt_b,
                fields,
            })
        };
        read().ok_or(FieldsError::Encoding)
    }

    /// The plaintext that is sealed for one group.
    pub(crate) fn group_bytes(&self, group: Group) -> Zeroizing<Vec<u8>> {
        // Room for all of it at once: growing would leave copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(group_len(&self.fields, group)));
        out.extend(self.salt(group).0);
        let values = self.fields.0.iter().map(|(id, value)| (*id, value.as_slice()));
        encode_fields(values.clone().filter(|(id, _)| id.group() == group), &mut out);
        if group == Group::A {
            out.push(small(self.fields.of(Group::B).count()));
            for (id, value) in self.fields.of(Group::B) {
                out.push(id.code());
                out.extend(self.salt_b.digest(id, value).0);
            }
        }
        out
    }

    const fn salt(&self, group: Group) -> &Salt {
        match group {
            Group::A => &self.salt_a,
            Group::B => &self.salt_b,
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Bytes of [`Opening::group_bytes`].
pub(crate) fn group_len(fields: &Fields, group: Group) -> usize {
    let digests = match group {
        Group::A => 1 + 33 * fields.of(Group::B).count(),
        Group::B => 0,
    };
    32 + fields.encoded_len(group) + digests
}

/// Group A alone: its salt and fields, and the digests of group B. Proves when and which organisation, and shows
/// neither user nor case. `Debug` shows no values.
#[derive(Clone, PartialEq, Eq)]
pub struct Processing {
    salt: Salt,
    fields: Fields,
    hidden: Vec<(FieldId, Hash)>,
}

impl fmt::Debug for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Processing").field(&self.fields).finish()
    }
}

impl Processing {
    /// Without group B, of a whole opening.
    pub fn of(opening: &Opening) -> Option<Self> {
        Self::decode(&opening.group_bytes(Group::A))
    }

    /// The bytes that [`decode`](Self::decode) reads: `salt_A 32 ‖ fields ‖ u8 count ‖ (u8 id ‖ d 32)*`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.salt.0.to_vec();
        encode_fields(
            self.fields.0.iter().map(|(id, value)| (*id, value.as_slice())),
            &mut out,
        );
        out.push(small(self.hidden.len()));
        for (id, digest) in &self.hidden {
            out.push(id.code());
            out.extend(digest.0);
        }
        out
    }

    /// The fields of group A.
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Reads group A; `None` for bytes of any other form. Whether it fits a leaf, its
    /// [`commitment`](Self::commitment) says.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader::new(bytes);
        let salt = Salt(input.array()?);
        let fields = Fields::decode(&mut input)?;
        let mut hidden: Vec<(FieldId, Hash)> = Vec::new();
        for _ in 0..input.u8()? {
            let id = FieldId::from_code(input.u8()?)?;
            if id.group() != Group::B || hidden.last().is_some_and(|(last, _)| *last >= id) {
                return None;
            }
            hidden.push((id, Hash(input.array()?)));
        }
        let only_a = fields.iter().all(|(id, _)| id.group() == Group::A);
        (only_a && input.is_empty()).then_some(Self { salt, fields, hidden })
    }

    /// From this group alone.
    pub fn commitment(&self) -> Commitment {
        let own = self
            .fields
            .iter()
            .map(|(id, value)| (id, self.salt.digest(id, value)));
        Commitment::from_digests(own.chain(self.hidden.iter().copied()).collect())
    }

    #[cfg(test)]
    pub(crate) fn into_fields(self) -> Fields {
        self.fields
    }

    /// With group B as unsealed; the caller checks the commitment of the result.
    pub(crate) fn join(self, bytes: &[u8]) -> Option<Opening> {
        let mut input = Reader::new(bytes);
        let salt_b = Salt(input.array()?);
        let fields = Fields::decode(&mut input)?;
        let only_b = fields.iter().all(|(id, _)| id.group() == Group::B);
        if !only_b || !input.is_empty() {
            return None;
        }
        Some(Opening {
            salt_a: self.salt,
            salt_b,
            fields: self.fields.join(fields)?,
        })
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
