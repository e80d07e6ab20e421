//! A checksum before each value: one that was changed or moved is noticed.
//!
//! The checksum is the first 16 bytes of BLAKE3 over `"hitmachine/v1/store" ‖ 0x00 ‖ tree ‖ 0x00 ‖ key length u32 ‖
//! key ‖ value`, integers big-endian.

fn checksum(tree: &str, key: &[u8], value: &[u8]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    hash.update(b"hitmachine/v1/store\0")
        .update(tree.as_bytes())
        .update(&[0]);
    // A key is a few dozen bytes.
    hash.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes())
        .update(key)
        .update(value);
    let mut sum = [0; 16];
    sum.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    sum
}

/// The checksum, and the value after it.
pub(crate) fn sealed(tree: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = checksum(tree, key, value).to_vec();
    sealed.extend_from_slice(value);
    sealed
}

/// The value, if its checksum is right.
pub(crate) fn opened<'a>(tree: &str, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, value) = sealed.split_at_checked(16)?;
    (sum == checksum(tree, key, value)).then_some(value)
}
