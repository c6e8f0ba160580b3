//! Dependencies of the crowd: windows all day, now and then an incident with a new level.
//!
//! ```text
//!   observe ─► WindowObserved        incident ─► BreakerOpened ─► LevelChanged
//!                                                     │ its time ─► BreakerHalfOpened
//!                                                     └────────────── judge ─► closed, OPTIMAL
//! ```

use mainstay::actors::dependency::{
    BreakerSettings, Cause, Dependency, DependencyCommand, Evidence, Latencies, Mode,
    ObservationWindow, Observed, Second, Settings,
};
use mainstay::actors::health::Level;
use mainstay::actors::machine::Machine;
use mainstay::actors::rate::{Rate, Score};
use mainstay::actors::system::{LevelChange, System, SystemCommand};
use mainstay::actors::time::Timestamp;

use super::crowd::{Crowd, Task};
use super::feeder::{By, Entity};

const NAMES: [&str; 24] = [
    "payments", "ledger", "stock", "search", "mail", "sms", "push", "maps", "tax", "fraud",
    "rates", "images", "pdf", "auth", "geo", "carrier", "returns", "loyalty", "reviews", "ads",
    "erp", "crm", "bank", "archive",
];

/// What breakers and levels are made of.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    dependencies: Vec<Entity<Dependency>>,
    health: Option<Entity<System>>,
}

impl Crowd {
    /// The first events: a start, and the configuration.
    pub(super) fn boot(&mut self) {
        let by = By::system("system:supervisor");
        let command = SystemCommand::Boot { version: "0.1.0".to_owned() };
        self.feeder.command(&mut Entity::<System>::new("boot"), command, &by, self.now, 0);
        self.traffic.health = Some(Entity::new("health"));
        for name in NAMES {
            let settings = Settings {
                weight: 10,
                cap: None,
                breaker: BreakerSettings::default(),
                from_file: false,
            };
            self.traffic.dependencies.push(Entity::new(name));
            let number = self.traffic.dependencies.len() - 1;
            self.dependency(number, DependencyCommand::Configure(Box::new(settings)), &by);
        }
    }

    /// Gives a command; the state after it.
    fn dependency(&mut self, number: usize, command: DependencyCommand, by: &By) -> Mode {
        let entity = &mut self.traffic.dependencies[number];
        let chance = self.chance.next();
        let events = self.feeder.command(entity, command, by, self.now, chance);
        let (mode, due) = (entity.state.breaker.mode, Dependency::deadline(&entity.state));
        if let Some(at) = due.filter(|_| !events.is_empty()) {
            self.later(at, Task::BreakerDue(number));
        }
        mode
    }

    fn any_dependency(&mut self) -> usize {
        usize::try_from(self.chance.skewed(NAMES.len() as u64)).unwrap()
    }

    pub(super) fn observe(&mut self) {
        let number = self.any_dependency();
        let seconds: Vec<Second> = (0..10).map(|_| self.second()).collect();
        let calls = seconds.iter().map(|second| u64::from(second.calls)).sum();
        let failures = seconds.iter().map(|second| u64::from(second.failures)).sum();
        let observed = Observed {
            calls,
            failures,
            slow: 0,
            failure_rate: Rate::of(failures, calls),
            slow_rate: Some(Rate::default()),
        };
        let whole = self.now.as_micros() / 1_000_000 * 1_000_000;
        let window = ObservationWindow {
            from: Timestamp::from_micros(whole.saturating_sub(10_000_000)),
            seconds,
            longest_failure_run: 1,
            injected: 0,
            latencies: Latencies::default(),
            observed,
        };
        let by = By::system("system:gate");
        let generation = self.traffic.dependencies[number].state.breaker.generation;
        let observe = DependencyCommand::Observe { generation, window: Box::new(window) };
        self.dependency(number, observe, &by);
    }

    fn second(&mut self) -> Second {
        let calls = 1 + u32::try_from(self.chance.below(200)).unwrap();
        let failures = u32::from(self.chance.percent(5));
        Second { calls, failures, slow: 0, ignored: 0 }
    }

    /// A breaker opens, and the level falls with it.
    pub(super) fn incident(&mut self) {
        let number = self.any_dependency();
        let breaker = self.traffic.dependencies[number].state.breaker;
        if breaker.mode != Mode::Closed {
            return self.observe();
        }
        let rate = Rate::of(6, 10);
        let observed =
            Observed { calls: 100, failures: 60, slow: 0, failure_rate: rate, slow_rate: None };
        let evidence = Evidence {
            cause: Cause::FailureRate,
            observed,
            threshold: Rate::of(1, 2),
            consecutive_failures: 7,
        };
        let command = DependencyCommand::Trip { generation: breaker.generation, evidence };
        self.dependency(number, command, &By::system("system:gate"));
        self.level(Level::Degraded, 80, format!("{} is open", NAMES[number]));
    }

    /// Its time in open, or on trial, is over.
    pub(super) fn breaker_due(&mut self, number: usize) {
        let by = By::system("system:timer");
        let mode = self.dependency(number, DependencyCommand::Due, &by);
        if mode == Mode::HalfOpen {
            self.later(self.now, Task::Judge(number));
        }
    }

    /// The trial calls have a verdict.
    pub(super) fn judge(&mut self, number: usize) {
        let generation = self.traffic.dependencies[number].state.breaker.generation;
        let healthy = self.chance.percent(80);
        let observed = Observed { calls: 5, ..Observed::default() };
        let cause = if healthy { Cause::Recovered } else { Cause::FailureRate };
        let evidence = Evidence { cause, observed, threshold: None, consecutive_failures: 0 };
        let command = DependencyCommand::Conclude { generation, healthy, evidence };
        let mode = self.dependency(number, command, &By::system("system:gate"));
        let down = |it: &Entity<Dependency>| it.state.breaker.mode.is_down();
        if mode == Mode::Closed && !self.traffic.dependencies.iter().any(down) {
            self.level(Level::Optimal, 99, "all dependencies recovered".to_owned());
        }
    }

    fn level(&mut self, to: Level, points: u32, cause: String) {
        let Some(mut health) = self.traffic.health.take() else { return };
        let score = Score::points(points);
        let change = LevelChange { to, score, known_weight: 240, cause, dependencies: Vec::new() };
        let by = By { causation: Some(self.feeder.cursor()), ..By::system("system:supervisor") };
        let command = SystemCommand::ChangeLevel(Box::new(change));
        self.feeder.command(&mut health, command, &by, self.now, 0);
        self.traffic.health = Some(health);
    }
}
