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

use super::guarded;
use crate::block::{FORMAT, Stored};
use crate::layout::Layout;

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
            self.meta.insert("format", &FORMAT.to_be_bytes())?;
            self.meta.insert("journal", journal)?;
            return Ok(Ok(()));
        };
        if known != journal {
            return Ok(Err("it belongs to another journal".into()));
        }
        if self.meta.get("format")?.as_deref() != Some(&FORMAT.to_be_bytes()) {
            return Ok(Err("it has another format".into()));
        }
        let mark = self.mark()?;
        let last = match self.blocks.last()? {
            None => 0,
            Some((key, _)) => {
                let first = split_key(&key).map_or(0, |(first, _)| first);
                let bytes = self.block_at(first)?.unwrap_or_default();
                Stored::parse(&bytes, journal).map_or(0, |block| block.header.last())
            },
        };
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

    pub(crate) fn put_block(&self, first: u64, bytes: &[u8]) -> sled::Result<()> {
        for (number, chunk) in (0_u16..).zip(bytes.chunks(CHUNK_BYTES)) {
            self.blocks.insert(block_key(first, number), chunk)?;
        }
        Ok(())
    }

    /// The bytes of the block that begins at or last before a position; unchecked.
    pub(crate) fn block_at(&self, position: u64) -> sled::Result<Option<Vec<u8>>> {
        let upto = block_key(position, u16::MAX);
        let Some(found) = self.blocks.range(..=upto).next_back() else { return Ok(None) };
        let Some((first, _)) = split_key(&found?.0) else { return Ok(None) };
        let mut bytes = Vec::new();
        for chunk in self.blocks.range(block_key(first, 0)..=block_key(first, u16::MAX)) {
            bytes.extend_from_slice(&chunk?.1);
        }
        Ok(Some(bytes))
    }

    /// The bytes of the block that begins at `first`; unchecked.
    pub(crate) fn exact(&self, first: u64) -> sled::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        for chunk in self.blocks.range(block_key(first, 0)..=block_key(first, u16::MAX)) {
            bytes.extend_from_slice(&chunk?.1);
        }
        Ok((!bytes.is_empty()).then_some(bytes))
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
