//! What an event led to: records whose causation is one of its tree's, in the events that follow.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mainstay_journal::{ReadError, ReadLog};

use super::{Effect, LOOK_AHEAD, Sees, TOLD, told_at};
use crate::travel::diff::Few;

/// What the tree led to, each behind its cause, and how far was looked.
pub(super) fn effects(
    log: &dyn ReadLog,
    epoch: u32,
    tree: &[u64],
    sees: Sees<'_>,
) -> Result<(Few<Effect>, u64), ReadError> {
    let first = tree.iter().min().copied().unwrap_or_default();
    let until = first.saturating_add(LOOK_AHEAD).min(log.head().position);
    // Position → its cause; the roots have none.
    let mut found: BTreeMap<u64, Option<u64>> = tree.iter().map(|it| (*it, None)).collect();
    let mut more = 0;
    log.scan(first + 1, until, &mut |record| {
        let cause = record.causation.filter(|cause| cause.epoch == epoch && sees(record.stream));
        if let Some(cause) = cause.filter(|cause| found.contains_key(&cause.position)) {
            if found.len() < TOLD + tree.len() {
                found.entry(record.position).or_insert(Some(cause.position));
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
    found: &BTreeMap<u64, Option<u64>>,
    cause: u64,
    depth: u32,
    into: &mut Vec<Effect>,
) -> Result<(), ReadError> {
    for (position, _) in found.iter().filter(|(_, of)| **of == Some(cause)) {
        if let Some(told) = told_at(log, *position)? {
            into.push(Effect { depth, told });
        }
        below(log, found, *position, depth + 1, into)?;
    }
    Ok(())
}
