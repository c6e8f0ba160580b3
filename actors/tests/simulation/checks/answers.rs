//! Each answer against the journal: it rests on the position that it names, which no earlier answer
//! is beyond, and what it says is what the events up to there fold to.

use std::collections::BTreeMap;

use mainstay_actors::host::Failure;
use mainstay_actors::lock::{LockCommand, LockEvent, LockReject, LockReply, LockState};
use mainstay_actors::session::{
    EndReason, SessionCommand, SessionEvent, SessionReject, SessionReply, SessionState,
};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, World};

use super::hold;
use super::journal::{Entry, fold};
use super::locks::grants;
use crate::history::{Act, Command, History, Moment, Said};

/// The events of each stream.
type Streams<'e> = BTreeMap<&'e str, Vec<Entry>>;

pub(crate) fn follow_from_the_journal(history: &History, entries: &[Entry]) -> Result<(), String> {
    let mut streams = Streams::new();
    for entry in entries {
        streams.entry(&entry.stream).or_default().push(entry.clone());
    }
    let grants = grants(entries);
    let owner_of = |stream: &str, token: u64| {
        grants.get(&(stream, token)).map(|granted| granted.claim.owner.to_string())
    };
    for act in &history.acts {
        let Some((answered, said)) = &act.answered else { continue };
        no_accident(act, said)?;
        let Some(position) = act.position() else { continue };
        hold!(position <= answered.head, "{act:?} rests on what was not durable");
        let of_stream = streams.get(act.stream.as_str()).map_or(&[][..], Vec::as_slice);
        let world = fold(of_stream, position)?;
        let place = Place { act, answered: *answered, position, entries: of_stream, world: &world };
        let right = match (&act.command, said) {
            (Command::Lock(command), Said::Lock(Ok(receipt))) => {
                let since = first_ask(history, act);
                place.lock_said_yes(command, &receipt.reply, since, &|token| {
                    owner_of(&act.stream, token)
                })
            },
            (Command::Lock(_), Said::Lock(Err(Failure::Rejected { reason, .. }))) => {
                place.lock_said_no(reason)
            },
            (Command::Session(command), Said::Session(Ok(receipt))) => {
                place.session_said_yes(command, &receipt.reply)
            },
            (Command::Session(command), Said::Session(Err(Failure::Rejected { reason, .. }))) => {
                place.session_said_no(command, reason)
            },
            _ => true,
        };
        hold!(right, "{act:?} does not follow from {of_stream:#?}");
    }
    Ok(())
}

/// What no answer may rest on: an event of the stream beyond it was acknowledged before.
pub(crate) fn are_not_stale(history: &History) -> Result<(), String> {
    let mut told = BTreeMap::<&str, Vec<(u64, u64)>>::new();
    for act in &history.acts {
        if let (Some((answered, _)), Some(position)) = (&act.answered, act.position()) {
            told.entry(&act.stream).or_default().push((answered.step, position));
        }
    }
    for act in &history.acts {
        let Some(position) = act.position() else { continue };
        let all = told.get(act.stream.as_str()).map_or(&[][..], Vec::as_slice);
        let newer = all.iter().find(|(step, told)| *step < act.asked.step && *told > position);
        hold!(newer.is_none(), "{act:?} is stale: {newer:?} was acknowledged before");
    }
    Ok(())
}

/// The host neither crashed nor lost its order.
fn no_accident(act: &Act, said: &Said) -> Result<(), String> {
    use mainstay_journal::Refusal;
    let accident = match said {
        Said::Lock(Err(failure)) => matches!(
            failure,
            Failure::Crashed
                | Failure::Quarantined
                | Failure::KeyReused
                | Failure::Refused(Refusal::Conflict { .. } | Refusal::TooLarge(_))
        ),
        Said::Session(Err(failure)) => matches!(
            failure,
            Failure::Crashed
                | Failure::Quarantined
                | Failure::KeyReused
                | Failure::Refused(Refusal::Conflict { .. } | Refusal::TooLarge(_))
        ),
        Said::Lock(Ok(_)) | Said::Session(Ok(_)) => false,
    };
    hold!(!accident, "{act:?}");
    Ok(())
}

/// The head before anybody asked for this under its key.
fn first_ask(history: &History, act: &Act) -> u64 {
    let same = |other: &&Act| act.key.is_some() && other.key == act.key;
    history.acts.iter().find(same).map_or(act.asked.head, |first| first.asked.head)
}

/// An answer and the journal of its stream.
struct Place<'a> {
    act: &'a Act,
    answered: Moment,
    position: u64,
    entries: &'a [Entry],
    world: &'a World,
}

impl Place<'_> {
    /// Whether an event lies behind `since`, up to where the answer rests.
    fn there_is(&self, since: u64, wanted: impl Fn(&AnyEvent) -> bool) -> bool {
        let inside = |entry: &&Entry| entry.position > since && entry.position <= self.position;
        self.entries.iter().filter(inside).any(|entry| wanted(&entry.event))
    }

    fn lock(&self) -> LockState {
        let (_, id) = self.act.stream.split_once('/').unwrap_or_default();
        self.world.locks.get(id).cloned().unwrap_or_default()
    }

    /// The moments between question and answer at which something ends.
    fn moments(&self) -> Vec<Timestamp> {
        let (from, to) = (self.act.asked.at, self.answered.at);
        let lock = self.lock();
        let ends = lock.grants.iter().map(mainstay_actors::lock::Grant::ends_at);
        let ends = ends.chain(lock.waiters.iter().map(|waiter| waiter.deadline));
        let inside = ends.filter(|end| (from..=to).contains(end));
        [from, to].into_iter().chain(inside).collect()
    }

    /// Whether a token is live at this moment, by the events up to where the answer rests.
    fn is_live(&self, token: u64, at: Timestamp) -> bool {
        let lock = self.lock();
        lock.grants.iter().any(|grant| grant.token == token && grant.ends_at() > at)
    }

    fn lock_said_yes(
        &self,
        command: &LockCommand,
        reply: &LockReply,
        since: u64,
        owner_of: &dyn Fn(u64) -> Option<String>,
    ) -> bool {
        use AnyEvent::Lock as Of;
        let asked = self.act.asked.head;
        match (command, reply) {
            (LockCommand::Acquire { claim, .. }, LockReply::Lease(lease)) => {
                self.there_is(since, |event| match event {
                    Of(LockEvent::LeaseGranted(granted)) => {
                        granted.token == lease.token && granted.claim.owner == claim.owner
                    },
                    _ => false,
                })
            },
            (LockCommand::Renew { token, owner, .. }, LockReply::Lease(lease)) => {
                owner_of(*token).as_ref() == Some(owner)
                    && self.there_is(asked, |event| match event {
                        Of(LockEvent::LeaseRenewed(renewed)) => {
                            (renewed.token, renewed.expires_at) == (*token, lease.expires_at)
                        },
                        _ => false,
                    })
            },
            (LockCommand::Release { token, owner }, LockReply::Ended { released: 1 }) => {
                owner_of(*token).as_ref() == Some(owner)
                    && self.there_is(asked, |event| match event {
                        Of(LockEvent::LeaseReleased(released)) => released.token == *token,
                        _ => false,
                    })
            },
            (LockCommand::Check { token }, LockReply::Checked { valid }) => {
                self.moments().into_iter().any(|at| self.is_live(*token, at) == *valid)
            },
            (LockCommand::Show, LockReply::State(view)) => {
                self.moments().into_iter().any(|at| self.lock().view_at(at) == *view)
            },
            _ => false,
        }
    }

    fn lock_said_no(&self, reason: &LockReject) -> bool {
        let lock = self.lock();
        match reason {
            LockReject::NotHeld { token } => {
                self.moments().into_iter().any(|at| !self.is_live(*token, at))
            },
            LockReject::HeldByOther { token } => {
                self.moments().into_iter().any(|at| self.is_live(*token, at))
            },
            LockReject::Held { .. } => !lock.grants.is_empty() || !lock.waiters.is_empty(),
            LockReject::WaitedInVain { .. }
            | LockReject::RequestSpent
            | LockReject::SessionEnded => true,
            _ => false,
        }
    }

    fn session(&self) -> &SessionState {
        let (_, id) = self.act.stream.split_once('/').unwrap_or_default();
        self.world.sessions.get(id).unwrap_or(&SessionState::Absent)
    }

    fn session_said_yes(&self, command: &SessionCommand, reply: &SessionReply) -> bool {
        use AnyEvent::Session as Of;
        let asked = self.act.asked;
        let is_readable = match self.session() {
            SessionState::Live(live) => live.expires_at() > asked.at,
            SessionState::Absent | SessionState::Ended { .. } => false,
        };
        match (command, reply) {
            (SessionCommand::Create { .. }, SessionReply::Shown(_)) => self
                .there_is(asked.head, |event| matches!(event, Of(SessionEvent::SessionCreated(_)))),
            (SessionCommand::Touch, SessionReply::Kept { .. }) => is_readable,
            (SessionCommand::Patch { .. }, SessionReply::Kept { revision, .. }) => {
                is_readable
                    && self.there_is(asked.head, |event| match event {
                        Of(SessionEvent::SessionPatched(patched)) => patched.revision == *revision,
                        _ => false,
                    })
            },
            (SessionCommand::End, SessionReply::Ended) => {
                self.there_is(asked.head, |event| match event {
                    Of(SessionEvent::SessionEnded(ended)) => ended.reason == EndReason::Ended,
                    _ => false,
                })
            },
            (SessionCommand::Show, SessionReply::Shown(shown)) => {
                is_readable
                    && matches!(self.session(), SessionState::Live(live) if live == &**shown)
            },
            _ => false,
        }
    }

    fn session_said_no(&self, command: &SessionCommand, reason: &SessionReject) -> bool {
        match (command, reason) {
            (SessionCommand::Create { .. }, SessionReject::Exists) => {
                *self.session() != SessionState::Absent
            },
            (_, SessionReject::NotFound) => match self.session() {
                SessionState::Live(live) => live.expires_at() <= self.answered.at,
                SessionState::Absent | SessionState::Ended { .. } => true,
            },
            _ => false,
        }
    }
}
