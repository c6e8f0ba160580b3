//! Who is measured: each prepares a call for one thread.

use std::convert::Infallible;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use futures_executor::block_on;
use mainstay::dependency::{BreakerSettings, Mode, Settings, Window};
use mainstay::{Config, Mainstay};
use tower_layer::Layer as _;
use tower_service::Service;

/// Makes so many calls.
pub type Calls = Box<dyn FnMut(u32)>;

pub struct Contender {
    pub name: String,
    pub prepare: Box<dyn Fn() -> Calls + Sync>,
}

fn contender(name: &str, prepare: impl Fn() -> Calls + Sync + 'static) -> Contender {
    Contender { name: name.to_owned(), prepare: Box::new(prepare) }
}

pub fn all() -> Vec<Contender> {
    let mut all = ours();
    all.extend(others());
    all
}

/// Many breakers of one mainstay, and what of them is called.
fn ours() -> Vec<Contender> {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.server.data = data.path().join("data");
    let stay = block_on(Mainstay::open(config)).expect("a mainstay");
    let settings = |window| {
        let breaker =
            BreakerSettings { window, slow_call_ms: Some(100), ..BreakerSettings::default() };
        Settings { weight: 1, cap: None, breaker, from_file: false }
    };
    let guard = |name: &str, window| {
        let dependency = stay.dependency(name);
        block_on(dependency.configure(settings(window))).expect("configured");
        dependency.guard()
    };
    let time = guard("time", Window::Seconds(60));
    let calls = guard("calls", Window::Calls(100));
    let rejecting = guard("rejecting", Window::Seconds(60));
    block_on(rejecting.dependency().force(Mode::ForcedOpen, None, "measured")).expect("forced");
    let half = guard("half", Window::Seconds(60));
    block_on(half.dependency().force(Mode::Open, None, "measured")).expect("forced");
    block_on(half.dependency().force(Mode::HalfOpen, None, "measured")).expect("forced");
    let held: Vec<_> = (0..5).map(|_| block_on(half.dependency().permit()).expect("a trial")).collect();
    let many: Arc<Vec<_>> = Arc::new(
        (0..10_000).map(|n| guard(&format!("many-{n}"), Window::Seconds(60))).collect(),
    );
    // Open until the end of the process.
    std::mem::forget((data, stay, held));
    let ok = || Ok::<(), Infallible>(());
    let repeat = move |guard: mainstay::guard::Guard| -> Calls {
        Box::new(move |calls| {
            for _ in 0..calls {
                let _ = black_box(black_box(&guard).call_blocking(ok));
            }
        })
    };
    let polled = time.clone();
    vec![
        contender("mainstay, closed, 60 s", move || repeat(time.clone())),
        contender("mainstay, closed, 60 s, async", move || {
            let guard = polled.clone();
            Box::new(move |calls| {
                block_on(async {
                    for _ in 0..calls {
                        let _ = black_box(black_box(&guard).call(async || ok()).await);
                    }
                })
            })
        }),
        contender("mainstay, closed, 100 calls", move || repeat(calls.clone())),
        contender("mainstay, rejecting", move || repeat(rejecting.clone())),
        contender("mainstay, half-open, its trials under way", move || repeat(half.clone())),
        contender("mainstay, closed, 60 s, one of 10,000", move || {
            let (many, mut state) = (many.clone(), 0x9e37_79b9_7f4a_7c15_u64);
            Box::new(move |calls| {
                for _ in 0..calls {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let at = (state % 10_000) as usize;
                    let _ = black_box(black_box(&many[at]).call_blocking(ok));
                }
            })
        }),
    ]
}

fn others() -> Vec<Contender> {
    let ok = || Ok::<(), ()>(());
    let recloser = |closed_len| {
        Arc::new(recloser::Recloser::custom().error_rate(0.5).closed_len(closed_len).build())
    };
    let closed = recloser(100);
    let tripped = recloser(4);
    for _ in 0..10 {
        let _ = tripped.call(|| Err::<(), ()>(()));
    }
    let call = move |breaker: Arc<recloser::Recloser>| -> Calls {
        Box::new(move |calls| {
            for _ in 0..calls {
                let _ = black_box(black_box(&breaker).call(ok));
            }
        })
    };
    let failsafe_closed = failsafe::Config::new().build();
    let failsafe_open = failsafe::Config::new().build();
    for _ in 0..10 {
        let _ = failsafe_open.call(|| Err::<(), ()>(()));
    }
    let fail = move |breaker: failsafe::StateMachine<_, ()>| -> Calls {
        Box::new(move |calls| {
            for _ in 0..calls {
                let _ = black_box(black_box(&breaker).call(ok));
            }
        })
    };
    vec![
        contender("recloser, closed, 100 calls", move || call(closed.clone())),
        contender("recloser, rejecting", move || call(tripped.clone())),
        contender("failsafe, closed, defaults", move || fail(failsafe_closed.clone())),
        contender("failsafe, rejecting", move || fail(failsafe_open.clone())),
        contender("tower-resilience, closed, 100 calls", tower_resilience()),
        contender("governor, a rate limit that has room", || {
            let quota = governor::Quota::per_second(std::num::NonZeroU32::MAX);
            let limiter = governor::RateLimiter::direct(quota);
            Box::new(move |calls| {
                for _ in 0..calls {
                    let _ = black_box(black_box(&limiter).check());
                }
            })
        }),
    ]
}

#[derive(Clone)]
struct Succeeds;

impl Service<()> for Succeeds {
    type Response = ();
    type Error = ();
    type Future = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        Box::pin(async { Ok(()) })
    }
}

fn tower_resilience() -> impl Fn() -> Calls + Sync {
    let layer = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .slow_call_duration_threshold(Duration::from_millis(100))
        .build();
    let service = layer.layer(Succeeds);
    move || {
        let mut service = service.clone();
        Box::new(move |calls| {
            block_on(async {
                for _ in 0..calls {
                    let _ = poll_fn(|context| service.poll_ready(context)).await;
                    let _ = black_box(service.call(()).await);
                }
            })
        })
    }
}
