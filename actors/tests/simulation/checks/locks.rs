//! Leases: one at a time, with rising tokens, by the journal and by what holders were told.

use std::collections::BTreeMap;

use mainstay_actors::lock::{LeaseGranted, LockCommand, LockEvent, LockReply};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::AnyEvent;

use super::hold;
use super::journal::Entry;
use crate::history::{Command, History, Said};

/// The grants of all locks, by stream and token.
type Grants<'e> = BTreeMap<(&'e str, u64), &'e LeaseGranted>;

fn events(entries: &[Entry]) -> impl Iterator<Item = (&Entry, &LockEvent)> {
    entries.iter().filter_map(|entry| match &entry.event {
        AnyEvent::Lock(event) => Some((entry, event)),
        _ => None,
    })
}

pub(crate) fn grants(entries: &[Entry]) -> Grants<'_> {
    let granted = events(entries).filter_map(|(entry, event)| match event {
        LockEvent::LeaseGranted(granted) => Some(((entry.stream.as_str(), granted.token), granted)),
        _ => None,
    });
    granted.collect()
}

/// By the journal: a grant follows the end of the one before, with a higher token, and a request has
/// one at most.
pub(crate) fn one_at_a_time(entries: &[Entry]) -> Result<(), String> {
    let mut live = BTreeMap::<&str, u64>::new();
    let mut last = BTreeMap::<&str, u64>::new();
    let mut requests = BTreeMap::<(&str, &str), u64>::new();
    for (entry, event) in events(entries) {
        let lock = entry.stream.as_str();
        match event {
            LockEvent::LeaseGranted(granted) => {
                let other = live.insert(lock, granted.token);
                hold!(other.is_none(), "{other:?} is live at {entry:?}");
                let before = last.insert(lock, granted.token).unwrap_or_default();
                hold!(granted.token > before, "{before} was given before {entry:?}");
                if let Some(request) = &granted.claim.request {
                    let twice = requests.insert((lock, request), granted.token);
                    hold!(twice.is_none(), "granted twice: {twice:?} and {entry:?}");
                }
            },
            LockEvent::LeaseReleased(over) => ends(&mut live, entry, over.token)?,
            LockEvent::LeaseExpired(over) => ends(&mut live, entry, over.token)?,
            LockEvent::LeaseRevoked(over) => ends(&mut live, entry, over.token)?,
            _ => {},
        }
    }
    Ok(())
}

fn ends<'e>(live: &mut BTreeMap<&'e str, u64>, entry: &'e Entry, token: u64) -> Result<(), String> {
    let ended = live.remove(entry.stream.as_str());
    hold!(ended == Some(token), "{ended:?} is live at {entry:?}");
    Ok(())
}

/// A stretch in which a holder may believe that the lock is its own.
#[derive(Debug, Clone, Copy)]
struct Hold {
    token: u64,
    since: (u64, Timestamp),
    until: Timestamp,
    /// The step at which it was given back.
    released: u64,
}

/// By what holders were told: nobody is given a lease while another believes in one, and who asks
/// after an answer gets a higher token than that answer had.
pub(crate) fn holders_never_meet(history: &History, entries: &[Entry]) -> Result<(), String> {
    let grants = grants(entries);
    let mut holds = BTreeMap::<&str, Vec<Hold>>::new();
    for act in &history.acts {
        let Some((answered, Said::Lock(Ok(receipt)))) = &act.answered else { continue };
        let LockReply::Lease(lease) = &receipt.reply else { continue };
        let Some(granted) = grants.get(&(act.stream.as_str(), lease.token)) else {
            return Err(format!("{act:?}: this token was never granted"));
        };
        let acquired = matches!(&act.command, Command::Lock(LockCommand::Acquire { .. }));
        // A waiter's grant passes on unless it is claimed; a session's end is not the holder's doing.
        if granted.claim.session.is_some() || (acquired && granted.claim_by.is_some()) {
            continue;
        }
        let hold = Hold {
            token: lease.token,
            since: (answered.step, answered.at),
            until: lease.expires_at,
            released: released(history, &act.stream, lease.token),
        };
        holds.entry(&act.stream).or_default().push(hold);
    }
    for (lock, holds) in &holds {
        for (index, one) in holds.iter().enumerate() {
            for other in holds.iter().skip(index + 1).filter(|other| other.token != one.token) {
                let (first, second) =
                    if one.since.0 < other.since.0 { (one, other) } else { (other, one) };
                let over = first.released < second.since.0 || first.until <= second.since.1;
                hold!(over, "{lock}: {first:?} was not over when {second:?} was given");
            }
        }
    }
    Ok(())
}

/// The step at which somebody began to give the lease back; far away if nobody did.
fn released(history: &History, stream: &str, token: u64) -> u64 {
    let release = history.acts.iter().find(|act| {
        act.stream == stream
            && matches!(&act.command,
                Command::Lock(LockCommand::Release { token: named, .. }) if *named == token)
    });
    release.map_or(u64::MAX, |act| act.asked.step)
}

/// Who asks for a new lease after somebody was told of one gets a higher token.
pub(crate) fn tokens_rise_in_real_time(history: &History) -> Result<(), String> {
    let mut told = BTreeMap::<&str, Vec<(u64, u64, Option<&str>)>>::new();
    for act in &history.acts {
        let Command::Lock(LockCommand::Acquire { .. }) = &act.command else { continue };
        let Some((answered, Said::Lock(Ok(receipt)))) = &act.answered else { continue };
        let LockReply::Lease(lease) = &receipt.reply else { continue };
        let of_lock = told.entry(&act.stream).or_default();
        // A retry gets the lease of its first try.
        let first = act.key.as_deref().is_none_or(|key| asked_once(history, key));
        if first {
            let higher = of_lock
                .iter()
                .find(|(step, token, _)| *step < act.asked.step && *token >= lease.token);
            hold!(higher.is_none(), "{act:?} came after {higher:?}");
        }
        if let Some(key) = act.key.as_deref() {
            let other =
                of_lock.iter().find(|(_, token, of)| *of == Some(key) && *token != lease.token);
            hold!(other.is_none(), "one request, two leases: {act:?} and {other:?}");
        }
        of_lock.push((answered.step, lease.token, act.key.as_deref()));
    }
    Ok(())
}

fn asked_once(history: &History, key: &str) -> bool {
    history.acts.iter().filter(|act| act.key.as_deref() == Some(key)).count() == 1
}
