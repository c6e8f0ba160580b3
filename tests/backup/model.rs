//! A hundred restores to random positions, each held against a model that was kept beside the journal.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay::actors::codec::Payload as _;
use mainstay::actors::lock::{Lock, LockEvent, LockState};
use mainstay::actors::machine::Machine as _;
use mainstay::journal::plant::Until;
use mainstay::journal::{ReadLog, Reader, StreamId, merkle};
use mainstay::{Client, Lease};

use crate::journal::{Rig, TTL};

/// Who holds which lock, with which token.
type Held = BTreeMap<String, u64>;

const LOCKS: usize = 7;
const STEPS: usize = 300;

/// A sequence of numbers that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What the locks are after each position, as the one who holds them knows.
async fn walk(client: &Client, chance: &mut Chance) -> Vec<(u64, Held)> {
    let mut leases: BTreeMap<String, Lease> = BTreeMap::new();
    let mut history = Vec::new();
    for _ in 0..STEPS {
        let name = format!("lock-{}", chance.below(LOCKS));
        let position = if let Some(lease) = leases.remove(&name) {
            lease.release().await.unwrap().position
        } else {
            let lease = client.lock(&name).acquire("anna", TTL).await.unwrap();
            let position = lease.cursor().position;
            leases.insert(name, lease);
            position
        };
        let held = leases.iter().map(|(name, lease)| (name.clone(), lease.token())).collect();
        history.push((position, held));
    }
    while let Some((_, lease)) = leases.pop_first() {
        let position = lease.release().await.unwrap().position;
        let held = leases.iter().map(|(name, lease)| (name.clone(), lease.token())).collect();
        history.push((position, held));
    }
    history
}

/// Who holds which lock at the end of a journal, folded from it.
fn held(log: &Reader, upto: u64) -> Held {
    let state = |name: &str| {
        let mut state = LockState::default();
        let stream = StreamId::new(Lock::KIND, name).unwrap();
        log.read_stream(&stream, upto, &mut |record| {
            let event = LockEvent::decode(record.type_id, record.schema, record.payload).unwrap();
            Lock::fold(&mut state, &event).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        state
    };
    let names = (0..LOCKS).map(|n| format!("lock-{n}"));
    names.filter_map(|name| Some((name.clone(), state(&name).grants.first()?.token))).collect()
}

#[test]
fn a_hundred_restores_to_random_positions_equal_the_model() {
    let rig = Rig::new();
    let mut chance = Chance(20_261_127);
    let mut history = vec![(0, Held::new())];
    // Several backups, so that a restore goes over several pieces.
    for _ in 0..3 {
        let more = rig.with(&rig.data(), async |client: Client| walk(&client, &mut chance).await);
        history.extend(more);
        rig.back_up().unwrap();
    }
    let original = rig.reader();
    let head = original.head().position;
    assert!(head > 900, "{head}");
    let mut is_held = 0;
    for run in 0..100 {
        let position = 1 + u64::try_from(chance.below(usize::try_from(head).unwrap())).unwrap();
        let name = format!("restored-{run}");
        let restored = rig.restore(&name, Until::Position(position)).unwrap();
        assert_eq!(restored.fork.position, position);
        let copy = Reader::open(rig.path(&name)).unwrap();
        // The fence is the only thing that follows.
        assert_eq!(copy.head().position, position + 1);
        assert!(copy.head().epoch > 1);
        let known = history.iter().rev().find(|(at, _)| *at <= position).unwrap();
        let found = held(&copy, position);
        // What other events lie between two steps changes no lock.
        assert_eq!(found, known.1, "at {position}");
        is_held += found.len();
        let (ours, theirs) = (merkle::root(&copy, position), merkle::root(&original, position));
        assert_eq!(ours.unwrap(), theirs.unwrap(), "at {position}");
        std::fs::remove_dir_all(rig.path(&name)).unwrap();
    }
    assert!(is_held > 100, "the model is not of nothing: {is_held}");
}
