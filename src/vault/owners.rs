//! Which subject a session is about: a patch names only the session.
//!
//! ```text
//!   found in the young half, or in the old one ─► the subject     neither ─► the entity is asked
//!   the young half is full ─► it is the old one now; the old one goes
//! ```
//!
//! A session is about one subject for its whole life, so nothing here is ever wrong.

use std::collections::HashMap;
use std::sync::Mutex;

use mainstay_actors::host::{Failure, Host, Meta, Receipt};
use mainstay_actors::session::{Session, SessionCommand, SessionReject, SessionReply};
use mainstay_journal::StreamId;
use xxhash_rust::xxh3::xxh3_128;

use super::{Name, Vault, VaultError, lock};

/// Sessions that each half takes.
const HALF: usize = 32 * 1024;

/// The sessions that were used last.
#[derive(Default)]
pub(super) struct Owners(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashMap<u128, Name>,
    old: HashMap<u128, Name>,
}

impl Owners {
    pub(super) fn remember(&self, session: &str, name: Name) {
        let mut halves = lock(&self.0);
        if halves.young.len() >= HALF {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(xxh3_128(session.as_bytes()), name);
    }

    pub(super) fn find(&self, session: &str) -> Option<Name> {
        let hash = xxh3_128(session.as_bytes());
        let halves = lock(&self.0);
        let young = halves.young.get(&hash).copied();
        let old = if young.is_none() { halves.old.get(&hash).copied() } else { None };
        drop(halves);
        if let Some(name) = old {
            self.remember(session, name);
        }
        young.or(old)
    }
}

impl Vault {
    /// Whether the subject of a session is remembered.
    #[cfg(feature = "server")]
    pub(crate) fn knows_owner(&self, session: &str) -> bool {
        self.owners.find(session).is_some()
    }

    /// Which subject a session is about; the session is asked if nobody remembers.
    pub(crate) async fn owner_of<E>(
        &self,
        host: &Host,
        session: &StreamId,
        meta: &Meta,
    ) -> Result<Name, E>
    where
        E: From<VaultError> + From<Failure<SessionReject>>,
    {
        if let Some(name) = self.owners.find(session.id()) {
            return Ok(name);
        }
        let meta = Meta { request: None, ..meta.clone() };
        let shown = host.ask::<Session>(session.clone(), SessionCommand::Show, meta).await?;
        let Receipt { reply: SessionReply::Shown(live), .. } = shown else {
            let gone = Failure::Rejected { reason: SessionReject::NotFound, at: shown.at };
            return Err(gone.into());
        };
        let name = self.name(&live.tenant, &live.subject)?;
        self.owners.remember(session.id(), name);
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_in_use_stay_and_the_number_is_bounded() {
        let owners = Owners::default();
        let name = |n: u8| Name([n; 16]);
        owners.remember("t/used", name(1));
        owners.remember("t/left", name(2));
        for n in 0..3 * HALF {
            owners.remember(&format!("t/{n}"), name(3));
            if n % 1_000 == 0 {
                assert_eq!(owners.find("t/used"), Some(name(1)));
            }
        }
        assert_eq!(owners.find("t/left"), None);
        let halves = owners.0.lock().unwrap();
        assert!(halves.young.len() + halves.old.len() <= 2 * HALF);
    }
}
