//! What must hold of the journal, of the answers, and of both together.
//!
//! | file | what it holds against what |
//! |---|---|
//! | `journal` | the journal of a life against that of the life before, and against what was acknowledged |
//! | `live` | what the host says against the fold of its journal |
//! | `answers` | each answer against the fold at the position that it names |
//! | `locks` | leases against each other, by the journal and by what holders were told |
//! | `breakers` | admissions and verdicts against what was reported |

pub(crate) mod answers;
pub(crate) mod breakers;
pub(crate) mod journal;
pub(crate) mod live;
pub(crate) mod locks;

/// Fails a check with what was found.
macro_rules! hold {
    ($condition:expr, $($found:tt)*) => {
        if !$condition {
            return Err(format!($($found)*));
        }
    };
}
pub(crate) use hold;
