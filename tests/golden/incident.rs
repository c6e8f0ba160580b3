//! The night of 22 November: the database fails at 03:12, its breaker opens, the level falls and
//! recovers; rooms change hands meanwhile.
//!
//! | at | what |
//! |---|---|
//! | 03:11 | llm-api and database are well; ann holds room-101 by her session, eve room-102, frank room-103; bob waits |
//! | 03:12:40 | frank's lease runs out |
//! | 03:12:44 | 14 of 23 calls to the database have failed: its breaker opens, the level falls |
//! | 03:12:50 | ann's session ends: bob gets room-101; dora waits for it in vain |
//! | 03:13:05 | eve's lease is taken away by hand |
//! | 03:13:14 | the breaker admits trial calls, and closes; the level rises ten seconds later |

use std::path::Path;

use mainstay::actors::dependency::{
    BreakerSettings, Cause, Dependency, DependencyCommand, Evidence, ObservationWindow, Observed,
    Second, Settings,
};
use mainstay::actors::health::{Input, Level, assess, cause};
use mainstay::actors::lock::{Claim, Lock, LockCommand, Mode};
use mainstay::actors::rate::Rate;
use mainstay::actors::session::{Sealed, Session, SessionCommand};
use mainstay::actors::system::{DependencyFact, LevelChange, System, SystemCommand};
use mainstay::journal::Cursor;

use super::stage::{Stage, Who, at, by};

const GUEST_7: &str = "default/01a200e7-0000-7000-8000-000000000007";
const GUEST_8: &str = "default/01a200e7-0000-7000-8000-000000000008";

const SUPERVISOR: &str = "system:supervisor";
const GATE: &str = "system:gate";
const TIMER: &str = "system:timer";

/// Writes the night into an empty directory.
pub(crate) fn write(data: &Path) {
    let mut stage = Stage::open(data);
    before(&mut stage);
    outage(&mut stage);
    rooms(&mut stage);
    recovery(&mut stage);
    stage.close();
}

fn before(stage: &mut Stage) {
    let boot = SystemCommand::Boot { version: "0.1.0".to_owned() };
    stage.ask::<System>(-90_000, by(SUPERVISOR), "boot", boot);
    for (name, weight) in [("database", 30), ("llm-api", 50)] {
        let settings =
            Settings { weight, cap: None, breaker: BreakerSettings::default(), from_file: true };
        let configure = DependencyCommand::Configure(Box::new(settings));
        stage.ask::<Dependency>(-89_000, by(SUPERVISOR), name, configure);
        let observe =
            DependencyCommand::Observe { generation: 0, window: Box::new(window(-80_000, 20, 0)) };
        stage.ask::<Dependency>(-70_000, by(GATE), name, observe);
    }
    begin(stage, -60_000, GUEST_7, "guest-7");
    let guest = Claim { session: Some(GUEST_7.into()), ..claim("ann", 600_000) };
    acquire(stage, -55_000, by("local"), "room-101", guest, 0);
    acquire(
        stage,
        -50_000,
        by("local").under("local:bob-1"),
        "room-101",
        claim("bob", 60_000),
        600_000,
    );
    acquire(stage, -45_000, by("local"), "room-102", claim("eve", 600_000), 0);
    acquire(stage, -20_000, by("local"), "room-103", claim("frank", 60_000), 0);
}

fn outage(stage: &mut Stage) {
    begin(stage, 20_000, GUEST_8, "guest-8");
    stage.ask::<Lock>(40_000, by(TIMER), "room-103", LockCommand::Due);
    let observe =
        DependencyCommand::Observe { generation: 0, window: Box::new(window(34_120, 23, 14)) };
    stage.ask::<Dependency>(44_119, by(GATE), "database", observe);
    let trip = DependencyCommand::Trip {
        generation: 0,
        evidence: Evidence {
            cause: Cause::FailureRate,
            observed: observed(23, 14),
            threshold: Some(Rate::from_ten_thousandths(5_000)),
            consecutive_failures: 6,
        },
    };
    let opened = stage.ask::<Dependency>(44_120, by(GATE), "database", trip);
    change_level(stage, 44_121, Level::Limited, opened);
}

fn rooms(stage: &mut Stage) {
    let bye = by("local").under("local:bye-7").tied_to("checkout-4711");
    let ended = stage.ask::<Session>(50_000, bye, GUEST_7, SessionCommand::End);
    let end = LockCommand::SessionEnded { session: GUEST_7.to_owned() };
    let reactor = by("system:reactor-session-locks").because_of(ended);
    stage.ask::<Lock>(50_002, reactor, "room-101", end);
    let claim_it = LockCommand::Renew {
        token: token(stage, "room-101"),
        owner: "bob".to_owned(),
        ttl_ms: Some(120_000),
    };
    stage.ask::<Lock>(51_000, by("local").tied_to("checkout-4711"), "room-101", claim_it);
    acquire(
        stage,
        55_000,
        by("local").under("local:dora-1"),
        "room-101",
        claim("dora", 60_000),
        20_000,
    );
    let (token, reason) = (Some(token(stage, "room-102")), "guest left early".to_owned());
    let take_away = LockCommand::ForceRelease { token, reason };
    stage.ask::<Lock>(65_000, by("local").tied_to("desk-12"), "room-102", take_away);
}

fn recovery(stage: &mut Stage) {
    let until = stage.state::<Dependency>("database").breaker.until.unwrap();
    let due = i64::try_from(until.ms_since(at(0))).unwrap();
    stage.ask::<Dependency>(due, by(TIMER), "database", DependencyCommand::Due);
    stage.ask::<Lock>(75_000, by(TIMER), "room-101", LockCommand::Due);
    let generation = stage.state::<Dependency>("database").breaker.generation;
    let evidence = Evidence {
        cause: Cause::Recovered,
        observed: observed(5, 0),
        threshold: None,
        consecutive_failures: 0,
    };
    let conclude = DependencyCommand::Conclude { generation, healthy: true, evidence };
    let closed = stage.ask::<Dependency>(80_000, by(GATE), "database", conclude);
    change_level(stage, 90_000, Level::Optimal, closed);
    let release = LockCommand::Release { token: token(stage, "room-101"), owner: "bob".to_owned() };
    stage.ask::<Lock>(100_000, by("local").under("local:bob-2"), "room-101", release);
}

fn begin(stage: &mut Stage, ms: i64, id: &str, subject: &str) {
    let create = SessionCommand::Create {
        tenant: "default".to_owned(),
        subject: subject.to_owned(),
        ttl_ms: 1_800_000,
        max_age_ms: None,
        attributes: [("locale".to_owned(), Sealed::plain(b"\"en\""))].into(),
    };
    stage.ask::<Session>(ms, by("local"), id, create);
}

fn claim(owner: &str, ttl_ms: u64) -> Claim {
    Claim {
        owner: owner.into(),
        session: None,
        mode: Mode::Exclusive,
        range: None,
        ttl_ms,
        delay_ms: 0,
        request: None,
    }
}

fn acquire(stage: &mut Stage, ms: i64, who: Who, lock: &str, claim: Claim, wait_ms: u64) {
    let claim = Claim { request: who.request.map(Into::into), ..claim };
    stage.ask::<Lock>(ms, who, lock, LockCommand::Acquire { claim, wait_ms });
}

/// The token of the one lease.
fn token(stage: &Stage, lock: &str) -> u64 {
    stage.state::<Lock>(lock).grants[0].token
}

fn observed(calls: u64, failures: u64) -> Observed {
    let failure_rate = Rate::of(failures, calls);
    Observed { calls, failures, slow: 0, failure_rate, slow_rate: Rate::of(0, calls) }
}

fn window(from: i64, calls: u32, failures: u32) -> ObservationWindow {
    let mut seconds = vec![Second::default(); 10];
    seconds[9] = Second { calls, failures, slow: 0, ignored: 0 };
    ObservationWindow {
        from: at(from),
        seconds,
        longest_failure_run: failures.min(6),
        injected: 0,
        latencies: mainstay::actors::dependency::Latencies::default(),
        observed: observed(calls.into(), failures.into()),
    }
}

/// The supervisor's arithmetic over the two dependencies, as they are.
fn change_level(stage: &mut Stage, ms: i64, expected: Level, because_of: Cursor) {
    let states = ["database", "llm-api"].map(|name| (name, stage.state::<Dependency>(name)));
    let inputs: Vec<Input<'_>> = states
        .iter()
        .map(|(name, state)| Input {
            name,
            weight: state.settings.as_ref().unwrap().weight,
            score: state.score(),
            down: state.breaker.mode.is_down(),
            cap: None,
        })
        .collect();
    let mode = |input: &Input<'_>| {
        states.iter().find(|(name, _)| *name == input.name).unwrap().1.breaker.mode
    };
    let assessment = assess(&inputs);
    assert_eq!(assessment.level, expected);
    let facts = inputs.iter().map(|input| DependencyFact {
        name: input.name.to_owned(),
        weight: input.weight,
        score: input.score,
        mode: mode(input),
    });
    let change = LevelChange {
        to: assessment.level,
        score: assessment.score,
        known_weight: assessment.known_weight,
        cause: cause(&assessment, &inputs, mode),
        dependencies: facts.collect(),
    };
    let change = SystemCommand::ChangeLevel(Box::new(change));
    stage.ask::<System>(ms, by(SUPERVISOR).because_of(because_of), "health", change);
}
