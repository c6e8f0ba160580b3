//! The fold up to a place, with what has ended left behind.
//!
//! ```text
//!   Fold ── advance(log, place) ──► every entity as it was there
//!            │ sessions that have ended are counted and forgotten: no event can follow them
//!            └ a stop asked for ends it between two events
//!
//! Of one tenant: up to each restore what is everybody's first, then its own; each entity's events keep
//! their order.
//! ```

use std::ops::ControlFlow;

use mainstay_actors::codec::Payload;
use mainstay_actors::dependency::{Dependency, DependencyEvent};
use mainstay_actors::host::{BaseError, Fence, begin_world, tags, tenant_of_lock};
use mainstay_actors::lock::Lock;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::session::{Session, SessionState};
use mainstay_actors::subject::Subject;
use mainstay_actors::system::{System, SystemEvent};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, Meaningless, World};
use mainstay_journal::{Query, ReadError, ReadLog, RecordRef, StreamId};

use super::Place;

/// A journal folded up to a position.
#[derive(Debug, Default)]
pub struct Fold {
    /// Every entity, without the sessions that have ended.
    pub world: World,
    /// How many sessions have ended.
    pub ended_sessions: u64,
    /// The last event that is in it.
    pub position: u64,
    /// Whose sessions and locks are folded, and nobody else's.
    tenant: Option<String>,
}

/// Why a journal cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum Unfoldable {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event contradicts the history before it.
    #[error("position {position}: {reason}; run `mainstay verify` for all findings")]
    Meaningless {
        /// Which event.
        position: u64,
        /// What it contradicts.
        reason: Meaningless,
    },
    /// The work was stopped before its end.
    #[error("stopped before the end of the fold; ask again")]
    Stopped,
}

/// How often progress is told and a stop is looked for, in events.
const STRIDE: u64 = 4_096;

impl Fold {
    /// Of one tenant: its sessions and locks, beside starts, health and dependencies.
    #[must_use]
    pub fn of_tenant(tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..Self::default() }
    }

    /// Folds on from where it is up to a place, which must not lie before. `go_on` is told the
    /// position now and then; if it says no, the fold stops there.
    ///
    /// # Errors
    /// See [`Unfoldable`].
    pub fn advance(
        &mut self,
        log: &dyn ReadLog,
        place: &Place,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Unfoldable> {
        self.walk(log, place, go_on, &mut |_, _, _| {})
    }

    /// As [`Fold::advance`], and shows every event with the world before it.
    ///
    /// # Errors
    /// See [`Unfoldable`].
    pub(crate) fn walk(
        &mut self,
        log: &dyn ReadLog,
        place: &Place,
        go_on: &mut dyn FnMut(u64) -> bool,
        visit: &mut dyn FnMut(&World, &RecordRef<'_>, &AnyEvent),
    ) -> Result<(), Unfoldable> {
        self.begin(log, place)?;
        let mut trouble = None;
        let (after, upto) = (self.position, place.position);
        let tenant = self.tenant.clone();
        let mut take = |record: RecordRef<'_>| {
            // Trouble of one query ends the next one, too.
            if record.position > upto || trouble.is_some() {
                return ControlFlow::Break(());
            }
            if record.position.is_multiple_of(STRIDE) && !go_on(record.position) {
                trouble = Some(Unfoldable::Stopped);
                return ControlFlow::Break(());
            }
            match self.take(&record, visit) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => {
                    let position = record.position;
                    trouble = Some(Unfoldable::Meaningless { position, reason });
                    ControlFlow::Break(())
                },
            }
        };
        match tenant {
            None => log.scan(after + 1, upto, &mut take)?,
            Some(tenant) => {
                for (after, until) in stretches(log, after, upto)? {
                    for query in queries(&tenant, after) {
                        log.find(&query, &mut |record| {
                            if record.position > until {
                                return ControlFlow::Break(());
                            }
                            take(record)
                        })?;
                    }
                }
            },
        }
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        self.position = upto.max(after);
        Ok(())
    }

    /// Where the first events were dropped, every state begins there; a place before that is folded from
    /// the archive.
    fn begin(&mut self, log: &dyn ReadLog, place: &Place) -> Result<(), Unfoldable> {
        let base = log.base().filter(|base| base.head().position <= place.position);
        let Some(base) = base.filter(|_| self.position == 0) else { return Ok(()) };
        let tenant = self.tenant.clone();
        let wants = |stream: &StreamId| tenant.as_deref().is_none_or(|it| is_of(it, stream));
        match begin_world(&base, &mut self.world, &wants) {
            Ok(ended) => (self.ended_sessions, self.position) = (ended, base.head().position),
            Err(BaseError::Read(error)) => return Err(error.into()),
            Err(BaseError::OtherVersion { .. }) => self.world = World::default(),
        }
        Ok(())
    }

    pub(crate) fn take(
        &mut self,
        record: &RecordRef<'_>,
        visit: &mut dyn FnMut(&World, &RecordRef<'_>, &AnyEvent),
    ) -> Result<(), Meaningless> {
        let (kind, id) = record.kind_and_id();
        let event = AnyEvent::decode(kind, record.type_id, record.schema, record.payload)?;
        visit(&self.world, record, &event);
        self.world.apply(id, &event)?;
        if matches!(&event, AnyEvent::Session(event) if event.is_end()) {
            self.world.sessions.remove(id);
            self.ended_sessions += 1;
        }
        self.position = record.position;
        Ok(())
    }

    /// Sessions that live at a time, by `{tenant}/{id}`, after one of them.
    pub(crate) fn live_sessions(
        &self,
        after: &str,
        at: Timestamp,
    ) -> impl Iterator<Item = (&str, &mainstay_actors::session::Live)> {
        self.world.sessions.after(after).filter_map(move |(id, state)| match state {
            SessionState::Live(live) if live.expires_at() > at => Some((id, live)),
            _ => None,
        })
    }
}

/// Whether a stream is everybody's or a tenant's.
fn is_of(tenant: &str, stream: &StreamId) -> bool {
    match stream.kind() {
        System::KIND | Dependency::KIND => true,
        Lock::KIND => tenant_of_lock(stream.id()) == Some(tenant),
        Session::KIND | Subject::KIND => {
            stream.id().split_once('/').is_some_and(|(whose, _)| whose == tenant)
        },
        _ => false,
    }
}

/// From behind a position up to another, cut before each restore: it ends what lived before it, and
/// nothing that came later.
fn stretches(log: &dyn ReadLog, after: u64, upto: u64) -> Result<Vec<(u64, u64)>, ReadError> {
    let mut stretches = Vec::new();
    let mut begin = after;
    for fence in Fence::between(log, after, upto)? {
        stretches.push((begin, fence.position - 1));
        begin = fence.position - 1;
    }
    stretches.push((begin, upto));
    Ok(stretches)
}

/// What is everybody's, and what is one tenant's.
fn queries(tenant: &str, after: u64) -> [Query; 2] {
    let everybodys = [SystemEvent::catalogue(), DependencyEvent::catalogue()].concat();
    let types = everybodys.into_iter().map(|(_, id)| id).collect();
    let tags = vec![(tags::TENANT, tenant.to_owned())];
    [Query { types, after, ..Query::default() }, Query { tags, after, ..Query::default() }]
}

#[cfg(test)]
mod tests {
    use mainstay_actors::lock::{Claim, LeaseGranted, LeasesFenced, LockEvent, Mode};
    use mainstay_actors::session::{Attributes, SessionCreated, SessionEvent, SessionFenced};
    use mainstay_actors::system::Restored;
    use mainstay_journal::{
        Append, Cursor, Draft, Envelope, EventLog as _, Head, MemoryLog, Outcome, Tag, Tags,
    };

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn write(log: &MemoryLog, name: &str, tenant: Option<&str>, event: &impl Payload) {
        let stream = StreamId::parse(name).unwrap();
        let Head { version, .. } = log.stream_head(&stream, u64::MAX).unwrap();
        let ((type_id, schema), mut payload) = (event.type_id(), Vec::new());
        event.encode(&mut payload).unwrap();
        let tag = tenant.map(|tenant| Tag { key: tags::TENANT, value: tenant.into() });
        let tags: Tags = tag.into_iter().collect();
        log.submit(Append {
            activation: 1,
            stream,
            expected_version: version,
            seen: None,
            envelope: Envelope {
                at_us: at(log.head().position + 1).as_micros(),
                principal: "test".into(),
                request: None,
                correlation: None,
                causation: None,
            },
            drafts: vec![Draft { type_id, schema, tags, payload }],
        })
        .unwrap();
    }

    fn granted(token: u64) -> LockEvent {
        let claim = Claim {
            owner: "ann".into(),
            session: None,
            mode: Mode::Exclusive,
            range: None,
            ttl_ms: 600_000,
            delay_ms: 0,
            request: None,
        };
        LeaseGranted { token, claim, expires_at: at(600), claim_by: None }.into()
    }

    fn created(tenant: &str) -> SessionEvent {
        let (tenant, subject) = (tenant.into(), "someone".into());
        let (at, idle_until, attributes) = (at(1), at(600), Attributes::default());
        SessionCreated { tenant, subject, ttl_ms: 9, at, idle_until, ends_at: None, attributes }
            .into()
    }

    fn restored(log: &MemoryLog) {
        log.begin_epoch();
        let Cursor { epoch, position } = log.head();
        let (fork_epoch, fork_position, source) = (epoch, position, "backup".to_owned());
        let (at, floor) = (at(position + 1), at(position));
        let event: SystemEvent = Restored { fork_epoch, fork_position, source, at, floor }.into();
        write(log, "system/restore", None, &event);
    }

    /// Leases and sessions of two tenants on both sides of two restores; some say that they are over.
    fn journal() -> MemoryLog {
        let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
        let fenced =
            |token| LockEvent::from(LeasesFenced { at: at(6), tokens: vec![token], waiters: 0 });
        write(&log, "lock/acme:a", Some("acme"), &granted(1));
        write(&log, "lock/other:a", Some("other"), &granted(1));
        write(&log, "session/acme/one", Some("acme"), &created("acme"));
        write(&log, "lock/acme:c", Some("acme"), &granted(1));
        write(&log, "session/other/one", Some("other"), &created("other"));
        restored(&log);
        write(&log, "lock/acme:b", Some("acme"), &granted(2));
        write(&log, "lock/acme:a", Some("acme"), &fenced(1));
        write(&log, "lock/acme:a", Some("acme"), &granted(3));
        write(&log, "session/acme/two", Some("acme"), &created("acme"));
        restored(&log);
        let over = SessionEvent::from(SessionFenced { at: at(6) });
        write(&log, "session/acme/one", Some("acme"), &over);
        write(&log, "lock/acme:a", Some("acme"), &fenced(3));
        write(&log, "lock/acme:d", Some("acme"), &granted(9));
        log
    }

    /// Live sessions and held locks of a tenant.
    fn lives(fold: &Fold) -> Vec<String> {
        let locks = fold.world.locks.iter().filter(|(_, lock)| lock.is_in_use());
        let sessions = fold.live_sessions("", at(1)).map(|(id, _)| id.to_owned());
        let all = locks.map(|(name, _)| name.to_owned()).chain(sessions);
        all.filter(|id| id.starts_with("acme")).collect()
    }

    #[test]
    fn a_tenant_sees_of_restores_what_everybody_sees_however_far_a_step_is() {
        let log = journal();
        let place = |position| Place { epoch: 1, position, at: None };
        for stride in 1..=14 {
            let (mut whole, mut tenants) = (Fold::default(), Fold::of_tenant("acme"));
            for position in (0..=14).step_by(stride) {
                for fold in [&mut whole, &mut tenants] {
                    fold.advance(&log, &place(position), &mut |_| true).unwrap();
                }
                assert_eq!(lives(&tenants), lives(&whole), "at {position}, by {stride}");
                let expected: &[&str] = match position {
                    5 => &["acme:a", "acme:c", "acme/one"],
                    6 | 11 | 12 | 13 => &[],
                    9 => &["acme:a", "acme:b"],
                    14 => &["acme:d"],
                    _ => continue,
                };
                assert_eq!(lives(&whole), expected, "at {position}, by {stride}");
            }
        }
    }
}
