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
use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::session::SessionEvent;
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
    pub(crate) fn at(&self) -> Timestamp {
        self.ends_at.map_or(self.idle_until, |end| end.min(self.idle_until))
    }
}

/// A live session's id, `{tenant}/{id}`, and its ends.
pub(crate) type LiveSession = (Box<str>, Due);

/// What happened to sessions since the kept ones were written.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    by_id: BTreeMap<Box<str>, Change>,
    /// Sessions that are not in here may be among the kept ones.
    pub(crate) since_kept: bool,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Created(Due),
    Touched(Timestamp),
    Ended,
}

impl Changes {
    pub(crate) fn take(&mut self, id: &str, event: &SessionEvent) {
        let idle_until = match event {
            SessionEvent::SessionCreated(event) => {
                let due = Due { idle_until: event.idle_until, ends_at: event.ends_at };
                self.by_id.insert(id.into(), Change::Created(due));
                return;
            },
            SessionEvent::SessionEnded(_) => {
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
        let mut changes = self.by_id.into_iter().peekable();
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
