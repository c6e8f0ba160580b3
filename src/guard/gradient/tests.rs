use super::*;

/// A service that does `capacity` calls at a time; more wait. Its callers always use the whole
/// limit, or `demand`.
struct Service {
    capacity: u32,
    call_us: u64,
    demand: u32,
}

impl Service {
    fn sample(&self, limit: u32) -> Sample {
        let inside = limit.min(self.demand);
        let turns = f64::from(inside) / f64::from(self.capacity);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let rtt_us = (self.call_us as f64 * turns.max(1.0)) as u64;
        Sample { rtt_us, inside, dropped: false }
    }

    fn run(&self, gradient: &Gradient, mut state: State, samples: u32) -> State {
        for _ in 0..samples {
            state = state.after(gradient, self.sample(state.limit()));
            assert!((gradient.min..=gradient.max).contains(&state.limit()), "{state:?}");
        }
        state
    }
}

const DEEP: u32 = u32::MAX;

fn near(capacity: u32, limit: f64) {
    let (least, most) = (f64::from(capacity), f64::from(capacity) * 1.5 + 6.0);
    assert!((least..=most).contains(&limit), "limit {limit}, capacity {capacity}");
}

#[test]
fn what_cannot_be_is_named() {
    let good = Gradient::default();
    let refused = |gradient: Gradient| gradient.check().unwrap_err().field;
    assert_eq!(refused(Gradient { max: 0, ..good }), "gradient.max");
    assert_eq!(refused(Gradient { min: 0, ..good }), "gradient.min");
    assert_eq!(refused(Gradient { min: 201, ..good }), "gradient.min");
    assert_eq!(refused(Gradient { initial: 201, ..good }), "gradient.initial");
    assert_eq!(refused(Gradient { tolerance: f64::NAN, ..good }), "gradient.tolerance");
    assert_eq!(refused(Gradient { smoothing: 0.0, ..good }), "gradient.smoothing");
    assert_eq!(refused(Gradient { queue: 0, ..good }), "gradient.queue");
    assert_eq!(good.check(), Ok(()));
}

#[test]
fn it_comes_near_what_the_service_can_and_stays() {
    for (capacity, initial) in [(40, 1), (40, 20), (40, 500), (10, 20), (100, 20)] {
        let gradient = Gradient { initial, max: 1_000, ..Gradient::default() };
        let service = Service { capacity, call_us: 10_000, demand: DEEP };
        let mut state = service.run(&gradient, State::new(&gradient), 20_000);
        for _ in 0..40 {
            near(capacity, state.limit);
            state = service.run(&gradient, state, 997);
        }
    }
}

#[test]
fn it_recovers_after_a_step_of_latency() {
    let gradient = Gradient { max: 1_000, ..Gradient::default() };
    let quick = Service { capacity: 40, call_us: 10_000, demand: DEEP };
    let slow = Service { call_us: 100_000, ..quick };
    let state = quick.run(&gradient, State::new(&gradient), 20_000);
    let state = slow.run(&gradient, state, 300);
    assert!(state.limit < 40.0, "it backs off first: {state:?}");
    let state = slow.run(&gradient, state, 20_000);
    near(40, state.limit);
    let state = quick.run(&gradient, state, 20_000);
    near(40, state.limit);
}

#[test]
fn it_never_goes_below_the_least() {
    let gradient = Gradient { min: 7, ..Gradient::default() };
    let mut state = State::new(&gradient);
    for step in 0..5_000 {
        let sample = Sample { rtt_us: 1_000 << (step % 9), inside: 200, dropped: step % 2 == 0 };
        state = state.after(&gradient, sample);
        assert!(state.limit >= 7.0 && state.limit() >= 7, "{state:?}");
    }
    assert_eq!(state.limit(), 7);
}

#[test]
fn an_idle_service_keeps_its_limit() {
    let gradient = Gradient::default();
    let idle = Service { capacity: 40, call_us: 10_000, demand: 1 };
    let slow = Service { call_us: 900_000, ..idle };
    let state = idle.run(&gradient, State::new(&gradient), 5_000);
    let state = slow.run(&gradient, state, 5_000);
    assert_eq!(state.limit(), 20);
    let dropped = Sample { rtt_us: 1, inside: 1, dropped: true };
    assert_eq!(state.after(&gradient, dropped).limit(), 20);
}

#[test]
fn a_limit_of_one_can_grow() {
    let gradient = Gradient { initial: 1, ..Gradient::default() };
    let service = Service { capacity: 40, call_us: 10_000, demand: DEEP };
    assert!(service.run(&gradient, State::new(&gradient), 100).limit() > 20);
}

#[test]
fn dropped_calls_shrink_it_under_load() {
    let gradient = Gradient::default();
    let state = State::new(&gradient);
    let dropped = Sample { rtt_us: 1, inside: 20, dropped: true };
    assert!(state.after(&gradient, dropped).limit() < 20);
}
