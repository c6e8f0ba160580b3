//! One month's database: opening it safely, blocks in and out, and setting it aside.
//!
//! ```text
//! store/2026-11.opening ─► open in a thread of its own, with a limit ─► checked ─► marker gone
//!                                    │ error, panic, too long, marker found
//!                                    ▼
//!                           set-aside/store-2026-11-0
//! ```

use std::fs;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::{guarded, pile};
use crate::block::{Header, MAGIC, Stored};
use crate::layout::Layout;

/// Of the database's own: 1 had each block under a key of its own, which is still read.
const LAYOUT: u16 = 2;
/// Values are cut into pieces of this many bytes: sled puts larger ones in files of their own.
pub(crate) const CHUNK_BYTES: usize = 4096;
const CACHE_BYTES: u64 = 8 << 20;
/// sled reopened right after a drop can find its own lock.
const LOCK_TRIES: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// An open database.
#[derive(Debug)]
pub(crate) struct Month {
    pub(crate) name: String,
    db: sled::Db,
    file: Option<fs::File>,
    pub(crate) blocks: sled::Tree,
    pub(crate) runs: sled::Tree,
    pub(crate) blooms: sled::Tree,
    pub(crate) snapshots: sled::Tree,
    meta: sled::Tree,
}

impl Month {
    /// Opens or makes it and checks that it is this journal's and stands where its mark says.
    pub(crate) fn open(
        layout: &Layout,
        name: &str,
        journal: &[u8; 16],
        limit: Duration,
    ) -> Result<Self, String> {
        let path = layout.store().join(name);
        let marker = layout.store().join(format!("{name}.opening"));
        fs::create_dir_all(layout.store()).map_err(|error| error.to_string())?;
        if marker.exists() && path.exists() {
            return Err("its last opening did not end".into());
        }
        fs::write(&marker, b"").map_err(|error| error.to_string())?;
        let (sender, opened) = bounded(1);
        let (target, label, id) = (path.clone(), name.to_owned(), *journal);
        let open = move || {
            let month = guarded(|| Self::open_now(&target, label, &id)).and_then(|done| done);
            let _ = sender.send(month);
        };
        std::thread::Builder::new()
            .name("journal-store-open".into())
            .spawn(open)
            .map_err(|error| error.to_string())?;
        let month = opened.recv_timeout(limit).map_err(|_| "opening it took too long")?;
        let _ = fs::remove_file(&marker);
        month
    }

    fn open_now(
        path: &std::path::Path,
        name: String,
        journal: &[u8; 16],
    ) -> sled::Result<Result<Self, String>> {
        let config =
            sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                Err(sled::Error::Io(error)) if tries < LOCK_TRIES && held(&error) => {
                    tries += 1;
                    std::thread::sleep(LOCK_WAIT);
                },
                opened => break opened?,
            }
        };
        let file = fs::File::open(path.join("db")).ok();
        let [blocks, runs, blooms, snapshots, meta] = [
            db.open_tree("blocks")?,
            db.open_tree("runs")?,
            db.open_tree("blooms")?,
            db.open_tree("snapshots")?,
            db.open_tree("meta")?,
        ];
        let month = Self { name, db, file, blocks, runs, blooms, snapshots, meta };
        Ok(month.check(journal)?.map(|()| month))
    }

    fn check(&self, journal: &[u8; 16]) -> sled::Result<Result<(), String>> {
        let Some(known) = self.meta.get("journal")? else {
            if !self.blocks.is_empty() {
                return Ok(Err("it has blocks but no journal id".into()));
            }
            self.meta.insert("format", &LAYOUT.to_be_bytes())?;
            self.meta.insert("journal", journal)?;
            return Ok(Ok(()));
        };
        if known != journal {
            return Ok(Err("it belongs to another journal".into()));
        }
        let format = self.meta.get("format")?;
        let format = format.and_then(|format| <[u8; 2]>::try_from(&*format).ok());
        match format.map(u16::from_be_bytes) {
            Some(LAYOUT) => {},
            // Who reads layout 1 alone must not find piles in it.
            Some(1) => drop(self.meta.insert("format", &LAYOUT.to_be_bytes())?),
            _ => return Ok(Err("it has another format".into())),
        }
        let mark = self.mark()?;
        let newest = self.block_at(u64::MAX)?.unwrap_or_default();
        let last = Stored::parse(&newest, journal).map_or(0, |block| block.header.last());
        // Blocks go in before the mark, so a little more than the mark is no fault.
        if last < mark || (last == 0 && !self.blocks.is_empty()) {
            return Ok(Err(format!("its mark is {mark}, its newest block ends at {last}")));
        }
        Ok(Ok(()))
    }

    /// Everything up to here is in this database.
    pub(crate) fn mark(&self) -> sled::Result<u64> {
        let mark = self.meta.get("mark")?;
        let bytes = mark.and_then(|mark| <[u8; 8]>::try_from(&*mark).ok());
        Ok(bytes.map_or(0, u64::from_be_bytes))
    }

    pub(crate) fn set_mark(&self, position: u64) -> sled::Result<()> {
        self.meta.insert("mark", &position.to_be_bytes())?;
        Ok(())
    }

    /// Puts one block in the place of the one that is there, or should be.
    pub(crate) fn put_block(&self, first: u64, bytes: &[u8]) -> sled::Result<()> {
        let mut behind = None;
        if let Some(key) = self.pile_before(first)? {
            let blocks = self.pile(key)?;
            let at = pile::find(&blocks, first);
            if key == first || pile::begins(blocks.get(at..).unwrap_or_default(), first) {
                let next = Header::parse(bytes).map_or(first, |header| header.last() + 1);
                let rest = blocks.get(at + bytes.len()..).unwrap_or_default();
                behind = pile::begins(rest, next).then(|| (next, rest.to_vec()));
                if let Some(before) = blocks.get(..at).filter(|before| !before.is_empty()) {
                    pile::put(self, key, before)?;
                }
            }
        }
        pile::put(self, first, bytes)?;
        behind.map_or(Ok(()), |(next, rest)| pile::put(self, next, &rest).map(drop))
    }

    /// The block that holds a position, else the last one before it; unchecked.
    pub(crate) fn block_at(&self, position: u64) -> sled::Result<Option<Vec<u8>>> {
        let Some(first) = self.pile_before(position)? else { return Ok(None) };
        let blocks = self.pile(first)?;
        Ok(Some(pile::block(&blocks, pile::find(&blocks, position)).to_vec()))
    }

    /// Where the blocks begin and end that lie under one key with a position: the first position,
    /// and the first one behind them that has a key.
    pub(crate) fn span(&self, position: u64) -> sled::Result<(u64, Option<u64>)> {
        let first = self.pile_before(position)?.unwrap_or_default();
        let next = self.blocks.range(block_key(position.saturating_add(1), 0)..).next();
        let next = next.transpose()?.and_then(|(key, _)| split_key(&key));
        Ok((first, next.map(|(next, _)| next)))
    }

    fn pile_before(&self, position: u64) -> sled::Result<Option<u64>> {
        let found = self.blocks.range(..=block_key(position, u16::MAX)).next_back();
        Ok(found.transpose()?.and_then(|(key, _)| split_key(&key)).map(|(first, _)| first))
    }

    /// The blocks under a key.
    fn pile(&self, first: u64) -> sled::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for value in self.blocks.range(block_key(first, 0)..=block_key(first, u16::MAX)) {
            let (key, value) = value?;
            if split_key(&key) == Some((first, 0)) {
                let blocks = pile::unpack(&value);
                if !value.starts_with(&MAGIC) {
                    return Ok(blocks.into_owned());
                }
            }
            bytes.extend_from_slice(&value);
        }
        Ok(bytes)
    }

    /// All values from a position on, in order: first position, chunk, blocks or a piece of one.
    pub(crate) fn values(
        &self,
        first: u64,
    ) -> impl Iterator<Item = sled::Result<(u64, u16, sled::IVec)>> + use<> {
        self.blocks.range(block_key(first, 0)..).filter_map(|entry| match entry {
            Ok((key, value)) => split_key(&key).map(|(first, chunk)| Ok((first, chunk, value))),
            Err(error) => Some(Err(error)),
        })
    }

    /// Hands everything to the disk.
    pub(crate) fn flush(&self) -> sled::Result<()> {
        self.db.flush()?;
        if let Some(file) = &self.file {
            rustix::fs::fdatasync(file).map_err(std::io::Error::from)?;
        }
        Ok(())
    }
}

fn held(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("lock")
}

pub(crate) fn block_key(first: u64, chunk: u16) -> [u8; 10] {
    let mut key = [0; 10];
    let (high, low) = key.split_at_mut(8);
    high.copy_from_slice(&first.to_be_bytes());
    low.copy_from_slice(&chunk.to_be_bytes());
    key
}

pub(crate) fn split_key(key: &[u8]) -> Option<(u64, u16)> {
    let (first, chunk) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*first), u16::from_be_bytes(chunk.try_into().ok()?)))
}

/// Moves a database out of the way; says where to, as the end of a sentence.
pub(crate) fn set_aside(layout: &Layout, name: &str) -> String {
    let path = layout.store().join(name);
    let _ = fs::remove_file(layout.store().join(format!("{name}.opening")));
    let _ = fs::remove_file(layout.store().join(format!("{name}.done")));
    if !path.exists() {
        return String::new();
    }
    let _ = fs::create_dir_all(layout.set_aside());
    for number in 0..10_000 {
        let target = layout.set_aside().join(format!("store-{name}-{number}"));
        if !target.exists() && fs::rename(&path, &target).is_ok() {
            return format!("; the old one is {}", target.display());
        }
    }
    "; the old one could not be moved".into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Month, block_key, split_key};
    use crate::conformance::append;
    use crate::layout::Layout;
    use crate::store::pile;
    use crate::{EventLog as _, LocalLog, Options, Outcome, ReadLog as _, VerifyOptions, verify};

    /// A database as layout 1 had it: each block under a key of its own.
    fn in_layout_1(month: &Month) -> usize {
        let values: Vec<_> = month.values(0).collect::<Result<_, _>>().unwrap();
        let mut blocks = 0;
        month.blocks.clear().unwrap();
        for (first, chunk, value) in values {
            assert_eq!(chunk, 0, "a block in pieces");
            let (pile, mut at, mut next) = (pile::unpack(&value), 0, first);
            while at < pile.len() {
                let block = pile::block(&pile, at);
                month.blocks.insert(block_key(next, 0), block).unwrap();
                next = crate::block::Header::parse(block).unwrap().last() + 1;
                at += block.len();
                blocks += 1;
            }
        }
        month.meta.insert("format", &1_u16.to_be_bytes()).unwrap();
        month.flush().unwrap();
        blocks
    }

    #[test]
    fn a_store_of_layout_1_is_read_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes: 20_000, spares: 0, ..Options::default() };
        let open = || {
            let (sink, settled) = std::sync::mpsc::channel();
            let sink = move |_: u32, outcomes: Vec<Outcome>| {
                let _ = sink.send(outcomes.len());
            };
            (LocalLog::open(directory.path(), &options, sink).unwrap(), settled)
        };
        let fill = |from: u64, upto: u64| {
            let (log, settled) = open();
            for version in from..upto {
                log.submit(append("s/1", version, 1, version)).unwrap();
                settled.recv().unwrap();
            }
            while log.status().store.unwrap().reached < upto {
                log.wait_beyond(u64::MAX - 1, Duration::from_millis(5));
            }
            assert_eq!(log.status().store.unwrap().trouble, None);
            log.close();
            log.identity().journal
        };
        let journal = fill(0, 300);
        let layout = Layout { root: directory.path().to_path_buf() };
        let limit = Duration::from_secs(10);
        let month = Arc::new(Month::open(&layout, "1970-01", &journal, limit).unwrap());
        let keys = month.blocks.len();
        let blocks = in_layout_1(&month);
        assert!(blocks > keys, "{blocks} blocks under {keys} keys");
        assert_eq!(split_key(&month.blocks.last().unwrap().unwrap().0).map(|it| it.1), Some(0));
        drop(month);
        fill(300, 400);
        let report =
            verify(directory.path(), &VerifyOptions::default(), &mut |_, _| {}, &mut |_| Ok(()));
        let report = report.unwrap();
        assert!(report.store_checked);
        assert_eq!((report.records, report.findings), (400, vec![]));
    }
}
