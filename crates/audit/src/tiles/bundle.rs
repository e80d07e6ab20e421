//! Entry bundles: each entry after its length as big-endian u16 (C2SP tlog-tiles v0.1.0, "Log entries").

use crate::codec::Reader;

/// Why entries are no bundle, or bytes not one of that width. Entries are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// This entry is longer than 65,535 bytes.
    #[error("entry {0} is longer than 65,535 bytes")]
    TooLong(u64),
    /// The bytes end before or in this entry.
    #[error("bundle ends before entry {0} does")]
    Truncated(u64),
    /// Bytes follow the last entry, which is this one.
    #[error("bytes follow entry {0}, the last of the bundle")]
    Trailing(u64),
}

impl BundleError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "bundle_entry_too_long",
            Self::Truncated(_) => "bundle_truncated",
            Self::Trailing(_) => "bundle_trailing",
        }
    }

    /// Number of the entry in the bundle.
    pub const fn entry(&self) -> u64 {
        match self {
            Self::TooLong(entry) | Self::Truncated(entry) | Self::Trailing(entry) => *entry,
        }
    }
}

/// The bundle of these entries.
///
/// # Errors
/// [`BundleError::TooLong`].
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    let entries = entries.iter().map(AsRef::as_ref);
    let mut bytes = Vec::with_capacity(entries.clone().map(|entry| 2 + entry.len()).sum());
    for (number, entry) in (0..).zip(entries) {
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong(number))?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle: exactly `width`, and nothing after them.
///
/// # Errors
/// [`BundleError::Truncated`] or [`BundleError::Trailing`].
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    match split_bundle(bytes, width) {
        (entries, None) => Ok(entries),
        (_, Some(error)) => Err(error),
    }
}

/// As many of the entries as there are, and what is wrong.
pub(crate) fn split_bundle(bytes: &[u8], width: u16) -> (Vec<&[u8]>, Option<BundleError>) {
    let (mut input, mut entries) = (Reader::new(bytes), Vec::new());
    for number in 0..u64::from(width) {
        let entry = input.u16().and_then(|length| input.take(usize::from(length)));
        match entry {
            Some(entry) => entries.push(entry),
            None => return (entries, Some(BundleError::Truncated(number))),
        }
    }
    let trailing = BundleError::Trailing(u64::from(width.saturating_sub(1)));
    (entries, (!input.is_empty()).then_some(trailing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_the_standard() {
        let bytes = encode_bundle(&[&b"ab"[..], b"", &[7; 256]]).unwrap();
        assert_eq!(&bytes[..8], b"\x00\x02ab\x00\x00\x01\x00");
        assert_eq!(bytes.len(), 6 + 2 + 256);
        assert_eq!(encode_bundle::<&[u8]>(&[]), Ok(Vec::new()));
        let longest = vec![1; 65_535];
        assert_eq!(encode_bundle(&[&longest]).unwrap().len(), 65_537);
        let longer = vec![1; 65_536];
        let error = encode_bundle(&[&longest, &longer]).unwrap_err();
        assert_eq!(error, BundleError::TooLong(1));
        assert_eq!((error.code(), error.entry()), ("bundle_entry_too_long", 1));
    }

    #[test]
    fn cut_off_or_with_more() {
        let bytes = encode_bundle(&["one", "", "three"]).unwrap();
        for length in 0..bytes.len() {
            let entry = [5, 7].iter().filter(|end| length >= **end).count() as u64;
            assert_eq!(
                parse_bundle(&bytes[..length], 3),
                Err(BundleError::Truncated(entry)),
                "{length}"
            );
        }
        assert_eq!(parse_bundle(&bytes, 2), Err(BundleError::Trailing(1)));
        assert_eq!(parse_bundle(&bytes, 4), Err(BundleError::Truncated(3)));
        assert_eq!(parse_bundle(b"\0", 0), Err(BundleError::Trailing(0)));
        assert_eq!(parse_bundle(b"", 0), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn round_trip(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..257)) {
            let bytes = encode_bundle(&entries).unwrap();
            let width = u16::try_from(entries.len()).unwrap();
            prop_assert_eq!(parse_bundle(&bytes, width).unwrap(), entries);
        }

        /// Foreign bytes are refused, or they are the one bundle of their entries.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(prop_oneof![4 => 0..3_u8, 1 => any::<u8>()], 0..300), width in 0..257_u16) {
            if let Ok(entries) = parse_bundle(&bytes, width) {
                prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes);
            }
        }
    }
}
