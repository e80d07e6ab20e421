use hitmachine_core::SystemClock;

use super::*;
use crate::source::{IssueKind, RowIssue};
use crate::state::StateKey;

#[derive(serde::Deserialize)]
struct File {
    source: Vec<Source>,
}

fn sources(names: &[&str]) -> Vec<Source> {
    let section = |name: &&str| {
        format!(
            "[[source]]\nname = \"{name}\"\npath = \"{name}.csv\"\n[source.columns]\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\n"
        )
    };
    let text: String = names.iter().map(section).collect();
    toml::from_str::<File>(&text).unwrap().source
}

fn open(dir: &std::path::Path, names: &[&str]) -> Arc<SyncBook> {
    let state = Arc::new(State::open(dir, &StateKey::from_bytes([5; 32])).unwrap());
    Arc::new(SyncBook::load(&state, &sources(names), Arc::new(SystemClock)).unwrap())
}

fn read(source: &Source, rows: u64, bad: usize) -> SourceRead {
    let issue = |row: usize| RowIssue {
        file: "lijst.csv".into(),
        row: row as u64 + 2,
        column: Some("bsn".into()),
        kind: IssueKind::Empty,
    };
    let outcome = ReadOutcome {
        issues: (0..bad).map(issue).collect(),
        issue_count: bad as u64,
        total_rows: rows,
        ..ReadOutcome::default()
    };
    source_read(source, &Ok(outcome))
}

fn report(persons: u64) -> SyncReport {
    SyncReport {
        rows: persons,
        bad_rows: 0,
        issues: Vec::new(),
        registered: persons,
        withdrawn: 0,
        persons,
        full: true,
        live: false,
        next_epoch: None,
        seconds: [0.5, 0.25, 0.25],
    }
}

#[tokio::test]
async fn what_a_sync_came_to_survives_a_restart_and_a_sync_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["een", "twee"];
    let of = sources(&names);
    {
        let book = open(dir.path(), &names);
        assert_eq!(book.view().ended_at, None);
        assert_eq!(book.view().sources.len(), 2, "also before the first sync");
        let reads = vec![read(&of[0], 10, 3), read(&of[1], 4, ISSUES_KEPT + 1)];
        book.ended(reads, &Ok(report(11))).await;
    }
    {
        let book = open(dir.path(), &names);
        let view = book.view();
        assert_eq!(view.good.as_ref().unwrap().persons, 11);
        assert_eq!((view.sources[0].rows, view.sources[0].bad_rows), (10, 3));
        assert_eq!(view.sources[0].issues[2].row, 4);
        assert_eq!(view.sources[1].issues.len(), ISSUES_KEPT);
        assert_eq!(
            view.sources[1].bad_rows,
            ISSUES_KEPT as u64 + 1,
            "all are counted"
        );
        // The second cannot be read: what it was stays, and why it failed stands beside it.
        let gone = source_read(&of[1], &Err(SourceError::Empty));
        let failed = Err(SyncError::Source(SourceError::Empty));
        book.ended(vec![read(&of[0], 12, 0), gone], &failed).await;
    }
    let view = open(dir.path(), &names).view();
    assert_eq!(view.failure.as_ref().unwrap().code, "source_empty");
    assert_eq!((view.sources[0].rows, view.sources[0].bad_rows), (12, 0));
    assert_eq!(view.sources[1].rows, 4);
    assert_eq!(view.sources[1].failure.as_ref().unwrap().code, "source_empty");
    assert_eq!(view.good.as_ref().unwrap().persons, 11, "the last good one stays");
    // The numbers that somebody must confirm, until the next sync.
    let book = open(dir.path(), &["twee"]);
    let shrunk = SyncError::Shrunk { before: 11, lost: 9 };
    book.ended(Vec::new(), &Err(shrunk)).await;
    let view = book.view();
    assert_eq!(view.shrunk, Some(ShrunkView { before: 11, lost: 9 }));
    assert_eq!(
        (view.sources.len(), view.sources[0].rows),
        (1, 4),
        "one that is gone is forgotten"
    );
    book.ended(vec![read(&of[1], 4, 0)], &Ok(report(2))).await;
    let view = book.view();
    assert_eq!(
        (view.shrunk, view.failure, &view.sources[0].failure),
        (None, None, &None)
    );
}

#[test]
fn a_sync_that_is_broken_off_is_not_under_way_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path(), &["een"]);
    let at = Progress::Sending { done: 1, total: 2 };
    book.is_at(at);
    assert_eq!(book.running(), None, "none had begun");
    let running = book.begin();
    assert_eq!(book.running(), Some(UnderWay::default()));
    book.is_at(at);
    assert_eq!(book.running(), Some(UnderWay { progress: Some(at) }));
    drop(running);
    assert_eq!(book.running(), None);
}
