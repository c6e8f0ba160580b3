//! Preflight, attestations and the gate, on the built program.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use mainstay::actors::machine::Machine as _;
use mainstay::actors::system::{System, SystemCommand};
use mainstay::journal::StreamId;
use mainstay::{Config, Mainstay};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Client, Ended, Server, files, run, run_with, until};

const ATTESTATIONS: &str = "/api/v1/attestations";
const GATE: &str = "/api/v1/gate/launch";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

/// Ids of what does not pass; critical ones only, if asked for.
fn missed(answer: &Value, critical: bool) -> Vec<String> {
    let items = answer["missed"].as_array().unwrap().iter();
    let wanted = items.filter(|it| !critical || it["severity"] == "critical");
    wanted.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_fresh_server_is_no_go_with_reasons_by_itself_and_by_its_files() {
    let data = tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--demo"]);
    let url = format!("http://{}", server.address());
    let told = server.client().get(GATE).expect(200).body;
    assert_eq!(told["decision"], "no-go");
    let reasons = told["reasons"].to_string();
    for part in ["of the critical items", "smoke report", "load report", "good drill"] {
        assert!(reasons.contains(part), "{reasons}");
    }
    let missed = missed(&told, true);
    for id in ["security.sealed-at-rest", "access.admin", "documents.sign-off-legal"] {
        assert!(missed.iter().any(|it| it == id), "{missed:?}");
    }
    let by_itself = run(["gate", "launch", "--json", "--server", &url]);
    let by_files = run(["gate", "launch", "--json", "--server", &url, "--data", text(data.path())]);
    for ended in [by_itself, by_files] {
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(ended.stderr, "mainstay: no-go\n");
        assert_eq!(document(&ended)["decision"], "no-go");
    }
    let report = run(["preflight", "--server", &url, "--data", text(data.path())]);
    assert_eq!(report.code, 1, "{report:?}");
    assert!(report.stderr.contains("critical items that do not pass: "), "{report:?}");
    assert!(report.stdout.contains("access.admin"), "{report:?}");
}

/// A service that is as it should be, as far as this machine lets it.
struct Service {
    folder: TempDir,
    config: PathBuf,
    data: PathBuf,
    admin: PathBuf,
}

impl Service {
    fn new(probe: &str) -> Self {
        let folder = tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (config, data, key_file) = (at("mainstay.toml"), at("data"), at("journal.key"));
        let made = run(["journal-key", "create", text(&key_file)]);
        assert_eq!(made.code, 0, "{made:?}");
        let written = format!(
            "[server]\ndata = {data:?}\nlisten = \"127.0.0.1:17070\"\n\
             [access]\nkeys = \"required\"\n\
             [journal]\nkey_file = {key_file:?}\n\
             [limits]\nconnections = 64\nresidents = 1000\n\
             [[dependency]]\nname = \"database\"\nweight = 30\ncritical = true\n\
             probe = \"tcp://{probe}\"\nevery = \"100ms\"\ntimeout = \"100ms\"\n\
             [dependency.breaker]\nminimum_calls = 5\nslow_call = \"50ms\"\n"
        );
        fs::write(&config, written).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let admin = at("ann.key");
        let service = Self { folder, config, data, admin };
        for (name, role) in
            [("ann", "admin"), ("ben", "admin"), ("booking", "operator"), ("scraper", "viewer")]
        {
            let out = service.folder.path().join(format!("{name}.key"));
            let create = ["keys", "create", name, "--role", role, "--out", text(&out), "--data"];
            let more = [text(&service.data), "--journal-key", text(&key_file)];
            let made = run(create.into_iter().chain(more));
            assert_eq!(made.code, 0, "{made:?}");
        }
        fs::set_permissions(&service.data, fs::Permissions::from_mode(0o750)).unwrap();
        service
    }

    /// Beside its witness, which lies on the same disk.
    fn start(&self) -> Server {
        let witness = self.folder.path().join("witness");
        let more = ["--config", text(&self.config), "--witness", text(&witness)];
        Server::start_with(&self.data, &more)
    }

    fn client(&self, server: &Server) -> Client {
        let key = fs::read_to_string(&self.admin).unwrap();
        server.client().with("x-api-key", key.trim())
    }

    /// Runs the program as who has the admin's key.
    fn run(&self, arguments: &[&str]) -> Ended {
        run_with(&[("MAINSTAY_KEY_FILE", text(&self.admin))], arguments)
    }
}

/// Backups and drills are another matter: all else is decided by what is here.
#[test]
fn with_everything_configured_and_attested_only_backups_are_missed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let probe = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let service = Service::new(&probe);
    let server = service.start();
    let client = service.client(&server);
    let items = client.get(ATTESTATIONS).expect(200).body["attestations"].clone();
    let items = items.as_array().unwrap();
    assert!(items.len() > 30, "{items:?}");
    for item in items {
        assert!(item["attestation"].is_null(), "{item}");
        let body = json!({ "item": item["item"], "evidence": "https://wiki.example/launch" });
        let answer = client.post(ATTESTATIONS, &body).expect(200).body;
        assert_eq!(answer["attestation"]["by"], "key:ann");
        assert_eq!(answer["void"], Value::Null);
    }
    // The probes are told once in ten seconds.
    let told = until(40, "a score of the database", || {
        let told = client.get(GATE).expect(200).body;
        let waits = missed(&told, true).iter().any(|it| it.starts_with("dependencies."));
        (!waits).then_some(told)
    });
    let critical = missed(&told, true);
    assert!(critical.iter().all(|it| it.starts_with("backups.")), "{told:#}");
    assert_eq!(critical.len(), 10, "{critical:?}");
    // It knows the files that it was started with.
    let items = told["missed"].as_array().unwrap();
    let witness = items.iter().find(|it| it["id"] == "journal.witness").unwrap();
    let evidence = witness["evidence"].as_str().unwrap();
    assert!(evidence.contains("/witness is on the journal's own disk"), "{witness}");
    assert!(!missed(&told, false).contains(&"configuration.file-named".to_owned()));
    let needs = told["needs"].as_array().unwrap();
    let unmet: Vec<_> = needs.iter().filter(|need| need["met"] == false).collect();
    assert_eq!(unmet.len(), 1, "{needs:?}");
    assert_eq!(unmet[0]["what"], "good drill of the last 31 days");
    // The command line finds the same by the files and over HTTP.
    let url = format!("http://{}", server.address());
    let from = ["--config", text(&service.config), "--server", &url];
    let gate = service.run(&[&["gate", "launch", "--json"], &from[..]].concat());
    assert_eq!(missed(&document(&gate), true), critical);
    let one = |more: &[&str]| service.run(&[&["preflight"], more, &from[..]].concat());
    let documents = one(&["--category", "documents", "--strict"]);
    assert_eq!((documents.code, &*documents.stderr), (0, ""), "{documents:?}");
    assert!(documents.stdout.starts_with("documents: 15 of 15 pass\n"), "{documents:?}");
    let access = one(&["--category", "access", "--category", "dependencies", "--strict"]);
    assert_eq!(access.code, 0, "{access:?}");
    let backups = one(&["--only", "backups.configured", "--json"]);
    assert_eq!(backups.code, 1, "{backups:?}");
    assert_eq!(document(&backups)["items"][0]["verdict"], "fail");
}

#[test]
fn an_attestation_expires_is_withdrawn_and_says_who_made_it() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let url = format!("http://{}", server.address());
    let stands = |item: &str| {
        let all = client.get(ATTESTATIONS).expect(200).body["attestations"].clone();
        all.as_array().unwrap().iter().find(|it| it["item"] == item).unwrap().clone()
    };
    let short = json!({ "item": "documents.on-call", "evidence": "https://a/1", "for_ms": 300 });
    client.post(ATTESTATIONS, &short).expect(200);
    until(10, "the end of the attestation", || {
        let void = stands("documents.on-call")["void"].as_str()?.to_owned();
        void.starts_with("it expired at ").then_some(())
    });
    let only = ["--only", "documents.on-call", "--data", text(data.path()), "--json"];
    let report = document(&run([&["preflight"], &only[..]].concat()));
    assert_eq!(report["items"][0]["verdict"], "fail");
    assert!(report["items"][0]["evidence"].as_str().unwrap().starts_with("it expired at "));
    let evidence = "https://wiki.example/2";
    let again = ["attest", "documents.on-call", "--evidence", evidence, "--server", &url];
    let ended = run(again);
    assert_eq!(ended.code, 0, "{ended:?}");
    let now = stands("documents.on-call");
    assert_eq!((&now["void"], &now["attestation"]["evidence"]), (&Value::Null, &json!(evidence)));
    assert_eq!(now["attestation"]["by"], "local");
    let listed = run(["attest", "--list", "--server", &url]);
    assert!(listed.stdout.contains(evidence), "{listed:?}");
    let withdraw = ["attest", "documents.on-call", "--withdraw", "--server", &url];
    assert_eq!(run(withdraw).code, 0);
    assert!(stands("documents.on-call")["attestation"].is_null());
    let again = run(withdraw);
    assert_eq!((again.code, again.stderr.contains("is not attested")), (1, true), "{again:?}");
}

#[tokio::test]
async fn an_attestation_is_void_for_another_release_also_after_a_restart() {
    let data = tempdir().unwrap();
    let mut config = Config::default();
    config.server.data = data.path().to_owned();
    let stay = Mainstay::open(config).await.unwrap();
    let stream = StreamId::new(System::KIND, "attestations").unwrap();
    for (item, release) in
        [("documents.runbooks", "0.0.9"), ("documents.on-call", env!("CARGO_PKG_VERSION"))]
    {
        let command = SystemCommand::Attest {
            item: item.to_owned(),
            evidence: "https://wiki.example/1".to_owned(),
            release: release.to_owned(),
            for_ms: 3_600_000,
        };
        let meta = mainstay::actors::host::Meta::of(&std::sync::Arc::from("test"));
        stay.host().ask::<System>(stream.clone(), command, meta).await.unwrap();
    }
    stay.close().await;
    let both = ["--only", "documents.runbooks", "--only", "documents.on-call"];
    let more = ["--json", "--data", text(data.path())];
    let report = document(&run([&["preflight"], &both[..], &more[..]].concat()));
    let told = |at: usize| {
        let item = &report["items"][at];
        (item["verdict"].as_str().unwrap(), item["evidence"].as_str().unwrap().to_owned())
    };
    let (verdict, evidence) = told(0);
    assert_eq!(verdict, "fail");
    assert!(evidence.starts_with("it is for release 0.0.9, and this is"), "{evidence}");
    let (verdict, evidence) = told(1);
    assert_eq!(verdict, "pass");
    assert!(evidence.starts_with("test, "), "{evidence}");
    // Both come back with the fold.
    let server = Server::start(data.path());
    let all = server.client().get(ATTESTATIONS).expect(200).body;
    let attested = all["attestations"].as_array().unwrap().iter();
    let attested = attested.filter(|it| it["attestation"].is_object());
    let void: Vec<bool> = attested.map(|it| it["void"].is_string()).collect();
    assert_eq!(void, [true, false]);
}

#[test]
fn what_cannot_be_attested_is_refused_with_the_way_out_and_leaves_no_event() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let url = "https://wiki.example/1";
    for (body, field, told) in [
        (json!({ "item": "documents.runbok", "evidence": url }), "item", "documents.runbooks"),
        (json!({ "item": "journal.whole", "evidence": url }), "item", "decided by the machine"),
        (json!({ "item": "journal.whole", "withdraw": true }), "item", "decided by the machine"),
        (json!({ "item": "documents.runbooks" }), "evidence", "a URL"),
        (json!({ "item": "documents.runbooks", "evidence": "wiki" }), "evidence", "a URL"),
        (
            json!({ "item": "documents.runbooks", "evidence": "https://ann:pw@wiki.example" }),
            "evidence",
            "without credentials",
        ),
        (
            json!({ "item": "budgets.smoke-report", "evidence": url, "for_ms": 86_400_001 }),
            "for_ms",
            "at most 1 day",
        ),
        (
            json!({ "item": "documents.runbooks", "evidence": url, "withdraw": true }),
            "withdraw",
            "has no evidence",
        ),
    ] {
        let problem = client.post(ATTESTATIONS, &body).problem(400, "/problems/bad-request");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    let none = json!({ "item": "documents.runbooks", "withdraw": true });
    client.post(ATTESTATIONS, &none).problem(404, "/problems/not-found");
    // Asked twice under one key, attested once.
    let body = json!({ "item": "documents.runbooks", "evidence": url });
    let first = client.post_as("k", ATTESTATIONS, &body).expect(200).body;
    let again = client.post_as("k", ATTESTATIONS, &body).expect(200).body;
    assert_eq!(first["attestation"], again["attestation"]);
    let events = client.get("/api/v1/events?type=Attested,AttestationWithdrawn").expect(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 1, "{}", events.body);
}

/// The server has read that segment at its start and looks at its files anew; who reads the files alone
/// does not get that far.
#[test]
fn a_byte_that_changed_in_a_segment_is_found_by_the_server_and_by_the_files() {
    let data = tempdir().unwrap();
    let only = |id| ["preflight", "--only", id, "--data", text(data.path()), "--json"];
    let server = Server::start(data.path());
    let client = server.client();
    for number in 0..100 {
        let path = format!("/api/v1/locks/room-{number}/acquire");
        client.post(&path, &json!({ "owner": "ann", "ttl_ms": 60_000 })).expect(200);
    }
    let whole = run(only("journal.whole"));
    assert_eq!(document(&whole)["items"][0]["verdict"], "pass", "{whole:?}");
    let told = client.get(GATE).expect(200).body;
    assert!(!missed(&told, true).contains(&"journal.whole".to_owned()), "{told}");
    let segments = files(&data.path().join("segments"));
    let segment = segments.iter().find(|it| it.extension().is_some_and(|it| it == "seg")).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 2_000).unwrap();
    let told = client.get(GATE).expect(200).body;
    let items = told["missed"].as_array().unwrap();
    let item = items.iter().find(|it| it["id"] == "journal.whole").unwrap();
    assert_eq!(item["verdict"], "fail");
    assert!(item["evidence"].as_str().unwrap().starts_with("position "), "{item}");
    let opens = run(only("journal.opens"));
    assert_eq!((opens.code, &document(&opens)["items"][0]["verdict"]), (1, &json!("fail")));
}
