//! Commands as a busy server gets them: many in flight, each durable before it is answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay::actors::host::{Host, Meta};
use mainstay::actors::lock::{Claim, Lock, LockCommand, LockReply, Mode};
use mainstay::actors::session::{Sealed, Session, SessionCommand};
use mainstay::journal::StreamId;

use crate::host::{block_on, meta};

/// Commands under way at once.
pub(crate) const IN_FLIGHT: usize = 256;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Acquire and release one of a thousand locks.
    Locks,
    /// Create a session.
    Create,
    /// Patch a session of the journal that nobody asked for since the start.
    Patch,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Locks, Self::Create, Self::Patch];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Locks => "acquire or release a lock",
            Self::Create => "create a session",
            Self::Patch => "patch a session not asked for before",
        }
    }
}

/// Sends `count` commands; the time that each took off the throughput. `sessions` are those to
/// patch, one each.
pub(crate) fn cost(host: &Host, kind: Kind, count: usize, sessions: &[StreamId]) -> Duration {
    let run = unique();
    let started = Instant::now();
    block_on(async {
        let clients = (0..IN_FLIGHT).map(|client| {
            let (host, mine) = (host.clone(), sessions.iter().skip(client).step_by(IN_FLIGHT));
            let mine: Vec<StreamId> = mine.take(count.div_ceil(IN_FLIGHT)).cloned().collect();
            tokio::spawn(async move {
                for turn in 0..count / IN_FLIGHT {
                    match kind {
                        Kind::Locks => lock(&host, client + IN_FLIGHT * (turn % 4)).await,
                        Kind::Create => create(&host, &format!("{run:x}-{client}-{turn}")).await,
                        Kind::Patch => {
                            let Some(session) = mine.get(turn) else { return };
                            patch(&host, session.clone()).await;
                        },
                    }
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
    });
    let commands = if kind == Kind::Locks { 2 * count } else { count };
    started.elapsed() / u32::try_from(commands).unwrap()
}

/// A number that no other run has.
fn unique() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

async fn lock(host: &Host, number: usize) {
    let stream = StreamId::new("lock", &format!("bench-{number:04}")).unwrap();
    let owner = "bench".to_owned();
    let claim = Claim {
        owner: owner.as_str().into(),
        session: None,
        mode: Mode::Exclusive,
        range: None,
        ttl_ms: 60_000,
        delay_ms: 0,
        request: None,
    };
    let command = LockCommand::Acquire { claim, wait_ms: 0 };
    let granted = host.ask::<Lock>(stream.clone(), command, meta()).await.unwrap();
    let LockReply::Lease(lease) = granted.reply else { panic!("no lease") };
    let command = LockCommand::Release { token: lease.token, owner };
    host.ask::<Lock>(stream, command, meta()).await.unwrap();
}

async fn create(host: &Host, id: &str) {
    let command = SessionCommand::Create {
        tenant: "bench".to_owned(),
        subject: "bench".to_owned(),
        ttl_ms: 3_600_000,
        max_age_ms: None,
        attributes: BTreeMap::new(),
    };
    let stream = StreamId::new("session", &format!("bench/{id}")).unwrap();
    // As the API does with an id that it has just made.
    host.ask::<Session>(stream, command, Meta { fresh: true, ..meta() }).await.unwrap();
}

async fn patch(host: &Host, session: StreamId) {
    let changes = BTreeMap::from([("seen".to_owned(), Some(Sealed::plain(b"12345678")))]);
    let command = SessionCommand::Patch { if_revision: None, changes };
    // One that has ended says no: the cost of finding that out is the same.
    drop(host.ask::<Session>(session, command, meta()).await);
}
