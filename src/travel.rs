//! Time travel: what the journal says of a moment, of the way between two, and of one event.
//!
//! ```text
//!   2026-11-22T03:12:00Z ┐
//!   4711                 ├─ Moment ─► Place ─┬─ state:  the fold up to it
//!   1-4711               ┘                   ├─ diff:   the fold up to one, the walk to another
//!                                            └─ why:    one event, its causes and effects
//! ```
//!
//! Everything here reads and nothing writes: beside a running server, inside it, or on a copy. The
//! HTTP answers and the command line's `--json` are these same values.
//!
//! What time alone has ended is over, swept or not: a session or lease past its end is nowhere
//! shown as live.

pub(crate) mod cursor;
pub mod diff;
mod fold;
mod moment;
mod state;
mod tale;
pub mod why;

pub use fold::{Fold, Unfoldable};
pub use moment::{Moment, MomentError, Place};
pub use state::{
    HealthAt, LockAt, SessionAt, StateAt, StatePage, StreamAt, StreamError, state_at, stream_at,
};
pub use tale::{clock, count, percent, tell};
