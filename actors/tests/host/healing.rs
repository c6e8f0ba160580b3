//! The level falls at once, rises late, and each change is journaled with its cause.

use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::dependency::{Dependency, DependencyCommand, Mode};
use mainstay_actors::health::Level;
use mainstay_actors::host::Host;
use mainstay_actors::system::{LevelChanged, SystemEvent};
use mainstay_journal::{ReadLog, StreamId};
use tokio::time::sleep;

use super::support::{Rig, acquire, breaker, meta, virtually};

async fn force(host: &Host, to: Mode) {
    let db = StreamId::new("dependency", "db").unwrap();
    let command = DependencyCommand::Force { to, for_ms: None, reason: "drill".to_owned() };
    host.ask::<Dependency>(db, command, meta()).await.unwrap();
    sleep(Duration::from_millis(1)).await;
}

async fn level(host: &Host) -> Level {
    host.health().await.unwrap().level
}

fn changes(log: &dyn ReadLog) -> Vec<LevelChanged> {
    let mut changes = Vec::new();
    let stream = StreamId::new("system", "health").unwrap();
    log.read_stream(&stream, u64::MAX, &mut |record| {
        let event = SystemEvent::decode(record.type_id, record.schema, record.payload);
        if let SystemEvent::LevelChanged(change) = event.unwrap() {
            changes.push(change);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    changes
}

/// Recovers after 10 s.
fn rig() -> Rig {
    let mut rig = Rig::default();
    rig.options.dependencies.insert("db".to_owned(), breaker());
    rig
}

#[test]
fn the_level_falls_at_once_and_rises_after_the_better_one_has_held() {
    virtually(async {
        let (host, log) = rig().start().await;
        assert_eq!(level(&host).await, Level::Optimal);
        force(&host, Mode::ForcedOpen).await;
        assert_eq!(level(&host).await, Level::Emergency);
        force(&host, Mode::Closed).await;
        sleep(Duration::from_millis(9_900)).await;
        assert_eq!(level(&host).await, Level::Emergency);
        // A relapse starts the wait anew.
        force(&host, Mode::ForcedOpen).await;
        force(&host, Mode::Closed).await;
        sleep(Duration::from_millis(9_900)).await;
        assert_eq!(level(&host).await, Level::Emergency);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(level(&host).await, Level::Optimal);
        let changes = changes(&*log);
        let moves: Vec<_> = changes.iter().map(|change| (change.from, change.to)).collect();
        assert_eq!(moves, [(Level::Optimal, Level::Emergency), (Level::Emergency, Level::Optimal)]);
        assert_eq!(changes[0].cause, "db is forced_open");
    });
}

#[test]
fn a_restart_keeps_the_level_and_starts_the_wait_anew() {
    let rig = rig();
    virtually(async {
        let (host, _log) = rig.start().await;
        force(&host, Mode::ForcedOpen).await;
        force(&host, Mode::Closed).await;
        sleep(Duration::from_secs(8)).await;
        assert_eq!(level(&host).await, Level::Emergency);
    });
    let rig = rig.cut();
    virtually(async {
        let (host, log) = rig.start().await;
        sleep(Duration::from_secs(8)).await;
        assert_eq!(level(&host).await, Level::Emergency);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(level(&host).await, Level::Optimal);
        assert_eq!(changes(&*log).len(), 2);
    });
}

#[test]
fn a_change_of_level_names_the_dependency_event_that_made_it_necessary() {
    // It named the newest event of all, so that `--why` blamed somebody's session.
    virtually(async {
        let (host, log) = rig().start().await;
        force(&host, Mode::ForcedOpen).await;
        force(&host, Mode::Closed).await;
        // Others go on while the better level must hold.
        for second in 0..12 {
            acquire(&host, &format!("room-{second}"), "anna", 600_000).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(level(&host).await, Level::Optimal);
        let mut causes = Vec::new();
        let health = StreamId::new("system", "health").unwrap();
        log.read_stream(&health, u64::MAX, &mut |record| {
            causes.extend(record.causation);
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut caused_by = Vec::new();
        for cause in causes {
            log.scan(cause.position, cause.position, &mut |record| {
                caused_by.push(record.stream.to_owned());
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        assert_eq!(caused_by, ["dependency/db", "dependency/db"]);
    });
}
