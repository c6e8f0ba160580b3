//! When the deadline queue wakes an entity: at its next deadline, or after a pause.

use mainstay_journal::StreamId;

use super::life::Entity;
use super::registry::Shared;
use super::views::Hosted;
use crate::time::Timestamp;

/// An entity's place in the deadline queue. It outlives a refusal, so that no entry is doubled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarm {
    /// The earliest entry that is known; a wake before it comes from one that was overtaken.
    pub(super) timer: Option<Timestamp>,
    /// A deadline that was not carried out is not looked at before this.
    pub(super) not_before: Timestamp,
    /// Refusals since the last durable event: each doubles the pause.
    pub(super) refusals: u32,
}

/// The first pause after a refusal, in milliseconds; later ones are at most 32 times as long.
const PAUSE_MS: u64 = 250;

impl Alarm {
    /// Nothing more is tried by itself before the pause is over.
    pub(super) fn pause(&mut self, now: Timestamp) {
        self.not_before = now.plus_ms(PAUSE_MS << self.refusals.min(5));
    }
}

/// Sees to it that the deadline queue knows the entity's next deadline.
pub(super) fn schedule<M: Hosted>(shared: &Shared, stream: &StreamId, entity: &mut Entity<M>) {
    if let Some(deadline) = M::deadline(&entity.state) {
        wake_at(shared, stream, entity, deadline.max(entity.alarm.not_before));
    }
}

/// Wakes a refused entity after a pause: the state that was dropped may have hidden a deadline,
/// and nobody else may ever ask.
pub(super) fn look_again<M: Hosted>(shared: &Shared, stream: &StreamId, entity: &mut Entity<M>) {
    entity.alarm.pause(shared.clock.now());
    entity.alarm.refusals = entity.alarm.refusals.saturating_add(1);
    wake_at(shared, stream, entity, entity.alarm.not_before);
}

fn wake_at<M: Hosted>(shared: &Shared, stream: &StreamId, entity: &mut Entity<M>, at: Timestamp) {
    if entity.alarm.timer.is_none_or(|timer| at < timer) {
        entity.alarm.timer = Some(shared.timers.schedule::<M>(at, stream.clone()));
    }
}
