//! A mainstay in a folder of its own, and its dependency `db`.

use std::time::{Duration, Instant};

use mainstay::dependency::{BreakerSettings, Dependency, Mode, Settings};
use mainstay::guard::{GuardError, Refused};
use mainstay::{Config, Mainstay};
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) stay: Mainstay,
    pub(crate) db: Dependency,
    _data: TempDir,
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Trips at half of four calls, opens for 200 ms, closes after two trial calls.
pub(crate) fn breaker() -> BreakerSettings {
    BreakerSettings {
        minimum_calls: 4,
        open_for_ms: 200,
        jitter: mainstay::actors::rate::Rate::default(),
        half_open_permits: 2,
        ..BreakerSettings::default()
    }
}

pub(crate) fn settings(breaker: BreakerSettings) -> Settings {
    Settings { weight: 1, cap: None, breaker, from_file: false }
}

impl Rig {
    pub(crate) async fn with(breaker: BreakerSettings) -> Self {
        let data = TempDir::new().unwrap();
        let mut config = Config::default();
        config.server.data = data.path().join("data");
        let stay = Mainstay::open(config).await.unwrap();
        let db = stay.dependency("db");
        db.configure(settings(breaker)).await.unwrap();
        Self { stay, db, _data: data }
    }

    pub(crate) async fn new() -> Self {
        Self::with(breaker()).await
    }

    /// The durable state, once it is this one.
    pub(crate) async fn becomes(&self, mode: Mode) {
        let began = Instant::now();
        while self.db.state().await.unwrap().unwrap().state != mode {
            assert!(began.elapsed() < Duration::from_secs(10), "it never was {mode}");
            tokio::time::sleep(ms(5)).await;
        }
    }

    pub(crate) async fn trip(&self) {
        for _ in 0..4 {
            let failed = self.db.guard().call(|| async { Err::<(), _>("no") }).await;
            assert_eq!(failed, Err(GuardError::Failed("no")));
        }
    }
}

pub(crate) fn is_open<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: &Result<T, GuardError<E>>,
) -> bool {
    matches!(result, Err(GuardError::Refused(Refused::Open { .. })))
}
