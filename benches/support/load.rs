//! A closed loop over keep-alive connections: each sends, waits for its answer, sends again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked, and of whom.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Leases, acquired and released: one request an operation.
    Locks(SocketAddr),
    /// The same, so many commands in a request.
    Batches(SocketAddr, usize),
    /// Puts of 100 bytes over its JSON gateway.
    Etcd(SocketAddr),
    /// SETs of 100 bytes in its own protocol.
    Redis(SocketAddr),
}

/// What one run measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// Of a request.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Drives a server for some time.
pub(crate) fn drive(target: Target, connections: usize, time: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 0..connections {
            let stop = stop.clone();
            let client = Client { connection: Connection::open(target).await, number, stop };
            clients.push(tokio::spawn(client.run(target)));
        }
        let started = Instant::now();
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
        let (mut operations, mut latencies) = (0, Histogram::<u64>::new(3).unwrap());
        for client in clients {
            let (done, took) = client.await.unwrap();
            operations += done;
            latencies.add(took).unwrap();
        }
        let elapsed = started.elapsed().as_secs_f64();
        let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Figures { per_second: operations as f64 / elapsed, p50_ms: ms(0.5), p99_ms: ms(0.99) }
    })
}

struct Client {
    connection: Connection,
    number: usize,
    stop: Arc<AtomicBool>,
}

impl Client {
    async fn run(mut self, target: Target) -> (u64, Histogram<u64>) {
        let (mut done, mut took) = (0, Histogram::<u64>::new(3).unwrap());
        let mut round = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            done += self.once(target, round, &mut took).await;
            round += 1;
        }
        (done, took)
    }

    /// One lease from its beginning to its end, or one write; how many operations that was.
    async fn once(&mut self, target: Target, round: u64, took: &mut Histogram<u64>) -> u64 {
        let number = self.number;
        match target {
            Target::Locks(_) => {
                // Of its own locks, one after the other.
                let lock = format!("/api/v1/locks/bench-{number}-{}", round % 100);
                let body = r#"{"owner":"bench","ttl_ms":60000}"#;
                let lease = self.post(&format!("{lock}/acquire"), body, took).await;
                let body = format!(r#"{{"owner":"bench","token":{}}}"#, lease["token"]);
                let ended = self.post(&format!("{lock}/release"), &body, took).await;
                assert_eq!(ended["released"], 1, "{ended}");
                2
            },
            Target::Batches(_, size) => {
                let name = |at: usize| format!("batch-{number}-{at}");
                let acquire = |at| json!({"op": "locks.acquire", "name": name(at), "body": {"owner": "bench", "ttl_ms": 60_000}});
                let acquired = self.batch((0..size).map(acquire).collect(), took).await;
                let release = |at: usize| json!({"op": "locks.release", "name": name(at), "body": {"owner": "bench", "token": acquired[at]["body"]["token"]}});
                let released = self.batch((0..size).map(release).collect(), took).await;
                assert!(released.iter().all(|it| it["status"] == 200), "{released:?}");
                2 * size as u64
            },
            Target::Etcd(_) => {
                // `bench-…` and 100 bytes, in base64 as its gateway wants them.
                let key = base64(format!("bench-{number}-{}", round % 100).as_bytes());
                let body = format!(r#"{{"key":"{key}","value":"{}"}}"#, base64(&[b'x'; 100]));
                let put = self.post("/v3/kv/put", &body, took).await;
                assert!(put["header"].is_object(), "{put}");
                1
            },
            Target::Redis(_) => {
                let (key, value) = (format!("bench-{number}-{}", round % 100), "x".repeat(100));
                let length = key.len();
                let set = format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n$100\r\n{value}\r\n");
                let started = Instant::now();
                let answer = self.connection.line(set.as_bytes()).await;
                record(took, started);
                assert_eq!(answer, "+OK");
                1
            },
        }
    }

    async fn batch(&mut self, commands: Vec<Value>, took: &mut Histogram<u64>) -> Vec<Value> {
        let body = json!({ "commands": commands }).to_string();
        let answer = self.post("/api/v1/batch", &body, took).await;
        answer["answers"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    async fn post(&mut self, path: &str, body: &str, took: &mut Histogram<u64>) -> Value {
        let started = Instant::now();
        let answer = self.connection.post(path, body).await;
        record(took, started);
        serde_json::from_slice(&answer).unwrap()
    }
}

fn record(took: &mut Histogram<u64>, started: Instant) {
    let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    took.record(us.max(1)).unwrap();
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(target: Target) -> Self {
        let (Target::Locks(address)
        | Target::Batches(address, _)
        | Target::Etcd(address)
        | Target::Redis(address)) = target;
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// The body of the answer, whose status must be 200.
    async fn post(&mut self, path: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
        let whole = end + length.unwrap_or_else(|| panic!("{head}")).parse::<usize>().unwrap();
        while self.buffer.len() < whole {
            self.more().await;
        }
        let answer = self.buffer[end..whole].to_vec();
        self.buffer.drain(..whole);
        answer
    }

    /// A line of the answer, without its end.
    async fn line(&mut self, request: &[u8]) -> String {
        self.stream.write_all(request).await.unwrap();
        loop {
            if let Some(end) = self.buffer.windows(2).position(|it| it == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return line;
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        self.buffer.reserve(16 * 1024);
        let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
        assert!(read > 0, "the server has closed a connection");
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
