//! Sleeps on any executor: on the caller's own tokio runtime, or else on the mainstay's.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Timer {
    /// The mainstay's runtime: for callers that have none.
    own: Option<Handle>,
}

/// It was not ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl Timer {
    /// With a runtime for callers that have none.
    #[must_use]
    pub const fn new(own: Option<Handle>) -> Self {
        Self { own }
    }

    /// Waits. A tokio runtime that has its time disabled panics, as with tokio's own sleep. Where
    /// there is no runtime at all, or the mainstay's ends meanwhile, the wait is over.
    pub async fn sleep(&self, duration: Duration) {
        self.slept(duration).await;
    }

    /// False if there is no runtime to wait on.
    async fn slept(&self, duration: Duration) -> bool {
        if Handle::try_current().is_ok() {
            tokio::time::sleep(duration).await;
            return true;
        }
        let Some(own) = &self.own else { return false };
        // A task of that runtime: it ends with it, where a sleep of ours would panic.
        let mut sleeping = Elsewhere(own.spawn(async move { tokio::time::sleep(duration).await }));
        drop((&mut sleeping.0).await);
        true
    }

    /// A future's value, if it comes in time. The future is asked first: one that is ready at once
    /// costs no timer. Where there is no runtime at all it may take as long as it does.
    ///
    /// # Errors
    /// [`Elapsed`], also when the mainstay's runtime ends meanwhile; the future is dropped then.
    pub async fn at_most<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let mut future = pin!(future);
        // In this order: the timer is made when it is asked itself.
        let slept = tokio::select! {
            biased;
            value = &mut future => return Ok(value),
            slept = self.slept(duration) => slept,
        };
        if slept { Err(Elapsed) } else { Ok(future.await) }
    }
}

/// A sleep on the mainstay's runtime, for as long as somebody waits for it.
struct Elsewhere(JoinHandle<()>);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.abort();
    }
}
