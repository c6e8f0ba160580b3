//! The requests an entity remembers, so that a retried command finds its first answer.
//!
//! Rebuilt from the envelopes of the entity's records: at most 64 requests of the last 24 hours.
//! Refusals without events are not remembered: they change nothing, so they are decided again.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::time::Timestamp;

/// Most requests remembered per entity.
pub(crate) const MAX_REQUESTS: usize = 64;
/// Longest memory of a request, in milliseconds.
pub(crate) const MEMORY_MS: u64 = 24 * 3_600 * 1_000;

/// The remembered requests, oldest first.
#[derive(Debug)]
pub(crate) struct Ledger<E> {
    entries: VecDeque<Entry<E>>,
}

/// One request and what it led to.
#[derive(Debug)]
pub(crate) struct Entry<E> {
    pub(crate) request: Arc<str>,
    pub(crate) fingerprint: u64,
    pub(crate) at: Timestamp,
    pub(crate) events: Vec<E>,
}

impl<E> Default for Ledger<E> {
    fn default() -> Self {
        Self { entries: VecDeque::new() }
    }
}

impl<E> Ledger<E> {
    /// Adds an event under a request: to its entry if it is the newest, else as a new one.
    pub(crate) fn remember(&mut self, request: &str, fingerprint: u64, at: Timestamp, event: E) {
        if let Some(last) = self.entries.back_mut()
            && *last.request == *request
        {
            last.events.push(event);
            return;
        }
        match self.entries.len() {
            // Most entities remember one request: no room is kept for more.
            0 => self.entries.reserve_exact(1),
            MAX_REQUESTS => drop(self.entries.pop_front()),
            _ => {},
        }
        let request = request.into();
        self.entries.push_back(Entry { request, fingerprint, at, events: vec![event] });
    }

    /// Every remembered request, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<E>> {
        self.entries.iter()
    }

    /// What a request led to, each time that it was made, if it is remembered at `now`.
    pub(crate) fn find(&self, request: &str, now: Timestamp) -> Option<Remembered<'_, E>>
    where
        E: Clone,
    {
        let live =
            |entry: &&Entry<E>| *entry.request == *request && entry.at.plus_ms(MEMORY_MS) >= now;
        let mut entries = self.entries.iter().filter(live);
        let first = entries.next()?;
        let mut events = Cow::Borrowed(first.events.as_slice());
        for again in entries {
            events.to_mut().extend_from_slice(&again.events);
        }
        Some(Remembered { fingerprint: first.fingerprint, events })
    }
}

/// What is remembered of a request.
#[derive(Debug)]
pub(crate) struct Remembered<'l, E: Clone> {
    pub(crate) fingerprint: u64,
    /// Oldest first.
    pub(crate) events: Cow<'l, [E]>,
}
