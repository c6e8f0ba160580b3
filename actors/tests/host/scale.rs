//! More entities than may stay in memory: idle ones go, and come back when they are asked for or due.

use std::time::Duration;

use mainstay_actors::host::{Host, Occupancy};
use mainstay_actors::lock::{Lock, LockReply};
use mainstay_actors::session::{Session, SessionCommand, SessionReply};
use mainstay_actors::{codec::Payload as _, session::SessionEvent};
use mainstay_journal::ReadLog;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::support::{Rig, acquire, create, lock, meta, request, session, virtually, waiting};

const SESSIONS: u64 = 300;

fn small(residents: usize, recovery_permits: usize) -> Rig {
    let mut rig = Rig::default();
    rig.options.limits.residents = residents;
    rig.options.limits.recovery_permits = recovery_permits;
    rig
}

fn named(number: u64) -> mainstay_journal::StreamId {
    session(&format!("default/s{number}"))
}

async fn create_all(host: &Host, ttl_ms: u64) {
    for number in 0..SESSIONS {
        host.ask::<Session>(named(number), create(ttl_ms), meta()).await.unwrap();
    }
}

async fn occupancy(host: &Host) -> Occupancy {
    host.occupancy().await.unwrap()
}

/// How many sessions the journal says have ended.
fn ended(log: &impl ReadLog) -> u64 {
    let mut ended = 0;
    log.scan(1, u64::MAX, &mut |record| {
        let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
        ended += u64::from(matches!(event, Ok(SessionEvent::SessionEnded(_))));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    ended
}

#[test]
fn many_sessions_live_in_few_actors_and_each_answers_as_before() {
    virtually(async {
        let (host, _log) = small(8, 4).start().await;
        create_all(&host, 600_000).await;
        let full = occupancy(&host).await;
        assert!(full.residents <= 8 && full.passivated >= SESSIONS - 8, "{full:?}");
        assert_eq!(full.timers as u64, SESSIONS);
        for round in 0..3 {
            for number in 0..SESSIONS {
                let changes = [("seen".to_owned(), Some(value(round)))].into();
                let patch = SessionCommand::Patch { if_revision: Some(round + 1), changes };
                host.ask::<Session>(named(number), patch, meta()).await.unwrap();
            }
        }
        for number in 0..SESSIONS {
            let shown = host.ask::<Session>(named(number), SessionCommand::Show, meta()).await;
            let SessionReply::Shown(live) = shown.unwrap().reply else { panic!() };
            assert_eq!((live.revision, live.attributes.get("seen")), (4, Some(&value(2))));
        }
        // Coming and going fills neither memory nor the deadline queue.
        let full = occupancy(&host).await;
        assert!(full.residents <= 8, "{full:?}");
        assert_eq!(full.timers as u64, SESSIONS);
    });
}

fn value(round: u64) -> mainstay_actors::session::Sealed {
    mainstay_actors::session::Sealed::plain(round.to_string().as_bytes())
}

#[test]
fn sessions_that_left_memory_expire_on_time_all_at_once() {
    virtually(async {
        let (host, log) = small(8, 4).start().await;
        create_all(&host, 60_000).await;
        // Half of them live longer, by a touch that they had while they were not resident.
        sleep(Duration::from_secs(30)).await;
        for number in (0..SESSIONS).step_by(2) {
            host.ask::<Session>(named(number), SessionCommand::Touch, meta()).await.unwrap();
        }
        sleep(Duration::from_millis(29_900)).await;
        assert_eq!(ended(&*log), 0);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ended(&*log), SESSIONS / 2);
        sleep(Duration::from_secs(28)).await;
        assert_eq!(ended(&*log), SESSIONS / 2, "a touched session ended too early");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(ended(&*log), SESSIONS);
        let empty = occupancy(&host).await;
        assert_eq!((empty.timers, empty.sessions, empty.recovering), (0, 0, 0), "{empty:?}");
    });
}

#[test]
fn a_caller_who_waits_for_a_lock_is_not_forgotten_when_others_need_room() {
    virtually(async {
        let (host, _log) = small(4, 4).start().await;
        acquire(&host, "pool", "anna", 60_000).await;
        let waits = spawn_local({
            let host = host.clone();
            async move {
                host.ask::<Lock>(lock("pool"), waiting("ben", 60_000, 120_000), request("k")).await
            }
        });
        sleep(Duration::from_millis(1)).await;
        create_all(&host, 600_000).await;
        let granted = waits.await.unwrap().unwrap();
        assert!(matches!(granted.reply, LockReply::Lease(_)), "{granted:?}");
    });
}

#[test]
fn a_retried_request_finds_its_first_answer_after_its_session_left_memory() {
    virtually(async {
        let (host, _log) = small(2, 4).start().await;
        let ask = |number| host.ask::<Session>(named(number), create(600_000), request("key"));
        let first = ask(7).await.unwrap();
        create_all_but_seven(&host).await;
        assert_eq!(ask(7).await.unwrap(), first);
    });
}

async fn create_all_but_seven(host: &Host) {
    for number in (0..40).filter(|number| *number != 7) {
        host.ask::<Session>(named(number), create(600_000), meta()).await.unwrap();
    }
}

#[test]
fn a_burst_on_more_cold_entities_than_may_be_folded_at_once_is_answered_whole() {
    virtually(async {
        let (host, _log) = small(4, 2).start().await;
        create_all(&host, 600_000).await;
        let asked: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let host = host.clone();
                let show = async move {
                    host.ask::<Session>(named(number), SessionCommand::Show, meta()).await
                };
                spawn_local(show)
            })
            .collect();
        for answer in asked {
            answer.await.unwrap().unwrap();
        }
        // What was under way is over, and the next ones find the bound kept again.
        create_all_again(&host).await;
        let full = occupancy(&host).await;
        assert!(full.residents <= 4, "{full:?}");
    });
}

async fn create_all_again(host: &Host) {
    for number in 0..SESSIONS {
        host.ask::<Session>(named(number), SessionCommand::Touch, meta()).await.unwrap();
    }
}

#[test]
fn an_entity_whose_retried_request_waits_is_not_let_go() {
    // It was idle by its own account, went, and its caller heard of a crash.
    let rig = small(2, 4);
    let held = virtually(async {
        let (host, _log) = rig.start().await;
        let held = acquire(&host, "pool", "anna", 600_000).await;
        let waits = host.clone();
        let _gone = spawn_local(async move {
            let wait = waiting("ben", 600_000, 600_000);
            waits.ask::<Lock>(lock("pool"), wait, request("k")).await
        });
        sleep(Duration::from_millis(1)).await;
        held
    });
    let mut rig = rig.cut();
    rig.options.limits.residents = 2;
    virtually(async {
        let (host, _log) = rig.start().await;
        let waits = host.clone();
        let again = spawn_local(async move {
            let wait = waiting("ben", 600_000, 600_000);
            waits.ask::<Lock>(lock("pool"), wait, request("k")).await
        });
        sleep(Duration::from_millis(1)).await;
        for n in 0..40 {
            acquire(&host, &format!("other-{n}"), "carl", 600_000).await;
        }
        let release = mainstay_actors::lock::LockCommand::Release {
            token: held.token,
            owner: "anna".to_owned(),
        };
        host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
        let granted = again.await.unwrap().unwrap().reply;
        assert!(matches!(granted, LockReply::Lease(_)), "{granted:?}");
    });
}
