//! What the examples share: a mainstay in a folder of its own, and a network that can be cut.

mod relay;

pub use relay::Relay;

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay::dependency::{BreakerSettings, Dependency, Mode, Settings};
use mainstay::event::Event;
use mainstay::journal::{Query, ReadLog, Reader, StreamId};
use mainstay::{Config, Mainstay};
use tempfile::TempDir;
use tokio::time::Instant;

/// Whatever goes wrong ends an example, with its text.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A mainstay whose journal ends with it. A real service names a folder, and keeps it.
pub struct Temporary {
    /// The mainstay.
    pub stay: Mainstay,
    data: TempDir,
    /// An example that shows nothing by then has failed.
    ends: Instant,
}

impl Temporary {
    /// With an empty journal.
    ///
    /// # Errors
    /// There is no folder for it, or it does not open.
    pub async fn open() -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        let mut config = Config::default();
        data.path().clone_into(&mut config.server.data);
        let ends = Instant::now() + Duration::from_secs(30);
        Ok(Self { stay: Mainstay::open(config).await?, data, ends })
    }

    /// A dependency whose breaker trips at half of four calls, and is open for a second: so short,
    /// that it can be watched. What a service takes are the defaults, or the configuration file.
    ///
    /// # Errors
    /// The journal does not take it.
    pub async fn dependency(&self, name: &str) -> Result<Dependency, Failure> {
        let breaker = BreakerSettings {
            minimum_calls: 4,
            open_for_ms: 1_000,
            half_open_permits: 2,
            ..BreakerSettings::default()
        };
        let dependency = self.stay.dependency(name);
        dependency.configure(Settings { weight: 1, cap: None, breaker, from_file: false }).await?;
        Ok(dependency)
    }

    /// Whether a breaker is closed, durably, a moment later: so a service is called now and then.
    ///
    /// # Errors
    /// The mainstay has ended, or it takes too long.
    pub async fn is_closed(&self, dependency: &Dependency) -> Result<bool, Failure> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if Instant::now() > self.ends {
            return Err("the breaker does not move".into());
        }
        Ok(dependency.state().await?.is_some_and(|it| it.state == Mode::Closed))
    }

    /// Closes it and prints what the journal knows of a dependency.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn close_and_tell(self, name: &str) -> Result<(), Failure> {
        self.stay.close().await;
        let stream = StreamId::new("dependency", name);
        let mut names = Vec::new();
        let journal = Reader::open(self.data.path())?;
        journal.find(&Query { stream, ..Query::default() }, &mut |record| {
            names.push(Event::of(&record).name);
            ControlFlow::Continue(())
        })?;
        println!("the journal of {name}: {}", names.join(", "));
        Ok(())
    }
}

/// Waits until a breaker is in this state, durably, and prints so.
///
/// # Errors
/// It never is.
pub async fn until(dependency: &Dependency, wanted: Mode) -> Result<(), Failure> {
    let reached = async {
        while dependency.state().await?.is_none_or(|it| it.state != wanted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, Failure>(())
    };
    let name = dependency.name();
    match tokio::time::timeout(Duration::from_secs(10), reached).await {
        Ok(reached) => reached?,
        Err(_) => return Err(format!("the breaker of {name} never was {wanted}").into()),
    }
    println!("-- the breaker of {name} is {wanted}");
    Ok(())
}
