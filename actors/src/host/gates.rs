//! The gates of all dependencies: what callers have found, and what the journal says.
//!
//! ```text
//!   permits, outcomes, probes ──► Gates ──verdicts, windows──► dependency entities ──► journal
//!   callers in this process ──► Board ─▲▲                                                │
//!                                      │└────────────── sync with the durable state ◄────┘
//!                                      └─ `alone`: the journal takes nothing, the machine goes on
//! ```

mod alone;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use mainstay_journal::StreamId;
use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::message::{Answered, Deliver, Failure, Meta};
use super::registry::Registry;
use crate::dependency::{Dependency, DependencyCommand, DependencyReject, DependencyState};
use crate::gate::{Admission, Board, Gate, Outcome, Report};
use crate::machine::Machine;
use crate::time::Timestamp;
use alone::Alone;

/// How often gates read what callers have counted, close windows, expire permits and repeat
/// verdicts.
const TICK: Duration = Duration::from_millis(250);

/// One gate per configured dependency.
#[derive(Debug)]
pub(crate) struct Gates {
    clock: Clock,
    boot: u64,
    board: Arc<Board>,
    by_name: BTreeMap<String, Kept>,
}

/// A gate and what it follows.
#[derive(Debug)]
struct Kept {
    gate: Gate,
    journaled: DependencyState,
    /// The journal has not taken its verdicts: it went on without.
    alone: Option<Alone>,
    /// Since when the entity lets a deadline pass.
    overdue_since: Option<Timestamp>,
}

impl Gates {
    pub(crate) fn new(clock: Clock, boot: u64, board: Arc<Board>) -> Rc<RefCell<Self>> {
        board.tick(clock.now());
        Rc::new(RefCell::new(Self { clock, boot, board, by_name: BTreeMap::new() }))
    }

    /// Follows a dependency's durable state; a retired one loses its gate.
    pub(crate) fn sync(&mut self, name: &str, state: &DependencyState) {
        let now = self.clock.now();
        if state.settings.is_none() || state.retired {
            // The gate stays: what it gave is not given again.
            if let Some(kept) = self.by_name.get_mut(name) {
                kept.journaled = state.clone();
                kept.alone = None;
                kept.gate.sync(state, now);
            }
            return;
        }
        let (board, boot) = (&self.board, self.boot);
        let kept = self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Kept::new(Gate::behind(board.front(name), boot), state.clone()));
        kept.journaled = state.clone();
        kept.follow(now);
    }

    /// Whether its breaker has moved, and the journal does not know it yet.
    pub(crate) fn is_unjournaled(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(Kept::is_alone)
    }

    fn gate(&mut self, name: &str) -> Result<&mut Gate, Failure<DependencyReject>> {
        let kept = self.by_name.get_mut(name).filter(|kept| !kept.journaled.retired);
        kept.map(|kept| &mut kept.gate).ok_or_else(unknown)
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

    /// What time brings to every gate.
    fn tick(&mut self) -> Vec<(String, DependencyCommand)> {
        let now = self.clock.now();
        self.board.tick(now);
        let mut due = Vec::new();
        for (name, kept) in &mut self.by_name {
            let commands = kept.gate.tick(now).into_iter().chain(kept.tick_alone(now, self.boot));
            due.extend(commands.map(|command| (name.clone(), command)));
        }
        self.board.next_round();
        due
    }

    /// Verdicts that callers have found.
    fn heard(&mut self) -> Vec<(String, DependencyCommand)> {
        let now = self.clock.now();
        let noticed = self.board.noticed();
        let heard = noticed.into_iter().filter_map(|name| {
            let command = self.by_name.get_mut(&*name)?.gate.heard(now)?;
            Some((name.to_string(), command))
        });
        heard.collect()
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        // Nobody would hear what callers find.
        self.board.end();
    }
}

/// Takes permits, outcomes and ticks.
pub(crate) struct GateKeeper {
    pub(crate) gates: Rc<RefCell<Gates>>,
    pub(crate) post: GatePost,
}

/// Sends what gates have to say.
#[derive(Clone)]
pub(crate) struct GatePost {
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

impl GatePost {
    /// Sends a gate's command to its dependency.
    fn send(
        &self,
        name: &str,
        command: DependencyCommand,
    ) -> Option<oneshot::Receiver<Answered<Dependency>>> {
        let stream = StreamId::new(Dependency::KIND, name)?;
        let (reply_to, reply) = oneshot::channel();
        let meta = Meta::of(&self.principal);
        let deliver = Deliver { stream, command, meta, reply_to };
        self.registry.borrow_mut().deliver::<Dependency>(deliver);
        Some(reply)
    }

    /// Sends it; if the journal does not take it, the gate goes on alone. An observation is not
    /// repeated: its counts are lost while the journal refuses.
    fn record(&self, gates: &Rc<RefCell<Gates>>, name: String, command: DependencyCommand) {
        if gates.borrow_mut().decides_alone(&name, &command) {
            return;
        }
        let observes = matches!(command, DependencyCommand::Observe { .. });
        let Some(reply) = self.send(&name, command.clone()) else { return };
        if observes {
            return;
        }
        let gates = gates.clone();
        actix::spawn(async move {
            let answered = reply.await.unwrap_or(Err(Failure::Crashed));
            gates.borrow_mut().answered(&name, command, answered);
        });
    }
}

impl Actor for GateKeeper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(TICK, |keeper, _context| {
            let due = keeper.gates.borrow_mut().tick();
            for (name, command) in due {
                keeper.post.record(&keeper.gates, name, command);
            }
        });
        let found = Arc::new(Notify::new());
        let tell = found.clone();
        self.gates.borrow().board.on_notice(move || tell.notify_one());
        let (gates, post) = (self.gates.clone(), self.post.clone());
        actix::spawn(async move {
            loop {
                // First: something may have been found before this was listening.
                let heard = gates.borrow_mut().heard();
                for (name, command) in heard {
                    post.record(&gates, name, command);
                }
                found.notified().await;
            }
        });
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
        let (gates, post) = (self.gates.clone(), self.post.clone());
        actix::spawn(async move {
            let half_open = DependencyCommand::TryHalfOpen { generation };
            let opened = gates.borrow_mut().gate(&name).map(Gate::reserve);
            let admission = match opened.map(|()| post.send(&name, half_open.clone())) {
                Err(unknown) => Err(unknown),
                Ok(reply) => {
                    let answered = match reply {
                        Some(reply) => reply.await.unwrap_or(Err(Failure::Crashed)),
                        None => Err(unknown()),
                    };
                    let mut gates = gates.borrow_mut();
                    gates.answered(&name, half_open, answered);
                    gates.admit_opener(&name)
                },
            };
            if let Err(Ok(Admission::Admitted(permit))) = reply_to.send(admission) {
                // Who asked has left.
                let outcome = Outcome::Ignored;
                let report = Report {
                    permit: Some(permit),
                    outcome,
                    duration_us: 0,
                    probe: false,
                    injected: false,
                };
                drop(gates.borrow_mut().record(&name, vec![report]));
            }
        });
    }
}

impl Gates {
    /// The first permit of a half-open for who asked to open it; a rejection if someone else was
    /// faster and its trial calls are under way.
    fn admit_opener(&mut self, name: &str) -> Result<Admission, Failure<DependencyReject>> {
        let now = self.clock.now();
        Ok(match self.gate(name)?.admit_opener(now) {
            Admission::TryHalfOpen { .. } => Admission::Rejected { retry_after_ms: None },
            decided => decided,
        })
    }
}

impl Handler<Record> for GateKeeper {
    type Result = ();

    fn handle(&mut self, record: Record, _context: &mut Self::Context) {
        let Record { name, reports, reply_to } = record;
        let recorded = self.gates.borrow_mut().record(&name, reports);
        let recorded = recorded.map(|verdicts| {
            for verdict in verdicts {
                self.post.record(&self.gates, name.clone(), verdict);
            }
        });
        if let Some(reply_to) = reply_to {
            let _ = reply_to.send(recorded);
        }
    }
}
