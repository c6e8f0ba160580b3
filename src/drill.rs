//! Drills: a disaster is made to happen to a copy, and recovery from it is measured.
//!
//! ```text
//!   live journal ─ read ─► backup ─► victim: a real server, a writer ─► disaster ─► recovery ─► server
//!    or real target                    every acknowledgement kept                      │ first write
//!                                                                                      ▼
//!   report ◄── RTO: disaster to first write · RPO: acknowledged and gone · every entity compared
//! ```
//!
//! | file | one thing |
//! |---|---|
//! | `scenario` | which disasters there are, and what each may lose |
//! | `plan` | what is asked for, and the run of all of it |
//! | `baseline` | the backup that it begins with |
//! | `scene` | one scenario, phase by phase |
//! | `outcome` | what came of it, and whether that is good |
//! | `disaster` | what is done to the victim |
//! | `recovery` | how it comes back |
//! | `writer` | who writes meanwhile, and what was acknowledged |
//! | `process`, `api` | the server as a child process, and requests to it |
//! | `compare` | two journals at the same position |
//! | `measure` | phases and their times |
//! | `scratch` | where all of it lies |
//! | `report` | what is told: JSON, Markdown, HTML |
//! | `history` | drills in the journal, and when the next is due |
//! | `error` | why there is no report |
//!
//! Live data is read, never written. `docs/drills.md` says what each scenario proves.

mod api;
mod baseline;
mod compare;
mod disaster;
mod error;
mod history;
mod measure;
mod outcome;
mod plan;
mod process;
mod recovery;
mod report;
mod scenario;
mod scene;
mod scratch;
mod writer;

pub use baseline::{Baseline, Source};
pub use compare::{Comparison, compare};
pub use error::DrillError;
pub use history::{Past, due, past, recent};
pub use measure::Phase;
pub use outcome::Outcome;
pub use plan::{Plan, Watch, run};
pub use report::Report;
pub use scenario::Scenario;
