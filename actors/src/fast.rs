//! A quick hash for tables of ids.

use std::hash::Hasher;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The same in every process, and no defence against chosen ids: for tables whose ids are our
/// own, or that one reader of a journal fills for himself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, _end: u8) {
        // The end of a text: with one text alone there is nothing to tell apart.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
