//! Whether the keys at hand open a journal: asked before anything is written.

use std::path::Path;

use crate::block::{Bad, Opener};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::keyring::Keyring;
use crate::layout::{self, Layout};
use crate::segment::Headers;

/// Refuses a journal of which a segment is under a key that is not at hand: its first block tells.
pub(crate) fn check_keys(
    disk: &dyn Disk,
    layout: &Layout,
    opener: &Opener,
) -> Result<(), OpenError> {
    for (month, first) in &layout::list_segments(disk, layout)? {
        let path = layout.segment(month, *first);
        let io = |error| OpenError::io("read", path.clone(), error);
        let mut headers = Headers::new(disk.open(&path, false).map_err(io)?, 0, u64::MAX, 0);
        // What is no whole block is the business of recovery.
        if let Ok(Some(block)) = headers.stored(&opener.journal).map_err(io)?
            && !opener.keyring.holds(block.header.key)
        {
            return Err(sealed(&path, Bad::Key(block.header.key), &opener.keyring));
        }
    }
    Ok(())
}

/// The refusal that a block leads to which a key does not open.
pub(crate) fn sealed(path: &Path, bad: Bad, keyring: &Keyring) -> OpenError {
    let ids: Vec<String> = keyring.ids().iter().map(|id| format!("{id:08x}")).collect();
    let at_hand = match ids.len() {
        0 => "no key is at hand".to_owned(),
        _ => format!("the keys at hand are {}", ids.join(", ")),
    };
    OpenError::Sealed { path: path.into(), reason: format!("{bad}; {at_hand}") }
}
