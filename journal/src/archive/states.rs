//! The state of every stream at the end of an archive: sorted by stream, found by its name.
//!
//! ```text
//! [entries …] [entries …] … [index][offset of the index · its hash · sealed? · magic]
//!  └ a chunk, 16 KiB or one larger entry     └ of each chunk: place, hash, first stream
//! ```
//!
//! The hash of the index covers every byte: whoever has it has all of them. Under a key chunks and
//! index are sealed, bound to their number; the hashes are over what is stored.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::block::Hash;
use crate::bytes::Fields;
use crate::disk::{self, Disk, DiskFile};
use crate::keyring::Keyring;
use crate::log::Snapshot;
use crate::record::{Head, StreamId};
use crate::view::lock;

const MAGIC: [u8; 4] = *b"MSTS";
/// A chunk that has reached this is closed.
const CHUNK_BYTES: usize = 16 * 1024;
const TRAILER_BYTES: usize = 8 + 32 + 1 + 4;
/// The number that the index is sealed under.
const INDEX: u64 = u64::MAX;
/// Chunks between two syncs, so that one long sync does not stand in the way of a journal's own.
const SYNC_CHUNKS: usize = 256;

/// Where a chunk lies.
#[derive(Debug)]
struct Chunk {
    offset: u64,
    bytes: u32,
    hash: Hash,
    /// The first stream in it.
    first: Box<str>,
}

/// Writes states in the order of their streams.
pub(super) struct Writing<'k> {
    file: Arc<dyn DiskFile>,
    keyring: &'k Keyring,
    chunks: Vec<Chunk>,
    chunk: Vec<u8>,
    first: String,
    last: String,
    at: u64,
    /// How many states.
    pub(super) count: u64,
}

impl<'k> Writing<'k> {
    pub(super) fn create(disk: &dyn Disk, path: &Path, keyring: &'k Keyring) -> io::Result<Self> {
        let file = disk.create(path)?;
        let (first, last) = (String::new(), String::new());
        let (chunks, chunk) = (Vec::new(), Vec::new());
        Ok(Self { file, keyring, chunks, chunk, first, last, at: 0, count: 0 })
    }

    pub(super) fn put(&mut self, state: &Snapshot) -> io::Result<()> {
        let stream = state.stream.as_str();
        if self.count > 0 && stream <= self.last.as_str() {
            return Err(io::Error::other(format!("{stream} comes after {}", self.last)));
        }
        if self.chunk.is_empty() {
            stream.clone_into(&mut self.first);
        }
        stream.clone_into(&mut self.last);
        let out = &mut self.chunk;
        out.extend_from_slice(&u16::try_from(stream.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(stream.as_bytes());
        out.extend_from_slice(&state.head.version.to_le_bytes());
        out.extend_from_slice(&state.head.position.to_le_bytes());
        let length = u32::try_from(state.bytes.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&state.bytes);
        self.count += 1;
        if self.chunk.len() >= CHUNK_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let bytes =
            sealed(self.keyring, self.chunks.len() as u64, std::mem::take(&mut self.chunk))?;
        self.file.write_at(&bytes, self.at)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let (offset, hash) = (self.at, Sha256::digest(&bytes).into());
        self.chunks.push(Chunk { offset, bytes: length, hash, first: self.first.as_str().into() });
        self.at += bytes.len() as u64;
        if self.chunks.len().is_multiple_of(SYNC_CHUNKS) { self.file.sync() } else { Ok(()) }
    }

    /// Makes everything durable; returns the hash of the index.
    pub(super) fn end(mut self) -> io::Result<Hash> {
        self.close()?;
        let mut index = Vec::new();
        for Chunk { offset, bytes, hash, first } in &self.chunks {
            index.extend_from_slice(&offset.to_le_bytes());
            index.extend_from_slice(&bytes.to_le_bytes());
            index.extend_from_slice(hash);
            index.extend_from_slice(&u16::try_from(first.len()).unwrap_or(u16::MAX).to_le_bytes());
            index.extend_from_slice(first.as_bytes());
        }
        let mut bytes = sealed(self.keyring, INDEX, index)?;
        let hash: Hash = Sha256::digest(&bytes).into();
        bytes.extend_from_slice(&self.at.to_le_bytes());
        bytes.extend_from_slice(&hash);
        bytes.push(u8::from(self.keyring.newest().is_some()));
        bytes.extend_from_slice(&MAGIC);
        self.file.write_at(&bytes, self.at)?;
        self.file.set_len(self.at + bytes.len() as u64)?;
        self.file.sync()?;
        Ok(hash)
    }
}

/// Under a key: its id and what it sealed.
fn sealed(keyring: &Keyring, number: u64, plain: Vec<u8>) -> io::Result<Vec<u8>> {
    match keyring.seal(&number.to_le_bytes(), &plain)?.zip(keyring.newest()) {
        Some((sealed, id)) => Ok([&id.to_le_bytes()[..], &sealed].concat()),
        None => Ok(plain),
    }
}

/// A file of states, its index in memory: about 100 bytes for every 16 KiB.
#[derive(Debug)]
pub(crate) struct States {
    file: Arc<dyn DiskFile>,
    keyring: Keyring,
    sealed: bool,
    chunks: Vec<Chunk>,
    /// Those that were read last, by number: new streams are asked for in few places.
    warm: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

/// Most chunks that stay in memory.
const WARM_CHUNKS: usize = 32;

impl States {
    /// Opens a file whose index has this hash.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        keyring: &Keyring,
        hash: &Hash,
    ) -> io::Result<Self> {
        let file = disk.open(path, false)?;
        let size = file.size()?;
        let mut trailer = [0; TRAILER_BYTES];
        let place =
            size.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| damaged("is cut short"))?;
        disk::read_full(&*file, &mut trailer, place)?;
        let mut fields = Fields(&trailer);
        let (at, known) = (fields.u64(), fields.array::<32>());
        let (sealed, magic) = (fields.u8(), fields.array::<4>());
        let length = at.and_then(|at| place.checked_sub(at));
        let (Some(at), Some(length), Some(MAGIC)) = (at, length, magic) else {
            return Err(damaged("has no end"));
        };
        if known.as_ref() != Some(hash) {
            return Err(damaged("is another archive's"));
        }
        let (keyring, chunks, warm) = (keyring.clone(), Vec::new(), Mutex::default());
        let mut states = Self { file, keyring, sealed: sealed == Some(1), chunks, warm };
        let length = u32::try_from(length).map_err(|_| damaged("has no end"))?;
        let index = states.read(INDEX, at, length, hash)?;
        let mut fields = Fields(&index);
        while !fields.0.is_empty() {
            let chunk = chunk_of(&mut fields).ok_or_else(|| damaged("has a senseless index"))?;
            states.chunks.push(chunk);
        }
        Ok(states)
    }

    fn read(&self, number: u64, offset: u64, length: u32, hash: &Hash) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let filled = disk::read_full(&*self.file, &mut bytes, offset)?;
        if filled < bytes.len() || Hash::from(Sha256::digest(&bytes)) != *hash {
            return Err(damaged("does not match its hash"));
        }
        if !self.sealed {
            return Ok(bytes);
        }
        let (id, sealed) = bytes.split_first_chunk().ok_or_else(|| damaged("is cut short"))?;
        let opened = self.keyring.open(u32::from_le_bytes(*id), &number.to_le_bytes(), sealed);
        opened.map_err(|bad| io::Error::new(io::ErrorKind::PermissionDenied, bad.to_string()))
    }

    fn chunk(&self, number: u64, chunk: &Chunk) -> io::Result<Arc<Vec<u8>>> {
        let known = lock(&self.warm).iter().find(|(known, _)| *known == number).cloned();
        if let Some((_, bytes)) = known {
            return Ok(bytes);
        }
        let bytes = Arc::new(self.read(number, chunk.offset, chunk.bytes, &chunk.hash)?);
        let mut warm = lock(&self.warm);
        warm.push_back((number, Arc::clone(&bytes)));
        if warm.len() > WARM_CHUNKS {
            warm.pop_front();
        }
        Ok(bytes)
    }

    /// The state of one stream.
    pub(crate) fn get(&self, stream: &StreamId) -> io::Result<Option<Snapshot>> {
        let mut found = None;
        self.from(stream.as_str(), &mut |state| {
            found = Some(state).filter(|state| state.stream == *stream);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Visits the streams from this name on, by name.
    pub(crate) fn from(
        &self,
        name: &str,
        visit: &mut dyn FnMut(Snapshot) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let after = self.chunks.partition_point(|chunk| &*chunk.first <= name);
        let start = after.saturating_sub(1);
        for (number, chunk) in self.chunks.iter().enumerate().skip(start) {
            let bytes = self.chunk(number as u64, chunk)?;
            let mut fields = Fields(&bytes);
            while !fields.0.is_empty() {
                let (stream, head, bytes) =
                    entry(&mut fields).ok_or_else(|| damaged("has a senseless entry"))?;
                if stream < name {
                    continue;
                }
                let stream = StreamId::parse(stream);
                let stream = stream.ok_or_else(|| damaged("names no stream"))?;
                if visit(Snapshot { stream, head, bytes: bytes.to_vec() }).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn chunk_of(fields: &mut Fields<'_>) -> Option<Chunk> {
    let (offset, bytes, hash) = (fields.u64()?, fields.u32()?, fields.array()?);
    let length = fields.u16()?;
    Some(Chunk { offset, bytes, hash, first: fields.text(length)?.into() })
}

fn entry<'b>(fields: &mut Fields<'b>) -> Option<(&'b str, Head, &'b [u8])> {
    let length = fields.u16()?;
    let stream = fields.text(length)?;
    let head = Head { version: fields.u64()?, position: fields.u64()? };
    let length = usize::try_from(fields.u32()?).ok()?;
    Some((stream, head, fields.take(length)?))
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file of states {how}"))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::Path;

    use super::{States, Writing};
    use crate::disk::RealDisk;
    use crate::{Head, Keyring, Snapshot, StreamId};

    fn state(number: u64) -> Snapshot {
        let name = format!("k/{number:06}");
        let bytes =
            vec![u8::try_from(number % 256).unwrap(); usize::try_from(number % 97).unwrap()];
        let head = Head { version: number + 1, position: number * 2 + 1 };
        Snapshot { stream: StreamId::parse(&name).unwrap(), head, bytes }
    }

    /// Every second number.
    fn write(path: &Path, count: u64) -> crate::block::Hash {
        let keyring = Keyring::default();
        let mut writing = Writing::create(&RealDisk, path, &keyring).unwrap();
        for number in 0..count {
            writing.put(&state(number * 2)).unwrap();
        }
        assert_eq!(writing.count, count);
        writing.end().unwrap()
    }

    #[test]
    fn what_was_put_is_found_by_name_and_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("states");
        for count in [0, 1, 2, 300, 3_000] {
            let hash = write(&path, count);
            let states = States::open(&RealDisk, &path, &Keyring::default(), &hash).unwrap();
            for number in 0..count * 2 {
                let found = states.get(&state(number).stream).unwrap();
                assert_eq!(found, (number % 2 == 0).then(|| state(number)), "{number} of {count}");
            }
            let mut all = Vec::new();
            let from = format!("k/{:06}", count / 2);
            let mut take = |state| {
                all.push(state);
                ControlFlow::Continue(())
            };
            states.from(&from, &mut take).unwrap();
            let expected: Vec<_> =
                (0..count).map(|it| it * 2).filter(|it| *it >= count / 2).map(state).collect();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keyring = Keyring::default();
        let path = directory.path().join("states");
        let mut writing = Writing::create(&RealDisk, &path, &keyring).unwrap();
        writing.put(&state(4)).unwrap();
        writing.put(&state(4)).unwrap_err();
        writing.put(&state(3)).unwrap_err();
    }

    #[test]
    fn a_flipped_bit_and_a_missing_end_are_noticed_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("states");
        let hash = write(&path, 700);
        let whole = std::fs::read(&path).unwrap();
        let all = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let states = States::open(&RealDisk, &path, &Keyring::default(), &hash)?;
            states.from("", &mut |_| ControlFlow::Continue(()))
        };
        all(&whole).unwrap();
        for at in (0..whole.len()).step_by(211).chain(whole.len() - 45..whole.len()) {
            // Whether it is sealed is told by a byte of which seven bits say nothing.
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            all(&bytes).unwrap_err();
            all(&whole[..at]).unwrap_err();
        }
    }
}
