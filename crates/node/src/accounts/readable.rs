//! Secrets that a person types over: 16 letters and digits in groups of four, without those that look alike.

use zeroize::Zeroizing;

use crate::state::StateError;

/// Crockford's alphabet: no `i`, `l`, `o` (nor `u`), so a `1` and a `0` are always digits. 32 of them: 5 bits each.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 80 bits.
const LENGTH: usize = 16;
const GROUP: usize = 4;

/// A random one, such as `k7pm-2x9d-hq4w-8e3t`.
pub(super) fn random() -> Result<Zeroizing<String>, StateError> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    getrandom::fill(bytes.as_mut()).map_err(|_| StateError::Random)?;
    // Made in full size at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place.is_multiple_of(GROUP) {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(text)
}

/// What somebody typed, as it was meant: without hyphens and spaces, in small letters, look-alikes read as the digits.
pub(super) fn meant(typed: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(typed.len()));
    for letter in typed
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
    {
        text.push(match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_over_is_what_was_meant() {
        let made = random().unwrap();
        assert_eq!(made.len(), 19);
        assert_eq!(made.split('-').map(str::len).collect::<Vec<_>>(), [4; 4]);
        assert!(made.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)));
        let typed = format!(
            " {} ",
            made.to_uppercase()
                .replace('-', " ")
                .replace('0', "O")
                .replace('1', "l")
        );
        assert_eq!(meant(&typed), meant(&made));
        assert_ne!(random().unwrap(), made);
    }
}
