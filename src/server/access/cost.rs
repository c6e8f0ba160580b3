//! What the access check costs a request: key, role, rate, and the headers about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use actix_web::test::TestRequest;
use mainstay_actors::host::{Host, HostOptions, Meta, OpenLog};
use mainstay_actors::key::{Key, KeyCommand, Role};
use mainstay_actors::machine::Machine;
use mainstay_journal::{EventLog, FaultySink, MemoryLog, Outcome, StreamId};

use super::{Access, NewKey, Rates};
use crate::config::Config;
use crate::vault::Vault;

const REQUESTS: u32 = 200_000;
const MOST: Duration = Duration::from_micros(2);

#[test]
#[ignore = "a timing: cargo test --release --lib access::cost -- --ignored --nocapture"]
fn a_check_takes_less_than_two_microseconds() {
    let open: OpenLog = Box::new(|mut sink| {
        let sink =
            FaultySink::new(move |epoch, outcomes: Vec<Outcome>| sink.group(epoch, outcomes));
        Ok(Arc::new(MemoryLog::immediate(sink)) as Arc<dyn EventLog>)
    });
    let host = Host::open(open, HostOptions::default()).unwrap();
    let access = Access::new(Vault::in_memory(), false);
    let keys: Vec<NewKey> = (0..100)
        .map(|number| {
            let name = format!("key-{number}");
            let new = NewKey::generate(&name).unwrap();
            let hash = access.hash(&name, &new.secret).unwrap();
            let create =
                KeyCommand::Create { role: Role::Viewer, tenant: None, hash, life_ms: None };
            let stream = StreamId::new(Key::KIND, &name).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                host.ready().await.unwrap();
                host.ask::<Key>(stream, create, Meta::of(&Arc::from("test"))).await.unwrap();
            });
            new
        })
        .collect();
    let limits = "[access]\nrate_per_second = 1000000\nburst = 10000000\n";
    let rates = Rates::new(&Config::from_text(limits, "test", []).unwrap().access);
    let requests: Vec<_> = keys
        .iter()
        .map(|it| TestRequest::default().insert_header(("x-api-key", it.text.as_str())))
        .map(TestRequest::to_http_request)
        .collect();
    let mut headers = HeaderMap::new();
    #[expect(clippy::disallowed_methods, reason = "a timing")]
    let started = Instant::now();
    for request in requests.iter().cycle().take(REQUESTS as usize) {
        let Ok(identity) = access.identify(&host, request) else { panic!("not let in") };
        assert!(identity.role() >= Role::Viewer && identity.tenant().is_none());
        let share = rates.of_key(identity.principal()).unwrap();
        share.check().unwrap();
        share.write(&mut headers);
    }
    let each = started.elapsed() / REQUESTS;
    println!("an access check: {each:?}");
    assert!(each < MOST, "{each:?}");
}
