//! Backups and restores, over files, over a store in memory, and over one that fails at every request.

#![expect(clippy::unwrap_used, reason = "a failed setup is a failed test")]

mod damage;
mod erasures;
mod failing;
mod fences;
mod journal;
mod model;
mod pruned;
mod requests;
mod shipped;
