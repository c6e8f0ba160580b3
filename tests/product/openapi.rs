//! The OpenAPI document against the server that gives it: every route, every example, every answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tempfile::tempdir;

use crate::support::{Answer, Client, Server, until};

/// The document, with a validator of its schemas.
struct Document(Value);

/// One operation of it.
struct Operation<'d> {
    path: &'d str,
    method: &'d str,
    told: &'d Value,
}

impl Document {
    fn of(client: &Client) -> Self {
        Self(client.get("/openapi.json").expect(200).body)
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        assert!(paths.len() > 20, "the document is too short");
        let mut all = Vec::new();
        for (path, operations) in paths {
            for (method, told) in operations.as_object().unwrap() {
                all.push(Operation { path, method, told });
            }
        }
        // Nothing about a subject is taken after that.
        all.sort_by_key(|operation| operation.told["operationId"] == "erase_subject");
        all
    }

    /// Asserts that an answer is one that the document tells of.
    #[track_caller]
    fn check(&self, operation: &Operation<'_>, answer: &Answer) {
        let (status, at) =
            (answer.status.to_string(), format!("{} {}", operation.method, operation.path));
        let told = &operation.told["responses"][&status];
        assert!(told.is_object(), "{at}: {status} is not documented: {}", answer.body);
        let Some(content) = told["content"].as_object() else { return };
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let told = &content.get(kind).unwrap_or_else(|| panic!("{at}: {kind} is not documented"))["schema"];
        if kind.ends_with("json") {
            self.validate(told, &answer.body, &at);
        }
    }

    #[track_caller]
    fn validate(&self, schema: &Value, value: &Value, at: &str) {
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{at}: {}\n{value:#}", errors.join("\n"));
    }
}

/// What examples need to be there, made anew for each.
struct Ground {
    session: String,
    key: String,
    token: u64,
}

fn prepare(client: &Client, id: &str) -> Ground {
    client.put("/api/v1/dependencies/openai", &json!({ "weight": 50 })).expect(200);
    client
        .post("/api/v1/locks/room-101/force-release", &json!({ "reason": "the next example" }))
        .expect(200);
    let lease = json!({ "owner": "worker-1", "ttl_ms": 30_000 });
    let token = client.post("/api/v1/locks/room-101/acquire", &lease).expect(200).number("token");
    if ["acquire_lock", "run_batch"].contains(&id) {
        let release = json!({ "owner": "worker-1", "token": token });
        client.post("/api/v1/locks/room-101/release", &release).expect(200);
    }
    let session =
        json!({ "subject": "customer-7", "ttl_ms": 60_000, "attributes": { "locale": "en" } });
    let session = client.post("/api/v1/sessions", &session).expect(201).text("id");
    // The name of a key is spent with it.
    let key = format!("booking-{token}");
    client.post("/api/v1/keys", &json!({ "name": key, "role": "viewer" })).expect(201);
    if id == "start_fault" {
        client.delete("/api/v1/chaos?reason=next").expect(200);
    } else if id == "stop_fault" {
        let fault = json!({ "dependency": "openai", "fault": "hang", "share": 1, "for_ms": 60_000, "reason": "next", "floor": "EMERGENCY" });
        client.post("/api/v1/chaos", &fault);
    }
    Ground { session, key, token }
}

/// The path and query of an operation with its examples, as they are on this ground.
fn target(operation: &Operation<'_>, ground: &Ground) -> String {
    let mut path = operation.path.to_owned();
    let mut query = Vec::new();
    for parameter in operation.told["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let example = match &parameter["example"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let example = example.as_deref();
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let example = example.unwrap_or_else(|| panic!("{path}: {name} has no example"));
                let part = match operation.path.split('/').nth(3) {
                    Some("sessions") => &ground.session,
                    Some("keys") => &ground.key,
                    _ => example,
                };
                path = path.replace(&format!("{{{name}}}"), part);
            },
            "query" => query.extend(example.map(|example| format!("{name}={example}"))),
            _ => {},
        }
    }
    format!("{path}?{}", query.join("&"))
}

#[test]
fn every_example_is_taken_and_answered_as_documented() {
    let (data, copies) = (tempdir().unwrap(), tempdir().unwrap());
    let (_, recipient) = mainstay::backup::Identities::generate();
    let server = Server::start_under(
        data.path(),
        &[
            ("MAINSTAY__BACKUP__TO", copies.path().to_str().unwrap()),
            ("MAINSTAY__BACKUP__RECIPIENTS", &recipient),
        ],
    );
    let client = server.client();
    until(10, "backups have begun", || {
        let status = client.get("/api/v1/backups").expect(200).body["status"].clone();
        status["shipped"].as_u64()
    });
    let document = Document::of(&client);
    for operation in document.operations() {
        let id = operation.told["operationId"].as_str().unwrap();
        if id == "follow_events" {
            // It does not end: tests/product/live.rs reads it.
            continue;
        }
        let ground = prepare(&client, id);
        let target = target(&operation, &ground);
        let method = operation.method.to_uppercase();
        let content = &operation.told["requestBody"]["content"]["application/json"];
        let answer = if content.is_null() {
            client.unled().try_send(&method, &target, &[], None).unwrap()
        } else {
            let mut body = content["example"].clone();
            document.validate(&content["schema"], &body, id);
            if let Some(token) = body.get_mut("token") {
                *token = ground.token.into();
            }
            if id == "start_fault" {
                // The example that forces a breaker open has its turn, too.
                body["floor"] = json!("EMERGENCY");
            }
            client.try_json(&method, &target, &[], &body).unwrap()
        };
        assert!(answer.status < 400, "{method} {target}: {} {}", answer.status, answer.body);
        document.check(&operation, &answer);
    }
}

#[test]
fn what_is_wrong_with_a_request_is_a_documented_problem_everywhere() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let document = Document::of(&client);
    for operation in document.operations() {
        let ground = prepare(&client, "");
        let target = target(&operation, &ground);
        let method = operation.method.to_uppercase();
        let foreign = client.try_send(&method, &target, &[("origin", "https://example.org")], None);
        let foreign = foreign.unwrap();
        document.check(&operation, &foreign);
        foreign.problem(403, "/problems/foreign-host");
        if operation.told.get("requestBody").is_some() {
            let wrong =
                client.try_json(&method, &target, &[], &json!({ "no-such-field": 1 })).unwrap();
            document.check(&operation, &wrong);
            wrong.problem(400, "/problems/bad-request");
            let text =
                client.try_send(&method, &target, &[("content-type", "text/plain")], Some(b"{}"));
            let text = text.unwrap();
            document.check(&operation, &text);
            text.problem(415, "/problems/unsupported-media-type");
        }
        let keyed = operation.told["parameters"].as_array().into_iter().flatten();
        if keyed.into_iter().any(|it| it["name"] == "Idempotency-Key") {
            let body =
                operation.told["requestBody"]["content"]["application/json"]["example"].clone();
            let key = [("idempotency-key", "not visible")];
            let wrong = client.try_json(&method, &target, &key, &body).unwrap();
            document.check(&operation, &wrong);
            wrong.problem(400, "/problems/bad-request");
        }
    }
}

#[test]
fn a_route_takes_exactly_the_methods_that_are_documented() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let document = Document::of(&client);
    let of_path = |path: &str| -> BTreeSet<String> {
        let told = document.0["paths"][path].as_object().unwrap();
        told.keys().map(|method| method.to_uppercase()).collect()
    };
    for operation in document.operations() {
        let ground = Ground { session: "x".to_owned(), key: "x".to_owned(), token: 1 };
        let target = target(&operation, &ground);
        let answer = client.try_send("OPTIONS", &target, &[], None).unwrap();
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        let allowed = allow.split(',').map(|it| it.trim().to_owned()).collect();
        assert_eq!(of_path(operation.path), allowed, "{}", operation.path);
    }
}

#[test]
fn every_problem_type_can_be_fetched() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let document = Document::of(&client);
    let mut seen = BTreeSet::new();
    for operation in document.operations() {
        let responses: &Map<String, Value> = operation.told["responses"].as_object().unwrap();
        for (status, response) in responses {
            let schema = &response["content"]["application/problem+json"]["schema"];
            let types = schema["allOf"][1]["properties"]["type"]["enum"].as_array();
            for kind in types.into_iter().flatten() {
                let page = client.get(kind.as_str().unwrap()).expect(200);
                assert_eq!(&page.body["type"], kind);
                assert_eq!(page.number("status").to_string(), *status);
                assert!(!page.text("way_out").is_empty());
                seen.insert(kind.as_str().unwrap());
            }
        }
    }
    assert!(seen.len() > 25, "only {seen:?}");
    client.get("/problems/nothing").problem(404, "/problems/not-found");
}

#[test]
fn the_page_of_the_document_comes_from_this_server_alone() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    assert_eq!(client.unled().get("/docs").expect(308).header("location"), Some("/docs/"));
    let page = client.get_bytes("/docs/");
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("//"), "the page names another host: {page}");
    let mut files = 0;
    for part in page.split(['"', '\'']).filter_map(|part| part.strip_prefix("./")) {
        let answer = client.get(&format!("/docs/{part}")).expect(200);
        let rule = answer.header("content-security-policy").unwrap();
        assert!(rule.starts_with("default-src 'none'; script-src 'self'"), "{rule}");
        assert!(!rule.contains("http") && !rule.contains("unsafe"), "{rule}");
        files += 1;
    }
    assert!(files >= 4, "the page loads only {files} files");
    let start = String::from_utf8(client.get_bytes("/docs/swagger-initializer.js")).unwrap();
    assert!(start.contains("/openapi.json") && !start.contains("http"), "{start}");
    client.get("/docs/none").problem(404, "/problems/not-found");
}
