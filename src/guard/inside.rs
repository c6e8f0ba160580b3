//! What a call passes inside of the breaker, and what of it is made again.

use std::time::{Duration, Instant};

use super::bulkhead::Slot;
use super::{Again, Full, Guard, Refused, RetryAfter, Tried};
use crate::dependency::Outcome;

/// A call inside of the bulkhead.
pub(super) struct Inside<'b> {
    slot: Option<Slot<'b>>,
    /// When it asked for a place: the timeout counts from there.
    asked: Option<Instant>,
    began: Option<Instant>,
    timeout: Option<Duration>,
}

/// Counts the tries of a call.
pub(super) struct Tries {
    made: u32,
}

#[expect(clippy::disallowed_methods, reason = "measures a call for its bulkhead")]
fn now() -> Instant {
    Instant::now()
}

impl<C, F> Guard<C, F> {
    pub(super) fn pass_rate_limit(&self) -> Result<(), Refused> {
        let Some(limit) = &self.layers.rate_limit else { return Ok(()) };
        let limited = |RetryAfter(retry_after)| Refused::RateLimited { retry_after };
        limit.try_now().map_err(limited)
    }

    pub(super) async fn enter_bulkhead(&self) -> Result<Inside<'_>, Refused> {
        let Some(bulkhead) = &self.layers.bulkhead else { return Ok(Inside::OUTSIDE) };
        bulkhead.use_it();
        let asked = bulkhead.is_adaptive().then(now);
        Ok(self.inside_of(bulkhead.enter(&self.timer).await?, asked))
    }

    pub(super) fn enter_bulkhead_blocking(&self) -> Result<Inside<'_>, Refused> {
        let Some(bulkhead) = &self.layers.bulkhead else { return Ok(Inside::OUTSIDE) };
        bulkhead.use_it();
        let asked = bulkhead.is_adaptive().then(now);
        Ok(self.inside_of(bulkhead.enter_blocking_within(self.layers.timeout)?, asked))
    }

    fn inside_of<'b>(&self, slot: Slot<'b>, asked: Option<Instant>) -> Inside<'b> {
        let began = asked.map(|_| now());
        Inside { slot: Some(slot), asked, began, timeout: self.layers.timeout }
    }

    /// The time was over while the call stood in line.
    pub(super) fn full(&self) -> Refused {
        match &self.layers.bulkhead {
            Some(bulkhead) => bulkhead.full().into(),
            None => Refused::TimedOut { after: self.layers.timeout.unwrap_or_default() },
        }
    }

    /// Begins a call.
    pub(super) fn tries(&self) -> Tries {
        if let Some(retry) = &self.layers.retry {
            retry.called(self.dependency.front.now_ms());
        }
        Tries { made: 0 }
    }
}

impl From<Full> for Refused {
    fn from(Full { retry_after }: Full) -> Self {
        Self::Full { retry_after }
    }
}

impl Inside<'_> {
    const OUTSIDE: Self = Self { slot: None, asked: None, began: None, timeout: None };

    /// The call is over.
    pub(super) fn finish(mut self) {
        if let (Some(slot), Some(began)) = (self.slot.take(), self.began) {
            slot.finished(micros(began.elapsed()), false);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // A call that was dropped for its timeout tells that there is too much load.
        let times = (self.slot.take(), self.asked, self.began, self.timeout);
        if let (Some(slot), Some(asked), Some(began), Some(timeout)) = times
            && asked.elapsed() >= timeout
        {
            slot.finished(micros(began.elapsed()), true);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Tries {
    /// How long to wait before the call is made again; `None`: it is not.
    pub(super) fn next<C, F, T, E>(
        &mut self,
        guard: &Guard<C, F>,
        tried: &Tried<T, E>,
    ) -> Option<Duration> {
        let retry = guard.layers.retry.as_ref()?;
        self.made = self.made.saturating_add(1);
        let what = match tried {
            Tried::Done(_, Outcome::Failure)
            | Tried::Refused(Refused::TimedOut { .. } | Refused::Injected { .. }) => Again::Failed,
            Tried::Done(_, _) => return None,
            Tried::Refused(refused) => Again::Rejected { retry_after: refused.retry_after() },
        };
        retry.next(self.made, what, guard.dependency.front.now_ms())
    }
}
