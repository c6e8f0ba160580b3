//! `GET /openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! ```text
//!   #[utoipa::path] beside each handler ─► document ─► problems of each operation ─► served
//!                                                          ▲
//!              own ones: "x-problems" there; shared ones: the rules below; texts: docs/problems.md
//! ```
//!
//! A new route needs its handler in `paths(..)` here; a test compares both lists.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use mainstay_actors::world::AnyEvent;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::access::{Door, Need};
use super::problem::{Kind, ProblemBody, kind};
use super::{
    attestations, backups, batch, chaos, dependencies, docs, drills, events, keys, launch, live,
    locks, metrics, problem, proofs, readiness, routes, sessions, subjects, travel,
};
use crate::preflight;

/// Everything that is served.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "mainstay",
        description = "Circuit breakers, sessions and locks over one append-only journal. No \
                       answer to a change leaves before its events are on the disk."
    ),
    tags(
        (name = "health", description = "Is it alive, is it ready, how healthy is the service"),
        (name = "dependencies", description = "Circuit breakers: permits, outcomes, settings"),
        (name = "sessions", description = "Attributes with a revision, a TTL and an age"),
        (name = "subjects", description = "Whom sessions are about: what is held, put right, forgotten"),
        (name = "locks", description = "Leases with fencing tokens"),
        (name = "batch", description = "Many commands in one request"),
        (name = "journal", description = "What happened"),
        (name = "proofs", description = "That it happened, and that nothing of it was rewritten"),
        (name = "drills", description = "Disasters that were practised, and what came of it"),
        (name = "keys", description = "Who may come in"),
        (name = "backups", description = "Copies elsewhere: which there are, and how they stand"),
        (name = "chaos", description = "Faults on purpose: calls that are disturbed for a while"),
        (name = "launch", description = "May it be launched: what people vouch for, and the gate"),
        (name = "documents", description = "This document, as JSON and as a page; the problems"),
    ),
    paths(
        readiness::livez, readiness::readyz, metrics::show, dependencies::show_health,
        dependencies::list, dependencies::show, dependencies::configure, dependencies::force,
        dependencies::ask_permit, dependencies::outcomes,
        sessions::list, sessions::create, sessions::show, sessions::change, sessions::end,
        sessions::touch,
        subjects::erase, subjects::export, subjects::rectify, subjects::import, subjects::consents, subjects::record_consent, subjects::hold,
        locks::list, locks::show, locks::acquire, locks::renew, locks::release, locks::check,
        locks::force_release,
        batch::run, events::list, live::follow, travel::show_why, travel::show_state, travel::show_stream,
        travel::show_diff,
        proofs::show_checkpoint, proofs::show_keys, proofs::show_inclusion, proofs::show_consistency,
        drills::list, drills::record,
        keys::list, keys::create, keys::show, keys::rotate, keys::revoke,
        attestations::list, attestations::attest, launch::show,
        backups::list, backups::make,
        chaos::list, chaos::start, chaos::stop_all, chaos::stop,
        show, docs::redirect, docs::asset, problem::show,
    ),
    components(schemas(ProblemBody))
)]
struct Api;

/// Of every operation.
const ALWAYS: [&str; 2] = ["foreign-host", "internal"];
/// Of every operation below the prefix: it needs a host that is ready, and who asks.
const OF_THE_HOST: [&str; 7] = [
    "bad-request",
    "not-ready",
    "busy",
    "unauthorized",
    "wrong-role",
    "wrong-tenant",
    "rate-limited",
];
/// Of every operation with a body.
const WITH_BODY: [&str; 4] =
    ["bad-request", "request-timeout", "too-large", "unsupported-media-type"];
/// Of every operation that takes an `Idempotency-Key`: it may write.
const OF_COMMANDS: [&str; 9] = [
    "idempotency-key-reused",
    "superseded",
    "journal-closed",
    "outcome-unknown",
    "disk-full",
    "too-large",
    "unreadable-history",
    "crashed",
    "quarantined",
];
/// Those that may come with `Retry-After`.
const WITH_RETRY: [&str; 9] = [
    "lock-held",
    "lock-wait-over",
    "lock-queue-full",
    "lock-full",
    "not-ready",
    "busy",
    "superseded",
    "disk-full",
    "rate-limited",
];

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documents",
    operation_id = "show_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(DOCUMENT.as_str())
}

/// The document with every problem of every operation.
pub(super) fn document() -> Value {
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, operations) in paths.into_iter().flatten() {
        let operations = operations.as_object_mut();
        for operation in operations.into_iter().flatten().filter_map(|it| it.1.as_object_mut()) {
            name_event_types(operation);
            let problems = problems(path, operation);
            let responses = operation.entry("responses").or_insert_with(|| json!({}));
            if let Some(responses) = responses.as_object_mut() {
                responses.extend(problems);
            }
        }
    }
    secure(&mut document);
    name_items(&mut document);
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for schema in schemas.into_iter().flatten() {
        close_variants(schema.1);
    }
    document
}

/// Says of each operation whether it needs a key, and of which role.
fn secure(document: &mut Value) {
    let schemes = json!({
        "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
        "bearer": { "type": "http", "scheme": "bearer", "description": "The same key" },
    });
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("securitySchemes".to_owned(), schemes);
    }
    for (path, doors) in routes::all() {
        let path = path.replace(":.*}", "}");
        for Door { method, need, .. } in doors {
            let method = method.as_str().to_lowercase();
            let operation = document["paths"].get_mut(&path).and_then(|it| it.get_mut(&method));
            let operation = operation.and_then(Value::as_object_mut);
            let (Some(operation), Need::Role { role, .. }) = (operation, need) else { continue };
            // The empty one: from this machine no key is needed, unless the configuration says so.
            let any_of = json!([{ "key": [] }, { "bearer": [] }, {}]);
            operation.insert("security".to_owned(), any_of);
            operation.insert("x-role".to_owned(), json!(role.name()));
        }
    }
}

/// The names that a filter by type takes are those of the code.
fn name_event_types(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    let is_type = |parameter: &&mut Value| parameter.get("name").is_some_and(|it| *it == "type");
    for parameter in parameters.into_iter().flatten().filter(is_type) {
        let names: Vec<&str> = AnyEvent::catalogue().iter().map(|(name, _)| *name).collect();
        let names = names.join("|");
        if let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) {
            schema.insert("pattern".to_owned(), json!(format!("^({names})(,({names}))*$")));
        }
    }
}

/// The items that can be attested are those of the registry.
fn name_items(document: &mut Value) {
    let item = document.pointer_mut("/components/schemas/Attest/properties/item");
    if let Some(schema) = item.and_then(Value::as_object_mut) {
        let attestable = preflight::all().filter(|(_, it)| preflight::attestable(it.id).is_ok());
        let ids: Vec<&str> = attestable.map(|(_, item)| item.id).collect();
        schema.insert("enum".to_owned(), json!(ids));
    }
}

/// Variants of a command take no unknown fields: serde refuses them, and the derive does not say so.
fn close_variants(schema: &mut Value) {
    let variants = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten().filter_map(Value::as_object_mut) {
        if variant.contains_key("properties") {
            variant.entry("additionalProperties").or_insert(Value::Bool(false));
        }
    }
}

/// The answers to an operation that are problems, by status.
fn problems(path: &str, operation: &mut Map<String, Value>) -> BTreeMap<String, Value> {
    let own = operation.remove("x-problems").unwrap_or_default();
    let mut names: Vec<&str> =
        own.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.extend(ALWAYS);
    if path.starts_with("/api/") {
        names.extend(OF_THE_HOST);
    }
    if operation.contains_key("requestBody") {
        names.extend(WITH_BODY);
    }
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    if parameters.into_iter().any(|it| it.get("name").is_some_and(|it| *it == "Idempotency-Key")) {
        names.extend(OF_COMMANDS);
    }
    names.sort_unstable();
    names.dedup();
    let mut by_status: BTreeMap<String, Vec<&Kind>> = BTreeMap::new();
    for kind in names.iter().filter_map(|name| kind(name)) {
        by_status.entry(kind.status.to_string()).or_default().push(kind);
    }
    by_status.into_iter().map(|(status, kinds)| (status, response(&kinds))).collect()
}

/// The answer of one status: a problem of one of these kinds.
fn response(kinds: &[&Kind]) -> Value {
    let types: Vec<&str> = kinds.iter().map(|kind| &*kind.r#type).collect();
    let lines: Vec<String> =
        kinds.iter().map(|kind| format!("- `{}`: {}", kind.r#type, kind.when)).collect();
    let mut response = json!({
        "description": lines.join("\n"),
        "content": { "application/problem+json": { "schema": { "allOf": [
            { "$ref": "#/components/schemas/Problem" },
            { "type": "object", "properties": { "type": { "enum": types } } },
        ] } } },
    });
    let retries = |kind: &&Kind| WITH_RETRY.iter().any(|name| kind.title == name.replace('-', " "));
    if kinds.iter().any(retries)
        && let Some(members) = response.as_object_mut()
    {
        let header = json!({
            "description": "When to try again, in seconds",
            "schema": { "type": "integer", "minimum": 1 },
        });
        members.insert("headers".to_owned(), json!({ "Retry-After": header }));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_an_operation_and_every_operation_a_route() {
        let document = document();
        let documented: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let routes = crate::server::routes::all();
        // The framework's pattern for the rest of a path is no OpenAPI.
        let served: BTreeSet<String> =
            routes.iter().map(|(path, _)| path.replace(":.*}", "}")).collect();
        let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
        assert_eq!(documented, served);
        let operations = document["paths"].as_object().unwrap().values();
        let operations: usize = operations.map(|it| it.as_object().unwrap().len()).sum();
        let methods: usize = routes.iter().map(|(_, methods)| methods.len()).sum();
        assert_eq!(operations, methods);
    }

    #[test]
    fn the_document_is_openapi_3_1_and_names_only_known_problems() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        for name in ALWAYS
            .iter()
            .chain(&OF_THE_HOST)
            .chain(&WITH_BODY)
            .chain(&OF_COMMANDS)
            .chain(&WITH_RETRY)
        {
            assert!(kind(name).is_some(), "{name} is not in docs/problems.md");
        }
        let raw = serde_json::to_value(Api::openapi()).unwrap();
        for operation in raw["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|it| it.as_object().unwrap().values())
        {
            for name in operation["x-problems"].as_array().into_iter().flatten() {
                assert!(
                    kind(name.as_str().unwrap()).is_some(),
                    "{name} is not in docs/problems.md"
                );
            }
        }
        assert!(!document.to_string().contains("x-problems"));
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_words_and_an_example_of_its_body() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id), "two operations are {id}");
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                if let Some(body) = operation.get("requestBody") {
                    let example = &body["content"]["application/json"]["example"];
                    assert!(!example.is_null(), "{method} {path} has no example");
                }
            }
        }
    }
}
