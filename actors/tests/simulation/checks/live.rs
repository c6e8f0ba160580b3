//! What the host says against the fold of its journal, when nothing is under way.

use std::collections::BTreeSet;
use std::sync::Arc;

use mainstay_actors::host::{Failure, Host, Meta};
use mainstay_actors::lock::{Lock, LockCommand, LockReply};
use mainstay_actors::session::{Session, SessionCommand, SessionReply, SessionState};
use mainstay_journal::{EventLog, Refusal, StreamId};

use super::hold;
use super::journal::{self, Entry, fold};
use crate::clients::DEPENDENCY;

/// So often the journal may grow while it is looked at.
const TRIES: u32 = 20;

/// Locks, sessions and the dependency are what their events fold to. A breaker moves by itself, so the
/// answers count only if the journal has not grown meanwhile.
pub(crate) async fn equals_the_fold(host: &Host, log: &dyn EventLog) -> Result<(), String> {
    for _ in 0..TRIES {
        let Ok(entries) = journal::read(log)? else { return Ok(()) };
        let head = log.head();
        let equal = compare(host, &entries).await;
        if log.head() == head {
            return equal;
        }
    }
    Err("the journal grows for ever".to_owned())
}

async fn compare(host: &Host, entries: &[Entry]) -> Result<(), String> {
    let world = fold(entries, u64::MAX)?;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let held = host.held_locks("", "", 1_000).await.map_err(|error| text(&error))?;
    let folded = world.locks.iter();
    let folded = folded.filter(|(_, lock)| !lock.grants.is_empty() || !lock.waiters.is_empty());
    let folded: Vec<_> = folded.map(|(name, lock)| (name.to_owned(), lock.clone())).collect();
    for ((name, one), (other_name, other)) in held.iter().zip(&folded) {
        // A list forgets what only a decision needs once nobody holds the lock or waits for it.
        let same = name == other_name && one.grants == other.grants && one.waiters == other.waiters;
        hold!(same, "live {name} {one:?}, folded {other_name} {other:?}");
    }
    let (count, wanted) = (held.len(), folded.len());
    hold!(count == wanted, "{count} locks are held, {wanted} by the journal");
    for (name, folded) in world.locks.iter() {
        let stream = StreamId::new("lock", name).ok_or("a lock without a name")?;
        let shown = host.ask::<Lock>(stream, LockCommand::Show, asker()).await;
        let folded = folded.view_at(host.now().unwrap_or_default());
        let right =
            matches!(&shown, Ok(receipt) if receipt.reply == LockReply::State(folded.clone()));
        hold!(right, "live {name} {shown:?}, folded {folded:?}");
    }
    let live = host.dependency(DEPENDENCY).await.map_err(|error| text(&error))?;
    let folded = world.dependencies.get(DEPENDENCY).cloned();
    hold!(live == folded, "live dependency {live:?}, folded {folded:?}");
    for (id, folded) in world.sessions.iter() {
        let stream = StreamId::new("session", id).ok_or("a session without a name")?;
        let now = host.now().unwrap_or_default();
        let shown = host.ask::<Session>(stream, SessionCommand::Show, asker()).await;
        let right = match (&shown, folded) {
            (Ok(receipt), SessionState::Live(live)) => {
                matches!(&receipt.reply, SessionReply::Shown(shown) if **shown == *live)
            },
            // Run out, and not swept yet.
            (Err(Failure::Rejected { .. }), SessionState::Live(live)) => live.expires_at() <= now,
            (Err(Failure::Rejected { .. }), _) => true,
            _ => false,
        };
        hold!(right, "live session {id} {shown:?}, folded {folded:?}");
    }
    Ok(())
}

fn asker() -> Meta {
    Meta::of(&Arc::from("check"))
}

/// The end of a session has released its locks. A closed journal takes no release.
pub(crate) fn ended_sessions_hold_nothing(
    entries: &[Entry],
    refusing: Option<&Refusal>,
) -> Result<(), String> {
    if refusing.is_some() {
        return Ok(());
    }
    let world = fold(entries, u64::MAX)?;
    let over = |state: &SessionState| matches!(state, SessionState::Ended { .. });
    let sessions = world.sessions.iter().filter(|(_, state)| over(state));
    let ended: BTreeSet<&str> = sessions.map(|(id, _)| id).collect();
    for (name, lock) in world.locks.iter() {
        let held = lock.grants.iter().find(|grant| {
            grant.claim.session.as_deref().is_some_and(|session| ended.contains(session))
        });
        hold!(held.is_none(), "{name} is held for a session that has ended: {held:?}");
    }
    Ok(())
}
