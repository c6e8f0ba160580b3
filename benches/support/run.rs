//! Drives a host with a bounded number of commands in flight and counts what became durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mainstay::actors::host::{Host, Meta};
use mainstay::actors::lock::{Claim, Lock, LockCommand, LockReply, Mode};
use mainstay::actors::session::{Sealed, Session, SessionCommand};
use mainstay::journal::StreamId;

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Acquire and release, each client on its own share of so many locks.
    Locks { locks: u64 },
    /// Unconditional patches of one session.
    OneSession,
}

/// What one run measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Records that the store was behind at the end.
    pub(crate) lag: u64,
    /// 50th and 99th percentile of the journal's own syncs; 0 where it does not say.
    pub(crate) sync_us: (u64, u64),
}

/// Runs `in_flight` clients for `time`; each waits for its answer before it asks again.
pub(crate) fn drive(host: &Host, load: Load, in_flight: usize, time: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        host.ready().await.unwrap();
        let principal: Arc<str> = Arc::from("bench");
        if let Load::OneSession = load {
            create(host, &principal).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let mut clients = Vec::new();
        for number in 0..in_flight {
            let client = Client {
                host: host.clone(),
                principal: principal.clone(),
                number: number as u64,
                clients: in_flight as u64,
                stop: stop.clone(),
                done: done.clone(),
            };
            clients.push(tokio::spawn(client.run(load)));
        }
        let started = Instant::now();
        tokio::time::sleep(time).await;
        let count = done.load(Ordering::Relaxed);
        let elapsed = started.elapsed();
        let status = host.log().unwrap().status();
        let lag = status.store.map_or(0, |store| status.head.position - store.reached);
        let sync_us = (status.sync_p50_us, status.sync_p99_us);
        stop.store(true, Ordering::Relaxed);
        let mut latencies = Histogram::<u64>::new(3).unwrap();
        for client in clients {
            latencies.add(client.await.unwrap()).unwrap();
        }
        let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        let per_second = count as f64 / elapsed.as_secs_f64();
        Figures { per_second, p50_ms: ms(0.5), p99_ms: ms(0.99), lag, sync_us }
    })
}

struct Client {
    host: Host,
    principal: Arc<str>,
    number: u64,
    clients: u64,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Client {
    async fn run(self, load: Load) -> Histogram<u64> {
        let mut latencies = Histogram::<u64>::new(3).unwrap();
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match load {
                Load::Locks { locks } => {
                    // Nobody meets anybody: each client goes round its own share.
                    let lock = self.number + self.clients * (turn % (locks / self.clients).max(1));
                    self.acquire_and_release(lock, &mut latencies).await;
                },
                Load::OneSession => self.patch(turn, &mut latencies).await,
            }
            turn += 1;
        }
        latencies
    }

    async fn acquire_and_release(&self, lock: u64, latencies: &mut Histogram<u64>) {
        let stream = StreamId::new("lock", &format!("bench-{lock:07}")).unwrap();
        let owner = format!("client-{}", self.number);
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
        let started = Instant::now();
        let granted = self.host.ask::<Lock>(stream.clone(), command, self.meta()).await.unwrap();
        self.count(started, latencies);
        let LockReply::Lease(lease) = granted.reply else { panic!("no lease") };
        let command = LockCommand::Release { token: lease.token, owner };
        let started = Instant::now();
        self.host.ask::<Lock>(stream, command, self.meta()).await.unwrap();
        self.count(started, latencies);
    }

    async fn patch(&self, turn: u64, latencies: &mut Histogram<u64>) {
        let value = Sealed::plain(turn.to_string().as_bytes());
        let changes = BTreeMap::from([("seen".to_owned(), Some(value))]);
        let command = SessionCommand::Patch { if_revision: None, changes };
        let started = Instant::now();
        self.host.ask::<Session>(session(), command, self.meta()).await.unwrap();
        self.count(started, latencies);
    }

    fn meta(&self) -> Meta {
        Meta::of(&self.principal)
    }

    fn count(&self, started: Instant, latencies: &mut Histogram<u64>) {
        latencies.record(u64::try_from(started.elapsed().as_micros()).unwrap()).unwrap();
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

fn session() -> StreamId {
    StreamId::new("session", "default/hot").unwrap()
}

async fn create(host: &Host, principal: &Arc<str>) {
    let command = SessionCommand::Create {
        tenant: "default".to_owned(),
        subject: "bench".to_owned(),
        ttl_ms: 3_600_000,
        max_age_ms: None,
        attributes: BTreeMap::new(),
    };
    host.ask::<Session>(session(), command, Meta::of(principal)).await.unwrap();
}

/// Closes a host and waits until its files are released.
pub(crate) fn close(host: Host) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(host.close());
}

/// The median round, figure by figure.
pub(crate) fn median(rounds: &[Figures]) -> Figures {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures {
        per_second: middle(rounds.iter().map(|it| it.per_second).collect()),
        p50_ms: middle(rounds.iter().map(|it| it.p50_ms).collect()),
        p99_ms: middle(rounds.iter().map(|it| it.p99_ms).collect()),
        lag: rounds.iter().map(|it| it.lag).max().unwrap_or(0),
        sync_us: rounds.iter().map(|it| it.sync_us).max().unwrap_or_default(),
    }
}
