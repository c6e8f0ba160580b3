//! `docs/privacy.md` against the events: every field of every event is in one of its tables, and
//! nothing else is.
//!
//! ```text
//!   a sample of each event ─► JSON ─► Event.field, Event.outer.inner   ═══  rows of the page
//! ```

use std::collections::BTreeSet;

use mainstay_actors::world::AnyEvent;
use serde_json::Value;

use crate::payloads;

const PAGE: &str = include_str!("../../../docs/privacy.md");

/// One thing, whatever lies below: maps whose names are a caller's, a choice, a histogram.
const WHOLE: [&str; 5] = ["attributes", "changes", "cause", "latencies", "fault"];

/// The fields of a value, with dots between outer and inner ones.
fn fields(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{prefix}.{name}");
                let whole = WHOLE.contains(&name.as_str());
                fields(&path, if whole { &Value::Null } else { value }, found);
            }
        },
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                fields(prefix, item, found);
            }
        },
        _ => drop(found.insert(prefix.to_owned())),
    }
}

/// What the first cells of the page's rows name: `` `Event.field`, `.other` ``.
fn rows() -> Vec<String> {
    let mut named = Vec::new();
    for line in PAGE.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cell = line.split(" | ").next().unwrap_or_default();
        let mut event = "";
        for name in cell.split(", ").map(|name| name.trim_matches('`')) {
            if let Some((of, _)) = name.split_once('.').filter(|(of, _)| !of.is_empty()) {
                event = of;
                named.push(name.to_owned());
            } else {
                named.push(format!("{event}{name}"));
            }
        }
    }
    named
}

#[test]
fn every_field_of_every_event_is_on_the_page_once_and_nothing_else_is() {
    let (mut expected, mut events) = (BTreeSet::new(), BTreeSet::new());
    for event in payloads::all() {
        events.insert(event.name());
        fields(event.name(), &serde_json::to_value(&event).expect("json"), &mut expected);
    }
    let known: BTreeSet<&str> = AnyEvent::catalogue().iter().map(|(name, _)| *name).collect();
    assert_eq!(events, known, "there is a sample of each event");
    let rows = rows();
    let listed: BTreeSet<String> =
        rows.iter().filter(|row| !row.starts_with("envelope.")).cloned().collect();
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "a field is listed twice");
    let missing: Vec<&String> = expected.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&expected).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(gone.is_empty(), "on the page, but in no event: {gone:?}");
}
