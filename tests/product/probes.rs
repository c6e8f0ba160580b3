//! Active probes, over TCP, HTTP and HTTPS, drive a dependency down, and its callers bring it back.

mod databases;
mod ground;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Client, Server, until};

/// Probed ten times a second; opens after three failures, half-open 300 ms later.
fn configuration(probe: &str) -> String {
    format!(
        "[health]\nrecover_after = \"200ms\"\n[[dependency]]\nname = \"db\"\nprobe = \"{probe}\"\n\
         every = \"100ms\"\ntimeout = \"500ms\"\n[dependency.breaker]\ncalls = 4\n\
         minimum_calls = 3\nopen_for = \"300ms\"\nopen_max = \"300ms\"\njitter = 0.0\n\
         half_open_permits = 1\n"
    )
}

fn serve(data: &std::path::Path, probe: &str) -> Server {
    serve_configured(data, &configuration(probe))
}

fn serve_configured(data: &std::path::Path, configuration: &str) -> Server {
    let file = data.join("mainstay.toml");
    std::fs::write(&file, configuration).unwrap();
    Server::start_with(&data.join("data"), &["--config", file.to_str().unwrap()])
}

fn wait_for(client: &Client, state: &str) {
    until(30, state, || {
        let shown = client.get("/api/v1/dependencies/db").expect(200);
        (shown.body["state"] == state).then_some(())
    });
}

fn wait_for_score(client: &Client, score: u64) {
    until(30, &format!("score {score}"), || {
        let health = client.get("/api/v1/health").expect(200);
        (health.body["score"] == score && health.body["known_weight"] == 1).then_some(())
    });
}

/// A caller tries it while it is half-open, and succeeds.
fn call_it(client: &Client) {
    until(30, "a trial call", || {
        let asked = client.post("/api/v1/dependencies/db/permits", &json!({})).expect(200);
        let permit = asked.body["permit"].as_str()?.to_owned();
        let outcome = json!({ "permit": permit, "outcome": "success", "duration_ms": 1 });
        client.post("/api/v1/dependencies/db/outcomes", &outcome).expect(202);
        let shown = client.get("/api/v1/dependencies/db").expect(200);
        (shown.body["state"] == "closed").then_some(())
    });
}

fn opened_and_closed(client: &Client) {
    let types = "type=BreakerOpened,BreakerHalfOpened,BreakerClosed";
    let events = client.get(&format!("/api/v1/events?stream=dependency/db&{types}")).expect(200);
    let events = events.body["events"].as_array().unwrap().clone();
    let types: Vec<&str> = events.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(types[..2], ["BreakerOpened", "BreakerHalfOpened"]);
    assert!(types.contains(&"BreakerClosed"), "{types:?}");
}

#[test]
fn a_tcp_probe_sees_a_port_close_and_open_again() {
    let data = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(data.path(), &format!("tcp://{address}"));
    let client = server.client();
    wait_for_score(&client, 100);
    drop(listener);
    wait_for(&client, "open");
    let listener = TcpListener::bind(address).unwrap();
    call_it(&client);
    wait_for(&client, "closed");
    drop(listener);
    opened_and_closed(&client);
}

/// Answers every request with the status in the cell.
fn small_web(status: Arc<AtomicU16>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the process: nobody connects after the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let status = status.load(Ordering::Relaxed);
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n");
                drop(stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()));
            }
        }
    });
    address
}

#[test]
fn an_http_probe_counts_errors_as_failures_and_redirects_as_answers() {
    let data = tempdir().unwrap();
    let status = Arc::new(AtomicU16::new(204));
    let address = small_web(status.clone());
    let server = serve(data.path(), &format!("http://{address}/health"));
    let client = server.client();
    wait_for_score(&client, 100);
    status.store(503, Ordering::Relaxed);
    wait_for(&client, "open");
    status.store(302, Ordering::Relaxed);
    call_it(&client);
    wait_for(&client, "closed");
    opened_and_closed(&client);
}

#[test]
fn a_probe_that_hangs_is_a_failure_and_blocks_nobody() {
    let data = tempdir().unwrap();
    // Takes connections by its backlog and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(data.path(), &format!("http://{address}/"));
    let client = server.client();
    wait_for(&client, "open");
    client.get("/api/v1/health").expect(200);
    assert!(server.stop().success());
}

/// A certificate authority of one test, with a certificate for localhost.
struct Authority {
    pem: String,
    server: rustls::ServerConfig,
}

impl Authority {
    fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key.unwrap())
            .unwrap();
        Self { pem: signed.cert.pem(), server }
    }

    /// Answers every request with 204 over TLS, on a port of localhost.
    fn serve(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(self.server);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream);
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n";
                    drop(stream.write_all(answer).and_then(|()| stream.flush()));
                }
            }
        });
        port
    }
}

#[test]
fn an_https_probe_trusts_the_authority_it_was_given_and_no_other() {
    let data = tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ca, strange) = (data.path().join("ca.pem"), data.path().join("strange.pem"));
    std::fs::write(&ca, &authority.pem).unwrap();
    std::fs::write(&strange, &stranger.pem).unwrap();
    let port = authority.serve();
    let trusting = |path: &std::path::Path| {
        let line = format!("every = \"100ms\"\nprobe_ca = \"{}\"", path.display());
        let url = format!("https://localhost:{port}/health");
        configuration(&url).replacen("every = \"100ms\"", &line, 1)
    };
    let server = serve_configured(data.path(), &trusting(&ca));
    wait_for_score(&server.client(), 100);
    assert!(server.stop().success());
    let server = serve_configured(data.path(), &trusting(&strange));
    wait_for(&server.client(), "open");
}

#[tokio::test]
async fn closing_beside_a_probe_that_hangs_blocks_no_other_task() {
    // Close joined the probes' threads on the executor: all else on it stood still meanwhile.
    let data = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = format!("http://{}/", listener.local_addr().unwrap());
    let text = configuration(&probe).replace("500ms", "2s");
    let mut config = mainstay::config::Config::from_text(&text, "test", []).unwrap();
    config.server.data = data.path().join("data");
    let stay = mainstay::Mainstay::open(config).await.unwrap();
    // The probe is under way.
    let (_hanging, _) =
        tokio::task::spawn_blocking(move || listener.accept()).await.unwrap().unwrap();
    let closing = stay.close();
    tokio::pin!(closing);
    let mut ticks = 0;
    loop {
        tokio::select! {
            () = &mut closing => break,
            () = tokio::time::sleep(std::time::Duration::from_millis(10)) => ticks += 1,
        }
    }
    assert!(ticks > 10, "the executor stood still: {ticks} ticks");
}
