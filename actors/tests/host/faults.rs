//! Faults on purpose: the board that callers read, its flag, the floor, ends over restarts.

use std::time::Duration;

use mainstay_actors::chaos::{Chaos, ChaosCommand, ChaosReject, EndCause, Fault, Plan, Strike};
use mainstay_actors::dependency::{Dependency, DependencyCommand, Mode};
use mainstay_actors::gate::{Entry, Front};
use mainstay_actors::health::Level;
use mainstay_actors::host::{Answered, Failure, Host};
use mainstay_actors::machine::Machine;
use mainstay_actors::rate::Rate;
use mainstay_journal::StreamId;
use tokio::time::sleep;

use super::support::{Rig, breaker, meta, virtually};

fn stream(name: &str) -> StreamId {
    StreamId::new(Chaos::KIND, name).unwrap()
}

fn rig() -> Rig {
    let mut rig = Rig::default();
    rig.options.dependencies.insert("db".to_owned(), breaker());
    rig
}

async fn start(host: &Host, name: &str, dependency: &str, for_ms: u64) -> Answered<Chaos> {
    let plan = Plan {
        dependency: dependency.to_owned(),
        fault: Fault::Errors,
        share: Rate::ONE,
        seed: 7,
        reason: "a game day".to_owned(),
    };
    host.start_fault(stream(name), plan, for_ms, Level::Degraded, meta()).await
}

fn names(host: &Host) -> Vec<String> {
    let running = host.faults().unwrap().for_dependency("db");
    running.iter().flat_map(|it| it.iter().map(|it| it.name.clone())).collect()
}

fn is_faulted(host: &Host) -> bool {
    match host.board().front("db").enter() {
        Entry::Admitted(ticket) => Front::is_faulted(ticket),
        other => panic!("{other:?}"),
    }
}

#[test]
fn callers_see_what_runs_until_the_last_of_it_has_ended() {
    virtually(async {
        let (host, _log) = rig().start().await;
        assert!(!is_faulted(&host));
        start(&host, "a", "db", 10_000).await.unwrap();
        start(&host, "b", "db", 60_000).await.unwrap();
        assert_eq!((names(&host), is_faulted(&host)), (vec!["a".to_owned(), "b".to_owned()], true));
        let faults = host.faults().unwrap();
        let now = host.now().unwrap();
        let struck = faults.strike("db", now).unwrap();
        assert_eq!((struck.strike, struck.experiment.as_str()), (Strike::Fail, "a"));
        assert_eq!(faults.strike("db", now.plus_ms(10_000)).unwrap().experiment, "b");
        assert_eq!(faults.strike("db", now.plus_ms(60_000)), None);
        assert!(faults.goes_on(&struck));
        sleep(Duration::from_secs(11)).await;
        assert_eq!((names(&host), is_faulted(&host)), (vec!["b".to_owned()], true));
        let ended = host.faults().unwrap().get("a").unwrap().ended.unwrap();
        assert_eq!(ended.cause, EndCause::Timer);
        assert!(!faults.goes_on(&struck));
        let stop = ChaosCommand::Stop { reason: "enough".to_owned(), all: false };
        host.ask::<Chaos>(stream("b"), stop, meta()).await.unwrap();
        assert_eq!((names(&host), is_faulted(&host)), (vec![], false));
        assert_eq!(host.faults().unwrap().active(), 0);
    });
}

#[test]
fn a_stop_of_all_ends_what_runs_and_nothing_else() {
    virtually(async {
        let (host, _log) = rig().start().await;
        for name in ["a", "b", "c"] {
            start(&host, name, "db", 60_000).await.unwrap();
        }
        let stop = ChaosCommand::Stop { reason: "enough".to_owned(), all: false };
        host.ask::<Chaos>(stream("b"), stop, meta()).await.unwrap();
        assert_eq!(host.stop_faults("an incident", meta()).await.unwrap(), ["a", "c"]);
        assert_eq!((names(&host), is_faulted(&host)), (vec![], false));
        assert!(host.stop_faults("an incident", meta()).await.unwrap().is_empty());
    });
}

#[test]
fn a_fault_goes_on_over_a_restart_and_ends_at_its_time() {
    let rig = rig();
    let until = virtually(async {
        let (host, _log) = rig.start().await;
        start(&host, "a", "db", 60_000).await.unwrap().reply.0.unwrap().until
    });
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        assert_eq!((names(&host), is_faulted(&host)), (vec!["a".to_owned()], true));
        assert_eq!(host.faults().unwrap().get("a").unwrap().until, until);
        sleep(Duration::from_secs(61)).await;
        assert_eq!((names(&host), is_faulted(&host)), (vec![], false));
    });
}

#[test]
fn nothing_starts_below_the_floor_or_against_what_is_not_configured() {
    virtually(async {
        let (host, _log) = rig().start().await;
        let refused = |answered: Answered<Chaos>| match answered {
            Err(Failure::Rejected { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        let unknown = ChaosReject::Unknown { dependency: "cache".to_owned() };
        assert_eq!(refused(start(&host, "a", "cache", 1_000).await), unknown);
        let db = StreamId::new(Dependency::KIND, "db").unwrap();
        let force = DependencyCommand::Force {
            to: Mode::ForcedOpen,
            for_ms: None,
            reason: "down".to_owned(),
        };
        host.ask::<Dependency>(db, force, meta()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let level = host.health().await.unwrap().level;
        assert!(level < Level::Degraded, "{level}");
        let below = ChaosReject::BelowFloor { level, floor: Level::Degraded };
        assert_eq!(refused(start(&host, "a", "db", 1_000).await), below);
        assert_eq!(host.faults().unwrap().active(), 0);
    });
}
