//! Global health: a weighted mean, five levels, caps and hysteresis. Pure arithmetic; the
//! `system` machine journals what comes out of it.
//!
//! | level | score | what it means |
//! |---|---|---|
//! | OPTIMAL | 90 and above, nothing weighted down | everything is available |
//! | DEGRADED | from 70 | non-critical features off |
//! | LIMITED | from 50 | critical features only |
//! | MINIMAL | from 20 | the critical service only |
//! | EMERGENCY | below 20 | forced maintenance |

mod assess;
mod hysteresis;

pub use assess::{Assessment, Input, assess, cause};
pub use hysteresis::Hysteresis;

use serde::{Deserialize, Serialize};

/// The five degradation levels, worst first, so that `min` is the worse of two.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Level {
    /// Forced maintenance.
    Emergency,
    /// The critical service only.
    Minimal,
    /// Critical features only.
    Limited,
    /// Non-critical features off.
    Degraded,
    /// Everything is available.
    #[default]
    Optimal,
}

impl Level {
    /// As written everywhere: `OPTIMAL`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emergency => "EMERGENCY",
            Self::Minimal => "MINIMAL",
            Self::Limited => "LIMITED",
            Self::Degraded => "DEGRADED",
            Self::Optimal => "OPTIMAL",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
