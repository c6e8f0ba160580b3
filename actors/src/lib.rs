//! The pure state machines of mainstay and, behind the feature `host`, the actors that run them.
//!
//! Without the feature there is no clock, no chance, no I/O and no hash-map order in here: time,
//! ids and randomness are arguments, and every transition is a table.

pub mod chaos;
pub mod codec;
pub mod dependency;
mod fast;
pub mod gate;
pub mod health;
pub mod key;
pub mod lock;
pub mod machine;
#[cfg(feature = "openapi")]
mod openapi;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
pub mod rate;
pub mod session;
pub mod subject;
pub mod system;
pub mod time;
pub mod world;

#[cfg(feature = "host")]
pub mod host;
