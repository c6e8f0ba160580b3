//! The walk from one place to another: gives each event to the part that tells of it.

use mainstay_actors::host::Fence;
use mainstay_actors::system::SystemEvent;
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::{ReadError, ReadLog, RecordRef, StreamId};
use serde_json::json;

use super::dependencies::Dependencies;
use super::locks::Locks;
use super::model::{Diff, Few, HealthDiff, Step};
use super::sessions::Sessions;
use super::{Place, STEPS};
use crate::travel::tell;

/// See the module.
#[derive(Debug)]
pub(super) struct Walk {
    from: Place,
    to: Place,
    events: u64,
    starts: Few<Step>,
    restores: Few<Step>,
    health: HealthDiff,
    dependencies: Dependencies,
    locks: Locks,
    sessions: Sessions,
    subjects: Few<Step>,
}

impl Walk {
    pub(super) fn new(from: Place, to: Place, world: &World) -> Self {
        let before = world.system.get("health").map(|it| it.level).unwrap_or_default();
        Self {
            from,
            to,
            events: 0,
            starts: Few::default(),
            restores: Few::default(),
            health: HealthDiff { before, after: before, changes: Few::default() },
            dependencies: Dependencies::default(),
            locks: Locks::new(from.judged_at()),
            sessions: Sessions::new(from.judged_at(), world),
            subjects: Few::default(),
        }
    }

    /// Takes one event and the world before it.
    pub(super) fn see(&mut self, world: &World, record: &RecordRef<'_>, event: &AnyEvent) {
        self.events += 1;
        let (_, id) = record.kind_and_id();
        match event {
            AnyEvent::System(SystemEvent::Booted(_)) => {
                self.starts.push(step(record, event, None), STEPS);
            },
            AnyEvent::System(SystemEvent::Restored(_)) => {
                self.restores.push(step(record, event, None), STEPS);
                let (position, at) = (record.position, Timestamp::from_micros(record.at_us));
                self.fence(world, Fence { position, at });
            },
            AnyEvent::System(SystemEvent::LevelChanged(change)) => {
                self.health.after = change.to;
                self.health.changes.push(step(record, event, None), STEPS);
            },
            AnyEvent::Dependency(_) => self.dependencies.see(world, id, record, event),
            // Counted; the audit trail has them.
            AnyEvent::Key(_)
            | AnyEvent::Chaos(_)
            | AnyEvent::System(
                SystemEvent::MonthsDropped(_)
                | SystemEvent::Attested(_)
                | SystemEvent::AttestationWithdrawn(_)
                | SystemEvent::BackupMade(_)
                | SystemEvent::BackupFailed(_)
                | SystemEvent::BackupsStalled(_)
                | SystemEvent::BackupsResumed(_)
                | SystemEvent::DrillCompleted(_),
            ) => {},
            AnyEvent::Lock(told) => self.locks.see(world, id, record, told),
            AnyEvent::Session(told) => self.sessions.see(world, id, record, told),
            AnyEvent::Subject(_) => self.subjects.push(step(record, event, None), STEPS),
        }
    }

    /// Ends what lives in the world before a restore. That each entity says so later is no news.
    pub(super) fn fence(&mut self, world: &World, fence: Fence) {
        self.locks.fence(world, fence);
        self.sessions.fence(world, fence);
    }

    /// Looks at the world where the walk ends.
    pub(super) fn end(
        self,
        log: &dyn ReadLog,
        world: &World,
        stream: Option<&StreamId>,
    ) -> Result<Diff, ReadError> {
        let now = self.to.judged_at();
        Ok(Diff {
            from: self.from,
            to: self.to,
            stream: stream.map(|it| it.as_str().to_owned()),
            events: self.events,
            starts: self.starts,
            restores: self.restores,
            health: self.health,
            dependencies: self.dependencies.end(world),
            locks: self.locks.end(log, world, now)?,
            sessions: self.sessions.end(world, now),
            subjects: self.subjects,
        })
    }
}

/// An event as a step.
pub(super) fn step(record: &RecordRef<'_>, event: &AnyEvent, owner: Option<&str>) -> Step {
    let (_, id) = record.kind_and_id();
    let at = Timestamp::from_micros(record.at_us);
    Step {
        at,
        position: record.position,
        name: event.name().to_owned(),
        principal: record.principal.to_owned(),
        text: tell(id, event, at, owner),
        data: json!(event),
    }
}
