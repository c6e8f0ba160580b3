//! What is held about somebody: read, put right.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mainstay::{Config, Mainstay};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, run};

fn create(client: &Client, subject: &str, attributes: &Value) -> String {
    let body = json!({ "subject": subject, "ttl_ms": 600_000, "attributes": attributes });
    client.post("/api/v1/sessions", &body).expect(201).text("id")
}

fn export(client: &Client, subject: &str) -> Value {
    client.get(&format!("/api/v1/subjects/{subject}/export")).expect(200).body
}

fn types(history: &Value) -> Vec<&str> {
    history.as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect()
}

#[test]
fn an_export_holds_everything_about_a_subject_opened_and_who_read_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let id = create(&client, "ann", &json!({ "name": "Ann", "cart": [1, 2.5] }));
    let ended = create(&client, "ann", &json!({ "name": "before" }));
    create(&client, "ben", &json!({ "name": "another's" }));
    let patch = json!({ "attributes": { "name": "Anne", "cart": null } });
    client.patch(&format!("/api/v1/sessions/{id}"), &patch).expect(200);
    client.delete(&format!("/api/v1/sessions/{ended}")).expect(200);
    let consent = json!({ "consent": "mail", "granted": true, "text_version": "v1" });
    client.post("/api/v1/subjects/ann/consents", &consent).expect(200);

    let first = export(&client, "ann");
    assert_eq!((&first["format"], &first["subject"]), (&json!(1), &json!("ann")));
    let sessions = first["data"]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["id"], id);
    assert_eq!(sessions[0]["attributes"], json!({ "name": "Anne" }));
    assert_eq!((&sessions[0]["revision"], &sessions[0]["ttl_ms"]), (&json!(2), &json!(600_000)));
    let consents = first["data"]["consents"].as_array().unwrap();
    assert_eq!((&consents[0]["consent"], &consents[0]["by"]), (&json!("mail"), &json!("local")));
    let history = &first["history"];
    assert_eq!(
        types(history),
        [
            "SessionCreated",
            "SessionCreated",
            "SessionPatched",
            "SessionEnded",
            "ConsentRecorded",
            "SubjectExported"
        ]
    );
    assert_eq!(history[0]["data"]["attributes"]["cart"]["value"], json!([1, 2.5]));
    assert_eq!(history[1]["data"]["attributes"]["name"]["value"], "before");
    assert_eq!(history[2]["data"]["changes"]["name"]["value"], "Anne");
    assert_eq!(history[2]["data"]["changes"]["cart"], json!(null));
    assert!(!first.to_string().contains("another's"));

    let second = export(&client, "ann");
    assert_eq!(second["data"], first["data"], "reading changes nothing");
    let reads = second["reads"].as_array().unwrap();
    assert_eq!(reads.len(), 2);
    assert_eq!((&reads[0], &reads[0]["by"]), (&first["reads"][0], &json!("local")));
    assert_eq!(second["exported_at"], reads[1]["at"]);
    // Elsewhere the same values are lengths.
    let events = client.get("/api/v1/events?limit=1000").expect(200).body.to_string();
    assert!(!events.contains("Anne"), "{events}");
}

#[test]
fn an_export_of_nobody_is_empty_and_of_an_erased_subject_gone() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let nobody = export(&client, "nobody");
    assert_eq!(nobody["data"], json!({ "sessions": [], "consents": [] }));
    assert_eq!(types(&nobody["history"]), ["SubjectExported"]);
    let personal = client.get("/api/v1/subjects/ann%40example.org/export");
    personal.problem(400, "/problems/bad-request");
    let id = create(&client, "ann", &json!({ "name": "Ann" }));
    client.delete("/api/v1/subjects/ann").expect(200);
    let gone = client.get("/api/v1/subjects/ann/export");
    gone.problem(410, "/problems/subject-erased");
    let patch = client.patch("/api/v1/subjects/ann", &json!({ "attributes": { "name": 1 } }));
    patch.problem(410, "/problems/subject-erased");
    client.get(&format!("/api/v1/sessions/{id}")).expect(404);
}

#[test]
fn what_no_key_opens_is_named_in_an_export_and_what_is_no_json_comes_as_base64() {
    let data = tempdir().unwrap();
    let mut config = Config::default();
    config.server.data = data.path().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stay = Mainstay::open(config).await.unwrap();
        let ttl = std::time::Duration::from_mins(10);
        stay.sessions().create("ann", ttl).bytes("raw", b"\xff\xfe").await.unwrap();
        stay.close().await;
    });
    let server = Server::start(data.path());
    let told = export(&server.client(), "ann");
    assert_eq!(told["data"]["sessions"][0]["bytes"], json!({ "raw": "//4=" }));
    assert_eq!(told["history"][0]["data"]["attributes"]["raw"]["base64"], "//4=");
    assert!(server.stop().success());
    fs::remove_file(data.path().join("keys/subjects")).unwrap();
    let server = Server::start(data.path());
    let told = export(&server.client(), "ann");
    assert_eq!(told["data"]["sessions"][0]["unreadable"], json!(["raw"]));
    assert_eq!(told["history"][0]["data"]["attributes"]["raw"], json!({ "size_bytes": 2 }));
}

#[test]
fn an_attribute_is_put_right_in_each_live_session_that_has_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let one = create(&client, "ann", &json!({ "name": "Amn", "old": 1, "cart": [1] }));
    let two = create(&client, "ann", &json!({ "name": "Amn" }));
    let without = create(&client, "ann", &json!({ "cart": [2] }));
    let others = create(&client, "ben", &json!({ "name": "Amn" }));
    let ended = create(&client, "ann", &json!({ "name": "Amn" }));
    client.delete(&format!("/api/v1/sessions/{ended}")).expect(200);
    let body = json!({ "attributes": { "name": "Ann", "old": null, "unheard": 1 } });
    let rectify = || {
        let headers = [("idempotency-key", "r1")];
        let answer = client.try_json("PATCH", "/api/v1/subjects/ann", &headers, &body);
        answer.unwrap().expect(200).body
    };
    let told = rectify();
    let changed = told["sessions"].as_array().unwrap();
    let names = |id: &str| {
        let session = changed.iter().find(|it| it["id"] == id)?;
        Some((session["names"].clone(), session["revision"].clone()))
    };
    assert_eq!(names(&one), Some((json!(["name", "old"]), json!(2))));
    assert_eq!(names(&two), Some((json!(["name"]), json!(2))));
    assert_eq!((changed.len(), &told["refused"]), (2, &json!([])));
    let attributes = |id: &str| {
        client.get(&format!("/api/v1/sessions/{id}")).expect(200).body["attributes"].clone()
    };
    assert_eq!(attributes(&one), json!({ "name": "Ann", "cart": [1] }));
    assert_eq!(attributes(&two), json!({ "name": "Ann" }));
    assert_eq!(attributes(&without), json!({ "cart": [2] }));
    assert_eq!(attributes(&others), json!({ "name": "Amn" }));
    let told = export(&client, "ann");
    let recorded = told["history"].as_array().unwrap();
    let recorded = recorded.iter().find(|it| it["type"] == "SubjectRectified").unwrap();
    assert_eq!(recorded["data"]["names"], json!(["name", "old", "unheard"]));
    assert_eq!(recorded["data"]["sessions"], 2);
    // Again under its key it changes nothing twice.
    assert_eq!(rectify()["sessions"].as_array().unwrap().len(), 2);
    let again = export(&client, "ann");
    assert_eq!(again["data"], told["data"]);
    let mut rectified = types(&again["history"]);
    rectified.retain(|it| *it == "SubjectRectified");
    assert_eq!(rectified.len(), 1);
}

#[test]
fn a_rectification_that_a_session_cannot_hold_says_which() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let full = create(&client, "ann", &json!({ "name": "a", "rest": "r".repeat(16_000) }));
    let small = create(&client, "ann", &json!({ "name": "a" }));
    let body = json!({ "attributes": { "name": "b".repeat(1_000) } });
    let told = client.patch("/api/v1/subjects/ann", &body).expect(200).body;
    assert_eq!(
        (&told["sessions"][0]["id"], &told["refused"][0]["id"]),
        (&json!(small), &json!(full))
    );
    for wrong in [json!({}), json!({ "name": "b".repeat(17_000) }), json!({ "": 1 })] {
        let body = json!({ "attributes": wrong });
        let refused = client.patch("/api/v1/subjects/ann", &body);
        refused.problem(400, "/problems/bad-request");
    }
}

#[test]
fn the_command_line_writes_an_export_down_and_erases_only_when_told_to() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let id = create(&client, "ann/7", &json!({ "name": "Ann" }));
    let hold = |held| json!({ "held": held, "reason": "case 7" });
    client.post("/api/v1/subjects/ann%2F7/hold", &hold(true)).expect(200);
    let url = format!("http://{}", server.address());
    let subject = |arguments: &[&str]| {
        let (verb, rest) = arguments.split_first().unwrap();
        run([&["subject", verb, "ann/7", "--server", &url], rest].concat())
    };
    let file = data.path().join("ann.json");
    let path = file.to_str().unwrap();
    let told = subject(&["export", "--out", path]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.starts_with("1 live sessions and 3 events are in "), "{}", told.stdout);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(document["data"]["sessions"][0]["attributes"]["name"], "Ann");
    let taken = subject(&["export", "--out", path]);
    assert_eq!((taken.code, taken.stderr.contains("does not exist")), (2, true));
    let shown: Value = serde_json::from_str(&subject(&["export"]).stdout).unwrap();
    assert_eq!(shown["data"], document["data"]);

    let dry = subject(&["erase", "--dry-run"]);
    for line in ["ann/7 of default would be erased", "end: 1", "refused: case 7", "nothing was"] {
        assert!(dry.stdout.contains(line), "{line}: {}", dry.stdout);
    }
    let dry: Value =
        serde_json::from_str(&subject(&["erase", "--dry-run", "--json"]).stdout).unwrap();
    assert_eq!((&dry["live_sessions"], &dry["hold"]["reason"]), (&json!(1), &json!("case 7")));
    assert_eq!(subject(&["erase"]).code, 2);
    let held = subject(&["erase", "--yes"]);
    assert_eq!((held.code, held.stderr.contains("lift the hold")), (1, true), "{}", held.stderr);
    client.get(&format!("/api/v1/sessions/{id}")).expect(200);
    client.post("/api/v1/subjects/ann%2F7/hold", &hold(false)).expect(200);
    let erased = subject(&["erase", "--yes"]);
    assert_eq!(erased.code, 0, "{}", erased.stderr);
    assert!(erased.stdout.contains("sessions that ended: 1"), "{}", erased.stdout);
    client.get(&format!("/api/v1/sessions/{id}")).expect(404);
    let gone = subject(&["export"]);
    assert_eq!((gone.code, gone.stderr.contains("was erased")), (2, true), "{}", gone.stderr);
}

#[test]
fn what_one_server_exports_another_imports_and_exports_the_same() {
    let (here, there) = (tempdir().unwrap(), tempdir().unwrap());
    let (here, there) = (Server::start(here.path()), Server::start(there.path()));
    let (here, there) = (here.client(), there.client());
    let one = create(&here, "ann", &json!({ "name": "Zo\u{eb}", "cart": [1, 2.5, {"a": null}] }));
    let patch = json!({ "attributes": { "name": "Zo\u{eb} B", "new": "" } });
    here.patch(&format!("/api/v1/sessions/{one}"), &patch).expect(200);
    let aged = json!({ "subject": "ann", "ttl_ms": 600_000, "max_age_ms": 900_000 });
    here.post("/api/v1/sessions", &aged).expect(201);
    for granted in [true, false] {
        let consent = json!({ "consent": "mail", "granted": granted, "text_version": "v1" });
        here.post("/api/v1/subjects/ann/consents", &consent).expect(200);
    }
    let document = export(&here, "ann");
    let import = |body: &Value| there.post_as("i1", "/api/v1/subjects", body);
    let told = import(&document).expect(201).body;
    assert_eq!((&told["sessions"], &told["consents"]), (&json!(2), &json!(1)));
    let moved = export(&there, "ann");
    assert_eq!(moved["data"], document["data"]);
    // It lives: it is patched, listed, ended, erased like any other.
    let path = format!("/api/v1/sessions/{one}");
    let shown = there.get(&path).expect(200);
    assert_eq!(shown.header("etag"), Some("\"2\""));
    there.patch(&path, &json!({ "attributes": { "name": "C" } })).expect(200);
    let listed = there.get("/api/v1/sessions?subject=ann").expect(200).body;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    // Under its key it is the same import; under another there is something already.
    import(&document).expect(201);
    let again = there.post("/api/v1/subjects", &document);
    again.problem(409, "/problems/subject-exists");
    let erased = there.delete("/api/v1/subjects/ann").expect(200).body;
    assert_eq!(erased["sessions_ended"], 2);
    there.get(&path).expect(404);
    let again = there.post("/api/v1/subjects", &document);
    again.problem(410, "/problems/subject-erased");
}

/// Makes something wrong.
type Spoil = fn(&mut Value);

#[test]
fn a_document_that_is_not_sound_imports_nothing() {
    let (here, there) = (tempdir().unwrap(), tempdir().unwrap());
    let (here, there) = (Server::start(here.path()), Server::start(there.path()));
    let (here, there) = (here.client(), there.client());
    create(&here, "ann", &json!({ "name": "Ann" }));
    create(&here, "ann", &json!({ "name": "Ann" }));
    let document = export(&here, "ann");
    let twice = document["data"]["sessions"][0].clone();
    let spoiled: [(&str, Spoil); 9] = [
        ("format", |it| it["format"] = json!(2)),
        ("subject", |it| it["subject"] = json!("ann@example.org")),
        ("", |it| it["data"]["more"] = json!(1)),
        ("", |it| it["data"] = json!([[], []])),
        ("sessions", |it| it["data"]["sessions"][1]["unreadable"] = json!(["name"])),
        ("sessions", |it| it["data"]["sessions"][1]["bytes"] = json!({ "b": "no base64!" })),
        ("active_at", |it| {
            it["data"]["sessions"][1]["active_at"] = json!("2100-01-01T00:00:00Z");
        }),
        ("ttl_ms", |it| it["data"]["sessions"][1]["ttl_ms"] = json!(1)),
        ("attributes", |it| {
            it["data"]["sessions"][1]["attributes"]["name"] = json!("n".repeat(17_000));
        }),
    ];
    for (field, spoil) in spoiled {
        let mut wrong = document.clone();
        spoil(&mut wrong);
        let refused = there.post("/api/v1/subjects", &wrong);
        let problem = refused.problem(400, "/problems/bad-request");
        assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{problem}");
    }
    let mut wrong = document.clone();
    wrong["data"]["sessions"][1] = twice;
    there.post("/api/v1/subjects", &wrong).problem(400, "/problems/bad-request");
    // An id that is another's here.
    let mut other = document.clone();
    other["subject"] = json!("ben");
    here.post("/api/v1/subjects", &other).problem(409, "/problems/session-exists");
    for subject in ["ann", "ben"] {
        let path = format!("/api/v1/subjects/{subject}/export");
        assert_eq!(there.get(&path).expect(200).body["data"]["sessions"], json!([]));
    }
    // A document is larger than what others may send.
    let mut large = document;
    large["history"] = json!("h".repeat(1 << 20));
    there.post("/api/v1/subjects", &large).expect(201);
}
