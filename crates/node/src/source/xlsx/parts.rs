//! What the parts of a spreadsheet come to, found out before a library holds any of them in memory: what the archive and
//! its parts say about their own sizes can be a lie.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use super::super::issue::SourceError;

const MIB: u64 = 1024 * 1024;
/// The most that all parts may come to when unpacked, in MiB: a full sheet of a million persons is a third of it.
const MAX_UNPACKED_MIB: u64 = 768;
/// The same for the parts that are held in memory as a whole: everything but the sheets.
const MAX_HELD_MIB: u64 = 192;
/// The part that says where the others are, and its most bytes.
const ROOT: &str = "_rels/.rels";
const MAX_ROOT: usize = 64 * 1024;
/// Where sheets are, which are read row by row and not held.
const SHEETS: &str = "xl/worksheets/";
/// The end of the name of the part with the texts of all cells.
const STRINGS: &str = "sharedstrings.xml";
/// The most texts that it may announce: the library makes room for them before it has seen the first, and a process that
/// cannot have the memory is ended.
const MAX_STRINGS: u64 = 1 << 24;

/// Unpacks everything once and throws it away.
///
/// # Errors
/// [`SourceError::TooLarge`]; [`SourceError::DamagedSpreadsheet`] for an archive that does not unpack, or says what no
/// spreadsheet says.
pub(super) fn bounded(mut file: impl Read + Seek) -> Result<(), SourceError> {
    let damaged = || SourceError::DamagedSpreadsheet;
    let mut archive = zip::ZipArchive::new(BufReader::new(&mut file)).map_err(|_| damaged())?;
    let (mut held, mut all) = (0, 0);
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|_| damaged())?;
        let name = part.name().map_err(|_| damaged())?.to_lowercase();
        let is_strings = name.ends_with(STRINGS);
        let mut watch = match name.as_str() {
            ROOT => Watch::Root(Vec::new()),
            _ if is_strings => Watch::Strings(Announced::Name(0)),
            _ => Watch::Nothing,
        };
        let left = MAX_UNPACKED_MIB * MIB - all;
        let size = io::copy(&mut part.by_ref().take(left + 1), &mut watch).map_err(|_| damaged())?;
        all += size;
        if is_strings || !name.starts_with(SHEETS) {
            held += size;
        }
        for (size, most_mib) in [(all, MAX_UNPACKED_MIB), (held, MAX_HELD_MIB)] {
            if size > most_mib * MIB {
                return Err(SourceError::TooLarge { most_mib });
            }
        }
        if let Watch::Root(text) = watch
            && !is_plain_root(&text)
        {
            return Err(damaged());
        }
    }
    drop(archive);
    file.seek(SeekFrom::Start(0)).map_err(SourceError::Read)?;
    Ok(())
}

/// Whether the workbook is anywhere but among the sheets, where it and its texts would not be counted as held. An entity
/// could hide the name of the folder; no program needs one there.
fn is_plain_root(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    !has(b"worksheets") && !has(b"&#")
}

/// Looks at the bytes of a part as they pass. An error ends the reading of the part.
enum Watch {
    /// Keeps them.
    Root(Vec<u8>),
    /// Looks how many texts are announced.
    Strings(Announced),
    Nothing,
}

/// How far the name of the attribute has come, or the number behind it.
#[derive(Clone, Copy)]
enum Announced {
    Name(usize),
    Before,
    Number(u64),
}

impl Announced {
    const NAME: &'static [u8] = b"uniqueCount";

    /// One byte more; `None` if too many texts are announced.
    fn then(self, byte: u8) -> Option<Self> {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        Some(match self {
            Self::Name(matched) if Self::NAME.get(matched) == Some(&byte) => {
                if matched + 1 == Self::NAME.len() {
                    Self::Before
                } else {
                    Self::Name(matched + 1)
                }
            }
            Self::Before if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'"' | b'\'' | b'+') => self,
            Self::Before if byte.is_ascii_digit() => Self::Number(digit),
            Self::Number(number) if byte.is_ascii_digit() => {
                let number = number * 10 + digit;
                (number <= MAX_STRINGS).then_some(Self::Number(number))?
            }
            _ => Self::Name(usize::from(byte == Self::NAME[0])),
        })
    }
}

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // In UTF-16, or between escapes of ISO-2022, letters would not be recognised; spreadsheets are UTF-8.
        let is_plain = || !bytes.iter().any(|byte| matches!(byte, 0 | 0x1b));
        match self {
            Self::Root(text) if is_plain() && text.len() + bytes.len() <= MAX_ROOT => {
                text.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Strings(announced) if is_plain() => {
                let after = bytes.iter().try_fold(*announced, |state, byte| state.then(*byte));
                *announced = after.ok_or(io::ErrorKind::InvalidData)?;
                Ok(bytes.len())
            }
            Self::Nothing => Ok(bytes.len()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announces(text: &[u8], piece: usize) -> bool {
        let mut watch = Watch::Strings(Announced::Name(0));
        text.chunks(piece).all(|piece| watch.write_all(piece).is_ok())
    }

    #[test]
    fn texts_are_counted_before_room_is_made_for_them() {
        for (text, is_fine) in [
            ("<sst count=\"9\" uniqueCount=\"16777216\">", true),
            ("<sst uniqueCount=\"16777217\">", false),
            ("<sst uniqueCount = '99999999999999999999999999'>", false),
            ("<sst uniqueCount=\"+99999999\">", false),
            ("<sst count=\"99999999\" uniqueCount=\"1\">", true),
            ("<sst uuniqueCount=\"1\" uniqueCount\n=\n\"99999999\">", false),
            ("<sst uniqueCount=\"000000000000000000000000009\">", true),
            ("<si><t>uniqueCount 12 of 99999999</t></si>", true),
            ("<sst>\u{1b}</sst>", false),
            ("<\0s\0s\0t\0", false),
        ] {
            for piece in 1..=text.len() {
                assert_eq!(announces(text.as_bytes(), piece), is_fine, "{text} {piece}");
            }
        }
    }

    #[test]
    fn the_workbook_is_not_among_the_sheets() {
        for (text, is_plain) in [
            ("<Relationship Target=\"xl/workbook.xml\"/>", true),
            ("<Relationship Target=\"xl/WorkSheets/workbook.xml\"/>", false),
            ("<Relationship Target=\"xl/work&#115;heets/a.xml\"/>", false),
            ("", true),
        ] {
            assert_eq!(is_plain_root(text.as_bytes()), is_plain, "{text}");
        }
    }
}
