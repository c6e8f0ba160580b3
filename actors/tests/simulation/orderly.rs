//! A journal whose reads for entities begin only while the host sleeps.
//!
//! Entities are folded on a thread of their own. If that could run beside the arbiter, a quick fold
//! would sometimes overtake a slow one, and a seed would not say everything.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mainstay_journal::{
    Append, Cursor, EventLog, Full, Head, LocalLog, LogStatus, Query, ReadError, ReadLog, StreamId,
    Visit,
};

/// Whether the arbiter sleeps.
#[derive(Debug, Default)]
struct Arbiter {
    sleeps: bool,
    gone: bool,
}

/// Opens while the arbiter sleeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<Arbiter>, Condvar)>);

impl Door {
    /// The arbiter falls asleep or wakes up.
    pub(crate) fn sleeps(&self, sleeps: bool) {
        self.0.0.lock().unwrap().sleeps = sleeps;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let (arbiter, changed) = &*self.0;
        let awake = |arbiter: &mut Arbiter| !arbiter.sleeps && !arbiter.gone;
        drop(changed.wait_while(arbiter.lock().unwrap(), awake).unwrap());
    }

    /// A guard: once it is dropped the door stays open, so that nobody waits behind it for ever.
    pub(crate) fn until_dropped(&self) -> impl Drop + use<> {
        struct Guard(Door);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.0.0.lock().unwrap().gone = true;
                self.0.0.1.notify_all();
            }
        }
        Guard(self.clone())
    }
}

/// A journal behind a door.
#[derive(Debug)]
pub(crate) struct Orderly {
    pub(crate) log: LocalLog,
    pub(crate) door: Door,
}

impl ReadLog for Orderly {
    /// The first that a fold asks for.
    fn stream_head(&self, stream: &StreamId, upto: u64) -> Result<Head, ReadError> {
        self.door.wait();
        self.log.stream_head(stream, upto)
    }

    fn head(&self) -> Cursor {
        self.log.head()
    }

    fn scan(&self, from: u64, to: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.scan(from, to, visit)
    }

    fn read_stream(&self, stream: &StreamId, upto: u64, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.read_stream(stream, upto, visit)
    }

    fn read_between(
        &self,
        stream: &StreamId,
        after: Head,
        upto: Head,
        visit: Visit<'_>,
    ) -> Result<bool, ReadError> {
        self.log.read_between(stream, after, upto, visit)
    }

    fn find(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find(query, visit)
    }

    fn find_back(&self, query: &Query, visit: Visit<'_>) -> Result<(), ReadError> {
        self.log.find_back(query, visit)
    }

    fn epoch_at(&self, position: u64) -> Result<u32, ReadError> {
        self.log.epoch_at(position)
    }

    fn wait_beyond(&self, position: u64, limit: Duration) -> Cursor {
        self.log.wait_beyond(position, limit)
    }

    fn status(&self) -> LogStatus {
        self.log.status()
    }
}

impl EventLog for Orderly {
    fn submit(&self, append: Append) -> Result<(), Full> {
        self.log.submit(append)
    }

    fn close(&self) {
        self.log.close();
    }
}
