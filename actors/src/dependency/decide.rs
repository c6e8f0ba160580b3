//! Rules on a dependency's commands.
//!
//! | command | closed | open | `half_open` | `forced_open` | disabled | `metrics_only` |
//! |---|---|---|---|---|---|---|
//! | `Trip` | → open | – | – | – | – | `ThresholdCrossed`, once |
//! | `TryHalfOpen` | – | → `half_open` when its time is over | – | – | – | – |
//! | `Conclude` | – | – | → closed or open | – | – | – |
//! | `Adopt` | → as the gate has it; → itself, if it moved here since | → | → | → | → | → |
//! | `Due` | – | → `half_open` if `auto_half_open` | → open | → closed | → closed | → closed |
//! | `Force` closed | – | → | → | → | → | → |
//! | `Force` open | → | – | → | → | → | illegal |
//! | `Force` `half_open` | illegal | → | – | → | → | illegal |
//! | `Force` `forced_open`, disabled, `metrics_only` | → | → | → | → (not to itself) | → (not to itself) | → (not to itself) |
//!
//! A dash changes nothing and is answered all the same. `Trip`, `TryHalfOpen` and `Conclude` name
//! a generation: of another one they change nothing. Every arrow bumps the generation, and the
//! deadline follows from the state, so no timer of an earlier state can act.

use super::stay::stay_ms;
use super::{
    Adoption, BreakerAdopted, BreakerClosed, BreakerForced, BreakerHalfOpened, BreakerOpened,
    Cause, Dependency, DependencyCommand, DependencyConfigured, DependencyEvent, DependencyReject,
    DependencyReply, DependencyRetired, DependencyState, Evidence, MAX_FORCE_MS, Mode, Settings,
    ThresholdCrossed, WindowObserved, fold,
};
use crate::machine::{Again, Context, Decision, Machine as _};
use crate::time::Timestamp;

type Ruling = Result<Decision<Dependency>, DependencyReject>;

/// Longest reason, in bytes.
const MAX_REASON_BYTES: usize = 1_000;

pub(super) fn decide(
    state: &DependencyState,
    command: DependencyCommand,
    context: &Context<'_>,
) -> Ruling {
    use DependencyCommand as C;

    match (state.active(), command) {
        (_, C::Configure(settings)) => configure(state, *settings),
        (_, C::Show) if state.settings.is_some() => Ok(show(state)),
        (None, C::Retire) if state.retired => Ok(nothing()),
        (Some(_), C::Retire) => Ok(event(DependencyRetired { at: context.now })),
        (Some(settings), C::Trip { generation, evidence }) if state.is_at(generation) => {
            Ok(trip(state, settings, evidence, context))
        },
        (Some(settings), C::TryHalfOpen { generation }) if state.is_at(generation) => {
            Ok(try_half_open(state, settings, context.now))
        },
        (Some(settings), C::Conclude { generation, healthy, evidence })
            if state.is_at(generation) && state.breaker.mode == Mode::HalfOpen =>
        {
            Ok(event(if healthy {
                close(state, evidence, context.now)
            } else {
                open(state, settings, evidence, None, context)
            }))
        },
        (Some(_), C::Observe { generation, window }) => {
            let mut window = *window;
            if !state.is_at(generation) {
                window.observed = state.observed.unwrap_or_default();
            }
            Ok(event(WindowObserved {
                generation: state.breaker.generation,
                at: context.now,
                configuration: state.configuration,
                window,
            }))
        },
        (Some(_), C::Adopt(adoption)) => Ok(adopt(state, *adoption, context.now)),
        (Some(settings), C::Force { to, for_ms, reason }) => {
            force(state, settings, &Order { to, for_ms, reason }, context)
        },
        (Some(settings), C::Due) => Ok(due(state, settings, context)),
        // Late, of another generation, or of a dependency that is gone: nothing to do.
        (_, C::Trip { .. } | C::TryHalfOpen { .. } | C::Conclude { .. })
        | (None, C::Observe { .. } | C::Adopt(_) | C::Due) => Ok(nothing()),
        (None, C::Force { .. } | C::Retire) | (_, C::Show) => Err(DependencyReject::Unknown),
    }
}

struct Order {
    to: Mode,
    for_ms: Option<u64>,
    reason: String,
}

impl DependencyState {
    /// Its settings, if it is configured and not retired.
    fn active(&self) -> Option<&Settings> {
        self.settings.as_ref().filter(|_| !self.retired)
    }

    fn is_at(&self, generation: u64) -> bool {
        self.breaker.generation == generation
    }

    fn next_generation(&self) -> u64 {
        self.breaker.generation.saturating_add(1)
    }
}

fn configure(state: &DependencyState, settings: Settings) -> Ruling {
    settings.check().map_err(DependencyReject::Settings)?;
    if state.active() == Some(&settings) {
        return Ok(show(state));
    }
    let configuration = state.configuration.saturating_add(1);
    Ok(shown_after(state, DependencyConfigured { configuration, settings }))
}

fn trip(
    state: &DependencyState,
    settings: &Settings,
    evidence: Evidence,
    context: &Context<'_>,
) -> Decision<Dependency> {
    match state.breaker.mode {
        Mode::Closed => event(open(state, settings, evidence, None, context)),
        Mode::MetricsOnly if !state.breaker.crossed => event(ThresholdCrossed {
            generation: state.breaker.generation,
            at: context.now,
            evidence,
        }),
        Mode::MetricsOnly | Mode::Open | Mode::HalfOpen | Mode::ForcedOpen | Mode::Disabled => {
            nothing()
        },
    }
}

fn try_half_open(
    state: &DependencyState,
    settings: &Settings,
    now: Timestamp,
) -> Decision<Dependency> {
    match state.breaker.mode {
        Mode::Open if state.breaker.until.is_none_or(|until| until <= now) => {
            event(half_open(state, settings, Cause::Caller, now))
        },
        Mode::Open
        | Mode::Closed
        | Mode::HalfOpen
        | Mode::ForcedOpen
        | Mode::Disabled
        | Mode::MetricsOnly => nothing(),
    }
}

fn due(
    state: &DependencyState,
    settings: &Settings,
    context: &Context<'_>,
) -> Decision<Dependency> {
    let now = context.now;
    if fold::deadline(state).is_none_or(|deadline| deadline > now) {
        return nothing();
    }
    event(match state.breaker.mode {
        Mode::Open => half_open(state, settings, Cause::Timer, now),
        Mode::HalfOpen => {
            let evidence = evidence(state, Cause::HalfOpenTimeout);
            open(state, settings, evidence, None, context)
        },
        Mode::ForcedOpen | Mode::Disabled | Mode::MetricsOnly => {
            close(state, evidence(state, Cause::Timer), now)
        },
        Mode::Closed => return nothing(),
    })
}

fn force(
    state: &DependencyState,
    settings: &Settings,
    order: &Order,
    context: &Context<'_>,
) -> Ruling {
    let Order { to, for_ms, reason } = order;
    let recordable = (1..=MAX_REASON_BYTES).contains(&reason.len());
    check(recordable, "reason", "1 to 1000 bytes long")?;
    let timed = for_ms.is_none_or(|for_ms| (1..=MAX_FORCE_MS).contains(&for_ms));
    check(timed, "for_ms", "1 to 2592000000 (30 days)")?;
    let endless = for_ms.is_none() || !matches!(to, Mode::Closed | Mode::HalfOpen);
    check(endless, "for_ms", "absent for closed and half_open")?;
    let now = context.now;
    let manual = Cause::Manual { reason: reason.clone() };
    let forced: DependencyEvent = match (state.breaker.mode, to) {
        (from, to) if from == *to => return Ok(show(state)),
        (from @ Mode::Closed, Mode::HalfOpen)
        | (from @ Mode::MetricsOnly, Mode::Open | Mode::HalfOpen) => {
            return Err(DependencyReject::IllegalTransition { from, to: *to });
        },
        (_, Mode::Closed) => close(state, evidence(state, manual), now),
        (_, Mode::Open) => open(state, settings, evidence(state, manual), *for_ms, context),
        (_, Mode::HalfOpen) => half_open(state, settings, manual, now),
        (_, Mode::ForcedOpen | Mode::Disabled | Mode::MetricsOnly) => BreakerForced {
            generation: state.next_generation(),
            to: *to,
            at: now,
            until: for_ms.map(|for_ms| now.plus_ms(for_ms)),
            reason: reason.clone(),
        }
        .into(),
    };
    Ok(shown_after(state, forced))
}

fn open(
    state: &DependencyState,
    settings: &Settings,
    evidence: Evidence,
    for_ms: Option<u64>,
    context: &Context<'_>,
) -> DependencyEvent {
    let attempt = state.breaker.attempt.saturating_add(1);
    let stay_ms = for_ms.unwrap_or_else(|| stay_ms(&settings.breaker, attempt, context.chance));
    BreakerOpened {
        generation: state.next_generation(),
        at: context.now,
        until: context.now.plus_ms(stay_ms),
        attempt,
        evidence,
        configuration: state.configuration,
    }
    .into()
}

fn half_open(
    state: &DependencyState,
    settings: &Settings,
    cause: Cause,
    now: Timestamp,
) -> DependencyEvent {
    let until = now.plus_ms(settings.breaker.half_open_max_ms);
    BreakerHalfOpened { generation: state.next_generation(), at: now, until, cause }.into()
}

fn close(state: &DependencyState, evidence: Evidence, now: Timestamp) -> DependencyEvent {
    BreakerClosed { generation: state.next_generation(), at: now, evidence }.into()
}

/// What is known when no count decides: the last observation.
fn evidence(state: &DependencyState, cause: Cause) -> Evidence {
    let observed = state.observed.unwrap_or_default();
    Evidence { cause, observed, threshold: None, consecutive_failures: 0 }
}

/// So far beyond the gate's generation is the adopted one: it may have moved on while this was asked.
const ADOPTED_AHEAD: u64 = 100;

/// What moved the breaker here since the gate left holds; what the gate did is recorded all the same.
fn adopt(state: &DependencyState, adoption: Adoption, now: Timestamp) -> Decision<Dependency> {
    let Adoption { breaker, departed, since, transitions, evidence } = adoption;
    if state.breaker.generation > breaker.generation {
        return nothing(); // It was asked twice, and recorded.
    }
    let ahead = breaker.generation.saturating_add(ADOPTED_AHEAD);
    let generation = state.next_generation().max(ahead);
    let breaker = if state.is_at(departed) { breaker } else { state.breaker };
    event(BreakerAdopted {
        generation,
        at: now,
        from: since,
        mode: breaker.mode,
        since: breaker.since,
        attempt: breaker.attempt,
        until: breaker.until,
        transitions,
        evidence,
        configuration: state.configuration,
    })
}

fn event(event: impl Into<DependencyEvent>) -> Decision<Dependency> {
    Decision::of(vec![event.into()], DependencyReply::Done)
}

fn nothing() -> Decision<Dependency> {
    Decision::answer(DependencyReply::Done)
}

fn show(state: &DependencyState) -> Decision<Dependency> {
    Decision::answer(DependencyReply::State(Box::new(state.clone())))
}

fn shown_after(state: &DependencyState, event: impl Into<DependencyEvent>) -> Decision<Dependency> {
    let event = event.into();
    // Total by construction: `apply` takes every event that was decided on this state.
    let next = Dependency::apply(state.clone(), &event).unwrap_or_else(|_| state.clone());
    Decision::of(vec![event], DependencyReply::State(Box::new(next)))
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), DependencyReject> {
    if holds { Ok(()) } else { Err(DependencyReject::OutOfRange { field, rule }) }
}

/// A retried transition by hand or configuration is not made twice: the breaker may have moved on.
pub(super) fn answer_again(
    state: &DependencyState,
    events: &[DependencyEvent],
) -> Again<Dependency> {
    match events.first() {
        None => Again::Decide,
        Some(DependencyEvent::DependencyRetired(_)) => Again::Reply(Ok(DependencyReply::Done)),
        Some(_) => Again::Reply(Ok(DependencyReply::State(Box::new(state.clone())))),
    }
}
