//! What the events say: starts, levels, dependencies, keys, attestations. Everybody's sessions and locks
//! are left alone.
//!
//! ```text
//!   base, if months were dropped ─► world of system, dependencies, keys
//!   find(types of these) ─────────► fold · what happened in the last day
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_actors::codec::Payload;
use mainstay_actors::dependency::{Dependency, DependencyEvent, DependencyState};
use mainstay_actors::host::{BaseError, begin_stream, begin_world};
use mainstay_actors::key::{Key, KeyEvent, KeyState, RefusedBecause};
use mainstay_actors::machine::Machine;
use mainstay_actors::system::{System, SystemEvent, SystemState};
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::{Query, ReadError, ReadLog, RecordRef, StreamId};

use super::time_of;
use crate::preflight::ATTESTATIONS;
use crate::preflight::facts::{DependencyFacts, JournalFacts, KeyFacts, Start, Voucher};
use crate::preflight::words::DAY_MS;

/// Newest events that are looked at for who named a trace.
const NEWEST: u64 = 10_000;
/// Contradictions that are told at most.
const TOLD: usize = 100;

/// What is counted of a dependency beside its fold.
#[derive(Debug, Default)]
struct Counts {
    observed_at: Option<Timestamp>,
    calls: u64,
    failures: u64,
    openings: u64,
}

struct Walk {
    now: Timestamp,
    world: World,
    facts: JournalFacts,
    counts: BTreeMap<String, Counts>,
}

pub(super) fn read(log: &dyn ReadLog, now: Timestamp) -> Result<JournalFacts, ReadError> {
    let head = log.head();
    let mut walk = Walk {
        now,
        world: World::default(),
        facts: JournalFacts { epoch: head.epoch, position: head.position, ..Default::default() },
        counts: BTreeMap::new(),
    };
    let mut from = 0;
    if let Some(base) = log.base() {
        let kinds = [System::KIND, Dependency::KIND, Key::KIND];
        let wants = |stream: &StreamId| kinds.contains(&stream.kind());
        match begin_world(&base, &mut walk.world, &wants) {
            Ok(_) => from = base.head().position,
            Err(BaseError::Read(error)) => return Err(error),
            // Another version wrote it: the archive is folded from its beginning.
            Err(BaseError::OtherVersion { .. }) => walk.world = World::default(),
        }
        let health = walk.world.system.get("health").cloned().unwrap_or_default();
        walk.facts.levels.extend(health.since.map(|since| (since, health.level)));
    }
    let catalogues =
        [SystemEvent::catalogue(), DependencyEvent::catalogue(), KeyEvent::catalogue()].concat();
    let types = catalogues.into_iter().map(|(_, id)| id).collect();
    let query = Query { types, after: from, ..Query::default() };
    log.find(&query, &mut |record| {
        walk.see(&record);
        ControlFlow::Continue(())
    })?;
    let Walk { world, mut facts, mut counts, .. } = walk;
    facts.first_at = time_of(log, from + 1)?;
    facts.last_at = time_of(log, head.position)?;
    let week = Timestamp::from_micros(now.as_micros().saturating_sub(7 * DAY_MS * 1_000));
    let before = log.position_at(week.as_micros()).unwrap_or(from);
    facts.events_of_week = head.position.saturating_sub(before.max(from));
    let states = world.dependencies.iter();
    facts.dependencies =
        states.filter_map(|(name, it)| dependency(name, it, &mut counts)).collect();
    for (name, state) in world.keys.iter() {
        facts.keys.extend(key(log, (name, state), from, now)?);
    }
    facts.correlated = correlated(log, week)?;
    Ok(facts)
}

impl Walk {
    fn see(&mut self, record: &RecordRef<'_>) {
        let (kind, id) = record.kind_and_id();
        let event = match AnyEvent::decode(kind, record.type_id, record.schema, record.payload) {
            Ok(event) => event,
            Err(reason) => return self.bad(record, &reason),
        };
        if let Err(reason) = self.world.apply(id, &event) {
            self.bad(record, &reason);
        }
        let of_day = self.now.ms_since(Timestamp::from_micros(record.at_us)) <= DAY_MS;
        match event {
            AnyEvent::System(event) => self.system(event, of_day),
            AnyEvent::Dependency(event) => self.dependency(id, &event, of_day),
            AnyEvent::Key(KeyEvent::AccessRefused(refused)) if of_day => {
                let stale = [RefusedBecause::Expired, RefusedBecause::Revoked];
                self.facts.refusals_of_day += 1;
                self.facts.stale_tries_of_day += u64::from(stale.contains(&refused.because));
            },
            _ => {},
        }
    }

    fn bad(&mut self, record: &RecordRef<'_>, reason: &dyn std::fmt::Display) {
        if self.facts.unreadable.len() < TOLD {
            self.facts.unreadable.push(format!("position {}: {reason}", record.position));
        }
    }

    fn system(&mut self, event: SystemEvent, of_day: bool) {
        match event {
            SystemEvent::Booted(event) => {
                if !of_day {
                    self.facts.starts.clear();
                }
                self.facts.starts.push(Start { at: event.at, version: event.version });
            },
            SystemEvent::LevelChanged(event) => self.facts.levels.push((event.at, event.to)),
            _ => {},
        }
    }

    fn dependency(&mut self, name: &str, event: &DependencyEvent, of_day: bool) {
        let counts = self.counts.entry(name.to_owned()).or_default();
        match event {
            DependencyEvent::WindowObserved(event) => {
                counts.observed_at = Some(event.at);
                if of_day {
                    for second in &event.window.seconds {
                        counts.calls += u64::from(second.calls);
                        counts.failures += u64::from(second.failures);
                    }
                }
            },
            DependencyEvent::BreakerOpened(_) if of_day => counts.openings += 1,
            _ => {},
        }
    }
}

fn dependency(
    name: &str,
    state: &DependencyState,
    counts: &mut BTreeMap<String, Counts>,
) -> Option<DependencyFacts> {
    let settings = state.settings.clone().filter(|_| !state.retired)?;
    let counts = counts.remove(name).unwrap_or_default();
    Some(DependencyFacts {
        name: name.to_owned(),
        settings,
        mode: state.breaker.mode,
        is_known: state.score().is_some(),
        observed_at: counts.observed_at,
        calls_of_day: counts.calls,
        failures_of_day: counts.failures,
        openings_of_day: counts.openings,
    })
}

/// A key, if it lets somebody in. Whether it was used in dropped months is not asked: their archive may
/// be away.
fn key(
    log: &dyn ReadLog,
    (name, state): (&str, &KeyState),
    after: u64,
    now: Timestamp,
) -> Result<Option<KeyFacts>, ReadError> {
    let good = |key: &&mainstay_actors::key::KeyFacts| key.refusal(now).is_none();
    let Some(key) = state.key.as_ref().filter(good) else { return Ok(None) };
    let secrets = key.good_secrets(now).count();
    if secrets == 0 {
        return Ok(None);
    }
    let query = Query { principal: Some(format!("key:{name}")), after, ..Query::default() };
    let mut used_at = None;
    log.find_back(&query, &mut |record| {
        used_at = Some(Timestamp::from_micros(record.at_us));
        ControlFlow::Break(())
    })?;
    Ok(Some(KeyFacts {
        name: name.to_owned(),
        role: key.role,
        of_tenant: key.tenant.is_some(),
        created_at: key.created_at,
        rotated_at: key.rotated_at(),
        expires_at: key.expires_at,
        overlaps_since: (secrets > 1).then(|| key.rotated_at()),
        used_at,
    }))
}

/// Of the newest events that callers caused: how many, and how many of them name a trace or request.
fn correlated(log: &dyn ReadLog, since: Timestamp) -> Result<(u64, u64), ReadError> {
    let query = Query { since_us: Some(since.as_micros()), ..Query::default() };
    let (mut looked, mut events, mut named) = (0, 0, 0);
    log.find_back(&query, &mut |record| {
        looked += 1;
        if record.principal == "local" || record.principal.starts_with("key:") {
            events += 1;
            named += u64::from(record.correlation.is_some());
        }
        if looked < NEWEST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((events, named))
}

/// What somebody vouches for, by item, with who does: whether it still holds is another question.
///
/// # Errors
/// The journal cannot be read there.
pub fn vouchers(log: &dyn ReadLog) -> Result<BTreeMap<String, Voucher>, ReadError> {
    let mut vouchers = BTreeMap::new();
    let Some(stream) = StreamId::new(System::KIND, ATTESTATIONS) else { return Ok(vouchers) };
    let mut from = mainstay_journal::Head::default();
    if let Some(base) = log.base()
        && let Some(kept) = base.state(&stream)?
    {
        let mut world = World::default();
        if begin_stream(&mut world, &kept).is_some() {
            from = kept.head;
        }
        let state: SystemState = world.system.get(ATTESTATIONS).cloned().unwrap_or_default();
        vouchers.extend(state.attestations.into_iter().map(|(item, it)| {
            let (evidence, release, at, until) = (it.evidence, it.release, it.at, it.until);
            (item, Voucher { evidence, release, by: None, at, until })
        }));
    }
    let head = log.stream_head(&stream, log.head().position)?;
    log.read_between(&stream, from, head, &mut |record| {
        match SystemEvent::decode(record.type_id, record.schema, record.payload) {
            Ok(SystemEvent::Attested(it)) => {
                let by = Some(record.principal.to_owned());
                let (evidence, release, at, until) = (it.evidence, it.release, it.at, it.until);
                vouchers.insert(it.item, Voucher { evidence, release, by, at, until });
            },
            Ok(SystemEvent::AttestationWithdrawn(it)) => drop(vouchers.remove(&it.item)),
            // No other event is in this stream.
            _ => {},
        }
        ControlFlow::Continue(())
    })?;
    Ok(vouchers)
}
