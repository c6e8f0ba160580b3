//! Backups: pieces of a journal in a target, and a journal made from them again.
//!
//! ```text
//!   journal ─ ship ─► target: pieces/ · keys/ · backups/ ─ restore ─► a new journal, the next epoch
//!                       zstd, age: only who has the key opens them       leases and sessions fenced
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `place`, `target` | where it lies, and its verbs |
//! | `seal`, `secret` | who can open it |
//! | `piece` | runs of blocks, named so that their chain is found |
//! | `manifest`, `list` | a moment that has a name |
//! | `claim` | who may write |
//! | `keys` | keys of subjects, beside the backups |
//! | `base` | what stands for months that were dropped |
//! | `schedule` | when |
//! | `ship`, `take` | what goes in |
//! | `uploader` | the server's own: at once, on a schedule, with an alarm |
//! | `duty` | those of a mainstay, as configured |
//! | `check` | reading it back |
//! | `retain` | what stays |
//! | `restore` | what comes out |
//! | `error` | why not, and the way out |
//!
//! What the bytes are is told in `docs/backup.md`.

mod base;
mod check;
mod claim;
mod duty;
mod error;
mod keys;
mod list;
mod manifest;
mod piece;
pub mod place;
mod restore;
mod retain;
mod schedule;
mod seal;
mod ship;
mod take;
mod target;
mod uploader;

pub use check::{Checking, check};
pub use duty::Backups;
pub(crate) use duty::Everywhere;
pub use error::BackupError;
pub use list::{Held, Listed, find, list};
pub use manifest::{Manifest, Verified};
pub use piece::{Gap, Piece, Pieces};
pub use place::Place;
pub use restore::{Restored, Restoring, rehearse, restore, settle};
pub use retain::{Keep, Pruning, plan, prune};
pub use schedule::Schedule;
pub use seal::{Identities, Recipients, UnsealError, lock, unlock};
#[cfg(feature = "cli")]
pub use ship::Progress;
pub use take::{Taken, take, would_ship};
pub use target::{Entry, Target, TargetError};
pub use uploader::{Duty, News, Now, Status, Tell, Uploader};
