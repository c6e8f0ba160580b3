//! A disk that fills up, fails or is slow: what is said is true, and reads go on.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed setup is a failed test"
)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::{
    EventLog as _, LocalLog, Options, Outcome, ReadLog as _, Refusal, Turn, Writer,
};

fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 5000,
        store: false,
        spares: 0,
        disk: Arc::new(disk.clone()),
        journal_id: Some([7; 16]),
        ..Options::default()
    }
}

fn open(disk: &SimDisk) -> (LocalLog, Writer, Outcomes) {
    let outcomes = Outcomes::default();
    let (log, writer) = LocalLog::open_manual("/j", &options(disk), outcomes.clone()).unwrap();
    (log, writer, outcomes)
}

fn count(log: &LocalLog) -> u64 {
    let mut count = 0;
    log.scan(1, u64::MAX, &mut |_| {
        count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    count
}

#[test]
fn a_full_disk_refuses_and_resumes_by_itself_when_there_is_room() {
    let disk = SimDisk::default();
    let (log, mut writer, outcomes) = open(&disk);
    let mut committed = 0;
    let mut activation = 0;
    for round in 0..200_u64 {
        let full = (round / 20) % 2 == 1;
        let used: u64 =
            disk.files().iter().map(|path| disk.bytes(path).unwrap().len() as u64).sum();
        disk.set_capacity(full.then_some(used + round % 3 * 100));
        for n in 0..3 {
            activation += 1;
            let mut next = append(&format!("s/{round}-{n}"), 0, 2, round);
            next.activation = activation;
            log.submit(next).unwrap();
        }
        let before = outcomes.all().len();
        assert_eq!(writer.turn(), Turn::Group(3));
        for outcome in &outcomes.all()[before..] {
            if full {
                assert_eq!(*outcome, Outcome::Refused(Refusal::NoRoom));
            } else {
                assert_eq!(*outcome, Outcome::Committed { first: committed + 1, count: 2 });
                committed += 2;
            }
        }
        assert_eq!(log.status().refusing, full.then_some(Refusal::NoRoom));
        assert_eq!(count(&log), committed);
    }
    drop((log, writer));
    let disk = disk.power_cut(Loss::Some, 3);
    let (log, ..) = open(&disk);
    assert_eq!((log.head().position, count(&log)), (committed, committed));
}

#[test]
fn a_refusal_for_lack_of_room_supersedes_later_appends_of_the_activation() {
    let disk = SimDisk::default();
    let (log, mut writer, outcomes) = open(&disk);
    log.submit(append("s/1", 0, 1, 1)).unwrap();
    writer.turn();
    disk.set_capacity(Some(0));
    log.submit(append("s/1", 1, 1, 1)).unwrap();
    writer.turn();
    disk.set_capacity(None);
    log.submit(append("s/1", 2, 1, 1)).unwrap();
    let mut young = append("s/1", 1, 1, 1);
    young.activation = 2;
    log.submit(young).unwrap();
    writer.turn();
    let wanted = [
        Outcome::Committed { first: 1, count: 1 },
        Outcome::Refused(Refusal::NoRoom),
        Outcome::Refused(Refusal::Superseded),
        Outcome::Committed { first: 2, count: 1 },
    ];
    assert_eq!(outcomes.all(), wanted);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_reads_go_on() {
    for nth in 1..40 {
        after_failure(|disk| disk.fail_sync(nth), nth);
    }
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_and_reads_go_on() {
    for nth in 1..40 {
        after_failure(|disk| disk.fail_write(nth), nth);
    }
}

fn after_failure(fail: impl Fn(&SimDisk), seed: u64) {
    let disk = SimDisk::default();
    let (log, mut writer, outcomes) = open(&disk);
    fail(&disk);
    for round in 0..50_u64 {
        log.submit(append(&format!("s/{round}"), 0, 3, round)).unwrap();
        writer.turn();
    }
    let all = outcomes.all();
    let good = all.iter().take_while(|o| matches!(o, Outcome::Committed { .. })).count();
    assert!(good < 50, "the fault never struck");
    assert!(matches!(all[good], Outcome::Unknown(_)), "{:?}", all[good]);
    for later in &all[good + 1..] {
        assert!(matches!(later, Outcome::Refused(Refusal::Poisoned(_))), "{later:?}");
    }
    let acknowledged = good as u64 * 3;
    assert_eq!(log.head().position, acknowledged);
    assert_eq!(count(&log), acknowledged);
    assert!(matches!(log.status().refusing, Some(Refusal::Poisoned(_))));
    drop((log, writer));
    for loss in [Loss::All, Loss::Some, Loss::Torn] {
        let (log, ..) = open(&disk.power_cut(loss, seed));
        let head = log.head().position;
        assert!(head == acknowledged || head == acknowledged + 3, "{head} after {acknowledged}");
        assert_eq!(count(&log), head);
    }
}

#[test]
fn no_reader_sees_an_event_whose_sync_is_held() {
    let disk = SimDisk::default();
    let outcomes = Outcomes::default();
    let log = LocalLog::open("/j", &options(&disk), outcomes.clone()).unwrap();
    log.submit(append("s/1", 0, 1, 1)).unwrap();
    log.wait_beyond(0, Duration::from_secs(10));
    disk.hold_syncs(true);
    log.submit(append("s/1", 1, 2, 1)).unwrap();
    let path = disk.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "seg"));
    let path = path.unwrap();
    let before = log.status().size_bytes;
    // Wait for the write, not for time: the bytes are in the file, the sync is held.
    while (disk.bytes(&path).unwrap().len() as u64) <= before {
        std::thread::yield_now();
    }
    let stream = mainstay_journal::conformance::stream("s/1");
    assert_eq!(count(&log), 1);
    assert_eq!(log.head().position, 1);
    assert_eq!(log.stream_head(&stream, u64::MAX).unwrap().version, 1);
    let mut found = 0;
    for back in [false, true] {
        let query = mainstay_journal::Query { stream: Some(stream.clone()), ..Default::default() };
        let visit = &mut |_: mainstay_journal::RecordRef<'_>| {
            found += 1;
            ControlFlow::Continue(())
        };
        if back { log.find_back(&query, visit) } else { log.find(&query, visit) }.unwrap();
    }
    assert_eq!(found, 2);
    assert_eq!(outcomes.all().len(), 1);
    disk.hold_syncs(false);
    assert_eq!(log.wait_beyond(1, Duration::from_secs(10)).position, 3);
    log.close();
    assert_eq!(outcomes.all().len(), 2);
    assert_eq!(log.stream_head(&stream, u64::MAX).unwrap().version, 3);
}
