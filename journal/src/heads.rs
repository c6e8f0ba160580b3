//! What the writer remembers of streams, in bounded memory: two generations of a table. When
//! the young one is full it becomes the old one, and the old one is forgotten.
//!
//! ```text
//!   … forgotten … │ old generation │ young generation │ next position
//!                 └ from here on every stream with a record is remembered
//! ```
//!
//! So a stream that is not found here has no record since that line: whoever has seen it up to
//! there knows its newest one. Everybody else's is looked up in the index.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::record::Head;

/// A stream's name under a secret seed: long enough to stand for the name itself.
pub(crate) type StreamKey = u128;

/// A key is a hash already: half of it is one for a table.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Half(u64);

impl Hasher for Half {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Something by the keys of streams.
pub(crate) type ByStream<T> = HashMap<StreamKey, T, BuildHasherDefault<Half>>;

/// Heads of the streams that were used last.
#[derive(Debug)]
pub(crate) struct Heads {
    young: ByStream<Head>,
    old: ByStream<Head>,
    bound: usize,
    seed: u64,
    /// Where each generation began.
    young_from: u64,
    old_from: u64,
}

impl Heads {
    /// Remembers nothing before `next`, the position of the next record.
    pub(crate) fn new(bound: usize, seed: u64, next: u64) -> Self {
        let (young, old) = (HashMap::default(), HashMap::default());
        Self { young, old, bound, seed, young_from: next, old_from: next }
    }

    /// Whether every stream with a record behind `position` is remembered.
    pub(crate) fn cover_all_behind(&self, position: u64) -> bool {
        position.saturating_add(1) >= self.old_from
    }

    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        xxhash_rust::xxh3::xxh3_128_with_seed(stream.as_bytes(), self.seed)
    }

    pub(crate) fn get(&self, key: StreamKey) -> Option<Head> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Remembers a stream's head; the journal's next record will lie at `next` or behind it.
    pub(crate) fn put(&mut self, key: StreamKey, head: Head, next: u64) {
        if self.young.len() >= self.bound && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
            (self.old_from, self.young_from) = (self.young_from, next);
        }
        self.young.insert(key, head);
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

#[cfg(test)]
mod tests {
    use super::Heads;
    use crate::record::Head;

    #[test]
    fn a_stream_that_is_not_remembered_has_no_record_behind_the_line() {
        let mut heads = Heads::new(4, 7, 1);
        let mut newest = std::collections::BTreeMap::new();
        for position in 1..=200_u64 {
            let stream = format!("a/{}", position * position % 23);
            let head = Head { version: position, position };
            let key = heads.key(&stream);
            heads.put(key, head, position);
            newest.insert(stream, position);
            let line = (0..=position).find(|at| heads.cover_all_behind(*at)).unwrap();
            for (stream, position) in &newest {
                let remembered = heads.get(heads.key(stream));
                assert!(
                    remembered.is_some() || *position <= line,
                    "{stream} at {position}, {line}"
                );
                assert!(remembered.is_none_or(|head| head.position == *position));
            }
            assert!(position < 9 || line > 0, "nothing was ever forgotten");
        }
    }
}
