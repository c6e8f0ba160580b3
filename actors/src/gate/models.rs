//! Models of what callers do at the same time, over every interleaving that loom finds.
//!
//! ```text
//!   RUSTFLAGS="--cfg loom" cargo test -p mainstay-actors --no-default-features --lib --release models
//! ```

use loom::sync::Arc;
use loom::thread;

use super::Outcome;
use super::call_window::CallWindow;
use super::face::{Entry, Face, Lane, sum};
use super::figures::{Figures, Told};
use super::stripe::{Reading, Stripe};
use super::verdict::Thresholds;
use super::window::Tally;
use super::word::Word;
use crate::dependency::Mode;
use crate::rate::Rate;
use crate::time::Timestamp;

struct World {
    face: Face,
    stripes: [Stripe; 2],
}

const THRESHOLDS: Thresholds = Thresholds {
    minimum_calls: 2,
    failure_rate: Rate::from_ten_thousandths(5_000),
    slow_rate: None,
    run: None,
    permits: 1,
};

impl World {
    fn new(mode: Mode, generation: u64) -> Arc<Self> {
        let world = Self { face: Face::new(), stripes: [Stripe::new(), Stripe::new()] };
        world.begin(mode, generation);
        Arc::new(world)
    }

    /// What the keeper does when it follows the journal.
    fn begin(&self, mode: Mode, generation: u64) {
        self.face.begin_run(generation);
        self.face.begin_trial(generation, false);
        let (window, read) = (Tally::default(), [0; 3]);
        self.face.tell(&Told { generation, window, read, thresholds: THRESHOLDS });
        self.face.follow(Word::new(mode, generation, 0), Some(Timestamp::from_micros(9)), 0);
    }

    /// A call by thread `at`; whether it was admitted, and found a verdict.
    fn call(&self, at: usize, outcome: Outcome) -> (bool, bool) {
        match self.face.enter(1) {
            Entry::Admitted(ticket) => (true, self.settle(at, ticket, outcome)),
            _ => (false, false),
        }
    }

    fn settle(&self, at: usize, ticket: super::Ticket, outcome: Outcome) -> bool {
        let lane = Lane {
            stripe: &self.stripes[at],
            is_shared: false,
            on_its_thread: std::marker::PhantomData,
        };
        let is_plain = outcome == Outcome::Success && ticket.word.is_wholly_plain();
        if is_plain && self.face.settle_plainly(ticket, lane.stripe) {
            let by_calls = ticket.word.has(Word::BY_CALLS);
            return by_calls && self.face.succeed_by_calls(ticket, || self.stripes.iter());
        }
        self.face.settle(ticket, outcome, false, lane, || self.stripes.iter()).found
    }
}

fn both<T: Send + 'static>(
    world: &Arc<World>,
    run: impl Fn(&World, usize) -> T + Send + Clone + 'static,
) -> [T; 2] {
    let (other, other_run) = (world.clone(), run.clone());
    let thread = thread::spawn(move || other_run(&other, 1));
    let first = run(world, 0);
    [first, thread.join().unwrap()]
}

#[test]
fn of_two_failures_that_trip_exactly_one_finds_the_verdict_and_nobody_enters_after_it() {
    loom::model(|| {
        let world = World::new(Mode::Closed, 7);
        let found = both(&world, |world, at| world.call(at, Outcome::Failure));
        let admitted = found.iter().filter(|(admitted, _)| *admitted).count();
        let finders = found.iter().filter(|(_, found)| *found).count();
        assert_eq!((admitted, finders), (2, 1));
        let verdict = world.face.take_found().unwrap();
        assert_eq!((verdict.generation, verdict.evidence.observed.failures), (7, 2));
        assert!(!world.call(0, Outcome::Success).0);
    });
}

#[test]
fn one_trial_permit_is_given_once() {
    loom::model(|| {
        let world = World::new(Mode::HalfOpen, 7);
        let entered = both(&world, |world, _| matches!(world.face.enter(1), Entry::Admitted(_)));
        assert_eq!(entered.iter().filter(|entered| **entered).count(), 1);
    });
}

#[test]
fn a_permit_that_is_given_back_is_there_again_and_once() {
    loom::model(|| {
        let world = World::new(Mode::HalfOpen, 7);
        let Entry::Admitted(first) = world.face.enter(1) else { panic!("there is one permit") };
        let entered = both(&world, move |world, at| {
            if at == 0 {
                world.settle(0, first, Outcome::Ignored);
            }
            world.call(at, Outcome::Success)
        });
        let [finders, entered] = [1, 0]
            .map(|which| entered.iter().filter(|it| if which == 1 { it.1 } else { it.0 }).count());
        // Either one has it after the other gave its outcome: then it was the last of the trial.
        assert_eq!((entered, finders), (1, 1));
        assert_eq!(world.face.trial().tally().calls, 1);
    });
}

#[test]
fn an_outcome_from_before_a_transition_decides_nothing_after_it() {
    loom::model(|| {
        let world = World::new(Mode::HalfOpen, 7);
        let Entry::Admitted(late) = world.face.enter(1) else { panic!("there is one permit") };
        let found = both(&world, move |world, at| {
            if at == 0 {
                world.begin(Mode::Open, 8);
                world.begin(Mode::HalfOpen, 9);
                false
            } else {
                world.settle(1, late, Outcome::Success)
            }
        });
        // It may have decided its own half-open, and no other.
        assert!(world.face.trial().is_of(9), "{:?} {found:?}", world.face.trial());
        assert_eq!(world.face.trial().tally(), Tally::default());
        assert!(!world.face.word().has(Word::PENDING), "{found:?}");
        assert_eq!(sum(world.stripes.iter(), 9), [0; 3]);
    });
}

#[test]
fn outcomes_of_an_earlier_closed_state_are_not_in_the_window_of_a_later_one() {
    loom::model(|| {
        let world = World::new(Mode::Closed, 7);
        let Entry::Admitted(late) = world.face.enter(1) else { panic!("it is closed") };
        let _ = both(&world, move |world, at| {
            if at == 0 {
                world.begin(Mode::Closed, 9);
                world.call(0, Outcome::Failure).1
            } else {
                world.settle(1, late, Outcome::Failure)
            }
        });
        assert_eq!(sum(world.stripes.iter(), 9), [1, 1, 0]);
        assert!(!world.face.word().has(Word::PENDING), "one failure of two calls needed");
    });
}

#[test]
fn a_late_success_does_not_set_its_stripe_back_to_an_earlier_closed_state() {
    loom::model(|| {
        let world = World::new(Mode::Closed, 7);
        let Entry::Admitted(late) = world.face.enter(1) else { panic!("it is closed") };
        let counted = both(&world, move |world, at| {
            if at == 0 {
                world.begin(Mode::Closed, 9);
                return 0;
            }
            let Entry::Admitted(ticket) = world.face.enter(1) else { panic!("it is closed") };
            world.settle(1, ticket, Outcome::Success);
            world.settle(1, late, Outcome::Success);
            u64::from(ticket.word.generation() == 9)
        });
        assert_eq!(sum(world.stripes.iter(), 9), [counted[1], 0, 0]);
    });
}

#[test]
fn a_reader_sees_all_of_what_was_told_or_nothing_of_it() {
    loom::model(|| {
        let told = |n: u64| Told {
            generation: n,
            window: Tally { calls: n, failures: n, slow: n },
            read: [n; 3],
            thresholds: THRESHOLDS,
        };
        let figures = Arc::new(Figures::new());
        figures.write(&told(1));
        let writer = figures.clone();
        let thread = thread::spawn(move || writer.write(&told(2)));
        let seen = figures.read();
        assert!(seen == told(1) || seen == told(2), "{seen:?}");
        thread.join().unwrap();
    });
}

#[test]
fn a_stripe_is_read_as_often_as_one_likes_and_each_call_once() {
    loom::model(|| {
        let stripe = Arc::new(Stripe::new());
        let owner = stripe.clone();
        let thread = thread::spawn(move || {
            owner.call(1, true);
            owner.call(2, false);
        });
        let mut reading = Reading::default();
        let mut seen = [0; 2];
        let mut read = |seen: &mut [u32; 2]| {
            let since = stripe.read(&mut reading, 2);
            for (all, more) in seen.iter_mut().zip(since.ours.iter().zip(since.older)) {
                *all += more.0 + more.1;
            }
        };
        read(&mut seen);
        thread.join().unwrap();
        read(&mut seen);
        assert_eq!(seen, [2, 1]);
    });
}

#[test]
fn a_shared_stripe_counts_every_thread_and_goes_back_to_no_generation() {
    loom::model(|| {
        let stripe = Arc::new(Stripe::new());
        let other = stripe.clone();
        let thread = thread::spawn(move || other.call_shared(2, true));
        let early = stripe.call_shared(1, true);
        assert!(thread.join().unwrap());
        assert_eq!(stripe.of(2), [1, 1, 0]);
        let mut reading = Reading::default();
        let since = stripe.read(&mut reading, 2);
        // Of two that begin a generation at once, one may lose what was before: a statistic.
        assert!(since.older[0] <= u32::from(early));
    });
}

#[test]
fn a_window_over_calls_holds_the_last_ones_whoever_is_late() {
    loom::model(|| {
        let window = Arc::new(CallWindow::new(1, 1));
        let other = window.clone();
        let thread = thread::spawn(move || other.add(true, false));
        let first = window.add(false, true);
        let second = thread.join().unwrap();
        for seen in [first, second].into_iter().flatten() {
            assert!(seen.calls <= 1 && seen.failures <= 1, "more than were ever there: {seen:?}");
        }
        window.add(true, true);
        assert_eq!(window.tally(), Tally { calls: 1, failures: 1, slow: 1 });
    });
}

#[test]
fn a_success_after_a_success_changes_nothing_whatever_comes_between() {
    loom::model(|| {
        let window = Arc::new(CallWindow::new(1, 1));
        window.add(false, false);
        let other = window.clone();
        let thread = thread::spawn(move || {
            other.add(true, false);
            other.add(false, false);
        });
        window.add(false, false);
        thread.join().unwrap();
        window.add(true, true);
        assert_eq!(window.tally(), Tally { calls: 1, failures: 1, slow: 1 });
    });
}

#[test]
fn of_two_calls_that_make_the_rate_known_over_calls_exactly_one_finds_the_verdict() {
    loom::model(|| {
        let world = World::new(Mode::Closed, 7);
        world.face.shape_calls(7, 2, true);
        world.face.follow(Word::new(Mode::Closed, 7, Word::BY_CALLS), None, 0);
        let found = both(&world, |world, at| {
            world.call(at, if at == 0 { Outcome::Failure } else { Outcome::Success }).1
        });
        assert_eq!(found.iter().filter(|found| **found).count(), 1, "{found:?}");
    });
}
