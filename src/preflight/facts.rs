//! What the items are decided on: read once, and then only looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mainstay_actors::dependency::{Mode, Settings};
use mainstay_actors::health::Level;
use mainstay_actors::key::Role;
use mainstay_actors::time::Timestamp;

use crate::config::Config;

/// Everything that was read.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The wall clock when it was read.
    pub now: Timestamp,
    /// The version that is to be launched.
    pub release: String,
    /// The configuration, or why there is none.
    pub config: Result<ConfigFacts, String>,
    /// The journal, or why it cannot be opened.
    pub journal: Result<JournalFacts, String>,
    /// The data directory beside the journal.
    pub files: FileFacts,
    /// The machine that it lies on.
    pub machine: MachineFacts,
    /// The running server, or why it does not answer; `None` if none was asked.
    pub server: Option<Result<ServerFacts, String>>,
    /// The certificate of TLS, or what is wrong with it; `None` without TLS.
    pub certificate: Option<Result<CertificateFacts, String>>,
    /// The configured backup; `None` if there is none.
    pub backup: Option<BackupFacts>,
    /// The configured drill; `None` if there is none.
    pub drill: Option<DrillFacts>,
    /// What somebody vouches for, by item.
    pub attestations: BTreeMap<String, Voucher>,
}

/// The configuration, and where it came from.
#[derive(Debug, Clone)]
pub struct ConfigFacts {
    /// As `serve` reads it.
    pub config: Config,
    /// Its file with the mode, if there is one.
    pub file: Option<(PathBuf, u32)>,
}

/// What the events say.
#[derive(Debug, Clone, Default)]
pub struct JournalFacts {
    /// Of the history.
    pub epoch: u32,
    /// Of the newest event.
    pub position: u64,
    /// When the first event that is here was decided.
    pub first_at: Option<Timestamp>,
    /// When the newest one was.
    pub last_at: Option<Timestamp>,
    /// What is wrong with its segments.
    pub findings: Vec<String>,
    /// Events whose blocks were checked for that.
    pub checked: u64,
    /// Bytes of their payloads and envelopes.
    pub record_bytes: u64,
    /// Events of starts, health, dependencies and keys that contradict the history before them.
    pub unreadable: Vec<String>,
    /// The first position whose time lies before that of the event before it.
    pub falling: Option<u64>,
    /// Events of the last 7 days.
    pub events_of_week: u64,
    /// The last position that was dropped into an archive, and whether that can be read; `None` if
    /// nothing was dropped.
    pub archive: Option<(u64, bool)>,
    /// The starts of the last day, and the newest one.
    pub starts: Vec<Start>,
    /// Every level with the moment from which on it held.
    pub levels: Vec<(Timestamp, Level)>,
    /// Every dependency that is not retired.
    pub dependencies: Vec<DependencyFacts>,
    /// Every key that lets somebody in.
    pub keys: Vec<KeyFacts>,
    /// Refusals of known keys that were recorded in the last day.
    pub refusals_of_day: u64,
    /// Those of them that were of expired or revoked keys.
    pub stale_tries_of_day: u64,
    /// Of the newest events that callers caused: how many there are, and how many of these name a trace or
    /// request.
    pub correlated: (u64, u64),
    /// The witness, or what is wrong with it; `None` if none was named.
    pub witness: Option<Result<WitnessFacts, String>>,
}

/// A start of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// When.
    pub at: Timestamp,
    /// Of mainstay.
    pub version: String,
}

/// One dependency.
#[derive(Debug, Clone)]
pub struct DependencyFacts {
    /// Its name.
    pub name: String,
    /// Weight and breaker.
    pub settings: Settings,
    /// The state of its breaker.
    pub mode: Mode,
    /// Whether its score is known.
    pub is_known: bool,
    /// When it was observed last.
    pub observed_at: Option<Timestamp>,
    /// Calls of the last day.
    pub calls_of_day: u64,
    /// Failed ones among them.
    pub failures_of_day: u64,
    /// How often its breaker opened in the last day.
    pub openings_of_day: u64,
}

/// One key that lets somebody in.
#[derive(Debug, Clone)]
pub struct KeyFacts {
    /// Its name.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Whether it is of one tenant.
    pub of_tenant: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when its newest secret is in use.
    pub rotated_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Since when a secret before the newest is on its way out, if one still is taken.
    pub overlaps_since: Option<Timestamp>,
    /// When it caused an event last.
    pub used_at: Option<Timestamp>,
}

/// A file of checkpoints that lies elsewhere.
#[derive(Debug, Clone)]
pub struct WitnessFacts {
    /// Which file.
    pub path: PathBuf,
    /// How many events its newest checkpoint covers.
    pub covers: u64,
    /// Whether it lies on the file system of the data directory.
    pub is_beside: bool,
}

/// Files and modes of the data directory; a mode is `None` where there is no file.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    /// Mode and owner of the directory itself.
    pub data: Option<(u32, u32)>,
    /// Of the file `secret`.
    pub secret: Option<u32>,
    /// Of the folder `keys` and the files in it, by name.
    pub subject_keys: Vec<(String, u32)>,
    /// Of the key that signs checkpoints.
    pub signing_key: Option<u32>,
    /// Things in `set-aside`, and their bytes.
    pub set_aside: (u64, u64),
    /// When the last checkpoint of a start was kept.
    pub checkpoint_at: Option<Timestamp>,
    /// Of the file of keys of blocks at rest, if one is configured.
    pub journal_key: Option<u32>,
    /// Whether that file lies in the data directory.
    pub journal_key_is_inside: bool,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub struct MachineFacts {
    /// All bytes of the file system with the data directory, and those that are free.
    pub disk: Option<(u64, u64)>,
    /// All files that it can hold, and how many more; `None` where it counts none.
    pub inodes: Option<(u64, u64)>,
    /// Its kind: `ext4`.
    pub filesystem: Option<String>,
    /// Whether it is the one of `/`, too.
    pub is_root_filesystem: bool,
    /// Files that a process may have open at most.
    pub open_files: Option<u64>,
    /// All bytes of memory, and those that are available.
    pub memory: Option<(u64, u64)>,
    /// Processors.
    pub cores: u64,
    /// Load of the last 15 minutes, in hundredths.
    pub load_hundredths: Option<u64>,
    /// Whether its clock is synchronised, as far as that can be read.
    pub is_synchronised: Option<bool>,
    /// What its clock counts.
    pub clock_source: Option<String>,
}

/// The running server.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// Whether it takes commands; if not, why.
    pub ready: Result<(), String>,
    /// Of its history.
    pub epoch: u32,
    /// Of its newest event.
    pub position: u64,
    /// Why its journal takes no events.
    pub refusing: Option<String>,
    /// Appends that wait for the writer.
    pub queued: u64,
    /// 99th percentile of the last syncs, in microseconds.
    pub sync_p99_us: u64,
    /// The second copy.
    pub store: Option<StoreFacts>,
    /// Appends on their way to the disk, and how many there may be.
    pub in_flight: (u64, u64),
    /// Entities that are asked no more.
    pub quarantined: Vec<String>,
    /// Events that could not be folded at its start.
    pub unreadable: u64,
    /// Level and score as its health says them.
    pub health: Option<(String, u64)>,
    /// Names in its metrics, or why there are none.
    pub metrics: Result<BTreeSet<String>, String>,
    /// The version that its document says.
    pub version: Option<String>,
    /// How far its clock is from ours, in milliseconds.
    pub clock_off_ms: Option<u64>,
}

/// The second copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFacts {
    /// Everything up to here is in it.
    pub reached: u64,
    /// It is being made again.
    pub rebuilding: bool,
    /// What was wrong with the last one.
    pub trouble: Option<String>,
}

/// The certificate that TLS is served with.
#[derive(Debug, Clone)]
pub struct CertificateFacts {
    /// Since when it is valid.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Certificates in the file.
    pub chain: usize,
    /// What is wrong with the way from the first to the last.
    pub broken: Option<String>,
    /// Mode of its private key.
    pub key_mode: u32,
}

/// The configured backup.
#[derive(Debug, Clone)]
pub struct BackupFacts {
    /// Where to.
    pub target: String,
    /// Whether the tail is shipped as it grows.
    pub continuous: bool,
    /// Time between two backups, in milliseconds.
    pub interval_ms: Option<u64>,
    /// How much may be lost, in milliseconds.
    pub rpo_ms: u64,
    /// To how many recipients it is encrypted; 0 is in the plain.
    pub recipients: usize,
    /// How long backups are kept.
    pub keep: Keep,
    /// Why the target cannot be reached, if it cannot.
    pub unreachable: Option<String>,
    /// Whether it lies elsewhere than the data directory.
    pub is_off_site: bool,
    /// When the last backup was complete.
    pub last_at: Option<Timestamp>,
    /// When one was read back last, and was good.
    pub verified_at: Option<Timestamp>,
}

/// How long backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest of so many days.
    pub daily: u32,
    /// Of so many weeks.
    pub weekly: u32,
    /// Of so many months.
    pub monthly: u32,
    /// And all that are younger than this, in milliseconds.
    pub within_ms: u64,
}

/// The configured drill.
#[derive(Debug, Clone)]
pub struct DrillFacts {
    /// When the last good one ended.
    pub good_at: Option<Timestamp>,
    /// What it measured from the disaster to the first write, in milliseconds.
    pub rto_ms: Option<u64>,
    /// What that may be, in milliseconds.
    pub rto_target_ms: u64,
    /// What it lost, in milliseconds.
    pub rpo_ms: Option<u64>,
    /// What that may be, in milliseconds.
    pub rpo_target_ms: u64,
}

/// What somebody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// Where the evidence is.
    pub evidence: String,
    /// The version it is for.
    pub release: String,
    /// Who vouches; `None` if that event was dropped into an archive.
    pub by: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// It holds until then.
    pub until: Timestamp,
}

impl Voucher {
    /// Why it does not hold any more, if it does not.
    #[must_use]
    pub fn void(&self, release: &str, now: Timestamp) -> Option<String> {
        if self.release != release {
            return Some(format!("it is for release {}, and this is {release}", self.release));
        }
        (self.until <= now).then(|| format!("it expired at {}", self.until))
    }
}
