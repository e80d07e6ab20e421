//! Crashes, damage and tampering.

use proptest::prelude::*;

use super::testing::*;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// C6: a crash at any moment between two calls, with the rows on disk or not, and different calls afterwards.
    #[test]
    fn after_a_crash_it_catches_up_without_duplicates(
        made in proptest::collection::vec(made(), 3..150),
        lengths in proptest::collection::vec(1..40_usize, 1..4),
        other_lengths in proptest::collection::vec(1..40_usize, 1..4),
        cuts in any::<[proptest::sample::Index; 2]>(),
        erased in any::<proptest::sample::Index>(),
        on_disk in any::<bool>(),
    ) {
        let (dir, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut rows = rows(&made);
        let mut cuts = cuts.map(|cut| cut.index(rows.len()));
        cuts.sort_unstable();
        let index = AuditIndex::open(dir.path(), KEY).unwrap();
        add(&index, &rows[..cuts[0]], &lengths);
        index.flush().unwrap();
        let durable = index.next();
        add(&index, &rows[cuts[0]..cuts[1]], &lengths);
        if on_disk {
            lock(&index.parts).sync().unwrap(); // and the watermark not yet
        }
        copy(dir.path(), crashed.path());
        drop(index);
        let index = AuditIndex::open(crashed.path(), KEY).unwrap();
        prop_assert!(index.next() >= durable);
        let durable = index.next();
        // Meanwhile one of those that were not durable was erased: no trace of it may be left.
        let first = rows.partition_point(|row| row.index < durable);
        if first < cuts[1] {
            rows.remove(first + erased.index(cuts[1] - first));
        }
        let again: Vec<IndexRow> = rows.iter().filter(|row| row.index >= durable).cloned().collect();
        add(&index, &again, &other_lengths);
        let mut all = brute_force(&rows, &Filter::default());
        all.reverse();
        prop_assert_eq!(pages(&index, &Filter::default(), 23), all);
        prop_assert_eq!(index.check(rows.iter().cloned()).unwrap(), None);
    }
}

#[test]
fn the_watermark_follows_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    index.add(&[row(3, &plain(1))], SYNC_ENTRIES - 1).unwrap();
    assert_eq!(
        State::read(dir.path(), index.key.check_value())
            .unwrap()
            .unwrap()
            .next,
        0
    );
    index.add(&[], SYNC_ENTRIES).unwrap();
    assert_eq!(
        State::read(dir.path(), index.key.check_value()).unwrap().unwrap(),
        index.state()
    );
}

#[test]
fn after_a_failed_write_nothing_is_added() {
    let (dir, rows) = three_months();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    // The watermark's file cannot be written.
    let obstacle = dir.path().join("state.new");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(index.flush(), Err(IndexError::Io(_))));
    fs::remove_dir(&obstacle).unwrap();
    for refused in [
        index.add(&[], 91),
        index.flush(),
        index.drop_period(RetentionClass(60), rows[0].period),
    ] {
        assert!(matches!(refused, Err(IndexError::Failed)), "{refused:?}");
    }
    // What is there can still be searched, and opening anew or clearing helps.
    agrees(&index, &rows, &Filter::default(), 50);
    index.clear().unwrap();
    add(&index, &rows, &[30]);
    agrees(&index, &rows, &Filter::default(), 50);
}

fn three_months() -> (tempfile::TempDir, Vec<IndexRow>) {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(&(0..90).map(plain).collect::<Vec<_>>());
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    add(&index, &rows, &[10]);
    index.flush().unwrap();
    (dir, rows)
}

#[test]
fn damage_asks_for_a_rebuild() {
    let (dir, rows) = three_months();
    let files = |part: &str| dir.path().join("60/2026-02").join(part);
    // A folder that is gone.
    let (away, place) = (dir.path().join("away"), files("people"));
    fs::rename(&place, &away).unwrap();
    let opened = AuditIndex::open(dir.path(), KEY);
    assert!(matches!(&opened, Err(IndexError::Damaged(place)) if place == "60/2026-02/people"));
    let text = opened.unwrap_err().to_string();
    assert!(text.contains("rebuild the index"), "{text}");
    // A database that lost its end, or all: sled itself would not say so.
    let other = files("processing");
    fs::create_dir(&place).unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    let filter = Filter {
        user: Some(user(1)),
        ..Filter::default()
    };
    assert!(matches!(
        index.search(&filter, None, 99),
        Err(IndexError::Damaged(_))
    ));
    drop(index);
    fs::remove_dir_all(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    // Bytes that sled does not read.
    let db = other.join("db");
    let good = fs::read(&db).unwrap();
    fs::write(&db, vec![0x5a; good.len()]).unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    let searched = index.search(&Filter::default(), None, 99);
    assert!(matches!(searched, Err(IndexError::Damaged(_))), "{searched:?}");
    drop(index);
    fs::write(&db, good).unwrap();
    // The watermark's file: each byte of it.
    let state = dir.path().join("state");
    let good = fs::read(&state).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&state, bad).unwrap();
        let opened = AuditIndex::open(dir.path(), KEY);
        assert!(matches!(opened, Err(IndexError::Damaged(_))), "byte {place}");
    }
    fs::write(&state, good).unwrap();
    assert!(matches!(
        AuditIndex::open(dir.path(), [1; 32]),
        Err(IndexError::OtherKey)
    ));
    // And the rebuild helps.
    let index = AuditIndex::rebuild(dir.path(), KEY).unwrap();
    assert!(index.next() == 0 && !dir.path().join("60/2026-02").exists());
    add(&index, &rows, &[30]);
    agrees(&index, &rows, &Filter::default(), 50);
}

/// Something done to a database.
type Change = fn(&Part);

/// T9: rows of the index are changed, each in one way; the check names the first entry that is wrong.
#[test]
fn a_changed_index_is_told_from_the_log() {
    use chunk::{number, posting_key};
    use terms::Kind;
    let processing = PartId::new(RetentionClass(60), "2026-02".parse().unwrap(), Half::Processing);
    // Entries 31 to 58 are in February; each call added 10.
    let changes: [(&str, Half, Change, u64, Wrong); 11] = [
        (
            "a time",
            Half::Processing,
            |part| change(&part.rows, 40, 4),
            40,
            Wrong::Different,
        ),
        (
            "an outcome",
            Half::Processing,
            |part| change(&part.rows, 40, 12),
            40,
            Wrong::Different,
        ),
        (
            "a case",
            Half::People,
            |part| change(&part.rows, 50, 6),
            50,
            Wrong::Different,
        ),
        (
            "bounds",
            Half::Processing,
            |part| change(&part.chunks, 50, 23),
            50,
            Wrong::Different,
        ),
        (
            "rows gone",
            Half::Processing,
            |part| remove(&part.rows, 40),
            40,
            Wrong::Missing,
        ),
        (
            "a chunk gone",
            Half::People,
            |part| part.trim(50).unwrap(),
            50,
            Wrong::Missing,
        ),
        (
            "a list gone",
            Half::People,
            |part| {
                let key = part
                    .postings
                    .iter()
                    .keys()
                    .map(Result::unwrap)
                    .find(|key| number(&key[2..]) == Some(40));
                part.postings.remove(key.unwrap()).unwrap();
            },
            40,
            Wrong::Different,
        ),
        (
            "a posting moved to another entry",
            Half::Processing,
            |part| {
                let key = part
                    .postings
                    .iter()
                    .keys()
                    .map(Result::unwrap)
                    .find(|key| number(&key[2..]) == Some(40));
                let mut list = part
                    .postings
                    .get(key.as_ref().unwrap())
                    .unwrap()
                    .unwrap()
                    .to_vec();
                list[31] = 5; // the fourth entry's place
                part.postings.insert(key.unwrap(), list).unwrap();
            },
            43,
            Wrong::Different,
        ),
        (
            "a posting more",
            Half::Processing,
            |part| {
                let key = posting_key(Kind::Case, 7, 40);
                part.postings
                    .insert(key, &[0, 2, 1, 2, 3, 4, 5, 6, 7, 8])
                    .unwrap();
            },
            42,
            Wrong::Different,
        ),
        (
            "a list of no chunk",
            Half::Processing,
            |part| {
                let key = posting_key(Kind::Token, 7, 44);
                part.postings
                    .insert(key, &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
                    .unwrap();
            },
            44,
            Wrong::Extra,
        ),
        (
            "a list of no kind",
            Half::Processing,
            |part| drop(part.postings.insert([9, 0, 0, 0, 0, 0, 0, 0, 0, 40], "").unwrap()),
            40,
            Wrong::Extra,
        ),
    ];
    for (name, half, change, index, wrong) in changes {
        let (dir, rows) = three_months();
        let tampered = AuditIndex::open(dir.path(), KEY).unwrap();
        assert_eq!(tampered.check(rows.iter().cloned()).unwrap(), None, "{name}");
        let part = tampered.part(&tampered.state(), processing.with(half)).unwrap();
        change(&part);
        let checked = tampered.check(rows.iter().cloned()).unwrap();
        assert_eq!(checked, Some(Mismatch { index, wrong }), "{name}");
    }
    // The log lacks what the index has, at several places: the first is named. And the other way round.
    let (dir, rows) = three_months();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    let less: Vec<IndexRow> = rows
        .iter()
        .filter(|row| ![35, 36, 80].contains(&row.index))
        .cloned()
        .collect();
    let extra = Some(Mismatch {
        index: 35,
        wrong: Wrong::Extra,
    });
    assert_eq!(index.check(less).unwrap(), extra);
    index.drop_period(RetentionClass(60), processing.period).unwrap();
    let missing = Some(Mismatch {
        index: 31,
        wrong: Wrong::Missing,
    });
    assert_eq!(index.check(rows.iter().cloned()).unwrap(), missing);
    let mut backwards = rows;
    backwards.swap(3, 4);
    assert!(matches!(index.check(backwards), Err(IndexError::Order { .. })));
}

fn change(tree: &sled::Tree, first: u64, byte: usize) {
    let mut value = tree.get(first.to_be_bytes()).unwrap().unwrap().to_vec();
    value[byte] ^= 1;
    tree.insert(first.to_be_bytes(), value).unwrap();
}

fn remove(tree: &sled::Tree, first: u64) {
    tree.remove(first.to_be_bytes()).unwrap().unwrap();
}
