//! The gates of all dependencies, for callers over HTTP and for probes.
//!
//! ```text
//!   permits, outcomes, probes ──► Gates ──verdicts, windows──► dependency entities ──► journal
//!                                   ▲                                                    │
//!                                   └────────────── sync with the durable state ◄────────┘
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use mainstay_journal::StreamId;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::message::{Deliver, Failure, Meta};
use super::registry::Registry;
use crate::dependency::{Dependency, DependencyCommand, DependencyReject, DependencyState};
use crate::gate::{Admission, Gate, Report};
use crate::machine::Machine;

/// How often gates close windows, expire permits and repeat verdicts.
const TICK: Duration = Duration::from_millis(250);

/// One gate per configured dependency.
#[derive(Debug)]
pub(crate) struct Gates {
    clock: Clock,
    boot: u64,
    by_name: BTreeMap<String, Gate>,
}

impl Gates {
    pub(crate) fn new(clock: Clock, boot: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { clock, boot, by_name: BTreeMap::new() }))
    }

    /// Follows a dependency's durable state; a retired one loses its gate.
    pub(crate) fn sync(&mut self, name: &str, state: &DependencyState) {
        if state.settings.is_none() || state.retired {
            self.by_name.remove(name);
            return;
        }
        let boot = self.boot;
        let gate = self.by_name.entry(name.to_owned()).or_insert_with(|| Gate::new(boot));
        gate.sync(state, self.clock.now());
    }

    fn gate(&mut self, name: &str) -> Result<&mut Gate, Failure<DependencyReject>> {
        self.by_name.get_mut(name).ok_or_else(unknown)
    }

    fn admit(&mut self, name: &str) -> Result<Admission, Failure<DependencyReject>> {
        let now = self.clock.now();
        Ok(self.gate(name)?.admit(now))
    }

    /// Takes outcomes; what comes back is for the dependency.
    fn record(
        &mut self,
        name: &str,
        reports: Vec<Report>,
    ) -> Result<Vec<DependencyCommand>, Failure<DependencyReject>> {
        let now = self.clock.now();
        let gate = self.gate(name)?;
        Ok(reports.into_iter().filter_map(|report| gate.record(report, now)).collect())
    }
}

/// Takes permits, outcomes and ticks.
pub(crate) struct GateKeeper {
    pub(crate) gates: Rc<RefCell<Gates>>,
    pub(crate) registry: Rc<RefCell<Registry>>,
    pub(crate) principal: Arc<str>,
}

/// Asks whether a call may be made.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Admit {
    pub(crate) name: String,
    pub(crate) reply_to: oneshot::Sender<Result<Admission, Failure<DependencyReject>>>,
}

/// Tells how calls went. Nothing durable is claimed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) reports: Vec<Report>,
    /// Probes need no answer.
    pub(crate) reply_to: Option<oneshot::Sender<Result<(), Failure<DependencyReject>>>>,
}

fn unknown() -> Failure<DependencyReject> {
    let at = mainstay_journal::Cursor::default();
    Failure::Rejected { reason: DependencyReject::Unknown, at }
}

/// Sends a gate's command to its dependency.
fn command(
    registry: &Rc<RefCell<Registry>>,
    principal: &Arc<str>,
    name: &str,
    command: DependencyCommand,
) -> Option<oneshot::Receiver<super::message::Answered<Dependency>>> {
    let stream = StreamId::new(Dependency::KIND, name)?;
    let (reply_to, reply) = oneshot::channel();
    let meta = Meta::of(principal);
    registry.borrow_mut().deliver::<Dependency>(Deliver { stream, command, meta, reply_to });
    Some(reply)
}

impl GateKeeper {
    fn tick(&mut self) {
        let mut due = Vec::new();
        {
            let gates = &mut *self.gates.borrow_mut();
            let now = gates.clock.now();
            for (name, gate) in &mut gates.by_name {
                due.extend(gate.tick(now).into_iter().map(|command| (name.clone(), command)));
            }
        }
        for (name, verdict) in due {
            // The reply is not awaited: the gate repeats a verdict that the journal did not take. An
            // observation is not repeated; its counts are lost while the journal refuses.
            drop(command(&self.registry, &self.principal, &name, verdict));
        }
    }
}

impl Actor for GateKeeper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |keeper, _context| keeper.tick());
    }
}

impl Handler<Admit> for GateKeeper {
    type Result = ();

    fn handle(&mut self, Admit { name, reply_to }: Admit, _context: &mut Self::Context) {
        let admission = self.gates.borrow_mut().admit(&name);
        let Ok(Admission::TryHalfOpen { generation }) = admission else {
            // A caller that left takes no permit: it expires.
            let _ = reply_to.send(admission);
            return;
        };
        let Self { gates, registry, principal } = self;
        let (gates, registry, principal) = (gates.clone(), registry.clone(), principal.clone());
        actix::spawn(async move {
            let half_open = DependencyCommand::TryHalfOpen { generation };
            let half_opened = match command(&registry, &principal, &name, half_open) {
                Some(reply) => reply.await.unwrap_or(Err(Failure::Crashed)).map(drop),
                None => Ok(()),
            };
            // Someone else may have been faster; then its trial calls are under way.
            let admission = half_opened.and_then(|()| gates.borrow_mut().admit(&name));
            let _ = reply_to.send(admission.map(|admission| match admission {
                Admission::TryHalfOpen { .. } => Admission::Rejected { retry_after_ms: None },
                decided => decided,
            }));
        });
    }
}

impl Handler<Record> for GateKeeper {
    type Result = ();

    fn handle(&mut self, record: Record, _context: &mut Self::Context) {
        let Record { name, reports, reply_to } = record;
        let recorded = self.gates.borrow_mut().record(&name, reports).map(|verdicts| {
            for verdict in verdicts {
                drop(command(&self.registry, &self.principal, &name, verdict));
            }
        });
        if let Some(reply_to) = reply_to {
            let _ = reply_to.send(recorded);
        }
    }
}
