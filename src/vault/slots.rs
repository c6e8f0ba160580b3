//! The file of keys: a header and slots, each overwritten in place.
//!
//! ```text
//!   header │ live ann │ erased │ live ben │ free │ free …      grows by 4,096 free slots
//!                ▲
//!      by name: where it lies            the keys themselves stay in the file
//! ```
//!
//! A slot that was cut short by a crash does not match its checksum: that subject's key is damaged,
//! the others are not. A slot whose name alone was damaged is found by its checksum. An erased slot stays for ever: it is how `erased` is remembered.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::slot::{
    ERASED, Key, LIVE, MAGIC, SLOT_BYTES, Slot, empty, filled, header, is_of, is_sound, key, name,
    named, offset, random_key, state,
};
use super::{Name, VaultError};

/// Slots that the file grows by: what lies within its length can be synced without its metadata.
const GROWTH: u32 = 4_096;
/// The lowest bits of a mode, for group and world.
const OF_OTHERS: u32 = 6;
/// Slots that are read at once.
const READ_SLOTS: usize = 1_024;

/// Damaged slots that are looked at for a name that no slot has.
const MOST_DAMAGED: usize = 1_024;

/// What the slots say about a subject.
pub(super) enum Found {
    Live(Key),
    Erased,
    Damaged,
    Nothing,
}

/// The file of keys. Reads are taken from anywhere; one thread writes.
#[derive(Debug)]
pub(super) struct Slots {
    file: File,
    places: RwLock<Places>,
}

#[derive(Debug, Default)]
struct Places {
    by_name: HashMap<[u8; 16], u32, BuildHasherDefault<OfName>>,
    /// Slots that do not match their checksum: whose they are may be what was damaged.
    damaged: Vec<u32>,
    /// The slot behind the last one in use, and the one behind the end of the file.
    free: u32,
    end: u32,
}

impl Slots {
    /// Opens the file, or makes it; `secret` tells which secret its names were made with.
    pub(super) fn open(data: &Path, secret: &[u8; 16]) -> Result<Self, VaultError> {
        let directory = data.join("keys");
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {},
        }
        check_private(&directory, "700")?;
        let path = directory.join("subjects");
        if !path.exists() {
            make(&directory, &path, secret)?;
            File::open(data)?.sync_all()?;
        }
        check_private(&path, "600")?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        take(&file, &path)?;
        let places = RwLock::new(read(&file, &path, secret)?);
        Ok(Self { file, places })
    }

    /// Looks a subject up.
    pub(super) fn find(&self, name: Name) -> io::Result<Found> {
        // Held while the slot is read: nobody sees one half of an erasure.
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = self.place_among(&places, name)? else { return Ok(Found::Nothing) };
        let slot = named(self.read(place)?, name);
        drop(places);
        Ok(if !is_sound(&slot) {
            Found::Damaged
        } else if state(&slot) == ERASED {
            Found::Erased
        } else {
            Found::Live(key(&slot))
        })
    }

    /// Writes a new key into the next free slot; it is found from [`Slots::publish`] on.
    pub(super) fn write_key(&self, name: Name, place: u32) -> Result<(), VaultError> {
        self.write(place, LIVE, name)
    }

    /// Overwrites whatever lies in a slot by the mark that the subject was erased.
    pub(super) fn write_erased(&self, name: Name, place: u32) -> Result<(), VaultError> {
        let _nobody_reads = self.places.write().unwrap_or_else(PoisonError::into_inner);
        self.write(place, ERASED, name)
    }

    fn write(&self, place: u32, state: u8, name: Name) -> Result<(), VaultError> {
        // Erased or new, the place of the key gets fresh random bytes.
        let slot = filled(state, name, &random_key()?);
        Ok(self.file.write_all_at(&slot[..], offset(place))?)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// From now on these are found; their slots are on the disk.
    pub(super) fn publish(&self, written: impl IntoIterator<Item = (Name, u32)>) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        for (name, place) in written {
            places.by_name.insert(name.0, place);
            places.free = places.free.max(place + 1);
        }
    }

    /// The slot of a subject.
    pub(super) fn place(&self, name: Name) -> io::Result<Option<u32>> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        self.place_among(&places, name)
    }

    /// By name; or the damaged slot that is sound under this name, which nothing but a damaged
    /// name explains.
    fn place_among(&self, places: &Places, name: Name) -> io::Result<Option<u32>> {
        if let Some(place) = places.by_name.get(&name.0) {
            return Ok(Some(*place));
        }
        for place in &places.damaged {
            if is_sound(&named(self.read(*place)?, name)) {
                return Ok(Some(*place));
            }
        }
        Ok(None)
    }

    fn read(&self, place: u32) -> io::Result<Slot> {
        let mut slot = empty();
        self.file.read_exact_at(&mut slot[..], offset(place))?;
        Ok(slot)
    }

    /// The first slot that was never used.
    pub(super) fn free(&self) -> u32 {
        self.places.read().unwrap_or_else(PoisonError::into_inner).free
    }

    /// Makes the file as long as slots up to `upto` need.
    pub(super) fn reach(&self, upto: u32) -> Result<(), VaultError> {
        let end = self.places.read().unwrap_or_else(PoisonError::into_inner).end;
        if upto <= end {
            return Ok(());
        }
        let grown = upto.max(end.saturating_add(GROWTH));
        let zeros = vec![0; (grown - end) as usize * SLOT_BYTES];
        self.file.write_all_at(&zeros, offset(end))?;
        self.file.sync_all()?;
        self.places.write().unwrap_or_else(PoisonError::into_inner).end = grown;
        Ok(())
    }
}

/// Reads which slots there are.
fn read(file: &File, path: &Path, secret: &[u8; 16]) -> Result<Places, VaultError> {
    let mut places = Places::default();
    let mut some = Zeroizing::new(vec![0; READ_SLOTS * SLOT_BYTES]);
    loop {
        let bytes = read_at_most(file, &mut some, offset(places.end))?;
        let whole = some.get(..bytes).unwrap_or_default().as_chunks::<SLOT_BYTES>().0;
        for bytes in whole {
            let mut slot = empty();
            slot.copy_from_slice(bytes);
            if places.end == 0 {
                check_header(&slot, path, secret)?;
                places.free = 1;
            } else if slot.iter().any(|byte| *byte != 0) {
                let known = places.by_name.insert(name(&slot), places.end);
                if !is_sound(&slot) || known.is_some() {
                    places.damaged.push(places.end);
                }
                places.free = places.end + 1;
            }
            places.end += 1;
        }
        if whole.len() < READ_SLOTS {
            break;
        }
    }
    if places.end == 0 {
        return Err(VaultError::Failed(format!("{} is empty; put it back", path.display())));
    }
    if !places.damaged.is_empty() {
        let (damaged, path) = (places.damaged.len(), path.display());
        tracing::error!(damaged, "keys in {path} are damaged; put it back from a copy");
    }
    places.damaged.truncate(MOST_DAMAGED);
    Ok(places)
}

fn read_at_most(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// A name is a keyed hash: any eight bytes of it are as good as another hash of it.
#[derive(Debug, Default)]
struct OfName(u64);

impl Hasher for OfName {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// Whole or not at all: a crash leaves a draft, which the next start replaces.
fn make(directory: &Path, path: &Path, secret: &[u8; 16]) -> Result<(), VaultError> {
    let draft = directory.join("subjects.new");
    drop(fs::remove_file(&draft));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all_at(&header(secret)[..], 0)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(File::open(directory)?.sync_all()?)
}

fn check_header(header: &Slot, path: &Path, secret: &[u8; 16]) -> Result<(), VaultError> {
    let path = path.display();
    if !is_sound(header) {
        // It only tells what the slots would tell by themselves.
        tracing::error!("the header of {path} is damaged; its keys are used all the same");
        return Ok(());
    }
    if !header.starts_with(&MAGIC) {
        return Err(VaultError::Failed(format!("{path} is no file of keys of this version")));
    }
    if !is_of(header, secret) {
        let way = "put the file `secret` back that lay beside it";
        return Err(VaultError::Failed(format!("{path} belongs to another secret; {way}")));
    }
    Ok(())
}

/// Keys are their owner's business.
pub(super) fn check_private(path: &Path, mode: &str) -> Result<(), VaultError> {
    let found = fs::metadata(path)?.permissions().mode() & 0o777;
    if found.trailing_zeros() >= OF_OTHERS {
        return Ok(());
    }
    let path = path.display();
    let way = format!("run: chmod {mode} {path}");
    Err(VaultError::Failed(format!("{path} can be used by others (mode {found:03o}); {way}")))
}

/// The process before this one may still be ending.
fn take(file: &File, path: &Path) -> Result<(), VaultError> {
    for _ in 0..50 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(VaultError::Failed(format!("{} is in use by another process; stop it", path.display())))
}
