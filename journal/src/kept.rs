//! What follows from the journal and is kept beside it: whole or not at all, checked piece by piece.
//!
//! ```text
//! kept/NAME   [length 4][checksum 8][bytes …] … [0][checksum of the pieces' number]
//! ```
//!
//! Under a key the highest bit of a length is set, and the bytes are the key's id and what it sealed,
//! bound to the number of the piece.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{self, Disk, DiskFile};
use crate::keyring::{Keyring, SEAL_BYTES};
use crate::log::KeptWriter;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;
const HEAD_BYTES: usize = 12;
/// In the length of a piece that is sealed.
const SEALED: u32 = 1 << 31;
const ID_BYTES: usize = 4;
/// A big file is handed to the disk in steps of so many pieces, so that one long sync does not stand
/// in the way of the journal's own.
const SYNC_PIECES: u64 = 64;

/// Writes a file under a name of its own, and gives it its name once it is on the disk.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &Path,
    keyring: &Keyring,
    fill: KeptWriter<'_>,
) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    disk.create_dir(directory)?;
    let young = path.with_extension("new");
    let file = disk.create(&young)?;
    let mut pieces = Pieces { file: &*file, keyring, piece: Vec::new(), at: 0, count: 0 };
    fill(&mut pieces)?;
    pieces.end()?;
    file.sync()?;
    disk.rename(&young, path)?;
    disk.sync_dir(directory)
}

struct Pieces<'f> {
    file: &'f dyn DiskFile,
    keyring: &'f Keyring,
    piece: Vec<u8>,
    at: u64,
    count: u64,
}

impl Pieces<'_> {
    fn put(&mut self, flags: u32, checksum: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.piece.len());
        let length = u32::try_from(self.piece.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&(length | flags).to_le_bytes());
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.append(&mut self.piece);
        self.file.write_at(&bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.flush()?;
        }
        self.put(0, xxh3_64(&self.count.to_le_bytes()))
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let mut flags = 0;
        let sealed = self.keyring.seal(&self.count.to_le_bytes(), &self.piece)?;
        if let Some((sealed, id)) = sealed.zip(self.keyring.newest()) {
            self.piece = [&id.to_le_bytes()[..], &sealed].concat();
            flags = SEALED;
        }
        self.put(flags, xxh3_64(&self.piece))?;
        self.count += 1;
        if self.count.is_multiple_of(SYNC_PIECES) { self.file.sync() } else { Ok(()) }
    }
}

/// Opens what was kept; `None` if nothing was.
pub(crate) fn read(
    disk: &dyn Disk,
    path: &Path,
    keyring: &Keyring,
) -> io::Result<Option<Box<dyn Read + Send>>> {
    match disk.open(path, false) {
        Ok(file) => {
            let keyring = keyring.clone();
            let piece = Vec::new();
            Ok(Some(Box::new(Checked { file, keyring, piece, used: 0, at: 0, count: 0 })))
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Checked {
    file: Arc<dyn DiskFile>,
    keyring: Keyring,
    piece: Vec<u8>,
    used: usize,
    at: u64,
    count: u64,
}

impl Checked {
    /// Reads the next piece; empty at the end.
    fn next(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD_BYTES];
        let filled = disk::read_full(&*self.file, &mut head, self.at)?;
        let mut fields = crate::bytes::Fields(head.get(..filled).unwrap_or_default());
        let (Some(length), Some(checksum)) = (fields.u32(), fields.u64()) else {
            return Err(damaged("is cut short"));
        };
        let is_sealed = length & SEALED != 0;
        let length = usize::try_from(length & !SEALED).unwrap_or(usize::MAX);
        if length > PIECE_BYTES + ID_BYTES + SEAL_BYTES {
            return Err(damaged("has a piece that is too long"));
        }
        self.piece.resize(length, 0);
        let filled = disk::read_full(&*self.file, &mut self.piece, self.at + HEAD_BYTES as u64)?;
        let sum = match length {
            0 => xxh3_64(&self.count.to_le_bytes()),
            _ => xxh3_64(&self.piece),
        };
        if filled < length || sum != checksum {
            return Err(damaged("does not match its checksum"));
        }
        if is_sealed {
            let (id, sealed) = self.piece.split_first_chunk().ok_or_else(|| damaged("is short"))?;
            let bound_to = self.count.to_le_bytes();
            let opened = self.keyring.open(u32::from_le_bytes(*id), &bound_to, sealed);
            self.piece = opened.map_err(|bad| damaged(&format!("does not open: {bad}")))?;
        }
        (self.used, self.count) = (0, self.count + 1);
        self.at += (HEAD_BYTES + length) as u64;
        Ok(())
    }
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kept file {how}"))
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() && (self.count == 0 || !self.piece.is_empty()) {
            self.next()?;
        }
        let rest = self.piece.get(self.used..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{read, write};
    use crate::Keyring;
    use crate::disk::RealDisk;

    fn keep(directory: &std::path::Path, bytes: &[u8]) -> std::path::PathBuf {
        let path = directory.join("kept").join("name");
        write(&RealDisk, &path, &Keyring::default(), &mut |out| out.write_all(bytes)).unwrap();
        path
    }

    fn all(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        read(&RealDisk, path, &Keyring::default())?.unwrap().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_is_kept_is_read_back_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000, 5_000_000] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let path = keep(directory.path(), &bytes);
            assert_eq!(all(&path).unwrap(), bytes);
        }
        let nothing = directory.path().join("nothing");
        assert!(read(&RealDisk, &nothing, &Keyring::default()).unwrap().is_none());
    }

    #[test]
    fn a_flipped_bit_and_a_missing_end_are_noticed_wherever_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = keep(directory.path(), &vec![7; 70_000]);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(997).chain(whole.len() - 12..whole.len()) {
            let mut bytes = whole.clone();
            bytes[at] ^= 16;
            std::fs::write(&path, &bytes).unwrap();
            all(&path).unwrap_err();
            std::fs::write(&path, &whole[..at]).unwrap();
            all(&path).unwrap_err();
        }
    }
}
