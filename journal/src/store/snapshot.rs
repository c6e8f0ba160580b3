//! Snapshots: what a stream folds to at a record, beside the blocks of the newest month.
//!
//! ```text
//! entity ─► pending (the newest per stream, bounded) ─► follower ─► snapshots
//! (hash of the stream, piece) ─► checksum ‖ length ‖ version ‖ position ‖ stream ‖ bytes
//! ```
//!
//! Under a key, position and version are as in no record, the stream is empty, and the bytes are the
//! key's id and what it sealed: the whole of the above behind the checksum, bound to the stream's hash.
//!
//! Every look is checked: a piece that is missing, or left over from a longer one, gives none.

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::month::{CHUNK_BYTES, Month};
use super::{Store, guarded};
use crate::bytes::Fields;
use crate::keyring::Keyring;
use crate::log::Snapshot;
use crate::record::{Head, StreamId};
use crate::view::lock;

/// Snapshots that may wait for the follower; one more is dropped.
const MAX_PENDING: usize = 1_024;

pub(super) type Pending = HashMap<StreamId, Snapshot>;

impl Store {
    /// Takes a snapshot to be written later.
    pub(crate) fn keep_snapshot(&self, snapshot: Snapshot) {
        let mut pending = lock(&self.snapshots);
        if pending.len() < MAX_PENDING || pending.contains_key(&snapshot.stream) {
            pending.insert(snapshot.stream.clone(), snapshot);
        }
    }

    /// Writes what waits into the newest month.
    pub(super) fn write_snapshots(&self) {
        let pending = std::mem::take(&mut *lock(&self.snapshots));
        let newest = lock(&self.months).last_key_value().map(|(_, month)| month.clone());
        let Some(month) = newest.filter(|_| !pending.is_empty()) else { return };
        for snapshot in pending.values() {
            if let Err(reason) = guarded(|| put(&month, snapshot, &self.keyring)) {
                // The blocks will meet the same trouble, and they decide what is to be done.
                tracing::debug!(%reason, "a snapshot was not kept");
                return;
            }
        }
    }

    pub(super) fn find_snapshot(&self, month: &str, stream: &StreamId) -> Option<Snapshot> {
        if let Some(snapshot) = lock(&self.snapshots).get(stream) {
            return Some(snapshot.clone());
        }
        let month = self.month(month)?;
        guarded(|| get(&month, stream, &self.keyring)).ok().flatten()
    }
}

fn key(stream: &StreamId, piece: u16) -> [u8; 18] {
    let mut key = [0; 18];
    let (high, low) = key.split_at_mut(16);
    high.copy_from_slice(&xxh3_128(stream.as_str().as_bytes()).to_be_bytes());
    low.copy_from_slice(&piece.to_be_bytes());
    key
}

/// The version of an envelope around a sealed one.
const SEALED: u64 = u64::MAX;

fn put(month: &Month, snapshot: &Snapshot, keyring: &Keyring) -> sled::Result<()> {
    let Snapshot { stream, head, bytes } = snapshot;
    let mut rest = framed(stream.as_str(), *head, bytes);
    let sealed = keyring.seal(&key(stream, 0), &rest).map_err(sled::Error::Io)?;
    if let Some((sealed, id)) = sealed.zip(keyring.newest()) {
        let head = Head { version: SEALED, position: 0 };
        rest = framed("", head, &[&id.to_le_bytes()[..], &sealed].concat());
    }
    let mut value = xxh3_64(&rest).to_le_bytes().to_vec();
    value.append(&mut rest);
    for (number, piece) in (0_u16..).zip(value.chunks(CHUNK_BYTES)) {
        month.snapshots.insert(key(stream, number), piece)?;
    }
    Ok(())
}

/// All of a value behind its checksum.
fn framed(name: &str, head: Head, bytes: &[u8]) -> Vec<u8> {
    let name = name.as_bytes();
    let mut rest = Vec::with_capacity(22 + name.len() + bytes.len());
    rest.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    rest.extend_from_slice(&head.version.to_le_bytes());
    rest.extend_from_slice(&head.position.to_le_bytes());
    rest.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    rest.extend_from_slice(name);
    rest.extend_from_slice(bytes);
    rest
}

fn get(month: &Month, stream: &StreamId, keyring: &Keyring) -> sled::Result<Option<Snapshot>> {
    let mut value = Vec::new();
    for piece in month.snapshots.range(key(stream, 0)..=key(stream, u16::MAX)) {
        value.extend_from_slice(&piece?.1);
        if whole(&value).is_some_and(|whole| whole <= value.len()) {
            break;
        }
    }
    Ok(parse(&value, stream, keyring))
}

/// How many bytes a value has in all, once its beginning is there.
fn whole(value: &[u8]) -> Option<usize> {
    let mut fields = Fields(value);
    let (_, length) = (fields.u64()?, fields.u32()?);
    let (_, _, name) = (fields.u64()?, fields.u64()?, fields.u16()?);
    Some(30 + usize::from(name) + usize::try_from(length).ok()?)
}

fn parse(value: &[u8], stream: &StreamId, keyring: &Keyring) -> Option<Snapshot> {
    // What lies behind is left over from a longer one.
    let value = value.get(..whole(value)?)?;
    let mut fields = Fields(value);
    let checksum = fields.u64()?;
    (xxh3_64(fields.0) == checksum).then_some(())?;
    let (name, head, bytes) = unframed(fields.0)?;
    if head.version != SEALED {
        return (name == stream.as_str()).then(|| snapshot(stream, head, bytes));
    }
    let (id, sealed) = bytes.split_first_chunk()?;
    let opened = keyring.open(u32::from_le_bytes(*id), &key(stream, 0), sealed).ok()?;
    let (name, head, bytes) = unframed(&opened)?;
    (name == stream.as_str()).then(|| snapshot(stream, head, bytes))
}

fn unframed(rest: &[u8]) -> Option<(&str, Head, &[u8])> {
    let mut fields = Fields(rest);
    let (_, version, position) = (fields.u32()?, fields.u64()?, fields.u64()?);
    let name = fields.u16()?;
    Some((fields.text(name)?, Head { version, position }, fields.0))
}

fn snapshot(stream: &StreamId, head: Head, bytes: &[u8]) -> Snapshot {
    Snapshot { stream: stream.clone(), head, bytes: bytes.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::{get, put};
    use crate::layout::Layout;
    use crate::record::{Head, StreamId};
    use crate::store::Month;
    use crate::{Keyring, Snapshot, store};

    #[test]
    fn the_newest_snapshot_of_a_stream_is_found_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout { root: directory.path().to_path_buf() };
        let limit = std::time::Duration::from_secs(30);
        let month = Month::open(&layout, "2026-11", &[7; 16], limit).unwrap();
        let none = Keyring::default();
        let [one, other] = ["a/1", "a/2"].map(|name| StreamId::parse(name).unwrap());
        assert_eq!(get(&month, &one, &none).unwrap(), None);
        for (version, length) in [(64, 10), (128, 20_000), (192, 4_096), (256, 0), (320, 32_768)] {
            let head = Head { version, position: version * 3 };
            let bytes = vec![u8::try_from(version % 256).unwrap(); length];
            let snapshot = Snapshot { stream: one.clone(), head, bytes };
            put(&month, &snapshot, &none).unwrap();
            assert_eq!(get(&month, &one, &none).unwrap(), Some(snapshot));
            assert_eq!(get(&month, &other, &none).unwrap(), None);
        }
        // A damaged piece is not believed.
        let piece = month.snapshots.get(super::key(&one, 1)).unwrap().unwrap();
        let mut bytes = piece.to_vec();
        bytes[9] ^= 1;
        month.snapshots.insert(super::key(&one, 1), bytes).unwrap();
        assert_eq!(get(&month, &one, &none).unwrap(), None);
        drop(month);
        drop(store::set_aside(&layout, "2026-11"));
    }
}
