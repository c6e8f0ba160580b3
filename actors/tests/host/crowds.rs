//! Many callers at once: tokens rise, nobody holds a lock twice, the queue is served in order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mainstay_actors::host::{Failure, Host, HostOptions, Limits};
use mainstay_actors::lock::{Lock, LockCommand, LockEvent, LockReply, Mode};
use mainstay_journal::disk::sim::SimDisk;
use mainstay_journal::{EventLog, LocalLog, Options};
use tokio::task::LocalSet;

use super::support::{Rig, acquire, claim, lock, lock_events, meta, request, virtually, waiting};

const ACQUIRES: usize = 10_000;
const LOCKS: usize = 100;

/// A host on its own thread, with the writer on another: group commits as in production.
async fn threaded() -> Host {
    let open = Box::new(|mut sink: Box<dyn mainstay_journal::Sink>| {
        let options = Options {
            store: false,
            spares: 0,
            disk: Arc::new(SimDisk::default()),
            ..Options::default()
        };
        let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
        let log = LocalLog::open("/journal", &options, sink).map_err(|e| e.to_string())?;
        Ok(Arc::new(log) as Arc<dyn EventLog>)
    });
    let host = Host::open(open, HostOptions::default()).unwrap();
    host.ready().await.unwrap();
    host
}

/// Asks until it is taken: a full queue says so and has changed nothing.
async fn ask(host: &Host, name: &str, command: LockCommand, id: &str) -> LockReply {
    loop {
        match host.ask::<Lock>(lock(name), command.clone(), request(id)).await {
            Ok(receipt) => return receipt.reply,
            Err(Failure::Busy(_)) => tokio::time::sleep(std::time::Duration::from_millis(2)).await,
            Err(other) => panic!("{id}: {other}"),
        }
    }
}

#[test]
fn ten_thousand_acquires_on_a_hundred_locks_give_rising_tokens_and_one_holder_each() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let host = threaded().await;
        let holders: Rc<Vec<Cell<usize>>> = Rc::new((0..LOCKS).map(|_| Cell::new(0)).collect());
        let tokens: Rc<RefCell<Vec<Vec<u64>>>> = Rc::new(RefCell::new(vec![Vec::new(); LOCKS]));
        let tasks: Vec<_> = (0..ACQUIRES)
            .map(|n| {
                let (host, holders, tokens) = (host.clone(), holders.clone(), tokens.clone());
                tokio::task::spawn_local(async move {
                    let (at, name, owner) =
                        (n % LOCKS, format!("l-{}", n % LOCKS), format!("o-{n}"));
                    let wait = waiting(&owner, 600_000, 600_000);
                    let LockReply::Lease(lease) = ask(&host, &name, wait, &format!("a-{n}")).await
                    else {
                        panic!("no lease")
                    };
                    assert_eq!(holders[at].replace(n + 1), 0, "{name} has two holders");
                    tokens.borrow_mut()[at].push(lease.token);
                    tokio::task::yield_now().await;
                    assert_eq!(holders[at].replace(0), n + 1, "{name} has two holders");
                    let release = LockCommand::Release { token: lease.token, owner };
                    let released = ask(&host, &name, release, &format!("r-{n}")).await;
                    assert_eq!(released, LockReply::Ended { released: 1 });
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for tokens in tokens.borrow().iter() {
            assert_eq!(tokens.len(), ACQUIRES / LOCKS);
            assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
        }
        assert!(host.held_locks("", "", 10).await.unwrap().is_empty());
        // The journal says the same as the callers saw: grant, end, grant, end.
        let log = host.log().unwrap();
        for n in 0..LOCKS {
            let (mut held, mut last) = (None, 0);
            for event in lock_events(&*log, &format!("l-{n}")) {
                match event {
                    LockEvent::LeaseGranted(event) => {
                        assert!(held.is_none() && event.token > last, "{event:?} after {held:?}");
                        (held, last) = (Some(event.token), event.token);
                    },
                    LockEvent::LeaseReleased(event) => assert_eq!(held.take(), Some(event.token)),
                    LockEvent::WaiterQueued(_) => {},
                    other => panic!("{other:?}"),
                }
            }
        }
        host.close().await;
    });
}

#[test]
fn a_hundred_waiters_are_served_in_order() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let first = acquire(&host, "pool", "o-first", 600_000).await;
        let served = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let (host, served) = (host.clone(), served.clone());
                tokio::task::spawn_local(async move {
                    let owner = format!("o-{n}");
                    let wait = waiting(&owner, 600_000, 600_000);
                    let reply = ask(&host, "pool", wait, &format!("a-{n}")).await;
                    let LockReply::Lease(lease) = reply else { panic!("{reply:?}") };
                    served.borrow_mut().push((n, lease.token));
                    let release = LockCommand::Release { token: lease.token, owner };
                    ask(&host, "pool", release, &format!("r-{n}")).await;
                })
            })
            .collect();
        while host.held_locks("", "", 1).await.unwrap()[0].1.waiters.len() < 100 {
            tokio::task::yield_now().await;
        }
        assert!(served.borrow().is_empty());
        let release = LockCommand::Release { token: first.token, owner: "o-first".to_owned() };
        ask(&host, "pool", release, "r-first").await;
        for task in tasks {
            task.await.unwrap();
        }
        let served = served.borrow();
        assert!(served.iter().map(|(n, _)| *n).eq(0..100), "{served:?}");
        assert!(served.is_sorted_by(|a, b| a.1 < b.1), "{served:?}");
        let granted = |event: &LockEvent| matches!(event, LockEvent::LeaseGranted(_));
        assert_eq!(lock_events(&*log, "pool").iter().filter(|it| granted(it)).count(), 101);
    });
}

#[test]
fn a_full_mailbox_answers_busy_and_loses_nothing_that_it_took() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let tasks: Vec<_> = (0..900)
            .map(|n| {
                let host = host.clone();
                tokio::task::spawn_local(async move {
                    let mut claim = claim(&format!("o-{n}"), 600_000);
                    claim.mode = Mode::Shared;
                    let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
                    host.ask::<Lock>(lock("pool"), acquire, meta()).await
                })
            })
            .collect();
        let (mut taken, mut busy) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => taken += 1,
                Err(Failure::Busy(what)) => {
                    assert_eq!(what, "the entity's mailbox");
                    busy += 1;
                },
                Err(other) => panic!("{other}"),
            }
        }
        assert!(taken >= Limits::default().mailbox && busy > 0, "{taken} taken, {busy} busy");
        assert_eq!(lock_events(&*log, "pool").len(), taken);
        acquire_shared(&host).await;
    });
}

async fn acquire_shared(host: &Host) {
    let mut claim = claim("late", 600_000);
    claim.mode = Mode::Shared;
    let acquire = LockCommand::Acquire { claim, wait_ms: 0 };
    host.ask::<Lock>(lock("pool"), acquire, meta()).await.unwrap();
}
