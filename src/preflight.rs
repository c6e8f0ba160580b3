//! Preflight: is everything there that a launch needs? A registry of items, decided over facts that
//! are gathered once.
//!
//! ```text
//!   configuration · data directory · machine · running server ─► Facts ─┐
//!   stream system/attestations ────────────────────────────────────────┤
//!   items: id, severity, title, fix, how it is decided ────────────────┴─► Report ─► gate: go?
//! ```
//!
//! Each item is a row in the table of its category; a later subject brings its own by adding rows. An
//! item that no machine can decide is an attestation: it expires, and is void for another release.

mod facts;
mod gate;
pub mod gather;
mod item;
mod items;
mod report;
mod ruling;
#[cfg(test)]
mod tests;
mod words;

pub use facts::{
    BackupFacts, CertificateFacts, ConfigFacts, DependencyFacts, DrillFacts, Facts, FileFacts,
    JournalFacts, Keep, KeyFacts, MachineFacts, ServerFacts, Start, StoreFacts, Voucher,
    WitnessFacts,
};
pub use gate::{Decision, Launch, Need, launch};
pub use item::{Category, Decided, Item, Severity, attestable, may_attest};
pub use items::{all, find, nearest};
pub use report::{Checked, Count, Filter, Report, check};
pub use ruling::{Ruling, Verdict};

/// The stream with what somebody vouches for.
pub const ATTESTATIONS: &str = "attestations";

/// The version of this program: attestations are for one.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");
