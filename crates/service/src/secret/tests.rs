use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;

const KEY: [u8; 32] = [0xa7; 32];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn key_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.key");
    SecretFile::write_new(&path, Purpose::NodeKey, 3, &KEY).unwrap();
    (folder, path)
}

fn error_of(path: &Path) -> SecretError {
    SecretFile::read(path, Purpose::NodeKey).unwrap_err()
}

#[test]
fn what_is_written_is_read_and_only_the_owner_can() {
    let (_folder, path) = key_file();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("hitmachine node-key 3 {}\n", "a7".repeat(32)));
    let (number, key) = SecretFile::read(&path, Purpose::NodeKey).unwrap();
    assert_eq!((number, *key), (3, KEY));
}

#[test]
fn a_key_is_never_overwritten() {
    let (_folder, path) = key_file();
    let again = SecretFile::write_new(&path, Purpose::NodeKey, 4, &[0; 32]);
    assert!(
        matches!(again, Err(SecretError::Io { action: "write", .. })),
        "{again:?}"
    );
    assert_eq!(SecretFile::read(&path, Purpose::NodeKey).unwrap().0, 3);
}

#[test]
fn rights_of_others_are_refused() {
    let (_folder, path) = key_file();
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o440] {
        set_mode(&path, mode);
        assert!(
            matches!(error_of(&path), SecretError::Mode { mode: found, .. } if found == mode),
            "{mode:o}"
        );
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&path, mode);
        assert!(SecretFile::read(&path, Purpose::NodeKey).is_ok(), "{mode:o}");
    }
}

#[test]
fn systemd_credentials_may_show_group_rights_if_root_owns_them() {
    let (folder, path) = key_file();
    let metadata = |mode| {
        set_mode(&path, mode);
        fs::metadata(&path).unwrap()
    };
    let owner = fs::metadata(&path).unwrap().uid();
    if owner == 0 {
        for (mode, credential, accepted) in [
            (0o440, true, true),
            (0o400, true, true),
            (0o440, false, false),
            (0o444, true, false),
            (0o460, true, false),
            (0o640, true, false),
        ] {
            let result = check_rights(&path, &metadata(mode), 1000, credential);
            assert_eq!(result.is_ok(), accepted, "{mode:o} {credential} {result:?}");
        }
    } else {
        assert!(check_rights(&path, &metadata(0o440), owner, true).is_err());
    }
    set_mode(&path, 0o400);
    let (located, credential) =
        locate_in(Path::new("credential:node.key"), Some(folder.path().to_owned())).unwrap();
    assert_eq!((located.as_path(), credential), (path.as_path(), true));
    assert!(read_located(&located, credential, MAX_KEY_FILE).is_ok());
}

#[test]
fn credential_names_stay_in_their_folder() {
    let folder = Some(PathBuf::from("/run/credentials/x"));
    for name in [
        "credential:",
        "credential:..",
        "credential:.",
        "credential:../key",
        "credential:a/b",
    ] {
        let result = locate_in(Path::new(name), folder.clone());
        assert!(
            matches!(result, Err(SecretError::CredentialName)),
            "{name}: {result:?}"
        );
    }
    let none = locate_in(Path::new("credential:key"), None);
    assert!(matches!(none, Err(SecretError::NoCredentials)));
}

#[test]
fn another_owner_is_refused() {
    let (_folder, path) = key_file();
    let me = effective_user().unwrap();
    assert_eq!(me, fs::metadata(&path).unwrap().uid(), "a new file is ours");
    // Root may give files away; everyone else sees the same through the eyes of another user.
    if me == 0 {
        chown(&path, Some(12345), None).unwrap();
        assert!(matches!(error_of(&path), SecretError::Owner { owner: 12345, .. }));
    } else {
        let result = check_rights(&path, &fs::metadata(&path).unwrap(), me + 1, false);
        assert!(matches!(result, Err(SecretError::Owner { .. })));
    }
}

#[test]
fn links_folders_and_pipes_are_refused() {
    let (folder, path) = key_file();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(error_of(&link), SecretError::NotRegular { .. }));
    assert!(matches!(error_of(folder.path()), SecretError::NotRegular { .. }));
    assert!(matches!(
        error_of(Path::new("/dev/null")),
        SecretError::NotRegular { .. }
    ));
}

#[test]
fn a_folder_open_to_everyone_is_refused_without_the_sticky_bit() {
    let (folder, path) = key_file();
    set_mode(folder.path(), 0o777);
    assert!(matches!(error_of(&path), SecretError::Folder { .. }));
    let new = SecretFile::write_new(&folder.path().join("new"), Purpose::Pepper, 0, &KEY);
    assert!(matches!(new, Err(SecretError::Folder { .. })));
    set_mode(folder.path(), 0o1777);
    assert!(SecretFile::read(&path, Purpose::NodeKey).is_ok());
    set_mode(folder.path(), 0o700);
}

#[test]
fn a_key_for_something_else_is_refused_and_named() {
    let (_folder, path) = key_file();
    let error = SecretFile::read(&path, Purpose::Pepper).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("does not hold a pepper key but a node-key key"),
        "{error}"
    );
    for purpose in Purpose::ALL {
        assert_eq!(purpose.label().parse::<Purpose>().unwrap(), purpose);
    }
}

#[test]
fn damaged_files_are_refused_and_never_quoted() {
    let (_folder, path) = key_file();
    let key = "5ec2e7".repeat(10) + "5ec2";
    let cases = [
        ("empty", String::new()),
        ("other file", format!("-----BEGIN {key}")),
        ("no purpose", "hitmachine".into()),
        ("unknown purpose", format!("hitmachine {key} 1 {key}")),
        ("no number", "hitmachine node-key".into()),
        ("key as number", format!("hitmachine node-key {key}")),
        ("negative", format!("hitmachine node-key -1 {key}")),
        ("signed", format!("hitmachine node-key +1 {key}")),
        ("too large", format!("hitmachine node-key 4294967296 {key}")),
        ("no key", "hitmachine node-key 1 ".into()),
        ("short", format!("hitmachine node-key 1 {}", &key[1..])),
        ("long", format!("hitmachine node-key 1 {key}5e")),
        (
            "not hexadecimal",
            format!("hitmachine node-key 1 {}xx", &key[2..]),
        ),
        ("two spaces", format!("hitmachine  node-key 1 {key}")),
        ("trailer", format!("hitmachine node-key 1 {key} x")),
        ("two lines", format!("hitmachine node-key 1 {key}\n{key}\n")),
        ("huge", format!("hitmachine node-key 1 {key}{}", " ".repeat(1000))),
    ];
    for (name, content) in cases {
        fs::write(&path, &content).unwrap();
        let error = error_of(&path);
        assert!(
            matches!(error, SecretError::Malformed { .. } | SecretError::Purpose { .. }),
            "{name}: {error:?}"
        );
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("5ec2"), "{name}: {shown}");
    }
    fs::write(
        &path,
        [b"hitmachine node-key 1 ".as_slice(), &[0xff; 64]].concat(),
    )
    .unwrap();
    assert!(matches!(
        error_of(&path),
        SecretError::Malformed {
            problem: "not text",
            ..
        }
    ));
    fs::write(&path, format!("hitmachine node-key 1 {key}\r\n")).unwrap();
    assert!(
        SecretFile::read(&path, Purpose::NodeKey).is_ok(),
        "an editor on Windows is no damage"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = error_of(Path::new("/nowhere/node.key"));
    assert_eq!(error.to_string(), "cannot read /nowhere/node.key");
}

#[test]
fn a_password_is_one_line_that_only_the_owner_can_read() {
    let (_folder, path) = key_file();
    for (text, expected) in [
        ("a pass word", Ok("a pass word")),
        ("geheim\n", Ok("geheim")),
        ("geheim\r\n", Ok("geheim")),
        ("", Err(())),
        ("\n", Err(())),
        ("two\nlines\n", Err(())),
    ] {
        fs::write(&path, text).unwrap();
        let found = read_text(&path);
        assert_eq!(
            found.as_ref().map(|text| text.as_str()).map_err(|_| ()),
            expected,
            "{text:?}"
        );
        if let Err(error) = found {
            assert!(matches!(error, SecretError::Malformed { .. }), "{error:?}");
        }
    }
    fs::write(&path, "geheim").unwrap();
    set_mode(&path, 0o640);
    assert!(matches!(read_text(&path), Err(SecretError::Mode { .. })));
}
