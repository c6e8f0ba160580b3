//! The journal says no: what waited fails with the right word, and the next command folds anew.

use mainstay_actors::host::Failure;
use mainstay_actors::lock::{Lock, LockCommand, LockReply};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::{Fault, ReadLog as _, Refusal};

use super::support::{
    Rig, acquire, create, lock, lock_events, meta, request, session, virtually, waiting,
};

fn refusals() -> [(Fault, Failure<mainstay_actors::lock::LockReject>); 5] {
    let refused = |refusal: Refusal| (Fault::Refuse(refusal.clone()), Failure::Refused(refusal));
    [
        refused(Refusal::NoRoom),
        refused(Refusal::Poisoned("write failed".to_owned())),
        refused(Refusal::Conflict { expected: 1, actual: 2 }),
        refused(Refusal::Superseded),
        (
            Fault::Unknown("sync failed".to_owned()),
            Failure::OutcomeUnknown("sync failed".to_owned()),
        ),
    ]
}

#[test]
fn a_refused_append_fails_every_reply_that_was_decided_on_it() {
    for (fault, failure) in refusals() {
        virtually(async {
            let (host, log) = Rig::default().start().await;
            let before = log.head();
            log.set(fault.clone());
            // Decided one after the other, before the first outcome comes back.
            let take = host.ask::<Lock>(lock("pool"), waiting("anna", 60_000, 0), meta());
            let held = host.ask::<Lock>(lock("pool"), waiting("ben", 60_000, 0), meta());
            let queued =
                host.ask::<Lock>(lock("pool"), waiting("carl", 60_000, 9_000), request("c"));
            let show = host.ask::<Lock>(lock("pool"), LockCommand::Show, meta());
            let (take, held, queued, show) = tokio::join!(take, held, queued, show);
            for answered in [take, held, queued, show] {
                assert_eq!(answered.unwrap_err(), failure, "{fault:?}");
            }
            assert_eq!(log.head(), before, "{fault:?}: something was written");
            log.set(Fault::Pass);
            let show = host.ask::<Lock>(lock("pool"), LockCommand::Show, meta()).await.unwrap();
            let LockReply::State(view) = show.reply else { panic!("{show:?}") };
            assert!(view.holders.is_empty() && view.waiters.is_empty(), "{fault:?}: {view:?}");
            acquire(&host, "pool", "dora", 60_000).await;
        });
    }
}

#[test]
fn an_unknown_outcome_that_survived_is_found_by_the_next_command() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::UnknownButWritten("sync failed".to_owned()));
        let wait = waiting("anna", 60_000, 0);
        let lost = host.ask::<Lock>(lock("pool"), wait.clone(), request("k")).await.unwrap_err();
        assert_eq!(lost, Failure::OutcomeUnknown("sync failed".to_owned()));
        log.set(Fault::Pass);
        // The retry finds the lease that was granted.
        let again = host.ask::<Lock>(lock("pool"), wait, request("k")).await.unwrap();
        assert!(matches!(again.reply, LockReply::Lease(_)), "{again:?}");
        assert_eq!(lock_events(&*log, "pool").len(), 1);
    });
}

#[test]
fn a_full_queue_of_the_journal_is_busy_and_changes_nothing() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        log.set(Fault::Full);
        let asked = host.ask::<Lock>(lock("pool"), waiting("anna", 60_000, 0), meta()).await;
        assert!(matches!(asked, Err(Failure::Busy(_))), "{asked:?}");
        log.set(Fault::Pass);
        acquire(&host, "pool", "ben", 60_000).await;
        assert_eq!(lock_events(&*log, "pool").len(), 1);
    });
}

#[test]
fn a_full_disk_refuses_writes_answers_reads_and_resumes_when_there_is_room() {
    virtually(async {
        let rig = Rig::default();
        let (host, log) = rig.start().await;
        let held = acquire(&host, "pool", "anna", 600_000).await;
        host.ask::<Session>(session("default/s"), create(600_000), meta()).await.unwrap();
        rig.disk.set_capacity(Some(0));
        for name in ["a", "b", "c"] {
            let asked = host.ask::<Lock>(lock(name), waiting("ben", 60_000, 0), meta()).await;
            assert_eq!(asked.unwrap_err(), Failure::Refused(Refusal::NoRoom));
        }
        assert_eq!(log.status().refusing, Some(Refusal::NoRoom));
        // Reads and health go on, also of what a refusal has just dropped.
        host.health().await.unwrap();
        assert_eq!(host.held_locks("", "", 10).await.unwrap().len(), 1);
        let check = LockCommand::Check { token: held.token };
        let checked = host.ask::<Lock>(lock("pool"), check, meta()).await.unwrap();
        assert_eq!(checked.reply, LockReply::Checked { valid: true });
        let show = host.ask::<Session>(session("default/s"), SessionCommand::Show, meta()).await;
        show.unwrap();
        rig.disk.set_capacity(None);
        acquire(&host, "a", "ben", 60_000).await;
        assert_eq!(log.status().refusing, None);
    });
}

#[test]
fn a_timer_that_the_journal_refused_is_carried_out_later() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        acquire(&host, "pool", "anna", 1_000).await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(lock_events(&*log, "pool").len(), 1);
        log.set(Fault::Pass);
        // Each refusal doubles the pause before the next try, up to 8 s.
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        assert_eq!(lock_events(&*log, "pool").len(), 2, "the lease has expired");
        assert!(host.held_locks("", "", 1).await.unwrap().is_empty());
    });
}

#[test]
fn a_waiter_whose_place_is_durable_is_not_told_that_nothing_happened() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let held = acquire(&host, "pool", "anna", 60_000).await;
        let waits = tokio::task::spawn_local({
            let host = host.clone();
            async move {
                host.ask::<Lock>(lock("pool"), waiting("ben", 60_000, 30_000), request("b")).await
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        log.set(Fault::Refuse(Refusal::NoRoom));
        let release = LockCommand::Release { token: held.token, owner: "anna".to_owned() };
        let refused = host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap_err();
        assert_eq!(refused, Failure::Refused(Refusal::NoRoom));
        let answered = waits.await.unwrap().unwrap_err();
        assert!(matches!(answered, Failure::OutcomeUnknown(_)), "{answered:?}");
    });
}

#[test]
fn wakes_that_were_overtaken_do_not_breed() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let held = acquire(&host, "pool", "anna", 30_000).await;
        for round in 0..50 {
            let key = request(&format!("r{round}"));
            let wait = waiting("ben", 60_000, 500);
            host.ask::<Lock>(lock("pool"), wait, key).await.unwrap_err();
            let renew =
                LockCommand::Renew { token: held.token, owner: "anna".to_owned(), ttl_ms: None };
            host.ask::<Lock>(lock("pool"), renew, meta()).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(29)).await;
        let timers = host.occupancy().await.unwrap().timers;
        assert!(timers <= 2, "{timers} entries for one lock");
    });
}
