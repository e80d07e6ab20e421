//! Key files and passwords: of one purpose each, written again the same, and no error with a part of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hitmachine_service::secret::{Purpose, SecretFile, SecretText, read_text};

/// Fewest characters of a file that an error may not hold in a row.
const PART: usize = 12;

/// The target.
pub fn check(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    fs::write(&path, input).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let held: Vec<_> = Purpose::ALL
        .into_iter()
        .filter_map(|purpose| match SecretFile::read(&path, purpose) {
            Ok((number, key)) => Some((purpose, number, key)),
            Err(error) => {
                says_nothing(&format!("{error} {error:?}"), input, &path);
                None
            }
        })
        .collect();
    assert!(held.len() <= 1, "a key is for one purpose");
    for (purpose, number, key) in held {
        let again = folder.path().join("again");
        SecretFile::write_new(&again, purpose, number, &key).unwrap();
        let read = SecretFile::read(&again, purpose).unwrap();
        assert!(read.0 == number && read.1 == key);
        let written = fs::read_to_string(&again).unwrap();
        let text = std::str::from_utf8(input).unwrap();
        // Leading zeros of the number and capital digits of the key are all that may differ, beside the end.
        let plain = |text: &str| text.trim_end().to_ascii_lowercase().replace(" 0", " ");
        assert_eq!(
            plain(&written).split(' ').next_back(),
            plain(text).split(' ').next_back()
        );
    }
    match read_text(&path) {
        Ok(text) => {
            assert!(!text.is_empty() && !text.contains('\n'));
            assert!(input.starts_with(text.as_bytes()) && input.len() <= text.len() + 2);
        }
        Err(error) => says_nothing(&error.to_string(), input, &path),
    }
    if let Ok(text) = SecretText::read(&path) {
        assert!(text.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

fn says_nothing(said: &str, input: &[u8], path: &Path) {
    let said = said.replace(path.to_str().unwrap(), "");
    let parts = input
        .windows(PART)
        .filter_map(|part| std::str::from_utf8(part).ok());
    for part in parts.filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        assert!(!said.contains(part), "a part of the file in {said}");
    }
}
