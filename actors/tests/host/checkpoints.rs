//! A start from a checkpoint is a start from the whole journal, only sooner.

use std::path::Path;
use std::time::Duration;

use mainstay_actors::dependency::DependencyState;
use mainstay_actors::gate::{Outcome, Report};
use mainstay_actors::host::{HealthView, Host};
use mainstay_actors::lock::{Lock, LockCommand, LockState};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::ReadLog;
use tokio::time::sleep;

use super::support::{Rig, breaker, claim, create, lock, meta, session, virtually};

/// What everybody can ask of a host.
#[derive(Debug, PartialEq)]
struct Seen {
    health: HealthView,
    dependency: Option<DependencyState>,
    locks: Vec<(String, LockState)>,
    timers: usize,
}

async fn look(host: &Host) -> Seen {
    Seen {
        health: host.health().await.unwrap(),
        dependency: host.dependency("db").await.unwrap(),
        locks: host.held_locks("", "", 1_000).await.unwrap(),
        timers: host.occupancy().await.unwrap().timers,
    }
}

fn rig(checkpoint_events: u64) -> Rig {
    let mut rig = Rig::default();
    rig.options.limits.checkpoint_events = checkpoint_events;
    rig.options.dependencies.insert("db".to_owned(), breaker());
    rig
}

/// Sessions that come, are touched, end or run out; locks of theirs and of nobody's; a breaker.
async fn a_busy_hour(host: &Host, rounds: u64) {
    for round in 0..rounds {
        let id = format!("default/s{round}");
        let ttl_ms = [5_000, 60_000, 3_600_000][usize::try_from(round % 3).unwrap()];
        host.ask::<Session>(session(&id), create(ttl_ms), meta()).await.unwrap();
        let mut claim = claim(&format!("owner-{round}"), 20_000 + 40_000 * (round % 4));
        claim.session = (round % 2 == 0).then(|| id.as_str().into());
        let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
        drop(host.ask::<Lock>(lock(&format!("room-{}", round % 17)), acquire, meta()).await);
        let before = session(&format!("default/s{}", round.saturating_sub(5)));
        let command = if round % 5 == 0 { SessionCommand::End } else { SessionCommand::Touch };
        drop(host.ask::<Session>(before, command, meta()).await);
        let outcome = if round % 40 < 4 { Outcome::Failure } else { Outcome::Success };
        let report =
            Report { permit: None, outcome, duration_us: 1, probe: false, injected: false };
        host.record("db", vec![report]).await.unwrap();
        sleep(Duration::from_millis(700)).await;
    }
}

/// Waits for a checkpoint: its thread runs in real time.
async fn kept(log: &impl ReadLog) {
    for _ in 0..5_000 {
        if log.kept("checkpoint").unwrap().is_some() {
            return;
        }
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }
    panic!("no checkpoint was made");
}

const FILE: &str = "/journal/kept/checkpoint";

#[test]
fn a_start_from_a_checkpoint_sees_what_a_start_from_the_whole_journal_sees() {
    // Each length leaves another tail behind the last checkpoint.
    for rounds in [60, 97, 140] {
        let rig = rig(50);
        virtually(async {
            let (host, log) = rig.start().await;
            a_busy_hour(&host, rounds).await;
            kept(&*log).await;
        });
        let from_checkpoint = rig.after_cut();
        let whole = rig.after_cut();
        whole.disk.tamper(Path::new(FILE), Vec::clear);
        let looks = [&from_checkpoint, &whole].map(|rig| {
            virtually(async {
                let (host, _log) = rig.start().await;
                let at_start = look(&host).await;
                sleep(Duration::from_secs(30)).await;
                (at_start, look(&host).await.locks)
            })
        });
        let [(mut one, later), (other, much_later)] = looks;
        assert!(!one.locks.is_empty() && one.timers > 10, "{one:?}");
        // The clocks of two starts differ, and with them the leases that they extend.
        for ((_, one), (_, other)) in one.locks.iter_mut().zip(&other.locks) {
            one.recovered_boot = other.recovered_boot;
            for (grant, other) in one.grants.iter_mut().zip(&other.grants) {
                let apart = grant.expires_at.as_micros().abs_diff(other.expires_at.as_micros());
                assert!(apart < 10_000_000, "{grant:?} {other:?}");
                grant.expires_at = other.expires_at;
            }
        }
        assert_eq!(one, other);
        let names =
            |locks: &[(String, LockState)]| locks.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&later), names(&much_later));
    }
}

#[test]
fn a_damaged_checkpoint_is_as_good_as_none() {
    let rig = rig(50);
    virtually(async {
        let (host, log) = rig.start().await;
        a_busy_hour(&host, 80).await;
        kept(&*log).await;
    });
    let look_after = |change: &dyn Fn(&mut Vec<u8>)| {
        let rig = rig.after_cut();
        rig.disk.tamper(Path::new(FILE), |bytes| change(bytes));
        virtually(async {
            let (host, _log) = rig.start().await;
            let seen = look(&host).await;
            (seen.health.level, seen.dependency, seen.locks.len(), seen.timers)
        })
    };
    let whole = look_after(&|_| {});
    let length = rig.disk.bytes(Path::new(FILE)).unwrap().len();
    for at in (0..length).step_by(length / 23) {
        let flipped = look_after(&|bytes| bytes[at] ^= 4);
        assert_eq!(flipped, whole, "byte {at}");
        assert_eq!(look_after(&|bytes| bytes.truncate(at)), whole, "cut at {at}");
    }
}
