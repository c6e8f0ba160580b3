//! Many connections that do nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Feed, Server};

/// So many fit into the files that a process may open by default on most systems, here and there.
const CROWD: usize = 2_000;
/// What a connection may cost, in KiB: its buffers, and what the framework keeps of it.
const EACH_KIB: usize = 64;

/// A connection that has had its answer.
fn idle(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    stream
}

fn resident_kib(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn two_thousand_idle_connections_keep_nobody_waiting_and_cost_a_bounded_memory() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    server.client().get("/api/v1/health").expect(200);
    let before = resident_kib(server.id());
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| idle(&server)).collect();
    let used = resident_kib(server.id()).saturating_sub(before);
    assert!(used < CROWD * EACH_KIB, "{used} KiB for {CROWD}");
    #[expect(clippy::disallowed_methods, reason = "how long a new client waits is what is claimed")]
    let started = Instant::now();
    server.client().get("/api/v1/health").expect(200);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    drop(crowd);
    assert!(server.stop().success());
}

#[test]
fn with_no_room_the_connection_that_has_waited_longest_makes_it() {
    // At the limit nobody was let in until an idle connection ended by itself.
    let data = tempdir().unwrap();
    let server = Server::start_under(data.path(), &[("MAINSTAY__LIMITS__CONNECTIONS", "64")]);
    let mut feed = Feed::open(server.address(), "", None);
    // Each of them is answered: three times as many as there may be.
    let crowd: Vec<TcpStream> = (0..200).map(|_| idle(&server)).collect();
    let open = crowd.iter().filter(|stream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let gone = |rest: std::io::Result<usize>| rest.is_ok_and(|length| length == 0);
        let mut rest = [0; 4096];
        let mut stream: &TcpStream = stream;
        // What is left of its answer, then the end, if there is one.
        let _ = stream.read(&mut rest);
        !gone(stream.read(&mut rest))
    });
    let open = open.count();
    assert!((32..=64).contains(&open), "{open} are open");
    // One that is at work is not ended for them.
    let body = json!({ "owner": "anna", "ttl_ms": 60_000 });
    server.client().post("/api/v1/locks/pool/acquire", &body).expect(200);
    assert_eq!(feed.expect().data["type"], "LeaseGranted");
}
