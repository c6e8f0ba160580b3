//! A file of the simulated disk: what reads back, and what is on the platter.

use std::io;
use std::sync::{Arc, PoisonError};

use super::{Loss, SimDisk, State, eio};
use crate::disk::DiskFile;

const SECTOR: usize = 512;

#[derive(Debug, Default, Clone)]
pub(super) struct FileState {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<FileOp>,
}

#[derive(Debug, Clone)]
pub(super) enum FileOp {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

/// A small generator, so that a seed says everything.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn coin(&mut self) -> bool {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) & 1 == 0
    }
}

impl FileOp {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLen(length) => bytes.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if let Some(room) = bytes.get_mut(*offset..end) {
                    room.copy_from_slice(data);
                }
            },
        }
    }
}

impl FileState {
    pub(super) fn survivors(&self, loss: Loss, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for op in &self.pending {
            match (loss, op) {
                (Loss::All, _) => {},
                (Loss::Torn, FileOp::Write(offset, data)) => {
                    let mut at = *offset;
                    let mut rest = data.as_slice();
                    while !rest.is_empty() {
                        let room = SECTOR - at % SECTOR;
                        let (sector, tail) = rest.split_at(room.min(rest.len()));
                        if chance.coin() {
                            FileOp::Write(at, sector.to_vec()).apply(&mut bytes);
                        }
                        (at, rest) = (at + sector.len(), tail);
                    }
                },
                _ => {
                    if chance.coin() {
                        op.apply(&mut bytes);
                    }
                },
            }
        }
        bytes
    }
}

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) id: usize,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, usize) -> io::Result<T>) -> io::Result<T> {
        act(&mut self.disk.state(), self.id)
    }
}

fn file(state: &mut State, id: usize) -> io::Result<&mut FileState> {
    state.files.get_mut(id).ok_or_else(eio)
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state, id| {
            state.alive()?;
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = file(state, id)?.live.get(offset..).unwrap_or_default();
            let count = bytes.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
                to.copy_from_slice(from);
            }
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state, id| {
            let done = state.change();
            let failed = done.is_err() || State::due(&mut state.faults.fail_write);
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let growth = (offset + bytes.len()).saturating_sub(file(state, id)?.live.len());
            let room = state.faults.capacity.map(|bytes| bytes.saturating_sub(state.used()));
            let full = room.is_some_and(|room| growth as u64 > room);
            // What was cut, refused or failed has landed by half.
            let landed = if failed || full { bytes.len() / 2 } else { bytes.len() };
            let op = FileOp::Write(offset, bytes.get(..landed).unwrap_or_default().to_vec());
            let file = file(state, id)?;
            op.apply(&mut file.live);
            file.pending.push(op);
            done?;
            if failed {
                return Err(eio());
            }
            if full { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.disk.0);
        let state = self.disk.state();
        let waited = shared.released.wait_while(state, |state| state.faults.hold);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.change()?;
        let failed = State::due(&mut state.faults.fail_sync);
        let lying = state.faults.lying;
        let file = file(&mut state, self.id)?;
        if failed {
            file.pending.clear();
            return Err(eio());
        }
        if !lying {
            file.durable.clone_from(&file.live);
            file.pending.clear();
        }
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.with(|state, id| {
            state.change()?;
            let op = FileOp::SetLen(usize::try_from(bytes).unwrap_or(usize::MAX));
            let file = file(state, id)?;
            op.apply(&mut file.live);
            file.pending.push(op);
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|state, id| {
            state.alive()?;
            Ok(file(state, id)?.live.len() as u64)
        })
    }
}
