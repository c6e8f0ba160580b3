//! Probes of Redis and PostgreSQL: against the real servers, and against what only listens.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use tempfile::tempdir;

use super::ground::{
    PASSWORD, Running, certify, free_port, make_postgres, start_postgres, start_redis,
    there_is_postgres, there_is_redis, write_secret,
};
use super::{configuration, serve_configured, wait_for, wait_for_score};
use crate::support::Server;

/// Serves with a probe that has these keys, too.
fn serve_with(at: &Path, url: &str, keys: &[(&str, &str)]) -> Server {
    let mut lines = "every = \"100ms\"".to_owned();
    for (key, value) in keys {
        write!(lines, "\n{key} = \"{value}\"").unwrap();
    }
    let text = configuration(url).replacen("every = \"100ms\"", &lines, 1);
    serve_configured(at, &text.replace("500ms", "1s"))
}

/// Up, killed, up, another password, up: each change is told once, and the password never.
fn lives(at: &Path, url: &str, keys: &[(&str, &str)], refused: &str, start: impl Fn() -> Running) {
    let secret = at.join("secret");
    let running = start();
    let server = serve_with(at, url, keys);
    let client = server.client();
    wait_for_score(&client, 100);
    drop(running);
    wait_for(&client, "open");
    let _running = start();
    wait_for(&client, "closed");
    write_secret(&secret, "wrong-horse-battery\n");
    wait_for(&client, "open");
    write_secret(&secret, &format!("{PASSWORD}\n"));
    wait_for(&client, "closed");
    let told = server.stop_and_hear();
    assert_eq!(told.matches("the probe works again").count(), 2, "{told}");
    assert_eq!(told.matches("the probe fails").count(), 2, "{told}");
    assert_eq!(told.matches(refused).count(), 1, "{told}");
    assert!(!told.contains("horse"), "{told}");
}

fn fails(at: &Path, url: &str, keys: &[(&str, &str)], told: &str) {
    let server = serve_with(at, url, keys);
    wait_for(&server.client(), "open");
    let heard = server.stop_and_hear();
    assert!(heard.contains(told), "{told}: {heard}");
}

/// Files of a probe that knows the password: the directory, the secret's path, the authority's.
fn ground() -> (tempfile::TempDir, String, String) {
    let data = tempdir().unwrap();
    let (secret, ca) = (data.path().join("secret"), certify(data.path()));
    write_secret(&secret, &format!("{PASSWORD}\n"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (secret, ca) = (text(&secret), text(&ca));
    (data, secret, ca)
}

#[test]
fn a_redis_probe_sees_it_killed_and_back_and_a_wrong_password() {
    if !there_is_redis() {
        return;
    }
    let (data, secret, _) = ground();
    let port = free_port();
    let start = || start_redis(data.path(), port, false);
    let url = format!("redis://127.0.0.1:{port}");
    lives(data.path(), &url, &[("probe_secret_file", &secret)], "WRONGPASS", start);
    let bare = tempdir().unwrap();
    let _running = start();
    fails(bare.path(), &url, &[], "NOAUTH");
}

#[test]
fn a_redis_probe_over_tls_trusts_the_authority_it_was_given_and_no_other() {
    if !there_is_redis() {
        return;
    }
    let (data, secret, ca) = ground();
    let port = free_port();
    let start = || start_redis(data.path(), port, true);
    let url = format!("rediss://localhost:{port}");
    let keys = [("probe_secret_file", secret.as_str()), ("probe_ca", ca.as_str())];
    lives(data.path(), &url, &keys, "WRONGPASS", start);
    let (strange, secret, ca) = ground();
    let _running = start();
    let keys = [("probe_secret_file", secret.as_str()), ("probe_ca", ca.as_str())];
    fails(strange.path(), &url, &keys, "invalid peer certificate");
}

#[test]
fn a_postgres_probe_sees_it_killed_and_back_and_a_wrong_password_and_read_only() {
    if !there_is_postgres() {
        return;
    }
    let (data, secret, _) = ground();
    make_postgres(data.path());
    let port = free_port();
    let url = format!("postgres://127.0.0.1:{port}/postgres?sslmode=disable");
    let keys = [("probe_user", "probe"), ("probe_secret_file", secret.as_str())];
    lives(data.path(), &url, &keys, "28P01", || start_postgres(data.path(), port, &[]));
    let read_only = ["default_transaction_read_only=on"];
    let _running = start_postgres(data.path(), port, &read_only);
    let other = tempdir().unwrap();
    fails(other.path(), &url, &keys, "does not allow writes");
}

/// The keys, and whom the probe trusts.
fn trusting<'a>(keys: &[(&'a str, &'a str)], ca: &'a str) -> Vec<(&'a str, &'a str)> {
    [keys, &[("probe_ca", ca)]].concat()
}

#[test]
fn a_postgres_probe_over_tls_trusts_the_authority_it_was_given_and_no_other() {
    if !there_is_postgres() {
        return;
    }
    let (data, secret, ca) = ground();
    make_postgres(data.path());
    let port = free_port();
    let url = format!("postgres://localhost:{port}/postgres");
    let named = [("probe_user", "probe"), ("probe_secret_file", secret.as_str())];
    let start = || start_postgres(data.path(), port, &[]);
    let query = [("probe_query", "SELECT count(*) FROM pg_stat_activity")];
    let keys = [trusting(&named, &ca).as_slice(), &query].concat();
    lives(data.path(), &url, &keys, "28P01", start);
    let _running = start();
    let (strange, _, strange_ca) = ground();
    fails(strange.path(), &url, &trusting(&named, &strange_ca), "invalid peer certificate");
    let other = tempdir().unwrap();
    let keys = [trusting(&named, &ca).as_slice(), &[("probe_query", "SELECT nothing")]].concat();
    fails(other.path(), &url, &keys, "SQLSTATE 42703");
}

/// Answers every connection with the bytes, again and again, with a pause after each time.
fn babble(bytes: &'static [u8], pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the process: nobody connects after the test.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            std::thread::spawn(move || {
                drop(stream.read(&mut [0; 64]));
                while stream.write_all(bytes).is_ok() {
                    std::thread::sleep(pause);
                }
            });
        }
    });
    address
}

/// All ways to ask, without a password.
fn ways(address: SocketAddr) -> [(String, &'static [(&'static str, &'static str)]); 4] {
    let user: &[_] = &[("probe_user", "probe")];
    [
        (format!("redis://{address}"), &[]),
        (format!("rediss://{address}"), &[]),
        (format!("postgres://{address}?sslmode=disable"), user),
        (format!("postgres://{address}"), user),
    ]
}

#[test]
fn a_server_that_says_nothing_is_a_failure_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (url, keys) in ways(listener.local_addr().unwrap()) {
        let data = tempdir().unwrap();
        fails(data.path(), &url, keys, "in time");
    }
}

#[test]
fn a_server_that_drips_bytes_is_a_failure_in_time() {
    // Each byte comes sooner than `timeout`: what bounds one read only bounds nothing. `R` is how
    // PostgreSQL begins an answer, 0x16 how TLS does.
    for (n, byte) in [b"x", b"\x16", b"R", b"S"].into_iter().enumerate() {
        let (url, keys) = ways(babble(byte, Duration::from_millis(300)))[n].clone();
        let data = tempdir().unwrap();
        let server = serve_with(data.path(), &url, keys);
        wait_for(&server.client(), "open");
        assert!(server.stop().success());
    }
}

#[test]
fn garbage_is_a_failure() {
    for (url, keys) in ways(babble(b"HTTP/1.1 400 Bad\r\n\r\n\xff\0\xff", Duration::ZERO)) {
        let data = tempdir().unwrap();
        fails(data.path(), &url, keys, "the probe fails");
    }
}
