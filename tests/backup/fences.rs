//! A new epoch: tokens rise, what was held is over, who still writes in the old one is refused.

use mainstay::Client;
use mainstay::backup::BackupError;
use mainstay::journal::plant::Until;
use mainstay::journal::{ReadLog as _, Reader};
use mainstay::session::SessionError;

use crate::journal::{Rig, TTL};

#[test]
fn tokens_rise_and_leases_and_sessions_from_before_are_over() {
    let rig = Rig::new();
    let (token, session) = rig.with(&rig.data(), async |client: Client| {
        let lease = client.lock("room-101").acquire("anna", TTL).await.unwrap();
        let session = client.sessions().create("ann", TTL).await.unwrap().session;
        let (token, id) = (lease.token(), session.id().to_owned());
        // As a process that dies: it gives nothing back.
        std::mem::forget(lease);
        (token, id)
    });
    rig.back_up().unwrap();
    // The history that is left goes on, and gives a token that no backup knows.
    let later = rig.with(&rig.data(), async |client: Client| {
        client.lock("other").acquire("ben", TTL).await.unwrap().token()
    });
    rig.restore("new", Until::End).unwrap();
    let anew = rig.with(&rig.path("new"), async |client: Client| {
        let gone = client.session(&session).get().await;
        assert_eq!(gone, Err(SessionError::NotFound));
        let lease = client.lock("room-101").acquire("ben", TTL).await.unwrap();
        lease.token()
    });
    assert!(anew > token && anew > later, "{anew} {token} {later}");
}

#[test]
fn a_writer_of_an_older_epoch_is_refused_by_the_target_and_a_new_one_goes_on() {
    let rig = Rig::new();
    let first = rig.grown(20).manifest;
    let restored = rig.restore("new", Until::Position(first.position / 2)).unwrap();
    assert_eq!(restored.epoch, 2);
    rig.grow(3);
    let refused = rig.back_up().unwrap_err();
    assert!(matches!(refused, BackupError::Fenced(_)), "{refused}");

    // The restored one ships into the same target, from the fork on.
    let data = rig.path("new");
    rig.with(&data, async |client: Client| {
        client.lock("new").acquire("anna", TTL).await.unwrap().release().await.unwrap();
    });
    let reader = Reader::open(&data).unwrap();
    let now = crate::journal::now();
    let taken =
        mainstay::backup::take(&data, &reader, &rig.target, &rig.recipients, now, &mut |_, _| {});
    let manifest = taken.unwrap().manifest;
    assert_eq!((manifest.epoch, manifest.position), (2, reader.head().position));
    let again = rig.restore("again", Until::End).unwrap();
    assert_eq!((again.fork, again.epoch), (reader.head(), 3));
    // The history that was left can still be looked at.
    let mut left = rig.restoring(Until::Position(first.position));
    (left.of_epoch, left.claim) = (Some(1), false);
    let left = rig.restore_as("left", &left).unwrap();
    assert_eq!(left.fork, first.head());
}

#[test]
fn a_clock_behind_the_target_is_refused() {
    let rig = Rig::new();
    rig.grown(3);
    let mut restoring = rig.restoring(Until::End);
    let now = restoring.now.as_micros();
    restoring.now = mainstay::actors::time::Timestamp::from_micros(now - 3_600_000_000);
    let refused = rig.restore_as("new", &restoring).unwrap_err();
    assert!(matches!(refused, BackupError::Clock { .. }), "{refused}");
    assert!(!rig.path("new").exists());
}

#[test]
fn another_journal_and_another_history_of_this_one_are_refused() {
    let rig = Rig::new();
    let manifest = rig.grown(10).manifest;
    let other = Rig::new();
    other.grow(3);
    let refused = other.back_up_to(&rig.target).unwrap_err();
    assert!(matches!(refused, BackupError::Foreign { .. }), "{refused}");

    // A copy of the directory that went on by itself, as another machine's would.
    let copy = Rig::new();
    copy_dir(&rig.data(), &copy.data());
    rig.grow(2);
    rig.back_up().unwrap();
    copy.grow(5);
    let refused = copy.back_up_to(&rig.target).unwrap_err();
    let BackupError::Diverged { epoch: 1, position, .. } = refused else { panic!("{refused}") };
    assert_eq!(position, manifest.position + 1);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
