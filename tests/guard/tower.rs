//! A guard as a layer of tower: readiness, clones, futures that are dropped.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use mainstay::dependency::Mode;
use mainstay::guard::{Bulkhead, GuardError, Refused};
use tower_layer::Layer as _;
use tower_service::Service;

use super::support::{Rig, is_open, ms};

/// Insists on the contract: `call` only after `poll_ready` of the same clone.
struct Strict {
    reserved: bool,
    calls: Arc<AtomicU32>,
    answer: Result<u8, &'static str>,
    hangs: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        let Self { calls, answer, hangs, .. } = self;
        Self { reserved: false, calls: calls.clone(), answer: *answer, hangs: *hangs }
    }
}

impl Service<()> for Strict {
    type Response = u8;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<u8, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.reserved = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        assert!(std::mem::take(&mut self.reserved), "called without being ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (answer, hangs) = (self.answer, self.hangs);
        Box::pin(async move { if hangs { pending().await } else { answer } })
    }
}

fn strict(answer: Result<u8, &'static str>, hangs: bool) -> Strict {
    Strict { reserved: false, calls: Arc::default(), answer, hangs }
}

async fn ask<S: Service<()>>(service: &mut S) -> Result<S::Response, S::Error> {
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(()).await
}

#[tokio::test]
async fn a_service_behind_a_guard_is_called_when_it_is_ready_and_not_when_the_breaker_is_open() {
    let rig = Rig::new().await;
    let inner = strict(Err("no"), false);
    let calls = inner.calls.clone();
    let mut service = rig.db.guard().into_layer().layer(inner);
    for _ in 0..4 {
        assert_eq!(ask(&mut service).await, Err(GuardError::Failed("no")));
    }
    let mut clone = service.clone();
    assert!(is_open(&ask(&mut clone).await), "clones share the breaker");
    assert!(is_open(&ask(&mut service).await));
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    rig.becomes(Mode::HalfOpen).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn a_response_that_is_dropped_gives_its_trial_and_its_place_back() {
    let rig = Rig::new().await;
    rig.trip().await;
    rig.becomes(Mode::HalfOpen).await;
    let guard = rig.db.guard().bulkhead(Bulkhead::new(1).queue(0));
    let mut hangs = guard.clone().into_layer().layer(strict(Ok(1), true));
    for _ in 0..20 {
        assert!(tokio::time::timeout(ms(1), ask(&mut hangs)).await.is_err());
    }
    let mut works = guard.into_layer().layer(strict(Ok(1), false));
    for _ in 0..2 {
        assert_eq!(ask(&mut works).await, Ok(1));
    }
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn the_layers_of_the_guard_are_there_too() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().timeout(ms(10)).fallback(|error| match error {
        GuardError::Refused(Refused::TimedOut { .. }) => 9,
        _ => 0,
    });
    let mut service = guard.into_layer().layer(strict(Ok(1), true));
    assert_eq!(ask(&mut service).await, Ok(9));
    rig.stay.close().await;
}
