//! Renews a lease and watches for its end, on the host's own thread.
//!
//! | first of | then |
//! |---|---|
//! | the holder gave it back | over |
//! | a durable event ends it | lost, with the event's reason |
//! | its end by the host's clock | lost, with the reason of the last failed renewal |
//! | a third of its TTL since it was granted or renewed | renew; after a failure again soon |
//!
//! The end by the clock comes before the journal's own expiry, and needs no journal.

use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::host::{Host, LeaseEnd};
use mainstay_actors::lock::{Lock, LockCommand, LockEvent, LockReject, LockReply};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, Query, StreamId};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::lease::{Lost, Standing};
use crate::client::{Client, Unavailable, told};

/// Told this much before the end: timers wake up to a millisecond late.
const EARLY: Duration = Duration::from_millis(1);
/// Shortest and longest pause after a failed renewal, in milliseconds; a tenth of the TTL between.
const PAUSE_MS: (u64, u64) = (20, 1_000);

/// Keeps one lease.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) stream: StreamId,
    pub(super) token: u64,
    pub(super) owner: String,
    pub(super) ttl_ms: u64,
    pub(super) granted: Cursor,
    pub(super) standing: watch::Sender<Standing>,
}

/// Why a renewal failed.
enum Trouble {
    /// The lease has ended.
    Over,
    /// Nothing was decided.
    Undecided(Unavailable),
}

impl From<Unavailable> for Trouble {
    fn from(reason: Unavailable) -> Self {
        Self::Undecided(reason)
    }
}

impl Keeper {
    /// Works until the lease is lost or `is_kept` is closed.
    pub(super) async fn run(self, mut is_kept: oneshot::Receiver<()>) {
        let lost = tokio::select! {
            biased;
            _ = &mut is_kept => Lost::Released,
            lost = self.keep() => lost,
        };
        self.standing.send_modify(|standing| standing.lost = Some(lost));
    }

    async fn keep(&self) -> Lost {
        let mut end = self.client.host.follow_lease(self.stream.clone(), self.token).await.ok();
        let mut next = self.after_a_third(self.standing.borrow().expires_at);
        let mut trouble = None;
        loop {
            let expires_at = self.standing.borrow().expires_at;
            let renewal = async {
                sleep(until(&self.client.host, next)).await;
                self.renew().await
            };
            let renewed = tokio::select! {
                biased;
                told = told_of(&mut end) => {
                    // Nobody follows what the host does not know as live: the journal may.
                    let Some(end) = self.or_looked_up(told).await else {
                        end = None;
                        continue;
                    };
                    return lost_by(end);
                },
                () = sleep(until(&self.client.host, expires_at).saturating_sub(EARLY)) => {
                    let unanswered = || "the renewal is not answered".to_owned();
                    let late = self.now() >= next;
                    return match trouble.or_else(|| late.then(unanswered)) {
                        Some(reason) => Lost::NotRenewed { reason },
                        None => Lost::Expired,
                    };
                },
                renewed = renewal => renewed,
            };
            match renewed {
                Ok(expires_at) => (next, trouble) = (self.after_a_third(expires_at), None),
                Err(Trouble::Undecided(reason)) => {
                    trouble = Some(reason.to_string());
                    let pause_ms = (self.ttl_ms / 10).clamp(PAUSE_MS.0, PAUSE_MS.1);
                    next = self.now().plus_ms(pause_ms);
                },
                Err(Trouble::Over) => {
                    // Its last event was told before the answer left.
                    let told = end.and_then(|mut end| end.try_recv().ok());
                    return self.or_looked_up(told).await.map_or(Lost::Expired, lost_by);
                },
            }
        }
    }

    async fn renew(&self) -> Result<Timestamp, Trouble> {
        let (token, owner) = (self.token, self.owner.clone());
        let renew = LockCommand::Renew { token, owner, ttl_ms: None };
        let asked = self.client.host.ask::<Lock>(self.stream.clone(), renew, self.client.meta());
        let renewed = asked.await.map_err(|no| told(no, |_: LockReject| Trouble::Over))?;
        let LockReply::Lease(lease) = renewed.reply else { return Err(Trouble::Over) };
        self.standing.send_modify(|standing| {
            standing.expires_at = lease.expires_at;
            standing.cursor = renewed.at;
            standing.renewals += 1;
        });
        Ok(lease.expires_at)
    }

    /// The end that was told, else the event that ended the lease before anybody followed it.
    async fn or_looked_up(&self, told: Option<LeaseEnd>) -> Option<LeaseEnd> {
        if told.is_some() {
            return told;
        }
        let (log, token) = (self.client.host.log()?, self.token);
        let query = Query {
            stream: Some(self.stream.clone()),
            after: self.granted.position,
            ..Query::default()
        };
        let work = move || {
            let mut found = None;
            let read = log.find_back(&query, &mut |record| {
                let event = LockEvent::decode(record.type_id, record.schema, record.payload);
                let end = event.ok().and_then(|event| LeaseEnd::of(&event));
                found = end.filter(|(ended, _)| *ended == token).map(|(_, end)| end);
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            read.ok().and(found)
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    fn now(&self) -> Timestamp {
        self.client.host.now().unwrap_or_default()
    }

    /// The moment of the next renewal of a lease that ends at `expires_at`.
    fn after_a_third(&self, expires_at: Timestamp) -> Timestamp {
        let rest_us = self.ttl_ms.saturating_mul(1_000) / 3 * 2;
        Timestamp::from_micros(expires_at.as_micros().saturating_sub(rest_us))
    }
}

/// The end as the holder is told it.
fn lost_by(end: LeaseEnd) -> Lost {
    match end {
        LeaseEnd::Released => Lost::Released,
        LeaseEnd::SessionEnded { session } => Lost::SessionEnded { session },
        LeaseEnd::Revoked { reason } => Lost::Revoked { reason },
        LeaseEnd::Expired => Lost::Expired,
    }
}

/// The end of the lease, or for ever if nobody tells.
async fn told_of(end: &mut Option<oneshot::Receiver<LeaseEnd>>) -> Option<LeaseEnd> {
    match end {
        Some(end) => end.await.ok(),
        None => pending().await,
    }
}

/// How long it is until then by the host's clock.
fn until(host: &Host, moment: Timestamp) -> Duration {
    let now = host.now().unwrap_or_default();
    Duration::from_micros(moment.as_micros().saturating_sub(now.as_micros()))
}
