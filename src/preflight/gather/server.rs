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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(10_000_000);

    fn answers(readiness: Value) -> Answers {
        Answers {
            readiness,
            health: json!({ "level": "LIMITED", "score": 61, "quarantined": ["lock/a"] }),
            metrics: Ok("# HELP x y\nx{a=\"b c\"} 1\ny_total 2\n# EOF\n".to_owned()),
            document: json!({ "info": { "version": "0.1.0" } }),
            date: Some(Timestamp::from_micros(8_000_000)),
        }
    }

    #[test]
    fn what_a_server_says_is_read_and_its_clock_is_held_against_ours() {
        let store = json!({ "reached": 7, "rebuilding": true, "trouble": null });
        let journal = json!({ "epoch": 2, "position": 9, "refusing": "full", "store": store });
        let readiness = json!({ "status": "ready", "journal": journal, "unreadable_events": 3, "occupancy":
                { "in_flight": 4, "limits": { "in_flight": 64 } } });
        let facts = server_facts(&answers(readiness), NOW).unwrap();
        assert_eq!((facts.epoch, facts.position, facts.unreadable), (2, 9, 3));
        assert_eq!(facts.refusing.as_deref(), Some("full"));
        assert_eq!(facts.store, Some(StoreFacts { reached: 7, rebuilding: true, trouble: None }));
        assert_eq!((facts.in_flight, facts.clock_off_ms), ((4, 64), Some(2_000)));
        assert_eq!(facts.health, Some(("LIMITED".to_owned(), 61)));
        let names: Vec<String> = facts.metrics.unwrap().into_iter().collect();
        assert_eq!(names, ["x", "y_total"]);
        assert_eq!((facts.quarantined, facts.ready), (vec!["lock/a".to_owned()], Ok(())));
    }

    #[test]
    fn a_server_that_shows_nothing_or_is_not_ready_says_why() {
        let bare = server_facts(&answers(json!({ "status": "ready" })), NOW).unwrap_err();
        assert!(bare.contains("MAINSTAY_KEY_FILE"), "{bare}");
        let starting = json!({ "status": 503, "detail": "recovering 5 of 10" });
        let facts = server_facts(&answers(starting), NOW).unwrap();
        assert_eq!(facts.ready, Err("recovering 5 of 10".to_owned()));
    }
}
