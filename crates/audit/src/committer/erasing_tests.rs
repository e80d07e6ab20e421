use super::*;
use crate::{EraseError, EraseRequest, Erased, ErasurePlan, Period, Selection, StoredContent, completeness};

fn request() -> EraseRequest {
    EraseRequest {
        selection: Selection::Both(vec![(RetentionClass(60), Period::of_unix_ms(1_767_225_600_000))]),
        ground: "court order 1".to_owned(),
        by: "hub".to_owned(),
        published: 0,
    }
}

type ErasureAnswer = Result<Option<Erased>, EraseError>;

/// Queues an erasure; says in the channels when its hook is called, and its result.
fn erase(
    handle: &CommitHandle,
    hook: impl Fn() -> io::Result<()> + Send + 'static,
) -> (Receiver<u32>, Receiver<ErasureAnswer>) {
    let ((hooked, has_hooked), (sender, receiver)) = (channel(), channel());
    let after_keys = move |plan: &ErasurePlan| {
        let _ = hooked.send(plan.erasure().keys[0].id);
        hook()
    };
    let done = move |result| sender.send(result).unwrap();
    handle.erase(request(), after_keys, done).unwrap();
    (has_hooked, receiver)
}

/// Between two batches, in the order of the queue; the others wait.
#[test]
fn an_erasure_takes_its_turn() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(&disk, CommitterOptions::default());
    let handle = committer.handle();
    let (_, nothing) = erase(&handle, || panic!("nothing is erased"));
    assert!(nothing.recv_timeout(PATIENCE).unwrap().unwrap().is_none());

    let (begun, go) = gate(&disk);
    let first = submit(&handle, 2, &[]);
    begun.recv_timeout(PATIENCE).unwrap();
    let second = submit(&handle, 1, &[]);
    let (hooked, erased) = erase(&handle, || Ok(()));
    let third = submit(&handle, 1, &[]);
    // First, second, intent.
    for size in [0, 2, 3] {
        assert_eq!(handle.head().head.size, size);
        go.send(None).unwrap();
        begun.recv_timeout(PATIENCE).unwrap();
    }
    // Done is at its flush: the keys are gone, nothing was answered.
    assert_eq!(hooked.try_recv().unwrap(), 1);
    assert_eq!(handle.head().head.size, 4);
    assert!(first.try_recv().unwrap().is_ok() && second.try_recv().unwrap().is_ok());
    assert!(erased.try_recv().is_err() && third.try_recv().is_err());
    let entry = handle.reader().read_entry(1).unwrap();
    assert_eq!(entry.content, StoredContent::Erased);
    go.send(None).unwrap();
    let erased = erased.recv_timeout(PATIENCE).unwrap().unwrap().unwrap();
    assert_eq!((erased.intent, erased.batch.first_index()), (3, 4));
    begun.recv_timeout(PATIENCE).unwrap();
    go.send(None).unwrap();
    let receipt = third.recv_timeout(PATIENCE).unwrap().unwrap().receipts;
    assert_eq!(receipt[0].leaf_index(), 5);
    check(&receipt[0].to_parts());
    let stats = handle.stats();
    assert_eq!((stats.entries, stats.batches, stats.flushes), (6, 5, 5));

    let reader = handle.reader();
    let found = completeness(&reader, &mut |_, _| {});
    assert_eq!(
        (found.entries, found.control, found.open, found.erased),
        (6, 2, 1, 3)
    );
    assert_eq!(found.first_bad, None);
    assert_eq!(committer.shutdown().unwrap().head(), reader.head());
}

#[test]
fn a_refused_erasure_harms_nothing() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let committer = spawn(&disk, CommitterOptions::default());
    let handle = committer.handle();
    let (sender, receiver) = channel::<ErasureAnswer>();
    let bad = EraseRequest {
        ground: String::new(),
        ..request()
    };
    let done = move |result| sender.send(result).unwrap();
    handle.erase(bad, |_| panic!("not begun"), done).unwrap();
    let refused = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(refused, Err(EraseError::Text)));
    submit(&handle, 1, &[]).recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(committer.shutdown().is_some());
    assert_eq!(
        handle.erase(request(), |_| Ok(()), |_| {}),
        Err(SubmitError::Stopped)
    );
}

/// Also a hook that panics: what waits behind it is told, and the log is not gone on with.
#[test]
fn a_failed_erasure_is_fatal() {
    for (panics, code) in [(false, "erase_hook"), (true, "commit_panicked")] {
        let disk = FailingDisk::new(SimulatedDisk::new());
        let (fatal, was_fatal) = channel();
        let on_fatal = Box::new(move |error: &CommitError| fatal.send(error.code()).unwrap());
        let committer = Committer::spawn(log(&disk), CommitterOptions::default(), on_fatal).unwrap();
        let handle = committer.handle();
        submit(&handle, 1, &[]).recv_timeout(PATIENCE).unwrap().unwrap();
        let (begun, go) = gate(&disk);
        let (_, failed) = erase(&handle, move || {
            assert!(!panics, "the hook panics");
            Err(io::Error::other("index in use"))
        });
        begun.recv_timeout(PATIENCE).unwrap();
        let behind = submit(&handle, 1, &[]);
        let (_, erased_behind) = erase(&handle, || Ok(()));
        go.send(None).unwrap();
        assert_eq!(was_fatal.recv_timeout(PATIENCE).unwrap(), code);
        let failed = failed.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!((failed.code(), failed.is_fatal()), (code, true));
        let behind = behind.recv_timeout(PATIENCE).unwrap();
        assert_eq!(behind.unwrap_err(), SubmitError::Stopped);
        let behind = erased_behind.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!(behind.code(), "log_stopped");
        assert!(committer.shutdown().is_none());
    }
}
