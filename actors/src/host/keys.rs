//! Every access key as it durably is, for whichever thread lets requests in.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::key::KeyState;

/// Keys by name; clones are the same keys.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<RwLock<BTreeMap<String, Arc<KeyState>>>>);

impl Keys {
    /// One by name, revoked and expired ones, too.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<KeyState>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Arc<KeyState>)> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|(name, key)| (name.clone(), key.clone())).collect()
    }

    pub(crate) fn put(&self, name: &str, state: &KeyState) {
        let state = Arc::new(state.clone());
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(name.to_owned(), state);
    }
}
