//! A journal that remembers whether a read met damage: the start then ends with another code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay_journal::{
    Append, Cursor, EventLog, Full, Head, LocalLog, LogStatus, OpenError, Query, ReadError,
    ReadLog, StreamId, Visit,
};

/// Whether what was acknowledged could not be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage(Arc<AtomicBool>);

impl Damage {
    pub(super) fn was_met(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Takes note, and makes a text of the error.
    pub(super) fn of_open(&self, error: &OpenError) -> String {
        if matches!(error, OpenError::Damaged { .. }) {
            self.0.store(true, Ordering::Release);
        }
        error.to_string()
    }
}

/// Recovery scans; all else passes through.
pub(super) struct Watched {
    pub(super) log: LocalLog,
    pub(super) damage: Damage,
}

impl ReadLog for Watched {
    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        let scanned = self.log.scan(from, to, visit);
        if matches!(scanned, Err(ReadError::Damaged { .. })) {
            self.damage.0.store(true, Ordering::Release);
        }
        scanned
    }

    fn head(&self) -> Cursor {
        self.log.head()
    }

    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.log.stream_head(stream, upto)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.read_stream(stream, upto, visit)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find_back(query, visit)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        self.log.wait_beyond(position, limit)
    }

    fn status(&self) -> LogStatus {
        self.log.status()
    }
}

impl EventLog for Watched {
    fn submit(&self, append: Append) -> Result<(), Full> {
        self.log.submit(append)
    }

    fn close(&self) {
        self.log.close();
    }
}
