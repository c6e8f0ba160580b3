//! A dependency and its gate together: verdicts go to the machine, its state back to the gate.

use mainstay_actors::codec::Payload;
use mainstay_actors::dependency::{
    BreakerSettings, Dependency, DependencyCommand, DependencyEvent, Mode, Settings,
};
use mainstay_actors::gate::{Admission, Gate, Outcome, Permit, Report};
use mainstay_actors::machine::Machine;

use crate::support::{Entity, Then};

pub(crate) fn settings(breaker: BreakerSettings) -> Settings {
    Settings { weight: 50, cap: None, breaker, from_file: false }
}

pub(crate) fn configure(breaker: BreakerSettings) -> DependencyCommand {
    DependencyCommand::Configure(Box::new(settings(breaker)))
}

pub(crate) fn force(to: Mode) -> DependencyCommand {
    DependencyCommand::Force { to, for_ms: None, reason: "test".to_owned() }
}

pub(crate) const fn report(permit: Option<Permit>, outcome: Outcome) -> Report {
    Report { permit, outcome, duration_us: 1_000, probe: false, injected: false }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) entity: Entity<Dependency>,
    pub(crate) gate: Gate,
    /// The journal is away: verdicts are not recorded.
    pub(crate) cut_off: bool,
    pub(crate) journal: Vec<DependencyEvent>,
}

impl Guarded {
    pub(crate) fn with(change: impl FnOnce(&mut BreakerSettings)) -> Self {
        let mut breaker = BreakerSettings::default();
        change(&mut breaker);
        let (entity, gate) = (Entity::given(), Gate::new(1));
        let mut it = Self { entity, gate, cut_off: false, journal: Vec::new() };
        it.command(configure(breaker));
        it
    }

    pub(crate) fn default_settings() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn mode(&self) -> Mode {
        self.entity.state.breaker.mode
    }

    pub(crate) fn command(&mut self, command: DependencyCommand) -> Then<Dependency> {
        let then = self.entity.when(command);
        self.journal.extend(then.events.iter().cloned());
        self.gate.sync(&self.entity.state, self.entity.now);
        then
    }

    fn record_all(&mut self, commands: impl IntoIterator<Item = DependencyCommand>) {
        for command in commands {
            if !self.cut_off {
                self.command(command);
            }
        }
    }

    pub(crate) fn admit(&mut self) -> Admission {
        self.gate.admit(self.entity.now)
    }

    pub(crate) fn permit(&mut self) -> Permit {
        match self.admit() {
            Admission::Admitted(permit) => permit,
            other => panic!("not admitted: {other:?}"),
        }
    }

    pub(crate) fn is_rejected(&mut self) -> bool {
        matches!(self.admit(), Admission::Rejected { .. })
    }

    pub(crate) fn report(&mut self, report: Report) {
        let commands = self.gate.record(report, self.entity.now);
        self.record_all(commands);
    }

    pub(crate) fn finish(&mut self, permit: Permit, outcome: Outcome) {
        self.report(report(Some(permit), outcome));
    }

    /// So many calls with this outcome.
    pub(crate) fn calls(&mut self, count: usize, outcome: Outcome) {
        for _ in 0..count {
            let permit = self.permit();
            self.finish(permit, outcome);
        }
    }

    pub(crate) fn slow_calls(&mut self, count: usize, duration_us: u64) {
        for _ in 0..count {
            let permit = Some(self.permit());
            let outcome = Outcome::Success;
            self.report(Report { permit, outcome, duration_us, probe: false, injected: false });
        }
    }

    pub(crate) fn probe(&mut self, outcome: Outcome) {
        self.report(Report {
            permit: None,
            outcome,
            duration_us: 1_000,
            probe: true,
            injected: false,
        });
    }

    /// Lets time pass in steps of a second with a tick each; the timer fires when it is due.
    pub(crate) fn wait_s(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.entity.wait_ms(1_000);
            if Dependency::deadline(&self.entity.state).is_some_and(|at| at <= self.entity.now) {
                self.command(DependencyCommand::Due);
            }
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        let commands = self.gate.tick(self.entity.now);
        self.record_all(commands);
    }

    /// Trips it, and waits until it is half-open.
    pub(crate) fn half_open(&mut self) {
        self.calls(10, Outcome::Failure);
        assert_eq!(self.mode(), Mode::Open);
        self.entity.next_deadline();
        self.gate.sync(&self.entity.state, self.entity.now);
        assert_eq!(self.mode(), Mode::HalfOpen);
    }

    /// The server starts again: counts and permits are gone, the journal is not.
    pub(crate) fn restart(&mut self) {
        self.entity.boot += 1;
        self.gate = Gate::new(self.entity.boot);
        self.gate.sync(&self.entity.state, self.entity.now);
    }

    pub(crate) fn count_of(&self, name: &str) -> usize {
        self.journal.iter().filter(|event| event.name() == name).count()
    }
}
