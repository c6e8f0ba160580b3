//! A guarded call on an executor.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pass::{Asked, Given, Pass};
use super::{Classify, Fallback, Guard, GuardError, Refused, Tried};
use crate::dependency::Outcome;

impl<C, F> Guard<C, F> {
    /// Makes the call. It may be made several times, if the guard retries. Dropping the future
    /// gives the permit back and counts as nothing; a panic counts as a failure and goes on.
    ///
    /// # Errors
    /// The call's own, or why it was not made: see [`GuardError`]. With a fallback only what the
    /// call's classification says is no failure.
    pub async fn call<T, E, Fut>(&self, mut call: impl FnMut() -> Fut) -> Result<T, GuardError<E>>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
        F: Fallback<T, E>,
    {
        if self.is_bare()
            && let Some(ticket) = self.dependency.front.enter_plainly().map(|it| it.ticket())
        {
            let mut pass = Pass::new(&self.dependency, Given::Here(ticket, None));
            let mut future = pin!(pass.watch(&mut call));
            let result = poll_fn(|context| pass.watch(|| future.as_mut().poll(context))).await;
            let outcome = pass.watch(|| self.classify.classify(&result));
            // Settled by the ticket: to move the pass costs more than to count.
            std::mem::forget(pass);
            self.dependency.front.settle_anywhere(ticket, outcome);
            return match result {
                Err(error) if outcome == Outcome::Failure => {
                    self.fall_back(GuardError::Failed(error)).await
                },
                result => result.map_err(GuardError::Failed),
            };
        }
        if self.is_bare()
            && let Ok(Asked::Given(given)) = self.dependency.ask()
        {
            let mut pass = Pass::new(&self.dependency, given);
            if let Some(struck) = pass.strike()
                && let Err(refused) = Box::pin(self.suffer(struck)).await
            {
                pass.finish(Outcome::Failure);
                return self.fall_back(refused.into()).await;
            }
            let mut future = pin!(pass.watch(&mut call));
            let result = poll_fn(|context| pass.watch(|| future.as_mut().poll(context))).await;
            let outcome = pass.watch(|| self.classify.classify(&result));
            pass.finish(outcome);
            return match result {
                Err(error) if outcome == Outcome::Failure => {
                    self.fall_back(GuardError::Failed(error)).await
                },
                result => result.map_err(GuardError::Failed),
            };
        }
        self.answered(self.make(&mut call).await).await
    }

    /// All but the fallback.
    pub(super) async fn make<T, E, Fut>(&self, mut call: impl FnMut() -> Fut) -> Tried<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let mut tries = self.tries();
        loop {
            let tried = self.call_once(&mut call).await;
            match tries.next(self, &tried) {
                Some(wait) => self.timer.sleep(wait).await,
                None => return tried,
            }
        }
    }

    async fn call_once<T, E, Fut>(&self, call: &mut impl FnMut() -> Fut) -> Tried<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        match self.admit().await {
            Ok(pass) => self.inside(pass, call).await,
            Err(refused) => Tried::Refused(refused),
        }
    }

    /// A permit of the breaker, for a call through this guard.
    pub(super) async fn admit(&self) -> Result<Pass<'_>, Refused> {
        self.check()?;
        let given: Given = match self.dependency.ask()? {
            Asked::Given(given) => given,
            Asked::AskKeeper => self.dependency.ask_keeper().await?,
        };
        // From here on a refusal gives the permit back.
        let pass = Pass::new(&self.dependency, given);
        self.pass_rate_limit()?;
        Ok(pass)
    }

    /// Inside of the breaker and the rate limit.
    pub(super) async fn inside<T, E, Fut>(
        &self,
        mut pass: Pass<'_>,
        call: impl FnOnce() -> Fut,
    ) -> Tried<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        C: Classify<T, E>,
    {
        let is_in = AtomicBool::new(false);
        let Some(after) = self.layers.timeout else {
            return match self.in_bulkhead(&mut pass, call, &is_in).await {
                Ok(result) => self.classified(pass, result),
                Err(refused) => Self::refused(pass, refused),
            };
        };
        let in_time = self.timer.at_most(after, self.in_bulkhead(&mut pass, call, &is_in)).await;
        match in_time {
            Ok(Ok(result)) => self.classified(pass, result),
            Ok(Err(refused)) => Self::refused(pass, refused),
            // The call was never made: its permit goes back.
            Err(_) if !is_in.load(Ordering::Relaxed) => Tried::Refused(self.full()),
            Err(_) => {
                pass.finish(Outcome::Failure);
                Tried::Refused(Refused::TimedOut { after })
            },
        }
    }

    async fn in_bulkhead<T, Fut>(
        &self,
        pass: &mut Pass<'_>,
        call: impl FnOnce() -> Fut,
        is_in: &AtomicBool,
    ) -> Result<T, Refused>
    where
        Fut: Future<Output = T>,
    {
        let inside = self.enter_bulkhead().await?;
        is_in.store(true, Ordering::Relaxed);
        if let Some(struck) = pass.strike() {
            Box::pin(self.suffer(struck)).await?;
        }
        let mut future = pin!(pass.watch(call));
        // Only what happens inside of the call's own poll is its panic.
        let result = poll_fn(|context| pass.watch(|| future.as_mut().poll(context))).await;
        inside.finish();
        Ok(result)
    }

    /// A call that was admitted and not made: an injected fault is a failure of it.
    pub(super) fn refused<T, E>(pass: Pass<'_>, refused: Refused) -> Tried<T, E> {
        if matches!(refused, Refused::Injected { .. } | Refused::TimedOut { .. }) {
            pass.finish(Outcome::Failure);
        }
        Tried::Refused(refused)
    }

    pub(super) fn classified<T, E>(&self, mut pass: Pass<'_>, result: Result<T, E>) -> Tried<T, E>
    where
        C: Classify<T, E>,
    {
        let outcome = pass.watch(|| self.classify.classify(&result));
        pass.finish(outcome);
        Tried::Done(result, outcome)
    }
}
