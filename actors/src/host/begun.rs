//! The sessions that began about a subject, newest first.
//!
//! ```text
//!   journal's index ─► beginnings behind what was dropped ─► rows of those that lived then
//! ```

use std::ops::ControlFlow;

use mainstay_journal::{Cursor, Query, ReadError, ReadLog, StreamId};
use xxhash_rust::xxh3::xxh3_128;

use super::views::tags;
use crate::session::SessionEvent;

/// What rows of sessions by their subject begin with, in place of a kind.
pub(crate) const BY_SUBJECT: &str = "by-subject";

/// Where a session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its stream.
    pub stream: StreamId,
    /// Its first event.
    pub at: Cursor,
    /// The time of that, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// The request that began it; unknown once that was dropped from the journal.
    pub request: Option<String>,
}

/// Visits the sessions that began about a subject, newest first: every one that the journal holds, and
/// of those whose beginning was dropped the ones that lived then. `before` is one to go on behind.
///
/// # Errors
/// The journal cannot be read.
pub fn sessions_begun(
    log: &dyn ReadLog,
    tenant: &str,
    subject: &str,
    before: Option<(Cursor, Option<u64>)>,
    visit: &mut dyn FnMut(Begun) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let base = log.base();
    let below = before.map_or(u64::MAX, |(at, _)| at.position);
    let query = Query {
        types: SessionEvent::beginnings(),
        tags: vec![(tags::TENANT, tenant.to_owned()), (tags::SUBJECT, subject.to_owned())],
        after: base.as_ref().map_or(0, |base| base.head().position),
        // Time never falls along a journal: the index need not look at what is newer.
        until_us: before.and_then(|(_, at_us)| at_us),
        ..Query::default()
    };
    let mut flow = ControlFlow::Continue(());
    if below > query.after {
        log.find_back(&query, &mut |record| {
            let stream = StreamId::parse(record.stream).filter(|_| record.position < below);
            let Some(stream) = stream else { return ControlFlow::Continue(()) };
            let (at, at_us) = (record.cursor(), record.at_us);
            let request = record.request.map(|(id, _)| id.to_owned());
            flow = visit(Begun { stream, at, at_us, request });
            flow
        })?;
    }
    let (Some(base), Some(prefix)) = (base, prefix(tenant, subject)) else { return Ok(()) };
    if flow.is_break() {
        return Ok(());
    }
    let mut rows = Vec::new();
    base.states(&prefix, &mut |state| {
        let Some(id) = state.stream.as_str().strip_prefix(&prefix) else {
            return ControlFlow::Break(());
        };
        let row = Row::of(&state.bytes).filter(|row| row.at.position < below);
        let stream = StreamId::new("session", id);
        rows.extend(row.zip(stream).map(|(Row { at, at_us }, stream)| Begun {
            stream,
            at,
            at_us,
            request: None,
        }));
        ControlFlow::Continue(())
    })?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.at.position));
    let _ = rows.into_iter().try_for_each(visit);
    Ok(())
}

/// The streams of every session that ever began about a subject, newest first, at most so many; and
/// whether these are all. Where the archive of dropped months is away, of those only the ones that lived
/// when they were dropped.
///
/// # Errors
/// The journal cannot be read.
pub fn sessions_ever(
    log: &dyn ReadLog,
    tenant: &str,
    subject: &str,
    most: usize,
) -> Result<(Vec<StreamId>, bool), ReadError> {
    let (mut streams, mut more) = (Vec::new(), false);
    let mut take = |stream: Option<StreamId>| {
        more |= streams.len() == most;
        if more {
            return ControlFlow::Break(());
        }
        streams.extend(stream);
        ControlFlow::Continue(())
    };
    let query = Query {
        types: SessionEvent::beginnings(),
        tags: vec![(tags::TENANT, tenant.to_owned()), (tags::SUBJECT, subject.to_owned())],
        ..Query::default()
    };
    match log.find_back(&query, &mut |record| take(StreamId::parse(record.stream))) {
        Err(ReadError::Archived(_)) => {
            let mut known = Vec::new();
            sessions_begun(log, tenant, subject, None, &mut |begun| {
                known.push(begun.stream);
                if known.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok((known, false))
        },
        read => read.map(|()| (streams, !more)),
    }
}

/// Where a session began, as it is kept beside the states of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) at: Cursor,
    pub(crate) at_us: u64,
}

impl Row {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let Cursor { epoch, position } = self.at;
        [&epoch.to_le_bytes()[..], &position.to_le_bytes(), &self.at_us.to_le_bytes()].concat()
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (position, at_us) = rest.split_first_chunk()?;
        let at =
            Cursor { epoch: u32::from_le_bytes(*epoch), position: u64::from_le_bytes(*position) };
        Some(Self { at, at_us: u64::from_le_bytes(at_us.try_into().ok()?) })
    }
}

/// The name of a session's row.
pub(crate) fn row_of(tenant: &str, subject: &str, session: &StreamId) -> Option<StreamId> {
    StreamId::parse(&format!("{}{}", prefix(tenant, subject)?, session.id()))
}

/// A hash, so that two long names are no longer than a stream's may be.
fn prefix(tenant: &str, subject: &str) -> Option<String> {
    // A tenant's name has no slash.
    (!tenant.contains('/')).then(|| {
        format!("{BY_SUBJECT}/{:032x}/", xxh3_128(format!("{tenant}/{subject}").as_bytes()))
    })
}
