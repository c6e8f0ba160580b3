//! Proof files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::path::{Hash, consistent, included, leaf};
use super::{Invalid, Note, PublicKey, unreadable};

/// The newest format of proof files that is known.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Front {
    format: u32,
    proves: String,
}

#[derive(Deserialize)]
struct Inclusion {
    position: u64,
    leaf_hash: String,
    leaf: Option<String>,
    path: Vec<String>,
    checkpoint: String,
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    from: String,
    to: String,
    path: Vec<String>,
    keys: Vec<String>,
}

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Of which journal.
    pub origin: String,
    /// The key that signed the (later) checkpoint.
    pub key: PublicKey,
    /// What is under it.
    pub what: What,
    /// How many events it covers.
    pub size: u64,
}

/// What is under a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The event at this position; whether its bytes are in the proof.
    Event {
        /// Its position.
        position: u64,
        /// Otherwise only their hash is.
        with_bytes: bool,
    },
    /// All of an earlier checkpoint.
    Checkpoint {
        /// How many events that one covers.
        from: u64,
    },
}

/// Verifies a proof file against keys that are trusted; without any, against those in the file itself.
///
/// # Errors
/// [`Invalid`].
pub fn verify(text: &str, trusted: &[PublicKey]) -> Result<Proved, Invalid> {
    let not = |error: serde_json::Error| unreadable(format!("it is no proof file: {error}"));
    let front: Front = serde_json::from_str(text).map_err(not)?;
    if front.format != FORMAT {
        return Err(unreadable(format!(
            "its format is {}, and this version knows {FORMAT}",
            front.format
        )));
    }
    match &*front.proves {
        "inclusion" => inclusion(&serde_json::from_str(text).map_err(not)?, trusted),
        "consistency" => consistency(&serde_json::from_str(text).map_err(not)?, trusted),
        other => Err(unreadable(format!("it proves {other}, and nobody here knows what that is"))),
    }
}

fn inclusion(proof: &Inclusion, trusted: &[PublicKey]) -> Result<Proved, Invalid> {
    let note = Note::parse(&proof.checkpoint)?;
    let keys = keys(&proof.keys, trusted)?;
    let key = note.signer(&keys)?.clone();
    let leaf_hash = hash(&proof.leaf_hash)?;
    if let Some(coded) = &proof.leaf {
        let bytes = STANDARD.decode(coded).map_err(|_| unreadable("the leaf is no Base64"))?;
        if leaf(&bytes) != leaf_hash {
            return Err(Invalid::False("the leaf does not have the hash of the proof".to_owned()));
        }
        let position = bytes.get(4..12).and_then(|bytes| bytes.try_into().ok());
        if position.map(u64::from_le_bytes) != Some(proof.position) {
            return Err(Invalid::False("the leaf is of another position".to_owned()));
        }
    }
    let index = proof.position.checked_sub(1);
    let index = index.ok_or_else(|| unreadable("positions count from 1"))?;
    included(leaf_hash, index, note.size, &note.root, &hashes(&proof.path)?)?;
    let what = What::Event { position: proof.position, with_bytes: proof.leaf.is_some() };
    Ok(Proved { origin: note.origin, key, what, size: note.size })
}

fn consistency(proof: &Consistency, trusted: &[PublicKey]) -> Result<Proved, Invalid> {
    let (from, to) = (Note::parse(&proof.from)?, Note::parse(&proof.to)?);
    let keys = keys(&proof.keys, trusted)?;
    from.signer(&keys)?;
    let key = to.signer(&keys)?.clone();
    if from.origin != to.origin {
        return Err(Invalid::False("the two checkpoints are of two journals".to_owned()));
    }
    consistent((from.size, &from.root), (to.size, &to.root), &hashes(&proof.path)?)?;
    let what = What::Checkpoint { from: from.size };
    Ok(Proved { origin: to.origin, key, what, size: to.size })
}

fn keys(own: &[String], trusted: &[PublicKey]) -> Result<Vec<PublicKey>, Invalid> {
    if trusted.is_empty() {
        return own.iter().map(|line| PublicKey::parse(line)).collect();
    }
    Ok(trusted.to_vec())
}

fn hashes(path: &[String]) -> Result<Vec<Hash>, Invalid> {
    path.iter().map(|text| hash(text)).collect()
}

fn hash(text: &str) -> Result<Hash, Invalid> {
    let wrong = || unreadable("a hash has 64 hexadecimal digits");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}
