//! Races that a process of its own would hit once in a million: the server runs in this process,
//! over a journal whose syncs the test holds.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use mainstay::Config;
use mainstay::actors::host::{Host, HostOptions, OpenLog};
use mainstay::journal::{EventLog, Fault, FaultyLog, FaultySink, MemoryLog, Outcome};
use mainstay::proofs::Notary;
use mainstay::server::{Beside, Named, Server};
use mainstay::vault::Vault;
use serde_json::json;

use crate::support::{Client, until};

/// A host over a journal in memory, with its faults in reach.
fn host() -> (Host, Arc<FaultyLog<MemoryLog>>) {
    let opened = Arc::new(OnceLock::new());
    let slot = opened.clone();
    let open: OpenLog = Box::new(move |mut sink| {
        let sink = FaultySink::new(move |epoch, outcomes: Vec<Outcome>| {
            sink.group(epoch, outcomes);
        });
        let log = Arc::new(FaultyLog::new(MemoryLog::immediate(sink.clone()), sink));
        assert!(slot.set(log.clone()).is_ok());
        Ok(log as Arc<dyn EventLog>)
    });
    let host = Host::open(open, HostOptions::default()).unwrap();
    let log = until(10, "the journal", || opened.get().cloned());
    (host, log)
}

/// What happened: the rule that takes the lease back was sent under the acquire's own
/// `Idempotency-Key`, was refused as another body, and the lease stayed.
#[test]
fn a_session_that_ends_during_the_grant_keeps_no_lease_also_under_a_key() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (host, log) = host();
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    let server = runtime
        .block_on(async {
            host.ready().await.unwrap();
            let notary = Notary::at(Path::new("never opened"));
            let (vault, backups) = (Vault::in_memory(), Arc::default());
            let beside = Beside::new(vault, notary, backups);
            Server::start(&host, &beside, &config, Named::default()).await
        })
        .unwrap();
    let client = Client::of(server.address());
    let body = json!({ "subject": "subject-1", "ttl_ms": 600_000 });
    let id = client.post("/api/v1/sessions", &body).expect(201).text("id");

    let in_flight = |count| until(10, "appends in flight", || (log.held() == count).then_some(()));
    let spawn = |work: Box<dyn FnOnce(Client) -> crate::support::Answer + Send>| {
        let client = Client::of(server.address());
        std::thread::spawn(move || work(client))
    };
    log.set(Fault::Hold);
    // The session is alive when it is asked; the grant waits for its sync.
    let hold = json!({ "owner": "anna", "ttl_ms": 600_000, "session": id });
    let taken =
        spawn(Box::new(move |client| client.post_as("k", "/api/v1/locks/pool/acquire", &hold)));
    in_flight(1);
    let path = format!("/api/v1/sessions/{id}");
    let ended = spawn(Box::new(move |client| client.delete(&path)));
    in_flight(2);
    log.release().unwrap();
    ended.join().unwrap().expect(200);
    taken.join().unwrap().problem(409, "/problems/session-ended");
    let shown = client.get("/api/v1/locks/pool").expect(200);
    assert_eq!(shown.body["holders"], json!([]), "the lease stayed");
    runtime.block_on(async {
        server.stop().await;
        host.close().await;
    });
}
