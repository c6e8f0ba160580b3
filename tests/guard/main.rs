//! Guarded calls in a real process: any executor, many threads.

#![expect(clippy::disallowed_methods, reason = "the tests wait, and measure how long")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[cfg(feature = "cache")]
mod cached;
mod calls;
mod figures;
#[cfg(feature = "actix-web")]
mod inbound;
mod layers;
mod panics;
mod strikes;
mod support;
mod threads;
#[cfg(feature = "tower")]
mod tower;
