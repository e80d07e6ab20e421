//! Erasure: what goes and what stays, on a simulated, a failing and a real disk.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

mod world;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hitmachine_audit::{
    CommitError, Disk, Draft, EraseError, EraseRequest, Erased, ErasurePlan, Group, Incomplete, Log, Period,
    ReadError, Selection, StoredContent, completeness,
    disk::testing::{Fault, OpKind},
};
use serde_json::json;
use world::{
    FEBRUARY, JANUARY, LONG, MARCH, World,
    erasing::{
        SHORT, complete, expired, kinds, month, no_hook, on_each_disk, payloads, request, three_months, told,
        used_segments,
    },
    is_log,
};

/// The whole life of some entries: committed, published, expired, erased, their segments unlinked, and what is
/// left of them after that.
#[test]
fn erased_at_the_end_of_the_term() {
    on_each_disk(|site| {
        let (mut log, _) = site.open().unwrap();
        log.commit(payloads(2, SHORT)).unwrap();
        log.commit(vec![Draft::control(&json!({"type": "policy"})).unwrap()])
            .unwrap();
        log.commit(payloads(6, SHORT)).unwrap();
        site.month(FEBRUARY);
        let head = log.commit(payloads(3, SHORT)).unwrap().signed().head;
        let leaves: Vec<_> = log.entries().map(|entry| entry.unwrap().leaf_hash).collect();
        assert_eq!(kinds(&log), "oocoooooo ooo".replace(' ', ""));
        assert_eq!(site.keys().len(), 4);
        let january = site.segments("2026-01");
        let published = site.publish(&log);

        // February is not over: nothing is expired, whatever was published.
        assert_eq!(log.plan_erasure(&expired(month(2), published)).unwrap(), None);
        // March: January is.
        site.month(MARCH);
        log.commit(payloads(1, LONG)).unwrap();
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        let uses: Vec<_> = plan
            .erasure()
            .keys
            .iter()
            .map(|use_| (use_.id, use_.group, use_.class, use_.period))
            .collect();
        assert_eq!(
            uses,
            [(1, Group::A, SHORT, month(1)), (2, Group::B, SHORT, month(1))]
        );
        assert_eq!(
            (&*plan.erasure().segments, plan.erasure().indexes.clone()),
            (&[1, 2][..], 0..9)
        );
        assert_eq!(january[..2], ["0000000001.seg", "0000000002.seg"]);
        let mut hooked = 0;
        let mut hook = |hooked_with: &ErasurePlan| {
            assert_eq!(hooked_with, &plan);
            assert_eq!(
                site.keys(),
                ["key-3.sealed", "key-4.sealed", "key-5.sealed", "key-6.sealed"]
            );
            assert_eq!(
                site.segments("2026-01")[..2],
                january[..2],
                "segments go after the index"
            );
            hooked += 1;
            Ok(())
        };
        let Erased {
            erasure,
            intent,
            batch,
        } = log.erase(&plan, &mut hook).unwrap();
        assert_eq!(hooked, 1);
        assert_eq!((&erasure, intent, batch.first_index()), (plan.erasure(), 13, 14));
        assert!(
            !site
                .segments("2026-01")
                .iter()
                .any(|name| january[..2].contains(name))
        );

        let after = |log: &Log| {
            assert_eq!(kinds(log), "eeceeeeeeoooocc", "control entries stay");
            let now = log.entries().map(|entry| entry.unwrap().leaf_hash);
            assert!(now.take(12).eq(leaves.iter().copied()), "all leaves stay");
            let first = log.read_entry(0).unwrap();
            assert_eq!((first.time_ms, first.key_ids), (0, None));
            assert_eq!(log.confirm(&head), Ok(()));
            let reader = log.reader();
            assert!(matches!(reader.leaf_entries(8..10), Err(ReadError::NoEntry(8))));
            assert_eq!(reader.leaf_entries(9..12).unwrap().len(), 3);
            let found = complete(log);
            assert_eq!(
                (found.control, found.open, found.processing_only, found.erased),
                (3, 4, 0, 8)
            );
            assert_eq!(found.first_bad, None);
            assert_eq!(
                log.plan_erasure(&expired(month(3), published)).unwrap(),
                None,
                "not twice"
            );
            assert_eq!(log.unfinished_erasure(), None);
        };
        after(&log);
        drop(log);
        let (mut log, recovery) = site.open().unwrap();
        assert_eq!(
            (recovery.unfinished_erasure, recovery.destroyed_again.len()),
            (None, 0)
        );
        after(&log);
        assert!(
            log.finish_erasure(&mut |_| panic!("nothing to finish"))
                .unwrap()
                .is_none()
        );
        // It goes on, and the next month goes the same way.
        site.month(MARCH + 31 * 86_400_000);
        log.commit(payloads(1, LONG)).unwrap();
        let published = site.publish(&log);
        let plan = log.plan_erasure(&expired(month(4), published)).unwrap().unwrap();
        assert_eq!(
            (&*plan.erasure().segments, plan.erasure().indexes.clone()),
            (&[3][..], 9..12)
        );
        log.erase(&plan, &mut no_hook).unwrap();
        let all = "eeceeeeeeeeeoccocc";
        assert_eq!(kinds(&log), all);
        assert_eq!(complete(&log).first_bad, None);
        drop(log);
        let (mut log, _) = site.open().unwrap();
        assert_eq!(kinds(&log), all);
        assert_eq!(log.confirm(&head), Ok(()));
        log.commit(payloads(1, SHORT)).unwrap();
        assert_eq!(complete(&log).first_bad, None);
    });
}

/// One group of one class; then the other; the other class and month are untouched.
#[test]
fn one_group_of_one_class() {
    on_each_disk(|site| {
        let (mut log, _) = site.open().unwrap();
        log.commit(payloads(2, SHORT)).unwrap();
        log.commit(payloads(2, LONG)).unwrap();
        site.month(FEBRUARY);
        log.commit(payloads(1, SHORT)).unwrap();
        let of = vec![(SHORT, month(1))];
        let only = |group| request(Selection::Group(group, of.clone()), 0);
        let plan = log.plan_erasure(&only(Group::B)).unwrap().unwrap();
        assert_eq!(plan.erasure().keys.len(), 1);
        log.erase(&plan, &mut no_hook).unwrap();
        assert_eq!(kinds(&log), "ppooocc");
        let found = complete(&log);
        assert_eq!(
            (found.open, found.processing_only, found.erased, found.first_bad),
            (3, 2, 0, None)
        );
        assert!(log.plan_erasure(&only(Group::B)).unwrap().is_none());
        // Then all of it.
        let both = request(Selection::Both(of.clone()), 0);
        let plan = log.plan_erasure(&both).unwrap().unwrap();
        assert_eq!(plan.erasure().keys[0].group, Group::A);
        log.erase(&plan, &mut no_hook).unwrap();
        assert_eq!(kinds(&log), "eeooocccc");
        drop(log);
        let (mut log, _) = site.open().unwrap();
        assert_eq!(kinds(&log), "eeooocccc");
        assert_eq!(complete(&log).first_bad, None);
        // Group A first is possible too; what is left of group B is not shown.
        let plan = request(Selection::Group(Group::A, vec![(LONG, month(1))]), 0);
        let plan = log.plan_erasure(&plan).unwrap().unwrap();
        log.erase(&plan, &mut no_hook).unwrap();
        assert_eq!(kinds(&log), "eeeeocccccc");
        assert_eq!(complete(&log).first_bad, None);
        // The key of the month in hand: what comes after it has another.
        let of = vec![(SHORT, month(2))];
        let plan = log
            .plan_erasure(&request(Selection::Both(of), 0))
            .unwrap()
            .unwrap();
        log.erase(&plan, &mut no_hook).unwrap();
        log.commit(payloads(1, SHORT)).unwrap();
        assert_eq!(kinds(&log), "eeeeecccccccco");
        assert_eq!(complete(&log).first_bad, None);
    });
}

/// A segment with one entry that is to be kept stays, and with it all behind it.
#[test]
fn only_a_beginning_is_unlinked() {
    let mut world = World::new(2_048);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    for (time, class) in [(JANUARY, LONG), (FEBRUARY, SHORT), (MARCH, SHORT), (MARCH, LONG)] {
        world.clock.store(time, Ordering::SeqCst);
        world.commit_of(&mut log, &disk, 2, class).unwrap();
    }
    let published = world.publish(&log);
    let plan = log.plan_erasure(&expired(month(4), published)).unwrap().unwrap();
    assert_eq!((plan.erasure().keys.len(), plan.erasure().segments.len()), (2, 0));
    log.erase(&plan, &mut no_hook).unwrap();
    world.check(&log);
    assert_eq!(kinds(&log), "ooeeoooocc");
    // The kept entry goes by other means: now both segments do.
    let of = vec![(LONG, month(1))];
    let plan = log
        .plan_erasure(&request(Selection::Both(of), published))
        .unwrap()
        .unwrap();
    assert_eq!(
        (plan.erasure().keys.len(), &*plan.erasure().segments),
        (2, &[1, 2][..])
    );
    log.erase(&plan, &mut no_hook).unwrap();
    world.check(&log);
    // The segment in hand stays though everything in it is to go.
    world.publish(&log);
    let all = expired(Period::new(2100, 1).unwrap(), u64::MAX);
    let plan = log.plan_erasure(&all).unwrap().unwrap();
    let last = *used_segments(&world).last().unwrap();
    assert_eq!(
        (plan.erasure().keys.len(), &*plan.erasure().segments),
        (4, &[3][..])
    );
    assert!(last > 3);
    log.erase(&plan, &mut no_hook).unwrap();
    world.check(&log);
    assert_eq!(kinds(&log), "eeeeeeeecccccc");
}

/// A segment of control entries alone is no reason to unlink anything, and no obstacle.
#[test]
fn segments_without_payloads() {
    let mut world = World::new(2_048);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit_of(&mut log, &disk, 2, SHORT).unwrap();
    world.clock.store(FEBRUARY, Ordering::SeqCst);
    log.commit(vec![Draft::control(&json!({"type": "policy"})).unwrap()])
        .unwrap();
    world.clock.store(MARCH, Ordering::SeqCst);
    world.commit_of(&mut log, &disk, 2, SHORT).unwrap();
    world.clock.store(MARCH + 31 * 86_400_000, Ordering::SeqCst);
    world.commit_of(&mut log, &disk, 1, LONG).unwrap();
    let segments = |log: &Log, now| {
        let published = world.publish(log);
        let plan = log.plan_erasure(&expired(month(now), published)).unwrap();
        plan.map(|plan| (plan.erasure().segments.clone(), plan))
    };
    let (first, plan) = segments(&log, 3).unwrap();
    assert_eq!(first, [1]);
    log.erase(&plan, &mut no_hook).unwrap();
    assert!(segments(&log, 4).is_none(), "segment 2 alone");
    let (rest, plan) = segments(&log, 5).unwrap();
    assert_eq!(rest, [2, 3]);
    log.erase(&plan, &mut no_hook).unwrap();
    world.check(&log);
    assert_eq!(kinds(&log), "eeceeocccc");
    drop(log);
    assert_eq!(kinds(&world.reopen().0), "eeceeocccc");
}

/// Year in, year out: what tells of one erasure is itself unlinked by a later one, and still counts; so does
/// what tells of a torn end.
#[test]
fn erasures_of_erasures() {
    let mut world = World::new(2_048);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit_of(&mut log, &disk, 2, SHORT).unwrap();
    disk.set_plan(|op| (op.kind == OpKind::Write && is_log(op)).then_some(Fault::Short(300)));
    world.commit_of(&mut log, &disk, 1, SHORT).unwrap_err();
    drop(log);
    world.disk.crash();
    for at in 1..=12 {
        let disk = world.failing();
        let (mut log, recovery) = world.open(&disk).unwrap();
        assert_eq!(recovery.torn.is_some(), at == 1);
        world
            .clock
            .store(JANUARY + (at - 1) * 2_680_000_000, Ordering::SeqCst);
        world.commit_of(&mut log, &disk, 2, SHORT).unwrap();
        let published = world.publish(&log);
        let now = Period::of_unix_ms(world.clock.load(Ordering::SeqCst));
        assert_eq!(now, month(u8::try_from(at).unwrap()));
        if let Some(plan) = log.plan_erasure(&expired(now, published)).unwrap() {
            assert!(!plan.erasure().segments.is_empty());
            log.erase(&plan, &mut no_hook).unwrap();
        }
        world.check(&log);
        assert_eq!(World::recovered(&log).len(), 1, "month {at}");
    }
    let (log, _) = world.reopen();
    assert_eq!(told(&log), (10, 10));
    // The first of them are in no frame any more.
    let first = log.reader().leaf_entries(0..1).unwrap_err();
    assert!(matches!(first, ReadError::NoEntry(0)));
    let framed = (0..log.head().size).find(|index| log.reader().leaf_entries(*index..index + 1).is_ok());
    let unlinked = log.entries().take(usize::try_from(framed.unwrap()).unwrap());
    let controls =
        unlinked.filter(|entry| matches!(entry.as_ref().unwrap().content, StoredContent::Control(_)));
    assert!(controls.count() > 8);
}

/// Ids of destroyed keys are not given out again, though no frame and no file knows of them any more.
#[test]
fn ids_of_erased_keys_stay_used() {
    let mut world = World::new(2_048);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit_of(&mut log, &disk, 1, SHORT).unwrap();
    world.clock.store(FEBRUARY, Ordering::SeqCst);
    log.commit(vec![Draft::control(&json!({"type": "policy"})).unwrap()])
        .unwrap();
    let published = world.publish(&log);
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    log.erase(&plan, &mut no_hook).unwrap();
    drop(log);
    assert_eq!(used_segments(&world), [2]);
    world.disk.unlink(Path::new("/keys/next-key-id")).unwrap();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.check(&log);
    world.commit_of(&mut log, &disk, 1, SHORT).unwrap();
    assert_eq!(log.read_entry(4).unwrap().key_ids, Some([3, 4]));
    world.check(&log);
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let (world, published) = three_months();
    let (mut log, _) = world.open(&world.failing()).unwrap();
    let size = log.head().size;
    for (ground, by) in [
        ("", "hub"),
        ("retention", ""),
        ("a\nb", "hub"),
        ("retention", "\u{7f}"),
    ] {
        let request = EraseRequest {
            ground: ground.to_owned(),
            by: by.to_owned(),
            ..expired(month(3), published)
        };
        assert!(
            matches!(log.plan_erasure(&request), Err(EraseError::Text)),
            "{ground:?} {by:?}"
        );
    }
    let long = |bytes| EraseRequest {
        ground: "x".repeat(bytes),
        ..expired(month(3), published)
    };
    assert!(matches!(log.plan_erasure(&long(256)), Err(EraseError::Text)));
    assert!(log.plan_erasure(&long(255)).unwrap().is_some());
    assert_eq!(log.plan_erasure(&expired(month(1), published)).unwrap(), None);
    // The second of two plans no longer fits, whether keys or segments are gone.
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    let keys = log.plan_erasure(&expired(month(3), 0)).unwrap().unwrap();
    log.erase(&keys, &mut no_hook).unwrap();
    assert!(matches!(log.erase(&plan, &mut no_hook), Err(EraseError::Stale)));
    assert!(matches!(log.erase(&keys, &mut no_hook), Err(EraseError::Stale)));
    let segments = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    log.erase(&segments, &mut no_hook).unwrap();
    assert!(matches!(
        log.erase(&segments, &mut no_hook),
        Err(EraseError::Stale)
    ));
    assert_eq!(log.head().size, size + 4);
    world.check(&log);
    // Only the log itself speaks of erasures.
    assert_eq!(
        Draft::control(&json!({"type": "erase-done"})).unwrap_err().code(),
        "control_reserved"
    );
}

/// An intent that would not leave room for its end is not begun.
#[test]
fn an_erasure_that_cannot_be_logged_is_not_begun() {
    let mut world = World::new(800);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit_of(&mut log, &disk, 1, SHORT).unwrap();
    let mut request = expired(month(3), 0);
    let mut begun = 0;
    for bytes in 1..=255 {
        let mut world = world.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        (request.ground, request.by) = ("g".repeat(bytes), "b".repeat(255));
        let plan = log.plan_erasure(&request).unwrap().unwrap();
        let ops = disk.ops().len();
        match log.erase(&plan, &mut no_hook) {
            Ok(_) => begun += 1,
            Err(error) => {
                assert!(
                    matches!(error, EraseError::Commit(CommitError::TooLarge)),
                    "{error}"
                );
                assert!(!error.is_fatal());
                assert_eq!((disk.ops().len(), told(&log)), (ops, (0, 0)));
                assert_eq!(log.unfinished_erasure(), None);
                world.commit(&mut log, &disk, 1).unwrap();
            }
        }
        world.check(&log);
    }
    assert!(begun > 20 && begun < 235, "{begun}");
}

/// More than one bundle, and a beginning that ends inside one; partial bundles that become full.
#[test]
fn many_entries_and_bundles() {
    on_each_disk(|site| {
        let (mut log, _) = site.open().unwrap();
        for _ in 0..84 {
            log.commit(payloads(3, SHORT)).unwrap();
        }
        for _ in 0..20 {
            log.commit(vec![Draft::control(&json!({"type": "policy"})).unwrap()])
                .unwrap();
            log.commit(payloads(3, SHORT)).unwrap();
        }
        site.publish(&log); // one full, one partial
        site.month(FEBRUARY);
        for _ in 0..50 {
            log.commit(payloads(3, LONG)).unwrap();
        }
        let (published, head) = (site.publish(&log), log.head());
        assert_eq!(published, 482);
        let leaves: Vec<_> = log.entries().map(|entry| entry.unwrap().leaf_hash).collect();
        let before = kinds(&log);
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        assert_eq!(plan.erasure().indexes, 0..332);
        log.erase(&plan, &mut no_hook).unwrap();
        let after = before[..332].replace('o', "e") + &before[332..] + "cc";
        assert_eq!(kinds(&log), after);
        let check = |log: &Log| {
            assert_eq!(kinds(log), after);
            let now = log.entries().map(|entry| entry.unwrap().leaf_hash);
            assert!(now.take(482).eq(leaves.iter().copied()));
            for (from, to) in [
                (0, 1),
                (250, 260),
                (255, 256),
                (256, 257),
                (300, 340),
                (331, 333),
                (332, 400),
            ] {
                let range: Vec<u64> = log
                    .reader()
                    .entries(from..to)
                    .map(|entry| entry.unwrap().index)
                    .collect();
                assert!(range.into_iter().eq(from..to), "{from}..{to}");
            }
            assert_eq!(log.confirm(&head), Ok(()));
            assert_eq!(complete(log).first_bad, None);
        };
        check(&log);
        drop(log);
        let (mut log, _) = site.open().unwrap();
        check(&log);
        // The partial bundle becomes full; the log opens from that too.
        for _ in 0..20 {
            log.commit(payloads(3, LONG)).unwrap();
        }
        site.publish(&log);
        drop(log);
        let partial = site.base.join("log/tiles/tile/entries/001.p");
        for entry in site.disk.list(&partial).unwrap() {
            site.disk.unlink(&partial.join(entry.name)).unwrap();
        }
        let (log, _) = site.open().unwrap();
        assert!(kinds(&log).starts_with(&after));
        assert_eq!(complete(&log).first_bad, None);
    });
}

/// Readers go on while segments are unlinked under them.
#[test]
fn reading_while_erasing() {
    on_each_disk(|site| {
        let (mut log, _) = site.open().unwrap();
        for _ in 0..60 {
            log.commit(payloads(3, SHORT)).unwrap();
        }
        site.month(MARCH);
        log.commit(payloads(3, LONG)).unwrap();
        let published = site.publish(&log);
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        assert!(plan.erasure().segments.len() > 20);
        let (reader, size) = (log.reader(), log.head().size);
        let stop = Arc::new(AtomicU64::new(0));
        let (stopped, begun) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
        let has_begun = Arc::clone(&begun);
        let thread = std::thread::spawn(move || {
            while stopped.load(Ordering::SeqCst) == 0 {
                let all = reader.entries(0..size).map(|entry| entry.unwrap().index);
                assert!(all.eq(0..size));
                let found = completeness(&reader, &mut |_, _| {});
                let bad = found.first_bad.map(|(_, reason)| reason);
                assert!(matches!(bad, None | Some(Incomplete::Unfinished(_))), "{bad:?}");
                has_begun.fetch_add(1, Ordering::SeqCst);
            }
        });
        while begun.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        log.erase(&plan, &mut no_hook).unwrap();
        let then = begun.load(Ordering::SeqCst);
        while begun.load(Ordering::SeqCst) < then + 2 && !thread.is_finished() {
            std::thread::yield_now();
        }
        stop.store(1, Ordering::SeqCst);
        thread.join().unwrap();
        assert_eq!(complete(&log).first_bad, None);
    });
}
