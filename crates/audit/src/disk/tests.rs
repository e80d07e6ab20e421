use super::{testing::*, *};

/// What every disk must do, on both.
fn behaves(disk: &dyn Disk, root: &Path) {
    let dir = root.join("a/b");
    disk.create_dir(&dir).unwrap();
    disk.create_dir(&dir).unwrap();
    let path = dir.join("file");
    let mut file = disk.create(&path).unwrap();
    assert_eq!(
        disk.create(&path).map(drop).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    file.write_at(3, b"xyz").unwrap();
    file.write_at(0, b"ab").unwrap();
    file.sync().unwrap();
    assert_eq!(file.size().unwrap(), 6);
    let mut buffer = [9; 2];
    file.read_at(4, &mut buffer).unwrap();
    assert_eq!(&buffer, b"yz");
    assert_eq!(
        file.read_at(5, &mut buffer).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
    assert_eq!(read(disk, &path).unwrap(), b"ab\0xyz");

    put(disk, &dir, "whole", b"1").unwrap();
    put(disk, &dir, "whole", b"2").unwrap();
    assert_eq!(read(disk, &dir.join("whole")).unwrap(), b"2");
    disk.rename(&path, &dir.join("moved")).unwrap();
    file.write_at(0, b"A").unwrap();
    assert_eq!(
        read(disk, &dir.join("moved")).unwrap(),
        b"Ab\0xyz",
        "an open file moves along"
    );
    assert_eq!(
        disk.open(&path).map(drop).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    disk.create_dir(&dir.join("sub")).unwrap();
    disk.create(&dir.join("left.tmp")).unwrap();
    remove_temporary(disk, &dir).unwrap();
    let mut names = disk.list(&dir).unwrap();
    names.sort();
    let names: Vec<_> = names
        .iter()
        .map(|entry| (entry.name.as_str(), entry.is_dir))
        .collect();
    assert_eq!(names, [("moved", false), ("sub", true), ("whole", false)]);
    disk.sync_dir(&dir).unwrap();
    disk.unlink(&dir.join("moved")).unwrap();
    assert_eq!(
        disk.unlink(&dir.join("moved")).unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let lock = disk.lock(&dir.join("lock")).unwrap();
    assert_eq!(
        disk.lock(&dir.join("lock")).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(lock);
    disk.lock(&dir.join("lock")).unwrap();
}

#[test]
fn both_disks_behave_alike() {
    let temporary = tempfile::tempdir().unwrap();
    behaves(&RealDisk, temporary.path());
    behaves(&SimulatedDisk::new(), Path::new("/"));
    behaves(&FailingDisk::new(SimulatedDisk::new()), Path::new("/"));
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("dir");
    RealDisk.create_dir(&dir).unwrap();
    RealDisk.create(&dir.join("file")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("file"))), (0o700, 0o600));
}

/// A durable file of 3 sectors of `a`, and the open file.
fn prepared() -> (SimulatedDisk, Box<dyn DiskFile>, PathBuf) {
    let disk = SimulatedDisk::new();
    let path = PathBuf::from("/dir/file");
    make_dir(&disk, Path::new("/dir")).unwrap();
    let mut file = disk.create(&path).unwrap();
    file.write_at(0, &[b'a'; 3 * SECTOR]).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/dir")).unwrap();
    (disk, file, path)
}

#[test]
fn synced_survives_and_of_the_rest_any_sectors() {
    let mut seen = std::collections::BTreeSet::new();
    for mask in 0..8_usize {
        let (disk, mut file, path) = prepared();
        file.write_at(100, &[b'b'; 2 * SECTOR]).unwrap();
        assert_eq!(read(&disk, &path).unwrap()[100], b'b', "visible at once");
        let mut asked = 0;
        disk.power_cut(&mut |n| {
            assert_eq!(n, 2);
            asked += 1;
            mask >> (asked - 1) & 1
        });
        assert_eq!(asked, 3, "three sectors are touched");
        let bytes = read(&disk, &path).unwrap();
        assert_eq!(
            (bytes.len(), bytes[99], bytes[100 + 2 * SECTOR]),
            (3 * SECTOR, b'a', b'a')
        );
        seen.insert([100, SECTOR, 2 * SECTOR].map(|place| bytes[place]));
        assert!(file.write_at(0, b"x").is_err(), "files from before are dead");
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn a_sector_shows_some_write_whole() {
    for version in 0..3 {
        let (disk, mut file, path) = prepared();
        file.write_at(0, b"11").unwrap();
        file.write_at(1, b"22").unwrap();
        disk.power_cut(&mut |n| {
            assert_eq!(n, 3);
            version
        });
        let expected = [b"aaa", b"11a", b"122"][version];
        assert_eq!(&read(&disk, &path).unwrap()[..3], expected);
    }
}

#[test]
fn names_need_their_folder_synced() {
    let (disk, _, path) = prepared();
    let other = PathBuf::from("/other");
    make_dir(&disk, &other).unwrap();
    disk.create(Path::new("/dir/new")).unwrap().sync().unwrap();
    disk.rename(&path, &other.join("file")).unwrap();
    disk.sync_dir(&other).unwrap();
    let lost = disk.fork();
    lost.power_cut(&mut |_| 0);
    assert_eq!(
        lost.files(),
        std::slice::from_ref(&path),
        "a move needs both folders"
    );
    let kept = disk.fork();
    kept.power_cut(&mut |n| n - 1);
    assert_eq!(kept.files(), [PathBuf::from("/dir/new"), other.join("file")]);
    disk.sync_dir(Path::new("/dir")).unwrap();
    disk.power_cut(&mut |_| 0);
    assert_eq!(disk.files(), [PathBuf::from("/dir/new"), other.join("file")]);
}

#[test]
fn a_process_crash_keeps_writes_and_frees_locks() {
    let (disk, mut file, path) = prepared();
    let lock = disk.lock(Path::new("/dir/lock")).unwrap();
    file.write_at(0, b"z").unwrap();
    disk.crash();
    assert_eq!(read(&disk, &path).unwrap()[0], b'z');
    let again = disk.lock(Path::new("/dir/lock")).unwrap();
    drop(lock);
    assert!(
        disk.lock(Path::new("/dir/lock")).is_err(),
        "the old guard frees nothing"
    );
    drop(again);
    assert!(file.sync().is_err());
}

#[test]
fn a_failed_flush_may_forget_what_is_still_shown() {
    let (disk, mut file, path) = prepared();
    file.write_at(0, b"z").unwrap();
    disk.forget_unsynced(&path).unwrap();
    assert_eq!(read(&disk, &path).unwrap()[0], b'z');
    file.sync().unwrap();
    disk.power_cut(&mut |n| n - 1);
    assert_eq!(read(&disk, &path).unwrap()[0], b'a');
}

#[test]
fn faults_hit_the_named_operation_only() {
    let (simulated, _, path) = prepared();
    let disk = FailingDisk::new(simulated.clone());
    let mut file = disk.open(&path).unwrap();
    for (fault, expected) in [
        (Fault::Lost, b"aaa"),
        (Fault::Short(2), b"12a"),
        (Fault::Kept, b"123"),
    ] {
        disk.fail_after(1, fault);
        file.sync().unwrap();
        assert!(file.write_at(0, b"123").is_err());
        assert_eq!(&read(&disk, &path).unwrap()[..3], expected);
    }
    file.write_at(0, b"456").unwrap();
    let kinds: Vec<_> = disk.ops().iter().map(|op| op.kind).collect();
    let pair = [OpKind::Sync, OpKind::Write];
    assert_eq!(
        kinds,
        [pair, pair, pair]
            .concat()
            .into_iter()
            .chain([OpKind::Write])
            .collect::<Vec<_>>()
    );
    assert_eq!((disk.syncs("/file"), disk.syncs("other")), (3, 0));
}
