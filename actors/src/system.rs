//! The supervisor's own facts: starts of the server and levels of health.
//!
//! ```text
//!   system/boot              Booted, Booted, …
//!   system/health            LevelChanged, …
//!   system/archive           MonthsDropped, …
//!   system/restore           Restored, …
//!   system/attestations      Attested, AttestationWithdrawn, …
//!   system/backups           BackupMade, BackupFailed, BackupsStalled, BackupsResumed, …
//!   system/drills            DrillCompleted, …
//! ```

mod events;
mod operations;

pub use events::{
    AttestationWithdrawn, Attested, Booted, DependencyFact, LevelChanged, MonthsDropped, Restored,
    SystemEvent,
};
pub use operations::{
    BackupFailed, BackupMade, BackupsResumed, BackupsStalled, DrillCompleted, Operation, Operations,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::health::Level;
use crate::machine::{Again, Context, Decision, Illegal, Machine};
use crate::rate::Score;
use crate::time::Timestamp;

/// Id of the stream with what became of backups.
pub const BACKUPS: &str = "backups";
/// Id of the stream with the drills.
pub const DRILLS: &str = "drills";
/// Id of the stream with the restores.
pub const RESTORE: &str = "restore";
/// Longest evidence of an attestation, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 500;
/// Longest time that an attestation holds, in milliseconds: two years.
pub const MAX_ATTESTED_MS: u64 = 731 * 24 * 3_600 * 1_000;
/// Longest name of an item, in bytes.
const MAX_ITEM_BYTES: usize = 100;

/// The machine behind every stream of kind `system`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {}

/// What a `system` stream folds to; each stream fills its own part.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SystemState {
    /// How often the server has started; of `system/boot`.
    pub boot: u64,
    /// The journaled level; of `system/health`.
    pub level: Level,
    /// Since when it holds; `None` before the first change.
    pub since: Option<Timestamp>,
    /// Everything up to here was dropped into an archive; of `system/archive`.
    pub dropped: u64,
    /// When the journal was last restored, which is the fence; of `system/restore`.
    pub restored: Option<Timestamp>,
    /// How often it was; of `system/restore`.
    pub restores: u64,
    /// What somebody vouches for, by item; of `system/attestations`.
    pub attestations: BTreeMap<String, Attestation>,
    /// Of `system/backups` and `system/drills`.
    pub operations: Operations,
}

/// What somebody vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Where the evidence is.
    pub evidence: String,
    /// The version of mainstay it is for.
    pub release: String,
    /// Since when.
    pub at: Timestamp,
    /// It holds until then.
    pub until: Timestamp,
}

/// What can be asked of a `system` stream.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemCommand {
    /// The server starts.
    Boot {
        /// Its version.
        version: String,
    },
    /// Health has another level.
    ChangeLevel(Box<LevelChange>),
    /// What an archive holds is about to be dropped.
    Drop {
        /// The last position in the archive.
        upto: u64,
        /// SHA-256 of the index of all states there.
        states: [u8; 32],
    },
    /// The journal was restored from a backup, and nothing was appended since.
    Restore {
        /// Epoch of the last event that was restored.
        fork_epoch: u32,
        /// Its position.
        fork_position: u64,
        /// Which backup; no credentials.
        source: String,
        /// No time and no fencing token of the history that was left lies above this.
        floor: Timestamp,
    },
    /// Somebody vouches for an item; what was attested of it before is replaced.
    Attest {
        /// Which item.
        item: String,
        /// Where the evidence is.
        evidence: String,
        /// The version it is for.
        release: String,
        /// How long it holds.
        for_ms: u64,
    },
    /// What became of a backup or a drill.
    Record(Operation),
    /// Nobody vouches for an item any more.
    Withdraw {
        /// Which item.
        item: String,
    },
    /// Show it.
    Show,
}

/// A new level with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelChange {
    /// The new level.
    pub to: Level,
    /// The score behind it.
    pub score: Score,
    /// Weight of the dependencies whose score is known.
    pub known_weight: u64,
    /// In words: `database is open`.
    pub cause: String,
    /// What each weighted dependency said.
    pub dependencies: Vec<DependencyFact>,
}

/// What a `system` stream answers: its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SystemReply(pub SystemState);

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Why a `system` stream says no; never to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SystemReject {
    /// There is nothing to withdraw.
    #[error("{item} is not attested; see `mainstay attest --list`")]
    NotAttested {
        /// Which item.
        item: String,
    },
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Machine for System {
    const KIND: &'static str = "system";
    const LAYOUT: u16 = 3;
    type State = SystemState;
    type Command = SystemCommand;
    type Event = SystemEvent;
    type Reply = SystemReply;
    type Reject = SystemReject;

    fn decide(
        state: &SystemState,
        command: SystemCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, SystemReject> {
        let at = context.now;
        let event: SystemEvent = match command {
            SystemCommand::Boot { version } => Booted { boot: state.boot + 1, version, at }.into(),
            SystemCommand::ChangeLevel(change) if change.to != state.level => {
                let LevelChange { to, score, known_weight, cause, dependencies } = *change;
                let from = state.level;
                LevelChanged { from, to, at, score, known_weight, cause, dependencies }.into()
            },
            SystemCommand::Drop { upto, states } if upto > state.dropped => {
                MonthsDropped { upto, states: hex(&states), at }.into()
            },
            SystemCommand::Restore { fork_epoch, fork_position, source, floor } => {
                // Every later token is at least this, and so above all that were given before.
                let at = at.max(floor.plus_us(1)).max(state.restored.unwrap_or_default());
                Restored { fork_epoch, fork_position, source, at, floor }.into()
            },
            SystemCommand::Record(operation) => operation.happened(at),
            SystemCommand::Attest { item, evidence, release, for_ms } => {
                check_attested(&item, &evidence, &release, for_ms)?;
                Attested { item, evidence, release, at, until: at.plus_ms(for_ms) }.into()
            },
            SystemCommand::Withdraw { item } if state.attestations.contains_key(&item) => {
                AttestationWithdrawn { item, at }.into()
            },
            SystemCommand::Withdraw { item } => return Err(SystemReject::NotAttested { item }),
            SystemCommand::ChangeLevel(_) | SystemCommand::Drop { .. } | SystemCommand::Show => {
                return Ok(Decision::answer(SystemReply(state.clone())));
            },
        };
        // Total by construction: `apply` takes every event that was decided on this state.
        let next = Self::apply(state.clone(), &event).unwrap_or_else(|_| state.clone());
        Ok(Decision::of(vec![event], SystemReply(next)))
    }

    fn fold(state: &mut SystemState, event: &SystemEvent) -> Result<(), Illegal> {
        let illegal =
            |reason: String| Err(Illegal::new(crate::codec::Payload::name(event), reason));
        match event {
            SystemEvent::Booted(event) => {
                if event.boot != state.boot + 1 {
                    return illegal(format!("boot {} after boot {}", event.boot, state.boot));
                }
                state.boot = event.boot;
            },
            SystemEvent::LevelChanged(event) => {
                if event.from != state.level || event.to == state.level {
                    return illegal(format!(
                        "{} to {} while at {}",
                        event.from, event.to, state.level
                    ));
                }
                state.level = event.to;
                state.since = Some(event.at);
            },
            SystemEvent::MonthsDropped(event) => {
                if event.upto < state.dropped {
                    return illegal(format!("{} after {}", event.upto, state.dropped));
                }
                state.dropped = event.upto;
            },
            SystemEvent::Restored(event) => {
                let before = state.restored.unwrap_or_default();
                if event.at < before || event.at <= event.floor {
                    let floor = event.floor;
                    return illegal(format!("at {}, after {before} and {floor}", event.at));
                }
                state.restored = Some(event.at);
                state.restores += 1;
            },
            SystemEvent::BackupMade(event) => state.operations.backup_made(event),
            SystemEvent::BackupFailed(event) => state.operations.backup_failed(event),
            SystemEvent::BackupsStalled(event) => state.operations.stalled(event),
            SystemEvent::BackupsResumed(_) => state.operations.stalled = None,
            SystemEvent::DrillCompleted(event) => state.operations.drill_completed(event),
            SystemEvent::Attested(event) => {
                let Attested { item, evidence, release, at, until } = event.clone();
                let attestation = Attestation { evidence, release, at, until };
                state.attestations.insert(item, attestation);
            },
            SystemEvent::AttestationWithdrawn(event) => {
                if state.attestations.remove(&event.item).is_none() {
                    return illegal(format!("{} was not attested", event.item));
                }
            },
        }
        Ok(())
    }

    fn deadline(_state: &SystemState) -> Option<Timestamp> {
        None
    }

    fn due() -> SystemCommand {
        SystemCommand::Show
    }

    fn answer_again(
        state: &SystemState,
        _request: &str,
        events: &[SystemEvent],
        _now: Timestamp,
    ) -> Again<Self> {
        let attests = |event: &SystemEvent| {
            matches!(event, SystemEvent::Attested(_) | SystemEvent::AttestationWithdrawn(_))
        };
        // Asked twice, attested once: the answer is how it stands.
        if events.iter().any(attests) {
            return Again::Reply(Ok(SystemReply(state.clone())));
        }
        Again::Decide
    }
}

fn check_attested(
    item: &str,
    evidence: &str,
    release: &str,
    for_ms: u64,
) -> Result<(), SystemReject> {
    let check = |good: bool, field, rule| {
        if good { Ok(()) } else { Err(SystemReject::OutOfRange { field, rule }) }
    };
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let named = (1..=MAX_ITEM_BYTES).contains(&item.len()) && item.bytes().all(plain);
    check(named, "item", "1 to 100 lower-case letters, digits, `.` and `-`")?;
    let told = (1..=MAX_EVIDENCE_BYTES).contains(&evidence.len())
        && evidence.bytes().all(|byte| byte.is_ascii_graphic());
    check(told, "evidence", "1 to 500 visible ASCII characters")?;
    let versioned = (1..=MAX_ITEM_BYTES).contains(&release.len());
    check(versioned, "release", "1 to 100 bytes")?;
    check((1..=MAX_ATTESTED_MS).contains(&for_ms), "for_ms", "1 to 63158400000, two years")
}
