//! From the journal's bytes to the state of everything.

use std::ops::ControlFlow;

use mainstay_journal::{Cursor, EventLog, StreamId};

use super::StartError;
use crate::machine::Machine;
use crate::session::SessionState;
use crate::time::Timestamp;
use crate::world::{AnyEvent, World};

/// Who starts the server, extends leases and changes levels.
pub(crate) const SUPERVISOR: &str = "system:supervisor";
/// Progress is told every so many records.
const TELL_EVERY: u64 = 20_000;

/// What recovery found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) world: World,
    pub(crate) head: Cursor,
    /// Time of the newest record: the clock never goes back behind it.
    pub(crate) last_at: Timestamp,
    /// Time of the newest record that is not a start's own: what was alive then gets grace, also
    /// when a start was cut short between its record and the leases'.
    pub(crate) alive_at: Timestamp,
    /// Events that cannot be folded; each was logged, and its entity refuses commands.
    pub(crate) unreadable: u64,
}

/// Folds the whole journal; `tell` hears `(done, total)`.
pub(crate) fn recover(
    log: &dyn EventLog,
    mut tell: impl FnMut(u64, u64),
) -> Result<Recovered, StartError> {
    let head = log.head();
    let mut recovered = Recovered { head, ..Recovered::default() };
    let Recovered { world, last_at, alive_at, unreadable, .. } = &mut recovered;
    log.scan(1, head.position, &mut |record| {
        *last_at = Timestamp::from_micros(record.at_us);
        if record.principal != SUPERVISOR {
            *alive_at = *last_at;
        }
        let (kind, id) = record.stream.split_once('/').unwrap_or((record.stream, ""));
        let folded = AnyEvent::decode(kind, record.type_id, record.schema, record.payload)
            .and_then(|event| Ok(world.apply(id, &event)?));
        if let Err(reason) = folded {
            *unreadable += 1;
            tracing::error!(
                stream = record.stream,
                position = record.position,
                %reason,
                "this event cannot be folded; run `mainstay verify` for all findings"
            );
        }
        if record.position % TELL_EVERY == 0 {
            tell(record.position, head.position);
        }
        ControlFlow::Continue(())
    })?;
    Ok(recovered)
}

impl Recovered {
    /// The next deadline of every entity that has one.
    pub(crate) fn deadlines<'w, M: Machine>(
        states: impl IntoIterator<Item = (&'w String, &'w M::State)>,
    ) -> impl Iterator<Item = (Timestamp, StreamId)> {
        states
            .into_iter()
            .filter_map(|(id, state)| Some((M::deadline(state)?, StreamId::new(M::KIND, id)?)))
    }

    /// Sessions that own or wait for a lock and are over: their locks were not released before
    /// the crash.
    pub(crate) fn orphaned(&self) -> Vec<String> {
        let claims = self.world.locks.values().flat_map(|lock| {
            let grants = lock.grants.iter().map(|grant| &grant.claim);
            grants.chain(lock.waiters.iter().map(|waiter| &waiter.claim))
        });
        let mut sessions: Vec<String> = claims.filter_map(|claim| claim.session.clone()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions.retain(|session| {
            !matches!(self.world.sessions.get(session), Some(SessionState::Live(_)))
        });
        sessions
    }
}
