//! Turns durable facts into one global health, and journals each change of its level.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, MessageResult};
use mainstay_journal::{Cursor, StreamId};
use serde::Serialize;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::limits::Limits;
use super::message::{Deliver, Meta};
use super::registry::{Registry, Shared};
use super::views::{HEALTH, Views};
use crate::dependency::{Dependency, DependencyState, Mode};
use crate::health::{Assessment, Hysteresis, Input, Level, assess, cause};
use crate::lock::{Lock, LockState};
use crate::machine::Machine;
use crate::rate::{Rate, Score};
use crate::session::Session;
use crate::system::{DependencyFact, LevelChange, System, SystemCommand};
use crate::time::Timestamp;

/// Global health as it follows from durable facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthView {
    /// Whole points, 0 to 100, rounded down.
    pub score: Score,
    /// The journaled level.
    pub level: Level,
    /// Since when; absent before the first change.
    pub since: Option<Timestamp>,
    /// The newest durable record behind this.
    pub position: u64,
    /// Its epoch.
    pub epoch: u32,
    /// Weight of the dependencies whose score is known.
    pub known_weight: u64,
    /// In words, why the score is what it is.
    pub cause: String,
    /// Every dependency that is not retired, by name.
    pub dependencies: Vec<DependencyView>,
    /// Entities that crashed twice in a row and are asked no more: `lock/room-101`.
    pub quarantined: Vec<String>,
}

/// One dependency in the global health.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DependencyView {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// Whole points; absent while unknown or disabled.
    pub score: Option<Score>,
    /// The breaker's state.
    pub state: Mode,
    /// Since when; absent before its first transition.
    pub since: Option<Timestamp>,
    /// When time ends that state, if it does.
    pub until: Option<Timestamp>,
    /// Of the sliding window at the last observation.
    pub failure_rate: Option<Rate>,
    /// Of the sliding window at the last observation.
    pub slow_rate: Option<Rate>,
    /// Calls in the sliding window at the last observation.
    pub calls: u64,
    /// The breaker has moved on in this process, and the journal takes nothing: what is shown here
    /// is the last state that is durable.
    pub unjournaled: bool,
}

impl DependencyView {
    /// The view of a configured dependency.
    #[must_use]
    pub fn of(name: &str, state: &DependencyState) -> Option<Self> {
        let settings = state.settings.as_ref().filter(|_| !state.retired)?;
        let observed = state.observed.unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            weight: settings.weight,
            score: state.score(),
            state: state.breaker.mode,
            since: (state.breaker.generation > 0).then_some(state.breaker.since),
            until: state.breaker.until,
            failure_rate: observed.failure_rate,
            slow_rate: observed.slow_rate,
            calls: observed.calls,
            unjournaled: false,
        })
    }
}

fn inputs(views: &Views) -> Vec<Input<'_>> {
    let configured = views.dependencies.iter().filter(|(_, state)| !state.retired);
    configured
        .filter_map(|(name, state)| {
            let settings = state.settings.as_ref()?;
            Some(Input {
                name,
                weight: settings.weight,
                score: state.score(),
                down: state.breaker.mode.is_down(),
                cap: settings.cap,
            })
        })
        .collect()
}

/// Journals the level as it changes; works for as long as the arbiter does.
pub(crate) async fn watch_health(
    views: Rc<RefCell<Views>>,
    registry: Rc<RefCell<Registry>>,
    clock: Clock,
    recover_after_ms: u64,
) {
    let principal: Arc<str> = Arc::from("system:supervisor");
    let changed = views.borrow().health_changed.clone();
    let mut hysteresis = Hysteresis::new(views.borrow().health.level, recover_after_ms);
    loop {
        let assessment = assess(&inputs(&views.borrow()));
        if let Some(to) = hysteresis.observe(assessment.level, clock.now()) {
            let change = {
                let views = views.borrow();
                evidence(&views, &inputs(&views), assessment)
            };
            let command = SystemCommand::ChangeLevel(Box::new(LevelChange { to, ..change }));
            let (reply_to, reply) = oneshot::channel();
            let Some(stream) = StreamId::new(System::KIND, HEALTH) else { return };
            let meta = Meta::of(&principal).caused_by(views.borrow().dependency_at);
            registry.borrow_mut().deliver::<System>(Deliver { stream, command, meta, reply_to });
            if !matches!(reply.await, Ok(Ok(_))) {
                // Not recorded: start again from what is, a little later.
                tracing::warn!(%to, "the change of level waits for the journal");
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
                hysteresis = Hysteresis::new(views.borrow().health.level, recover_after_ms);
                continue;
            }
        }
        match hysteresis.deadline() {
            None => changed.notified().await,
            Some(at) => tokio::select! {
                () = changed.notified() => {},
                () = tokio::time::sleep_until(clock.instant_of(at)) => {},
            },
        }
    }
}

fn mode(views: &Views, input: &Input<'_>) -> Mode {
    views.dependencies.get(input.name).map_or(Mode::Closed, |state| state.breaker.mode)
}

fn explain(views: &Views, inputs: &[Input<'_>], assessment: Assessment) -> String {
    cause(&assessment, inputs, |input| mode(views, input))
}

/// Most dependencies in the evidence of a change.
const MAX_FACTS: usize = 64;

fn evidence(views: &Views, inputs: &[Input<'_>], assessment: Assessment) -> LevelChange {
    // What is down and what weighs most: a record is bounded, the number of dependencies is not.
    let mut told: Vec<&Input<'_>> = inputs.iter().collect();
    told.sort_by_key(|input| (!input.down, std::cmp::Reverse(input.weight), input.name));
    let dependencies = told
        .into_iter()
        .take(MAX_FACTS)
        .map(|input| DependencyFact {
            name: input.name.to_owned(),
            weight: input.weight,
            score: input.score,
            mode: mode(views, input),
        })
        .collect();
    LevelChange {
        to: assessment.level,
        score: assessment.score,
        known_weight: assessment.known_weight,
        cause: explain(views, inputs, assessment),
        dependencies,
    }
}

/// Answers questions about the whole from the views.
pub(crate) struct Supervisor {
    pub(crate) views: Rc<RefCell<Views>>,
    pub(crate) shared: Rc<Shared>,
    pub(crate) registry: Rc<RefCell<Registry>>,
    pub(crate) recover_after_ms: u64,
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Supervisor {
    /// Why the level is what it is; while a better one is waited for, that.
    fn cause(&self, views: &Views, inputs: &[Input<'_>], assessment: Assessment) -> String {
        let cause = explain(views, inputs, assessment);
        if assessment.level <= views.health.level {
            return cause;
        }
        let seconds = self.recover_after_ms.div_ceil(1_000);
        format!("{cause}; {} must hold for {seconds} s first", assessment.level)
    }
}

/// Asks for the global health.
#[derive(Debug, Message)]
#[rtype(result = "HealthView")]
pub(crate) struct AskHealth;

impl Handler<AskHealth> for Supervisor {
    type Result = MessageResult<AskHealth>;

    fn handle(&mut self, _ask: AskHealth, _context: &mut Self::Context) -> Self::Result {
        let views = self.views.borrow();
        let inputs = inputs(&views);
        let assessment = assess(&inputs);
        let Cursor { epoch, position } = views.position;
        MessageResult(HealthView {
            score: assessment.score,
            level: views.health.level,
            since: views.health.since,
            position,
            epoch,
            known_weight: assessment.known_weight,
            cause: self.cause(&views, &inputs, assessment),
            dependencies: views
                .dependencies
                .iter()
                .filter_map(|(name, state)| {
                    let unjournaled = views.gates.borrow().is_unjournaled(name);
                    Some(DependencyView { unjournaled, ..DependencyView::of(name, state)? })
                })
                .collect(),
            quarantined: self.registry.borrow().quarantined().map(ToString::to_string).collect(),
        })
    }
}

/// Asks for one dependency's durable state.
#[derive(Debug, Message)]
#[rtype(result = "Option<DependencyState>")]
pub(crate) struct AskDependency(pub(crate) String);

impl Handler<AskDependency> for Supervisor {
    type Result = Option<DependencyState>;

    fn handle(&mut self, ask: AskDependency, _context: &mut Self::Context) -> Self::Result {
        self.views.borrow().dependencies.get(&ask.0).cloned()
    }
}

/// Asks for locks with a lease or a waiter, by name.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(String, LockState)>")]
pub(crate) struct AskLocks {
    pub(crate) prefix: String,
    pub(crate) after: String,
    pub(crate) limit: usize,
}

impl Handler<AskLocks> for Supervisor {
    type Result = MessageResult<AskLocks>;

    fn handle(&mut self, ask: AskLocks, _context: &mut Self::Context) -> Self::Result {
        let views = self.views.borrow();
        let wanted = |id: &str| id.starts_with(&ask.prefix) && id > ask.after.as_str();
        let mut names: Vec<&StreamId> =
            views.locks.keys().filter(|stream| wanted(stream.id())).collect();
        // The first `limit` in order, without sorting the rest.
        if names.len() > ask.limit {
            names.select_nth_unstable(ask.limit);
            names.truncate(ask.limit);
        }
        names.sort_unstable();
        let state = |stream: &StreamId| {
            let state = views.locks.get(stream).cloned()?;
            Some((stream.id().to_owned(), state))
        };
        MessageResult(names.into_iter().filter_map(state).collect())
    }
}

/// How full the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Occupancy {
    /// Live session actors.
    pub sessions: usize,
    /// Live lock actors.
    pub locks: usize,
    /// Live dependency actors.
    pub dependencies: usize,
    /// Locks with a lease or a waiter.
    pub held_locks: usize,
    /// Entries in the deadline queue: every live session has one, resident or not.
    pub timers: usize,
    /// Live actors of all kinds.
    pub residents: usize,
    /// Idle actors that were let go because of the bound, since the start.
    pub passivated: u64,
    /// Entities that are being folded from the journal, or wait for it.
    pub recovering: usize,
    /// Appends on their way to the disk.
    pub in_flight: usize,
    /// What bounds all of these.
    pub limits: Limits,
}

/// Asks how full the host is.
#[derive(Debug, Message)]
#[rtype(result = "Occupancy")]
pub(crate) struct AskOccupancy;

impl Handler<AskOccupancy> for Supervisor {
    type Result = MessageResult<AskOccupancy>;

    fn handle(&mut self, _ask: AskOccupancy, _context: &mut Self::Context) -> Self::Result {
        let mut registry = self.registry.borrow_mut();
        MessageResult(Occupancy {
            sessions: registry.resident::<Session>(),
            locks: registry.resident::<Lock>(),
            dependencies: registry.resident::<Dependency>(),
            held_locks: self.views.borrow().locks.len(),
            timers: self.shared.timers.len(),
            residents: registry.residents.count,
            passivated: registry.residents.passivated,
            recovering: self.shared.permits.under_way(),
            in_flight: self.shared.outbox.in_flight(),
            limits: self.shared.limits,
        })
    }
}
