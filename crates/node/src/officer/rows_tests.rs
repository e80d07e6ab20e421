use hitmachine_proto::v1::row::Content as Wire;

use super::*;
use crate::officer::test_log::{CONTROL as JSON, NOW, TestLog, oin, row};

fn paths(log: &TestLog, rows: &[v1::Row]) -> Vec<Vec<u8>> {
    rows.iter().map(|row| log.path(row.index)).collect()
}

fn control() -> v1::Row {
    row(3, Wire::Control(JSON.to_vec()))
}

#[test]
fn rows_of_every_form_are_proven() {
    let log = TestLog::of(&[1, 2, 3]);
    let rows = [control(), log.whole(2), log.part(1), log.erased(0)];
    let verified = verify(&rows, &paths(&log, &rows), &log.head()).unwrap();
    assert_eq!(verified.len(), 4);
    assert!(verified[1].record.as_ref().unwrap().user.is_some());
    assert!(verified[2].record.as_ref().unwrap().user.is_none());
    for row in &verified {
        let proof = row.proof(&log.note());
        let read = TlogProof::parse(&proof.format()).unwrap();
        read.verify(&log.verifier(), &row.leaf).unwrap();
        assert_eq!(read.extra, row.extra());
    }
    let codes: Vec<_> = verified
        .iter()
        .map(|row| row.extra().map(|extra| extra[0]))
        .collect();
    assert_eq!(codes, [Some(2), Some(1), Some(3), None]);
}

#[test]
fn a_row_that_is_not_proven_is_refused() {
    let log = TestLog::of(&[1, 2, 3]);
    let other = TestLog::of(&[1, 2, 9]);
    let good = log.whole(1);
    let refused = |row: v1::Row, path: Vec<u8>, log: &TestLog| {
        let index = row.index;
        let error = verify(&[log.whole(2), row], &[log.path(2), path], &log.head()).unwrap_err();
        assert!(
            matches!(error, Evidence::Row { index: at } if at == index),
            "{error:?}"
        );
    };
    assert!(verify(std::slice::from_ref(&good), &[log.path(1)], &log.head()).is_ok());
    // Another index, another path, a cut path, a longer path, half a hash.
    let moved = v1::Row {
        index: 0,
        ..good.clone()
    };
    refused(moved, log.path(1), &log);
    refused(good.clone(), log.path(0), &log);
    refused(good.clone(), log.path(1)[32..].to_vec(), &log);
    refused(good.clone(), [log.path(1), vec![0; 32]].concat(), &log);
    refused(good.clone(), log.path(1)[..31].to_vec(), &log);
    // Another entry's content, one changed byte, another leaf, no content.
    let exchanged = v1::Row {
        content: log.whole(0).content,
        ..good.clone()
    };
    refused(exchanged, log.path(1), &log);
    let Some(Wire::Opening(mut bytes)) = good.content.clone() else {
        panic!("an opening");
    };
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    refused(row(1, Wire::Opening(bytes)), log.path(1), &log);
    refused(row(1, Wire::Erased(vec![0; 32])), log.path(1), &log);
    refused(row(1, Wire::Erased(vec![0; 31])), log.path(1), &log);
    refused(row(3, Wire::Control(b"{}".to_vec())), log.path(3), &log);
    let empty = v1::Row {
        content: None,
        ..good.clone()
    };
    refused(empty, log.path(1), &log);
    // Under the head of another log.
    let error = verify(std::slice::from_ref(&good), &[log.path(1)], &other.head()).unwrap_err();
    assert!(matches!(error, Evidence::Row { index: 1 }));
    // One proof for each row.
    assert!(matches!(verify(&[good], &[], &log.head()), Err(Evidence::Result)));
}

fn search() -> v1::Search {
    v1::Search {
        limit: 3,
        r#use: v1::Use::View.into(),
        ..v1::Search::default()
    }
}

fn fits(search: v1::Search, rows: &[v1::Row], next: u64) -> bool {
    let log = TestLog::of(&[1, 2, 3]);
    let verified = verify(rows, &paths(&log, rows), &log.head()).unwrap();
    let page = v1::Rows {
        rows: rows.to_vec(),
        next,
        ..v1::Rows::default()
    };
    fit(&Action::Search(search), &page, &verified)
}

#[test]
fn a_page_is_in_order_and_within_its_bounds() {
    let log = TestLog::of(&[1, 2, 3]);
    let (a, b, c) = (log.whole(0), log.whole(1), log.whole(2));
    let down = [c.clone(), b.clone(), a.clone()];
    assert!(fits(search(), &down, 0));
    assert!(fits(search(), &[], 0));
    assert!(
        fits(search(), &down[..2], 1),
        "the next page begins below entry 1"
    );
    assert!(!fits(search(), &[a.clone(), b.clone()], 0), "ascending");
    assert!(!fits(search(), &[b.clone(), b.clone()], 0), "twice");
    assert!(
        !fits(search(), &[control(), c.clone(), b.clone(), a.clone()], 0),
        "too many"
    );
    let before = v1::Search {
        before: 2,
        ..search()
    };
    assert!(fits(before.clone(), &down[1..], 0));
    assert!(!fits(before.clone(), &down, 0), "beyond the bound");
    assert!(!fits(before.clone(), &[], 2), "the same page for ever");
    assert!(!fits(before, &down[1..2], 2), "backwards");
}

#[test]
fn rows_are_those_that_were_searched_for() {
    let log = TestLog::of(&[1, 2, 3]);
    let rows = [log.whole(1)];
    let with = |change: &dyn Fn(&mut v1::Search)| {
        let mut search = search();
        change(&mut search);
        fits(search, &rows, 0)
    };
    let now = u64::try_from(NOW.as_millisecond()).unwrap();
    assert!(with(&|search| search.tokens = vec![vec![9; 32], vec![2; 32]]));
    assert!(!with(&|search| search.tokens = vec![vec![1; 32]]));
    assert!(with(&|search| search.requester = oin().to_string()));
    assert!(!with(&|search| search.requester = "00000099000000002000".into()));
    assert!(with(&|search| search.purpose = "screening".into()));
    assert!(!with(&|search| search.purpose = "advies".into()));
    assert!(with(&|search| (search.from_ms, search.to_ms) = (now, now)));
    assert!(!with(&|search| search.from_ms = now + 1));
    assert!(!with(&|search| search.to_ms = now - 1));
    assert!(with(&|search| search.set_outcome(v1::Outcome::Hit)));
    assert!(!with(&|search| search.set_outcome(v1::Outcome::Miss)));
    let person = v1::Search {
        tokens: vec![vec![1; 32]],
        ..search()
    };
    assert!(!fits(person, &[control()], 0), "a control entry is about nobody");
}

#[test]
fn users_are_not_taken_where_they_are_not_to_be_shown() {
    let log = TestLog::of(&[1, 2, 3]);
    for (purpose, allowed) in [
        (v1::Use::View, true),
        (v1::Use::Export, true),
        (v1::Use::Report, false),
        (v1::Use::Ldv, false),
    ] {
        let search = v1::Search {
            r#use: purpose.into(),
            ..search()
        };
        assert_eq!(fits(search.clone(), &[log.whole(1)], 0), allowed, "{purpose:?}");
        assert!(fits(search, &[log.part(1)], 0));
    }
}

#[test]
fn entries_are_those_that_were_named() {
    let log = TestLog::of(&[1, 2, 3]);
    let rows = [log.whole(0), log.erased(2)];
    let verified = verify(&rows, &paths(&log, &rows), &log.head()).unwrap();
    let fits = |indexes: &[u64]| {
        let entries = v1::Entries {
            indexes: indexes.to_vec(),
            r#use: v1::Use::View.into(),
        };
        fit(&Action::Entries(entries), &v1::Rows::default(), &verified)
    };
    assert!(fits(&[0, 2]));
    for other in [&[0][..], &[0, 1], &[2, 0], &[0, 1, 2]] {
        assert!(!fits(other), "{other:?}");
    }
}
