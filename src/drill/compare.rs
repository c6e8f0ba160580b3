//! Two journals at the same position: the state of every entity, the head of every stream, the tree.
//!
//! ```text
//!   original ─ fold to P ─► states, heads ─┐
//!                                          ├─ equal? else the first twenty differences, by name
//!   restored ─ fold to P ─► states, heads ─┘        and the Merkle roots over 1 … P
//! ```

use std::collections::HashMap;

use mainstay_actors::chaos::Chaos;
use mainstay_actors::dependency::Dependency;
use mainstay_actors::key::Key;
use mainstay_actors::lock::Lock;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::session::Session;
use mainstay_actors::subject::Subject;
use mainstay_actors::system::System;
use mainstay_actors::world::World;
use mainstay_journal::{Head, ReadLog, Reader, merkle};
use serde::{Deserialize, Serialize};

use crate::travel::{Fold, Moment};

/// Differences that are named.
const NAMED: usize = 20;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Up to which position.
    pub position: u64,
    /// Streams of either journal.
    pub compared: u64,
    /// Those whose states or heads are not the same.
    pub different: u64,
    /// The first of them, with what is different.
    pub differences: Vec<String>,
    /// The Merkle root of the original over that many records, in hexadecimal digits.
    pub root: String,
    /// Whether the restored journal has the same one.
    pub same_root: bool,
}

impl Comparison {
    /// Nothing is different.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.different == 0 && self.same_root
    }

    /// What is wrong, if anything is.
    pub(super) fn findings(&self, of: &str) -> Vec<String> {
        let mut findings = Vec::new();
        if self.different > 0 {
            let Self { different, compared, position, .. } = self;
            findings.push(format!(
                "{of}: {different} of {compared} entities differ at position {position}"
            ));
            findings.extend(self.differences.iter().map(|it| format!("{of}: {it}")));
        }
        if !self.same_root {
            findings.push(format!("{of}: the Merkle roots differ at position {}", self.position));
        }
        findings
    }
}

/// A journal folded up to a position.
struct Folded {
    world: World,
    heads: HashMap<String, Head>,
    root: [u8; 32],
}

/// Compares two journals after so many records.
///
/// # Errors
/// One of them cannot be read or folded that far; which one is said.
pub fn compare(original: &Reader, restored: &Reader, position: u64) -> Result<Comparison, String> {
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| fold(original, position));
        let other = fold(restored, position);
        let one = one.join().unwrap_or_else(|_| Err("the fold broke off".to_owned()));
        (one, other)
    });
    let one = one.map_err(|reason| format!("the original: {reason}"))?;
    let other = other.map_err(|reason| format!("the restored journal: {reason}"))?;
    Ok(difference(&one, &other, position))
}

fn fold(log: &Reader, position: u64) -> Result<Folded, String> {
    let head = log.head().position;
    if position > head {
        return Err(format!("it ends at position {head}, and {position} is asked for"));
    }
    let place = Moment::Position(position).place(log, super::measure::now());
    let place = place.map_err(|error| error.to_string())?;
    let mut fold = Fold::default();
    let mut heads = HashMap::new();
    let walked = fold.walk(log, &place, &mut |_| true, &mut |_, record, _| {
        let head = Head { version: record.version, position: record.position };
        match heads.get_mut(record.stream) {
            Some(known) => *known = head,
            None => drop(heads.insert(record.stream.to_owned(), head)),
        }
    });
    walked.map_err(|error| error.to_string())?;
    let root = merkle::root(log, position).map_err(|error| error.to_string())?;
    Ok(Folded { world: fold.world, heads, root })
}

fn difference(one: &Folded, other: &Folded, position: u64) -> Comparison {
    let mut streams: Vec<&str> = one.heads.keys().map(String::as_str).collect();
    streams
        .extend(other.heads.keys().map(String::as_str).filter(|it| !one.heads.contains_key(*it)));
    let mut found: Vec<(&str, String)> = Vec::new();
    for stream in &streams {
        if let Some(what) = differs(one, other, stream) {
            found.push((stream, what));
        }
    }
    found.sort_unstable();
    let named = found.iter().take(NAMED).map(|(stream, what)| format!("{stream} {what}"));
    Comparison {
        position,
        compared: streams.len() as u64,
        different: found.len() as u64,
        differences: named.collect(),
        root: hex(&one.root),
        same_root: one.root == other.root,
    }
}

/// What is different about a stream, if anything is.
fn differs(one: &Folded, other: &Folded, stream: &str) -> Option<String> {
    match (one.heads.get(stream), other.heads.get(stream)) {
        (Some(_), None) => Some("is not in the restored journal".to_owned()),
        (None, Some(_)) => Some("is only in the restored journal".to_owned()),
        (Some(one), Some(other)) if one != other => {
            Some(format!("has version {} and not {}", other.version, one.version))
        },
        _ if !same_state(&one.world, &other.world, stream) => Some("has another state".to_owned()),
        _ => None,
    }
}

fn same_state(one: &World, other: &World, stream: &str) -> bool {
    let Some((kind, id)) = stream.split_once('/') else { return false };
    match kind {
        System::KIND => one.system.get(id) == other.system.get(id),
        Dependency::KIND => one.dependencies.get(id) == other.dependencies.get(id),
        Key::KIND => one.keys.get(id) == other.keys.get(id),
        Chaos::KIND => one.experiments.get(id) == other.experiments.get(id),
        Subject::KIND => one.subjects.get(id) == other.subjects.get(id),
        Session::KIND => {
            one.sessions.get(id) == other.sessions.get(id)
                && one.fenced.sessions.get(id) == other.fenced.sessions.get(id)
        },
        Lock::KIND => {
            one.locks.get(id) == other.locks.get(id)
                && one.fenced.locks.get(id) == other.fenced.locks.get(id)
        },
        // No machine folds it: its records are under the root.
        _ => true,
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
