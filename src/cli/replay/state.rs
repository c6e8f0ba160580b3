//! A state, for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::table::{lines, table, text};

/// Most locks in the table; the rest is counted.
pub(super) const SHOWN: usize = 20;

/// The answer of `/state`.
pub(super) fn whole(state: &Value) -> String {
    let mut out = heading(state);
    if state["position"] == 0 {
        out.push_str("nothing had happened yet\n");
        return out;
    }
    let health = &state["health"];
    if !health["since"].is_null() {
        let (level, since) = (text(&health["level"]), text(&health["since"]));
        let _ = write!(out, "{level} since {since}, score {}\n\n", health["score"]);
    }
    let mut rows = table(&["dependency", "weight", "score", "state", "since"]);
    for it in rows_of(&state["dependencies"]) {
        let row = ["name", "weight", "score", "state"].map(|name| text(&it[name]));
        let since = if it["since"].is_null() { String::new() } else { text(&it["since"]) };
        rows.add_row(row.into_iter().chain([since]));
    }
    if rows.row_count() > 0 {
        out.push_str(&lines(&rows));
        out.push('\n');
    }
    out.push_str(&held(&state["locks"]));
    let _ = write!(
        out,
        "sessions  {} live\nlocks     {} held or waited for\n",
        state["live_sessions"], state["held_locks"]
    );
    out
}

/// The answer of `/streams`: its members, one a line, by their path.
pub(super) fn stream(stream: &Value) -> String {
    let mut out = heading(stream);
    let (name, version) = (text(&stream["stream"]), &stream["version"]);
    let _ = writeln!(out, "{name}, version {version}\n");
    let mut rows = table(&["field", "value"]);
    let mut paths = Vec::new();
    leaves("", &stream["state"], &mut paths);
    for (path, value) in paths {
        rows.add_row([path, value]);
    }
    out.push_str(&lines(&rows));
    out
}

fn heading(state: &Value) -> String {
    let at = match &state["at"] {
        Value::String(at) => at.clone(),
        _ => "before the first event".to_owned(),
    };
    format!("position {}-{}, {at}\n\n", state["epoch"], state["position"])
}

fn rows_of(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn held(locks: &Value) -> String {
    let mut rows = table(&["held lock", "owner", "token", "expires"]);
    for lock in rows_of(locks) {
        for holder in rows_of(&lock["holders"]) {
            let [owner, token, expires] =
                ["owner", "token", "expires_at"].map(|name| text(&holder[name]));
            rows.add_row([text(&lock["name"]), owner, token, expires]);
        }
    }
    if rows.row_count() == 0 {
        return String::new();
    }
    format!("{}\n", lines(&rows))
}

/// Every plain value with its path: `grants.0.claim.owner`.
fn leaves(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(&below(name), value, into);
            }
        },
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(&below(&index.to_string()), value, into);
            }
        },
        Value::Null => {},
        plain => into.push((path.to_owned(), text(plain))),
    }
}
