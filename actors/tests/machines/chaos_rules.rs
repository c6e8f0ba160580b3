//! Experiments: every pair of state and command, the floor, the end by time.

use mainstay_actors::chaos::{
    Chaos, ChaosCommand, ChaosEvent, ChaosReject, EndCause, Fault, Latency, MAX_FOR_MS, Plan, Seen,
};
use mainstay_actors::health::Level;
use mainstay_actors::machine::{Again, Machine};
use mainstay_actors::rate::Rate;

use crate::support::{Entity, Then, at};

const WELL: Seen = Seen { configured: true, level: Level::Optimal, floor: Level::Degraded };

fn plan(fault: Fault, share: u32) -> Plan {
    Plan {
        dependency: "db".to_owned(),
        fault,
        share: Rate::from_ten_thousandths(share),
        seed: 7,
        reason: "a game day".to_owned(),
    }
}

fn start(seen: Seen) -> ChaosCommand {
    ChaosCommand::Start { plan: Box::new(plan(Fault::Errors, 5_000)), for_ms: 60_000, seen }
}

fn stop(all: bool) -> ChaosCommand {
    ChaosCommand::Stop { reason: "enough".to_owned(), all }
}

fn started() -> Entity<Chaos> {
    let mut it = Entity::given();
    it.when(start(WELL));
    it
}

fn ruling(then: &Then<Chaos>) -> String {
    let reply = match &then.reply {
        Some(Ok(reply)) => reply.0.as_ref().map_or("nothing", |it| match it.ended {
            None => "running",
            Some(_) => "over",
        }),
        Some(Err(ChaosReject::NotFound)) => "not found",
        Some(Err(ChaosReject::Running)) => "it runs",
        other => panic!("{other:?}"),
    };
    format!("{} {reply}", then.names())
}

#[test]
fn every_pair_of_state_and_command_has_one_ruling() {
    let mut late = started();
    late.wait_ms(60_000);
    let mut over = started();
    over.when(stop(false));
    let states =
        [("absent", Entity::given()), ("running", started()), ("late", late), ("over", over)];
    let mut table = String::new();
    for (state, it) in states {
        for command in [start(WELL), stop(false), ChaosCommand::Due, ChaosCommand::Show] {
            let then = it.clone().when(command);
            table.push_str(&format!("{state}: {}\n", ruling(&then)));
        }
    }
    let expected = "\
absent: FaultStarted running
absent: - not found
absent: - nothing
absent: - not found
running: - it runs
running: FaultEnded over
running: - running
running: - running
late: FaultEnded+FaultStarted running
late: FaultEnded over
late: FaultEnded over
late: FaultEnded over
over: FaultStarted running
over: - over
over: - over
over: - over
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn it_ends_at_its_time_and_says_so_whoever_looks_late() {
    let mut it = started();
    assert_eq!(Chaos::deadline(&it.state), Some(at(60_000)));
    it.wait_ms(70_000);
    let then = it.when(stop(false));
    let [ChaosEvent::FaultEnded(end)] = &then.events[..] else { panic!("{then:?}") };
    assert_eq!((end.at, &end.cause), (at(60_000), &EndCause::Timer));
    assert_eq!(Chaos::deadline(&it.state), None);
}

#[test]
fn a_stop_says_why_and_whether_all_were_stopped() {
    let reason = || "enough".to_owned();
    let causes =
        [EndCause::Stopped { reason: reason() }, EndCause::StoppedAll { reason: reason() }];
    for (all, cause) in [false, true].into_iter().zip(causes) {
        let ended = started().when(stop(all)).ok().0.and_then(|it| it.ended).expect("an end");
        assert_eq!(ended.cause, cause);
    }
}

#[test]
fn below_the_floor_nothing_starts() {
    let levels = [Level::Minimal, Level::Limited, Level::Degraded, Level::Optimal];
    let starts = |level, floor| {
        let then = Entity::<Chaos>::given().when(start(Seen { configured: true, level, floor }));
        match then.reply {
            Some(Err(reject)) => {
                assert_eq!(reject, ChaosReject::BelowFloor { level, floor });
                assert_eq!(then.events, []);
                false
            },
            _ => true,
        }
    };
    assert_eq!(levels.map(|it| starts(it, Level::Degraded)), [false, false, true, true]);
    assert_eq!(levels.map(|it| starts(it, Level::Limited)), [false, true, true, true]);
}

#[test]
fn a_dependency_that_is_not_configured_has_no_faults() {
    let reject = Entity::<Chaos>::given().when(start(Seen { configured: false, ..WELL })).reject();
    assert_eq!(reject, ChaosReject::Unknown { dependency: "db".to_owned() });
}

#[test]
fn what_is_out_of_range_is_named() {
    let field = |plan: Plan, for_ms| {
        let command = ChaosCommand::Start { plan: Box::new(plan), for_ms, seen: WELL };
        match Entity::<Chaos>::given().when(command).reply {
            Some(Err(ChaosReject::OutOfRange { field, .. })) => field,
            Some(Ok(_)) => "none",
            other => panic!("{other:?}"),
        }
    };
    let latency = |it| plan(Fault::Latency(it), 1);
    let flapping = |up_ms, down_ms| plan(Fault::Flapping { up_ms, down_ms }, 1);
    let mut mute = plan(Fault::Hang, 1);
    mute.reason.clear();
    let cases = [
        (plan(Fault::Errors, 0), 1, "share"),
        (plan(Fault::Errors, 1), 0, "for_ms"),
        (plan(Fault::Errors, 1), MAX_FOR_MS + 1, "for_ms"),
        (plan(Fault::Errors, 1), MAX_FOR_MS, "none"),
        (mute, 1, "reason"),
        (latency(Latency::Fixed { ms: 0 }), 1, "fault.latency.fixed.ms"),
        (latency(Latency::Fixed { ms: 600_000 }), 1, "none"),
        (latency(Latency::Fixed { ms: 600_001 }), 1, "fault.latency.fixed.ms"),
        (latency(Latency::Uniform { min_ms: 2, max_ms: 1 }), 1, "fault.latency.uniform.max_ms"),
        (latency(Latency::Uniform { min_ms: 0, max_ms: 1 }), 1, "none"),
        (
            latency(Latency::Normal { mean_ms: 0, deviation_ms: 1 }),
            1,
            "fault.latency.normal.mean_ms",
        ),
        (
            latency(Latency::Normal { mean_ms: 1, deviation_ms: 600_001 }),
            1,
            "fault.latency.normal.deviation_ms",
        ),
        (flapping(0, 1), 1, "fault.flapping.up_ms"),
        (flapping(1, 3_600_001), 1, "fault.flapping.down_ms"),
    ];
    for (plan, for_ms, expected) in cases {
        let told = format!("{plan:?}");
        assert_eq!(field(plan, for_ms), expected, "{told}");
    }
}

#[test]
fn a_retried_start_finds_its_experiment_and_starts_no_other() {
    let mut it = Entity::<Chaos>::given();
    let events = it.when(start(WELL)).events;
    it.when(stop(false));
    let Again::Reply(Ok(reply)) = Chaos::answer_again(&it.state, "r", &events, it.now) else {
        panic!("decided again")
    };
    assert_eq!(reply.0, it.state.last, "as it is now");
}

#[test]
fn a_retried_stop_ends_no_experiment_that_began_since() {
    let mut it = Entity::<Chaos>::given();
    it.when(start(WELL));
    let events = it.when(stop(false)).events;
    it.wait_ms(1_000);
    it.when(start(WELL));
    let Again::Reply(Ok(reply)) = Chaos::answer_again(&it.state, "r", &events, it.now) else {
        panic!("decided again")
    };
    assert_eq!(reply.0, it.state.last);
    assert!(it.state.last.as_ref().unwrap().runs(it.now));
}
