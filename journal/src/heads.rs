//! What the writer remembers of streams, in bounded memory: two generations of a table. When
//! the young one is full it becomes the old one, and the old one is forgotten; whoever is not
//! found here is looked up in the index.

use std::collections::{HashMap, HashSet};

use crate::record::Head;

/// A stream's name under a secret seed: long enough to stand for the name itself.
pub(crate) type StreamKey = u128;

/// Heads of the streams that were used last.
#[derive(Debug)]
pub(crate) struct Heads {
    young: HashMap<StreamKey, Head>,
    old: HashMap<StreamKey, Head>,
    bound: usize,
    seed: u64,
}

impl Heads {
    pub(crate) fn new(bound: usize, seed: u64) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), bound, seed }
    }

    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        xxhash_rust::xxh3::xxh3_128_with_seed(stream.as_bytes(), self.seed)
    }

    pub(crate) fn get(&self, key: StreamKey) -> Option<Head> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    pub(crate) fn put(&mut self, key: StreamKey, head: Head) {
        if self.young.len() >= self.bound && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, head);
    }

    pub(crate) fn forget(&mut self, key: StreamKey) {
        self.young.remove(&key);
        self.old.remove(&key);
    }
}

/// Activations that were refused.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    young: HashSet<(StreamKey, u64)>,
    old: HashSet<(StreamKey, u64)>,
}

/// Far more than appends can be under way.
const BOUND: usize = 16_384;

impl Superseded {
    pub(crate) fn contains(&self, key: StreamKey, activation: u64) -> bool {
        let entry = (key, activation);
        self.young.contains(&entry) || self.old.contains(&entry)
    }

    pub(crate) fn add(&mut self, key: StreamKey, activation: u64) {
        if self.young.len() >= BOUND {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((key, activation));
    }
}
