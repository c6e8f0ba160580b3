//! A subject is forgotten: no byte of its values is readable anywhere before, and none after.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay::{Config, Mainstay};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, files, run, until};

/// What must never be found on the disk.
const CANARY: &str = "canary-Zoë-4711-sings";
/// The same in base64, at each of the three places where it can begin.
const BASE64: [&str; 3] = [
    "Y2FuYXJ5LVpvw6stNDcxMS1zaW5n",
    "NhbmFyeS1ab8OrLTQ3MTEtc2luZ3",
    "jYW5hcnktWm/Dqy00NzExLXNpbmdz",
];

fn needles() -> Vec<Vec<u8>> {
    let utf16 = CANARY.encode_utf16();
    let mut needles = vec![
        CANARY.as_bytes().to_vec(),
        utf16.clone().flat_map(u16::to_le_bytes).collect(),
        utf16.flat_map(u16::to_be_bytes).collect(),
    ];
    needles.extend(BASE64.iter().map(|text| text.as_bytes().to_vec()));
    needles
}

/// The file that has a needle, or a half of it: pages and pieces may cut it in two.
fn place(data: &Path, needle: &[u8]) -> Option<PathBuf> {
    let (first, second) = needle.split_at(needle.len() / 2);
    files(data).into_iter().find(|path| {
        let bytes = fs::read(path).unwrap();
        [first, second].iter().any(|half| bytes.windows(half.len()).any(|part| part == *half))
    })
}

#[track_caller]
fn assert_nowhere(data: &Path, needles: &[Vec<u8>]) {
    for needle in needles {
        let place = place(data, needle);
        assert_eq!(place, None, "{:?} is there", String::from_utf8_lossy(needle));
    }
}

/// The keys that are live, as they lie in their file.
fn keys(data: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(data.join("keys/subjects")).unwrap();
    let slots = bytes.as_chunks::<64>().0.iter().skip(1);
    slots.filter(|slot| slot[0] == 1).map(|slot| slot[17..49].to_vec()).collect()
}

fn create(client: &Client, subject: &str) -> String {
    let attributes = json!({ "name": CANARY, "note": BASE64.join(" ") });
    let body = json!({ "subject": subject, "ttl_ms": 600_000, "attributes": attributes });
    client.post("/api/v1/sessions", &body).expect(201).text("id")
}

fn patch(client: &Client, id: &str, value: &Value) -> u16 {
    let body = json!({ "attributes": { "name": value } });
    client.try_json("PATCH", &format!("/api/v1/sessions/{id}"), &[], &body).unwrap().status
}

fn erase(client: &Client, subject: &str) -> Value {
    client.delete(&format!("/api/v1/subjects/{subject}")).expect(200).body
}

fn verify(data: &Path) -> i32 {
    run(["verify", "--data", data.to_str().unwrap()]).code
}

/// A start makes a checkpoint whenever it folds something.
fn configured(data: &Path) -> PathBuf {
    let file = data.with_extension("toml");
    fs::write(&file, "[limits]\ncheckpoint_events = 1\n").unwrap();
    file
}

#[test]
fn no_value_and_no_key_of_an_erased_subject_is_left_in_any_byte() {
    let scratch = tempdir().unwrap();
    let data = &scratch.path().join("data");
    let config = configured(data);
    let start = || Server::start_with(data, &["--config", config.to_str().unwrap()]);
    let server = start();
    let client = server.client();
    let (ids, other) = ([create(&client, "ann"), create(&client, "ann")], create(&client, "ben"));
    // Past the 64 events after which the state is kept, too.
    for n in 0..80 {
        let value = json!(format!("{CANARY} {n}"));
        assert_eq!(patch(&client, &ids[0], &value), 200);
    }
    let body = json!({ "owner": "worker", "ttl_ms": 600_000, "session": ids[0] });
    client.post("/api/v1/locks/room/acquire", &body).expect(200);
    server.kill();
    assert!(place(data, b"lock/room").is_some(), "what is not sealed is found");
    assert_nowhere(data, &needles());
    let before = keys(data);
    assert_eq!(before.len(), 2);

    let server = start();
    let client = server.client();
    let shown = client.get(&format!("/api/v1/sessions/{}", ids[0])).expect(200);
    assert_eq!(shown.body["attributes"]["name"], format!("{CANARY} 79"));
    assert_eq!(erase(&client, "ann")["sessions_ended"], 2);
    for id in &ids {
        client.get(&format!("/api/v1/sessions/{id}")).problem(404, "/problems/not-found");
        assert!([404, 410].contains(&patch(&client, id, &json!(1))));
    }
    until(10, "the lock to be free", || {
        (client.get("/api/v1/locks").expect(200).body["locks"] == json!([])).then_some(())
    });
    server.kill();
    let left = keys(data);
    assert_eq!(left.len(), 1);
    let gone: Vec<Vec<u8>> = before.into_iter().filter(|key| !left.contains(key)).collect();
    assert_nowhere(data, &[needles(), gone].concat());
    assert_eq!(verify(data), 0);

    for _ in 0..2 {
        let server = start();
        let client = server.client();
        let again = json!({ "subject": "ann", "ttl_ms": 600_000, "attributes": { "a": 1 } });
        let refused = client.post("/api/v1/sessions", &again);
        refused.problem(410, "/problems/subject-erased");
        let again = json!({ "subject": "ann", "ttl_ms": 600_000 });
        client.post("/api/v1/sessions", &again).problem(410, "/problems/subject-erased");
        client.delete("/api/v1/subjects/ann").problem(410, "/problems/subject-erased");
        let shown = client.get(&format!("/api/v1/sessions/{other}")).expect(200);
        assert_eq!(shown.body["attributes"]["name"], CANARY);
        assert!(server.stop().success());
        assert_nowhere(data, &needles());
        assert_eq!(verify(data), 0);
    }
}

#[test]
fn what_a_rust_service_sets_is_sealed_as_well() {
    let data = tempdir().unwrap();
    let mut config = Config::default();
    config.server.data = data.path().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stay = Mainstay::open(config).await.unwrap();
        let ttl = Duration::from_mins(10);
        let created = stay.sessions().create("ann", ttl).attribute("json", CANARY).await.unwrap();
        let mut patch = created.session.patch();
        for (number, needle) in needles().iter().enumerate() {
            patch = patch.set_bytes(number.to_string(), needle);
        }
        patch.await.unwrap();
        let view = created.session.get().await.unwrap();
        assert_eq!(view.bytes("1"), Some(&*needles()[1]));
        stay.close().await;
    });
    assert!(place(data.path(), b"json").is_some(), "names are not sealed");
    assert_nowhere(data.path(), &needles());
}

#[test]
fn whoever_creates_and_patches_while_a_subject_is_erased_leaves_nothing() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for round in 0..6 {
        let subject = format!("subject-{round}");
        let first = create(&client, &subject);
        let busy: Vec<_> = (0..4)
            .map(|n| {
                let (client, subject, first) = (server.client(), subject.clone(), first.clone());
                std::thread::spawn(move || {
                    let mut made = Vec::new();
                    for turn in 0..30 {
                        let body = json!({
                            "subject": subject, "ttl_ms": 600_000, "attributes": { "name": CANARY },
                        });
                        let answer = client.post("/api/v1/sessions", &body);
                        match answer.status {
                            201 => made.push(answer.text("id")),
                            _ => drop(answer.problem(410, "/problems/subject-erased")),
                        }
                        let of = if n % 2 == 0 { Some(&first) } else { made.last() };
                        let Some(of) = of else { continue };
                        let status = patch(&client, of, &json!(turn));
                        assert!([200, 404, 410].contains(&status), "{status}");
                    }
                    made
                })
            })
            .collect();
        erase(&client, &subject);
        let mut ids = vec![first];
        for it in busy {
            ids.extend(it.join().unwrap());
        }
        for id in ids {
            let path = format!("/api/v1/sessions/{id}");
            until(10, "a session to end", || (client.get(&path).status == 404).then_some(()));
        }
        let refused = client.delete(&format!("/api/v1/subjects/{subject}"));
        refused.problem(410, "/problems/subject-erased");
    }
    server.kill();
    assert_eq!(keys(data.path()).len(), 0);
    assert_nowhere(data.path(), &needles());
}

#[test]
fn a_held_subject_is_not_erased_until_the_hold_is_lifted() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let id = create(&client, "ann");
    let hold = |held| json!({ "held": held, "reason": "case 7" });
    let held = client.post("/api/v1/subjects/ann/hold", &hold(true)).expect(200);
    assert_eq!(held.body["hold"]["reason"], "case 7");
    let refused = client.delete("/api/v1/subjects/ann").problem(409, "/problems/subject-held");
    assert_eq!(refused["reason"], "case 7");
    client.get(&format!("/api/v1/sessions/{id}")).expect(200);
    client.post("/api/v1/subjects/ann/hold", &hold(false)).expect(200);
    erase(&client, "ann");
    let refused = client.post("/api/v1/subjects/ann/hold", &hold(true));
    refused.problem(410, "/problems/subject-erased");
}

#[test]
fn an_erasure_of_one_tenants_subject_leaves_another_tenants_alone() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    create(&client, "ann");
    let body = json!({ "tenant": "acme", "subject": "ann", "ttl_ms": 600_000,
                       "attributes": { "a": 1 } });
    let id = client.post("/api/v1/sessions", &body).expect(201).text("id");
    erase(&client, "ann");
    let shown = client.get(&format!("/api/v1/sessions/{id}?tenant=acme")).expect(200);
    assert_eq!(shown.body["attributes"], json!({ "a": 1 }));
}

#[test]
fn a_retried_erasure_under_a_key_gets_its_first_answer() {
    let data = tempdir().unwrap();
    let mut server = Server::start(data.path());
    create(&server.client(), "ann");
    let mut first = None;
    for _ in 0..2 {
        let headers = [("idempotency-key", "e1")];
        let erased = server.client().try_send("DELETE", "/api/v1/subjects/ann", &headers, None);
        let body = erased.unwrap().expect(200).body;
        assert_eq!((&body["sessions_ended"], &body["subject"]), (&json!(1), &json!("ann")));
        assert_eq!(*first.get_or_insert(body.clone()), body);
        server.kill();
        server = Server::start(data.path());
    }
}

#[test]
fn without_its_key_a_session_lives_can_be_ended_and_takes_new_values() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let (one, two) = (create(&client, "ann"), create(&client, "ann"));
    assert!(server.stop().success());
    fs::remove_file(data.path().join("keys/subjects")).unwrap();

    let server = Server::start(data.path());
    let client = server.client();
    let path = |id: &str| format!("/api/v1/sessions/{id}");
    let problem = client.get(&path(&one)).problem(500, "/problems/subject-key-missing");
    assert!(problem["detail"].as_str().unwrap().contains("name, note"), "{problem}");
    client.get("/api/v1/sessions?subject=ann").problem(500, "/problems/subject-key-missing");
    client.delete(&path(&two)).expect(200);
    assert_eq!(patch(&client, &one, &json!("anew")), 200);
    let problem = client.get(&path(&one)).problem(500, "/problems/subject-key-missing");
    assert!(problem["detail"].as_str().unwrap().contains("sealed note"), "{problem}");
    let rest = json!({ "attributes": { "note": [1] } });
    client.try_json("PATCH", &path(&one), &[], &rest).unwrap().expect(200);
    let shown = client.get(&path(&one)).expect(200);
    assert_eq!(shown.body["attributes"], json!({ "name": "anew", "note": [1] }));
}

#[test]
fn keys_that_others_may_read_keep_the_server_from_starting() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempdir().unwrap();
    create(&Server::start(data.path()).client(), "ann");
    let path = data.path().join("keys/subjects");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = run(["serve", "--listen", "127.0.0.1:0", "--data", data.path().to_str().unwrap()]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
}
