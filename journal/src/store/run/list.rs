//! One term's postings in a run, a few chunks at a time, from any offset, oldest or newest first.
//!
//! ```text
//! chunk       0          1          2
//!          [ a a b b ][ b b b b ][ b b c d ]
//!                        ▲ entered at (b, 5): the last chunk whose key is not beyond it,
//!                 ◄ Back │ Forth ►             then by number: one that is missing is noticed
//! ```

use std::ops::Bound;

use super::{Month, checked, run_key};
use crate::postings::Posting;
use crate::segment::Segment;

/// Which way postings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Oldest first.
    Forth,
    /// Newest first.
    Back,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    /// At this offset, or the next one that is there.
    Offset(u32),
    /// At the chunk beside this one.
    Place(Place),
}

/// A chunk that was read: its key and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    key: [u8; 20],
    number: u32,
}

/// What the next chunks have of a term.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    /// Offsets in the order they were asked for; none only at the end.
    pub(crate) offsets: Vec<u32>,
    /// There may be more beside this chunk.
    pub(crate) rest: Option<Place>,
}

/// Reads the next offsets of a term. The run must be there, and its number of chunks known.
pub(crate) fn stretch(
    month: &Month,
    segment: &Segment,
    term: u64,
    from: From,
    way: Way,
) -> Result<Stretch, String> {
    let chunks = *segment.run_chunks.get().ok_or("its length is unknown")?;
    let run = Run { month, segment: segment.first, chunks };
    match way {
        Way::Forth => run.forth(term, from),
        Way::Back => run.back(term, from),
    }
}

struct Run<'m> {
    month: &'m Month,
    segment: u64,
    chunks: u32,
}

struct Chunk {
    place: Place,
    postings: Vec<Posting>,
}

/// Who reads on will read more: so many chunks at once cost little more than one.
const CHUNKS_AT_ONCE: usize = 8;

impl Run<'_> {
    fn forth(&self, term: u64, from: From) -> Result<Stretch, String> {
        let (at, before, many) = match from {
            From::Place(place) => (0, Some(place), CHUNKS_AT_ONCE),
            From::Offset(at) => match self.upto((term, at))? {
                None => (at, None, 1),
                Some(chunk) => match chunk.forth(term, at) {
                    Some(stretch) => return Ok(stretch),
                    None => (at, Some(chunk.place), 1),
                },
            },
        };
        let mut all = Stretch::default();
        for (read, chunk) in self.after(before).enumerate() {
            if let Some(Stretch { offsets, rest }) = chunk?.forth(term, at) {
                all.offsets.extend(offsets);
                all.rest = rest;
                if rest.is_none() || read + 1 >= many {
                    return Ok(all);
                }
            }
        }
        // The last chunk was the run's last.
        all.rest = None;
        Ok(all)
    }

    fn back(&self, term: u64, from: From) -> Result<Stretch, String> {
        let (at, before, many) = match from {
            From::Place(place) => (u32::MAX, place, CHUNKS_AT_ONCE),
            From::Offset(at) => {
                let Some(chunk) = self.upto((term, at))? else {
                    self.after(None).next().transpose()?;
                    return Ok(Stretch::default());
                };
                if chunk.postings.last().is_some_and(|last| *last <= (term, at)) {
                    // One that is missing behind it could hold the newest.
                    self.after(Some(chunk.place)).next().transpose()?;
                }
                match chunk.back(term, at) {
                    Some(stretch) => return Ok(stretch),
                    None => (at, chunk.place, 1),
                }
            },
        };
        let mut all = Stretch::default();
        for (read, chunk) in self.before(before).enumerate() {
            if let Some(Stretch { offsets, rest }) = chunk?.back(term, at) {
                all.offsets.extend(offsets);
                all.rest = rest;
                if rest.is_none() || read + 1 >= many {
                    return Ok(all);
                }
            }
        }
        Err("a chunk is missing".into())
    }

    /// The last chunk whose key is not beyond a posting.
    fn upto(&self, posting: Posting) -> Result<Option<Chunk>, String> {
        let (low, high) = (run_key(self.segment, (0, 0)), run_key(self.segment, posting));
        self.month.runs.range(low..=high).next_back().map(Chunk::of).transpose()
    }

    /// The chunks behind one, or all: one that is missing is an error, at the end too.
    fn after(&self, before: Option<Place>) -> impl Iterator<Item = Result<Chunk, String>> {
        let low = before.map_or(run_key(self.segment, (0, 0)), |place| place.key);
        let low = if before.is_some() { Bound::Excluded(low) } else { Bound::Included(low) };
        let high = Bound::Included(run_key(self.segment, (u64::MAX, u32::MAX)));
        let mut chunks = self.month.runs.range((low, high));
        let (mut wanted, end) = (before.map_or(0, |place| place.number + 1), self.chunks);
        std::iter::from_fn(move || {
            let chunk = match chunks.next().map(Chunk::of) {
                None if wanted == end => return None,
                Some(Ok(chunk)) if chunk.place.number == wanted => Ok(chunk),
                None | Some(Ok(_)) => Err("a chunk is missing".into()),
                Some(Err(reason)) => Err(reason),
            };
            wanted += 1;
            Some(chunk)
        })
    }

    /// The chunks before one, newest first.
    fn before(&self, after: Place) -> impl Iterator<Item = Result<Chunk, String>> {
        let mut chunks = self.month.runs.range(run_key(self.segment, (0, 0))..after.key);
        let mut number = after.number;
        std::iter::from_fn(move || {
            number = number.checked_sub(1)?;
            let chunk = match chunks.next_back().map(Chunk::of) {
                Some(Ok(chunk)) if chunk.place.number == number => Ok(chunk),
                None | Some(Ok(_)) => Err("a chunk is missing".into()),
                Some(Err(reason)) => Err(reason),
            };
            Some(chunk)
        })
    }
}

impl Chunk {
    fn of(entry: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Self, String> {
        let (key, bytes) = entry.map_err(|error| error.to_string())?;
        let key = <[u8; 20]>::try_from(&*key).map_err(|_| "a chunk's key is senseless")?;
        let mut fields = checked(&bytes).ok_or("a chunk is damaged")?;
        let number = fields.u32().ok_or("a chunk is cut short")?;
        let mut postings = Vec::with_capacity(fields.0.len() / super::POSTING_BYTES);
        while let (Some(term), Some(offset)) = (fields.u64(), fields.u32()) {
            postings.push((term, offset));
        }
        Ok(Self { place: Place { key, number }, postings })
    }

    /// Its offsets of a term from `at` on; `None` if those can only lie behind it.
    fn forth(&self, term: u64, at: u32) -> Option<Stretch> {
        let start = self.postings.partition_point(|posting| *posting < (term, at));
        let (_, tail) = self.postings.split_at_checked(start)?;
        let offsets = tail.iter().take_while(|posting| posting.0 == term).map(|it| it.1);
        let offsets: Vec<u32> = offsets.collect();
        let ends = offsets.len() < tail.len();
        let rest = (!ends).then_some(self.place);
        (ends || !offsets.is_empty()).then_some(Stretch { offsets, rest })
    }

    /// Its offsets of a term up to `at`, newest first; `None` if those can only lie before it.
    fn back(&self, term: u64, at: u32) -> Option<Stretch> {
        let end = self.postings.partition_point(|posting| *posting <= (term, at));
        let (head, _) = self.postings.split_at_checked(end)?;
        let offsets = head.iter().rev().take_while(|posting| posting.0 == term).map(|it| it.1);
        let offsets: Vec<u32> = offsets.collect();
        let begins = offsets.len() < head.len() || self.place.number == 0;
        let rest = (!begins).then_some(self.place);
        (begins || !offsets.is_empty()).then_some(Stretch { offsets, rest })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{From, Stretch, Way, stretch};
    use crate::disk::RealDisk;
    use crate::layout::Layout;
    use crate::postings::Posting;
    use crate::segment::Segment;
    use crate::store::Month;
    use crate::store::run::{filter, run_key, write};

    const SEGMENT: u64 = 7;

    /// Five terms with so many postings that each spans chunks, and a rare one between.
    fn postings() -> Vec<Posting> {
        let many = (0..5_u64).flat_map(|n| (0..400_u32).map(move |at| (10 + n * 10, at * 3)));
        let mut all: Vec<Posting> = many.chain([(15, 4), (15, 8)]).collect();
        all.sort_unstable();
        all
    }

    fn month(directory: &tempfile::TempDir) -> Month {
        let layout = Layout { root: directory.path().to_path_buf() };
        let limit = std::time::Duration::from_secs(30);
        let month = Month::open(&layout, "2026-11", &[7; 16], limit).unwrap();
        write(&month, SEGMENT, &postings()).unwrap();
        month
    }

    fn segment() -> Segment {
        Segment::new(SEGMENT, "2026-11".to_owned(), "none".into(), Arc::new(RealDisk))
    }

    fn read(month: &Month, term: u64, at: u32, way: Way) -> Result<Vec<u32>, String> {
        let segment = segment();
        assert!(filter(month, &segment)?.is_some());
        let (mut found, mut from) = (Vec::new(), Some(From::Offset(at)));
        while let Some(next) = from {
            let Stretch { offsets, rest } = stretch(month, &segment, term, next, way)?;
            assert!(rest.is_none() || !offsets.is_empty(), "nothing, but not the end");
            found.extend(offsets);
            from = rest.map(From::Place);
        }
        Ok(found)
    }

    fn wanted(term: u64, at: u32, way: Way) -> Vec<u32> {
        let all = postings().into_iter().filter(|posting| posting.0 == term).map(|it| it.1);
        match way {
            Way::Forth => all.filter(|offset| *offset >= at).collect(),
            Way::Back => {
                let mut back: Vec<u32> = all.filter(|offset| *offset <= at).collect();
                back.reverse();
                back
            },
        }
    }

    const ENTRIES: [u32; 8] = [0, 1, 4, 1_019, 1_020, 2_697, 2_698, u32::MAX];
    const TERMS: [u64; 8] = [0, 10, 11, 15, 20, 30, 50, u64::MAX];

    #[test]
    fn a_list_reads_the_same_from_any_offset_either_way() {
        let directory = tempfile::tempdir().unwrap();
        let month = month(&directory);
        for term in TERMS {
            for at in ENTRIES {
                for way in [Way::Forth, Way::Back] {
                    let found = read(&month, term, at, way).unwrap();
                    assert_eq!(found, wanted(term, at, way), "{term} from {at} {way:?}");
                }
            }
        }
    }

    /// Reads everything; what is no error must be right.
    fn noticed(month: &Month) -> usize {
        let mut noticed = 0;
        for term in TERMS {
            for at in ENTRIES {
                for way in [Way::Forth, Way::Back] {
                    match read(month, term, at, way) {
                        Ok(found) => assert_eq!(found, wanted(term, at, way), "{term} {at}"),
                        Err(_) => noticed += 1,
                    }
                }
            }
        }
        noticed
    }

    #[test]
    fn a_chunk_that_is_missing_or_damaged_is_an_error_or_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let month = month(&directory);
        let keys: Vec<_> = month.runs.iter().keys().map(Result::unwrap).collect();
        assert!(keys.len() > 20);
        assert_eq!(keys[0], run_key(SEGMENT, (10, 0)));
        let (mut missing, mut damaged) = (0, 0);
        for (number, key) in keys.iter().enumerate().step_by(3) {
            let value = month.runs.remove(key).unwrap().unwrap();
            missing += noticed(&month);
            let mut bytes = value.to_vec();
            let at = number * 7 % bytes.len();
            bytes[at] ^= 4;
            month.runs.insert(key, bytes).unwrap();
            damaged += noticed(&month);
            month.runs.insert(key, value).unwrap();
        }
        assert!(missing > keys.len() && damaged > keys.len(), "{missing} {damaged}");
        assert_eq!(noticed(&month), 0);
    }
}
