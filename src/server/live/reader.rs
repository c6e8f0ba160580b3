//! One reader: a position, and what it is sent next.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use actix_web::web::Bytes;
use futures_util::stream::{Stream, unfold};
use mainstay_journal::EventLog;
use tokio::time::{Instant, sleep};

use super::filter::Filter;
use super::tail::{Item, Seat};
use super::{HEARTBEAT, STALLED, frame};
use crate::server::page;
use crate::server::problem::Problem;

/// Bytes that are sent at once, and one event more.
const CHUNK_BYTES: usize = 16 * 1024;
/// Events that are looked at for one chunk.
const CHUNK_EVENTS: usize = 256;

/// A reader; it holds no event between two chunks.
pub(super) struct Reader<W> {
    seat: Seat,
    log: Arc<dyn EventLog>,
    filter: Filter,
    after: u64,
    /// When it took the last chunk; `None` before the first.
    took: Option<Instant>,
    over: bool,
    /// Whether its key is still taken.
    is_welcome: W,
}

impl<W: Fn() -> bool> Reader<W> {
    pub(super) fn new(
        seat: Seat,
        log: Arc<dyn EventLog>,
        filter: Filter,
        after: u64,
        is_welcome: W,
    ) -> Self {
        Self { seat, log, filter, after, took: None, over: false, is_welcome }
    }

    /// Its chunks; each is made when the socket has taken the one before.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(self, |mut reader| async move {
            let chunk = reader.next().await?;
            reader.took = Some(Instant::now());
            Some((Ok(chunk), reader))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if self.took.is_none() {
            return Some(frame::hello(self.after));
        }
        if self.has_stalled() {
            return Some(
                self.end("dropped", "it took nothing for too long; come back with Last-Event-ID"),
            );
        }
        loop {
            // Before the look at the ring: what comes meanwhile wakes this reader again.
            self.seat.reached.borrow_and_update();
            if *self.seat.ending.borrow() {
                return Some(self.end("closing", "the server stops"));
            }
            let before = self.after;
            let chunk = self.chunk().await;
            // Behind the read, which may have waited: nothing that was recorded after the key's
            // revocation was answered leaves.
            if !(self.is_welcome)() {
                return Some(self.end("dropped", "its key is taken no more"));
            }
            match chunk {
                Ok(chunk) if !chunk.is_empty() => return Some(chunk.into()),
                // Nothing that it wants, and maybe more behind it.
                Ok(_) if self.after > before => continue,
                Ok(_) => {},
                Err(problem) => {
                    tracing::error!(%problem, "a live reader cannot read on");
                    return Some(
                        self.end("dropped", "the journal cannot be read; see the server's log"),
                    );
                },
            }
            tokio::select! {
                _ = self.seat.reached.changed() => {},
                _ = self.seat.ending.changed() => {},
                () = sleep(HEARTBEAT) => return Some(frame::heartbeat()),
            }
        }
    }

    /// Asked when the socket takes more: has it been full since the last chunk?
    fn has_stalled(&self) -> bool {
        self.took.is_some_and(|took| took.elapsed() >= STALLED)
    }

    fn end(&mut self, event: &'static str, reason: &str) -> Bytes {
        self.over = true;
        if event == "dropped" {
            tracing::warn!(after = self.after, reason, "a live reader is dropped");
        }
        frame::end(event, reason)
    }

    /// What comes next of what it wants; empty if that was looked at without a find.
    async fn chunk(&mut self) -> Result<Vec<u8>, Problem> {
        let mut chunk = Vec::new();
        let Some(items) = self.seat.after(self.after, CHUNK_EVENTS) else {
            return self.read_journal().await;
        };
        for item in items {
            self.after = item.position;
            if self.filter.takes(&item) {
                chunk.extend_from_slice(&item.frame);
            }
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        Ok(chunk)
    }

    /// The same for a reader that is behind; waits for a thread that reads.
    async fn read_journal(&mut self) -> Result<Vec<u8>, Problem> {
        let (log, find) = (self.log.clone(), self.filter.find(self.after));
        let read = page::when_free(move || {
            let (mut chunk, mut events) = (Vec::new(), 0);
            let mut after = log.head().position;
            log.find(&find, &mut |record| {
                chunk.extend_from_slice(&Item::of(&record).frame);
                events += 1;
                if chunk.len() < CHUNK_BYTES && events < CHUNK_EVENTS {
                    after = after.max(record.position);
                    return ControlFlow::Continue(());
                }
                after = record.position;
                ControlFlow::Break(())
            })?;
            Ok((chunk, after))
        });
        let (chunk, after) = read.await?;
        self.after = after;
        Ok(chunk)
    }
}

impl<W> Drop for Reader<W> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // The operating system has closed a connection that took nothing (see `bound_sending`), or
        // the reader has left; only the first took nothing for long before it.
        let behind = self.seat.reached.borrow().saturating_sub(self.after);
        let quiet = self.took.map(|took| took.elapsed()).unwrap_or_default();
        let (after, seconds) = (self.after, quiet.as_secs());
        if behind > 0 && quiet >= STALLED / 2 {
            tracing::warn!(
                after,
                behind,
                "a live reader is dropped: it took nothing for {seconds} s"
            );
        } else {
            tracing::debug!(after, behind, "a live reader has left");
        }
    }
}
