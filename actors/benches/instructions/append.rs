//! Records on their way to the disk: submitted, packed, hashed, written.

use mainstay_actors::lock::{Lock, LockCommand, LockState};
use mainstay_actors::machine::Machine;
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{Append, StreamId};

use crate::journal::{Journal, at, claim, context, decide};

pub(crate) const ALONE: u64 = 64;
pub(crate) const TOGETHER: u64 = GROUPS * GROUP;

const GROUPS: u64 = 8;
const GROUP: u64 = 128;

/// As many grants, each on a lock of its own.
fn grants(journal: &mut Journal, count: u64) -> Vec<Append> {
    let grant = |n| {
        let acquire = LockCommand::Acquire { claim: claim("worker-1"), wait_ms: 0 };
        let mut state = LockState::default();
        let (events, _) = decide::<Lock>(&mut state, acquire, &context(at(n), None));
        journal.append(&StreamId::new(Lock::KIND, &format!("room-{n}")).unwrap(), &events)
    };
    (0..count).map(grant).collect()
}

/// Each record in a group of its own.
pub(crate) fn alone() -> Box<dyn FnMut()> {
    in_groups(ALONE, 1)
}

/// Groups of 128 records.
pub(crate) fn group() -> Box<dyn FnMut()> {
    in_groups(TOGETHER, GROUP)
}

fn in_groups(count: u64, size: u64) -> Box<dyn FnMut()> {
    let mut journal = Journal::open(&SimDisk::default());
    let mut appends = grants(&mut journal, count).into_iter();
    Box::new(move || {
        for _ in 0..count / size {
            for _ in 0..size {
                journal.submit(appends.next().unwrap());
            }
            journal.writer.turn();
        }
    })
}
