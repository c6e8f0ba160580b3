//! The journal: gap-free, never shorter than what a reader has seen, and with all that was
//! acknowledged.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_actors::world::{AnyEvent, World};
use mainstay_journal::{ReadError, ReadLog};

use super::hold;
use crate::history::{Act, Command, History, Said};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) at_us: u64,
    /// `lock/l-1`
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) event: AnyEvent,
}

/// All of it, in order. The inner error is a disk that cannot be read.
pub(crate) fn read(log: &dyn ReadLog) -> Result<Result<Vec<Entry>, ReadError>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut versions = BTreeMap::<String, u64>::new();
    let mut wrong = None;
    let head = log.head().position;
    let scanned = log.scan(1, u64::MAX, &mut |record| {
        let (kind, _) = record.kind_and_id();
        let event = AnyEvent::decode(kind, record.type_id, record.schema, record.payload);
        let entry = event.map(|event| Entry {
            position: record.position,
            at_us: record.at_us,
            stream: record.stream.to_owned(),
            version: record.version,
            event,
        });
        match entry.map_err(|error| error.to_string()).and_then(|entry| {
            let version = versions.entry(entry.stream.clone()).or_default();
            *version += 1;
            follows(entries.last(), &entry, *version).map(|()| entry)
        }) {
            Ok(entry) => entries.push(entry),
            Err(reason) => {
                wrong = Some(reason);
                return ControlFlow::Break(());
            },
        }
        ControlFlow::Continue(())
    });
    if let Some(reason) = wrong {
        return Err(reason);
    }
    if let Err(error) = scanned {
        return match error {
            ReadError::Io(_) => Ok(Err(error)),
            _ => Err(error.to_string()),
        };
    }
    let last = entries.last().map_or(0, |entry| entry.position);
    hold!(last == head, "the head is {head}, the last record {last}");
    Ok(Ok(entries))
}

fn follows(before: Option<&Entry>, entry: &Entry, version: u64) -> Result<(), String> {
    let next = before.map_or(1, |before| before.position + 1);
    hold!(entry.position == next, "a gap: {next} is missing before {entry:?}");
    hold!(entry.version == version, "version {version} is missing before {entry:?}");
    let at_us = before.map_or(0, |before| before.at_us);
    hold!(entry.at_us >= at_us, "time goes back at {entry:?}");
    Ok(())
}

/// What a reader has seen is there, as it was.
pub(crate) fn continues(seen: &[Entry], now: &[Entry]) -> Result<(), String> {
    for (known, entry) in seen.iter().zip(now) {
        hold!(known == entry, "a position has other content: {known:?} is {entry:?} now");
    }
    let lost = seen.get(now.len()..).unwrap_or_default().first();
    hold!(lost.is_none(), "an event that was seen is lost: {lost:?}");
    Ok(())
}

/// Every answer that names a position names an event of its stream, which is there.
pub(crate) fn has_all_that_was_acknowledged(
    history: &History,
    entries: &[Entry],
) -> Result<(), String> {
    for act in &history.acts {
        let Some(position) = act.position().filter(|position| *position > 0) else { continue };
        let entry = usize::try_from(position - 1).ok().and_then(|index| entries.get(index));
        let right = entry.is_some_and(|entry| entry.stream == act.stream);
        hold!(right, "lost: {act:?} rests on {position}, where {entry:?} is");
    }
    Ok(())
}

/// Everything up to a position, folded.
pub(crate) fn fold(entries: &[Entry], upto: u64) -> Result<World, String> {
    let mut world = World::default();
    for entry in entries.iter().take_while(|entry| entry.position <= upto) {
        let (_, id) = entry.stream.split_once('/').unwrap_or_default();
        let folded = world.apply(id, &entry.event);
        folded.map_err(|illegal| format!("{entry:?} cannot be: {illegal}"))?;
    }
    Ok(world)
}

/// Nothing of a request that was refused, and never made again, is in the journal.
pub(crate) fn refusals_left_nothing(history: &History, entries: &[Entry]) -> Result<(), String> {
    use mainstay_actors::host::Failure;
    use mainstay_actors::lock::LockEvent;
    let mut asked = BTreeMap::<&str, Vec<&Act>>::new();
    for act in &history.acts {
        if let (Some(key), Command::Lock(_)) = (&act.key, &act.command) {
            asked.entry(key).or_default().push(act);
        }
    }
    for (key, acts) in asked {
        let refused = acts.iter().all(|act| {
            let said = act.answered.as_ref().map(|(_, said)| said);
            matches!(said, Some(Said::Lock(Err(Failure::Refused(_) | Failure::Busy(_)))))
        });
        let trace = entries.iter().find(|entry| match &entry.event {
            AnyEvent::Lock(LockEvent::LeaseGranted(granted)) => {
                granted.claim.request.as_deref() == Some(key)
            },
            _ => false,
        });
        hold!(!refused || trace.is_none(), "{acts:?} were refused, and {trace:?} is there");
    }
    Ok(())
}
