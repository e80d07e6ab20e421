//! Text to digits, the part that all person numbers share.

use zeroize::ZeroizeOnDrop;

/// Why a text is no row of digits. Each kind of number turns this into its own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something else than a digit, or a separator that is not between digits.
    Character,
    /// No digits, or more than fit.
    Length,
}

/// Up to `MAX` ASCII digits, erased on drop.
#[derive(ZeroizeOnDrop)]
pub(crate) struct Digits<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Digits<MAX> {
    /// The ASCII digits of `text`, without white space around and without any of `separators`
    /// between digits. A wrong character outranks a wrong length: it says more.
    pub(crate) fn read(text: &str, separators: &[u8]) -> Result<Self, Fault> {
        let text = text.trim_ascii().as_bytes();
        let (Some(first), Some(last)) = (text.first(), text.last()) else {
            return Err(Fault::Length);
        };
        if !first.is_ascii_digit() || !last.is_ascii_digit() {
            return Err(Fault::Character);
        }
        let mut digits = Self {
            bytes: [0; MAX],
            len: 0,
        };
        let mut fits = true;
        for byte in text {
            if byte.is_ascii_digit() {
                match digits.bytes.get_mut(digits.len) {
                    Some(place) => {
                        *place = *byte;
                        digits.len += 1;
                    }
                    None => fits = false,
                }
            } else if !separators.contains(byte) {
                return Err(Fault::Character);
            }
        }
        if fits { Ok(digits) } else { Err(Fault::Length) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The text of a number column: what spreadsheets make of a whole number, without the `.0` they
/// write after it.
pub(crate) fn whole_number(text: &str) -> &str {
    let text = text.trim_ascii();
    text.strip_suffix(".0").unwrap_or(text)
}

/// `digits` right-aligned in `N` places, zeros in front; `None` if they do not fit.
pub(crate) fn pad<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut padded = [b'0'; N];
    padded
        .get_mut(N.checked_sub(digits.len())?..)?
        .copy_from_slice(digits);
    Some(padded)
}

/// `number` in `N` decimal places, zeros in front; `None` if it does not fit.
pub(crate) fn decimal<const N: usize>(mut number: u64) -> Option<[u8; N]> {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        // A remainder of 10 is at most 9.
        *place += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    (number == 0).then_some(digits)
}
