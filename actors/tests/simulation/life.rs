//! One life of a host over a simulated disk, on a paused clock.
//!
//! ```text
//!   clients ─► Host ─► LocalLog queue ─► Writer::turn, when the pump says so ─► SimDisk
//! ```
//!
//! No thread commits by itself: the pump waits for as long as chance says and then turns the writer,
//! so the same seed gives the same order.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::System;
use mainstay_actors::dependency::{BreakerSettings, Settings, Window};
use mainstay_actors::host::{Host, HostOptions, Limits, OpenLog};
use mainstay_actors::rate::Rate;
use mainstay_actors::time::Timestamp;
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{EventLog, LocalLog, Options, Outcome, Writer};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::chance::Chance;
use super::checks::{journal, live};
use super::clients::{self, DEPENDENCY};
use super::orderly::{Door, Orderly};
use super::plan::{End, Fault, Plan};
use super::scene::Shared;

/// Trial calls of the dependency.
pub(crate) const TRIALS: u32 = 2;
/// Its longest half-open, in milliseconds.
pub(crate) const HALF_OPEN_MAX_MS: u64 = 2_000;
/// In this time every wait, pause and delay of the host ends.
const SETTLE: Duration = Duration::from_secs(12);

/// What outlives the lives of a host.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) disk: SimDisk,
    pub(crate) scene: Shared,
    /// Every event that a reader has seen.
    pub(crate) seen: Vec<journal::Entry>,
}

type Slot = Arc<Mutex<Option<Writer>>>;

/// Runs inside an actix System whose clock stands still until everybody waits for it.
fn virtually<T>(door: &Door, test: impl Future<Output = T>) -> T {
    let (falling, waking) = (door.clone(), door.clone());
    let system = System::with_tokio_rt(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.on_thread_park(move || falling.sleeps(true));
        builder.on_thread_unpark(move || waking.sleeps(false));
        // One thread: folds end in the order in which they began.
        builder.enable_all().max_blocking_threads(1).start_paused(true).build().unwrap()
    });
    let _open_in_the_end = door.until_dropped();
    system.block_on(test)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, disk: SimDisk::default(), scene: Shared::default(), seen: Vec::new() }
    }

    /// Lives once. The disk is what the next life starts from.
    pub(crate) fn live(&mut self, number: u64, plan: Plan) -> Result<(), String> {
        let door = Door::default();
        let told = virtually(&door, self.host(number, plan, &door));
        let story = |reason| format!("life {number}, {plan:?}: {reason}");
        self.disk = told.map_err(story)?;
        Ok(())
    }

    async fn host(&mut self, number: u64, plan: Plan, door: &Door) -> Result<SimDisk, String> {
        let writer = Slot::default();
        let mut chance = Chance::of(self.seed, number, 1);
        spawn_local(pump(writer.clone(), plan.commit_us, Chance::of(self.seed, number, 2)));
        set_fault(&self.disk, plan.fault);
        let host =
            Host::open_here(opening(&self.disk, &writer, door), options(self.seed ^ number)).await;
        if let Err(error) = host.ready().await {
            return match plan.fault {
                // The next life starts on what this one left.
                Fault::Write(_) | Fault::Sync(_) | Fault::Dies(_) => Ok(end(&self.disk, plan, 7)),
                Fault::Nothing | Fault::Full { .. } => Err(format!("it does not start: {error}")),
            };
        }
        let log = host.log().unwrap();
        // What died since the start cannot be read.
        if let Ok(entries) = journal::read(&*log)? {
            journal::continues(&self.seen, &entries)?;
            journal::has_all_that_was_acknowledged(&self.scene.borrow().history, &entries)?;
            self.seen = entries;
        }
        self.scene.borrow_mut().stop = false;
        self.scene.borrow_mut().clients = 0;
        clients::start(&host, &self.scene, self.seed, number);
        if let Fault::Full { from_ms, for_ms } = plan.fault {
            spawn_local(full(self.disk.clone(), from_ms, for_ms, chance.within(0, 2_000)));
        }
        sleep(Duration::from_millis(plan.length_ms)).await;
        if plan.quiet {
            self.scene.borrow_mut().stop = true;
            self.disk.set_capacity(None);
            sleep(SETTLE).await;
            let left = self.scene.borrow().clients;
            if left > 0 {
                return Err(format!("{left} clients were never answered"));
            }
            live::equals_the_fold(&host, &*log).await?;
            if let Ok(entries) = journal::read(&*log)? {
                live::ended_sessions_hold_nothing(&entries, log.status().refusing.as_ref())?;
            }
        }
        if let Ok(entries) = journal::read(&*log)? {
            journal::continues(&self.seen, &entries)?;
            self.seen = entries;
        }
        if plan.end == End::Close {
            host.drain();
            log.close();
            while let Some(true) = turn(&writer) {}
        }
        Ok(end(&self.disk, plan, chance.next()))
    }
}

/// Takes the disk away from the host, whatever that is at.
fn end(disk: &SimDisk, plan: Plan, seed: u64) -> SimDisk {
    match plan.end {
        End::Cut(loss) => disk.power_cut(loss, seed),
        End::Kill | End::Close => disk.kill(),
    }
}

fn set_fault(disk: &SimDisk, fault: Fault) {
    match fault {
        Fault::Nothing | Fault::Full { .. } => {},
        Fault::Write(nth) => disk.fail_write(nth),
        Fault::Sync(nth) => disk.fail_sync(nth),
        Fault::Dies(nth) => disk.cut_after(nth),
    }
}

/// The disk takes so many bytes more, and then takes all again.
async fn full(disk: SimDisk, from_ms: u64, for_ms: u64, room: u64) {
    sleep(Duration::from_millis(from_ms)).await;
    let size = |path: &PathBuf| disk.bytes(path).unwrap_or_default().len() as u64;
    let used: u64 = disk.files().iter().map(size).sum();
    disk.set_capacity(Some(used + room));
    sleep(Duration::from_millis(for_ms)).await;
    disk.set_capacity(None);
}

/// Commits what is queued, again and again, after a while each time.
async fn pump(writer: Slot, longest_us: u64, mut chance: Chance) {
    loop {
        sleep(Duration::from_micros(chance.within(20, longest_us + 21))).await;
        turn(&writer);
    }
}

/// Whether there is more to come; `None` before the journal is open.
fn turn(writer: &Slot) -> Option<bool> {
    use mainstay_journal::Turn;
    writer.lock().unwrap().as_mut().map(|writer| writer.turn() != Turn::Closed)
}

fn opening(disk: &SimDisk, writer: &Slot, door: &Door) -> OpenLog {
    let (disk, writer, door) = (disk.clone(), writer.clone(), door.clone());
    Box::new(move |mut sink| {
        let options = Options {
            segment_bytes: 6_000,
            heads: 16,
            store: false,
            spares: 0,
            disk: Arc::new(disk),
            journal_id: Some([7; 16]),
            ..Options::default()
        };
        let sink = move |epoch: u32, outcomes: Vec<Outcome>| sink.group(epoch, outcomes);
        let (log, driven) = LocalLog::open_manual("/journal", &options, sink)?;
        *writer.lock().unwrap() = Some(driven);
        Ok(Arc::new(Orderly { log, door }) as Arc<dyn EventLog>)
    })
}

fn options(seed: u64) -> HostOptions {
    let breaker = BreakerSettings {
        window: Window::Calls(10),
        minimum_calls: 4,
        open_for_ms: 300,
        open_max_ms: 1_000,
        jitter: Rate::default(),
        half_open_permits: TRIALS,
        half_open_max_ms: HALF_OPEN_MAX_MS,
        ..BreakerSettings::default()
    };
    let settings = Settings { weight: 1, cap: None, breaker, from_file: true };
    HostOptions {
        dependencies: BTreeMap::from([(DEPENDENCY.to_owned(), settings)]),
        // A life goes on from the last one's time, however long that took on this machine.
        wall: Some(Timestamp::from_micros(1_767_225_600_000_000)),
        accept_clock: true,
        seed,
        // Few in memory, so that entities come and go. Checkpoints have a thread of their own, which
        // no seed can order.
        limits: Limits { residents: 6, checkpoint_events: 0, ..Limits::default() },
        ..HostOptions::default()
    }
}
