//! Every state × command pair and every state × event pair of a lock has exactly one ruling.

use mainstay_actors::codec::Payload;
use mainstay_actors::lock::{
    Claim, LeaseClaimed, LeaseExpired, LeaseExtended, LeaseGranted, LeaseReleased, LeaseRenewed,
    LeaseRevoked, LeasesFenced, LeftBecause, Lock, LockCommand, LockEvent, LockReply, Mode,
    RefusalRecorded, RefusedFor, WaiterLeft, WaiterQueued,
};
use mainstay_actors::machine::Machine;

use crate::lock_recovery::recover;
use crate::support::{Entity, Then, at};

pub(crate) fn claim(owner: &str) -> Claim {
    Claim {
        owner: owner.into(),
        session: None,
        mode: Mode::Exclusive,
        range: None,
        ttl_ms: 10_000,
        delay_ms: 0,
        request: None,
    }
}

pub(crate) fn shared(owner: &str) -> Claim {
    Claim { mode: Mode::Shared, ..claim(owner) }
}

pub(crate) fn acquire(claim: Claim) -> LockCommand {
    LockCommand::Acquire { claim, wait_ms: 0 }
}

pub(crate) fn wait_for(claim: Claim, wait_ms: u64) -> LockCommand {
    LockCommand::Acquire { claim, wait_ms }
}

pub(crate) fn renew(token: u64, owner: &str) -> LockCommand {
    LockCommand::Renew { token, owner: owner.to_owned(), ttl_ms: None }
}

pub(crate) fn release(token: u64, owner: &str) -> LockCommand {
    LockCommand::Release { token, owner: owner.to_owned() }
}

pub(crate) fn token_of(then: Then<Lock>) -> u64 {
    match then.ok() {
        LockReply::Lease(lease) => lease.token,
        other => panic!("no lease: {other:?}"),
    }
}

/// The states a lock can be in, as stories; the last lease is the one that `token` names.
fn states() -> Vec<(&'static str, Entity<Lock>, u64)> {
    let free = Entity::<Lock>::given();
    let mut held = free.clone();
    let mut mine = claim("ann");
    mine.session = Some("default/s1".into());
    mine.delay_ms = 5_000;
    let token = token_of(held.when(acquire(mine)));
    let mut ended = held.clone();
    ended.when(release(token, "ann"));
    let mut queued = held.clone();
    queued.when_asked("r1", wait_for(claim("bob"), 60_000));
    let mut unclaimed = queued.clone();
    unclaimed.when(release(token, "ann"));
    let granted = unclaimed.state.last_token;
    let mut run_out = queued.clone();
    run_out.wait_ms(10_000);
    let mut delayed = run_out.clone();
    delayed.due();
    vec![
        ("free", free, 1),
        ("held", held, token),
        ("queued", queued, token),
        ("unclaimed", unclaimed, granted),
        ("run out", run_out, token),
        ("delayed", delayed, token),
        ("ended", ended, token),
    ]
}

fn commands(token: u64) -> Vec<(&'static str, Option<&'static str>, LockCommand)> {
    let force = |token| LockCommand::ForceRelease { token, reason: "test".to_owned() };
    vec![
        ("acquire", None, acquire(claim("eve"))),
        ("acquire r1", Some("r1"), acquire(claim("bob"))),
        ("wait", Some("r2"), wait_for(claim("eve"), 1_000)),
        ("renew ann", None, renew(token, "ann")),
        ("renew bob", None, renew(token, "bob")),
        ("release ann", None, release(token, "ann")),
        ("release bob", None, release(token, "bob")),
        ("force one", None, force(Some(token))),
        ("force all", None, force(None)),
        ("check", None, LockCommand::Check { token }),
        ("show", None, LockCommand::Show),
        ("session", None, LockCommand::SessionEnded { session: "default/s1".to_owned() }),
        ("due", None, LockCommand::Due),
        ("recover", None, recover(at(60_000))),
        ("fence", None, LockCommand::Fence { at: at(60_000) }),
    ]
}

fn ruling(then: &Then<Lock>) -> String {
    let events = then.names().replace("Lease", "").replace("Waiter", "W");
    let reply = match &then.reply {
        None => "later".to_owned(),
        Some(Ok(LockReply::Lease(_))) => "lease".to_owned(),
        Some(Ok(LockReply::Ended { released })) => format!("ended {released}"),
        Some(Ok(LockReply::Checked { valid })) => valid.to_string(),
        Some(Ok(LockReply::State(view))) => {
            format!("{} held {} wait", view.holders.len(), view.waiters.len())
        },
        Some(Ok(LockReply::Done)) => "done".to_owned(),
        Some(Err(reject)) => {
            let text = format!("{reject:?}");
            text.split([' ', '{']).next().unwrap_or_default().to_owned()
        },
    };
    format!("{events} {reply}")
}

#[test]
fn every_state_and_command_has_one_ruling() {
    let mut table = String::new();
    for (name, entity, token) in states() {
        for (what, request, command) in commands(token) {
            let mut entity = entity.clone();
            let then = match request {
                Some(request) => entity.when_asked(request, command),
                None => entity.when(command),
            };
            table.push_str(&format!("{name} | {what} | {}\n", ruling(&then)));
            if name == "run out" && matches!(what, "check" | "show") {
                continue; // Readers leave the sweep to the timer.
            }
            let still_due = entity.due().names();
            assert_eq!(still_due, "-", "{name} | {what} leaves something due");
        }
    }
    assert_eq!(table, include_str!("lock_commands.txt"), "\n{table}");
}

fn events(token: u64) -> Vec<LockEvent> {
    let expires_at = at(60_000);
    let mut bobs = claim("bob");
    bobs.request = Some("r1".into());
    let granted = |claim: Claim, claim_by| -> LockEvent {
        LeaseGranted { token: u64::MAX / 2, claim, expires_at, claim_by }.into()
    };
    vec![
        granted(claim("eve"), None),
        granted(bobs.clone(), Some(at(5_000))),
        LeaseGranted { token: 1, claim: claim("eve"), expires_at, claim_by: None }.into(),
        LeaseRenewed { token, expires_at, ttl_ms: 500 }.into(),
        LeaseClaimed { token }.into(),
        LeaseReleased { token, session: None }.into(),
        LeaseExpired { token, unclaimed: false, delayed_until: None }.into(),
        LeaseExpired { token, unclaimed: true, delayed_until: None }.into(),
        LeaseRevoked { token, reason: "test".to_owned() }.into(),
        LeaseExtended { boot: 1, leases: vec![(token, expires_at)], claim_by: expires_at }.into(),
        WaiterQueued { claim: bobs, deadline: expires_at }.into(),
        WaiterLeft { request: "r1".to_owned(), why: LeftBecause::Deadline }.into(),
        RefusalRecorded {
            token,
            owner: "eve".to_owned(),
            command: "renew".to_owned(),
            because: RefusedFor::Owner,
            at: at(0),
        }
        .into(),
        LeasesFenced { at: at(0), tokens: vec![token], waiters: 0 }.into(),
        LeasesFenced { at: at(0), tokens: vec![token], waiters: 1 }.into(),
        LeasesFenced { at: at(0), tokens: Vec::new(), waiters: 1 }.into(),
        LeasesFenced { at: at(0), tokens: Vec::new(), waiters: 0 }.into(),
    ]
}

#[test]
fn every_state_and_event_has_one_ruling() {
    let mut table = String::new();
    for (name, entity, token) in states() {
        let cells = events(token).into_iter().map(|event| {
            let legal = Lock::apply(entity.state.clone(), &event).is_ok();
            if legal { event.name() } else { "-" }
        });
        table.push_str(&format!("{name} | {}\n", cells.collect::<Vec<_>>().join(" ")));
    }
    let expected = "\
free | LeaseGranted - LeaseGranted - - - - - - - WaiterQueued - RefusalRecorded - - - -
held | - - - LeaseRenewed - LeaseReleased LeaseExpired - LeaseRevoked LeaseExtended WaiterQueued - RefusalRecorded LeasesFenced - - -
queued | - - - LeaseRenewed - LeaseReleased LeaseExpired - LeaseRevoked LeaseExtended - WaiterLeft RefusalRecorded - LeasesFenced - -
unclaimed | - - - LeaseRenewed LeaseClaimed LeaseReleased - LeaseExpired LeaseRevoked LeaseExtended - - RefusalRecorded LeasesFenced - - -
run out | - - - LeaseRenewed - LeaseReleased LeaseExpired - LeaseRevoked LeaseExtended - WaiterLeft RefusalRecorded - LeasesFenced - -
delayed | - LeaseGranted - - - - - - - - - WaiterLeft RefusalRecorded - - LeasesFenced -
ended | LeaseGranted - - - - - - - - - WaiterQueued - RefusalRecorded - - - -
";
    assert_eq!(table, expected, "\n{table}");
}
