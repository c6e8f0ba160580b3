//! Sessions on the way: counted, and the first few by name.

use mainstay_actors::host::Fence;
use mainstay_actors::session::{EndReason, SessionEvent, SessionState};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::World;
use mainstay_journal::RecordRef;

use super::ENTITIES;
use super::model::{SessionTale, SessionsDiff};

/// What was seen of sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    from: Timestamp,
    told: SessionsDiff,
}

impl Sessions {
    pub(super) fn new(from: Timestamp, world: &World) -> Self {
        let told = SessionsDiff { live_before: live(world, from), ..SessionsDiff::default() };
        Self { from, told }
    }

    pub(super) fn see(
        &mut self,
        world: &World,
        id: &str,
        record: &RecordRef<'_>,
        event: &SessionEvent,
    ) {
        match event {
            SessionEvent::SessionCreated(event) => self.began(id, &event.subject, record),
            SessionEvent::SessionImported(event) => self.began(id, &event.subject, record),
            SessionEvent::SessionTouched(_) | SessionEvent::SessionPatched(_) => {
                self.told.touched += 1;
            },
            SessionEvent::SessionEnded(event) => {
                let subject = match world.sessions.get(id) {
                    Some(SessionState::Live(live)) => live.subject.to_string(),
                    _ => String::new(),
                };
                self.ended(id, subject, event.reason, event.at);
            },
            // Told when the journal was restored.
            SessionEvent::SessionFenced(_) => {},
        }
    }

    fn began(&mut self, id: &str, subject: &str, record: &RecordRef<'_>) {
        let (id, subject) = (id.to_owned(), subject.to_owned());
        let at = Timestamp::from_micros(record.at_us);
        self.told.created.push(SessionTale { id, subject, at, reason: None }, ENTITIES);
    }

    /// One that had run out before the walk began is no news, whenever it was swept.
    fn ended(&mut self, id: &str, subject: String, reason: EndReason, at: Timestamp) {
        if matches!(reason, EndReason::Idle | EndReason::MaxAge) && at <= self.from {
            return;
        }
        match reason {
            EndReason::Ended => self.told.ended_by_caller += 1,
            EndReason::Idle => self.told.ran_out += 1,
            EndReason::MaxAge => self.told.reached_max_age += 1,
            EndReason::Erased => self.told.erased += 1,
            EndReason::Restored => self.told.restored += 1,
        }
        let tale = SessionTale { id: id.to_owned(), subject, at, reason: Some(reason) };
        self.told.ended.push(tale, ENTITIES);
    }

    /// Every live session ends with a restore, or has run out before it.
    pub(super) fn fence(&mut self, world: &World, fence: Fence) {
        self.run_out(world, fence.at);
        for (id, state) in world.sessions.iter() {
            if let SessionState::Live(it) = state
                && it.expires_at() > fence.at
            {
                self.ended(id, it.subject.to_string(), EndReason::Restored, fence.at);
            }
        }
    }

    /// Sessions that have run out by now are over, swept or not.
    pub(super) fn end(mut self, world: &World, now: Timestamp) -> SessionsDiff {
        self.run_out(world, now);
        self.told.live_after = live(world, now);
        self.told
    }

    fn run_out(&mut self, world: &World, now: Timestamp) {
        for (id, state) in world.sessions.iter() {
            if let SessionState::Live(it) = state
                && it.expires_at() <= now
            {
                let at = it.expires_at();
                let aged = it.ends_at == Some(at);
                let reason = if aged { EndReason::MaxAge } else { EndReason::Idle };
                self.ended(id, it.subject.to_string(), reason, at);
            }
        }
    }
}

fn live(world: &World, at: Timestamp) -> u64 {
    let lives = |state: &&SessionState| match state {
        SessionState::Live(live) => live.expires_at() > at,
        SessionState::Absent | SessionState::Ended { .. } => false,
    };
    world.sessions.values().filter(lives).count() as u64
}
