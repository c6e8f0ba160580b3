//! A guarded call that blocks its thread.

use std::time::Duration;

use mainstay_actors::gate::{Entry, Front};

use super::pass::{self, Asked, Given, Pass};
use super::{Classify, FallbackNow, Guard, GuardError, Refused, Tried, block};
use crate::dependency::Outcome;

impl<C, F> Guard<C, F> {
    /// As [`call`](Self::call), for a call that blocks. Nothing can cut it off: one that takes
    /// longer than the timeout counts as a failure, and its result is returned all the same.
    ///
    /// # Errors
    /// See [`call`](Self::call).
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "measured: to move the result costs as much as the rest"
    )]
    pub fn call_blocking<T, E>(
        &self,
        mut call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, GuardError<E>>
    where
        C: Classify<T, E>,
        F: FallbackNow<T, E>,
    {
        let front = &self.dependency.front;
        // Only the breaker stands here, and it is closed: nothing is made that is not needed.
        let Some(plain) = self.is_bare().then(|| front.enter_plainly()).flatten() else {
            if let Some(shut) = self.is_bare().then(|| front.shut()).flatten() {
                return self.fall_back_now(Refused::from(shut).into());
            }
            return self.call_blocking_otherwise(call);
        };
        let mut pass = Pass::new(&self.dependency, Given::Here(plain.ticket(), None));
        let result = pass.watch(&mut call);
        let outcome = pass.watch(|| self.classify.classify(&result));
        // It is settled here, where its counters are at hand.
        std::mem::forget(pass);
        front.settle_plainly(plain, outcome);
        match result {
            Err(error) if outcome == Outcome::Failure => {
                self.fall_back_now(GuardError::Failed(error))
            },
            result => result.map_err(GuardError::Failed),
        }
    }

    #[inline(never)]
    fn call_blocking_otherwise<T, E>(
        &self,
        call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, GuardError<E>>
    where
        C: Classify<T, E>,
        F: FallbackNow<T, E>,
    {
        if !self.is_bare() {
            return self.call_blocking_in_layers(call, None);
        }
        let front = &self.dependency.front;
        match front.enter() {
            Entry::Admitted(ticket) => {
                let lane = front.lane();
                let began = front.wants_exact(ticket, lane).then(pass::now);
                let mut pass = Pass::new(&self.dependency, Given::Here(ticket, began));
                if Front::is_faulted(ticket) {
                    return self.call_blocking_in_layers(call, Some(pass));
                }
                let result = pass.watch(call);
                let outcome = pass.watch(|| self.classify.classify(&result));
                std::mem::forget(pass);
                front.settle(ticket, outcome, began.map(pass::micros_since), lane);
                match result {
                    Err(error) if outcome == Outcome::Failure => {
                        self.fall_back_now(GuardError::Failed(error))
                    },
                    result => result.map_err(GuardError::Failed),
                }
            },
            Entry::Rejected { retry_after_ms, mode } => {
                let retry_after = retry_after_ms.map(Duration::from_millis);
                self.fall_back_now(Refused::Open { mode, retry_after }.into())
            },
            _ => self.call_blocking_in_layers(call, None),
        }
    }

    /// `admitted`: what the first try has already.
    #[inline(never)]
    fn call_blocking_in_layers<T, E>(
        &self,
        call: impl FnMut() -> Result<T, E>,
        admitted: Option<Pass<'_>>,
    ) -> Result<T, GuardError<E>>
    where
        C: Classify<T, E>,
        F: FallbackNow<T, E>,
    {
        self.answered_now(self.make_blocking(call, admitted))
    }

    /// All but the fallback.
    pub(super) fn make_blocking<T, E>(
        &self,
        mut call: impl FnMut() -> Result<T, E>,
        mut admitted: Option<Pass<'_>>,
    ) -> Tried<T, E>
    where
        C: Classify<T, E>,
    {
        let mut tries = self.tries();
        loop {
            let tried = match admitted.take() {
                Some(pass) => self.block_inside(pass, &mut call),
                None => match self.admit_blocking() {
                    Ok(pass) => self.block_inside(pass, &mut call),
                    Err(refused) => Tried::Refused(refused),
                },
            };
            match tries.next(self, &tried) {
                Some(wait) => std::thread::sleep(wait),
                None => return tried,
            }
        }
    }

    #[inline]
    fn block_inside<T, E>(
        &self,
        mut pass: Pass<'_>,
        call: &mut impl FnMut() -> Result<T, E>,
    ) -> Tried<T, E>
    where
        C: Classify<T, E>,
    {
        let inside = match self.enter_bulkhead_blocking() {
            Ok(inside) => inside,
            Err(refused) => return Tried::Refused(refused),
        };
        let began = self.layers.timeout.map(|after| (pass::now(), after));
        if let Some(struck) = pass.strike()
            && let Err(refused) = self.suffer_blocking(struck)
        {
            return Self::refused(pass, refused);
        }
        let result = pass.watch(call);
        inside.finish();
        let late = began.is_some_and(|(began, after)| began.elapsed() > after);
        self.classified_in_time(pass, result, late)
    }

    #[inline]
    fn admit_blocking(&self) -> Result<Pass<'_>, Refused> {
        self.check()?;
        let given = match self.dependency.ask()? {
            Asked::Given(given) => given,
            Asked::AskKeeper => block::block_on(self.dependency.ask_keeper())?,
        };
        // From here on a refusal gives the permit back.
        let pass = Pass::new(&self.dependency, given);
        self.pass_rate_limit()?;
        Ok(pass)
    }

    /// A success that came too late is a failure.
    fn classified_in_time<T, E>(
        &self,
        mut pass: Pass<'_>,
        result: Result<T, E>,
        late: bool,
    ) -> Tried<T, E>
    where
        C: Classify<T, E>,
    {
        let outcome = pass.watch(|| self.classify.classify(&result));
        let counts_as =
            if late && outcome == Outcome::Success { Outcome::Failure } else { outcome };
        pass.finish(counts_as);
        Tried::Done(result, outcome)
    }
}
