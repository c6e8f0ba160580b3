//! The journal as clients read it, over all rounds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::load::Ledger;
use crate::support::Client;

/// Every event that was ever read, by position − 1.
#[derive(Default)]
pub(super) struct History(Vec<Value>);

/// How far each round looks back to find a position with other content.
const LOOK_BACK: usize = 300;

impl History {
    /// Reads what is new, and the newest of what is known once more.
    pub(super) fn read_on(&mut self, client: &Client) {
        let from = self.0.len().saturating_sub(LOOK_BACK);
        self.compare(client, from);
    }

    /// Reads everything once more.
    pub(super) fn repeats(&mut self, client: &Client) {
        self.compare(client, 0);
    }

    fn compare(&mut self, client: &Client, from: usize) {
        let mut after = from;
        loop {
            let page = client.get(&format!("/api/v1/events?limit=1000&after={after}")).expect(200);
            for event in page.body["events"].as_array().unwrap() {
                after += 1;
                assert_eq!(event["position"], after, "a gap: {event}");
                match self.0.get(after - 1) {
                    None => self.0.push(event.clone()),
                    Some(known) => assert_eq!(event, known, "a position has other content"),
                }
            }
            if page.body["next"].is_null() {
                break;
            }
        }
        assert!(after >= self.0.len(), "{} events were there, {after} are left", self.0.len());
    }

    fn at(&self, position: u64) -> Option<&Value> {
        self.0.get(usize::try_from(position.checked_sub(1)?).ok()?)
    }

    /// Every acknowledged position holds an event of its stream.
    pub(super) fn holds(&self, ledger: &Ledger) {
        for (position, stream) in &ledger.events {
            let event = self.at(*position);
            let event = event.unwrap_or_else(|| panic!("{position} of {stream} is lost"));
            assert_eq!(event["stream"], **stream, "at {position}");
        }
    }

    /// Per lock, each grant has a token above all before it.
    pub(super) fn tokens_rise(&self) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for event in self.grants() {
            let token = event["data"]["token"].as_u64().unwrap();
            let last = last.entry(event["stream"].as_str().unwrap()).or_default();
            assert!(token > *last, "{token} after {last}: {event}");
            *last = token;
        }
    }

    /// A retry after a kill found its first grant.
    pub(super) fn no_request_was_granted_twice(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for event in self.grants() {
            if let Some(request) = event["data"]["claim"]["request"].as_str() {
                let named = format!("{} {request}", event["stream"]);
                assert!(seen.insert(named), "granted twice: {event}");
            }
        }
        assert!(!seen.is_empty());
    }

    /// Every token that a client was given is one that was granted in its lock.
    pub(super) fn granted(&self, ledger: &Ledger) {
        let mut granted = std::collections::BTreeSet::new();
        for event in self.grants() {
            let token = event["data"]["token"].as_u64().unwrap();
            granted.insert((event["stream"].as_str().unwrap().to_owned(), token));
        }
        for (lock, tokens) in &ledger.tokens {
            for token in tokens {
                assert!(granted.contains(&(format!("lock/{lock}"), *token)), "{lock} {token}");
            }
        }
    }

    fn grants(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|event| event["type"] == "LeaseGranted")
    }
}
