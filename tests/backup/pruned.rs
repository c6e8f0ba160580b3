//! What goes is what a dry run says, and what stays can be restored.

use mainstay::backup::{Keep, list, plan, prune};
use mainstay::journal::plant::Until;

use crate::journal::{Rig, now};

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
