//! Zeroed files for segments to come, made by a helper thread beside the commits.
//!
//! ```text
//! helper: spare-3.new ─ zeros, sync ─► spare-3 ──► channel ──► writer: rename to the segment
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::disk::{Disk, DiskFile};
use crate::layout::Layout;

/// A zeroed file under a name of its own.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// Gives spares to the writer.
#[derive(Debug)]
pub(crate) struct Spares {
    ready: Option<Receiver<Spare>>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// None are ever ready.
    pub(crate) fn none() -> Self {
        Self { ready: None, thread: None }
    }

    /// Keeps `count` files of `bytes` ready.
    pub(crate) fn start(disk: Arc<dyn Disk>, layout: Layout, count: usize, bytes: u64) -> Self {
        if count == 0 {
            return Self::none();
        }
        // The one being offered counts too.
        let (sender, ready) = bounded(count - 1);
        let make = move || run(&*disk, &layout, bytes, &sender);
        let thread = std::thread::Builder::new().name("journal-spares".into()).spawn(make).ok();
        Self { ready: Some(ready), thread }
    }

    pub(crate) fn take(&self) -> Option<Spare> {
        self.ready.as_ref()?.try_recv().ok()
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(disk: &dyn Disk, layout: &Layout, bytes: u64, sender: &Sender<Spare>) {
    let mut number = 0;
    for name in disk.list(&layout.segments()).unwrap_or_default() {
        let path = layout.segments().join(&name);
        let Some(known) = name.strip_prefix("spare-") else { continue };
        let Ok(known) = known.parse::<u64>() else {
            let _ = disk.remove(&path);
            continue;
        };
        number = number.max(known + 1);
        // It was synced before it got this name, so it is whole: use it.
        if let Ok(file) = disk.open(&path, true)
            && sender.send(Spare { path, file }).is_err()
        {
            return;
        }
    }
    loop {
        match make(disk, layout, number, bytes) {
            Ok(spare) => {
                if sender.send(spare).is_err() {
                    return;
                }
            },
            Err(error) => {
                // Without spares segments grow as they are written: slower, not wrong.
                tracing::warn!(%error, "no spare segment file");
                return;
            },
        }
        number += 1;
    }
}

fn make(disk: &dyn Disk, layout: &Layout, number: u64, bytes: u64) -> io::Result<Spare> {
    let path = layout.spare(number);
    let young = path.with_extension("new");
    let made = disk.create(&young).and_then(|file| {
        fill(&*file, 0, bytes)?;
        file.sync()?;
        disk.rename(&young, &path)?;
        Ok(Spare { path, file })
    });
    if made.is_err() {
        let _ = disk.remove(&young);
    }
    made
}

/// Writes zeros from `from` up to `to`.
pub(crate) fn fill(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 65_536] = [0; 65_536];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_at(ZEROS.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(())
}
