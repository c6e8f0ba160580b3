//! Guarded calls, as the library makes them: into the gate and out of it.

use std::hint::black_box;
use std::sync::Arc;

use mainstay_actors::dependency::{
    BreakerSettings, Dependency, DependencyCommand, DependencyState, Mode, Settings, Window,
};
use mainstay_actors::gate::{Board, Entry, Front, Gate, Outcome};

use crate::journal::{at, context, decide};

pub(crate) const CALLS: u64 = 10_000;

/// Enough that no more latencies are wanted and the window is full.
const WARM: u64 = 400;

fn call(front: &Front) {
    let outcome = Outcome::Success;
    if let Some(plain) = front.enter_plainly() {
        return front.settle_plainly(plain, outcome);
    }
    if let Some(shut) = front.shut() {
        black_box(shut);
        return;
    }
    let Entry::Admitted(ticket) = front.enter() else { panic!("the breaker is closed") };
    let lane = front.lane();
    let exact_us = front.wants_exact(ticket, lane).then_some(1);
    front.settle(ticket, outcome, exact_us, lane);
}

fn calls(window: Window, then: Option<DependencyCommand>) -> Box<dyn FnMut()> {
    let mut state = DependencyState::default();
    let breaker = BreakerSettings { window, ..BreakerSettings::default() };
    let settings = Settings { weight: 1, cap: None, breaker, from_file: true };
    let configure = DependencyCommand::Configure(Box::new(settings));
    for command in std::iter::once(configure).chain(then) {
        decide::<Dependency>(&mut state, command, &context(at(0), None));
    }
    let board: Arc<Board> = Board::new();
    let front = board.front("database");
    let mut gate = Gate::behind(front.clone(), 1);
    gate.sync(&state, at(0));
    for n in 0..WARM {
        board.tick(at(n));
        call(&front);
    }
    Box::new(move || {
        let _kept = &gate;
        for _ in 0..CALLS {
            call(black_box(&front));
        }
    })
}

pub(crate) fn closed() -> Box<dyn FnMut()> {
    calls(Window::Seconds(60), None)
}

pub(crate) fn by_calls() -> Box<dyn FnMut()> {
    calls(Window::Calls(100), None)
}

pub(crate) fn rejected() -> Box<dyn FnMut()> {
    let reason = "measured".to_owned();
    let force = DependencyCommand::Force { to: Mode::ForcedOpen, for_ms: None, reason };
    calls(Window::Seconds(60), Some(force))
}
