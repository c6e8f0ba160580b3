//! A second tier behind the memory, such as a Redis that several processes share.

use std::convert::Infallible;

/// See the module. A tier is asked by one caller a key at a time, within its [`get`](super::Cache::get):
/// it should give up by itself when it takes too long, as behind a guard of its own. How long a value
/// stays in it is its own affair; one that comes out of it is fresh in memory for the whole `ttl`.
pub trait Tier<K, V>: Send + Sync + 'static {
    /// Why a value could not be removed.
    type Error;

    /// The value, if the tier has it. A tier that cannot tell has none.
    fn get(&self, key: &K) -> impl Future<Output = Option<V>> + Send;

    /// Keeps a value that was loaded. One that cannot be kept is loaded again.
    fn put(&self, key: &K, value: &V) -> impl Future<Output = ()> + Send;

    /// Takes a value out.
    ///
    /// # Errors
    /// It may still be there.
    fn remove(&self, key: &K) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The memory is all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTier;

impl<K: Sync, V: Sync> Tier<K, V> for NoTier {
    type Error = Infallible;

    async fn get(&self, _: &K) -> Option<V> {
        None
    }

    async fn put(&self, _: &K, _: &V) {}

    async fn remove(&self, _: &K) -> Result<(), Infallible> {
        Ok(())
    }
}
