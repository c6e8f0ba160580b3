//! Folds a dependency's events.
//!
//! | event | closed | open | `half_open` | `forced_open` | disabled | `metrics_only` |
//! |---|---|---|---|---|---|---|
//! | `BreakerOpened` | yes | – | yes | yes | yes | – |
//! | `BreakerHalfOpened` | – | yes | – | by hand | by hand | – |
//! | `BreakerClosed` | – | yes | yes | yes | yes | yes |
//! | `BreakerForced` | yes | yes | yes | not to itself | not to itself | not to itself |
//! | `ThresholdCrossed` | – | – | – | – | – | once a generation |
//! | `BreakerAdopted` | yes | yes | yes | yes | yes | yes |
//! | `WindowObserved` | yes | yes | yes | yes | yes | yes |
//!
//! A dash is illegal history. `DependencyConfigured` is always legal and keeps breaker and window;
//! nothing else is legal before it or after `DependencyRetired`.
//!
//! A breaker that closes, or that begins to count for `metrics_only`, counts anew: what was
//! observed before says nothing about it any more.

use super::{
    Breaker, BreakerAdopted, BreakerClosed, BreakerForced, BreakerHalfOpened, BreakerOpened, Cause,
    DependencyConfigured, DependencyEvent, DependencyState, Mode, Observed, ThresholdCrossed,
    WindowObserved,
};
use crate::codec::Payload;
use crate::machine::Illegal;
use crate::rate::Score;
use crate::time::Timestamp;

type Folded = Result<(), String>;

/// Each checks everything before it changes anything.
pub(super) fn fold(state: &mut DependencyState, event: &DependencyEvent) -> Result<(), Illegal> {
    use DependencyEvent as E;

    let known = state.settings.is_some() && !state.retired;
    let folded = match event {
        E::DependencyConfigured(event) => configured(state, event),
        E::DependencyRetired(_) if known => {
            state.retired = true;
            Ok(())
        },
        E::BreakerOpened(event) if known => opened(state, event),
        E::BreakerHalfOpened(event) if known => half_opened(state, event),
        E::BreakerClosed(event) if known => closed(state, event),
        E::BreakerForced(event) if known => forced(state, event),
        E::ThresholdCrossed(event) if known => crossed(state, event),
        E::WindowObserved(event) if known => observed(state, event),
        E::BreakerAdopted(event) if known => adopted(state, event),
        E::DependencyRetired(_)
        | E::BreakerOpened(_)
        | E::BreakerHalfOpened(_)
        | E::BreakerClosed(_)
        | E::BreakerForced(_)
        | E::ThresholdCrossed(_)
        | E::BreakerAdopted(_)
        | E::WindowObserved(_) => Err("the dependency is not configured, or retired".to_owned()),
    };
    folded.map_err(|reason| Illegal::new(event.name(), reason))
}

/// When time alone moves the breaker. A retired dependency stands still.
pub(super) fn deadline(state: &DependencyState) -> Option<Timestamp> {
    let settings = state.settings.as_ref().filter(|_| !state.retired)?;
    match state.breaker.mode {
        Mode::Open if !settings.breaker.auto_half_open => None,
        Mode::Closed => None,
        Mode::Open | Mode::HalfOpen | Mode::ForcedOpen | Mode::Disabled | Mode::MetricsOnly => {
            state.breaker.until
        },
    }
}

/// `closed` and `metrics_only`: 100 · (1 − failure rate) · (1 − slow rate / 2), in ten-thousandths
/// of a point, rounded down once at the end.
pub(super) fn score(state: &DependencyState) -> Option<Score> {
    state.settings.as_ref().filter(|_| !state.retired)?;
    match state.breaker.mode {
        Mode::Disabled => None,
        Mode::Open | Mode::ForcedOpen => Some(Score::default()),
        Mode::HalfOpen => Some(Score::points(50)),
        Mode::Closed | Mode::MetricsOnly => {
            let observed = state.observed?;
            let failed = observed.failure_rate.unwrap_or_default().ten_thousandths();
            let slow = observed.slow_rate.unwrap_or_default().ten_thousandths();
            let product = u64::from(10_000 - failed) * u64::from(20_000 - slow);
            u32::try_from(product / 200).ok().map(Score::from_ten_thousandths)
        },
    }
}

fn configured(state: &mut DependencyState, event: &DependencyConfigured) -> Folded {
    if Some(event.configuration) != state.configuration.checked_add(1) {
        let (new, old) = (event.configuration, state.configuration);
        return Err(format!("configuration {new} after {old}"));
    }
    state.configuration = event.configuration;
    state.settings = Some(event.settings.clone());
    state.retired = false;
    Ok(())
}

fn opened(state: &mut DependencyState, event: &BreakerOpened) -> Folded {
    leave(state, event.generation, Mode::Open, &[Mode::Open, Mode::MetricsOnly])?;
    if Some(event.attempt) != state.breaker.attempt.checked_add(1) {
        return Err(format!("attempt {} after {}", event.attempt, state.breaker.attempt));
    }
    state.breaker.attempt = event.attempt;
    enter(state, Mode::Open, event.at, Some(event.until));
    Ok(())
}

fn half_opened(state: &mut DependencyState, event: &BreakerHalfOpened) -> Folded {
    let not_from = [Mode::HalfOpen, Mode::Closed, Mode::MetricsOnly];
    leave(state, event.generation, Mode::HalfOpen, &not_from)?;
    let by_hand = matches!(event.cause, Cause::Manual { .. });
    if !by_hand && state.breaker.mode != Mode::Open {
        return Err(format!("{} is left by hand only", state.breaker.mode));
    }
    enter(state, Mode::HalfOpen, event.at, Some(event.until));
    Ok(())
}

fn closed(state: &mut DependencyState, event: &BreakerClosed) -> Folded {
    leave(state, event.generation, Mode::Closed, &[Mode::Closed])?;
    state.breaker.attempt = 0;
    enter(state, Mode::Closed, event.at, None);
    count_anew(state);
    Ok(())
}

fn forced(state: &mut DependencyState, event: &BreakerForced) -> Folded {
    if !matches!(event.to, Mode::ForcedOpen | Mode::Disabled | Mode::MetricsOnly) {
        return Err(format!("{} is no state to be forced", event.to));
    }
    leave(state, event.generation, event.to, &[event.to])?;
    enter(state, event.to, event.at, event.until);
    if event.to == Mode::MetricsOnly {
        count_anew(state);
    }
    Ok(())
}

/// It may come from any state: what happened in between was not recorded.
fn adopted(state: &mut DependencyState, event: &BreakerAdopted) -> Folded {
    if event.generation <= state.breaker.generation {
        return Err(another_generation(state, event.generation));
    }
    if event.mode == Mode::Closed && event.attempt > 0 {
        return Err(format!("{} at attempt {}", event.mode, event.attempt));
    }
    state.breaker = Breaker {
        mode: event.mode,
        generation: event.generation,
        since: event.since,
        attempt: event.attempt,
        until: event.until,
        crossed: false,
    };
    if matches!(event.mode, Mode::Closed | Mode::MetricsOnly) {
        count_anew(state);
    }
    Ok(())
}

fn crossed(state: &mut DependencyState, event: &ThresholdCrossed) -> Folded {
    if state.breaker.mode != Mode::MetricsOnly || state.breaker.crossed {
        return Err("a threshold is crossed once, in metrics_only".to_owned());
    }
    if event.generation != state.breaker.generation {
        return Err(another_generation(state, event.generation));
    }
    state.breaker.crossed = true;
    Ok(())
}

fn observed(state: &mut DependencyState, event: &WindowObserved) -> Folded {
    if event.generation != state.breaker.generation {
        return Err(another_generation(state, event.generation));
    }
    if event.configuration != state.configuration {
        return Err(format!("configuration {} at {}", event.configuration, state.configuration));
    }
    state.observed = Some(event.window.observed);
    Ok(())
}

fn leave(state: &DependencyState, generation: u64, to: Mode, not_from: &[Mode]) -> Folded {
    if Some(generation) != state.breaker.generation.checked_add(1) {
        return Err(another_generation(state, generation));
    }
    if not_from.contains(&state.breaker.mode) {
        return Err(format!("from {} to {to}", state.breaker.mode));
    }
    Ok(())
}

fn enter(state: &mut DependencyState, mode: Mode, at: Timestamp, until: Option<Timestamp>) {
    let breaker = &mut state.breaker;
    breaker.generation = breaker.generation.saturating_add(1);
    breaker.mode = mode;
    breaker.since = at;
    breaker.until = until;
    breaker.crossed = false;
}

fn count_anew(state: &mut DependencyState) {
    state.observed = state.observed.map(|_| Observed::default());
}

fn another_generation(state: &DependencyState, generation: u64) -> String {
    format!("generation {generation} at {}", state.breaker.generation)
}
