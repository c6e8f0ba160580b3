//! The configuration file against the API: who may change a dependency, and when.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Client, Server};

/// A data directory with a configuration file beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    /// Starts with a file that names these dependencies, each with a weight.
    fn start(&self, named: &[(&str, u32)]) -> Server {
        let file = self.0.path().join("mainstay.toml");
        let line = |(name, weight): &(&str, u32)| {
            format!("[[dependency]]\nname = \"{name}\"\nweight = {weight}\n")
        };
        std::fs::write(&file, named.iter().map(line).collect::<String>()).unwrap();
        Server::start_with(&self.data(), &["--config", path(&file)])
    }

    fn data(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn show(client: &Client, name: &str) -> Value {
    client.get(&format!("/api/v1/dependencies/{name}")).expect(200).body
}

fn put(client: &Client, name: &str, weight: u32) -> crate::support::Answer {
    client.put(&format!("/api/v1/dependencies/{name}"), &json!({ "weight": weight }))
}

fn listed(client: &Client) -> Vec<String> {
    let all = client.get("/api/v1/dependencies").expect(200).body;
    let all = all["dependencies"].as_array().unwrap().clone();
    all.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

fn told(client: &Client, name: &str) -> Vec<String> {
    let events = client.get(&format!("/api/v1/events?stream=dependency/{name}")).expect(200).body;
    let events = events["events"].as_array().unwrap().clone();
    events.iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_file_is_applied_as_commands_and_only_when_it_says_something_new() {
    let place = Place::new();
    for _ in 0..3 {
        place.start(&[("db", 30)]).kill();
    }
    let server = place.start(&[("db", 31)]);
    let client = server.client();
    assert_eq!(show(&client, "db")["settings"]["weight"], 31);
    assert_eq!(told(&client, "db"), ["DependencyConfigured", "DependencyConfigured"]);
    let events = client.get("/api/v1/events?stream=dependency/db").expect(200).body;
    assert_eq!(events["events"][0]["principal"], "system:supervisor");
}

#[test]
fn what_the_file_names_the_api_refuses_to_change_and_nothing_happens() {
    let place = Place::new();
    let server = place.start(&[("db", 30)]);
    let client = server.client();
    let before = show(&client, "db");
    put(&client, "db", 1).problem(409, "/problems/configured-by-file");
    // The same settings are refused, too: the file is the one place to look at.
    put(&client, "db", 30).problem(409, "/problems/configured-by-file");
    assert_eq!(show(&client, "db"), before);
    assert_eq!(told(&client, "db"), ["DependencyConfigured"]);
    // What the file does not name is free; and its breaker is not a setting.
    put(&client, "cache", 5).expect(200);
    let force = json!({ "to": "forced_open", "reason": "drill" });
    client.post("/api/v1/dependencies/db/state", &force).expect(200);
}

#[test]
fn what_vanished_from_the_file_is_retired_and_what_the_api_registered_stays() {
    let place = Place::new();
    let server = place.start(&[("db", 30), ("llm", 50)]);
    put(&server.client(), "cache", 5).expect(200);
    server.kill();
    let server = place.start(&[("llm", 50)]);
    let client = server.client();
    assert_eq!(listed(&client), ["cache", "llm"]);
    let retired = show(&client, "db");
    assert_eq!((&retired["retired"], &retired["score"]), (&json!(true), &Value::Null));
    let refused = client.post("/api/v1/dependencies/db/permits", &json!({}));
    refused.problem(404, "/problems/not-found");
    let outcome = json!({ "outcome": "success", "duration_ms": 1 });
    let refused = client.post("/api/v1/dependencies/db/outcomes", &outcome);
    refused.problem(404, "/problems/not-found");
    let force = json!({ "to": "forced_open", "reason": "drill" });
    let refused = client.post("/api/v1/dependencies/db/state", &force);
    refused.problem(404, "/problems/not-found");
    assert_eq!(told(&client, "db"), ["DependencyConfigured", "DependencyRetired"]);
    server.kill();
    // Retired once, however often it starts without the name.
    let server = place.start(&[]);
    let client = server.client();
    assert_eq!(told(&client, "db"), ["DependencyConfigured", "DependencyRetired"]);
    assert_eq!(listed(&client), ["cache"]);
}

#[test]
fn a_retired_dependency_is_registered_again_by_the_api_and_is_then_its_own() {
    let place = Place::new();
    place.start(&[("db", 30)]).kill();
    let server = place.start(&[]);
    let client = server.client();
    put(&client, "db", 7).expect(200);
    let shown = show(&client, "db");
    assert_eq!((&shown["retired"], &shown["settings"]["weight"]), (&json!(false), &json!(7)));
    assert_eq!(client.post("/api/v1/dependencies/db/permits", &json!({})).body["admitted"], true);
    server.kill();
    // The file never owned this registration: a start without the name keeps it.
    let server = place.start(&[]);
    let client = server.client();
    assert_eq!(listed(&client), ["db"]);
    put(&client, "db", 8).expect(200);
}

#[test]
fn a_file_that_names_what_the_api_registered_takes_it_over() {
    let place = Place::new();
    let server = place.start(&[]);
    let client = server.client();
    put(&client, "db", 7).expect(200);
    let force = json!({ "to": "forced_open", "reason": "drill" });
    client.post("/api/v1/dependencies/db/state", &force).expect(200);
    server.kill();
    let server = place.start(&[("db", 7)]);
    let client = server.client();
    put(&client, "db", 7).problem(409, "/problems/configured-by-file");
    // Its breaker is where it was.
    assert_eq!(show(&client, "db")["state"], "forced_open");
    server.kill();
    // And what the file took over, it retires.
    let server = place.start(&[]);
    assert_eq!(show(&server.client(), "db")["retired"], true);
    server.kill();
    // Named again, it is back, without a hand of the API's.
    let server = place.start(&[("db", 9)]);
    let client = server.client();
    let shown = show(&client, "db");
    assert_eq!((&shown["retired"], &shown["settings"]["weight"]), (&json!(false), &json!(9)));
    put(&client, "db", 1).problem(409, "/problems/configured-by-file");
}
