//! A client over a host in virtual time, and what its locks went through.

#[expect(dead_code, reason = "shared with the host's own tests, which cut its power, too")]
#[path = "../../actors/tests/host/support/journal.rs"]
mod journal;

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mainstay::actors::codec::Payload as _;
use mainstay::actors::host::Host;
use mainstay::actors::lock::LockEvent;
use mainstay::journal::{ReadLog, StreamId};
use mainstay::vault::Vault;
use mainstay::{Client, Lease};

pub(crate) use journal::{Rig, virtually};

/// A TTL whose third is ten seconds.
pub(crate) const TTL: Duration = Duration::from_secs(30);

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn client(host: &Host) -> Client {
    Client::new(host.clone(), vault(), "test")
}

/// One for all: what one client sealed another opens.
fn vault() -> Arc<Vault> {
    static VAULT: OnceLock<Arc<Vault>> = OnceLock::new();
    VAULT.get_or_init(Vault::in_memory).clone()
}

pub(crate) async fn acquire(host: &Host, lock: &str, owner: &str) -> Lease {
    client(host).lock(lock).acquire(owner, TTL).await.unwrap()
}

/// The names of a lock's durable events, oldest first.
pub(crate) fn events(log: &dyn ReadLog, lock: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    let stream = StreamId::new("lock", lock).unwrap();
    log.read_stream(&stream, u64::MAX, &mut |record| {
        let event = LockEvent::decode(record.type_id, record.schema, record.payload);
        names.push(event.unwrap().name());
        ControlFlow::Continue(())
    })
    .unwrap();
    names
}

/// Lets everything run that can without time passing; a dropped lease is on its way then, and back.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Locks with a lease or a waiter.
pub(crate) async fn held(host: &Host) -> usize {
    host.held_locks("", "", 100).await.unwrap().len()
}
