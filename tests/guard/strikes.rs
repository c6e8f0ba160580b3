//! Faults on purpose, as guarded calls meet them.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mainstay::actors::chaos::{Chaos, ChaosCommand, Fault, Latency, Plan};
use mainstay::actors::health::Level;
use mainstay::actors::host::Meta;
use mainstay::actors::machine::Machine as _;
use mainstay::actors::rate::Rate;
use mainstay::dependency::Mode;
use mainstay::event::Event;
use mainstay::guard::{Guard, GuardError, Refused, Retry};
use mainstay::journal::StreamId;
use serde_json::Value;

use super::support::{Rig, breaker, is_open, ms};

async fn inject(rig: &Rig, name: &str, fault: Fault, share: u32) {
    let plan = Plan {
        dependency: "db".to_owned(),
        fault,
        share: Rate::from_ten_thousandths(share),
        seed: 11,
        reason: "a game day".to_owned(),
    };
    let stream = StreamId::new(Chaos::KIND, name).unwrap();
    let host = rig.stay.host();
    host.start_fault(stream, plan, 60_000, Level::Emergency, Meta::of(&"test".into()))
        .await
        .unwrap();
}

async fn stop(rig: &Rig, name: &str) {
    let stream = StreamId::new(Chaos::KIND, name).unwrap();
    let stop = ChaosCommand::Stop { reason: "enough".to_owned(), all: false };
    rig.stay.host().ask::<Chaos>(stream, stop, Meta::of(&"test".into())).await.unwrap();
}

/// Trips after a thousand calls: what happens to a call is looked at, and not what comes of it.
async fn patient() -> Rig {
    let breaker = mainstay::dependency::BreakerSettings { minimum_calls: 1_000, ..breaker() };
    Rig::with(breaker).await
}

async fn answer(guard: &Guard) -> Result<u8, GuardError<Infallible>> {
    guard.call(|| async { Ok(1) }).await
}

fn injected(fault: &'static str) -> GuardError<Infallible> {
    Refused::Injected { experiment: "a".to_owned(), fault }.into()
}

#[tokio::test]
async fn injected_errors_open_the_breaker_and_its_way_back_is_the_usual_one() {
    let rig = Rig::new().await;
    let guard = rig.db.guard();
    inject(&rig, "a", Fault::Errors, 10_000).await;
    for _ in 0..2 {
        assert_eq!(answer(&guard).await, Err(injected("errors")));
        assert_eq!(guard.call_blocking(|| Ok(1)), Err(injected("errors")), "the blocking twin");
    }
    assert!(is_open(&answer(&guard).await), "four of four have failed");
    stop(&rig, "a").await;
    rig.becomes(Mode::HalfOpen).await;
    for _ in 0..2 {
        assert_eq!(answer(&guard).await, Ok(1));
    }
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn a_refusal_is_answered_by_the_fallback_and_tried_again_as_a_failure() {
    let rig = patient().await;
    inject(&rig, "a", Fault::Refusal, 10_000).await;
    let guard = rig.db.guard().retry(Retry::attempts(3).base(ms(1)));
    let mut seen = 0;
    let answered = guard.clone().fallback(|error: GuardError<Infallible>| {
        assert_eq!(error, injected("refusal"));
        9
    });
    let made = answered.call(|| {
        seen += 1;
        async { Ok::<u8, Infallible>(1) }
    });
    assert_eq!(made.await, Ok(9));
    assert_eq!(seen, 0, "a refused call is never made");
    let counted = rig.db.state().await.unwrap().unwrap();
    assert_eq!(counted.state, Mode::Closed);
    rig.stay.close().await;
}

#[tokio::test]
async fn a_delay_is_under_the_guards_timeout_and_ends_with_its_experiment() {
    let rig = patient().await;
    let hour = Fault::Latency(Latency::Fixed { ms: 600_000 });
    inject(&rig, "a", hour, 10_000).await;
    let guard = rig.db.guard();
    let timed = guard.clone().timeout(ms(30));
    assert_eq!(answer(&timed).await, Err(Refused::TimedOut { after: ms(30) }.into()));
    let waits = tokio::spawn(async move { answer(&guard).await });
    tokio::time::sleep(ms(30)).await;
    assert!(!waits.is_finished());
    stop(&rig, "a").await;
    assert_eq!(waits.await.unwrap(), Ok(1), "it is made when the experiment is over");
    inject(&rig, "a", Fault::Latency(Latency::Fixed { ms: 40 }), 10_000).await;
    let began = Instant::now();
    assert_eq!(rig.db.guard().call_blocking(|| Ok::<_, Infallible>(1)), Ok(1));
    assert!(began.elapsed() >= ms(40));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_hang_is_ended_by_the_timeout_by_the_caller_or_by_its_experiment() {
    let rig = patient().await;
    inject(&rig, "a", Fault::Hang, 10_000).await;
    let guard = rig.db.guard();
    let timed = guard.clone().timeout(ms(30));
    assert_eq!(answer(&timed).await, Err(Refused::TimedOut { after: ms(30) }.into()));
    let blocked = timed.call_blocking(|| Ok::<u8, Infallible>(1));
    assert_eq!(blocked, Err(Refused::TimedOut { after: ms(30) }.into()));
    let dropped = tokio::time::timeout(ms(30), answer(&guard)).await;
    assert!(dropped.is_err(), "without a timeout it hangs");
    let on_a_thread = {
        let guard = guard.clone();
        std::thread::spawn(move || guard.call_blocking(|| Ok::<u8, Infallible>(1)))
    };
    let waits = tokio::spawn(async move { answer(&guard).await });
    tokio::time::sleep(ms(30)).await;
    assert!(!waits.is_finished() && !on_a_thread.is_finished());
    stop(&rig, "a").await;
    assert_eq!(waits.await.unwrap(), Err(injected("hang")));
    assert_eq!(on_a_thread.join().unwrap(), Err(injected("hang")));
    rig.stay.close().await;
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_calls_from_each_start_on() {
    let rig = patient().await;
    let guard = rig.db.guard();
    let mut runs = Vec::new();
    for name in ["a", "b"] {
        inject(&rig, name, Fault::Errors, 3_000).await;
        let mut struck = Vec::new();
        for _ in 0..200 {
            struck.push(answer(&guard).await.is_err());
        }
        stop(&rig, name).await;
        runs.push(struck);
    }
    assert_eq!(runs[0], runs[1]);
    let share = runs[0].iter().filter(|struck| **struck).count();
    assert!((40..=80).contains(&share), "{share} of 200 at 30 %");
    assert_eq!(answer(&guard).await, Ok(1), "nothing strikes after the end");
    rig.stay.close().await;
}

#[tokio::test]
async fn a_struck_call_is_counted_apart() {
    let trips_at_20 = mainstay::dependency::BreakerSettings { minimum_calls: 20, ..breaker() };
    let rig = Rig::with(trips_at_20).await;
    let guard = rig.db.guard();
    for _ in 0..3 {
        answer(&guard).await.unwrap();
    }
    inject(&rig, "a", Fault::Errors, 10_000).await;
    for _ in 0..17 {
        assert_eq!(answer(&guard).await, Err(injected("errors")));
    }
    assert!(is_open(&answer(&guard).await), "17 of 20 have failed: the breaker counts them");
    let window = observed(&rig).await;
    let sum = |field: &str| {
        let seconds = window["seconds"].as_array().unwrap();
        seconds.iter().map(|second| second[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("calls"), sum("failures"), sum("slow")), (3, 0, 0));
    assert_eq!(window["injected"], 17);
    assert_eq!(window["latencies"]["count"], 3);
    rig.stay.close().await;
}

#[tokio::test]
async fn struck_calls_that_end_after_the_breaker_moved_are_counted_apart_too() {
    let few = mainstay::dependency::BreakerSettings {
        minimum_calls: 2,
        slow_call_ms: Some(5),
        auto_half_open: false,
        ..breaker()
    };
    let rig = Rig::with(few).await;
    let uniform = Latency::Uniform { min_ms: 20, max_ms: 300 };
    inject(&rig, "a", Fault::Latency(uniform), 10_000).await;
    let guard = rig.db.guard();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let guard = guard.clone();
            tokio::spawn(async move { answer(&guard).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    stop(&rig, "a").await;
    // The one who opens the half has its permit from the keeper.
    inject(&rig, "b", Fault::Errors, 10_000).await;
    tokio::time::sleep(ms(250)).await;
    assert!(answer(&guard).await.is_err());
    stop(&rig, "b").await;
    let (mut injected, mut real) = (0, 0);
    let began = Instant::now();
    while injected + real < 21 {
        assert!(began.elapsed() < Duration::from_secs(30), "{injected} injected, {real} real");
        tokio::time::sleep(ms(50)).await;
        (injected, real) = (0, 0);
        for window in windows(&rig) {
            injected += window["injected"].as_u64().unwrap();
            let seconds = window["seconds"].as_array().unwrap().iter();
            real += seconds.map(|second| second["calls"].as_u64().unwrap()).sum::<u64>();
        }
    }
    assert_eq!((injected, real), (21, 0));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_hang_ends_with_its_mainstay_and_a_delay_with_the_timeout_of_a_blocking_call() {
    let rig = patient().await;
    inject(&rig, "a", Fault::Latency(Latency::Fixed { ms: 600_000 }), 10_000).await;
    let timed = rig.db.guard().timeout(ms(30));
    let late = timed.call_blocking(|| Ok::<u8, Infallible>(1));
    assert_eq!(late, Err(Refused::TimedOut { after: ms(30) }.into()));
    stop(&rig, "a").await;
    inject(&rig, "a", Fault::Hang, 10_000).await;
    let guard = rig.db.guard();
    let hangs = tokio::spawn(async move { answer(&guard).await });
    tokio::time::sleep(ms(30)).await;
    assert!(!hangs.is_finished());
    rig.stay.close().await;
    assert_eq!(hangs.await.unwrap(), Err(injected("hang")));
}

/// The first window that is in the journal.
async fn observed(rig: &Rig) -> Value {
    let began = Instant::now();
    loop {
        if let Some(window) = windows(rig).into_iter().next() {
            return window;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no window is in the journal");
        tokio::time::sleep(ms(20)).await;
    }
}

/// All windows that are in the journal.
fn windows(rig: &Rig) -> Vec<Value> {
    let stream = StreamId::new("dependency", "db").unwrap();
    let mut found = Vec::new();
    let log = rig.stay.host().log().unwrap();
    log.read_stream(&stream, u64::MAX, &mut |record| {
        let event = Event::of(&record);
        if event.name == "WindowObserved" {
            found.extend(event.data.get("window").cloned());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}
