//! What a server proves, two verifiers take; and neither takes what was changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Ended, Server, run, tree};

fn acquire(client: &Client, name: &str) {
    let body = json!({ "owner": "anna", "ttl_ms": 600_000 });
    client.post(&format!("/api/v1/locks/{name}/acquire"), &body).expect(200);
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn write(directory: &Path, name: &str, proof: &Value) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, proof.to_string()).unwrap();
    path
}

/// Exit codes of both verifiers; the second is that of `tests/proofs/verify.py`.
fn verdicts(proof: &Path, keys: &[&str]) -> Vec<i32> {
    let path = proof.to_str().unwrap();
    let key: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
    let ours = run(["verify", "--proof", path].iter().chain(&key));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proofs/verify.py");
    match Command::new("python3").arg(script).arg(path).args(keys).output() {
        Ok(theirs) => vec![ours.code, theirs.status.code().unwrap_or(-1)],
        Err(error) => {
            eprintln!("!!! NO SECOND VERIFIER: python3 cannot be started ({error})");
            vec![ours.code]
        },
    }
}

#[track_caller]
fn valid(proof: &Path, keys: &[&str]) {
    assert!(verdicts(proof, keys).iter().all(|code| *code == 0), "{}", proof.display());
}

#[track_caller]
fn refused(proof: &Path, keys: &[&str], what: &str) {
    assert!(verdicts(proof, keys).iter().all(|code| [2, 4].contains(code)), "taken: {what}");
}

/// What an end says on stdout, as JSON.
#[track_caller]
fn proof(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn every_proof_of_a_server_is_valid_by_two_verifiers_and_no_changed_one_is() {
    let (data, papers) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path());
    let client = server.client();
    for n in 0..6 {
        acquire(&client, &format!("l-{n}"));
    }
    let url = url(&server);
    let keys = run(["checkpoint", "keys", "--server", &url]);
    let key = keys.stdout.trim();
    let note = String::from_utf8(client.get_bytes("/api/v1/checkpoint")).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(size, 7, "the boot and six leases");
    assert_eq!(run(["checkpoint", "--server", &url]).stdout, note);
    for position in 1..=size {
        let proof = proof(&run(["proof", "inclusion", &position.to_string(), "--server", &url]));
        valid(&write(papers.path(), "inclusion", &proof), &[key]);
    }
    for (from, to) in [(0, 7), (1, 7), (2, 7), (3, 7), (4, 7), (5, 6), (6, 7), (7, 7), (3, 4)] {
        let (from, to) = (from.to_string(), to.to_string());
        let ended = run(["proof", "consistency", "--from", &from, "--to", &to, "--server", &url]);
        valid(&write(papers.path(), "consistency", &proof(&ended)), &[key]);
    }
    let good = client.get("/api/v1/proofs/inclusion/5").expect(200).body;
    let grown = client.get("/api/v1/proofs/consistency?from=3&to=7").expect(200).body;
    let change = |proof: &Value, what: &str, to: Value| {
        let mut proof = proof.clone();
        *proof.pointer_mut(what).unwrap() = to;
        refused(&write(papers.path(), "changed", &proof), &[], what);
    };
    let flipped = |text: &Value| json!(text.as_str().unwrap().replacen(['0', '1', '2'], "f", 1));
    let text = |proof: &Value, what: &str, from: &str, to: &str| {
        json!(proof[what].as_str().unwrap().replacen(from, to, 1))
    };
    for step in 0..3 {
        change(&good, &format!("/path/{step}"), flipped(&good["path"][step]));
    }
    change(&good, "/position", json!(6));
    change(&good, "/position", json!(8));
    change(&good, "/position", json!(0));
    change(&good, "/leaf_hash", flipped(&good["leaf_hash"]));
    change(&good, "/path", json!([]));
    change(&good, "/path/2", json!("00"));
    change(&good, "/format", json!(2));
    change(&good, "/checkpoint", text(&good, "checkpoint", "\n7\n", "\n8\n"));
    change(&good, "/checkpoint", text(&good, "checkpoint", "epoch 1", "epoch 2"));
    change(&good, "/checkpoint", json!("mainstay/00\n7\n"));
    change(&good, "/keys", json!([]));
    change(&grown, "/from", grown["to"].clone());
    change(&grown, "/to", grown["from"].clone());
    change(&grown, "/path/0", flipped(&grown["path"][0]));
    let mut longer = grown["path"].as_array().unwrap().clone();
    longer.push(longer[0].clone());
    change(&grown, "/path", json!(longer));
    // Another server's key is not trusted here, whatever the file says.
    let other = tempdir().unwrap();
    let elsewhere = Server::start(other.path());
    let foreign =
        run(["checkpoint", "keys", "--server", &format!("http://{}", elsewhere.address())]);
    refused(&write(papers.path(), "good", &good), &[foreign.stdout.trim()], "a foreign key");
    valid(&write(papers.path(), "good", &good), &[]);
}

#[test]
fn a_stopped_servers_directory_proves_the_record_itself() {
    let (data, papers) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Server::start(data.path());
    acquire(&server.client(), "l");
    let directory = data.path().to_str().unwrap();
    let beside = run(["checkpoint", "--data", directory]);
    assert_eq!(beside.code, 5, "{}", beside.stderr);
    assert!(beside.stderr.contains("--server"), "{}", beside.stderr);
    assert!(server.stop().success());
    let ended = run(["proof", "inclusion", "2", "--record", "--data", directory]);
    let good = proof(&ended);
    valid(&write(papers.path(), "good", &good), &[]);
    // The bytes of another record, and a record that says it lies elsewhere.
    let other = proof(&run(["proof", "inclusion", "1", "--record", "--data", directory]));
    let mut wrong = good.clone();
    wrong["leaf"] = other["leaf"].clone();
    refused(&write(papers.path(), "wrong", &wrong), &[], "another leaf");
    let mut changed = good.clone();
    let text = good["leaf"].as_str().unwrap();
    let (head, tail) = text.split_at(text.len() - 8);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    changed["leaf"] = json!(format!("{head}{other}{}", &tail[1..]));
    refused(&write(papers.path(), "changed", &changed), &[], "a changed leaf");
    let mut moved = good.clone();
    moved["position"] = json!(1);
    refused(&write(papers.path(), "moved", &moved), &[], "another position");
}

#[test]
fn what_is_not_there_is_a_named_error_and_nothing_is_written() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let beyond = client.get("/api/v1/proofs/consistency?from=1&to=99");
    let body = beyond.problem(400, "/problems/beyond-end");
    assert_eq!(body["durable"], 1);
    let shrinks = client.get("/api/v1/proofs/consistency?from=1&to=0");
    assert_eq!(shrinks.problem(400, "/problems/bad-request")["field"], "to");
    client.get("/api/v1/proofs/consistency").problem(400, "/problems/bad-request");
    client.get("/api/v1/proofs/inclusion/99").problem(400, "/problems/bad-request");
    client.get("/api/v1/proofs/inclusion/x").problem(400, "/problems/bad-request");
    assert!(server.stop().success());
    let directory = data.path().to_str().unwrap();
    let before = tree(data.path());
    for (arguments, code, says) in [
        (&["proof", "inclusion", "99"][..], 2, "there are 1 durable events, and 99 are asked for"),
        (&["proof", "consistency", "--from", "99"], 2, "there are 1 durable events"),
        (&["proof", "consistency", "--from", "0", "--to", "2"], 2, "there are 1 durable events"),
        (&["verify", "--checkpoint", "/nowhere/w"], 2, "/nowhere/w: it has no checkpoints"),
        (&["verify", "--key", "x"], 2, "--key goes with"),
    ] {
        let ended = run(arguments.iter().chain(&["--data", directory]));
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(tree(data.path()), before, "something was written");
    let nothing = tempdir().unwrap();
    let none = run(["checkpoint", "--data", nothing.path().to_str().unwrap()]);
    assert_eq!(none.code, 5, "{}", none.stderr);
    assert!(tree(nothing.path()).is_empty(), "something was written");
    let ended = run(["verify", "--proof", "/nowhere/p"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

#[test]
fn what_an_older_key_signed_stays_verifiable() {
    let (data, papers) = (tempdir().unwrap(), tempdir().unwrap());
    assert!(Server::start(data.path()).stop().success());
    let directory = data.path().to_str().unwrap();
    let make = |name: &str| {
        let made = proof(&run(["proof", "inclusion", "1", "--data", directory]));
        write(papers.path(), name, &made)
    };
    let old = make("old");
    let checkpoint = papers.path().join("checkpoint");
    fs::write(&checkpoint, run(["checkpoint", "--data", directory]).stdout).unwrap();
    let rotated = run(["checkpoint", "rotate-key", "--data", directory]);
    let keys: Vec<&str> = rotated.stdout.lines().collect();
    assert_eq!(keys.len(), 2, "{} {}", rotated.stdout, rotated.stderr);
    assert_eq!(run(["checkpoint", "keys", "--data", directory]).stdout, rotated.stdout);
    let new = make("new");
    valid(&old, &[keys[0]]);
    refused(&old, &[keys[1]], "the old note under the new key");
    valid(&new, &[keys[1]]);
    refused(&new, &[keys[0]], "the new note under the old key");
    valid(&old, &keys[..1]);
    let keyring = data.path().join("signing/keyring");
    let ended =
        run(["verify", "--proof", old.to_str().unwrap(), "--key", keyring.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let kept = ["verify", "--data", directory, "--checkpoint", checkpoint.to_str().unwrap()];
    assert_eq!(run(kept).code, 0);
    // A server goes on with the new key; one whose key others can read does not start.
    let server = Server::start(data.path());
    let served = run(["checkpoint", "keys", "--server", &url(&server)]);
    assert_eq!(served.stdout, rotated.stdout);
    assert!(server.stop().success());
    let file = data.path().join("signing/key");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&file, open).unwrap();
    let ended = run(["serve", "--listen", "127.0.0.1:0", "--data", directory]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
}
