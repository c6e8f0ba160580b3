//! How far the store is, where it can be read without opening it: a hint, written beside each mark.
//!
//! ```text
//! store/reached   8 bytes, big-endian: everything up to here was put into the newest month
//! ```
//!
//! An opening journal waits for its store only if that may hold what the segments have lost. The file
//! is not synced: after a power cut it may say too little, and then the segments, which are synced
//! before anything is acknowledged, have everything.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::layout::Layout;

#[derive(Debug)]
pub(super) struct Hint {
    file: Option<File>,
    /// What it said when the journal was opened; `None` if nothing did: then anything may be there.
    pub(super) at_open: Option<u64>,
}

impl Hint {
    pub(super) fn open(layout: &Layout) -> Self {
        let fresh = !layout.store().is_dir();
        let _ = fs::create_dir_all(layout.store());
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(layout.reached()).ok();
        let mut bytes = [0; 8];
        let read = file.as_ref().is_some_and(|file| file.read_exact_at(&mut bytes, 0).is_ok());
        let at_open = if fresh { Some(0) } else { read.then(|| u64::from_be_bytes(bytes)) };
        Self { file, at_open }
    }

    pub(super) fn set(&self, reached: u64) {
        if let Some(file) = &self.file {
            // Without it the next opening waits a little longer.
            let _ = file.write_all_at(&reached.to_be_bytes(), 0);
        }
    }
}
