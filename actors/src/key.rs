//! An access key: a name, a role, a tenant or all of them, and the keyed hashes of its secrets.
//!
//! ```text
//!   absent ──Create──► good ──Rotate──► good, the older secrets until their end
//!                        │ ╲__ time: expired
//!                        └──Revoke──► revoked, for good; its name is never used again
//! ```
//!
//! | command | absent | good or expired | revoked |
//! |---|---|---|---|
//! | `Create` | `KeyCreated` | `Exists` | `Exists` |
//! | `Rotate` | `NotFound` | `KeyRotated`, or `Expired` | `Revoked` |
//! | `Revoke` | `NotFound` | `KeyRevoked` | as it is |
//! | `Refuse` | nothing | `AccessRefused`, once a minute and reason | the same |
//! | `Show` | `NotFound` | the key | the key |

mod events;
mod hash;

pub use events::{AccessRefused, KeyCreated, KeyEvent, KeyRevoked, KeyRotated, RefusedBecause};
pub use hash::KeyHash;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::{Again, Context, Decision, Illegal, Machine};
use crate::time::Timestamp;

/// Longest life of a key, in milliseconds: ten years.
pub const MAX_LIFE_MS: u64 = 3_660 * 24 * 3_600 * 1_000;
/// Shortest life of a key, in milliseconds.
pub const MIN_LIFE_MS: u64 = 1_000;
/// Longest overlap of a rotation, in milliseconds: 90 days.
pub const MAX_OVERLAP_MS: u64 = 90 * 24 * 3_600 * 1_000;
/// Most secrets that are good at once.
pub const MAX_SECRETS: usize = 8;
/// Longest reason or operation, in bytes.
const MAX_TEXT_BYTES: usize = 200;
/// Of each reason a key's refusals are recorded once in so long, in milliseconds.
pub const REFUSALS_EVERY_MS: u64 = 60_000;

/// The machine of one key; its stream is `key/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {}

/// What the holder of a key may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Reads.
    Viewer,
    /// Commands dependencies, locks and sessions.
    Operator,
    /// Approves: takes leases away, places holds.
    Supervisor,
    /// Keys, erasure, restore.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Supervisor, Self::Admin];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }
}

/// What a key's stream folds to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyState {
    /// `None` before its first event.
    pub key: Option<KeyFacts>,
    /// When a refusal was recorded last, by reason.
    pub refused_at: BTreeMap<RefusedBecause, Timestamp>,
}

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// What its holder may do.
    pub role: Role,
    /// Whose sessions and locks it reaches; `None` is everybody's.
    pub tenant: Option<String>,
    /// Newest first.
    pub secrets: Vec<Secret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// One secret of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its keyed hash.
    pub hash: KeyHash,
    /// Since when it is taken.
    pub since: Timestamp,
    /// Until when, if another came after it.
    pub until: Option<Timestamp>,
}

impl KeyFacts {
    /// Why the key is taken no more, if it is not.
    #[must_use]
    pub fn refusal(&self, now: Timestamp) -> Option<RefusedBecause> {
        if self.revoked_at.is_some() {
            return Some(RefusedBecause::Revoked);
        }
        self.expires_at.is_some_and(|end| end <= now).then_some(RefusedBecause::Expired)
    }

    /// The secrets that are taken at a moment.
    pub fn good_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |it| it.until.is_none_or(|until| now < until))
    }

    /// Since when its newest secret is in use: its age is what is to be watched.
    #[must_use]
    pub fn rotated_at(&self) -> Timestamp {
        self.secrets.first().map_or(self.created_at, |secret| secret.since)
    }
}

/// What can be asked of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyCommand {
    /// Make it.
    Create {
        /// What its holder may do.
        role: Role,
        /// Whose sessions and locks it reaches; `None` is everybody's.
        tenant: Option<String>,
        /// Of its secret.
        hash: KeyHash,
        /// How long it lives; `None` is until it is revoked.
        life_ms: Option<u64>,
    },
    /// Give it another secret.
    Rotate {
        /// Of the new secret.
        hash: KeyHash,
        /// The older secrets are taken for so long, too.
        overlap_ms: u64,
    },
    /// Take it back.
    Revoke {
        /// Why; it is journaled.
        reason: String,
    },
    /// A request under it was refused.
    Refuse {
        /// Why.
        because: RefusedBecause,
        /// What was asked for.
        operation: String,
    },
    /// Show it.
    Show,
}

/// What a key answers: its facts, or nothing for a refusal that was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeyReply(pub Option<KeyFacts>);

/// Why a key says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum KeyReject {
    /// There is none of this name.
    #[error("no such key")]
    NotFound,
    /// The name was used before.
    #[error("a key of this name has existed; choose another name, or rotate that one")]
    Exists,
    /// It was taken back, for good.
    #[error("the key was revoked; make another")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired; make another")]
    Expired,
    /// Too many secrets are good at once.
    #[error(
        "8 secrets of this key are good at once; rotate with an overlap of 0 to end the others"
    )]
    TooManySecrets,
    /// A value out of its range, with the range.
    #[error("{field} must be {rule}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Machine for Key {
    const KIND: &'static str = "key";
    type State = KeyState;
    type Command = KeyCommand;
    type Event = KeyEvent;
    type Reply = KeyReply;
    type Reject = KeyReject;

    fn decide(
        state: &KeyState,
        command: KeyCommand,
        context: &Context<'_>,
    ) -> Result<Decision<Self>, KeyReject> {
        use KeyCommand as C;
        let now = context.now;
        let event: KeyEvent = match (&state.key, command) {
            (None, C::Create { role, tenant, hash, life_ms }) => {
                check_create(tenant.as_deref(), life_ms)?;
                let expires_at = life_ms.map(|ms| now.plus_ms(ms));
                KeyCreated { role, tenant, hash, at: now, expires_at }.into()
            },
            (Some(_), C::Create { .. }) => return Err(KeyReject::Exists),
            (Some(key), C::Rotate { hash, overlap_ms }) => {
                check_rotation(key, overlap_ms, now)?;
                KeyRotated { hash, at: now, older_until: now.plus_ms(overlap_ms) }.into()
            },
            (Some(key), C::Revoke { reason }) => {
                check(is_text(&reason), "reason", "1 to 200 bytes without control characters")?;
                if key.revoked_at.is_some() {
                    return Ok(show(state));
                }
                KeyRevoked { reason, at: now }.into()
            },
            (Some(_), C::Refuse { because, mut operation }) if is_news(state, because, now) => {
                truncate(&mut operation);
                AccessRefused { because, operation, at: now }.into()
            },
            (_, C::Refuse { .. }) => return Ok(Decision::answer(KeyReply(None))),
            (Some(_), C::Show) => return Ok(show(state)),
            (None, C::Rotate { .. } | C::Revoke { .. } | C::Show) => {
                return Err(KeyReject::NotFound);
            },
        };
        // Total by construction: the fold takes every event that was decided on this state.
        let next = Self::apply(state.clone(), &event).unwrap_or_else(|_| state.clone());
        Ok(Decision::of(vec![event], KeyReply(next.key)))
    }

    fn fold(state: &mut KeyState, event: &KeyEvent) -> Result<(), Illegal> {
        let name = crate::codec::Payload::name(event);
        let illegal = |reason: &str| Err(Illegal::new(name, reason));
        match (event, &mut state.key) {
            (KeyEvent::KeyCreated(created), key @ None) => {
                let KeyCreated { role, ref tenant, hash, at, expires_at } = *created;
                let secrets = vec![Secret { hash, since: at, until: None }];
                let tenant = tenant.clone();
                let (created_at, revoked_at) = (at, None);
                *key = Some(KeyFacts { role, tenant, secrets, created_at, expires_at, revoked_at });
            },
            (KeyEvent::KeyRotated(rotated), Some(key)) if key.revoked_at.is_none() => {
                let KeyRotated { hash, at, older_until } = *rotated;
                for older in &mut key.secrets {
                    older.until = Some(older.until.map_or(older_until, |it| it.min(older_until)));
                }
                key.secrets.retain(|older| older.until.is_some_and(|until| at < until));
                key.secrets.insert(0, Secret { hash, since: at, until: None });
            },
            (KeyEvent::KeyRevoked(revoked), Some(key)) if key.revoked_at.is_none() => {
                key.revoked_at = Some(revoked.at);
                key.secrets.clear();
            },
            (KeyEvent::AccessRefused(refused), Some(_)) => {
                state.refused_at.insert(refused.because, refused.at);
            },
            (KeyEvent::KeyCreated(_), Some(_)) => return illegal("the key is there"),
            (KeyEvent::KeyRotated(_) | KeyEvent::KeyRevoked(_), Some(_)) => {
                return illegal("the key was revoked");
            },
            (_, None) => return illegal("there is no such key"),
        }
        Ok(())
    }

    fn deadline(_state: &KeyState) -> Option<Timestamp> {
        None
    }

    fn due() -> KeyCommand {
        KeyCommand::Show
    }

    /// A secret is shown once: a retry makes none, and learns that the first one was made.
    fn answer_again(
        state: &KeyState,
        _request: &str,
        events: &[KeyEvent],
        _now: Timestamp,
    ) -> Again<Self> {
        match events {
            [KeyEvent::KeyCreated(_)] => Again::Reply(Err(KeyReject::Exists)),
            [KeyEvent::KeyRevoked(_)] => Again::Reply(Ok(KeyReply(state.key.clone()))),
            _ => Again::Decide,
        }
    }
}

fn show(state: &KeyState) -> Decision<Key> {
    Decision::answer(KeyReply(state.key.clone()))
}

/// Whether a refusal is to be recorded: one of this reason was not for a while.
fn is_news(state: &KeyState, because: RefusedBecause, now: Timestamp) -> bool {
    let last = state.refused_at.get(&because);
    last.is_none_or(|last| last.plus_ms(REFUSALS_EVERY_MS) <= now)
}

fn check_create(tenant: Option<&str>, life_ms: Option<u64>) -> Result<(), KeyReject> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let named = |name: &str| (1..=200).contains(&name.len()) && name.bytes().all(plain);
    check(tenant.is_none_or(named), "tenant", "1 to 200 of A-Z a-z 0-9 . _ -")?;
    let lives = life_ms.is_none_or(|ms| (MIN_LIFE_MS..=MAX_LIFE_MS).contains(&ms));
    check(lives, "life_ms", "1000 to 316224000000 (ten years)")
}

fn check_rotation(key: &KeyFacts, overlap_ms: u64, now: Timestamp) -> Result<(), KeyReject> {
    match key.refusal(now) {
        Some(RefusedBecause::Revoked) => return Err(KeyReject::Revoked),
        Some(_) => return Err(KeyReject::Expired),
        None => {},
    }
    check(overlap_ms <= MAX_OVERLAP_MS, "overlap_ms", "0 to 7776000000 (90 days)")?;
    if overlap_ms > 0 && key.good_secrets(now).count() >= MAX_SECRETS {
        return Err(KeyReject::TooManySecrets);
    }
    Ok(())
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn truncate(text: &mut String) {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), KeyReject> {
    if holds { Ok(()) } else { Err(KeyReject::OutOfRange { field, rule }) }
}
