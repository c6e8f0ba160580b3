//! Drills as the journal remembers them, and when the next one is due.

use std::ops::ControlFlow;

use mainstay_actors::codec::Payload as _;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{DRILLS, DrillCompleted, System, SystemEvent};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{Cursor, Query, ReadError, ReadLog, StreamId};

use crate::config::Span;

/// A drill of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Where it is recorded.
    pub cursor: Cursor,
    /// Who recorded it.
    pub by: String,
    /// What came of it.
    pub drill: DrillCompleted,
}

/// The last drills, the newest first, at most so many.
///
/// # Errors
/// The journal cannot be read there.
pub fn recent(log: &dyn ReadLog, limit: usize) -> Result<Vec<Past>, ReadError> {
    let mut found = Vec::new();
    let Some(stream) = StreamId::new(System::KIND, DRILLS) else { return Ok(found) };
    let query = Query { stream: Some(stream), ..Query::default() };
    let mut take = |record: mainstay_journal::RecordRef<'_>| {
        let event = SystemEvent::decode(record.type_id, record.schema, record.payload);
        if let Ok(SystemEvent::DrillCompleted(drill)) = event {
            let cursor = Cursor { epoch: record.epoch, position: record.position };
            found.push(Past { cursor, by: record.principal.to_owned(), drill });
        }
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    log.find_back(&query, &mut take)?;
    Ok(found)
}

/// The last drill and the last good one; when the journal begins, as far as it is here.
///
/// # Errors
/// The journal cannot be read there.
pub fn past(log: &dyn ReadLog) -> Result<(Option<Past>, Timestamp), ReadError> {
    let last = recent(log, 1)?.pop();
    let base = log.base().map_or(0, |base| base.head().position);
    let mut first = Timestamp::default();
    log.scan(base + 1, base + 1, &mut |record| {
        first = Timestamp::from_micros(record.at_us);
        ControlFlow::Break(())
    })?;
    Ok((last, first))
}

/// When the next drill is due: so long after the last one, or after the first start.
#[must_use]
pub fn due(last: Option<Timestamp>, first_start: Timestamp, every: Span) -> Timestamp {
    last.unwrap_or(first_start).plus_ms(every.as_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_due_after_the_last_one_and_before_any_after_the_first_start() {
        let (start, last) = (Timestamp::from_micros(5_000), Timestamp::from_micros(9_000));
        let every = Span::from_ms(7);
        assert_eq!(due(None, start, every), Timestamp::from_micros(12_000));
        assert_eq!(due(Some(last), start, every), Timestamp::from_micros(16_000));
    }
}
