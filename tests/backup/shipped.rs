//! The uploader: within a second, one at a time, loud when it cannot.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mainstay::backup::{BackupError, Duty, Keep, News, Place, Schedule, Target, Uploader, list};
use mainstay::config::Span;
use mainstay::journal::plant::Until;
use mainstay::journal::{EventLog, LocalLog, Options, Outcome, ReadLog as _};

use crate::journal::{Rig, now};

const KEEP: Keep = Keep { daily: 7, weekly: 4, monthly: 12, within_ms: 3_600_000 };

fn duty(rig: &Rig, every_ms: u64) -> Duty {
    Duty {
        data: rig.data(),
        place: Place::Directory(rig.path("target")),
        recipients: rig.recipients.clone(),
        continuous: true,
        schedule: Schedule::Every(Span::from_ms(every_ms)),
        keep: KEEP,
        alarm_after_ms: 3_000,
    }
}

/// An uploader of the rig's journal, and its news.
fn start(rig: &Rig, duty: Duty) -> (Uploader, Receiver<News>, Arc<LocalLog>) {
    let options = Options { store: false, ..Options::default() };
    let log = Arc::new(LocalLog::open(rig.data(), &options, |_: u32, _: Vec<Outcome>| {}).unwrap());
    let (tell, news) = channel();
    let tell = std::sync::Mutex::new(tell);
    let tell = Box::new(move |told| drop(tell.lock().unwrap().send(told)));
    let uploader =
        Uploader::start(duty, Arc::clone(&log) as Arc<dyn EventLog>, tell, Arc::new(now));
    (uploader.unwrap(), news, log)
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn clock() -> Instant {
    Instant::now()
}

fn until(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let began = clock();
    while !holds() {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn append(log: &LocalLog, version: u64) {
    let next = mainstay::journal::conformance::append("s/1", version, 1, now().as_micros());
    assert!(log.submit(next).is_ok());
}

#[test]
fn every_event_is_in_the_target_within_a_second_and_a_backup_is_made_when_it_is_due() {
    let rig = Rig::on_disk();
    rig.grow(2);
    let (uploader, news, log) = start(&rig, duty(&rig, 3_600_000));
    let made = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(made, News::Made { .. }), "the first is due at once: {made:?}");
    for version in 0..3 {
        append(&log, version);
        log.wait_beyond(log.head().position, Duration::from_millis(200));
        let position = log.head().position;
        let there = || uploader.status().shipped >= Some(position);
        until(Duration::from_secs(1), "it is shipped", there);
    }
    let position = log.head().position;
    let by_hand = uploader.back_up().unwrap();
    assert_eq!(by_hand.position, position);
    assert_eq!(by_hand.pieces.len(), 2, "the tail's small pieces are one");
    drop(uploader);
    log.close();
    assert_eq!(list(&rig.target).unwrap().backups.len(), 2);
    assert_eq!(rig.restore("new", Until::End).unwrap().fork.position, position);
}

#[test]
fn an_uploader_that_cannot_ship_raises_an_alarm_within_ten_seconds_and_gets_on_by_itself() {
    let rig = Rig::on_disk();
    rig.grow(2);
    let (uploader, news, log) = start(&rig, duty(&rig, 3_600_000));
    let made = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(made, News::Made { .. }), "{made:?}");
    // The disk of the target goes away.
    std::fs::rename(rig.path("target"), rig.path("away")).unwrap();
    std::fs::write(rig.path("target"), "no directory").unwrap();
    append(&log, 0);
    let began = clock();
    let alarm = news.recv_timeout(Duration::from_secs(10)).unwrap();
    let News::Alarm { reason, behind } = alarm else { panic!("{alarm:?}") };
    assert!(behind >= 1 && reason.contains("have not been shipped"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(uploader.status().alarm.is_some() && uploader.status().trouble.is_some());
    assert!(uploader.ship_keys(Duration::from_secs(5)).is_err(), "no erasure is finished");
    std::fs::remove_file(rig.path("target")).unwrap();
    std::fs::rename(rig.path("away"), rig.path("target")).unwrap();
    let over = news.recv_timeout(Duration::from_secs(15)).unwrap();
    assert!(matches!(over, News::Over { .. }), "{over:?}");
    assert_eq!(uploader.status().alarm, None);
    assert_eq!(uploader.status().shipped, Some(log.head().position));
}

#[test]
fn two_at_once_are_told_of_each_other() {
    let rig = Rig::on_disk();
    rig.grow(2);
    let (uploader, news, log) = start(&rig, duty(&rig, 3_600_000));
    news.recv_timeout(Duration::from_secs(10)).unwrap();
    let other = Target::open(&Place::Directory(rig.path("target")), false).unwrap();
    let refused = rig.back_up_to(&other).unwrap_err();
    let BackupError::Busy { owner, .. } = &refused else { panic!("{refused}") };
    assert!(owner.contains("mainstay serve"), "{owner}");
    drop(uploader);
    log.close();
    rig.back_up_to(&other).unwrap();
}
