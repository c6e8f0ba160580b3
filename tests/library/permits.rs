//! Permits and outcomes by hand, and the health that follows.

use mainstay::Unavailable;
use mainstay::actors::dependency::{BreakerSettings, Mode, Settings, Window};
use mainstay::actors::health::Level;
use mainstay::actors::host::{Host, HostOptions};
use mainstay::actors::rate::Rate;
use mainstay::dependency::{Outcome, ReportError};
use mainstay::guard::Refused;
use tokio::time::sleep;

use super::support::{Rig, client, secs, virtually};

/// Trips after three failures of five calls, opens for 5 s without jitter, one trial call.
fn database() -> Rig {
    let breaker = BreakerSettings {
        window: Window::Calls(5),
        minimum_calls: 3,
        open_for_ms: 5_000,
        jitter: Rate::default(),
        half_open_permits: 1,
        ..BreakerSettings::default()
    };
    let settings = Settings { weight: 1, cap: None, breaker, from_file: true };
    let dependencies = [("database".to_owned(), settings)].into();
    Rig { options: HostOptions { dependencies, ..HostOptions::default() }, ..Rig::default() }
}

async fn fail(host: &Host, times: usize) {
    for _ in 0..times {
        let permit = client(host).dependency("database").permit().await.unwrap();
        permit.report(Outcome::Failure);
    }
}

#[test]
fn failures_open_the_breaker_and_it_says_when_to_come_back() {
    virtually(async {
        let (host, _log) = database().start().await;
        fail(&host, 3).await;
        sleep(secs(1)).await;
        let database = client(&host).dependency("database");
        let refused = database.permit().await.unwrap_err();
        let Refused::Open { retry_after: Some(wait), .. } = refused else { panic!("{refused}") };
        assert!((secs(3)..=secs(5)).contains(&wait), "{wait:?}");
        let state = database.state().await.unwrap().unwrap();
        assert_eq!(state.state, Mode::Open);
        let health = client(&host).health().await.unwrap();
        assert_eq!(health.level, Level::Emergency);
    });
}

#[test]
fn a_dropped_permit_comes_back_and_counts_as_neither() {
    virtually(async {
        let (host, _log) = database().start().await;
        fail(&host, 3).await;
        sleep(secs(6)).await;
        let database = client(&host).dependency("database");
        let only = database.permit().await.unwrap();
        let refused = database.permit().await.unwrap_err();
        assert!(matches!(refused, Refused::Open { .. }), "{refused}");
        drop(only);
        let again = database.permit().await.unwrap();
        again.report(Outcome::Success);
        sleep(secs(1)).await;
        assert_eq!(database.state().await.unwrap().unwrap().state, Mode::Closed);
    });
}

#[test]
fn an_outcome_without_a_permit_counts_too() {
    virtually(async {
        let (host, _log) = database().start().await;
        let database = client(&host).dependency("database");
        for _ in 0..3 {
            database.report(Outcome::Failure, secs(1)).await.unwrap();
        }
        sleep(secs(1)).await;
        assert_eq!(database.state().await.unwrap().unwrap().state, Mode::Open);
    });
}

#[test]
fn an_unknown_dependency_is_unknown() {
    virtually(async {
        let (host, _log) = database().start().await;
        let unknown = client(&host).dependency("nothing");
        let refused = unknown.permit().await.unwrap_err();
        assert!(matches!(refused, Refused::Unknown { .. }), "{refused}");
        let refused = unknown.report(Outcome::Success, secs(0)).await.unwrap_err();
        assert_eq!(refused, ReportError::Unknown);
        assert_eq!(unknown.state().await.unwrap(), None);
    });
}

#[test]
fn a_host_that_drains_answers_nobody_and_guards_what_is_under_way() {
    virtually(async {
        let (host, _log) = database().start().await;
        host.drain();
        let no = Unavailable::NotReady("draining".to_owned());
        assert_eq!(client(&host).health().await.unwrap_err(), no);
        // What is still under way is guarded until the end.
        client(&host).dependency("database").permit().await.unwrap().report(Outcome::Success);
    });
}
