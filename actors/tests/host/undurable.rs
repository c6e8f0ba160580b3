//! While a sync is held, nobody but `decide` sees what it would make durable.

use std::time::Duration;

use mainstay_actors::dependency::{Dependency, DependencyCommand, Mode};
use mainstay_actors::host::Hosted;
use mainstay_actors::lock::{Lock, LockCommand, LockReply};
use mainstay_actors::session::{Session, SessionCommand};
use mainstay_journal::{Fault, ReadLog as _, StreamId};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use super::support::{
    Rig, acquire, breaker, create, lock, lock_events, meta, session, virtually, waiting,
};

/// Asks in a task of its own, for an answer that does not come yet.
fn ask<M: Hosted>(
    host: &mainstay_actors::host::Host,
    stream: StreamId,
    command: M::Command,
) -> JoinHandle<mainstay_actors::host::Answered<M>> {
    let host = host.clone();
    spawn_local(async move { host.ask::<M>(stream, command, meta()).await })
}

#[test]
fn no_reader_sees_an_event_whose_sync_is_held() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let db = StreamId::new("dependency", "db").unwrap();
        let configure = DependencyCommand::Configure(Box::new(breaker()));
        host.ask::<Dependency>(db.clone(), configure, meta()).await.unwrap();
        // An entity that is not in memory yet would wait for the sync before it is loaded.
        let first = acquire(&host, "pool", "first", 600_000).await;
        let release = LockCommand::Release { token: first.token, owner: "first".to_owned() };
        host.ask::<Lock>(lock("pool"), release, meta()).await.unwrap();
        host.ask::<Session>(session("default/s"), create(600_000), meta()).await.unwrap();
        let (head, health) = (log.head(), host.health().await.unwrap());
        log.set(Fault::Hold);
        let force = DependencyCommand::Force {
            to: Mode::ForcedOpen,
            for_ms: None,
            reason: "drill".to_owned(),
        };
        let mut force = ask::<Dependency>(&host, db, force);
        let mut take = ask::<Lock>(&host, lock("pool"), waiting("anna", 600_000, 0));
        let mut refused = ask::<Lock>(&host, lock("pool"), waiting("ben", 600_000, 0));
        let mut show = ask::<Lock>(&host, lock("pool"), LockCommand::Show);
        let mut end = ask::<Session>(&host, session("default/s"), SessionCommand::End);
        let mut read = ask::<Session>(&host, session("default/s"), SessionCommand::Show);
        // Replies, refusals and reads that rest on the held events wait for them.
        let minute = Duration::from_mins(1);
        assert!(timeout(minute, &mut force).await.is_err());
        assert!(timeout(minute, &mut take).await.is_err());
        assert!(timeout(minute, &mut refused).await.is_err());
        assert!(timeout(minute, &mut show).await.is_err());
        assert!(timeout(minute, &mut end).await.is_err());
        assert!(timeout(minute, &mut read).await.is_err());
        assert_eq!(log.held(), 3);
        // Lists, health and the journal show the moment before.
        assert_eq!(host.health().await.unwrap(), health);
        assert_eq!(host.dependency("db").await.unwrap().unwrap().breaker.mode, Mode::Closed);
        assert!(host.held_locks("", "", 10).await.unwrap().is_empty());
        assert_eq!(lock_events(&*log, "pool").len(), 2);
        assert_eq!(log.head(), head);
        log.release().unwrap();
        force.await.unwrap().unwrap();
        let token = match take.await.unwrap().unwrap().reply {
            LockReply::Lease(lease) => lease.token,
            other => panic!("{other:?}"),
        };
        let refused = refused.await.unwrap().unwrap_err();
        assert!(matches!(refused, mainstay_actors::host::Failure::Rejected { .. }), "{refused}");
        let LockReply::State(view) = show.await.unwrap().unwrap().reply else { panic!("no view") };
        assert_eq!(view.last_token, token);
        end.await.unwrap().unwrap();
        read.await.unwrap().unwrap_err();
        assert_eq!(host.held_locks("", "", 10).await.unwrap().len(), 1);
        let mode = host.dependency("db").await.unwrap().unwrap().breaker.mode;
        assert_eq!(mode, Mode::ForcedOpen);
    });
}
