//! The built program backs itself up, is killed, and comes back from what lies elsewhere.

mod bucket;
mod killed;
mod named;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mainstay::backup::Identities;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Client, Ended, Server, now, run, until};

/// A data directory, its target, and the key of its backups.
struct Ground {
    root: TempDir,
    recipient: String,
}

impl Ground {
    fn new() -> Self {
        let root = tempdir().unwrap();
        let (identity, recipient) = Identities::generate();
        let ground = Self { root, recipient };
        fs::write(ground.at("key"), &*identity).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(ground.at("key"), mode).unwrap();
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A server with backups of its own.
    fn serve(&self) -> Server {
        let to = self.at("target");
        Server::start_under(
            &self.path("data"),
            &[("MAINSTAY__BACKUP__TO", &to), ("MAINSTAY__BACKUP__RECIPIENTS", &self.recipient)],
        )
    }

    fn backup(&self) -> Ended {
        let (data, to) = (self.at("data"), self.at("target"));
        run(["backup", "--data", &data, "--to", &to, "--recipient", &self.recipient, "--json"])
    }

    fn restore(&self, to: &str, more: &[&str]) -> Ended {
        let (target, to, key) = (self.at("target"), self.at(to), self.at("key"));
        let verb = ["restore", &target, "--to", &to, "--identity", &key, "--json"];
        run(verb.iter().chain(more))
    }

    fn restored(&self, to: &str, more: &[&str]) -> Value {
        let ended = self.restore(to, more);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }
}

fn acquire(client: &Client, name: &str) -> Option<u64> {
    let lease = json!({ "owner": "anna", "ttl_ms": 600_000 });
    let answer = client.try_json("POST", &format!("/api/v1/locks/{name}/acquire"), &[], &lease);
    answer.filter(|it| it.status == 200).map(|it| it.number("position"))
}

/// Every event of the journal in a directory: position and stream.
fn events(data: &str) -> BTreeMap<u64, String> {
    let told = run(["replay", "--events", "--data", data, "--json"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let event = |line: &str| -> (u64, String) {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["position"].as_u64().unwrap(), event["stream"].as_str().unwrap().to_owned())
    };
    told.stdout.lines().map(event).collect()
}

#[test]
fn what_was_acknowledged_a_second_before_the_machine_is_lost_comes_back() {
    let ground = Ground::new();
    let server = ground.serve();
    let address = server.address();
    let writer = std::thread::spawn(move || {
        let client = Client::of(address);
        let mut acknowledged = Vec::new();
        for n in 0.. {
            let Some(position) = acquire(&client, &format!("room-{n}")) else { break };
            acknowledged.push((now(), position, format!("lock/room-{n}")));
        }
        acknowledged
    });
    std::thread::sleep(Duration::from_secs(4));
    let lost_at = now();
    server.kill();
    let acknowledged = writer.join().unwrap();
    fs::rename(ground.path("data"), ground.path("lost")).unwrap();
    let restored = ground.restored("new", &[]);
    let fork = restored["position"].as_u64().unwrap();
    let mut there = events(&ground.at("new"));
    there.retain(|position, _| *position <= fork);
    let (mut held, mut missing) = (0, 0);
    for (at, position, stream) in &acknowledged {
        match there.get(position) {
            Some(found) if found == stream => held += 1,
            Some(found) => panic!("{position} is of {found}, not {stream}"),
            None => {
                let age_ms = lost_at.ms_since(*at);
                assert!(age_ms <= 1_000, "{stream}, acknowledged {age_ms} ms before, is lost");
                missing += 1;
            },
        }
    }
    assert!(held > 100 && held > missing, "{held} {missing}");
    // What is there is a prefix, and all of it verifies.
    let before = events(&ground.at("lost"));
    assert!(there.iter().eq(before.range(..=fork)));
    let verified = run(["verify", "--data", &ground.at("new")]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    // It serves, and gives what was held anew, above every token of before.
    let server = Server::start(&ground.path("new"));
    let client = server.client();
    let lease = json!({ "owner": "ben", "ttl_ms": 60_000 });
    let token = client.post("/api/v1/locks/room-0/acquire", &lease).expect(200).number("token");
    assert!(token > lost_at.as_micros());
}

#[test]
fn a_backup_beside_a_loaded_server_is_a_whole_prefix() {
    let ground = Ground::new();
    let server = Server::start(&ground.path("data"));
    let address = server.address();
    let writer = std::thread::spawn(move || {
        let client = Client::of(address);
        for n in 0.. {
            if acquire(&client, &format!("room-{n}")).is_none() {
                break;
            }
        }
    });
    until(20, "some events", || {
        let head = server.client().get("/api/v1/health").body["position"].as_u64()?;
        (head > 50).then_some(())
    });
    for _ in 0..3 {
        let taken = ground.backup();
        assert_eq!(taken.code, 0, "{}", taken.stderr);
    }
    server.kill();
    writer.join().unwrap();
    let original = events(&ground.at("data"));
    let listed = run(["backups", "--to", &ground.at("target"), "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let backups = listed["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 3);
    for (index, backup) in backups.iter().enumerate() {
        let to = format!("r-{index}");
        let restored =
            ground.restored(&to, &["--copy", "--backup", backup["id"].as_str().unwrap()]);
        let fork = restored["position"].as_u64().unwrap();
        assert_eq!(backup["position"], fork);
        let there = events(&ground.at(&to));
        assert!(there.range(..=fork).eq(original.range(..=fork)));
    }
}

#[test]
fn backups_are_made_listed_and_told_over_http() {
    let ground = Ground::new();
    let server = ground.serve();
    let client = server.client();
    acquire(&client, "room-101").unwrap();
    let made = until(10, "backups have begun", || {
        let made = client.post("/api/v1/backups", &json!({}));
        (made.status == 201).then_some(made.body)
    });
    let listed = client.get("/api/v1/backups").expect(200).body;
    assert_eq!(listed["backups"][0], made);
    assert_eq!(listed["status"]["alarm"], Value::Null);
    let told = client.get("/api/v1/events?type=BackupMade").expect(200).body;
    let ids = told["events"].as_array().unwrap().iter().map(|it| it["data"]["id"].clone());
    assert!(ids.into_iter().any(|id| id == made["id"]));
    let ready = client.get("/readyz?verbose").expect(200).body;
    assert_eq!(ready["backups"]["continuous"], true);
    let metrics = String::from_utf8(client.get_bytes("/metrics")).unwrap();
    assert!(metrics.contains("mainstay_backup_alarm 0"), "{metrics}");
    let status = run(["status", "--server", &format!("http://{}", server.address())]);
    assert!(status.stdout.contains("backups   shipped to"), "{}", status.stdout);
    // The target is the server's while it runs, and says whose.
    let refused = ground.backup();
    assert_eq!(refused.code, 5);
    assert!(refused.stderr.contains("in use by `mainstay serve`"), "{}", refused.stderr);
    // Without a target there is nothing to make.
    let bare = tempdir().unwrap();
    let bare = Server::start(bare.path());
    bare.client().post("/api/v1/backups", &json!({})).problem(409, "/problems/no-backup-target");
}

#[test]
fn an_erasure_is_not_finished_before_the_target_is_rewritten() {
    let ground = Ground::new();
    let server = ground.serve();
    let client = server.client();
    let session = json!({ "subject": "ann", "ttl_ms": 600_000, "attributes": { "name": "x" } });
    client.post("/api/v1/sessions", &session).expect(201);
    until(10, "it is shipped", || {
        let status = client.get("/api/v1/backups").expect(200).body["status"].clone();
        (status["behind"] == 0).then_some(())
    });
    fs::rename(ground.path("target"), ground.path("away")).unwrap();
    fs::write(ground.path("target"), "no directory").unwrap();
    let begun = client.delete("/api/v1/subjects/ann");
    assert_eq!(begun.status, 202, "{}", begun.body);
    let stalled = until(15, "an alarm", || {
        let told = client.get("/api/v1/events?type=BackupsStalled").expect(200).body;
        told["events"].as_array().unwrap().first().cloned()
    });
    assert!(stalled["data"]["reason"].as_str().unwrap().contains("have not been shipped"));
    // A restart finishes nothing either, while the target is away.
    server.stop();
    let server = ground.serve();
    let client = server.client();
    let finished = client.get("/api/v1/events?type=ErasureFinished").expect(200).body;
    assert_eq!(finished["events"], json!([]));
    assert_eq!(
        client.get("/api/v1/subjects/ann/consents").status,
        410,
        "it is erased all the same"
    );
    fs::remove_file(ground.path("target")).unwrap();
    fs::rename(ground.path("away"), ground.path("target")).unwrap();
    until(30, "the erasure is finished", || {
        let told = client.get("/api/v1/events?type=ErasureFinished").expect(200).body;
        told["events"].as_array().unwrap().first().map(drop)
    });
    let key = fs::read_to_string(ground.path("key")).unwrap();
    let shard = fs::read(ground.path("target/keys/subjects/000000.age")).unwrap();
    let shard = Identities::parse(&key).unwrap().open(&shard).unwrap();
    assert_eq!(shard[64], 2, "the slot is erased over there");
}

#[test]
fn a_wrong_use_is_told_with_the_way_out() {
    let ground = Ground::new();
    let (data, target) = (ground.at("data"), ground.at("target"));
    let server = Server::start(&ground.path("data"));
    acquire(&server.client(), "room-101").unwrap();
    server.stop();
    for (verb, code, told) in [
        (vec!["backup", "--data", &data, "--to", &target], 2, "mainstay backup-key create"),
        (vec!["backup", "--data", &data, "--recipient", "age1x", "--to", &target], 2, "age1x"),
        (vec!["backup", "--data", &data, "--recipient", &ground.recipient], 2, "--to"),
        (vec!["backups", "--to", &target], 2, "there is no"),
        (vec!["restore", &target, "--to", &data, "--identity", "none"], 2, "no such directory"),
    ] {
        // The target is made by a backup only.
        drop(fs::remove_dir_all(&target));
        let ended = run(&verb);
        assert_eq!(ended.code, code, "{verb:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(told), "{verb:?}: {}", ended.stderr);
    }
    // A configuration says all of it.
    let recipient = &ground.recipient;
    let text = format!(
        "[server]\ndata = {data:?}\n[backup]\nto = {target:?}\nrecipients = [{recipient:?}]\n"
    );
    fs::write(ground.path("mainstay.toml"), text).unwrap();
    let made = run(["backup", "--config", &ground.at("mainstay.toml")]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let new = ground.at("new");
    let refused = run(["restore", &target, "--to", &new]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--identity"), "{}", refused.stderr);
    let refused = ground.restore("data", &[]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("is not empty"));
    let refused = ground.restore("new", &["--until", "4711"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    // A passphrase instead of a key.
    fs::write(ground.path("phrase"), "correct horse\n").unwrap();
    fs::write(ground.path("wrong"), "wrong horse\n").unwrap();
    for file in ["phrase", "wrong"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(ground.path(file), mode).unwrap();
    }
    let other = ground.at("other");
    let (phrase, wrong) = (ground.at("phrase"), ground.at("wrong"));
    let made = run(["backup", "--data", &data, "--to", &other, "--passphrase-file", &phrase]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let refused = run(["restore", &other, "--to", &new, "--passphrase-file", &wrong]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("the passphrase is wrong"), "{}", refused.stderr);
    assert!(!ground.path("new").exists(), "nothing was written");
    let done = run(["restore", &other, "--to", &new, "--passphrase-file", &phrase]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}
