//! What an event led to: records whose causation is one of its tree's, in the events that follow.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_journal::{Cursor, ReadError, ReadLog};

use super::{Effect, LOOK_AHEAD, Sees, TOLD, told_at};
use crate::travel::diff::Few;

/// What the tree led to, each behind its cause, and how far was looked.
pub(super) fn effects(
    log: &dyn ReadLog,
    tree: &[Cursor],
    sees: Sees<'_>,
) -> Result<(Few<Effect>, u64), ReadError> {
    let first = tree.iter().map(|it| it.position).min().unwrap_or_default();
    let until = first.saturating_add(LOOK_AHEAD).min(log.head().position);
    // Event → its cause; the roots have none. A fork may lie between the two.
    let mut found: BTreeMap<Cursor, Option<Cursor>> = tree.iter().map(|it| (*it, None)).collect();
    let mut more = 0;
    log.scan(first + 1, until, &mut |record| {
        let cause = record.causation.filter(|_| sees(record.stream));
        if let Some(cause) = cause.filter(|cause| found.contains_key(cause)) {
            if found.len() < TOLD + tree.len() {
                found.entry(record.cursor()).or_insert(Some(cause));
            } else {
                more += 1;
            }
        }
        ControlFlow::Continue(())
    })?;
    let mut effects = Few { shown: Vec::new(), more };
    for root in tree {
        below(log, &found, *root, 1, &mut effects.shown)?;
    }
    Ok((effects, until))
}

fn below(
    log: &dyn ReadLog,
    found: &BTreeMap<Cursor, Option<Cursor>>,
    cause: Cursor,
    depth: u32,
    into: &mut Vec<Effect>,
) -> Result<(), ReadError> {
    for (event, _) in found.iter().filter(|(_, of)| **of == Some(cause)) {
        if let Some(told) = told_at(log, event.position)? {
            into.push(Effect { depth, told });
        }
        below(log, found, *event, depth + 1, into)?;
    }
    Ok(())
}
