//! When each live session ends: what a start needs to know of sessions.
//!
//! ```text
//!   kept, by id      a ───── c ───── d ─────►┐
//!                                            ├─► merge ─► a, b, d: by id, with their ends
//!   events since     b created · c ended · d touched ►┘
//! ```
//!
//! No session is held here that has neither ended nor moved since: a million of them pass by one
//! after the other.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io;

use serde::{Deserialize, Serialize};

use crate::fast::Fast;
use crate::session::{Live, SessionEvent};
use crate::time::Timestamp;

/// When a live session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// Unless it is touched.
    idle_until: Timestamp,
    /// Whatever happens.
    ends_at: Option<Timestamp>,
}

impl Due {
    pub(crate) fn of(live: &Live) -> Self {
        Self { idle_until: live.idle_until, ends_at: live.ends_at }
    }

    /// The same of a session that a restore has ended.
    pub(crate) fn fenced(self, at: Timestamp) -> Self {
        Self { idle_until: self.idle_until.min(at), ..self }
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.ends_at.map_or(self.idle_until, |end| end.min(self.idle_until))
    }
}

/// A live session's id, `{tenant}/{id}`, and its ends.
pub(crate) type LiveSession = (Box<str>, Due);

/// What happened to sessions since the kept ones were written.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    by_id: HashMap<Box<str>, Change, BuildHasherDefault<Fast>>,
    /// Sessions that are not in here may be among the kept ones.
    pub(crate) since_kept: bool,
    /// The journal was restored since the kept ones were written.
    fenced: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Created(Due),
    Touched(Timestamp),
    Ended,
}

impl Changes {
    /// Every session up to here is over: it is due at once.
    pub(crate) fn fence(&mut self, at: Timestamp) {
        for change in self.by_id.values_mut() {
            match change {
                Change::Created(due) => *due = due.fenced(at),
                Change::Touched(until) => *until = at.min(*until),
                Change::Ended => {},
            }
        }
        self.fenced.get_or_insert(at);
    }

    pub(crate) fn take(&mut self, id: &str, event: &SessionEvent) {
        let idle_until = match event {
            SessionEvent::SessionCreated(event) => {
                let due = Due { idle_until: event.idle_until, ends_at: event.ends_at };
                self.by_id.insert(id.into(), Change::Created(due));
                return;
            },
            SessionEvent::SessionImported(event) => {
                let due = Due { idle_until: event.idle_until, ends_at: event.ends_at };
                self.by_id.insert(id.into(), Change::Created(due));
                return;
            },
            SessionEvent::SessionEnded(_) | SessionEvent::SessionFenced(_) => {
                if self.since_kept {
                    self.by_id.insert(id.into(), Change::Ended);
                } else {
                    self.by_id.remove(id);
                }
                return;
            },
            SessionEvent::SessionTouched(event) => event.idle_until,
            SessionEvent::SessionPatched(event) => event.idle_until,
        };
        match self.by_id.get_mut(id) {
            Some(Change::Created(due)) => due.idle_until = idle_until,
            Some(Change::Touched(until)) => *until = idle_until,
            Some(Change::Ended) => {},
            None => drop(self.by_id.insert(id.into(), Change::Touched(idle_until))),
        }
    }

    /// Every live session, by id; `kept` is in order.
    pub(crate) fn merge(
        self,
        kept: impl Iterator<Item = io::Result<LiveSession>>,
    ) -> impl Iterator<Item = io::Result<LiveSession>> {
        let fenced = self.fenced;
        let kept = kept.map(move |session| {
            let (id, due) = session?;
            Ok((id, fenced.map_or(due, |at| due.fenced(at))))
        });
        let mut changes: Vec<_> = self.by_id.into_iter().collect();
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut changes = changes.into_iter().peekable();
        let mut kept = kept.peekable();
        std::iter::from_fn(move || {
            loop {
                let order = match (kept.peek(), changes.peek()) {
                    (Some(Err(_)) | None, None) | (Some(Err(_)), _) => return kept.next(),
                    (Some(Ok((id, _))), Some((changed, _))) => id.cmp(changed),
                    (Some(Ok(_)), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                };
                if order == Ordering::Less {
                    return kept.next();
                }
                let known = if order == Ordering::Equal { kept.next()?.ok() } else { None };
                let (id, change) = changes.next()?;
                let due = match (change, known) {
                    (Change::Created(due), _) => due,
                    (Change::Touched(idle_until), Some((_, due))) => Due { idle_until, ..due },
                    // It has ended, or its beginning cannot be read.
                    (Change::Ended, _) | (Change::Touched(_), None) => continue,
                };
                return Some(Ok((id, due)));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Changes, Due, LiveSession};
    use crate::session::{
        Attributes, EndReason, SessionCreated, SessionEnded, SessionEvent, SessionTouched,
    };
    use crate::time::Timestamp;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// Creates, touches and ends some of forty sessions, by a fixed pattern.
    fn events(count: u64) -> Vec<(String, SessionEvent)> {
        let mut live = BTreeSet::new();
        let mut events = Vec::new();
        for turn in 1..=count {
            let id = format!("default/{:02}", turn * turn * 7 % 40);
            let idle_until = at(turn + 30);
            let event: SessionEvent = match (live.contains(&id), turn % 3) {
                (false, _) => SessionCreated {
                    tenant: "default".into(),
                    subject: "someone".into(),
                    ttl_ms: 30_000,
                    at: at(turn),
                    idle_until,
                    ends_at: (turn % 2 == 0).then(|| at(turn + 40)),
                    attributes: Attributes::default(),
                }
                .into(),
                (true, 0) => SessionEnded { reason: EndReason::Ended, at: at(turn) }.into(),
                (true, _) => SessionTouched { at: at(turn), idle_until }.into(),
            };
            if matches!(event, SessionEvent::SessionEnded(_)) {
                live.remove(&id);
            } else {
                live.insert(id.clone());
            }
            events.push((id, event));
        }
        events
    }

    fn live(kept: Option<Vec<LiveSession>>, events: &[(String, SessionEvent)]) -> Vec<LiveSession> {
        let mut changes = Changes { since_kept: kept.is_some(), ..Changes::default() };
        for (id, event) in events {
            changes.take(id, event);
        }
        let kept = kept.unwrap_or_default().into_iter().map(Ok);
        changes.merge(kept).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn kept_sessions_and_what_came_after_are_what_one_fold_gives() {
        let all = events(300);
        for kept_at in [0, 1, 37, 150, 299, 300] {
            let (before, after) = all.split_at(kept_at);
            let whole = live(None, &all);
            assert_eq!(live(Some(live(None, before)), after), whole, "kept at {kept_at}");
            assert!(whole.len() > 5 && whole.is_sorted_by(|(one, _), (other, _)| one < other));
        }
    }

    #[test]
    fn a_restore_makes_every_session_due_that_began_before_it_and_no_other() {
        let all = events(300);
        let (before, after) = all.split_at(200);
        let fence = at(200);
        // Behind a restore only the end of what it has ended can follow, and what begins anew.
        let fenced: BTreeSet<_> = live(None, before).into_iter().map(|(id, _)| id).collect();
        let is_new = |(id, _): &&(String, SessionEvent)| !fenced.contains(&**id);
        let after: Vec<_> = after.iter().filter(is_new).cloned().collect();
        let first = fenced.first().unwrap().clone();
        let ended = SessionEnded { reason: EndReason::Restored, at: fence }.into();
        for kept_at in [0, 37, 200] {
            let (old, rest) = before.split_at(kept_at);
            let mut changes = Changes { since_kept: kept_at > 0, ..Changes::default() };
            for (id, event) in rest {
                changes.take(id, event);
            }
            changes.fence(fence);
            changes.take(&first, &ended);
            for (id, event) in &after {
                changes.take(id, event);
            }
            let kept = live(None, old).into_iter().map(Ok);
            let found: Vec<LiveSession> = changes.merge(kept).collect::<Result<_, _>>().unwrap();
            let old = found.iter().filter(|(id, _)| fenced.contains(id)).count();
            assert_eq!(old, fenced.len() - 1, "one has said so, kept at {kept_at}");
            for (id, due) in &found {
                assert_eq!(due.at() <= fence, fenced.contains(id), "{id}, kept at {kept_at}");
            }
            let new = found.iter().filter(|(id, _)| !fenced.contains(id)).count();
            assert!(new > 0, "none began behind it");
        }
    }

    #[test]
    fn a_session_ends_at_the_earlier_of_its_two_ends() {
        let due = |idle, end: Option<u64>| Due { idle_until: at(idle), ends_at: end.map(at) }.at();
        assert_eq!([due(5, None), due(5, Some(9)), due(5, Some(3))], [at(5), at(5), at(3)]);
    }
}
