use std::collections::BTreeMap;

use hitmachine_core::record::Outcome;
use hitmachine_core::statistics::Cell;
use proptest::option::of;
use proptest::prelude::*;

use super::testing::*;
use super::*;

fn filter() -> impl Strategy<Value = Filter> {
    let times = (of(0..70_u64), of(0..70_u64));
    let codes = (
        of(0..4_u8),
        of(0..3_u8),
        of(0..3_u8),
        of(proptest::sample::select(Outcome::ALL.to_vec())),
    );
    let ids = (
        of(0..4_u8),
        of(proptest::collection::vec(0..9_u8, 0..4)),
        of(0..10_u8),
        of(0..7_u8),
    );
    // Most filters set a few fields: with all of them nothing is ever found.
    (times, codes, ids, any::<u16>(), any::<u16>()).prop_map(|(times, codes, ids, keep, too)| {
        let set = |bit: u32| (keep & too) >> bit & 1 == 1;
        let at = |day: u64| NEW_YEAR + day * DAY;
        Filter {
            from_ms: times.0.filter(|_| set(0)).map(at),
            until_ms: times.1.filter(|_| set(1)).map(at),
            requester: codes.0.filter(|_| set(2)).map(oin),
            user: codes.1.filter(|_| set(3)).map(user),
            purpose: codes.2.filter(|_| set(4)).map(purpose),
            outcome: codes.3.filter(|_| set(5)),
            case: ids.0.filter(|_| set(6)).map(case),
            person: ids
                .1
                .filter(|_| set(7))
                .map(|tokens| tokens.into_iter().map(token).collect()),
            request: ids.2.filter(|_| set(8)).map(request),
            trace: ids.3.filter(|_| set(9)).map(trace),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Alone and combined, in pages of any length, over classes, months and a clock that jumps.
    #[test]
    fn a_search_finds_what_looking_at_each_entry_finds(
        made in proptest::collection::vec(made(), 1..250),
        lengths in proptest::collection::vec(1..90_usize, 1..5),
        filters in proptest::collection::vec((filter(), 1..40_usize), 120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let rows = rows(&made);
        let index = AuditIndex::open(dir.path(), KEY).unwrap();
        add(&index, &rows, &lengths);
        prop_assert_eq!(index.next(), rows.last().unwrap().index + 1);
        for filter in single_filters() {
            agrees(&index, &rows, &filter, 17);
        }
        for (filter, limit) in &filters {
            agrees(&index, &rows, filter, *limit);
        }
        prop_assert_eq!(index.check(rows.iter().cloned()).unwrap(), None);
        // And after a stop, without having to add again.
        index.flush().unwrap();
        drop(index);
        let index = AuditIndex::open(dir.path(), KEY).unwrap();
        prop_assert_eq!(index.next(), rows.last().unwrap().index + 1);
        for (filter, limit) in &filters[..10] {
            agrees(&index, &rows, filter, *limit);
        }
    }

    #[test]
    fn counts_are_those_of_the_rows(
        made in proptest::collection::vec(made(), 1..200),
        from in of(0..60_u64),
        until in of(0..60_u64),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let rows = rows(&made);
        let index = AuditIndex::open(dir.path(), KEY).unwrap();
        add(&index, &rows, &[70]);
        let (from, until) = (from.map(|day| NEW_YEAR + day * DAY), until.map(|day| NEW_YEAR + day * DAY));
        let mut expected: BTreeMap<Cell, u64> = BTreeMap::new();
        for row in &rows {
            if from.is_none_or(|from| from <= row.time_ms) && until.is_none_or(|until| row.time_ms < until) {
                let cell = Cell {
                    month: row.period,
                    requester: row.record.requester.clone(),
                    purpose: row.record.ground.as_ref().map(|ground| ground.purpose.clone()),
                    outcome: row.record.outcome(),
                };
                *expected.entry(cell).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(index.counts(from, until).unwrap(), expected);
    }
}

#[test]
fn pages_show_each_entry_once_while_others_are_added() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(&[plain(1); 400]);
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    add(&index, &rows[..200], &[64]);
    let filter = Filter {
        user: Some(user(1)),
        ..Filter::default()
    };
    let (mut found, mut after, mut added) = (Vec::new(), None, 200);
    loop {
        let page = index.search(&filter, after, 30).unwrap();
        assert_eq!(page.indexed, added as u64);
        found.extend(page.rows);
        add(&index, &rows[added..added + 20], &[7]);
        added += 20;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..200).rev().collect::<Vec<u64>>());
}

#[test]
fn large_calls_and_wide_gaps_are_cut_into_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let wide = Made {
        gap: 40_000,
        ..plain(1)
    };
    let made: Vec<Made> = (0..5_000)
        .map(|number| Made {
            user: (number % 3 == 0).then_some(1),
            ..plain(1)
        })
        .chain([wide; 10])
        .collect();
    let rows = rows(&made);
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    add(&index, &rows, &[rows.len()]);
    for filter in [
        Filter::default(),
        Filter {
            user: Some(user(1)),
            ..Filter::default()
        },
        Filter {
            user: Some(user(1)),
            from_ms: Some(NEW_YEAR + DAY + 4_500),
            ..Filter::default()
        },
        Filter {
            until_ms: Some(NEW_YEAR + DAY + 4_500),
            person: Some(vec![token(1)]),
            ..Filter::default()
        },
    ] {
        agrees(&index, &rows, &filter, 900);
    }
    assert_eq!(index.check(rows).unwrap(), None);
}

#[test]
fn a_months_entries_go_with_its_folders() {
    let dir = tempfile::tempdir().unwrap();
    let made: Vec<Made> = (0..60)
        .map(|day| Made {
            class: [12, 60][usize::from(day % 2 == 0)],
            ..plain(day)
        })
        .collect();
    let rows = rows(&made);
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    add(&index, &rows, &[11]);
    let (class, january): (_, Period) = (RetentionClass(12), "2026-01".parse().unwrap());
    assert_eq!(index.periods().len(), 5); // 60 days reach into March
    let folder = dir.path().join("12/2026-01");
    assert!(folder.join("people").is_dir());
    index.drop_period(class, january).unwrap();
    assert!(!folder.exists() && dir.path().join("12/2026-02").exists());
    assert!(!index.periods().contains(&(class, january)));
    let left: Vec<IndexRow> = rows
        .iter()
        .filter(|row| (row.class, row.period) != (class, january))
        .cloned()
        .collect();
    assert!(left.len() < rows.len() && !left.is_empty());
    for filter in single_filters() {
        agrees(&index, &left, &filter, 9);
    }
    assert_eq!(index.check(left.clone()).unwrap(), None);
    index.drop_period(class, january).unwrap();
    // It is gone after a stop too, without another flush; and one that stopped half-way is finished.
    drop(index);
    fs::create_dir_all(folder.join("processing")).unwrap();
    fs::write(folder.join("processing/db"), "left over").unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    assert!(!folder.exists());
    assert_eq!(index.next(), 60);
    agrees(&index, &left, &Filter::default(), 9);
}

#[test]
fn nothing_about_a_person_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    add(&index, &rows(&[plain(1); 40]), &[40]);
    index.flush().unwrap();
    assert!(!format!("{index:?}").contains("42, 42"));
    drop(index);
    let mut bytes = Vec::new();
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                bytes.extend(fs::read(path).unwrap());
            }
        }
    }
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(oin(1).as_str().as_bytes()), "the files are searched");
    // sled keeps what neighbouring keys and values share once, so look for parts too.
    for secret in [&token(1).expose_secret()[..8], b"user 1", b"ZK-2026", &KEY[..8]] {
        assert!(!holds(secret));
    }
}

#[test]
fn users_and_cases_are_in_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    let erased = Made {
        user: None,
        case: None,
        ..plain(1)
    };
    add(&index, &rows(&[erased, erased]), &[2]);
    assert!(dir.path().join("60/2026-01/processing").is_dir());
    assert!(!dir.path().join("60/2026-01/people").exists());
    let filter = Filter {
        case: Some(case(1)),
        ..Filter::default()
    };
    assert!(index.search(&filter, None, 5).unwrap().rows.is_empty());
    // A crash after the folder was made and before it was named.
    index.flush().unwrap();
    drop(index);
    let people = dir.path().join("60/2026-01/people");
    fs::create_dir(&people).unwrap();
    fs::write(people.join("db"), "left over").unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    assert!(!people.exists());
    index.add(&[row(2, &plain(1))], 3).unwrap();
    assert!(people.is_dir());
    assert_eq!(index.search(&filter, None, 5).unwrap().rows, [2]);
}

#[test]
fn entries_come_in_order_and_control_entries_count() {
    let dir = tempfile::tempdir().unwrap();
    let index = AuditIndex::open(dir.path(), KEY).unwrap();
    let row = |index| row(index, &plain(1));
    index.add(&[], 5).unwrap();
    for (name, rows, next) in [
        ("known already", vec![row(4)], 9),
        ("above the watermark", vec![row(9)], 9),
        ("where numbers end", vec![row(u64::MAX)], 9),
        ("out of order", vec![row(7), row(6)], 9),
        ("twice", vec![row(7), row(7)], 9),
        ("backwards", vec![], 4),
    ] {
        let added = index.add(&rows, next);
        assert!(
            matches!(added, Err(IndexError::Order { next: 5 })),
            "{name}: {added:?}"
        );
    }
    // It can be used on.
    index.add(&[row(6), row(8)], 10).unwrap();
    assert_eq!(
        index.search(&Filter::default(), None, 9).unwrap(),
        Page {
            rows: vec![8, 6],
            next: None,
            indexed: 10
        }
    );
    index.flush().unwrap();
    assert!(matches!(
        AuditIndex::open(dir.path(), KEY),
        Err(IndexError::InUse(_))
    ));
    index.clear().unwrap();
    assert_eq!((index.next(), index.periods()), (0, Vec::new()));
    index.add(&[row(0)], 1).unwrap();
    assert_eq!(index.search(&Filter::default(), None, 9).unwrap().rows, [0]);
}

#[test]
fn few_databases_are_open_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(&(0..90).map(plain).collect::<Vec<_>>());
    let index = AuditIndex::start(dir.path(), KEY, 2, false).unwrap();
    add(&index, &rows, &[7]);
    for filter in [
        Filter::default(),
        Filter {
            user: Some(user(1)),
            ..Filter::default()
        },
    ] {
        agrees(&index, &rows, &filter, 40);
        assert_eq!(lock(&index.parts).len(), 2);
    }
    // What was closed is as durable as what is open.
    index.flush().unwrap();
    let copied = tempfile::tempdir().unwrap();
    copy(dir.path(), copied.path());
    let index = AuditIndex::open(copied.path(), KEY).unwrap();
    assert_eq!(index.next(), 90);
    assert_eq!(index.check(rows).unwrap(), None);
}

#[test]
fn searches_run_while_entries_are_added() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(&(0..600).map(|number| plain(number / 7)).collect::<Vec<_>>());
    let index = AuditIndex::start(dir.path(), KEY, 2, false).unwrap();
    std::thread::scope(|threads| {
        let adding = threads.spawn(|| add(&index, &rows, &[12]));
        while !adding.is_finished() {
            let filter = Filter {
                user: Some(user(1)),
                ..Filter::default()
            };
            let page = index.search(&filter, None, MAX_PAGE).unwrap();
            assert_eq!(page.rows, (0..page.indexed).rev().collect::<Vec<_>>());
        }
    });
    assert_eq!(
        index
            .search(&Filter::default(), None, MAX_PAGE)
            .unwrap()
            .rows
            .len(),
        600
    );
}
