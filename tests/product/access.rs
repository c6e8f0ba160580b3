//! Keys and roles, on a server that needs keys.

mod tenants;
mod tricks;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Answer, Client, Feed, Server, files, run, run_under, until};

const ROLES: [&str; 4] = ["viewer", "operator", "supervisor", "admin"];

/// A server that needs keys, and an admin's.
struct Guarded {
    data: TempDir,
    server: Server,
    admin: String,
}

impl Guarded {
    fn start() -> Self {
        let data = tempdir().unwrap();
        let made = run(["keys", "create", "root", "--role", "admin", "--data", text(data.path())]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        let server = serve(data.path());
        Self { data, server, admin: made.stdout.trim().to_owned() }
    }

    fn make(&self, body: &Value) -> String {
        let made = self.as_who(&self.admin).post("/api/v1/keys", body);
        made.expect(201).text("key")
    }

    fn key(&self, name: &str, role: &str, tenant: Option<&str>) -> String {
        let mut body = json!({ "name": name, "role": role });
        if let Some(tenant) = tenant {
            body["tenant"] = json!(tenant);
        }
        self.make(&body)
    }

    fn as_who(&self, key: &str) -> Client {
        self.server.client().with("x-api-key", key)
    }

    /// Types and reasons of the events of a key.
    fn story(&self, name: &str) -> Vec<String> {
        let path = format!("/api/v1/events?stream=key/{name}");
        let events = self.as_who(&self.admin).get(&path).expect(200).body["events"].clone();
        let told = |event: &Value| match event["data"]["because"].as_str() {
            Some(because) => format!("{} {because}", event["type"].as_str().unwrap()),
            None => event["type"].as_str().unwrap().to_owned(),
        };
        events.as_array().unwrap().iter().map(told).collect()
    }
}

fn serve(data: &Path) -> Server {
    Server::start_under(data, &[("MAINSTAY__ACCESS__KEYS", "required")])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn kind(answer: &Answer) -> &str {
    answer.body["type"].as_str().unwrap_or_default()
}

/// The rows of the page: method, path and six cells.
pub(crate) fn matrix() -> Vec<(String, String, Vec<String>)> {
    let rows = include_str!("../../docs/access.md").lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?.strip_suffix(" |")?;
        let (route, cells) = row.split_once("` | ")?;
        let (method, path) = route.split_once(' ')?;
        let cells = cells.split(" | ").map(str::to_owned).collect();
        path.starts_with('/').then(|| (method.to_owned(), path.to_owned(), cells))
    });
    rows.collect()
}

/// A path with something in its places. Of the tenant `acme`, where that matters.
pub(crate) fn filled(path: &str) -> String {
    path.replace("/locks/{name}", "/locks/acme:nothing")
        .replace("/streams/{kind}/{id:.*}", "/streams/session/acme/nothing")
        .replace("/problems/{kind}", "/problems/busy")
        .replace("{file:.*}", "index.html")
        .replace("{position}", "1")
        .replace("{id}", "nothing")
        .replace("{name}", "nothing")
}

#[test]
fn every_cell_of_the_matrix_holds() {
    let guarded = Guarded::start();
    let mut keys: Vec<(usize, Option<String>)> = vec![(0, None)];
    for (column, role) in ROLES.iter().enumerate() {
        keys.push((column + 1, Some(guarded.key(&format!("all-{role}"), role, None))));
    }
    // The last column, of each role: what a tenant's key may at most.
    let of_tenant: Vec<(usize, String)> = ROLES
        .iter()
        .enumerate()
        .map(|(at, role)| (at + 1, guarded.key(&format!("acme-{role}"), role, Some("acme"))))
        .collect();
    let rows = matrix();
    assert!(rows.len() > 30, "the table has moved");
    let mut asked = 0;
    for (method, path, cells) in rows {
        let may = |column: usize| cells[column] == "yes";
        let path = filled(&path);
        let ask = |key: Option<&str>| {
            let client = guarded.server.client();
            let client = key.map_or(client.clone(), |key| client.with("x-api-key", key));
            // Who is let in gets another refusal, or an answer.
            client.status_of(&method, &path)
        };
        for (column, key) in &keys {
            let status = ask(key.as_deref());
            let expected = if *column == 0 { 401 } else { 403 };
            assert_eq!(!may(*column), status == expected, "{method} {path} {column}: {status}");
            assert!(may(*column) || status == expected, "{method} {path} {column}: {status}");
            asked += 1;
        }
        for (column, key) in &of_tenant {
            let let_in = may(*column) && cells[5] != "no";
            let status = ask(Some(key));
            assert_eq!(let_in, status != 403, "{method} {path} of acme, {column}: {status}");
            asked += 1;
        }
    }
    assert!(asked > 300, "{asked}");
}

#[test]
fn keys_that_are_not_good_are_401_alike_and_a_known_one_leaves_a_trace() {
    let guarded = Guarded::start();
    let good = guarded.key("good", "viewer", None);
    let short = guarded.make(&json!({ "name": "short", "role": "viewer", "life_ms": 1_000 }));
    let revoked = guarded.key("revoked", "viewer", None);
    let admin = guarded.as_who(&guarded.admin);
    admin.post("/api/v1/keys/revoked/revoke", &json!({ "reason": "lost" })).expect(200);
    let other = Guarded::start();
    let foreign = other.key("good", "admin", None);
    until(10, "the key to expire", || {
        (guarded.as_who(&short).get("/api/v1/health").status == 401).then_some(())
    });
    let wrong = format!("{}{}", &good[..good.len() - 4], "0000");
    let refused = [
        ("malformed", "mainstay_"),
        ("empty", ""),
        ("not ascii", "mainstay_good_\u{fc}"),
        ("unknown", &format!("mainstay_nobody_{}", "0".repeat(64))),
        ("wrong", &wrong),
        ("foreign", &foreign),
        ("expired", &short),
        ("revoked", &revoked),
    ];
    let mut bodies = BTreeMap::new();
    for (what, key) in refused {
        let answer = guarded.as_who(key).get("/api/v1/health");
        assert_eq!((answer.status, kind(&answer)), (401, "/problems/unauthorized"), "{what}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"mainstay\"");
        bodies.insert(answer.body.to_string(), what);
    }
    assert_eq!(bodies.len(), 1, "the answers tell keys apart: {bodies:?}");
    guarded.as_who(&good).get("/api/v1/health").expect(200);
    let traced = |name: &str, last: &str| {
        until(10, "the refusal to be recorded", || {
            guarded.story(name).last().filter(|it| *it == last).map(drop)
        });
    };
    traced("good", "AccessRefused secret");
    traced("short", "AccessRefused expired");
    traced("revoked", "AccessRefused revoked");
    // One a minute: more attempts leave no more.
    for _ in 0..20 {
        guarded.as_who(&wrong).get("/api/v1/health");
    }
    assert_eq!(guarded.story("good"), ["KeyCreated", "AccessRefused secret"]);
}

#[test]
fn a_key_comes_in_one_header_once() {
    let guarded = Guarded::start();
    let key = guarded.key("one", "viewer", None);
    let client = guarded.server.client();
    let bearer = format!("Bearer {key}");
    client.with("authorization", &bearer).get("/api/v1/health").expect(200);
    client.with("authorization", &format!("bearer {key}")).get("/api/v1/health").expect(200);
    let basic = format!("Basic {key}");
    client.with("authorization", &basic).get("/api/v1/health").expect(401);
    let both = client.with("authorization", &bearer).with("x-api-key", &key);
    both.get("/api/v1/health").expect(401);
    let twice = format!(
        "GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n"
    );
    assert!(client.raw(&twice).starts_with("HTTP/1.1 401"));
    // In a URL it is no key, and no parameter that anything takes.
    client.get(&format!("/api/v1/health?x-api-key={key}")).expect(401);
    client.get(&format!("/api/v1/health?access_token={key}")).expect(401);
}

#[test]
fn a_rotated_key_is_taken_with_both_secrets_until_the_overlap_ends() {
    let guarded = Guarded::start();
    let old = guarded.key("turn", "viewer", None);
    let admin = guarded.as_who(&guarded.admin);
    let turned =
        admin.post("/api/v1/keys/turn/rotate", &json!({ "overlap_ms": 1_500 })).expect(200);
    let new = turned.text("key");
    assert_ne!(old, new);
    for key in [&old, &new] {
        guarded.as_who(key).get("/api/v1/health").expect(200);
    }
    until(10, "the older secret to end", || {
        (guarded.as_who(&old).get("/api/v1/health").status == 401).then_some(())
    });
    guarded.as_who(&new).get("/api/v1/health").expect(200);
}

#[test]
fn keys_and_their_ends_survive_a_crash_and_are_not_on_the_disk() {
    let guarded = Guarded::start();
    let good = guarded.key("good", "operator", None);
    let gone = guarded.key("gone", "operator", None);
    let admin = guarded.as_who(&guarded.admin);
    admin.post("/api/v1/keys/gone/revoke", &json!({ "reason": "lost" })).expect(200);
    let Guarded { data, server, .. } = guarded;
    server.kill();
    let server = serve(data.path());
    server.client().with("x-api-key", &good).get("/api/v1/health").expect(200);
    server.client().with("x-api-key", &gone).get("/api/v1/health").expect(401);
    assert!(server.stop().success());
    let secret = good.rsplit_once('_').unwrap().1;
    for file in files(data.path()) {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(16).any(|it| it == &secret.as_bytes()[..16]);
        assert!(!found, "a secret is in {}", file.display());
    }
}

/// The live feed under a key, and what ends it; nothing recorded afterwards goes out.
fn feed_ends(guarded: &Guarded, key: &str, end: impl FnOnce()) {
    let mut feed = Feed::open_with(guarded.server.address(), "stream=lock/room", key);
    let lock = guarded.as_who(&guarded.admin);
    let take = json!({ "owner": "ann", "ttl_ms": 60_000 });
    let lease = lock.post("/api/v1/locks/room/acquire", &take).expect(200);
    assert_eq!(feed.expect().data["type"], "LeaseGranted");
    end();
    let lease = json!({ "owner": "ann", "token": lease.number("token") });
    lock.post("/api/v1/locks/room/release", &lease).expect(200);
    let told = feed.next().unwrap();
    assert_eq!((told.event.as_str(), &told.id), ("dropped", &String::new()));
    assert_eq!(told.data["reason"], "its key is taken no more");
    assert_eq!(feed.next(), None);
}

#[test]
fn a_feed_ends_with_its_key() {
    let guarded = Guarded::start();
    let admin = guarded.as_who(&guarded.admin);
    let revoked = guarded.key("revoked", "viewer", None);
    feed_ends(&guarded, &revoked, || {
        let why = json!({ "reason": "lost" });
        admin.post("/api/v1/keys/revoked/revoke", &why).expect(200);
    });
    let rotated = guarded.key("rotated", "viewer", None);
    feed_ends(&guarded, &rotated, || {
        admin.post("/api/v1/keys/rotated/rotate", &json!({ "overlap_ms": 0 })).expect(200);
    });
}

#[test]
fn a_create_that_is_tried_again_makes_no_second_key_and_shows_none() {
    let guarded = Guarded::start();
    let admin = guarded.as_who(&guarded.admin);
    let body = json!({ "name": "once", "role": "viewer" });
    let first = admin.post_as("k", "/api/v1/keys", &body).expect(201).text("key");
    let again = admin.post_as("k", "/api/v1/keys", &body);
    assert_eq!((again.status, kind(&again)), (409, "/problems/key-exists"));
    assert!(again.body.get("key").is_none());
    guarded.as_who(&first).get("/api/v1/health").expect(200);
    assert_eq!(guarded.story("once"), ["KeyCreated"]);
}

#[test]
fn too_low_a_role_is_told_and_recorded_with_the_route() {
    let guarded = Guarded::start();
    let viewer = guarded.key("eve", "viewer", None);
    let answer = guarded.as_who(&viewer).post("/api/v1/locks/room/acquire", &json!({}));
    assert_eq!((answer.status, kind(&answer)), (403, "/problems/wrong-role"));
    assert_eq!(
        (&answer.body["role"], &answer.body["needs"]),
        (&json!("viewer"), &json!("operator"))
    );
    until(10, "the refusal to be recorded", || {
        (guarded.story("eve") == ["KeyCreated", "AccessRefused role"]).then_some(())
    });
    let events = guarded.as_who(&guarded.admin).get("/api/v1/events?stream=key/eve").expect(200);
    let refused = &events.body["events"][1];
    assert_eq!(refused["data"]["operation"], "POST /api/v1/locks/{name}/acquire");
}

#[test]
fn the_command_line_makes_rotates_and_revokes_keys_by_its_file() {
    let guarded = Guarded::start();
    let folder = tempdir().unwrap();
    let (root, out) = (folder.path().join("root.key"), folder.path().join("new.key"));
    fs::write(&root, format!("{}\n", guarded.admin)).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("http://{}", guarded.server.address());
    let keys = |arguments: &[&str], file: &Path| {
        let all = [&["keys"], arguments, &["--server", &url]].concat();
        run_under(("MAINSTAY_KEY_FILE", file.as_os_str()), &all)
    };
    let made =
        keys(&["create", "ci", "--role", "viewer", "--life", "1d", "--out", text(&out)], &root);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(!made.stdout.contains("mainstay_ci_"), "{}", made.stdout);
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::read_to_string(&out).unwrap();
    guarded.as_who(key.trim()).get("/api/v1/health").expect(200);
    let dry = keys(&["rotate", "ci", "--overlap", "1h", "--dry-run"], &root);
    assert!(
        dry.stdout.contains("ends after 1h") && dry.stdout.contains("nothing was changed"),
        "{}",
        dry.stdout
    );
    assert_eq!(guarded.story("ci"), ["KeyCreated"]);
    let turned = keys(&["rotate", "ci", "--overlap", "0s"], &root);
    assert_eq!(turned.code, 0, "{}", turned.stderr);
    guarded.as_who(key.trim()).get("/api/v1/health").expect(401);
    let revoked = keys(&["revoke", "ci", "--reason", "done"], &root);
    assert_eq!(revoked.code, 0, "{}", revoked.stderr);
    guarded.as_who(turned.stdout.trim()).get("/api/v1/health").expect(401);
    let listed = keys(&["list"], &root);
    assert!(
        listed.stdout.contains("revoked") && listed.stdout.contains("root"),
        "{}",
        listed.stdout
    );
    // A key that is too weak is refused with code 5, a file that others can read is not sent at all.
    let viewer = guarded.key("weak", "viewer", None);
    fs::write(&root, viewer).unwrap();
    assert_eq!(keys(&["list"], &root).code, 5);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o640)).unwrap();
    let open = keys(&["list"], &root);
    assert_eq!(open.code, 2);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
}
