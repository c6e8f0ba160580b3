//! What becomes of a service under ten times its usual load, with a guard around its handlers and
//! without?
//!
//! ```text
//!   clients ──at a fixed rate, whatever comes back──► actix-web ─► guard ─► handler: one of 8 workers, 10 ms
//!           └─► status, Retry-After, time since the request was due
//! ```
//!
//! See `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::middleware::Condition;
use actix_web::rt::System;
use actix_web::web::Data;
use actix_web::{App, HttpResponse, HttpServer, web};
use hdrhistogram::Histogram;
use mainstay::guard::{Bulkhead, ByStatus, Guard};
use mainstay::{Config, Mainstay};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore, mpsc};

// As in the program: see `src/main.rs`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that the handler serves at a time, and how long each takes: 800 a second at most.
const WORKERS: usize = 8;
const WORK: Duration = Duration::from_millis(10);
/// Requests a second.
const USUAL: u32 = 250;
const TIMES: u32 = 10;
const LENGTH: Duration = Duration::from_secs(8);
/// Connections of the clients.
const CLIENTS: usize = 400;

#[derive(Debug, Default, Clone)]
struct Load {
    served: Vec<Duration>,
    shed: u64,
    without_time: u64,
    failed: u64,
}

fn main() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    println!("{WORKERS} workers of {WORK:?}: {} requests a second at most", WORKERS * 100);
    println!(
        "{:<12}{:>8}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "", "a second", "served", "p50 ms", "p99 ms", "shed", "failed"
    );
    for guarded in [true, false] {
        let name = if guarded { "guarded" } else { "bare" };
        let mut p99 = Vec::new();
        for rate in [USUAL, USUAL * TIMES] {
            let load = runtime.block_on(run(guarded, rate));
            let mut times = Histogram::<u64>::new(3).unwrap();
            for took in &load.served {
                times.record(u64::try_from(took.as_micros()).unwrap()).unwrap();
            }
            let ms = |quantile| {
                Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1e3
            };
            p99.push(ms(0.99));
            let (served, shed, failed) = (load.served.len(), load.shed, load.failed);
            println!(
                "{name:<12}{rate:>8}{served:>10}{:>10.1}{:>10.1}{shed:>10}{failed:>8}",
                ms(0.5),
                ms(0.99)
            );
            assert_eq!(load.without_time, 0, "who is shed is told when to come back");
        }
        println!(
            "{name}: p99 at {TIMES} times the load is {:.2} times the usual one",
            p99[1] / p99[0]
        );
    }
}

async fn run(guarded: bool, rate: u32) -> Load {
    let data = TempDir::new().unwrap();
    let text = "[[dependency]]\nname = \"own\"\n";
    let mut config = Config::from_text(text, "bench", []).unwrap();
    config.server.data = data.path().join("data");
    let stay = Mainstay::open(config).await.unwrap();
    // As many inside as there are workers; who would wait longer than half a turn comes back later.
    let places = Bulkhead::new(u32::try_from(WORKERS).unwrap()).queue(4).wait(WORK / 2);
    let guard = stay.dependency("own").guard().classified_by(ByStatus).bulkhead(places);
    let workers = Data::new(Semaphore::new(WORKERS));
    let (address, server) = serve(guarded, guard, workers);
    let load = call(address, rate).await;
    server.stop(false).await;
    stay.close().await;
    load
}

fn serve(
    guarded: bool,
    guard: Guard<ByStatus>,
    workers: Data<Semaphore>,
) -> (SocketAddr, ServerHandle) {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        System::new().block_on(async move {
            let server = HttpServer::new(move || {
                let around = Condition::new(guarded, guard.clone().into_inbound());
                App::new().app_data(workers.clone()).wrap(around).route("/", web::get().to(work))
            });
            let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
            let address = server.addrs()[0];
            let server = server.run();
            tell.send((address, server.handle())).unwrap();
            server.await.unwrap();
        });
    });
    told.recv().unwrap()
}

async fn work(workers: Data<Semaphore>) -> HttpResponse {
    let _worker = workers.acquire().await.unwrap();
    tokio::time::sleep(WORK).await;
    HttpResponse::Ok().body("done")
}

/// Sends requests at a rate, whatever becomes of those before: time counts from when each was due.
async fn call(address: SocketAddr, rate: u32) -> Load {
    let (due, requests) = mpsc::unbounded_channel::<Instant>();
    let requests = Arc::new(Mutex::new(requests));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let requests = requests.clone();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        clients.push(tokio::spawn(async move {
            let mut load = Load::default();
            loop {
                let next = requests.lock().await.recv().await;
                let Some(due) = next else { return load };
                match ask(&mut stream).await {
                    Ok((200, _)) => load.served.push(due.elapsed()),
                    Ok((503, told)) => {
                        load.shed += 1;
                        load.without_time += u64::from(!told);
                    },
                    _ => {
                        load.failed += 1;
                        stream = TcpStream::connect(address).await.unwrap();
                    },
                }
            }
        }));
    }
    let (began, pause) = (Instant::now(), Duration::from_secs(1) / rate);
    let mut next = began;
    while began.elapsed() < LENGTH {
        next += pause;
        tokio::time::sleep_until(next.into()).await;
        due.send(next).unwrap();
    }
    drop(due);
    let mut all = Load::default();
    for client in clients {
        let load = client.await.unwrap();
        all.served.extend(load.served);
        all.shed += load.shed;
        all.without_time += load.without_time;
        all.failed += load.failed;
    }
    all
}

/// Status, and whether it says when to come back.
async fn ask(stream: &mut TcpStream) -> std::io::Result<(u16, bool)> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: own\r\n\r\n").await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.unwrap().parse::<usize>().unwrap() {
            continue;
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        return Ok((status, head.contains("\r\nretry-after: ")));
    }
}
