//! The breaker: who was admitted, and what its verdicts counted, against what was reported.

use std::collections::BTreeMap;

use mainstay_actors::dependency::{Cause, DependencyEvent, Mode};
use mainstay_actors::gate::Outcome;
use mainstay_actors::world::AnyEvent;

use super::hold;
use super::journal::Entry;
use crate::clients::DEPENDENCY;
use crate::history::{Call, History};
use crate::life::{HALF_OPEN_MAX_MS, TRIALS};

/// The mode that each generation of the breaker is in.
fn modes(entries: &[Entry]) -> BTreeMap<u64, Mode> {
    let mut modes = BTreeMap::from([(0, Mode::Closed)]);
    for (_, event) in events(entries) {
        match event {
            DependencyEvent::BreakerAdopted(it) => modes.insert(it.generation, it.mode),
            DependencyEvent::BreakerOpened(it) => modes.insert(it.generation, Mode::Open),
            DependencyEvent::BreakerHalfOpened(it) => modes.insert(it.generation, Mode::HalfOpen),
            DependencyEvent::BreakerClosed(it) => modes.insert(it.generation, Mode::Closed),
            _ => None,
        };
    }
    modes
}

fn events(entries: &[Entry]) -> impl Iterator<Item = (u64, &DependencyEvent)> {
    entries.iter().filter_map(|entry| match &entry.event {
        AnyEvent::Dependency(event) if entry.stream.ends_with(DEPENDENCY) => {
            Some((entry.position, &**event))
        },
        _ => None,
    })
}

/// Nobody is admitted while it is open, and no more than the trial calls while it is half-open.
pub(crate) fn admit_within_permits(history: &History, entries: &[Entry]) -> Result<(), String> {
    let modes = modes(entries);
    let mut before = BTreeMap::<(u64, u64), Vec<&Call>>::new();
    for call in &history.calls {
        let (boot, generation) = (call.permit.boot, call.permit.generation);
        let Some(mode) = modes.get(&generation) else {
            // The journal took nothing: the breaker moved without it, far ahead of it.
            let known = generation_at(entries, call.began.head);
            hold!(generation > known + AHEAD, "{call:?}: there is no such state");
            continue;
        };
        hold!(matches!(mode, Mode::Closed | Mode::HalfOpen), "{call:?} was admitted in {mode}");
        let trials = before.entry((boot, generation)).or_default();
        let taken = trials.iter().filter(|other| takes_room(other, call)).count();
        if *mode == Mode::HalfOpen {
            let limit = usize::try_from(TRIALS).unwrap_or_default();
            hold!(taken < limit, "{call:?} was admitted beside {taken} trial calls");
        }
        trials.push(call);
    }
    Ok(())
}

/// So far ahead of the journal is a breaker that moves without it.
const AHEAD: u64 = 200;

/// The newest generation up to a position.
fn generation_at(entries: &[Entry], head: u64) -> u64 {
    let generations = events(entries).take_while(|(position, _)| *position <= head);
    let generations = generations.filter_map(|(_, event)| match event {
        DependencyEvent::BreakerOpened(it) => Some(it.generation),
        DependencyEvent::BreakerHalfOpened(it) => Some(it.generation),
        DependencyEvent::BreakerClosed(it) => Some(it.generation),
        DependencyEvent::BreakerAdopted(it) => Some(it.generation),
        _ => None,
    });
    generations.max().unwrap_or(0)
}

/// Whether an earlier trial call takes one of the permits when another asks: it is under way, or its
/// outcome counted.
fn takes_room(earlier: &Call, later: &Call) -> bool {
    match earlier.reported {
        Some((Outcome::Ignored, reported)) if reported.step < later.began.step => false,
        Some((_, reported)) if reported.step < later.began.step => {
            // One that came back too late had expired.
            reported.at < earlier.began.at.plus_ms(HALF_OPEN_MAX_MS / 2)
        },
        _ => later.began.at < earlier.began.at.plus_ms(HALF_OPEN_MAX_MS / 2),
    }
}

/// No verdict counts more than was reported under the permits of its own state.
pub(crate) fn verdicts_count_their_own(history: &History, entries: &[Entry]) -> Result<(), String> {
    let modes = modes(entries);
    let mut generation = 0;
    for (_, event) in events(entries) {
        let (next, evidence) = match event {
            DependencyEvent::BreakerAdopted(it) => (it.generation, None),
            DependencyEvent::BreakerOpened(it) => (it.generation, Some(&it.evidence)),
            DependencyEvent::BreakerClosed(it) => (it.generation, Some(&it.evidence)),
            DependencyEvent::BreakerHalfOpened(it) => (it.generation, None),
            _ => continue,
        };
        let counted = evidence.filter(|it| !matches!(it.cause, Cause::HalfOpenTimeout));
        if let Some(evidence) = counted {
            let reports = history.calls.iter().filter(|it| it.permit.generation == generation);
            let outcomes = reports.filter_map(|call| Some(call.reported?.0));
            let outcomes: Vec<Outcome> = outcomes.filter(|it| *it != Outcome::Ignored).collect();
            let failures = outcomes.iter().filter(|it| **it == Outcome::Failure).count() as u64;
            let (calls, observed) = (outcomes.len() as u64, evidence.observed);
            let mode = modes.get(&generation);
            let right = observed.calls <= calls && observed.failures <= failures;
            hold!(right, "{event:?} of {mode:?} {generation}: {calls} calls, {failures} failed");
        }
        generation = next;
    }
    Ok(())
}
