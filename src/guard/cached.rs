//! A guard behind a cache.
//!
//! ```text
//!   call ──► fresh in the cache ──► the value; the guard is not asked
//!        └─► the guard with all its layers, of a key one at a time
//!             ├─ success ──► the value, kept
//!             ├─ failed or refused ──► the value of before, if it is not too old
//!             │                   └──► else the fallback; what it answers is not kept
//!             └─ all else ──► as it came; nothing is kept
//! ```
//!
//! "All else" is what no fallback hides: an error that is no failure, an `Ok` that is no success,
//! a mistake of the program. Who waits for the call of another has what that one has.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::block::block_on;
use super::cache::{Cache, NoTier, Tier};
use super::{ByResult, Classify, Fallback, FallbackNow, Guard, GuardError, NoFallback, Tried};
use crate::dependency::Outcome;

/// See the module. Clones share what is kept.
pub struct Cached<K, V, T = NoTier, C = ByResult, F = NoFallback> {
    cache: Cache<K, V, T>,
    guard: Guard<C, F>,
}

/// What came of a call, and is not kept.
enum Unkept<V, E> {
    /// It is the answer.
    Final(Result<V, GuardError<Arc<E>>>),
    /// The value of before may answer, or the fallback.
    Hidden(GuardError<Arc<E>>),
}

impl<C, F> Guard<C, F> {
    /// Outside of all else, answers that are kept by a key. The fallback has the call's error in an
    /// [`Arc`] then: all who waited for that call have it. One cache stands before one dependency:
    /// its counts are of that one.
    #[must_use]
    pub fn cache<K, V, T>(self, cache: Cache<K, V, T>) -> Cached<K, V, T, C, F> {
        self.dependency.tally.watch_cache(cache.counters());
        Cached { cache, guard: self }
    }
}

impl<K, V, T, C, F> Cached<K, V, T, C, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    T: Tier<K, V>,
{
    /// The value of a key: the one that is kept, or else the call's, as [`Guard::call`] makes it.
    ///
    /// # Errors
    /// As [`Guard::call`].
    pub async fn call<E, Fut>(
        &self,
        key: &K,
        call: impl FnMut() -> Fut,
    ) -> Result<V, GuardError<Arc<E>>>
    where
        Fut: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
        C: Classify<V, E>,
        F: Fallback<V, Arc<E>>,
    {
        self.guard.check()?;
        let load = || async { kept(self.guard.make(call).await) };
        let got = self.cache.get_unless(key, load, Unkept::is_final).await;
        match got.map_err(|unkept| (*unkept).clone()) {
            Ok(value) => Ok(value),
            Err(Unkept::Final(answer)) => answer,
            Err(Unkept::Hidden(error)) => self.guard.fall_back(error).await,
        }
    }

    /// As [`call`](Self::call), for a call that blocks: see [`Guard::call_blocking`]. Who waits for
    /// the call of another blocks, too.
    ///
    /// # Errors
    /// As [`Guard::call`].
    pub fn call_blocking<E>(
        &self,
        key: &K,
        call: impl FnMut() -> Result<V, E>,
    ) -> Result<V, GuardError<Arc<E>>>
    where
        E: Send + Sync + 'static,
        C: Classify<V, E>,
        F: FallbackNow<V, Arc<E>>,
    {
        self.guard.check()?;
        let load = || async { kept(self.guard.make_blocking(call, None)) };
        let got = block_on(self.cache.get_unless(key, load, Unkept::is_final));
        match got.map_err(|unkept| (*unkept).clone()) {
            Ok(value) => Ok(value),
            Err(Unkept::Final(answer)) => answer,
            Err(Unkept::Hidden(error)) => self.guard.fall_back_now(error),
        }
    }
}

impl<K, V, T, C, F> Cached<K, V, T, C, F> {
    /// What is kept: to warm it, to take values out, to count.
    #[must_use]
    pub const fn kept(&self) -> &Cache<K, V, T> {
        &self.cache
    }

    /// What is behind it.
    #[must_use]
    pub const fn guard(&self) -> &Guard<C, F> {
        &self.guard
    }
}

/// Only a success is kept.
fn kept<V, E>(tried: Tried<V, E>) -> Result<V, Unkept<V, E>> {
    Err(match tried {
        Tried::Done(Ok(value), Outcome::Success) => return Ok(value),
        Tried::Done(Ok(value), _) => Unkept::Final(Ok(value)),
        Tried::Done(Err(error), Outcome::Failure) => {
            Unkept::Hidden(GuardError::Failed(Arc::new(error)))
        },
        Tried::Done(Err(error), _) => Unkept::Final(Err(GuardError::Failed(Arc::new(error)))),
        Tried::Refused(refused) if refused.is_a_mistake() => Unkept::Final(Err(refused.into())),
        Tried::Refused(refused) => Unkept::Hidden(refused.into()),
    })
}

impl<V, E> Unkept<V, E> {
    const fn is_final(&self) -> bool {
        matches!(self, Self::Final(_))
    }
}

impl<V: Clone, E> Clone for Unkept<V, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Final(answer) => Self::Final(answer.clone()),
            Self::Hidden(error) => Self::Hidden(error.clone()),
        }
    }
}

impl<K, V, T, C: Clone, F: Clone> Clone for Cached<K, V, T, C, F> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), guard: self.guard.clone() }
    }
}

impl<K, V, T, C: fmt::Debug, F: fmt::Debug> fmt::Debug for Cached<K, V, T, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("cache", &self.cache).field("guard", &self.guard).finish()
    }
}
