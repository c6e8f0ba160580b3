//! Reading a backup back: a backup that nobody has read is a hope.
//!
//! | with | is checked |
//! |---|---|
//! | nothing but the target | every object's bytes, by the hash in its name |
//! | a key | that it opens, and the keys of subjects; read whole also every block's hash, the chain, the tree that the backup names |

use mainstay_actors::time::Timestamp;
use mainstay_journal::Keyring;
use mainstay_journal::plant::{Planting, Until};

use super::base;
use super::error::BackupError;
use super::keys::{Keys, unsealed};
use super::manifest::{Manifest, Verified};
use super::piece::{Piece, hex, unhex};
use super::restore::Scratch;
use super::seal::Identities;
use super::ship::Progress;
use super::target::Target;

/// How a backup is read back.
#[derive(Debug)]
pub struct Checking<'c> {
    /// The keys that open it; none: bytes are compared with the hashes in their names.
    pub identities: Option<&'c Identities>,
    /// Keys of a sealed journal: without them its blocks cannot be read.
    pub keyring: Keyring,
    /// Only so many objects in a hundred, the newest always: for backups that are too big to be
    /// read whole. 100 reads all.
    pub sample: u8,
    /// Chooses which; any number.
    pub seed: u64,
    /// When this is, for what is told of it.
    pub now: Timestamp,
}

/// Reads a backup back, and says so in the target.
///
/// # Errors
/// [`BackupError::Damaged`] and [`BackupError::OtherKey`] name the object.
pub fn check(
    target: &Target,
    manifest: &Manifest,
    checking: &Checking<'_>,
    progress: Progress<'_>,
) -> Result<Verified, BackupError> {
    let object = Manifest::object(&manifest.id);
    let bad =
        |reason: &str| BackupError::Damaged { object: object.clone(), reason: reason.to_owned() };
    let chain = manifest.chain().ok_or_else(|| bad("it names what is no piece"))?;
    let journal = unhex(&manifest.journal).ok_or_else(|| bad("it names no journal"))?;
    let whole = checking.sample >= 100;
    let scratch = Scratch::new()?;
    let mut planting = None;
    if let Some(identities) = checking.identities {
        // A restore needs them, too.
        drop(Keys::read(target, identities)?);
        let keyring = checking.keyring.clone();
        let mut base = None;
        if manifest.base > 0 {
            base::fetch(target, manifest.base, identities, &scratch.0)?;
            base = mainstay_journal::plant::base(&scratch.0, journal, &keyring)?;
        }
        let begin = || Planting::begin(None, journal, keyring, Until::End, base.as_deref());
        planting = whole.then(begin);
    }
    let (total, mut read) = (chain.len() as u64, 0);
    for (index, piece) in chain.iter().enumerate() {
        if !is_chosen(checking, index, chain.len()) {
            continue;
        }
        let bytes = fetch(target, piece)?;
        if let Some(identities) = checking.identities {
            let blocks = identities.open(&bytes).map_err(|error| unsealed(&piece.name(), error))?;
            if let Some(planting) = &mut planting {
                let _ = planting.take(&blocks, &mut |_| {})?;
            }
        }
        read += 1;
        progress(index as u64 + 1, total);
    }
    if let Some(planting) = planting {
        let planted = planting.finish(None)?;
        if planted.head != manifest.head() || hex(&planted.root()) != manifest.tree {
            return Err(bad("its pieces hold other records than it says"));
        }
    }
    let opened = checking.identities.is_some();
    let verified = Verified { at: checking.now, objects: read, of: total, opened };
    let told = serde_json::to_vec_pretty(&verified).unwrap_or_default();
    target.put(&Manifest::verified_object(&manifest.id), told)?;
    Ok(verified)
}

/// The object of a piece, as it was written.
pub(super) fn fetch(target: &Target, piece: &Piece) -> Result<Vec<u8>, BackupError> {
    let name = piece.name();
    let bytes = target.read(&name)?;
    if piece.is(&bytes) {
        return Ok(bytes);
    }
    let reason = "its bytes are not those that were written".to_owned();
    Err(BackupError::Damaged { object: name, reason })
}

fn is_chosen(checking: &Checking<'_>, index: usize, count: usize) -> bool {
    let chance = xxhash_rust::xxh3::xxh3_64_with_seed(&index.to_le_bytes(), checking.seed);
    checking.sample >= 100 || index + 1 == count || chance % 100 < u64::from(checking.sample)
}
