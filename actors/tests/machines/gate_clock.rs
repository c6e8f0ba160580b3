//! Which calls are timed exactly.

use std::sync::Arc;

use mainstay_actors::dependency::{BreakerSettings, Dependency};
use mainstay_actors::gate::{Board, Entry, Front, Gate, Outcome};

use crate::breaker_world::configure;
use crate::support::Entity;

/// Closed breakers and their gates.
fn closed(board: &Arc<Board>, breakers: usize) -> Vec<(Front, Gate)> {
    let mut entity = Entity::<Dependency>::given();
    entity.when(configure(BreakerSettings::default()));
    board.tick(entity.now);
    let each = (0..breakers).map(|n| {
        let front = board.front(&format!("breaker-{n}"));
        let mut gate = Gate::behind(front.clone(), 1);
        gate.sync(&entity.state, entity.now);
        (front, gate)
    });
    each.collect()
}

/// Makes a successful call; whether it was timed exactly.
fn is_timed(front: &Front) -> bool {
    if let Some(plain) = front.enter_plainly() {
        front.settle_plainly(plain, Outcome::Success);
        return false;
    }
    let Entry::Admitted(ticket) = front.enter() else { panic!("it is closed") };
    let lane = front.lane();
    let timed = front.wants_exact(ticket, lane);
    front.settle(ticket, Outcome::Success, timed.then_some(10), lane);
    timed
}

#[test]
fn the_first_call_at_each_breaker_is_timed() {
    let board = Board::new();
    let breakers = closed(&board, 20);
    assert!(breakers.iter().all(|(front, _)| is_timed(front)));
}

#[test]
fn after_it_every_eighth_is_while_the_thread_has_not_timed_eight_in_this_tick() {
    let board = Board::new();
    let breakers = closed(&board, 1);
    let (front, _) = &breakers[0];
    let timed: Vec<usize> = (0..100).filter(|_| is_timed(front)).collect();
    assert_eq!(timed, [0, 8, 16, 24, 32, 40, 48, 56]);
    board.tick(crate::support::START.plus_ms(1));
    let timed: Vec<usize> = (100..200).filter(|_| is_timed(front)).collect();
    assert_eq!(timed, [104, 112, 120, 128, 136, 144, 152, 160]);
}

#[test]
fn a_thread_that_calls_many_breakers_times_few_of_the_calls() {
    let board = Board::new();
    let breakers = closed(&board, 20);
    let calls = breakers.iter().flat_map(|(front, _)| (0..100).map(move |_| is_timed(front)));
    assert_eq!(calls.filter(|timed| *timed).count(), 20 + 7);
}

#[test]
fn a_success_is_counted_once_on_either_way() {
    let board = Board::new();
    let mut breakers = closed(&board, 1);
    let (front, gate) = &mut breakers[0];
    for _ in 0..100 {
        is_timed(front);
    }
    let now = crate::support::START.plus_ms(1);
    let _ = gate.tick(now);
    assert_eq!(gate.counts(now).calls, 100);
}
