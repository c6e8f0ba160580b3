//! A resilience kernel whose memory cannot be lost.
//!
//! Circuit breakers, sessions and locks are actors; each change of their state is an event in one
//! append-only journal; a supervisor turns the states into one global health.
//!
//! ```no_run
//! # async fn example() -> Result<(), mainstay::OpenError> {
//! use mainstay::{Config, Mainstay};
//!
//! let stay = Mainstay::open(Config::default()).await?;
//! println!("{:?}", stay.host().health().await);
//! stay.close().await;
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod event;
#[cfg(feature = "probes")]
pub mod probe;
#[cfg(feature = "server")]
pub mod server;
mod stay;
pub mod travel;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "server")]
pub mod demo;

pub use config::{Config, ConfigError};
pub use mainstay_actors as actors;
pub use mainstay_journal as journal;
pub use stay::{Mainstay, OpenError};
