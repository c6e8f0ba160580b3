//! A disk in memory that can be taken away.
//!
//! ```text
//! write ─► live bytes + pending list ── sync ──► durable bytes
//! create, rename, remove ─► live names + pending list ── sync_dir ──► durable names
//! power_cut: durable + what chance leaves of the pending lists ─► a new disk; the old one is dead
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Held};

mod file;
mod names;

use file::{Chance, FileOp, FileState, SimFile};
use names::{NameOp, within};

/// What survives a power cut of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    All,
    /// Each operation or not, by chance.
    Some,
    /// Each 512-byte sector of each write or not, by chance.
    Torn,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<FileState>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameOp>,
    directories: BTreeSet<PathBuf>,
    durable_directories: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    operations: u64,
    faults: Faults,
}

/// What goes wrong, and when.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent faults")]
struct Faults {
    dead: bool,
    cut_at: Option<u64>,
    fail_write: Option<u64>,
    fail_sync: Option<u64>,
    read_only: bool,
    capacity: Option<u64>,
    hold: bool,
    lying: bool,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations that change something there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Every operation from the `nth` changing one (from now, 1 is the next) fails, as when the
    /// power goes.
    pub fn cut_after(&self, nth: u64) {
        let mut state = self.state();
        state.faults.cut_at = Some(state.operations + nth);
    }

    /// The `nth` write from now fails with EIO; half of it lands.
    pub fn fail_write(&self, nth: u64) {
        self.state().faults.fail_write = Some(nth);
    }

    /// The `nth` sync from now fails with EIO, and what it should have made durable is lost
    /// though it reads back, as on Linux.
    pub fn fail_sync(&self, nth: u64) {
        self.state().faults.fail_sync = Some(nth);
    }

    /// The files may take this many bytes; `None` is no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().faults.capacity = bytes;
    }

    /// Every change fails with EROFS.
    pub fn set_read_only(&self, read_only: bool) {
        self.state().faults.read_only = read_only;
    }

    /// Syncs say they are done and do nothing: a planted bug.
    pub fn set_lying(&self, lying: bool) {
        self.state().faults.lying = lying;
    }

    /// Syncs wait until this is called again with `false`.
    pub fn hold_syncs(&self, hold: bool) {
        self.state().faults.hold = hold;
        self.0.released.notify_all();
    }

    /// What is left after the power went. This disk and all its open files are dead.
    #[must_use]
    pub fn power_cut(&self, loss: Loss, seed: u64) -> Self {
        let mut state = self.state();
        state.faults.dead = true;
        let mut chance = Chance(seed);
        let mut left = State::default();
        for file in &state.files {
            let bytes = file.survivors(loss, &mut chance);
            left.files.push(FileState { live: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        let mut names = state.durable_names.clone();
        let mut directories = state.durable_directories.clone();
        for op in &state.pending_names {
            if loss != Loss::All && chance.coin() {
                op.apply(&mut names, &mut directories);
            }
        }
        names.retain(|path, _| within(path, &directories));
        (left.names, left.durable_names) = (names.clone(), names);
        (left.directories, left.durable_directories) = (directories.clone(), directories);
        drop(state);
        let next = Self::default();
        *next.state() = left;
        next
    }

    /// What is left after the process was killed: all that it wrote reads back, synced or not, and
    /// no fault is set. This disk and all its open files are dead.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state();
        state.faults.dead = true;
        let left = State {
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            pending_names: state.pending_names.clone(),
            directories: state.directories.clone(),
            durable_directories: state.durable_directories.clone(),
            ..State::default()
        };
        drop(state);
        let next = Self::default();
        *next.state() = left;
        next
    }

    /// The live bytes of a file.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).and_then(|id| state.files.get(*id)).map(|file| file.live.clone())
    }

    /// Changes a file's bytes behind everyone's back, on the disk too.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Some(id) = state.names.get(path).copied()
            && let Some(file) = state.files.get_mut(id)
        {
            change(&mut file.live);
            file.durable.clone_from(&file.live);
            file.pending.clear();
        }
    }

    /// The names of all files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
}

impl State {
    /// Counts a changing operation; fails if the disk is dead or read-only.
    fn change(&mut self) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        self.operations += 1;
        if self.faults.cut_at.is_some_and(|at| self.operations >= at) {
            self.faults.dead = true;
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.faults.dead { Err(eio()) } else { Ok(()) }
    }

    fn name_op(&mut self, op: NameOp) {
        op.apply(&mut self.names, &mut self.directories);
        self.pending_names.push(op);
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .collect::<BTreeSet<_>>()
            .iter()
            .filter_map(|id| self.files.get(**id))
            .map(|file| file.live.len() as u64)
            .sum()
    }

    fn due(counter: &mut Option<u64>) -> bool {
        match counter {
            Some(1) => {
                *counter = None;
                true
            },
            Some(left) => {
                *left -= 1;
                false
            },
            None => false,
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, _write: bool) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.alive()?;
        let id = state.names.get(path).copied();
        let id = id.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        if !within(path, &state.directories) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        if let Some(id) = state.names.get(path).copied()
            && let Some(file) = state.files.get_mut(id)
        {
            FileOp::SetLen(0).apply(&mut file.live);
            file.pending.push(FileOp::SetLen(0));
            return Ok(Arc::new(SimFile { disk: self.clone(), id }));
        }
        let id = state.files.len();
        state.files.push(FileState::default());
        state.name_op(NameOp::Link(path.to_path_buf(), id));
        Ok(Arc::new(SimFile { disk: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if !state.names.contains_key(from) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        state.name_op(NameOp::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if !state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        state.name_op(NameOp::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        if !state.directories.contains(directory) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let all = state.names.keys().chain(&state.directories);
        let inside = all.filter(|path| path.parent() == Some(directory));
        let names = inside.filter_map(|path| path.file_name()?.to_str().map(String::from));
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.directories.contains(directory) {
            return state.alive();
        }
        state.change()?;
        let mut missing: Vec<PathBuf> = directory.ancestors().map(Path::to_path_buf).collect();
        missing.reverse();
        for path in missing {
            if !state.directories.contains(&path) {
                state.name_op(NameOp::MakeDir(path));
            }
        }
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        if State::due(&mut state.faults.fail_sync) {
            return Err(eio());
        }
        if state.faults.lying {
            return Ok(());
        }
        let pending = std::mem::take(&mut state.pending_names);
        // The root has no parent that anyone could sync.
        let root = |op: &NameOp| matches!(op, NameOp::MakeDir(path) if path.parent().is_none_or(|parent| parent.parent().is_none()));
        for op in pending {
            if op.touches(directory) || root(&op) {
                let State { durable_names, durable_directories, .. } = &mut *state;
                op.apply(durable_names, durable_directories);
            } else {
                state.pending_names.push(op);
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Held>>> {
        let mut state = self.state();
        if state.faults.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        state.alive()?;
        let held = SimLock { disk: self.clone(), path: path.to_path_buf() };
        let taken = state.locked.insert(path.to_path_buf());
        drop(state);
        if taken {
            Ok(Some(Box::new(held)))
        } else {
            std::mem::forget(held);
            Ok(None)
        }
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Held for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}
