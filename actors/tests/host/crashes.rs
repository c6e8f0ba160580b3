//! A machine that panics: its caller hears of it, everybody else goes on.

use mainstay_actors::codec::{CodecError, Payload};
use mainstay_actors::host::{Failure, Hosted};
use mainstay_actors::machine::{Again, Context, Decision, Illegal, Machine};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Fault, StreamId};
use serde::Serialize;
use tokio::task::spawn_local;

use super::support::{Rig, acquire, meta, virtually};

/// Counts, and panics when it is told to.
#[derive(Debug)]
enum Fragile {}

#[derive(Debug, Clone)]
enum Command {
    Count,
    /// Counts to the end: nothing more is expected.
    Finish,
    PanicInDecide,
    PanicInApply,
}

/// Above this it is over.
const MANY: u64 = 100;

#[derive(Debug, Clone, PartialEq, Serialize)]
enum Event {
    Counted,
    Finished,
    Poison,
}

#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("never")]
struct Never;

impl Payload for Event {
    fn type_id(&self) -> (u16, u16) {
        let id = match self {
            Self::Counted => 0x7001,
            Self::Poison => 0x7002,
            Self::Finished => 0x7003,
        };
        (id, 1)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Counted => "Counted",
            Self::Poison => "Poison",
            Self::Finished => "Finished",
        }
    }

    fn encode(&self, _into: &mut Vec<u8>) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(type_id: u16, schema: u16, _bytes: &[u8]) -> Result<Self, CodecError> {
        match type_id {
            0x7001 => Ok(Self::Counted),
            0x7003 => Ok(Self::Finished),
            _ => Err(CodecError::Unknown { type_id, schema }),
        }
    }

    fn catalogue() -> &'static [(&'static str, u16)] {
        &[("Counted", 0x7001), ("Poison", 0x7002), ("Finished", 0x7003)]
    }
}

impl Machine for Fragile {
    const KIND: &'static str = "fragile";
    type State = u64;
    type Command = Command;
    type Event = Event;
    type Reply = u64;
    type Reject = Never;

    fn decide(
        state: &u64,
        command: Command,
        _context: &Context<'_>,
    ) -> Result<Decision<Self>, Never> {
        match command {
            Command::Count => Ok(Decision::of(vec![Event::Counted], state + 1)),
            Command::Finish => Ok(Decision::of(vec![Event::Finished], state + MANY)),
            Command::PanicInDecide => panic!("asked to"),
            Command::PanicInApply => Ok(Decision::of(vec![Event::Poison], 0)),
        }
    }

    fn fold(state: &mut u64, event: &Event) -> Result<(), Illegal> {
        match event {
            Event::Counted => *state += 1,
            Event::Finished => *state += MANY,
            Event::Poison => panic!("asked to"),
        }
        Ok(())
    }

    fn deadline(_state: &u64) -> Option<Timestamp> {
        None
    }

    fn is_over(state: &u64) -> bool {
        *state >= MANY
    }

    fn due() -> Command {
        Command::Count
    }

    fn answer_again(
        _state: &u64,
        _request: &str,
        _events: &[Event],
        _now: Timestamp,
    ) -> Again<Self> {
        Again::Decide
    }
}

impl Hosted for Fragile {}

fn stream() -> StreamId {
    StreamId::new("fragile", "one").unwrap()
}

#[test]
fn a_panic_answers_crashed_and_the_next_command_folds_from_the_journal() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let ask = |command| host.ask::<Fragile>(stream(), command, meta());
        for (crash, counted) in [(Command::PanicInDecide, 1), (Command::PanicInApply, 3)] {
            assert_eq!(ask(Command::Count).await.unwrap().reply, counted);
            assert_eq!(ask(crash).await, Err(Failure::Crashed));
            assert_eq!(ask(Command::Count).await.unwrap().reply, counted + 1);
        }
        // Everybody else is as before.
        acquire(&host, "pool", "anna", 60_000).await;
        host.health().await.unwrap();
    });
}

#[test]
fn commands_around_a_panic_are_answered_or_told_and_none_is_lost() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let ask = |command| host.ask::<Fragile>(stream(), command, meta());
        // All in the mailbox at once.
        let (before, crash, after) =
            tokio::join!(ask(Command::Count), ask(Command::PanicInDecide), ask(Command::Count));
        assert_eq!(before.unwrap().reply, 1, "decided before the panic: durable and answered");
        assert_eq!(crash, Err(Failure::Crashed));
        let counted = match after {
            Ok(receipt) => receipt.reply,
            Err(failure) => {
                assert_eq!(failure, Failure::Crashed);
                1
            },
        };
        assert_eq!(ask(Command::Count).await.unwrap().reply, counted + 1);
        let head = mainstay_journal::ReadLog::stream_head(&*log, &stream(), u64::MAX).unwrap();
        assert_eq!(head.version, counted + 1);
    });
}

#[test]
fn what_a_crashed_actor_had_in_flight_is_answered_and_its_successor_goes_on_from_it() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let ask = |command| {
            let host = host.clone();
            spawn_local(async move { host.ask::<Fragile>(stream(), command, meta()).await })
        };
        ask(Command::Count).await.unwrap().unwrap();
        log.set(Fault::Hold);
        let finished = ask(Command::Finish);
        assert_eq!(ask(Command::PanicInDecide).await.unwrap(), Err(Failure::Crashed));
        let next = ask(Command::Count);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(log.held(), 1);
        log.release().unwrap();
        assert_eq!(finished.await.unwrap().unwrap().reply, MANY + 1);
        assert_eq!(next.await.unwrap().unwrap().reply, MANY + 2);
    });
}

#[test]
fn an_entity_that_crashes_twice_in_a_row_is_quarantined_and_named_in_health() {
    let rig = Rig::default();
    virtually(async {
        let (host, _log) = rig.start().await;
        let ask = |command| host.ask::<Fragile>(stream(), command, meta());
        assert_eq!(ask(Command::Count).await.unwrap().reply, 1);
        for crash in [Command::PanicInDecide, Command::PanicInApply] {
            assert!(host.health().await.unwrap().quarantined.is_empty());
            assert_eq!(ask(crash).await, Err(Failure::Crashed));
        }
        for _ in 0..3 {
            assert_eq!(ask(Command::Count).await, Err(Failure::Quarantined));
        }
        assert_eq!(host.health().await.unwrap().quarantined, ["fragile/one"]);
        // Everybody else is as before.
        acquire(&host, "pool", "anna", 60_000).await;
    });
    // What it did before is as it was, and a new start asks it again.
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        assert!(host.health().await.unwrap().quarantined.is_empty());
        let counted = host.ask::<Fragile>(stream(), Command::Count, meta()).await.unwrap();
        assert_eq!(counted.reply, 2);
    });
}
