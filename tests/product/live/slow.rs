//! A reader that never reads: it is dropped in time, and costs the server next to nothing.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Map, Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::tempdir;

use crate::support::{Feed, Server, request, until};

/// Connects with as small a buffer as the operating system gives, asks for the feed, reads nothing.
fn deaf(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(request("", None).as_bytes()).unwrap();
    stream
}

/// Readers that do not read.
const DEAF: usize = 20;
/// Requests of a flood: 12 MB of events, so 240 MB for all readers.
const ROUNDS: usize = 60;
/// Patches of a request; more are over its limit.
const PATCHES: usize = 15;

/// A body whose event is about 13 KB of JSON: the names of attributes are shown, values are not.
fn wide_patch() -> Value {
    let attributes: Map<String, Value> =
        (0..60).map(|n| (format!("{n:0>200}"), Value::from(n))).collect();
    json!({ "attributes": attributes })
}

/// Connections of the server, its listening socket and its own pairs among them.
fn sockets(server: &Server) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
    let target =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    open.filter_map(target).filter(|to| to.to_string_lossy().starts_with("socket")).count()
}

fn memory_kb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_reader_that_never_reads_is_dropped_and_the_servers_memory_is_bounded() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let session = json!({ "subject": "customer-7", "ttl_ms": 600_000 });
    let id = client.post("/api/v1/sessions", &session).expect(201).text("id");
    let patches = |count: usize| {
        let patch = json!({ "op": "sessions.patch", "id": id, "body": wide_patch() });
        let answers = client.post("/api/v1/batch", &json!({ "commands": vec![patch; count] }));
        let answers = answers.expect(200).body["answers"].as_array().unwrap().clone();
        assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
    };
    // The journal, its index and the allocator have their own needs for as much as comes below.
    let flood = || (0..ROUNDS).for_each(|_| patches(PATCHES));
    flood();
    let readers: Vec<TcpStream> = (0..DEAF).map(|_| deaf(&server)).collect();
    let mut good = Feed::open(server.address(), "", None);
    let before = sockets(&server);
    let before_kb = memory_kb(&server);
    // One who reads gets everything while the others get nothing.
    let reading = std::thread::spawn(move || {
        (0..ROUNDS * PATCHES).for_each(|_| drop(good.expect()));
        good
    });
    flood();
    let mut good = reading.join().unwrap();
    let grown_kb = memory_kb(&server).saturating_sub(before_kb);
    // What the readers have not taken would be 240 MB. The journal's own needs vary by some tens.
    assert!(grown_kb < 64 * 1024, "memory grew by {grown_kb} KB");
    // Nobody reads, so nobody is told: the server's side is looked at.
    until(30, "the readers to be dropped", || (sockets(&server) <= before - DEAF).then_some(()));
    // Others are not disturbed, and the log says why.
    patches(1);
    good.expect();
    drop(readers);
    let log = server.kill();
    assert_eq!(log.matches("a live reader is dropped: it took nothing for").count(), DEAF, "{log}");
}
