//! The same over a real S3 server: moto's, which `.ci/run` installs and `MAINSTAY_TEST_MOTO` names.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Ground, acquire};
use crate::support::{Client, Server, run, run_with, until};

/// A server of buckets on loopback; killed when dropped.
struct Bucket {
    child: Child,
    port: u16,
}

impl Bucket {
    fn start(program: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let bucket = Self { child, port };
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        until(60, "the bucket server", || {
            let made = Client::of(address).try_send("PUT", "/backups", &[], None);
            made.filter(|it| it.status == 200)
        });
        bucket
    }

    fn target(&self, prefix: &str) -> String {
        let port = self.port;
        format!("s3://backups/{prefix}?region=us-east-1&endpoint=http://127.0.0.1:{port}")
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_server_backs_itself_up_to_a_bucket_and_comes_back_from_it() {
    let Ok(program) = std::env::var("MAINSTAY_TEST_MOTO") else {
        eprintln!("SKIPPED: MAINSTAY_TEST_MOTO names no moto_server: NOTHING WENT TO A BUCKET");
        return;
    };
    let bucket = Bucket::start(&program);
    let ground = Ground::new();
    fs::write(ground.path("secret"), "test\nsecret\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(ground.path("secret"), mode).unwrap();
    let (to, secret) = (bucket.target("one"), ground.at("secret"));
    let variables = [
        ("MAINSTAY__BACKUP__TO", &*to),
        ("MAINSTAY__BACKUP__SECRET_FILE", &*secret),
        ("MAINSTAY__BACKUP__RECIPIENTS", &*ground.recipient),
    ];
    let server = Server::start_under(&ground.path("data"), &variables);
    let client = server.client();
    let mut last = 0;
    for n in 0..20 {
        last = acquire(&client, &format!("room-{n}")).unwrap();
    }
    until(20, "it is shipped", || {
        let status = client.get("/api/v1/backups").expect(200).body["status"].clone();
        (status["shipped"].as_u64()? >= last).then_some(())
    });
    let made = client.post("/api/v1/backups", &json!({})).expect(201).body;
    server.kill();
    let listed = run_with(&variables, &["backups", "--json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["backups"][0]["id"], made["id"]);
    let key = ground.at("key");
    let verified = run_with(&variables, &["backups", "verify", "--identity", &key, "--json"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let pruned = run_with(&variables, &["backups", "prune", "--json"]);
    assert_eq!(pruned.code, 0, "{}", pruned.stderr);
    let new = ground.at("new");
    let verb = ["restore", &to, "--to", &new, "--identity", &key, "--json"];
    let restored = run_with(&variables, &verb);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    let restored: Value = serde_json::from_str(&restored.stdout).unwrap();
    assert!(restored["position"].as_u64().unwrap() >= last);
    // The old epoch's server is refused by the bucket, too.
    let refused = run_with(&variables, &["backup", "--data", &ground.at("data")]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("a restore began epoch 2"), "{}", refused.stderr);
    let verified = run(["verify", "--data", &new]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    // A bucket that is not there is told, and not waited for long.
    drop(bucket);
    let away = run_with(&variables, &["backups"]);
    assert_eq!(away.code, 3, "{}", away.stderr);
}
