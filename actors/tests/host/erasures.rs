//! An erasure, cut short at every step: the next start has finished it before anybody is served.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::host::{Host, SubjectKeys};
use mainstay_actors::lock::LockCommand;
use mainstay_actors::session::{EndReason, Session, SessionCommand, SessionEvent};
use mainstay_actors::subject::{Subject, SubjectCommand, SubjectState};
use mainstay_journal::{Fault, Query, ReadLog, StreamId};

use crate::support::{Rig, claim, create, lock, meta, session, virtually};

/// Keys in memory: remembers who was destroyed, and may be broken.
#[derive(Debug, Default)]
struct Ring {
    destroyed: Mutex<Vec<String>>,
    broken: Mutex<bool>,
}

impl SubjectKeys for Ring {
    fn destroy(&self, tenant: &str, subject: &str) -> Result<(), String> {
        if *self.broken.lock().unwrap() {
            return Err("the disk is gone".to_owned());
        }
        self.destroyed.lock().unwrap().push(format!("{tenant}/{subject}"));
        Ok(())
    }
}

impl Ring {
    fn broken() -> Arc<Self> {
        Arc::new(Self { broken: Mutex::new(true), ..Self::default() })
    }

    fn was_destroyed(&self, subject: &str) -> bool {
        self.destroyed.lock().unwrap().iter().any(|it| it == subject)
    }
}

const SUBJECT: &str = "default/subject-1";

fn stream() -> StreamId {
    StreamId::new("subject", SUBJECT).unwrap()
}

fn with(rig: &Rig, keys: &Arc<Ring>, checkpoint_events: u64) -> Rig {
    let mut rig = rig.after_cut();
    rig.options.subject_keys = keys.clone();
    rig.options.limits.checkpoint_events = checkpoint_events;
    rig
}

async fn ask(host: &Host, command: SubjectCommand) -> SubjectState {
    host.ask::<Subject>(stream(), command, meta()).await.unwrap().reply.0
}

async fn live(host: &Host, id: &str) -> bool {
    host.ask::<Session>(session(id), SessionCommand::Show, meta()).await.is_ok()
}

/// Two sessions of the subject, one of which owns a lock, and one of somebody else.
async fn sessions(host: &Host) {
    for id in ["default/a", "default/b"] {
        host.ask::<Session>(session(id), create(600_000), meta()).await.unwrap();
    }
    let SessionCommand::Create { tenant, ttl_ms, max_age_ms, attributes, .. } = create(600_000)
    else {
        unreachable!()
    };
    let subject = "subject-2".to_owned();
    let other = SessionCommand::Create { tenant, subject, ttl_ms, max_age_ms, attributes };
    host.ask::<Session>(session("default/other"), other, meta()).await.unwrap();
    let mut claim = claim("anna", 600_000);
    claim.session = Some("default/a".into());
    let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
    host.ask::<mainstay_actors::lock::Lock>(lock("room"), acquire, meta()).await.unwrap();
}

/// How the sessions of the journal ended, by id.
fn ends(log: &dyn ReadLog) -> Vec<(String, EndReason)> {
    let mut ends = Vec::new();
    log.find(&Query::default(), &mut |record| {
        let event = SessionEvent::decode(record.type_id, record.schema, record.payload);
        if let Ok(SessionEvent::SessionEnded(event)) = event {
            ends.push((record.stream.to_owned(), event.reason));
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    ends.sort_by(|(one, _): &(String, _), (other, _)| one.cmp(other));
    ends
}

fn both_erased() -> Vec<(String, EndReason)> {
    let of = |id: &str| (format!("session/default/{id}"), EndReason::Erased);
    vec![of("a"), of("b")]
}

#[track_caller]
fn assert_finished(state: &SubjectState, sessions_ended: u64) {
    assert_eq!(state.erased.map(|it| it.sessions_ended), Some(Some(sessions_ended)), "{state:?}");
}

#[test]
fn an_erasure_destroys_the_key_then_ends_the_sessions_and_their_locks_fall() {
    virtually(async {
        let keys = Arc::new(Ring::default());
        let (host, log) = with(&Rig::default(), &keys, 0).start().await;
        sessions(&host).await;
        assert_eq!(ask(&host, SubjectCommand::Erase).await.erased.unwrap().sessions_ended, None);
        drop(host.follow_erasure(stream()).await.unwrap().await);
        assert!(keys.was_destroyed(SUBJECT));
        assert_finished(&ask(&host, SubjectCommand::Show).await, 2);
        assert_eq!(ends(&*log), both_erased());
        assert!(live(&host, "default/other").await);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(host.held_locks("", "", 10).await.unwrap().is_empty());
        // Nobody waits for one that is over.
        assert!(host.follow_erasure(stream()).await.unwrap().await.is_err());
    });
}

#[test]
fn a_session_that_becomes_durable_behind_the_erasure_ends_too() {
    virtually(async {
        let keys = Arc::new(Ring::default());
        let rig = with(&Rig::default(), &keys, 0);
        let (host, log) = rig.start().await;
        ask(&host, SubjectCommand::Erase).await;
        drop(host.follow_erasure(stream()).await.unwrap().await);
        host.ask::<Session>(session("default/late"), create(600_000), meta()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(!live(&host, "default/late").await);
        let late = |id: &str| (format!("session/default/{id}"), EndReason::Erased);
        assert_eq!(ends(&*log), [late("late")]);
        // One whose end the power cut is ended by the next start, from a checkpoint or without one.
        for checkpoint_events in [0, 1] {
            let rig = with(&rig, &keys, checkpoint_events);
            let (host, log) = rig.start().await;
            // It is written, but this life of the server never hears of it.
            log.set(Fault::UnknownButWritten("cut".to_owned()));
            let id = format!("default/later-{checkpoint_events}");
            host.ask::<Session>(session(&id), create(600_000), meta()).await.unwrap_err();
            let rig = with(&rig, &keys, checkpoint_events);
            for _ in 0..2 {
                let (host, _) = with(&rig, &keys, checkpoint_events).start().await;
                assert!(!live(&host, &id).await);
            }
        }
    });
}

#[test]
fn an_erasure_that_was_cut_short_is_finished_before_the_next_start_is_ready() {
    virtually(async {
        for checkpoint_events in [0, 1] {
            // The power goes before the key is destroyed.
            let keys = Ring::broken();
            let rig = with(&Rig::default(), &keys, checkpoint_events);
            let (host, _log) = rig.start().await;
            sessions(&host).await;
            ask(&host, SubjectCommand::Erase).await;
            assert!(live(&host, "default/a").await, "the key comes first");
            // A start that cannot destroy it serves nobody.
            let (host, _) = with(&rig, &keys, checkpoint_events).try_start().await;
            let refused = host.ready().await.unwrap_err().to_string();
            assert!(refused.contains("the disk is gone"), "{refused}");

            let keys = Arc::new(Ring::default());
            for _ in 0..2 {
                let (host, log) = with(&rig, &keys, checkpoint_events).start().await;
                assert!(keys.was_destroyed(SUBJECT));
                assert_eq!(ends(&*log), both_erased());
                assert_finished(&ask(&host, SubjectCommand::Show).await, 2);
            }
        }
    });
}

#[test]
fn a_key_that_comes_back_with_an_old_file_is_destroyed_by_every_start() {
    virtually(async {
        let keys = Arc::new(Ring::default());
        let rig = with(&Rig::default(), &keys, 1);
        let (host, _log) = rig.start().await;
        ask(&host, SubjectCommand::Erase).await;
        drop(host.follow_erasure(stream()).await.unwrap().await);
        let rig = with(&rig, &keys, 1);
        drop(rig.start().await);
        let restored = Arc::new(Ring::default());
        drop(with(&rig, &restored, 1).start().await);
        assert!(restored.was_destroyed(SUBJECT));
    });
}
