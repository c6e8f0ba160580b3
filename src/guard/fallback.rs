//! What answers when the call does not.

use super::GuardError;

/// Answers in the place of a call that failed or was refused.
pub trait Fallback<T, E> {
    /// The answer, or the error for who called.
    ///
    /// # Errors
    /// The error as it came, where there is nothing to answer with.
    fn answer(&self, error: GuardError<E>)
    -> impl Future<Output = Result<T, GuardError<E>>> + Send;
}

/// As [`Fallback`], without waiting: what the blocking calls need.
pub trait FallbackNow<T, E> {
    /// The answer, or the error for who called.
    ///
    /// # Errors
    /// The error as it came, where there is nothing to answer with.
    fn answer_now(&self, error: GuardError<E>) -> Result<T, GuardError<E>>;
}

/// The error is the answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFallback;

/// A function gives the value.
#[derive(Debug, Clone, Copy)]
pub struct Value<F>(pub(super) F);

/// A function gives a future of the value.
#[derive(Debug, Clone, Copy)]
pub struct Later<F>(pub(super) F);

impl<T: Send, E: Send> Fallback<T, E> for NoFallback {
    async fn answer(&self, error: GuardError<E>) -> Result<T, GuardError<E>> {
        Err(error)
    }
}

impl<T, E> FallbackNow<T, E> for NoFallback {
    fn answer_now(&self, error: GuardError<E>) -> Result<T, GuardError<E>> {
        Err(error)
    }
}

impl<T: Send, E: Send, F: Fn(GuardError<E>) -> T + Sync> Fallback<T, E> for Value<F> {
    async fn answer(&self, error: GuardError<E>) -> Result<T, GuardError<E>> {
        Ok((self.0)(error))
    }
}

impl<T, E, F: Fn(GuardError<E>) -> T> FallbackNow<T, E> for Value<F> {
    fn answer_now(&self, error: GuardError<E>) -> Result<T, GuardError<E>> {
        Ok((self.0)(error))
    }
}

impl<T, E, F, Fut> Fallback<T, E> for Later<F>
where
    T: Send,
    E: Send,
    F: Fn(GuardError<E>) -> Fut + Sync,
    Fut: Future<Output = T> + Send,
{
    async fn answer(&self, error: GuardError<E>) -> Result<T, GuardError<E>> {
        Ok((self.0)(error).await)
    }
}
