//! The index of one segment in memory: pairs of (term, offset), sorted lazily.
//!
//! ```text
//! fresh (unsorted, < 4,096) ──► sorted runs of 4,096 ──► eight of a size become one ──► …
//! ```
//!
//! A segment that is sealed has its runs merged into one, which goes to the store.

use crate::record::RecordRef;
use crate::terms;

/// A term and a record's position − its segment's first position.
pub(crate) type Posting = (u64, u32);

const FRESH: usize = 4096;
const FAN_IN: usize = 8;

/// Postings of one segment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Postings {
    first: u64,
    /// Everything up to this position is in here.
    upto: u64,
    fresh: Vec<Posting>,
    runs: Vec<Vec<Posting>>,
    /// Bits of all terms, so that most that are not here cost two looks.
    seen: Vec<u64>,
}

/// Bits in `seen`, as a power of two: 256 KiB for the 300,000 postings of a full segment.
const SEEN_BITS: u32 = 21;

/// The two bits of a term: word and mask.
fn bits(term: u64) -> [(usize, u64); 2] {
    [term, term >> 32].map(|hash| {
        let bit = hash & ((1 << SEEN_BITS) - 1);
        (usize::try_from(bit >> 6).unwrap_or_default(), 1 << (bit & 63))
    })
}

impl Postings {
    /// Of the segment that begins at `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self { first, upto: first.saturating_sub(1), ..Self::default() }
    }

    pub(crate) fn upto(&self) -> u64 {
        self.upto
    }

    /// Adds a record; the next position each time.
    pub(crate) fn add(&mut self, record: &RecordRef<'_>) {
        let offset = u32::try_from(record.position - self.first).unwrap_or(u32::MAX);
        if self.seen.is_empty() {
            self.seen = vec![0; 1 << (SEEN_BITS - 6)];
        }
        terms::of_record(record, |term| {
            self.fresh.push((term, offset));
            for (word, mask) in bits(term) {
                if let Some(word) = self.seen.get_mut(word) {
                    *word |= mask;
                }
            }
        });
        self.upto = record.position;
        if self.fresh.len() >= FRESH {
            self.roll();
        }
    }

    fn roll(&mut self) {
        let mut run = std::mem::take(&mut self.fresh);
        run.sort_unstable();
        self.fresh.reserve(FRESH + 8);
        self.runs.push(run);
        loop {
            let Some(size) = self.runs.last().map(Vec::len) else { return };
            let alike = self.runs.iter().rev().take_while(|run| run.len() < size * 2).count();
            if alike < FAN_IN {
                return;
            }
            self.merge(alike);
        }
    }

    fn merge(&mut self, count: usize) {
        let tail = self.runs.split_off(self.runs.len() - count);
        let mut merged = Vec::with_capacity(tail.iter().map(Vec::len).sum());
        for run in tail {
            merged.extend(run);
        }
        merge_sort(&mut merged);
        self.runs.push(merged);
    }

    /// Offsets of a term, rising.
    pub(crate) fn offsets(&self, term: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let seen = |(word, mask)| self.seen.get(word).is_some_and(|bits: &u64| bits & mask != 0);
        if !bits(term).into_iter().all(seen) {
            return found;
        }
        for run in &self.runs {
            found.extend(within(run, term));
        }
        found.extend(self.fresh.iter().filter(|posting| posting.0 == term).map(|p| p.1));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// All postings in one sorted run.
    pub(crate) fn sorted(&self) -> Vec<Posting> {
        let mut all: Vec<Posting> = self.runs.iter().flatten().copied().collect();
        all.extend(&self.fresh);
        merge_sort(&mut all);
        all
    }
}

/// A stable sort finds the runs that are there and merges them.
#[expect(clippy::stable_sort_primitive, reason = "the input is a few sorted runs")]
fn merge_sort(postings: &mut [Posting]) {
    postings.sort();
}

fn within(run: &[Posting], term: u64) -> impl Iterator<Item = u32> + '_ {
    let start = run.partition_point(|posting| posting.0 < term);
    run.iter().skip(start).take_while(move |posting| posting.0 == term).map(|posting| posting.1)
}

#[cfg(test)]
mod tests {
    use super::Postings;
    use crate::codec;
    use crate::terms;

    #[test]
    fn every_record_is_found_by_its_stream_over_many_runs() {
        let mut postings = Postings::new(1);
        for position in 1..=40_000_u64 {
            let name = format!("a/{}", position % 1000);
            let append = crate::Append {
                activation: 0,
                stream: crate::StreamId::parse(&name).unwrap(),
                expected_version: 0,
                seen: None,
                envelope: crate::Envelope {
                    at_us: 0,
                    principal: "p".into(),
                    request: None,
                    correlation: None,
                    causation: None,
                },
                drafts: vec![crate::Draft {
                    type_id: 1,
                    schema: 1,
                    tags: crate::Tags::new(),
                    payload: vec![],
                }],
            };
            let mut bytes = Vec::new();
            let size = codec::measure(&append, &append.drafts[0]).unwrap();
            let place = codec::Place { at_us: 0, version: 1, previous: 0 };
            codec::encode(&mut bytes, &append, &append.drafts[0], place, size);
            postings.add(&codec::decode(&bytes, 1, position).unwrap());
        }
        for stream in [0_u32, 1, 999] {
            let found = postings.offsets(terms::stream(&format!("a/{stream}")));
            let start = if stream == 0 { 1000 } else { stream };
            let wanted: Vec<u32> = (0..40).map(|round| start + round * 1000 - 1).collect();
            assert_eq!(found, wanted);
        }
        assert_eq!(postings.offsets(terms::stream("a/nobody")), [0_u32; 0]);
        assert_eq!(postings.sorted().len(), 3 * 40_000);
    }
}
