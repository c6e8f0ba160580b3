//! `/metrics` and its contract, docs/metrics.md.

#![expect(clippy::float_cmp, reason = "figures that are written as they are meant")]

use std::collections::BTreeSet;

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Client, Server, run, until};

const CONTRACT: &str = include_str!("../../docs/metrics.md");

fn text(client: &Client) -> String {
    String::from_utf8(client.get_bytes("/metrics")).unwrap()
}

/// Of one line: what stands behind the name and its labels.
#[track_caller]
fn figure(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in:\n{text}")).parse().unwrap()
}

#[test]
fn every_name_is_in_the_contract_and_every_name_of_the_contract_is_served() {
    let (data, target) = (tempdir().unwrap(), tempdir().unwrap());
    let (_, recipient) = mainstay::backup::Identities::generate();
    let server = Server::start_under(
        data.path(),
        &[
            ("MAINSTAY__BACKUP__TO", target.path().to_str().unwrap()),
            ("MAINSTAY__BACKUP__RECIPIENTS", &recipient),
        ],
    );
    let client = server.client();
    until(20, "the first backup", || {
        let backups = client.get("/api/v1/backups").expect(200).body["backups"].clone();
        backups.as_array().filter(|all| !all.is_empty()).map(drop)
    });
    client.put("/api/v1/dependencies/db", &json!({ "weight": 10 })).expect(200);
    let key = json!({ "name": "ops", "role": "viewer", "life_ms": 3_600_000 });
    client.post("/api/v1/keys", &key).expect(201);
    let text = text(&client);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let served: BTreeSet<&str> =
        samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    // What guards count is there where there are guards: see `src/server/metrics/guards.rs`.
    let (always, _) = CONTRACT.split_once("\n## Of a service that embeds it\n").unwrap();
    let rows = always.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(served, rows.collect());
    assert!(text.ends_with("# EOF\n"), "the format wants its end");
}

#[test]
fn health_breakers_and_keys_are_as_the_api_says() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for name in ["db", "cache"] {
        client.put(&format!("/api/v1/dependencies/{name}"), &json!({ "weight": 10 })).expect(200);
    }
    let force = json!({ "to": "forced_open", "reason": "test" });
    client.post("/api/v1/dependencies/db/state", &force).expect(200);
    client
        .post("/api/v1/locks/room/acquire", &json!({ "owner": "ann", "ttl_ms": 60_000 }))
        .expect(200);
    client.post("/api/v1/keys", &json!({ "name": "old", "role": "viewer" })).expect(201);
    client.post("/api/v1/keys/old/revoke", &json!({ "reason": "done" })).expect(200);
    let life = json!({ "name": "ci", "role": "operator", "tenant": "acme", "life_ms": 60_000 });
    client.post("/api/v1/keys", &life).expect(201);
    let health = client.get("/api/v1/health").expect(200);
    let text = text(&client);
    assert_eq!(figure(&text, "mainstay_breaker_state{dependency=\"db\"}"), 3.0);
    assert_eq!(figure(&text, "mainstay_breaker_state{dependency=\"cache\"}"), 0.0);
    let score = health.body["score"].as_f64().unwrap();
    assert_eq!(figure(&text, "mainstay_health_score").floor(), score);
    assert_eq!(figure(&text, "mainstay_held_locks"), 1.0);
    assert!(
        figure(&text, "mainstay_journal_position") >= health.body["position"].as_f64().unwrap()
    );
    let labels = "{key=\"ci\",role=\"operator\",tenant=\"acme\"}";
    let age = figure(&text, &format!("mainstay_key_age_seconds{labels}"));
    assert!((0.0..60.0).contains(&age), "{age}");
    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
    let end = figure(&text, &format!("mainstay_key_expires_at_seconds{labels}"));
    assert!((now..now + 61.0).contains(&end), "{end} at {now}");
    assert!(!text.contains("key=\"old\""), "a revoked key lets nobody in");
}

#[test]
fn each_request_that_is_not_let_in_counts_by_its_reason() {
    let data = tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let made = run(["keys", "create", "root", "--role", "admin", "--data", path]);
    let server = Server::start_under(data.path(), &[("MAINSTAY__ACCESS__KEYS", "required")]);
    let admin = server.client().with("x-api-key", made.stdout.trim());
    let acme = json!({ "name": "acme", "role": "viewer", "tenant": "acme" });
    let acme = admin.post("/api/v1/keys", &acme).expect(201).text("key");
    let revoked = json!({ "name": "gone", "role": "viewer" });
    let revoked = admin.post("/api/v1/keys", &revoked).expect(201).text("key");
    admin.post("/api/v1/keys/gone/revoke", &json!({ "reason": "done" })).expect(200);
    server.client().get("/metrics").expect(401);
    let status = |key: &str, path: &str| server.client().with("x-api-key", key).get(path).status;
    assert_eq!(status("nonsense", "/api/v1/health"), 401);
    assert_eq!(status(&revoked, "/api/v1/health"), 401);
    assert_eq!(status(&revoked, "/api/v1/health"), 401);
    let (name, secret) = acme.rsplit_once('_').unwrap();
    let other = format!("{name}_{}", secret.chars().rev().collect::<String>());
    assert_eq!(status(&other, "/api/v1/health"), 401);
    assert_eq!(status(&acme, "/api/v1/keys"), 403, "its role");
    assert_eq!(status(&acme, "/metrics"), 403, "figures of all tenants");
    assert_eq!(status(&acme, "/api/v1/sessions?subject=s1&tenant=other"), 403);
    let text = text(&admin);
    let of = |reason: &str| {
        figure(&text, &format!("mainstay_access_refusals_total{{reason=\"{reason}\"}}"))
    };
    let reasons = ["keyless", "unknown", "secret", "revoked", "role", "tenant", "expired", "rate"];
    assert_eq!(reasons.map(of), [1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 0.0, 0.0]);
}
