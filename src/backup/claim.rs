//! Who may write to a target: one process at a time, and none of an older epoch.
//!
//! ```text
//!   locks/0000000007.json    {owner, beat}     the highest number holds; its beat rises while it lives
//!   epochs/0000000002.json   {…}               whoever writes in a lower epoch is refused
//!   target.json              {journal}         a target is one journal's
//! ```
//!
//! No clock is compared: who finds a lock waits to see whether its beat rises. A number is taken by
//! making its object, which only one can; who finds a higher one has lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::target::Target;

const LOCKS: &str = "locks";
const EPOCHS: &str = "epochs";
const TARGET: &str = "target.json";
/// The layout of a target that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;
/// A lock whose beat does not rise for so many beats is nobody's.
const MISSED: u32 = 4;
/// It is looked at so often in each.
const LOOKS: u32 = 4;

/// Whose a target is.
#[derive(Debug, Serialize, Deserialize)]
struct Owned {
    mainstay: String,
    format: u32,
    journal: String,
}

/// Who took a lock, so that a person finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// What it does: `backup`, `prune`, `serve`.
    doing: String,
    host: String,
    pid: u32,
    /// Where that number means something: the boot and the namespace of its processes.
    world: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    owner: Owner,
    beat: u64,
    released: bool,
}

/// A target that is ours to write to, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    epoch: u32,
    number: u64,
    owner: Owner,
    lost: Mutex<Option<String>>,
    ended: (Mutex<bool>, Condvar),
    is_lost: AtomicBool,
}

impl Claim {
    /// Claims a target for a journal and its epoch; the first who does makes it that journal's.
    ///
    /// # Errors
    /// [`BackupError::Foreign`], [`BackupError::Fenced`], [`BackupError::Busy`], or the target's.
    pub(super) fn take(
        target: &Target,
        journal: &[u8; 16],
        epoch: u32,
        doing: &str,
    ) -> Result<Self, BackupError> {
        own(target, journal)?;
        announce(target, epoch)?;
        let owner = Owner::us(doing);
        let number = lock(target, &owner)?;
        ours().insert((target.shown().to_owned(), number));
        let shared = Arc::new(Shared {
            target: target.clone(),
            epoch,
            number,
            owner,
            lost: Mutex::default(),
            ended: (Mutex::new(false), Condvar::new()),
            is_lost: AtomicBool::new(false),
        });
        let beating = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("mainstay-claim".to_owned());
        let thread = thread.spawn(move || beating.run());
        let thread = thread.map_err(|error| BackupError::Here(error.to_string()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks the target whether it is still ours: before what is written over, named or removed.
    ///
    /// # Errors
    /// Who has it now, or the target's.
    pub(super) fn confirm(&self) -> Result<(), BackupError> {
        self.check()?;
        let Shared { target, number, epoch, .. } = &*self.shared;
        match taken(target, *number, *epoch)? {
            Some(taken) => Err(BackupError::Fenced(taken)),
            None => Ok(()),
        }
    }

    /// Whether it is still ours, as far as is known: asked before each object.
    ///
    /// # Errors
    /// Who has it now.
    pub(super) fn check(&self) -> Result<(), BackupError> {
        if !self.shared.is_lost.load(Ordering::Acquire) {
            return Ok(());
        }
        let lost = self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(BackupError::Fenced(lost.unwrap_or_default()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        *self.shared.ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ended.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let Shared { target, number, .. } = &*self.shared;
        ours().remove(&(target.shown().to_owned(), *number));
    }
}

impl Shared {
    /// Beats until it is dropped or lost.
    fn run(&self) {
        let mut beat = 0;
        loop {
            let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
            let waited =
                self.ended.1.wait_timeout_while(ended, self.target.beat(), |ended| !*ended);
            let ended = *waited.unwrap_or_else(PoisonError::into_inner).0;
            beat += 1;
            let lock = Lock { owner: self.owner.clone(), beat, released: ended };
            // A target that is away for a while is not lost.
            let taken = taken(&self.target, self.number, self.epoch).unwrap_or_default();
            if let Some(taken) = taken {
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
                self.is_lost.store(true, Ordering::Release);
                return;
            }
            // Never made anew: it would hide that the target has gone.
            if self.target.get(&name(self.number)).is_ok_and(|found| found.is_some()) {
                drop(self.target.put(&name(self.number), json(&lock)));
            }
            if ended {
                return;
            }
        }
    }
}

/// Who has taken a claim, if somebody has.
fn taken(target: &Target, number: u64, epoch: u32) -> Result<Option<String>, BackupError> {
    if let Some(newer) = newest(target, EPOCHS)?.filter(|newest| *newest > u64::from(epoch)) {
        return Ok(Some(fenced(newer, epoch)));
    }
    Ok(match newest(target, LOCKS)? {
        Some(newest) if newest > number => Some("another process took the target over".to_owned()),
        Some(newest) if newest == number => None,
        // What lies there now is not what was claimed: a disk that is not mounted any more.
        _ => Some("the target is not the one that was written to before".to_owned()),
    })
}

fn fenced(newer: u64, epoch: u32) -> String {
    format!(
        "a restore began epoch {newer}, this journal is of epoch {epoch}: it is no longer the one \
         that counts"
    )
}

/// Makes a target a journal's, or checks that it is.
fn own(target: &Target, journal: &[u8; 16]) -> Result<(), BackupError> {
    let ours = super::piece::hex(journal);
    let owned = Owned { mainstay: "backup target".to_owned(), format: FORMAT, journal: ours };
    if target.create(TARGET, json(&owned))? {
        return Ok(());
    }
    let found = journal_of(target)?.map(|found| super::piece::hex(&found));
    match found {
        Some(found) if found == owned.journal => Ok(()),
        Some(found) => Err(BackupError::Foreign { target: target.shown().to_owned(), found }),
        None => Err(BackupError::NotATarget { target: target.shown().to_owned() }),
    }
}

/// Whose backups a target holds; `None` if it holds none.
///
/// # Errors
/// [`BackupError::Newer`], [`BackupError::NotATarget`], or the target's.
pub(super) fn journal_of(target: &Target) -> Result<Option<[u8; 16]>, BackupError> {
    let Some(bytes) = target.get(TARGET)? else { return Ok(None) };
    let bad = || BackupError::NotATarget { target: target.shown().to_owned() };
    let owned: Owned = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    if owned.format > FORMAT {
        let object = format!("{TARGET} in {}", target.shown());
        return Err(BackupError::Newer { object, found: owned.format, known: FORMAT });
    }
    super::piece::unhex(&owned.journal).map(Some).ok_or_else(bad)
}

/// Says which epoch writes; refuses one that a restore has left behind.
fn announce(target: &Target, epoch: u32) -> Result<(), BackupError> {
    match newest(target, EPOCHS)? {
        Some(newest) if newest > u64::from(epoch) => {
            Err(BackupError::Fenced(fenced(newest, epoch)))
        },
        Some(newest) if newest == u64::from(epoch) => Ok(()),
        _ => target
            .create(&format!("{EPOCHS}/{epoch:010}.json"), b"{}".to_vec())
            .map(drop)
            .map_err(Into::into),
    }
}

/// The newest epoch that writes to a target, or was begun from it.
///
/// # Errors
/// The target's.
pub(super) fn newest_epoch(target: &Target) -> Result<u32, BackupError> {
    let newest = newest(target, EPOCHS)?.unwrap_or_default();
    Ok(u32::try_from(newest).unwrap_or(u32::MAX))
}

/// Begins an epoch above `above` and all others: from then on every older one is refused.
///
/// # Errors
/// The target's.
pub(super) fn begin_epoch(target: &Target, above: u32, told: &str) -> Result<u32, BackupError> {
    let mut epoch = above.max(newest_epoch(target)?) + 1;
    let begun = json(&serde_json::json!({ "restored": told }));
    while !target.create(&format!("{EPOCHS}/{epoch:010}.json"), begun.clone())? {
        epoch += 1;
    }
    Ok(epoch)
}

/// Takes the next number, if whoever has the one before lets it go or is gone.
fn lock(target: &Target, owner: &Owner) -> Result<u64, BackupError> {
    loop {
        let newest = newest(target, LOCKS)?;
        if let Some(held) = newest {
            wait_for(target, held)?;
        }
        let number = newest.unwrap_or_default() + 1;
        let lock = Lock { owner: owner.clone(), beat: 0, released: false };
        if !target.create(&name(number), json(&lock))? {
            continue;
        }
        // One that was made and let go again meanwhile has a higher number.
        if self::newest(target, LOCKS)?.is_some_and(|newest| newest > number) {
            target.delete(&name(number))?;
            continue;
        }
        if let Some(old) = newest {
            target.delete(&name(old))?;
        }
        return Ok(number);
    }
}

/// Returns when a lock is nobody's any more.
fn wait_for(target: &Target, number: u64) -> Result<(), BackupError> {
    let read = || -> Result<Option<Lock>, BackupError> {
        let bytes = target.get(&name(number))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    };
    let mut waited = Duration::ZERO;
    let Some(first) = read()? else { return Ok(()) };
    if first.released || first.owner.is_dead() || is_left_by_us(target, number, &first.owner) {
        return Ok(());
    }
    let look = target.beat() / LOOKS;
    while waited < target.beat() * MISSED {
        std::thread::sleep(look);
        waited += look;
        match read()? {
            Some(now) if !now.released => {
                if now.beat != first.beat {
                    let Owner { doing, host, pid, .. } = now.owner;
                    let owner = format!("`mainstay {doing}` (process {pid} on {host})");
                    return Err(BackupError::Busy { target: target.shown().to_owned(), owner });
                }
            },
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn newest(target: &Target, folder: &str) -> Result<Option<u64>, BackupError> {
    let number = |name: &str| name.rsplit('/').next()?.strip_suffix(".json")?.parse().ok();
    Ok(target.list(folder)?.iter().filter_map(|entry| number(&entry.name)).max())
}

fn name(number: u64) -> String {
    format!("{LOCKS}/{number:010}.json")
}

/// What is written is plain data: it is never refused.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

impl Owner {
    fn us(doing: &str) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().to_owned();
        Self { doing: doing.to_owned(), host, pid: std::process::id(), world: world() }
    }

    /// Whether its process is known to be gone: it ran here.
    fn is_dead(&self) -> bool {
        let here = world();
        !here.is_empty()
            && self.world == here
            && std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).map_or(true, |stat| {
                // Behind the name, which may hold anything, is the state: a zombie writes no more.
                stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
            })
    }
}

/// The claims that this process has: where, and which number.
static OURS: Mutex<BTreeSet<(String, u64)>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<(String, u64)>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process took a number, and has let it go without being able to say so.
fn is_left_by_us(target: &Target, number: u64, owner: &Owner) -> bool {
    let is_us =
        owner.pid == std::process::id() && !owner.world.is_empty() && owner.world == world();
    is_us && !ours().contains(&(target.shown().to_owned(), number))
}

fn world() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let space = std::fs::read_link("/proc/self/ns/pid");
    match (boot, space) {
        (Ok(boot), Ok(space)) => format!("{} {}", boot.trim(), space.display()),
        _ => String::new(),
    }
}
