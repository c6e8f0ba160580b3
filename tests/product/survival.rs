//! A loaded server is killed again and again; what it acknowledged is there.
//!
//! ```text
//!   round: start ─► clients load it ─► kill -9 ─► (next start) ─► read what is new
//!            ledger of acknowledged positions ──────────────────► each is there, in its stream
//! ```

mod checks;
mod load;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use mainstay::actors::session::SessionState;
use mainstay::actors::world::World;
use mainstay::journal::{LocalLog, Options, Outcome, ReadLog as _};
use serde_json::{Value, json};
use tempfile::tempdir;

use self::checks::History;
use self::load::{Ledger, load_until_it_dies};
use crate::support::{Client, Server};

const KILLS: u64 = 50;
/// How long the clients have before each kill.
const BURST: Duration = Duration::from_millis(150);

#[test]
fn fifty_kills_under_load_lose_no_acknowledged_event() {
    survives(KILLS);
}

#[test]
#[ignore = "takes long: `just campaign`"]
fn five_hundred_kills_under_load_lose_no_acknowledged_event() {
    let acknowledged = survives(10 * KILLS);
    println!("campaign: {} kills under load, {acknowledged} events held", 10 * KILLS);
}

/// Kills so often; returns how many events were acknowledged.
fn survives(kills: u64) -> u64 {
    let data = tempdir().unwrap();
    let mut ledger = Ledger::default();
    let mut history = History::default();
    for round in 0..kills {
        let server = Server::start(data.path());
        history.read_on(&server.client());
        history.holds(&ledger);
        let clients = load_until_it_dies(&server, round, ledger.unanswered());
        std::thread::sleep(BURST);
        let said = server.kill();
        assert!(!said.contains("panicked"), "{said}");
        for client in clients {
            ledger.add(client.join().unwrap());
        }
    }
    let server = Server::start(data.path());
    let client = server.client();
    history.read_on(&client);
    history.holds(&ledger);
    history.repeats(&client);
    history.tokens_rise();
    history.granted(&ledger);
    history.no_request_was_granted_twice();
    assert!(ledger.acknowledged() > 5 * kills, "hardly any load: {}", ledger.acknowledged());
    let live = live_state(&client, &ledger);
    assert!(server.stop().success());
    assert_eq!(live, folded_state(data.path(), &ledger));
    ledger.acknowledged()
}

/// What the entities say.
fn live_state(client: &Client, ledger: &Ledger) -> Value {
    let tokens: BTreeMap<String, Value> = ledger
        .locks()
        .map(|lock| {
            let shown = client.get(&format!("/api/v1/locks/{lock}")).expect(200);
            (lock.clone(), shown.body["last_token"].clone())
        })
        .collect();
    let sessions: BTreeMap<String, Value> = ledger
        .newest_sessions()
        .map(|id| {
            let shown = client.get(&format!("/api/v1/sessions/{id}"));
            (id.clone(), shown.body["revision"].clone())
        })
        .collect();
    json!({ "tokens": tokens, "sessions": sessions })
}

/// What the journal folds to, read without the server.
fn folded_state(data: &std::path::Path, ledger: &Ledger) -> Value {
    let log = LocalLog::open(data, &Options::default(), |_: u32, _: Vec<Outcome>| {}).unwrap();
    let mut world = World::default();
    log.scan(1, u64::MAX, &mut |record| {
        mainstay::event::fold(&mut world, &record).unwrap();
        ControlFlow::Continue(())
    })
    .unwrap();
    let tokens: BTreeMap<&String, u64> =
        ledger.locks().map(|lock| (lock, world.locks.get(lock).unwrap().last_token)).collect();
    let sessions: BTreeMap<&String, Option<u64>> = ledger
        .newest_sessions()
        .map(|id| match world.sessions.get(&format!("default/{id}")).unwrap() {
            SessionState::Live(live) => (id, Some(live.revision)),
            SessionState::Absent | SessionState::Ended { .. } => (id, None),
        })
        .collect();
    json!({ "tokens": tokens, "sessions": sessions })
}
