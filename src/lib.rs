//! A resilience kernel whose memory cannot be lost.
//!
//! Circuit breakers, sessions and locks are actors; each change of their state is an event in one
//! append-only journal; a supervisor turns the states into one global health.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use mainstay::{Config, Mainstay};
//!
//! let stay = Mainstay::open(Config::default()).await?;
//! let lease = stay.lock("room-101").acquire("worker-1", Duration::from_secs(30)).await?;
//! println!("token {}, level {}", lease.token(), stay.health().await?.level);
//! lease.release().await?;
//! stay.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! | what for | where |
//! |---|---|
//! | leases that renew themselves and tell when they are lost | [`Mainstay::lock`], [`lock`] |
//! | sessions: create, get, touch, patch, end, list | [`Mainstay::sessions`], [`session`] |
//! | whom they are about: consents, holds, erasure | [`Client::subject`], [`subject`] |
//! | may a call be made, and how did it go | [`Mainstay::dependency`], [`dependency`] |
//! | the global health | [`Mainstay::health`] |
//! | the same in a name of its own, from any task | [`Mainstay::client`], [`Client`] |
//! | what has no word here yet: the actors and the journal | [`Mainstay::host`], [`actors`], [`journal`] |
//!
//! Everything works on any executor: the mainstay has a thread and a runtime of its own. An answer
//! rests on what is durable. Errors belong to one operation; [`Unavailable`] in them means that the
//! process or its disk decided nothing.

#[cfg(feature = "backup")]
pub mod backup;
mod client;
pub mod config;
pub mod dependency;
#[cfg(feature = "server")]
pub mod drill;
pub mod event;
pub mod guard;
pub mod lock;
#[cfg(feature = "server")]
pub mod preflight;
#[cfg(feature = "probes")]
pub mod probe;
#[cfg(feature = "server")]
pub mod proofs;
#[cfg(any(feature = "backup", feature = "probes"))]
mod secret;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
mod stay;
pub mod subject;
pub mod travel;
pub mod vault;
#[cfg(feature = "server")]
pub mod verifier;
#[cfg(feature = "server")]
pub mod witness;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "server")]
pub mod demo;

pub use client::{Client, PRINCIPAL, Unavailable};
pub use config::{Config, ConfigError};
pub use jiff;
pub use lock::Lease;
pub use mainstay_actors as actors;
pub use mainstay_actors::host::HealthView;
pub use mainstay_journal as journal;
pub use stay::{Mainstay, OpenError};

/// The code in README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
