//! A slot of the file of keys, and its header: 64 bytes each.
//!
//! | offset | size | header | slot |
//! |---:|---:|---|---|
//! | 0 | 1 | `M` | state: 0 free, 1 live, 2 erased |
//! | 1 | 16 | `SK`, format (1), zeros | name of the subject: a keyed hash |
//! | 17 | 32 | keyed hash that names the secret (16), zeros | the key; random bytes once it is erased |
//! | 49 | 7 | zeros | zeros |
//! | 56 | 8 | XXH3-64 of the 56 bytes before | the same |

use xxhash_rust::xxh3::xxh3_64;
use zeroize::Zeroizing;

use super::{Name, VaultError};

/// A key, wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;
/// The bytes of a slot, wiped when they are dropped.
pub(super) type Slot = Zeroizing<[u8; SLOT_BYTES]>;

/// Length of a slot, in bytes.
pub(super) const SLOT_BYTES: usize = 64;
/// A subject has this key.
pub(super) const LIVE: u8 = 1;
/// It will never have one again.
pub(super) const ERASED: u8 = 2;
/// The first bytes of the header: what it is, and its format.
pub(super) const MAGIC: [u8; 4] = *b"MSK\x01";
const SUM_AT: usize = 56;
const SECRET_AT: usize = 17;

/// Fills bytes by chance.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), VaultError> {
    getrandom::fill(bytes).map_err(|error| VaultError::Failed(format!("random bytes: {error}")))
}

/// A new key.
pub(super) fn random_key() -> Result<Key, VaultError> {
    let mut key = Key::default();
    fill(&mut key[..])?;
    Ok(key)
}

/// A free one.
pub(super) fn empty() -> Slot {
    Zeroizing::new([0; SLOT_BYTES])
}

/// Where a slot lies in the file.
pub(super) fn offset(place: u32) -> u64 {
    u64::from(place) * SLOT_BYTES as u64
}

/// The header of a file whose names are made with this secret.
pub(super) fn header(secret: &[u8; 16]) -> Slot {
    let mut header = empty();
    put(&mut header, 0, &MAGIC);
    put(&mut header, SECRET_AT, secret);
    seal_sum(&mut header);
    header
}

/// Whether a header is of that secret.
pub(super) fn is_of(header: &Slot, secret: &[u8; 16]) -> bool {
    header.iter().skip(SECRET_AT).zip(secret).all(|(found, wanted)| found == wanted)
}

/// One in use.
pub(super) fn filled(state: u8, name: Name, key: &Key) -> Slot {
    let mut slot = empty();
    put(&mut slot, 0, &[state]);
    put(&mut slot, 1, &name.0);
    put(&mut slot, 17, &key[..]);
    seal_sum(&mut slot);
    slot
}

fn put(slot: &mut Slot, at: usize, bytes: &[u8]) {
    slot.iter_mut().skip(at).zip(bytes).for_each(|(byte, new)| *byte = *new);
}

fn seal_sum(slot: &mut Slot) {
    let sum = sum(slot).to_le_bytes();
    put(slot, SUM_AT, &sum);
}

fn sum(slot: &Slot) -> u64 {
    slot.split_at_checked(SUM_AT).map_or(0, |(before, _)| xxh3_64(before))
}

/// Whether it matches its checksum.
pub(super) fn is_sound(slot: &Slot) -> bool {
    slot.ends_with(&sum(slot).to_le_bytes())
}

/// The same slot, of a subject: one whose name alone was damaged is sound again.
pub(super) fn named(mut slot: Slot, name: Name) -> Slot {
    put(&mut slot, 1, &name.0);
    slot
}

/// Its first byte.
pub(super) fn state(slot: &Slot) -> u8 {
    slot.first().copied().unwrap_or_default()
}

/// Whose it is.
pub(super) fn name(slot: &Slot) -> [u8; 16] {
    slot.get(1..17).and_then(|name| name.try_into().ok()).unwrap_or_default()
}

/// What it keeps.
pub(super) fn key(slot: &Slot) -> Key {
    let mut key = Key::default();
    key.iter_mut().zip(slot.iter().skip(17)).for_each(|(byte, stored)| *byte = *stored);
    key
}
