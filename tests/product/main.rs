//! The whole product: the built program, real sockets, real files, real kills.
//!
//! One test binary, so that it is linked once. Every server listens on a free port of loopback,
//! keeps its data in a directory of its own, and is killed by its own process id.
#![cfg(test)]

mod support;

mod access;
mod archive;
mod audit;
mod backups;
mod bad_input;
mod batch;
mod configured;
mod damage;
mod demo;
mod dependencies;
mod drill;
mod erasure;
mod events;
mod exposure;
mod faults;
mod forks;
mod idempotency;
mod live;
mod locks;
mod metrics;
mod openapi;
mod openings;
mod preflight;
mod probes;
mod problems;
mod proofs;
mod races;
mod scale;
mod sealed;
mod sessions;
mod silence;
mod subjects;
mod survival;
mod travel;
mod verbs;
mod witness;
