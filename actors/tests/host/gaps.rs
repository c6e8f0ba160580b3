//! The journal takes nothing: breakers go on protecting, and say afterwards what they did.

use std::time::Duration;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::dependency::{
    BreakerAdopted, Dependency, DependencyCommand, DependencyEvent, Mode,
};
use mainstay_actors::gate::{Admission, Entry, Front, Outcome, Report};
use mainstay_actors::host::Host;
use mainstay_journal::{Fault, ReadLog, Refusal, StreamId};
use tokio::time::sleep;

use super::support::{Rig, breaker, meta, virtually};

const FAULTS: [fn() -> Fault; 3] = [
    || Fault::Refuse(Refusal::NoRoom),
    || Fault::Refuse(Refusal::Poisoned("write failed".to_owned())),
    || Fault::Unknown("sync failed".to_owned()),
];

fn rig() -> Rig {
    let mut rig = Rig::default();
    rig.options.dependencies.insert("db".to_owned(), breaker());
    rig
}

fn call(front: &Front, outcome: Outcome) {
    let Entry::Admitted(ticket) = front.enter() else { panic!("{:?}", front.enter()) };
    front.settle(ticket, outcome, Some(1_000), front.lane());
}

fn adopted(log: &dyn ReadLog) -> Vec<BreakerAdopted> {
    let stream = StreamId::new("dependency", "db").unwrap();
    let mut adopted = Vec::new();
    log.read_stream(&stream, u64::MAX, &mut |record| {
        let event = DependencyEvent::decode(record.type_id, record.schema, record.payload);
        if let DependencyEvent::BreakerAdopted(event) = event.unwrap() {
            adopted.push(event);
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    adopted
}

async fn durable(host: &Host) -> Mode {
    host.dependency("db").await.unwrap().unwrap().breaker.mode
}

#[test]
fn a_breaker_goes_through_its_states_without_the_journal_and_is_adopted_afterwards() {
    for fault in FAULTS {
        virtually(async {
            let (host, log) = rig().start().await;
            let front = host.front("db");
            log.set(fault());
            for _ in 0..3 {
                call(&front, Outcome::Failure);
            }
            sleep(Duration::from_millis(10)).await;
            let Entry::Rejected { retry_after_ms, .. } = front.enter() else {
                panic!("it tripped")
            };
            assert!(retry_after_ms.unwrap() > 0 && front.is_unjournaled());
            assert_eq!(durable(&host).await, Mode::Closed, "nothing is durable");
            let health = host.health().await.unwrap();
            assert!(health.dependencies[0].unjournaled);

            // Its time passes, a trial call fails, its time passes again, and trial calls close it.
            sleep(Duration::from_secs(6)).await;
            call(&front, Outcome::Failure);
            sleep(Duration::from_millis(10)).await;
            assert!(matches!(front.enter(), Entry::Rejected { .. }));
            sleep(Duration::from_secs(9)).await;
            call(&front, Outcome::Success);
            sleep(Duration::from_millis(10)).await;
            call(&front, Outcome::Success);
            assert!(front.is_unjournaled());
            assert!(adopted(&*log).is_empty());

            log.set(Fault::Pass);
            sleep(Duration::from_secs(2)).await;
            assert!(!front.is_unjournaled());
            let [event] = &adopted(&*log)[..] else { panic!("{:?}", adopted(&*log)) };
            // open, half-open, open, half-open, closed
            assert_eq!((event.mode, event.transitions, event.attempt), (Mode::Closed, 5, 0));
            assert!(event.from < event.since && event.since < event.at, "{event:?}");
            assert!(event.evidence.is_some());
            assert_eq!(durable(&host).await, Mode::Closed);
            // And the next trip is journaled as any.
            for _ in 0..3 {
                call(&front, Outcome::Failure);
            }
            sleep(Duration::from_millis(10)).await;
            assert_eq!(durable(&host).await, Mode::Open);
        });
    }
}

#[test]
fn a_breaker_that_is_open_alone_is_adopted_as_open_with_its_deadline() {
    virtually(async {
        let (host, log) = rig().start().await;
        let front = host.front("db");
        log.set(Fault::Refuse(Refusal::NoRoom));
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_millis(1_500)).await;
        log.set(Fault::Pass);
        sleep(Duration::from_millis(1_500)).await;
        let [event] = &adopted(&*log)[..] else { panic!("{:?}", adopted(&*log)) };
        assert_eq!((event.mode, event.transitions, event.attempt), (Mode::Open, 1, 1));
        let breaker = host.dependency("db").await.unwrap().unwrap().breaker;
        assert_eq!((breaker.until, breaker.mode), (event.until, Mode::Open));
        sleep(Duration::from_secs(6)).await;
        assert_eq!(durable(&host).await, Mode::HalfOpen, "the journaled timer goes on from there");
    });
}

#[test]
fn a_permit_from_the_gap_decides_nothing_after_it() {
    virtually(async {
        let (host, log) = rig().start().await;
        let front = host.front("db");
        log.set(Fault::Refuse(Refusal::NoRoom));
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_secs(6)).await;
        let Entry::Admitted(trial) = front.enter() else { panic!("half-open") };
        log.set(Fault::Pass);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(durable(&host).await, Mode::HalfOpen);
        front.settle(trial, Outcome::Success, Some(1), front.lane());
        sleep(Duration::from_millis(500)).await;
        assert_eq!(durable(&host).await, Mode::HalfOpen);
        call(&front, Outcome::Success);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(durable(&host).await, Mode::Closed);
    });
}

#[test]
fn callers_over_the_keeper_and_in_the_process_share_one_window_and_one_trial() {
    virtually(async {
        let (host, _log) = rig().start().await;
        let front = host.front("db");
        let failure = Report {
            permit: None,
            outcome: Outcome::Failure,
            duration_us: 1,
            probe: false,
            injected: false,
        };
        host.record("db", vec![failure; 2]).await.unwrap();
        call(&front, Outcome::Failure);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(durable(&host).await, Mode::Open, "two by one door, one by the other");
        sleep(Duration::from_secs(6)).await;
        let Entry::Admitted(ticket) = front.enter() else { panic!("half-open") };
        let other = host.admit("db").await.unwrap();
        assert!(matches!(other, Admission::Rejected { .. }), "the one trial is out: {other:?}");
        front.settle(ticket, Outcome::Success, Some(1), front.lane());
        sleep(Duration::from_millis(10)).await;
        assert_eq!(durable(&host).await, Mode::Closed);
    });
}

/// Only answers to the gate's own commands made it go on: a breaker that was open when the disk got
/// full stayed open for as long as that lasted.
#[test]
fn a_breaker_that_is_open_when_the_journal_goes_away_tries_and_closes() {
    virtually(async {
        let (host, log) = rig().start().await;
        let front = host.front("db");
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_millis(50)).await;
        assert_eq!(durable(&host).await, Mode::Open);
        log.set(Fault::Refuse(Refusal::NoRoom));
        sleep(Duration::from_secs(9)).await;
        call(&front, Outcome::Success);
        sleep(Duration::from_millis(50)).await;
        call(&front, Outcome::Success);
        assert!(front.is_unjournaled());
        log.set(Fault::Pass);
        sleep(Duration::from_secs(20)).await;
        assert!(!front.is_unjournaled());
        assert!(!adopted(&*log).is_empty());
        // Its own timer may have been faster in the journal: then trial calls close it there.
        while durable(&host).await != Mode::Closed {
            if let Entry::Admitted(ticket) = front.enter() {
                front.settle(ticket, Outcome::Success, Some(1), front.lane());
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
}

/// A verdict that was neither taken nor refused left the breaker refusing for good.
#[test]
fn a_journal_that_answers_nothing_or_is_busy_does_not_hold_a_verdict_up() {
    for fault in [|| Fault::Hold, || Fault::Full] {
        virtually(async {
            let (host, log) = rig().start().await;
            let front = host.front("db");
            log.set(fault());
            for _ in 0..3 {
                call(&front, Outcome::Failure);
            }
            sleep(Duration::from_secs(16)).await;
            assert!(front.is_unjournaled());
            call(&front, Outcome::Success);
            sleep(Duration::from_millis(500)).await;
            call(&front, Outcome::Success);
            drop((host, log));
        });
    }
}

/// What an operator did was undone a second later by what the gate had done before.
#[test]
fn what_is_done_by_hand_after_the_gap_holds_at_once() {
    for to in [Mode::Open, Mode::ForcedOpen, Mode::Disabled] {
        virtually(async {
            let (host, log) = rig().start().await;
            let front = host.front("db");
            log.set(Fault::Refuse(Refusal::NoRoom));
            for _ in 0..3 {
                call(&front, Outcome::Failure);
            }
            sleep(Duration::from_secs(6)).await;
            call(&front, Outcome::Success);
            sleep(Duration::from_millis(50)).await;
            log.set(Fault::Pass);
            let for_ms = Some(3_600_000);
            let force = DependencyCommand::Force { to, for_ms, reason: "planned".to_owned() };
            let stream = StreamId::new("dependency", "db").unwrap();
            host.ask::<Dependency>(stream, force, meta()).await.unwrap();
            let admitted = matches!(front.enter(), Entry::Admitted(_));
            assert_eq!(admitted, to == Mode::Disabled, "at once");
            sleep(Duration::from_mins(1)).await;
            assert_eq!(durable(&host).await, to);
            assert_eq!(adopted(&*log).len(), 1, "it is told all the same");
            assert!(!front.is_unjournaled());
        });
    }
}

#[test]
fn a_journal_that_is_slow_to_adopt_does_it_once() {
    virtually(async {
        let (host, log) = rig().start().await;
        let front = host.front("db");
        log.set(Fault::Refuse(Refusal::NoRoom));
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_millis(500)).await;
        log.set(Fault::Hold);
        sleep(Duration::from_millis(3_500)).await;
        log.set(Fault::Pass);
        log.release().unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(adopted(&*log).len(), 1);
        assert_eq!(durable(&host).await, Mode::Open);
    });
}

/// A dependency that was retired and configured again took outcomes from before for its own.
#[test]
fn what_was_given_before_a_retirement_decides_nothing_after_it() {
    virtually(async {
        let (host, _log) = rig().start().await;
        let front = host.front("db");
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_secs(6)).await;
        let Entry::Admitted(before) = front.enter() else { panic!("half-open") };
        let stream = || StreamId::new("dependency", "db").unwrap();
        host.ask::<Dependency>(stream(), DependencyCommand::Retire, meta()).await.unwrap();
        assert_eq!(front.enter(), Entry::Unknown);
        let configure = DependencyCommand::Configure(Box::new(breaker()));
        host.ask::<Dependency>(stream(), configure, meta()).await.unwrap();
        let Entry::Admitted(after) = front.enter() else { panic!("{:?}", front.enter()) };
        front.settle(before, Outcome::Success, Some(1), front.lane());
        sleep(Duration::from_millis(500)).await;
        assert_eq!(durable(&host).await, Mode::HalfOpen, "the trial is still out");
        front.settle(after, Outcome::Success, Some(1), front.lane());
        sleep(Duration::from_millis(50)).await;
        assert_eq!(durable(&host).await, Mode::Closed);
    });
}

/// A settled group brought a gate back to life whose host had ended.
#[test]
fn a_board_that_has_ended_stays_ended() {
    virtually(async {
        let (host, log) = rig().start().await;
        let front = host.front("db");
        log.set(Fault::Hold);
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_millis(10)).await;
        host.board().end();
        log.set(Fault::Pass);
        log.release().unwrap();
        sleep(Duration::from_secs(20)).await;
        assert_eq!(front.enter(), Entry::Ended);
    });
}

#[test]
fn who_leaves_while_the_half_opens_gives_the_permit_back() {
    let mut rig = rig();
    let mut by_callers = breaker();
    by_callers.breaker.auto_half_open = false;
    rig.options.dependencies.insert("db".to_owned(), by_callers);
    virtually(async {
        let (host, _log) = rig.start().await;
        let front = host.front("db");
        for _ in 0..3 {
            call(&front, Outcome::Failure);
        }
        sleep(Duration::from_secs(6)).await;
        assert_eq!(front.enter(), Entry::TryHalfOpen);
        let leaves = tokio::time::timeout(Duration::ZERO, host.admit("db")).await;
        assert!(leaves.is_err());
        sleep(Duration::from_millis(500)).await;
        call(&front, Outcome::Success);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(durable(&host).await, Mode::Closed);
    });
}
