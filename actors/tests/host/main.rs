//! The host: its actors over a journal on a simulated disk, mostly in virtual time.
#![cfg(test)]
#![cfg(feature = "host")]

mod support;

mod checkpoints;
mod crashes;
mod crowds;
mod erasures;
mod failures;
mod faults;
mod gaps;
mod healing;
mod requests;
mod restarts;
mod restores;
mod scale;
mod sessions;
mod snapshots;
mod undurable;
mod wakes;
