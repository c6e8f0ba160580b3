//! One admitted call, from its permit to its outcome.
//!
//! ```text
//!   enter ──► Pass ──► the call ──► finish(outcome)
//!                │         └── panics: a failure, and the panic goes on
//!                └── dropped, as a cancelled call is: given back, counts as neither
//! ```

use std::time::{Duration, Instant};

use mainstay_actors::dependency::{DependencyReject, Mode};
use mainstay_actors::gate::{self, Admission, Entry, Front, Outcome, Report, Ticket};
use mainstay_actors::host::Struck;

use super::Refused;
use crate::client::{Unavailable, told};
use crate::dependency::Dependency;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pass<'d> {
    dependency: &'d Dependency,
    given: Option<Given>,
    /// A fault was injected into it.
    struck: bool,
}

/// Who gave the permit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    /// The gate in this process; with the start of the call, where it is taken exactly.
    Here(Ticket, Option<Instant>),
    /// Its keeper, for who opened the half.
    ByKeeper(gate::Permit, Instant),
}

/// What the gate says at once.
pub(crate) enum Asked {
    /// The call may be made.
    Given(Given),
    /// The keeper must be asked.
    AskKeeper,
}

#[expect(clippy::disallowed_methods, reason = "measures a call, decides nothing by it")]
pub(super) fn now() -> Instant {
    Instant::now()
}

pub(super) fn micros_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Dependency {
    /// Asks the gate; reads no lock and allocates nothing.
    #[inline]
    pub(crate) fn ask(&self) -> Result<Asked, Refused> {
        match self.front.enter() {
            Entry::Admitted(ticket) => {
                let exact = self.front.wants_exact(ticket, self.front.lane());
                Ok(Asked::Given(Given::Here(ticket, exact.then(now))))
            },
            other => self.asked_otherwise(other),
        }
    }

    #[cold]
    fn asked_otherwise(&self, entry: Entry) -> Result<Asked, Refused> {
        Err(match entry {
            Entry::Admitted(ticket) => return Ok(Asked::Given(Given::Here(ticket, None))),
            Entry::TryHalfOpen => return Ok(Asked::AskKeeper),
            Entry::Rejected { retry_after_ms, mode } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                Refused::Open { mode, retry_after }
            },
            Entry::Unknown if !self.client.host.has_started() => {
                let how_far = self.client.host.readiness().to_string();
                Unavailable::NotReady(how_far).into()
            },
            Entry::Unknown => Refused::Unknown { name: self.name().to_owned() },
            Entry::Ended => Unavailable::NotReady("the mainstay has ended".to_owned()).into(),
        })
    }

    /// Asks the keeper, who opens the half and keeps its first permit for us.
    pub(crate) async fn ask_keeper(&self) -> Result<Given, Refused> {
        let name = self.name();
        let no = |reject| match reject {
            DependencyReject::Unknown => Refused::Unknown { name: name.to_owned() },
            other => Unavailable::Failed(other.to_string()).into(),
        };
        let admission = self.client.host.admit(name).await;
        match admission.map_err(|failure| told(failure, no))? {
            Admission::Admitted(permit) => Ok(Given::ByKeeper(permit, now())),
            Admission::Rejected { retry_after_ms } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                Err(Refused::Open { mode: Mode::Open, retry_after })
            },
            // The keeper opens the half by itself before it answers.
            Admission::TryHalfOpen { .. } => {
                Err(Refused::Open { mode: Mode::Open, retry_after: None })
            },
        }
    }

    /// As [`settle`](Self::settle), for a call under an injected fault.
    pub(crate) fn settle_injected(&self, given: Given, outcome: Outcome) {
        match given {
            Given::Here(ticket, _) => self.front.settle_injected(ticket, outcome),
            Given::ByKeeper(permit, began) => self.tell_keeper(permit, began, outcome, true),
        }
    }

    fn tell_keeper(&self, permit: gate::Permit, began: Instant, outcome: Outcome, injected: bool) {
        let (permit, duration_us) = (Some(permit), micros_since(began));
        let report = Report { permit, outcome, duration_us, probe: false, injected };
        self.client.host.report(self.name(), vec![report]);
    }

    /// Tells how an admitted call went.
    #[inline]
    pub(crate) fn settle(&self, given: Given, outcome: Outcome) {
        match given {
            Given::Here(ticket, None) => self.front.settle_anywhere(ticket, outcome),
            Given::Here(ticket, Some(began)) => {
                let exact_us = Some(micros_since(began));
                self.front.settle(ticket, outcome, exact_us, self.front.lane());
            },
            Given::ByKeeper(permit, began) => self.tell_keeper(permit, began, outcome, false),
        }
    }
}

impl<'d> Pass<'d> {
    pub(crate) const fn new(dependency: &'d Dependency, given: Given) -> Self {
        Self { dependency, given: Some(given), struck: false }
    }

    /// What an injected fault does to this call, if there is one.
    #[inline]
    pub(super) fn strike(&mut self) -> Option<Struck> {
        let faulted = match &self.given {
            Some(Given::Here(ticket, _)) => Front::is_faulted(*ticket),
            Some(Given::ByKeeper(..)) => self.dependency.front.has_faults(),
            None => false,
        };
        if !faulted {
            return None;
        }
        let struck = self.dependency.struck();
        self.struck = struck.is_some();
        struck
    }

    #[inline]
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        match self.given.take() {
            Some(given) if self.struck => self.dependency.settle_injected(given, outcome),
            Some(given) => self.dependency.settle(given, outcome),
            None => {},
        }
    }

    /// Runs a part of the call; if it panics, the call is a failure.
    #[inline]
    pub(crate) fn watch<T>(&mut self, part: impl FnOnce() -> T) -> T {
        let watched = OnPanic(self);
        let done = part();
        std::mem::forget(watched);
        done
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.settle(Outcome::Ignored);
    }
}

/// Dropped only while the part that it watches unwinds.
struct OnPanic<'p, 'd>(&'p mut Pass<'d>);

impl Drop for OnPanic<'_, '_> {
    fn drop(&mut self) {
        self.0.settle(Outcome::Failure);
    }
}
