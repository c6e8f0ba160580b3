//! What counts as a failure.

use crate::dependency::Outcome;

/// Says how a call went.
pub trait Classify<T, E> {
    /// Of a result: success, failure, or ignored.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

/// `Ok` is a success, `Err` a failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByResult;

impl<T, E> Classify<T, E> for ByResult {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Failure }
    }
}

/// A function says it.
#[derive(Debug, Clone, Copy)]
pub struct ByFunction<F>(pub(super) F);

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for ByFunction<F> {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        (self.0)(result)
    }
}
