//! What is to be restored: which pieces, up to where, above which time.

use std::collections::{BTreeSet, HashSet};

use mainstay_actors::time::Timestamp;
use mainstay_journal::plant::{Until, last_time};

use super::{Restoring, open};
use crate::backup::base;
use crate::backup::claim::journal_of;
use crate::backup::error::BackupError;
use crate::backup::list;
use crate::backup::manifest::Manifest;
use crate::backup::piece::{Piece, Pieces};
use crate::backup::target::Target;

/// A clock may be this much behind the target's.
const TOLERATED_MS: u64 = 2_000;

/// See the module.
pub(super) struct Plan {
    pub(super) journal: [u8; 16],
    pub(super) chain: Vec<Piece>,
    /// Backups on the way, whose trees are compared.
    pub(super) known: Vec<Manifest>,
    /// No time and no token in the target lies above it.
    pub(super) floor: Timestamp,
    /// The last record that is there.
    pub(super) last: u64,
}

impl Plan {
    pub(super) fn of(target: &Target, restoring: &Restoring<'_>) -> Result<Self, BackupError> {
        let none = || BackupError::NotATarget { target: target.shown().to_owned() };
        let journal = journal_of(target)?.ok_or_else(none)?;
        let pieces = Pieces::list(target)?;
        let backups = list::all(target)?;
        let chain = if let Some(id) = restoring.backup {
            let manifest = list::find(target, id)?;
            let object = Manifest::object(id);
            let reason = "it names what is no piece".to_owned();
            manifest.chain().ok_or(BackupError::Damaged { object, reason })?
        } else {
            chain(target, &pieces, restoring.of_epoch)?
        };
        let last = chain.last().map_or(0, |piece| piece.last);
        if let Until::Position(position) = restoring.until
            && (position > last || position == 0)
        {
            let reason =
                format!("{} holds positions 1 to {last}; name one of them", target.shown());
            return Err(BackupError::Usage(reason));
        }
        let newest = newest_time(target, journal, restoring, &pieces, &backups)?;
        if restoring.now.plus_ms(TOLERATED_MS) < newest && !restoring.accept_clock {
            let (now, shipped) = (restoring.now.to_string(), newest.to_string());
            return Err(BackupError::Clock { now, shipped });
        }
        let floor = newest.max(restoring.now);
        let names: HashSet<String> = chain.iter().map(Piece::name).collect();
        let on_the_way =
            |it: &Manifest| it.pieces.last().is_some_and(|it| names.contains(&it.name));
        let known = backups.into_iter().filter(on_the_way).collect();
        Ok(Self { journal, chain, known, floor, last })
    }

    /// The newest epoch that a piece of it was written in.
    pub(super) fn epoch(&self) -> u32 {
        self.chain.iter().map(|piece| piece.epoch).max().unwrap_or_default()
    }

    /// Looks again: a server that goes on has put large pieces in the place of small ones. What was
    /// planted stays.
    pub(super) fn again(
        &mut self,
        target: &Target,
        of_epoch: Option<u32>,
        planted: u64,
    ) -> Result<(), BackupError> {
        self.chain = chain(target, &Pieces::list(target)?, of_epoch)?;
        self.chain.retain(|piece| piece.last > planted);
        self.last = self.last.max(planted);
        Ok(())
    }
}

/// The pieces that lead to the newest one, from the first record on, or from where months were dropped.
fn chain(
    target: &Target,
    pieces: &Pieces,
    of_epoch: Option<u32>,
) -> Result<Vec<Piece>, BackupError> {
    let none = || BackupError::NotATarget { target: target.shown().to_owned() };
    let tip = pieces.tip(of_epoch).ok_or_else(none)?;
    let missing = match pieces.chain(tip, 0) {
        Ok(chain) => return Ok(chain),
        Err(missing) => missing,
    };
    let mut bases = BTreeSet::new();
    for entry in target.list(base::FOLDER)? {
        bases.extend(base::position_of(&entry.name));
    }
    // The newest one loses the least.
    let chain = bases.into_iter().rev().find_map(|base| pieces.chain(tip, base).ok());
    chain.ok_or_else(|| BackupError::Gap { target: target.shown().to_owned(), gap: missing })
}

/// The newest time that the target knows of: of its own clock, of any backup, of the last record of any
/// history.
fn newest_time(
    target: &Target,
    journal: [u8; 16],
    restoring: &Restoring<'_>,
    pieces: &Pieces,
    backups: &[Manifest],
) -> Result<Timestamp, BackupError> {
    let written = pieces.iter().map(|piece| piece.modified);
    let named = backups.iter().flat_map(|it| [it.made_at, it.recorded_at]);
    let mut newest = written.chain(named).max().unwrap_or_default();
    let epochs: BTreeSet<u32> = pieces.iter().map(|piece| piece.epoch).collect();
    for epoch in epochs {
        let Some(tip) = pieces.tip(Some(epoch)) else { continue };
        let blocks = open(target, tip, restoring.identities)?;
        let last = last_time(&blocks, journal, &restoring.keyring);
        newest = newest.max(Timestamp::from_micros(last));
    }
    Ok(newest)
}
