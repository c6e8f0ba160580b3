//! What changed between two moments, as a person would ask: who held what and why no more, which
//! level and why, which breakers moved and by what evidence.
//!
//! ```text
//!   fold ──► from ──── walk: each event, with the world before it ────► to
//!             │ live leases and sessions, levels, breakers                │ the same
//!             └──────────────► Diff { health, dependencies, locks, … } ◄──┘
//! ```
//!
//! The walk keeps what it shows and counts the rest: the first [`ENTITIES`] of each kind that were
//! touched, and of each the first [`STEPS`].

mod dependencies;
mod locks;
mod model;
mod sessions;
mod walk;

pub use model::{
    DependencyBrief, DependencyDiff, Diff, Few, HealthDiff, LeaseEnd, LeaseTale, LockDiff,
    SessionTale, SessionsDiff, Step, WaitTale,
};

use std::ops::ControlFlow;

use mainstay_actors::host::{Fence, begin_stream};
use mainstay_journal::{Head, ReadError, ReadLog, StreamId};

use self::walk::Walk;
use super::{Fold, Place, Unfoldable};

/// Most dependencies, locks and sessions that are told of.
pub const ENTITIES: usize = 20;
/// Most steps of each.
pub const STEPS: usize = 20;

/// Why there is no difference to tell.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The first moment lies after the second.
    #[error("from ({from}) lies after to ({to}); give the earlier moment first")]
    Backwards {
        /// The first.
        from: Place,
        /// The second.
        to: Place,
    },
    /// The stream has no event up to the second moment.
    #[error("there is no stream {stream} up to position {position}")]
    NoStream {
        /// Its name.
        stream: StreamId,
        /// The second moment.
        position: u64,
    },
    /// The journal cannot be folded.
    #[error(transparent)]
    Fold(#[from] Unfoldable),
}

impl From<ReadError> for DiffError {
    fn from(error: ReadError) -> Self {
        Self::Fold(error.into())
    }
}

/// Tells what changed from one place to another, of everything or of one stream. `fold` must not
/// have passed `from`, and is at `to` afterwards; of one stream it must be new.
///
/// # Errors
/// See [`DiffError`].
pub fn diff(
    log: &dyn ReadLog,
    fold: &mut Fold,
    (from, to): (Place, Place),
    stream: Option<&StreamId>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Diff, DiffError> {
    if from.position > to.position || from.judged_at() > to.judged_at() {
        return Err(DiffError::Backwards { from, to });
    }
    let Some(stream) = stream else {
        fold.advance(log, &from, go_on)?;
        let mut walk = Walk::new(from, to, &fold.world);
        fold.walk(log, &to, go_on, &mut |world, record, event| walk.see(world, record, event))?;
        return Ok(walk.end(log, &fold.world, None)?);
    };
    let (mut walk, mut trouble) = (None, None);
    let mut after = Head::default();
    if let Some(base) = log.base().filter(|base| base.head().position <= from.position)
        && let Some(state) = base.state(stream)?
        && begin_stream(&mut fold.world, &state).is_some()
    {
        (after, fold.position) = (state.head, state.head.position);
    }
    let head = log.stream_head(stream, to.position)?;
    let mut fences = fences(log, after, to.position)?.into_iter().peekable();
    // A restore between two of its events ends what it holds.
    let mut pass = |upto: u64, walk: &mut Option<Walk>, fold: &mut Fold| {
        while let Some(fence) = fences.next_if(|fence| fence.position <= upto) {
            if fence.position > from.position {
                let walk = walk.get_or_insert_with(|| Walk::new(from, to, &fold.world));
                walk.fence(&fold.world, fence);
            }
            fold.world.fence_one(stream.kind(), stream.id());
        }
    };
    log.read_between(stream, after, head, &mut |record| {
        pass(record.position, &mut walk, fold);
        if record.position > from.position && walk.is_none() {
            walk = Some(Walk::new(from, to, &fold.world));
        }
        let taken = fold.take(&record, &mut |world, record, event| {
            if let Some(walk) = &mut walk {
                walk.see(world, record, event);
            }
        });
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                trouble = Some(Unfoldable::Meaningless { position: record.position, reason });
                ControlFlow::Break(())
            },
        }
    })?;
    if fold.position > 0 {
        pass(to.position, &mut walk, fold);
    }
    if let Some(trouble) = trouble {
        return Err(trouble.into());
    }
    if fold.position == 0 {
        let (stream, position) = (stream.clone(), to.position);
        return Err(DiffError::NoStream { stream, position });
    }
    let walk = walk.unwrap_or_else(|| Walk::new(from, to, &fold.world));
    Ok(walk.end(log, &fold.world, Some(stream))?)
}

/// The restores behind a stream's record.
fn fences(log: &dyn ReadLog, after: Head, upto: u64) -> Result<Vec<Fence>, ReadError> {
    let base = log.base().map_or(0, |base| base.head().position).min(upto);
    let mut fences = Vec::new();
    // Of several among what was dropped the newest ends it as well as the first.
    fences.extend(Fence::newest(log, base)?.filter(|fence| fence.covers(after)));
    fences.extend(Fence::between(log, base, upto)?);
    Ok(fences)
}
