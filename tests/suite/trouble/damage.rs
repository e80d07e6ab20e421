//! Damaged registers are noticed and rebuilt; a damaged audit log is never repaired.

use super::*;

/// Every file in a folder and those below it.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_in(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_damaged_register_is_noticed_and_rebuilt_by_the_nodes() {
    let world = World::new(205);
    let broker = world.broker();
    world.sync_all();
    assert_eq!(broker.stop().unwrap(), Some(0));
    let registry = world.path("broker/data/registry");
    let sled = registry.join("sled");
    let kept = logbook::copy(&registry);
    let nodes = logbook::copy(&world.path("nodes"));
    let files = files_in(&sled);
    let db = sled.join("db");
    assert!(files.contains(&db), "{files:?}");

    let cut = |path: &Path, to: u64| {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(to)
            .unwrap();
    };
    // sled makes its file longer than it needs: half of what is in it.
    let bytes = fs::read(&db).unwrap();
    let half = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 / 2;
    let certain: [(&str, Damage<'_>); 6] = [
        ("cut to a half", &|| cut(&db, half)),
        ("cut to nothing", &|| cut(&db, 0)),
        ("db removed", &|| fs::remove_file(&db).unwrap()),
        ("everything of sled removed", &|| {
            fs::remove_dir_all(&sled).unwrap();
        }),
        ("overwritten", &|| {
            fs::write(&db, vec![0xa5; bytes.len()]).unwrap();
        }),
        ("watermark garbled", &|| {
            fs::write(registry.join("watermark"), "leerplicht one 2\n").unwrap();
        }),
    ];
    let mut noticed = 0;
    for (what, damage) in certain {
        damage();
        noticed += 1;
        assert!(!starts_whole(&world, what), "{what}: not noticed");
        restore(&kept, &registry);
    }
    // Bits that flip anywhere in what is used: either it is noticed, or nothing is lost.
    let mut rng = Rng::new(20_261_122);
    let mut harmless = 0;
    for path in &files {
        let bytes = fs::read(path).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let flips = if *path == db { 24 } else { 6 };
        for _ in 0..if used.is_empty() { 0 } else { flips } {
            let at = used[usize::try_from(rng.below(used.len() as u64)).unwrap()];
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << rng.below(8);
            fs::write(path, damaged).unwrap();
            let name = path.file_name().unwrap().to_string_lossy();
            if starts_whole(&world, &format!("{name}, byte {at}")) {
                harmless += 1;
            } else {
                noticed += 1;
            }
            restore(&kept, &registry);
        }
    }
    println!("{noticed} damages noticed, {harmless} flipped bits that harmed nothing");
    assert!(noticed > 10, "the bits that were flipped hardly matter");

    // The remedy, as the message names it: moved aside, not lost, and each node sends everything again by itself.
    cut(&db, half);
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 4, "{said:?}");
    let mut rebuild = Command::new(program("hitmachine-broker").unwrap());
    let output = rebuild
        .args(["rebuild-registry", "--config"])
        .arg(world.deployment.broker_config())
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let aside = fs::read_dir(world.path("broker/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        aside
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("registry.damaged-"))
    );
    let broker = world.broker();
    // Before the nodes have come nobody is "not known".
    let bsn = world.bsn(AgeClass::Adult);
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]).json();
    let rows = said["persons"][0]["partners"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["status"] == "could_not_ask" || row["status"] == "does_not_apply"),
        "{said}"
    );
    for register in Register::ALL {
        let said = world.node(register.id(), &["sync"]);
        assert_eq!(said.code, 0, "{register}: {said:?}");
        let report = said.json();
        let members = json!(world.members(register));
        assert_eq!(
            (&report["full"], &report["persons"], &report["registered"]),
            (&json!(true), &members, &members)
        );
    }
    check_ground_truth(&world);
    assert_eq!(broker.stop().unwrap(), Some(0));
    drop(nodes);
}

#[test]
fn a_damaged_audit_log_is_never_repaired() {
    let world = World::new(206);
    let broker = world.broker();
    let bsn = world.bsn(AgeClass::Adult);
    for _ in 0..12 {
        let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
    let audit = world.path("broker/data/audit");
    let kept = logbook::copy(&audit);
    let segment = files_in(&audit.join("wal"))
        .into_iter()
        .max_by_key(|path| fs::read(path).unwrap().iter().filter(|byte| **byte != 0).count())
        .unwrap();
    let good = fs::read(&segment).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    // The last frame alone may be torn by a crash; before it nothing is.
    for place in [0, used / 8, used / 4, used / 2, used * 3 / 4, used * 7 / 8] {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        fs::write(&segment, &damaged).unwrap();
        for start in 1..=2 {
            let said = broker_refuses(&world.deployment);
            assert_eq!(said.code, 4, "byte {place} of {used}, start {start}: {said:?}");
            assert!(said.err.contains("damaged"), "{said:?}");
            assert_holds_none(&said.err, &[bsn.as_bytes()]);
            assert!(
                fs::read(&segment).unwrap() == damaged,
                "byte {place}, start {start}: repaired"
            );
        }
        restore(&kept, &audit);
    }
    // A log that is gone altogether the broker cannot tell from a new one; who saw its entries can, and shows nothing.
    fs::remove_dir_all(&audit).unwrap();
    let broker = world.broker();
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.failure(), (4, "not_proven".into()));
    assert!(!said.out.contains("partners"), "something is shown: {said:?}");
    assert_eq!(broker.stop().unwrap(), Some(0));
    restore(&kept, &audit);
    // The log of another key.
    let key = world.path("broker/audit-signing.key");
    let other = fs::read_to_string(&key).unwrap();
    fs::remove_file(&key).unwrap();
    SecretFile::write_new(&key, Purpose::AuditSigning, 0, &[8; 32]).unwrap();
    let said = broker_refuses(&world.deployment);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("another origin or key"), "{said:?}");
    // Undamaged it goes on where it was.
    fs::write(&key, other).unwrap();
    let broker = world.broker();
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.json()["persons"][0]["log_index"], 12);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
