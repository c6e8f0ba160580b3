//! What a running server says of itself, over HTTP or from inside.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::collections::BTreeSet;

use mainstay_actors::time::Timestamp;
use serde_json::Value;

use crate::preflight::facts::{ServerFacts, StoreFacts};

/// Its answers.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Of `/readyz?verbose`.
    pub readiness: Value,
    /// Of `/api/v1/health`.
    pub health: Value,
    /// Of `/metrics`, or why it gives none.
    pub metrics: Result<String, String>,
    /// Of `/openapi.json`.
    pub document: Value,
    /// Its clock.
    pub date: Option<Timestamp>,
}

/// Reads the answers.
///
/// # Errors
/// It shows nothing of its journal.
pub fn server_facts(answers: &Answers, now: Timestamp) -> Result<ServerFacts, String> {
    let Answers { readiness, health, metrics, document, date } = answers;
    let (journal, occupancy) = (&readiness["journal"], &readiness["occupancy"]);
    let detail = || readiness["detail"].as_str().unwrap_or("it is not ready").to_owned();
    let ready = if readiness["status"] == "ready" { Ok(()) } else { Err(detail()) };
    if ready.is_ok() && !journal.is_object() {
        let why = "it shows no details: MAINSTAY_KEY_FILE names the file with a key";
        return Err(why.to_owned());
    }
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let store = journal["store"].is_object().then(|| StoreFacts {
        reached: number(&journal["store"]["reached"]),
        rebuilding: journal["store"]["rebuilding"] == true,
        trouble: text(&journal["store"]["trouble"]),
    });
    let quarantined = health["quarantined"].as_array().into_iter().flatten();
    Ok(ServerFacts {
        ready,
        epoch: u32::try_from(number(&journal["epoch"])).unwrap_or(u32::MAX),
        position: number(&journal["position"]),
        refusing: text(&journal["refusing"]),
        queued: number(&journal["queued"]),
        sync_p99_us: number(&journal["sync_p99_us"]),
        store,
        in_flight: (number(&occupancy["in_flight"]), number(&occupancy["limits"]["in_flight"])),
        quarantined: quarantined.filter_map(text).collect(),
        unreadable: number(&readiness["unreadable_events"]),
        health: text(&health["level"]).zip(health["score"].as_u64()),
        metrics: metrics.as_ref().map(|text| names(text)).map_err(Clone::clone),
        version: text(&document["info"]["version"]),
        clock_off_ms: date.map(|date| date.ms_since(now).max(now.ms_since(date))),
    })
}

/// Names of samples.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}
