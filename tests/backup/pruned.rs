//! What goes is what a dry run says, and what stays can be restored.

use mainstay::backup::{Keep, list, plan, prune};
use mainstay::journal::plant::Until;

use crate::journal::{Rig, now};

#[test]
fn what_a_restore_has_left_within_the_window_can_still_be_had_after_a_prune() {
    let rig = Rig::new();
    let first = rig.grown(3).manifest;
    rig.grow(3);
    let second = rig.back_up().unwrap().manifest;
    rig.restore("new", Until::Position(first.position)).unwrap();
    let reader = mainstay::journal::Reader::open(rig.path("new")).unwrap();
    let (data, now) = (rig.path("new"), now());
    let taken =
        mainstay::backup::take(&data, &reader, &rig.target, &rig.recipients, now, &mut |_, _| {});
    assert_eq!(taken.unwrap().manifest.epoch, 2);
    for within_ms in [3_600_000, 0] {
        let keep = Keep { daily: 1, weekly: 0, monthly: 0, within_ms };
        prune(&rig.target, &keep, crate::journal::now(), &mut |_, _| {}).unwrap();
        let mut left = rig.restoring(Until::Position(second.position));
        (left.of_epoch, left.claim) = (Some(1), false);
        let name = format!("left-{within_ms}");
        assert_eq!(rig.restore_as(&name, &left).is_ok(), within_ms > 0);
    }
}

#[test]
fn what_a_backup_names_is_never_joined_away_whatever_its_name_and_clock() {
    let rig = Rig::new();
    let mut made = Vec::new();
    // The first one's clock runs ahead; the others are of one second.
    for ahead_ms in [3_600_000, 0, 0, 0] {
        rig.grow(1);
        let (reader, data) = (rig.reader(), rig.data());
        let at = now().plus_ms(ahead_ms);
        let taken = mainstay::backup::take(
            &data,
            &reader,
            &rig.target,
            &rig.recipients,
            at,
            &mut |_, _| {},
        );
        made.push(taken.unwrap().manifest);
    }
    for (index, backup) in made.iter().enumerate() {
        let mut restoring = rig.restoring(Until::End);
        (restoring.backup, restoring.claim) = (Some(backup.id.as_str()), false);
        restoring.accept_clock = true;
        let restored = rig.restore_as(&format!("m-{index}"), &restoring).unwrap();
        assert_eq!(restored.fork, backup.head());
    }
    assert!(rig.restore("late", Until::End).is_err(), "its clock is behind the first one's");
}

#[test]
fn a_dry_run_says_what_goes_and_every_backup_that_stays_is_whole() {
    let rig = Rig::new();
    let mut backups = Vec::new();
    for _ in 0..6 {
        backups.push(rig.grown(2).manifest);
    }
    // All of them are of one day: one stays, but for the window.
    let keep = Keep { daily: 7, weekly: 4, monthly: 12, within_ms: 0 };
    let planned = plan(&rig.target, &keep, now()).unwrap();
    let before: Vec<_> = rig.target.list("").unwrap();
    assert_eq!(list(&rig.target).unwrap().backups.len(), 6, "a dry run changes nothing");
    let pruned = prune(&rig.target, &keep, now(), &mut |_, _| {}).unwrap();
    assert_eq!(planned, pruned);
    assert!(pruned.dropped.len() >= 4, "{}", pruned.dropped.len());
    let left: Vec<_> = list(&rig.target).unwrap().backups;
    let kept: Vec<_> = pruned.kept.iter().map(|(it, _)| it.clone()).collect();
    assert_eq!(left, kept);
    let gone = before.len() - rig.target.list("").unwrap().len();
    // Its lock is one object more and one less.
    assert_eq!(gone, pruned.dropped.len() + pruned.objects());
    for (index, backup) in left.iter().enumerate() {
        let mut restoring = rig.restoring(Until::End);
        restoring.backup = Some(&backup.manifest.id);
        let restored = rig.restore_as(&format!("r-{index}"), &restoring).unwrap();
        assert_eq!(restored.fork, backup.manifest.head());
    }
    // Nothing more goes the next time.
    let again = prune(&rig.target, &keep, now(), &mut |_, _| {}).unwrap();
    assert!(again.dropped.is_empty() && again.objects() == 0);
}
