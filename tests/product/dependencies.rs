//! `/api/v1/dependencies` and `/api/v1/health` over the wire.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Client, Server, until};

/// Trips after five failures and stays open for a day, without jitter.
fn settings(weight: u32) -> Value {
    json!({ "weight": weight, "breaker": {
        "window": { "calls": 10 }, "minimum_calls": 5, "open_for_ms": 86_400_000,
        "open_max_ms": 86_400_000, "jitter": 0.0,
    } })
}

fn register(client: &Client, name: &str, weight: u32) {
    client.put(&format!("/api/v1/dependencies/{name}"), &settings(weight)).expect(200);
}

fn state(client: &Client, name: &str) -> String {
    client.get(&format!("/api/v1/dependencies/{name}")).expect(200).text("state")
}

fn fail(client: &Client, name: &str, times: usize) {
    let one = json!({ "outcome": "failure", "duration_ms": 1.5 });
    let path = format!("/api/v1/dependencies/{name}/outcomes");
    let answer = client.post(&path, &Value::Array(vec![one; times])).expect(202);
    assert_eq!(answer.number("accepted"), times as u64);
}

#[test]
fn a_dependency_is_registered_listed_shown_and_reconfigured() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let put = client.put("/api/v1/dependencies/db", &settings(30)).expect(200);
    assert!(put.number("position") > 0);
    assert_eq!(put.body["state"], "closed");
    let listed = client.get("/api/v1/dependencies").expect(200);
    assert_eq!(listed.body["dependencies"][0]["name"], "db");
    let shown = client.get("/api/v1/dependencies/db").expect(200);
    assert_eq!(shown.body["settings"]["weight"], 30);
    assert_eq!(shown.body["settings"]["breaker"]["open_for_ms"], 86_400_000);
    assert_eq!(shown.body["settings"]["breaker"]["half_open_permits"], 5);
    register(&client, "db", 31);
    let shown = client.get("/api/v1/dependencies/db").expect(200);
    assert_eq!(
        (&shown.body["settings"]["weight"], &shown.body["configuration"]),
        (&json!(31), &json!(2))
    );
}

#[test]
fn failures_open_the_breaker_and_calls_are_no_longer_admitted() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    register(&client, "db", 1);
    let permits = "/api/v1/dependencies/db/permits";
    let admitted = client.post(permits, &json!({})).expect(200);
    assert_eq!(admitted.body["admitted"], true);
    let permit = admitted.text("permit");
    let outcome = json!({ "permit": permit, "outcome": "failure", "duration_ms": 3 });
    client.post("/api/v1/dependencies/db/outcomes", &outcome).expect(202);
    fail(&client, "db", 4);
    until(10, "the breaker to open", || (state(&client, "db") == "open").then_some(()));
    let refused = client.post(permits, &json!({})).expect(200);
    assert_eq!(refused.body["admitted"], false);
    assert!(refused.number("retry_after_ms") > 86_000_000, "{}", refused.body);
    let opened = client.get("/api/v1/events?stream=dependency/db&type=BreakerOpened").expect(200);
    assert_eq!(opened.body["events"].as_array().unwrap().len(), 1, "{}", opened.body);
}

#[test]
fn health_is_the_weighted_mean_and_names_its_cause() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for (name, weight) in [("llm", 50), ("db", 30), ("redis", 15), ("s3", 5)] {
        register(&client, name, weight);
        let good = json!({ "outcome": "success", "duration_ms": 1 });
        let path = format!("/api/v1/dependencies/{name}/outcomes");
        client.post(&path, &Value::Array(vec![good; 5])).expect(202);
    }
    let health = until(10, "every score to be known", || {
        let health = client.get("/api/v1/health").expect(200);
        (health.body["known_weight"] == 100).then_some(health)
    });
    assert_eq!((&health.body["score"], &health.body["level"]), (&json!(100), &json!("OPTIMAL")));
    let down = json!({ "to": "forced_open", "reason": "drill" });
    client.post("/api/v1/dependencies/db/state", &down).expect(200);
    let health = until(10, "the level to fall", || {
        let health = client.get("/api/v1/health").expect(200);
        (health.body["level"] == "DEGRADED").then_some(health)
    });
    assert_eq!(health.body["score"], 70);
    assert!(health.text("cause").contains("db is forced_open"), "{}", health.body);
    let dependencies = health.body["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), 4);
    let changed = client.get("/api/v1/events?type=LevelChanged").expect(200);
    let changed = &changed.body["events"][0];
    assert_eq!(
        (&changed["data"]["from"], &changed["data"]["to"]),
        (&json!("OPTIMAL"), &json!("DEGRADED"))
    );
}

#[test]
fn states_by_hand_are_recorded_and_illegal_ones_name_both_states() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    register(&client, "db", 1);
    let path = "/api/v1/dependencies/db/state";
    let illegal = json!({ "to": "half_open", "reason": "try" });
    let problem = client.post(path, &illegal).problem(409, "/problems/illegal-transition");
    assert_eq!((&problem["from"], &problem["to"]), (&json!("closed"), &json!("half_open")));
    for to in ["open", "half_open", "closed", "disabled", "metrics_only", "forced_open", "closed"] {
        let body = json!({ "to": to, "reason": "by hand" });
        assert_eq!(client.post(path, &body).expect(200).text("state"), to);
        assert_eq!(state(&client, "db"), to);
    }
}

#[test]
fn what_the_configuration_file_names_the_api_does_not_change() {
    let data = tempdir().unwrap();
    let file = data.path().join("mainstay.toml");
    std::fs::write(&file, "[[dependency]]\nname = \"db\"\nweight = 30\n").unwrap();
    let journal = data.path().join("data");
    let server = Server::start_with(&journal, &["--config", file.to_str().unwrap()]);
    let client = server.client();
    let put = client.put("/api/v1/dependencies/db", &settings(1));
    put.problem(409, "/problems/configured-by-file");
    assert_eq!(client.get("/api/v1/dependencies/db").body["settings"]["weight"], 30);
    server.kill();
    // It vanished from the configuration: retired, and free to be registered again.
    let server = Server::start(&journal);
    let client = server.client();
    assert_eq!(client.get("/api/v1/dependencies/db").body["retired"], true);
    assert_eq!(client.get("/api/v1/dependencies").body["dependencies"], json!([]));
    register(&client, "db", 1);
    assert_eq!(client.get("/api/v1/dependencies/db").body["retired"], false);
}

#[test]
fn an_open_breaker_is_open_after_a_kill_with_its_deadline() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    register(&client, "db", 1);
    fail(&client, "db", 5);
    until(10, "the breaker to open", || (state(&client, "db") == "open").then_some(()));
    let before = client.get("/api/v1/dependencies/db").body["breaker"].clone();
    server.kill();
    let server = Server::start(data.path());
    let after = server.client().get("/api/v1/dependencies/db").body["breaker"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_setting_out_of_its_range_is_named_as_the_body_names_it() {
    // The errors named the keys of the configuration file: `slow_call` for `slow_call_ms`.
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    for (field, value, rule) in [
        ("window", json!({ "seconds": 0 }), "1 s to 1 h"),
        ("minimum_calls", json!(0), "1 to 1000000"),
        ("failure_rate", json!(0), "more than 0"),
        ("slow_call_ms", json!(0), "1 ms to 1 h"),
        ("slow_rate", json!(0), "more than 0"),
        ("consecutive_failures", json!(0), "at least 1"),
        ("open_for_ms", json!(0), "1 ms to 1 d"),
        ("backoff_percent", json!(99), "100 to 1000"),
        ("open_max_ms", json!(1), "open_for_ms to 7 d"),
        ("jitter", json!(0.6), "0 to 0.5"),
        ("half_open_permits", json!(0), "1 to 1000"),
        ("half_open_max_ms", json!(0), "1 ms to 1 d"),
    ] {
        let body = json!({ "breaker": { field: value } });
        let answer = client.put("/api/v1/dependencies/db", &body);
        let problem = answer.problem(400, "/problems/bad-request");
        assert_eq!(problem["field"], field, "{problem}");
        let says = format!("{field} must be {rule}");
        assert!(problem["detail"].as_str().unwrap().contains(&says), "{problem}");
    }
}
