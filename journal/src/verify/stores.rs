//! The store's half of a verification: blocks and index, month by month.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::block::{Header, Stored};
use crate::layout::Layout;
use crate::postings::Posting;
use crate::store::{Month, guarded, run, set_aside};

/// How long opening one database may take.
const LIMIT: Duration = Duration::from_mins(2);

/// The databases that open.
#[derive(Debug)]
pub(super) struct Stores {
    layout: Layout,
    pub(super) journal: [u8; 16],
    months: BTreeMap<String, Option<Arc<Month>>>,
    /// Databases that did not open, not yet reported.
    pub(super) broken: Vec<(String, String)>,
}

impl Stores {
    pub(super) fn new(layout: &Layout, journal: [u8; 16]) -> Self {
        Self { layout: layout.clone(), journal, months: BTreeMap::new(), broken: Vec::new() }
    }

    /// The databases of these months, as far as they open.
    pub(super) fn open<'n>(
        &mut self,
        names: impl Iterator<Item = &'n String>,
    ) -> BTreeMap<String, Arc<Month>> {
        let mut open = BTreeMap::new();
        for name in names {
            if !open.contains_key(name)
                && let Some(month) = self.month(name)
            {
                open.insert(name.clone(), month);
            }
        }
        open
    }

    fn month(&mut self, name: &str) -> Option<Arc<Month>> {
        if !self.months.contains_key(name) {
            let there = self.layout.store().join(name).is_dir();
            let opened = there.then(|| Month::open(&self.layout, name, &self.journal, LIMIT));
            let month = match opened {
                Some(Ok(month)) => Some(Arc::new(month)),
                Some(Err(reason)) => {
                    self.broken.push((name.to_owned(), reason));
                    None
                },
                None => None,
            };
            self.months.insert(name.to_owned(), month);
        }
        self.months.get(name)?.clone()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.layout.store().join(name)
    }

    /// The copy of the block that holds a position, if it is whole.
    pub(super) fn block_at(&mut self, name: &str, position: u64) -> Option<Vec<u8>> {
        let journal = self.journal;
        let month = self.month(name)?;
        let bytes = guarded(|| month.block_at(position)).ok()??;
        let block = Stored::parse(&bytes, &journal).ok()?;
        (block.header.first == position).then_some(bytes)
    }

    /// The copy of the block whose last position this is, if it is whole.
    pub(super) fn block_ending(&mut self, name: &str, position: u64) -> Option<Vec<u8>> {
        let journal = self.journal;
        let month = self.month(name)?;
        let bytes = guarded(|| month.block_at(position)).ok()??;
        let block = Stored::parse(&bytes, &journal).ok()?;
        (block.header.last() == position).then_some(bytes)
    }

    /// The last position of which one of these databases has the block.
    pub(super) fn newest(&mut self, names: &[String]) -> Option<u64> {
        let marks = names.iter().filter_map(|name| {
            let month = self.month(name)?;
            guarded(|| month.mark()).ok()
        });
        marks.max()
    }

    /// What differs in the copy of this block, if the database should have it.
    pub(super) fn differs(&mut self, name: &str, first: u64, bytes: &[u8]) -> Option<&'static str> {
        let month = self.month(name)?;
        match guarded(|| month.block_at(first)) {
            Ok(Some(copy)) if copy == bytes => None,
            // Neither an earlier block nor this one.
            Ok(Some(copy)) if Header::parse(&copy).map_or(true, |found| found.first >= first) => {
                Some("the store's copy differs")
            },
            // A store that was not there at the end is only behind.
            Ok(_) if guarded(|| month.mark()).is_ok_and(|mark| mark < first) => None,
            Ok(_) => Some("the store has no copy"),
            Err(_) => Some("the store's copy cannot be read"),
        }
    }

    pub(super) fn put(&mut self, name: &str, first: u64, bytes: &[u8]) -> bool {
        let Some(month) = self.month(name) else { return false };
        guarded(|| month.put_block(first, bytes)).is_ok()
    }

    /// What is wrong with the run of a sealed segment; a run that is missing because the store
    /// is behind is no fault.
    pub(super) fn run_differs(
        &mut self,
        name: &str,
        first: u64,
        last: u64,
        sorted: &[Posting],
    ) -> Option<String> {
        let month = self.month(name)?;
        match guarded(|| Ok(run::read(&month, first))).and_then(|done| done) {
            Ok(Some(found)) if found == sorted => None,
            Ok(Some(_)) => Some("the index differs from the records".into()),
            Ok(None) if guarded(|| month.mark()).is_ok_and(|mark| mark <= last) => None,
            Ok(None) => Some("the index is missing".into()),
            Err(reason) => Some(format!("the index: {reason}")),
        }
    }

    pub(super) fn put_run(&mut self, name: &str, first: u64, sorted: &[Posting]) -> bool {
        let Some(month) = self.month(name) else { return false };
        guarded(|| run::write(&month, first, sorted)).is_ok()
    }

    /// Moves a database that does not open out of the way; the next start makes it again.
    pub(super) fn set_aside(&self, name: &str) -> String {
        set_aside(&self.layout, name)
    }

    pub(super) fn flush(&self) {
        for month in self.months.values().flatten() {
            let _ = guarded(|| month.flush());
        }
    }
}
