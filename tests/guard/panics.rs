//! Panics are failures, and go on to who called.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mainstay::dependency::{Mode, Outcome};

use super::support::{Rig, is_open};

/// A library never recorded them: still closed after fifty.
#[tokio::test]
async fn a_call_that_panics_is_a_failure_and_the_panic_goes_on() {
    let rig = Rig::new().await;
    let guard = rig.db.guard();
    for _ in 0..4 {
        let guard = guard.clone();
        let call = async move { guard.call(|| async { broken() }).await };
        let panicked = tokio::spawn(call).await.unwrap_err();
        assert!(panicked.is_panic());
    }
    assert!(is_open(&guard.call(|| async { Ok::<_, Infallible>(()) }).await));
    rig.stay.close().await;
}

fn broken() -> Result<(), Infallible> {
    panic!("the call is broken")
}

#[tokio::test]
async fn a_blocking_call_that_panics_is_a_failure_and_the_panic_goes_on() {
    let rig = Rig::new().await;
    let guard = rig.db.guard();
    for _ in 0..4 {
        let call = AssertUnwindSafe(|| guard.call_blocking(broken));
        assert!(catch_unwind(call).is_err());
    }
    assert!(is_open(&guard.call_blocking(|| Ok::<_, Infallible>(()))));
    rig.stay.close().await;
}

#[tokio::test]
async fn a_classifier_that_panics_makes_the_call_a_failure() {
    let rig = Rig::new().await;
    let guard =
        rig.db.guard().classify(|_: &Result<(), Infallible>| -> Outcome { panic!("no idea") });
    for _ in 0..4 {
        let call = AssertUnwindSafe(|| guard.call_blocking(|| Ok(())));
        assert!(catch_unwind(call).is_err());
    }
    rig.becomes(Mode::Open).await;
    rig.stay.close().await;
}

#[tokio::test]
async fn a_fallback_that_panics_changes_nothing_about_what_was_counted() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().fallback(|_| -> u8 { panic!("nothing in the cache") });
    for _ in 0..3 {
        let call = AssertUnwindSafe(|| guard.call_blocking(|| Err("no")));
        assert!(catch_unwind(call).is_err());
    }
    assert_eq!(guard.call_blocking(|| Ok::<_, &str>(1)), Ok(1), "three failures do not trip");
    rig.becomes(Mode::Open).await;
    rig.stay.close().await;
}

/// A permit that is dropped by a panic elsewhere is no failure of its call.
#[tokio::test]
async fn a_permit_in_hand_while_something_else_panics_counts_as_nothing() {
    let rig = Rig::new().await;
    for _ in 0..10 {
        let permit = rig.db.permit().await.unwrap();
        let panics = AssertUnwindSafe(move || {
            let _permit = permit;
            panic!("elsewhere");
        });
        assert!(catch_unwind(panics).is_err());
    }
    assert_eq!(rig.db.state().await.unwrap().unwrap().state, Mode::Closed);
    rig.db.guard().call(|| async { Ok::<_, Infallible>(()) }).await.unwrap();
    rig.stay.close().await;
}
