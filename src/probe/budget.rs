//! The time that a probe has, for all of its steps together.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Runs out after `timeout`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    started: Instant,
    timeout: Duration,
}

impl Budget {
    #[expect(clippy::disallowed_methods, reason = "measures a call, decides nothing by it")]
    pub(super) fn start(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout }
    }

    pub(super) fn spent(&self) -> Duration {
        self.started.elapsed()
    }

    /// Nothing when it ran out: sockets refuse to wait for zero.
    pub(super) fn left(&self) -> Option<Duration> {
        Some(self.timeout.saturating_sub(self.spent())).filter(|it| !it.is_zero())
    }

    fn left_to_wait(&self) -> std::io::Result<Option<Duration>> {
        self.left().map(Some).ok_or_else(|| Error::from(ErrorKind::TimedOut))
    }
}

/// A connection whose reads and writes end with the budget, however slowly bytes come.
pub(super) struct Bounded {
    stream: TcpStream,
    budget: Budget,
}

impl Bounded {
    pub(super) const fn new(stream: TcpStream, budget: Budget) -> Self {
        Self { stream, budget }
    }
}

impl Read for Bounded {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(self.budget.left_to_wait()?)?;
        self.stream.read(bytes)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(self.budget.left_to_wait()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
