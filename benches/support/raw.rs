//! The limit: a file of CRC-framed records, one `fdatasync` a group, no reads from disk.
//!
//! It keeps no index: the benchmark starts from an empty journal, so every stream it is asked for
//! is new, or known from memory of its head.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use mainstay::journal::{
    Append, Cursor, EventLog, Full, Head, LogStatus, Outcome, Query, ReadError, ReadLog, Refusal,
    Sink, StreamId, Visit,
};
use std::sync::{Arc, Mutex};

/// A group closes at this many records.
const GROUP: usize = 1_024;
/// The file is zeroed ahead in steps of this, as our segments are.
const ZEROED: u64 = 16 << 20;

pub(crate) struct RawLog {
    queue: Mutex<Option<Sender<Append>>>,
    head: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl RawLog {
    pub(crate) fn open(path: &Path, sink: Box<dyn Sink>) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let (queue, inbox) = bounded(4_096);
        let head = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            file,
            inbox,
            sink,
            head: head.clone(),
            end: 0,
            zeroed: 0,
            versions: HashMap::new(),
            buffer: Vec::new(),
        };
        let thread = std::thread::spawn(move || writer.run());
        Ok(Self { queue: Mutex::new(Some(queue)), head, writer: Mutex::new(Some(thread)) })
    }
}

struct Writer {
    file: File,
    inbox: Receiver<Append>,
    sink: Box<dyn Sink>,
    head: Arc<AtomicU64>,
    end: u64,
    zeroed: u64,
    versions: HashMap<StreamId, u64>,
    buffer: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        while let Ok(first) = self.inbox.recv() {
            let mut outcomes = Vec::new();
            let mut position = self.head.load(Ordering::Relaxed);
            self.buffer.clear();
            let mut next = Some(first);
            while let Some(append) = next {
                outcomes.push(self.frame(&append, &mut position));
                next = (outcomes.len() < GROUP).then(|| self.inbox.try_recv().ok()).flatten();
            }
            while self.end + self.buffer.len() as u64 > self.zeroed {
                let zeros = vec![0; usize::try_from(ZEROED).unwrap()];
                self.file.write_all_at(&zeros, self.zeroed).unwrap();
                self.file.sync_all().unwrap();
                self.zeroed += ZEROED;
            }
            self.file.write_all_at(&self.buffer, self.end).unwrap();
            self.file.sync_data().unwrap();
            self.end += self.buffer.len() as u64;
            self.head.store(position, Ordering::Release);
            self.sink.group(1, outcomes);
        }
    }

    fn frame(&mut self, append: &Append, position: &mut u64) -> Outcome {
        let version = self.versions.entry(append.stream.clone()).or_default();
        if *version != append.expected_version {
            let (expected, actual) = (append.expected_version, *version);
            return Outcome::Refused(Refusal::Conflict { expected, actual });
        }
        let first = *position + 1;
        for draft in &append.drafts {
            *position += 1;
            *version += 1;
            let start = self.buffer.len();
            self.buffer.extend_from_slice(&[0; 8]);
            self.buffer.extend_from_slice(&position.to_le_bytes());
            self.buffer.extend_from_slice(&version.to_le_bytes());
            self.buffer.extend_from_slice(append.stream.as_str().as_bytes());
            self.buffer.extend_from_slice(&append.envelope.at_us.to_le_bytes());
            self.buffer.extend_from_slice(append.envelope.principal.as_bytes());
            for tag in &draft.tags {
                self.buffer.extend_from_slice(tag.value.as_bytes());
            }
            self.buffer.extend_from_slice(&draft.payload);
            let body = &self.buffer[start + 8..];
            let (length, crc) = (u32::try_from(body.len()).unwrap(), crc32fast::hash(body));
            self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
            self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        }
        Outcome::Committed { first, count: u32::try_from(append.drafts.len()).unwrap() }
    }
}

impl EventLog for RawLog {
    fn submit(&self, append: Append) -> Result<(), Full> {
        match &*self.queue.lock().unwrap() {
            Some(queue) => queue.try_send(append).map_err(|full| Full(full.into_inner())),
            None => Err(Full(append)),
        }
    }

    fn close(&self) {
        drop(self.queue.lock().unwrap().take());
        if let Some(writer) = self.writer.lock().unwrap().take() {
            writer.join().unwrap();
        }
    }
}

impl ReadLog for RawLog {
    fn head(&self) -> Cursor {
        Cursor { epoch: 1, position: self.head.load(Ordering::Acquire) }
    }

    fn scan(&self, _from: u64, _to: u64, _visit: Visit<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn stream_head(&self, _stream: &StreamId, _upto: u64) -> Result<Head, ReadError> {
        Ok(Head::default())
    }

    fn read_stream(&self, _: &StreamId, _upto: u64, _visit: Visit<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn find(&self, _query: &Query, _visit: Visit<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn find_back(&self, _query: &Query, _visit: Visit<'_>) -> Result<(), ReadError> {
        Ok(())
    }

    fn wait_beyond(&self, _position: u64, _limit: Duration) -> Cursor {
        self.head()
    }

    fn status(&self) -> LogStatus {
        LogStatus {
            head: self.head(),
            refusing: None,
            queued: 0,
            store: None,
            size_bytes: 0,
            segments: 1,
            sync_p50_us: 0,
            sync_p99_us: 0,
        }
    }
}
