//! What comes of a call, and what the breaker makes of it.

use std::convert::Infallible;

use mainstay::dependency::{Heard, Mode, Outcome};
use mainstay::guard::{GuardError, LimitError, Refused};

use super::support::{Rig, is_open, ms};

#[tokio::test]
async fn failures_open_the_breaker_at_once_and_trial_calls_close_it() {
    let rig = Rig::new().await;
    let guard = rig.db.guard();
    rig.trip().await;
    // Not a moment later: the caller that found the verdict has closed the door behind it.
    let refused = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
    assert!(is_open(&refused), "{refused:?}");
    assert!(refused.unwrap_err().retry_after().unwrap() <= ms(200));
    rig.becomes(Mode::HalfOpen).await;
    for _ in 0..2 {
        guard.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    }
    rig.becomes(Mode::Closed).await;
    let view = rig.db.state().await.unwrap().unwrap();
    assert!(!view.unjournaled);
    rig.stay.close().await;
}

#[tokio::test]
async fn the_fallback_answers_for_failures_and_refusals_and_not_for_what_is_ignored() {
    let rig = Rig::new().await;
    let guard = rig
        .db
        .guard()
        .classify(|result: &Result<u8, u16>| match result {
            Ok(_) => Outcome::Success,
            Err(404) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        })
        .fallback(|error| match error {
            GuardError::Failed(_) => 1,
            _ => 2,
        });
    assert_eq!(guard.call(|| async { Ok(7) }).await, Ok(7));
    assert_eq!(guard.call(|| async { Err(404) }).await, Err(GuardError::Failed(404)));
    for _ in 0..3 {
        assert_eq!(guard.call(|| async { Err(500) }).await, Ok(1));
    }
    assert_eq!(guard.call(|| async { Ok(7) }).await, Ok(2), "three of four failed");
    rig.stay.close().await;
}

#[tokio::test]
async fn a_timeout_is_a_failure_and_says_how_long_it_waited() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().timeout(ms(20));
    for _ in 0..4 {
        let late = guard.call(std::future::pending::<Result<(), Infallible>>).await;
        assert_eq!(late, Err(Refused::TimedOut { after: ms(20) }.into()));
    }
    assert!(is_open(&guard.call(|| async { Ok::<_, Infallible>(()) }).await));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_dropped_call_gives_its_trial_back_and_closes_nothing() {
    let rig = Rig::new().await;
    rig.trip().await;
    rig.becomes(Mode::HalfOpen).await;
    let guard = rig.db.guard();
    for _ in 0..20 {
        let call = guard.call(std::future::pending::<Result<(), Infallible>>);
        assert!(tokio::time::timeout(ms(1), call).await.is_err(), "it hangs, and is dropped");
    }
    assert_eq!(rig.db.state().await.unwrap().unwrap().state, Mode::HalfOpen);
    for _ in 0..2 {
        guard.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    }
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn a_dependency_that_is_not_configured_says_so_until_it_is() {
    let rig = Rig::new().await;
    let guard = rig.stay.dependency("later").guard();
    let unknown = Refused::Unknown { name: "later".to_owned() };
    let refused = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
    assert_eq!(refused, Err(unknown.into()));
    let settings = super::support::settings(super::support::breaker());
    rig.stay.dependency("later").configure(settings).await.unwrap();
    guard.call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    rig.stay.close().await;
    let ended = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
    assert!(matches!(ended, Err(GuardError::Refused(Refused::Unavailable(_)))), "{ended:?}");
}

#[tokio::test]
async fn a_timeout_that_cannot_be_is_named_by_every_call() {
    let rig = Rig::new().await;
    let rule = LimitError { field: "timeout", rule: "1 ms to 24 h" };
    for after in [ms(0), std::time::Duration::from_secs(86_401)] {
        let guard = rig.db.guard().timeout(after);
        assert_eq!(guard.check(), Err(Refused::Setting(rule)));
        let refused = guard.call(|| async { Ok::<_, Infallible>(()) }).await;
        assert_eq!(refused, Err(Refused::Setting(rule).into()));
    }
    rig.stay.close().await;
}

#[tokio::test]
async fn who_opens_the_half_holds_the_first_permit() {
    let breaker = mainstay::dependency::BreakerSettings {
        auto_half_open: false,
        half_open_permits: 1,
        ..super::support::breaker()
    };
    let rig = Rig::with(breaker).await;
    rig.trip().await;
    tokio::time::sleep(ms(260)).await;
    let first = rig.db.permit().await.unwrap();
    assert!(matches!(rig.db.permit().await, Err(Refused::Open { .. })), "there is one permit");
    first.report(Outcome::Success);
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn who_listens_hears_each_move_and_the_end() {
    let rig = Rig::new().await;
    let mut moves = rig.stay.transitions().unwrap();
    rig.trip().await;
    rig.becomes(Mode::HalfOpen).await;
    for _ in 0..2 {
        rig.db.guard().call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    }
    rig.becomes(Mode::Closed).await;
    rig.stay.close().await;
    let mut heard = Vec::new();
    while let Some(Heard::Moved(it)) = moves.next().await {
        assert_eq!(&*it.dependency, "db");
        heard.push((it.from, it.to));
    }
    let expected =
        [(Mode::Closed, Mode::Open), (Mode::Open, Mode::HalfOpen), (Mode::HalfOpen, Mode::Closed)];
    assert_eq!(heard, expected);
}
