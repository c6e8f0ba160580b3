//! What an injected fault does to a call, just outside of it.
//!
//! | strike | what happens |
//! |---|---|
//! | delay | the call is made later, or at once when its experiment ends |
//! | failure, refusal | [`Refused::Injected`] |
//! | hang | it never comes back: the guard's timeout ends it, the caller, or the end of its experiment, as [`Refused::Injected`] |

use std::time::Duration;

use mainstay_actors::chaos::Strike;
use mainstay_actors::host::Struck;
use mainstay_actors::time::Timestamp;

use super::{Guard, Refused, block};
use crate::dependency::Dependency;

impl Dependency {
    /// What an injected fault does to the next call.
    #[cold]
    pub(super) fn struck(&self) -> Option<Struck> {
        self.client.host.faults()?.strike(self.name(), self.tick())
    }

    fn tick(&self) -> Timestamp {
        Timestamp::from_micros(self.front.now_ms().saturating_mul(1_000))
    }

    /// Waits until an experiment has ended.
    async fn end_of(&self, struck: &Struck) {
        let Some(faults) = self.client.host.faults() else { return };
        loop {
            let changed = faults.changed();
            if !faults.goes_on(struck) {
                return;
            }
            changed.await;
        }
    }
}

impl<C, F> Guard<C, F> {
    /// Bears it.
    ///
    /// # Errors
    /// The call is not made.
    #[cold]
    pub(super) async fn suffer(&self, struck: Struck) -> Result<(), Refused> {
        let (wait, is_made) = self.bears(&struck);
        if let Some(wait) = wait {
            tokio::select! {
                () = self.timer.sleep(wait) => {},
                () = self.dependency.end_of(&struck) => {},
            }
        }
        if is_made { Ok(()) } else { Err(injected(struck)) }
    }

    /// As [`suffer`](Self::suffer), on the caller's thread. The guard's timeout ends the wait: the
    /// call is not made then.
    #[cold]
    pub(super) fn suffer_blocking(&self, struck: Struck) -> Result<(), Refused> {
        let (wait, is_made) = self.bears(&struck);
        if let Some(wait) = wait {
            let after = self.layers.timeout.filter(|after| *after < wait);
            let ended = self.dependency.end_of(&struck);
            let has_ended = block::block_at_most(after.unwrap_or(wait), ended).is_some();
            if let Some(after) = after.filter(|_| !has_ended) {
                return Err(Refused::TimedOut { after });
            }
        }
        if is_made { Ok(()) } else { Err(injected(struck)) }
    }

    /// How long it waits, and whether it is made then.
    fn bears(&self, struck: &Struck) -> (Option<Duration>, bool) {
        // Until its end by itself, also where the journal cannot say that it has ended. The tick may
        // be behind: rather a little later.
        let left_ms = struck.left_ms(self.dependency.tick()).saturating_add(2);
        let left = Duration::from_millis(left_ms);
        match struck.strike {
            Strike::Delay { us } => (Some(Duration::from_micros(us).min(left)), true),
            Strike::Hang => (Some(left), false),
            Strike::Fail | Strike::Refuse => (None, false),
        }
    }
}

fn injected(struck: Struck) -> Refused {
    Refused::Injected { experiment: struck.experiment, fault: struck.fault }
}
