//! The library as a Rust service uses it: over a simulated disk and in virtual time, and once over
//! a real directory on an executor that is not tokio.
#![cfg(test)]

mod support;

mod example;
mod executor;
mod leases;
mod leaving;
mod losing;
mod permits;
mod sessions;
mod subjects;
