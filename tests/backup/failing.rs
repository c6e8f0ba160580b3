//! A process that ends, or a store that fails, at any request: what was there stays whole, and the next
//! run completes it.

use std::sync::Arc;
use std::time::Duration;

use mainstay::backup::{BackupError, Keep, Target, TargetError, list, prune};
use mainstay::journal::ReadLog as _;
use mainstay::journal::plant::Until;
use object_store::memory::InMemory;

use crate::journal::{Rig, now};
use crate::requests::Failing;

/// A target over a store that can fail.
fn rig() -> (Rig, Failing) {
    let store = Failing::over(Arc::new(InMemory::new()));
    let target = Target::over(Arc::new(store.clone()), "failing".to_owned()).unwrap();
    // Who is cut off lets no lock go: the next one waits for four beats.
    let target = target.with_beat(Duration::from_millis(10));
    (Rig { target, ..Rig::new() }, store)
}

const GIVEN: u64 = 1_000_000;

#[test]
fn a_backup_that_ends_at_any_request_leaves_the_target_whole_and_the_next_completes_it() {
    let (rig, store) = rig();
    let first = rig.grown(5).manifest;
    let mut cut = 0;
    for requests in 0.. {
        rig.grow(1);
        store.after(requests);
        let taken = rig.back_up();
        store.after(GIVEN);
        let newest = list(&rig.target).unwrap().backups.remove(0);
        let restored = rig.restore_as(&format!("r-{requests}"), &copy(&rig)).unwrap();
        match taken {
            // Its name is the last thing that counts; to let the lock go is not needed.
            Ok(taken) => {
                assert_eq!(newest.manifest, taken.manifest);
                assert_eq!(restored.fork, rig.reader().head());
                if store.served(GIVEN) > 0 && cut > 10 {
                    break;
                }
            },
            Err(error) => {
                assert!(
                    matches!(error, BackupError::Target(TargetError::Failed { .. })),
                    "{error}"
                );
                // Whatever was shipped before it ended is there, and is a whole prefix.
                assert!(restored.fork.position >= first.position);
                cut += 1;
            },
        }
        assert!(requests < 200, "a backup never ends");
    }
    assert!(cut > 10, "{cut}");
}

#[test]
fn a_prune_that_ends_at_any_request_is_completed_by_the_next() {
    let keep = Keep { daily: 1, weekly: 0, monthly: 0, within_ms: 0 };
    let mut cut = 0;
    for requests in 0.. {
        let (rig, store) = rig();
        for _ in 0..4 {
            rig.grown(1);
        }
        store.after(requests);
        let pruned = prune(&rig.target, &keep, now(), &mut |_, _| {});
        store.after(GIVEN);
        let left = list(&rig.target).unwrap();
        assert!(left.bad.is_empty() && !left.backups.is_empty());
        for (index, backup) in left.backups.iter().enumerate() {
            let mut restoring = copy(&rig);
            restoring.backup = Some(&backup.manifest.id);
            let restored = rig.restore_as(&format!("r-{index}"), &restoring).unwrap();
            assert_eq!(restored.fork, backup.manifest.head());
        }
        let again = prune(&rig.target, &keep, now(), &mut |_, _| {}).unwrap();
        let left = list(&rig.target).unwrap().backups.len();
        assert_eq!(left, again.kept.len());
        if pruned.is_ok() {
            break;
        }
        cut += 1;
    }
    assert!(cut > 8, "{cut}");
}

#[test]
fn a_restore_that_ends_at_any_request_makes_no_journal_and_the_next_one_does() {
    let (rig, store) = rig();
    rig.grown(5);
    rig.grown(5);
    let mut cut = 0;
    for requests in 0.. {
        store.after(requests);
        let restored = rig.restore_as("new", &copy(&rig));
        store.after(GIVEN);
        if restored.is_ok() {
            break;
        }
        assert!(mainstay::journal::Reader::open(rig.path("new")).is_err());
        cut += 1;
    }
    assert!(cut > 5, "{cut}");
    let restored = mainstay::journal::Reader::open(rig.path("new")).unwrap();
    assert!(restored.head().position > rig.reader().head().position);
}

#[test]
fn a_target_without_room_says_so_and_keeps_what_it_had() {
    let (rig, store) = rig();
    let first = rig.grown(5).manifest;
    rig.grow(5);
    store.full.store(true, std::sync::atomic::Ordering::SeqCst);
    store.after(9);
    let refused = rig.back_up().unwrap_err();
    assert!(matches!(refused, BackupError::Target(TargetError::NoRoom { .. })), "{refused}");
    store.after(GIVEN);
    assert_eq!(list(&rig.target).unwrap().backups.remove(0).manifest, first);
    rig.back_up().unwrap();
}

/// A restore that leaves the target as it is.
fn copy(rig: &Rig) -> mainstay::backup::Restoring<'_> {
    mainstay::backup::Restoring { claim: false, ..rig.restoring(Until::End) }
}
