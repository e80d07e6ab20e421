use std::sync::{
    atomic::{AtomicBool, AtomicUsize},
    mpsc::{Receiver, Sender, channel},
};

use super::*;
use crate::{
    FieldId, Fields, Head, LogConfig, LogSigner, Origin, ReceiptParts, RetentionClass, SeenHeads,
    WrappingKey,
    asker::MAX_NAMED,
    disk::testing::{FailingDisk, Fault, OpKind, SimulatedDisk},
    verify_consistency, verify_receipt,
};

#[path = "committer/erasing_tests.rs"]
mod erasing;

/// A flush or an answer that does not come within this time never comes.
const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Result<Committed, SubmitError>;

fn signer() -> LogSigner {
    LogSigner::new("hitmachine.example/broker-a/audit/1".parse().unwrap(), &[7; 32])
}

fn log(disk: &FailingDisk) -> Log {
    let config = LogConfig {
        segment_size: 64 << 10,
        clock: Arc::new(|| 1_767_225_600_000),
        ..LogConfig::new(
            "/log".into(),
            "/keys".into(),
            signer(),
            WrappingKey::from_bytes([3; 32]),
        )
    };
    let mut log = Log::open(config, Arc::new(disk.clone())).unwrap().0;
    log.wait_for_spare().unwrap();
    log
}

fn drafts(count: usize) -> Vec<Draft> {
    let draft = |number: usize| {
        let fields = Fields::new()
            .with(FieldId::Case, format!("case {number}"))
            .unwrap();
        Draft::payload(fields, RetentionClass(60))
    };
    (0..count).map(draft).collect()
}

fn spawn(disk: &FailingDisk, options: CommitterOptions) -> Committer {
    Committer::spawn(log(disk), options, Box::new(|error| panic!("{error}"))).unwrap()
}

/// Submits and gives the answer through a channel.
fn submit(handle: &CommitHandle, count: usize, known: &[u64]) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    handle
        .submit(drafts(count), known.to_vec(), move |answer| {
            sender.send(answer).unwrap();
        })
        .unwrap();
    receiver
}

/// Holds every flush of a segment until told to go on; says when one has begun.
fn gate(disk: &FailingDisk) -> (Receiver<()>, Sender<Option<Fault>>) {
    let (begun, has_begun) = channel();
    let (go, may_go) = channel();
    let (begun, may_go) = (Mutex::new(begun), Mutex::new(may_go));
    disk.set_plan(move |op| {
        if op.kind == OpKind::Sync && op.path.to_string_lossy().ends_with(".seg") {
            begun.lock().unwrap().send(()).unwrap();
            return may_go.lock().unwrap().recv().unwrap();
        }
        None
    });
    (has_begun, go)
}

fn check(parts: &ReceiptParts) -> Head {
    let origin: Origin = signer().origin().clone();
    verify_receipt(parts, &signer().verifier(), &origin)
        .unwrap()
        .head()
}

#[test]
fn what_waits_during_a_flush_is_the_next_batch() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(&disk, CommitterOptions::default());
    let handle = committer.handle();
    let (begun, go) = gate(&disk);
    let first = submit(&handle, 1, &[]);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|count| submit(&handle, 1 + count % 3, &[0, 1]))
        .collect();
    assert_eq!(handle.stats().waiting, 19);
    assert!(first.try_recv().is_err(), "no answer before the flush");
    assert_eq!(handle.head().head.size, 0, "no signature either");
    go.send(None).unwrap();
    assert_eq!(
        first.recv_timeout(PATIENCE).unwrap().unwrap().receipts[0].leaf_index(),
        0
    );
    begun.recv_timeout(PATIENCE).unwrap();
    assert_eq!(handle.head().head.size, 1);
    assert!(waiting.iter().all(|answer| answer.try_recv().is_err()));
    go.send(None).unwrap();

    let mut index = 1;
    for (number, answer) in waiting.into_iter().enumerate() {
        let receipts = answer.recv_timeout(PATIENCE).unwrap().unwrap().receipts;
        assert_eq!(receipts.len(), 1 + number % 3);
        for receipt in receipts {
            assert_eq!(
                (receipt.leaf_index(), receipt.head().size),
                (index, 20),
                "one frame for all"
            );
            assert_eq!(check(&receipt.to_parts()), receipt.head());
            let [(0, empty), (1, proof)] = receipt.consistency() else {
                panic!("one proof for each size")
            };
            assert!(empty.is_empty());
            let one = receipt_root(&disk, 1);
            assert!(verify_consistency(1, 20, &one, &receipt.head().root, proof));
            index += 1;
        }
    }
    let stats = handle.stats();
    assert_eq!(
        (stats.entries, stats.batches, stats.flushes, stats.waiting),
        (20, 2, 2, 0)
    );
    assert!(stats.longest_flush >= stats.last_flush && stats.total_flush >= stats.longest_flush);
    let last = handle.head();
    assert_eq!(signer().verifier().open(&last.note).unwrap().head(), last.head);
    let log = committer.shutdown().unwrap();
    assert_eq!((log.head(), log.entries().flatten().count()), (last.head, 20));
}

/// Root at a size, from what is on the disk.
fn receipt_root(disk: &FailingDisk, size: usize) -> crate::Hash {
    let path = std::path::Path::new("/log/wal/2026-01/0000000001.seg");
    let bytes = crate::disk::read(disk, path).unwrap();
    let frame = crate::frame::parse(&bytes).unwrap();
    assert_eq!(frame.records.len(), size);
    frame.header.root_after
}

/// I7 under load: as many flushes as batches, and every answer comes after the flush of its own batch.
#[test]
fn one_flush_for_each_batch_and_no_answer_before_it() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(
        &disk,
        CommitterOptions {
            max_batch: 16,
            ..CommitterOptions::default()
        },
    );
    let begun = disk.syncs(".seg");
    let answered = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (handle, disk, answered) = (committer.handle(), disk.clone(), Arc::clone(&answered));
            scope.spawn(move || {
                for number in 0..50 {
                    let (disk, answered, counter) = (disk.clone(), Arc::clone(&answered), handle.clone());
                    let before = disk.syncs(".seg");
                    handle
                        .submit(drafts(1 + number % 5), vec![], move |answer| {
                            let receipts = answer.unwrap().receipts;
                            // Called in the committing thread: no other batch has begun.
                            let (syncs, batches) = (disk.syncs(".seg"), counter.stats().batches);
                            assert!(syncs > before, "a flush after the submission");
                            assert_eq!(syncs - begun, usize::try_from(batches).unwrap());
                            assert_eq!(counter.head().head, receipts[0].head());
                            let writes = [OpKind::Write, OpKind::Sync];
                            let ops = disk.ops();
                            let mut ops = ops.iter().rev().filter(|op| writes.contains(&op.kind));
                            let last = ops.find(|op| op.path.to_string_lossy().ends_with(".seg"));
                            assert_eq!(last.unwrap().kind, OpKind::Sync, "flushed after it was written");
                            answered.fetch_add(1, Ordering::SeqCst);
                        })
                        .unwrap();
                }
            });
        }
    });
    let handle = committer.handle();
    committer.shutdown().unwrap();
    // A failed assertion in a callback would show here.
    assert_eq!(answered.load(Ordering::SeqCst), 200);
    let stats = handle.stats();
    assert_eq!(stats.entries, 600);
    assert_eq!(
        disk.syncs(".seg") - begun,
        usize::try_from(stats.batches).unwrap()
    );
}

#[test]
fn limits_refuse_and_batches_keep_whole_submissions() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let one = drafts(1)[0].record_len();
    let options = CommitterOptions {
        max_batch: 4,
        max_bytes: 3 * one + 2,
        queue: 7,
    };
    let committer = spawn(&disk, options);
    let handle = committer.handle();
    let refused = |entries, known: Vec<u64>| {
        handle
            .submit(entries, known, |_| panic!("not accepted"))
            .unwrap_err()
    };
    assert_eq!(refused(vec![], vec![]), SubmitError::Empty);
    assert_eq!(refused(drafts(5), vec![]), SubmitError::TooLarge);
    assert_eq!(
        refused(drafts(4), vec![]),
        SubmitError::TooLarge,
        "too many bytes"
    );
    assert_eq!(refused(drafts(1), vec![0; 65]), SubmitError::TooManySizes);
    let (begun, go) = gate(&disk);
    let first = submit(&handle, 1, &[]);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting = [2, 2, 1, 2].map(|count| submit(&handle, count, &[]));
    assert_eq!(refused(drafts(1), vec![]), SubmitError::Full);
    for _ in 0..5 {
        go.send(None).unwrap();
    }
    first.recv_timeout(PATIENCE).unwrap().unwrap();
    let sizes = waiting.map(|answer| {
        let receipts = answer.recv_timeout(PATIENCE).unwrap().unwrap().receipts;
        assert!(
            receipts
                .iter()
                .all(|receipt| receipt.head() == receipts[0].head()),
            "one frame"
        );
        receipts[0].head().size
    });
    assert_eq!(sizes, [3, 6, 6, 8], "2, then 2 and 1, then 2");
    // Only then is there room again.
    let last = submit(&handle, 1, &[]);
    last.recv_timeout(PATIENCE).unwrap().unwrap();
    drop(go);
    drop(committer);
    assert_eq!(refused(drafts(1), vec![]), SubmitError::Stopped);
}

/// C3 at the committer: whatever way the flush fails, nothing is released, nothing is tried again, everybody
/// is told.
#[test]
fn after_a_failed_flush_nothing_succeeds() {
    for fault in [Fault::Lost, Fault::Kept] {
        let simulated = SimulatedDisk::new();
        let disk = FailingDisk::new(simulated.clone());
        let (fatal, was_fatal) = channel();
        let on_fatal = Box::new(move |error: &CommitError| fatal.send(error.code()).unwrap());
        let committer = Committer::spawn(
            log(&disk),
            CommitterOptions {
                max_batch: 3,
                ..Default::default()
            },
            on_fatal,
        );
        let committer = committer.unwrap();
        let handle = committer.handle();
        let good = submit(&handle, 2, &[]).recv_timeout(PATIENCE).unwrap().unwrap();
        let (begun, go) = gate(&disk);
        let failing = submit(&handle, 3, &[]);
        begun.recv_timeout(PATIENCE).unwrap();
        let waiting = [submit(&handle, 1, &[]), submit(&handle, 3, &[])];
        go.send(Some(fault)).unwrap();
        assert_eq!(was_fatal.recv_timeout(PATIENCE).unwrap(), "log_io");
        assert_eq!(
            failing.recv_timeout(PATIENCE).unwrap().unwrap_err(),
            SubmitError::Failed
        );
        for answer in waiting {
            assert_eq!(
                answer.recv_timeout(PATIENCE).unwrap().unwrap_err(),
                SubmitError::Stopped
            );
        }
        let after = handle.submit(drafts(1), vec![], |_| panic!("not accepted"));
        assert_eq!(after, Err(SubmitError::Stopped));
        let head = handle.head();
        assert_eq!(
            head.head,
            good.receipts[0].head(),
            "nothing of the batch was signed"
        );
        let flushes = disk.syncs(".seg");
        assert!(committer.shutdown().is_none());
        assert_eq!(disk.syncs(".seg"), flushes, "no flush was tried again");
        assert!(was_fatal.recv().is_err(), "called once");

        simulated.power_cut(&mut |_| 0);
        let log = log(&FailingDisk::new(simulated));
        assert_eq!(log.confirm(&head.head), Ok(()));
        assert_eq!(log.head().size, if fault == Fault::Kept { 5 } else { 2 });
    }
}

#[test]
fn shutdown_commits_what_waits() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(
        &disk,
        CommitterOptions {
            max_batch: 2,
            ..CommitterOptions::default()
        },
    );
    let handle = committer.handle();
    let (begun, go) = gate(&disk);
    let answers: Vec<_> = (0..5).map(|_| submit(&handle, 1, &[])).collect();
    begun.recv_timeout(PATIENCE).unwrap();
    let stopping = thread::spawn(move || committer.shutdown().map(|log| log.head().size));
    while handle.submit(drafts(1), vec![], |_| {}) != Err(SubmitError::Stopped) {
        // Those that still got in are committed too.
        thread::yield_now();
    }
    drop(begun);
    disk.set_plan(|_| None);
    go.send(None).unwrap();
    assert!(stopping.join().unwrap().unwrap() >= 5);
    assert!(
        answers
            .iter()
            .all(|answer| answer.recv_timeout(PATIENCE).unwrap().is_ok())
    );
}

#[test]
fn a_callback_that_panics_harms_nobody() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(&disk, CommitterOptions::default());
    let handle = committer.handle();
    let (begun, go) = gate(&disk);
    let first = submit(&handle, 1, &[]);
    begun.recv_timeout(PATIENCE).unwrap();
    handle
        .submit(drafts(1), vec![], |_| panic!("a bug elsewhere"))
        .unwrap();
    let beside = submit(&handle, 1, &[]);
    go.send(None).unwrap();
    go.send(None).unwrap();
    assert!(first.recv_timeout(PATIENCE).unwrap().is_ok());
    assert!(beside.recv_timeout(PATIENCE).unwrap().is_ok());
    go.send(None).unwrap();
    assert!(submit(&handle, 1, &[]).recv_timeout(PATIENCE).unwrap().is_ok());
}

/// A panic inside the commit, here of the clock, is a failed commit.
#[test]
fn a_panicking_commit_is_fatal() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let broken = Arc::new(AtomicBool::new(false));
    let config = LogConfig {
        segment_size: 64 << 10,
        clock: Arc::new({
            let broken = Arc::clone(&broken);
            move || {
                if broken.load(Ordering::SeqCst) {
                    panic!("no clock")
                } else {
                    0
                }
            }
        }),
        ..LogConfig::new(
            "/log".into(),
            "/keys".into(),
            signer(),
            WrappingKey::from_bytes([3; 32]),
        )
    };
    let log = Log::open(config, Arc::new(disk)).unwrap().0;
    let (fatal, was_fatal) = channel();
    let on_fatal = Box::new(move |error: &CommitError| fatal.send(error.code()).unwrap());
    let committer = Committer::spawn(log, CommitterOptions::default(), on_fatal).unwrap();
    broken.store(true, Ordering::SeqCst);
    let answer = submit(&committer.handle(), 1, &[]);
    assert_eq!(was_fatal.recv_timeout(PATIENCE).unwrap(), "commit_panicked");
    assert_eq!(
        answer.recv_timeout(PATIENCE).unwrap().unwrap_err(),
        SubmitError::Failed
    );
    assert!(committer.shutdown().is_none());
}

/// Broker and asker together: parallel requests, answers in any order, all heads settle.
#[test]
fn receipts_satisfy_the_asker() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(
        &disk,
        CommitterOptions {
            max_batch: 3,
            ..CommitterOptions::default()
        },
    );
    let handle = committer.handle();
    let mut seen = SeenHeads::new();
    for round in 0..6 {
        let mut requests: Vec<_> = (0..5)
            .map(|_| {
                let named = seen.name();
                let answer = submit(&handle, 2, &named.sizes());
                (named, answer)
            })
            .collect();
        if round % 2 == 1 {
            requests.reverse();
        }
        for (named, answer) in requests {
            let receipts = answer.recv_timeout(PATIENCE).unwrap().unwrap().receipts;
            let parts = receipts[1].to_parts();
            seen.accept(&named, check(&parts), &parts.consistency).unwrap();
        }
    }
    // One at a time, all are soon covered.
    let mut newest = None;
    for _ in 0..5_usize.div_ceil(MAX_NAMED - 1) {
        let named = seen.name();
        let receipt = &submit(&handle, 1, &named.sizes())
            .recv_timeout(PATIENCE)
            .unwrap()
            .unwrap()
            .receipts[0];
        seen.accept(&named, receipt.head(), receipt.consistency())
            .unwrap();
        newest = Some(receipt.head());
    }
    assert_eq!(
        seen.heads().collect::<Vec<_>>(),
        newest.into_iter().collect::<Vec<_>>()
    );
    // A size that the log never had gets no proof: the asker has seen another log.
    let beyond = &submit(&handle, 1, &[1_000, 1])
        .recv_timeout(PATIENCE)
        .unwrap()
        .unwrap()
        .receipts[0];
    assert_eq!(
        beyond
            .consistency()
            .iter()
            .map(|(from, _)| *from)
            .collect::<Vec<_>>(),
        [1]
    );
}
