//! States that a start has folded already: the first actor of each stream takes its own.
//!
//! Starts, levels and dependencies have long streams, and a start needs each of them.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;

use mainstay_journal::StreamId;

use super::loaded::Loaded;
use crate::machine::Machine;

/// The states by stream; each is taken once.
#[derive(Debug, Default)]
pub(crate) struct Seeds(RefCell<HashMap<StreamId, Box<dyn Any>>>);

impl Seeds {
    pub(crate) fn put<M: Machine>(&self, stream: StreamId, loaded: Loaded<M>) {
        self.0.borrow_mut().insert(stream, Box::new(loaded));
    }

    pub(crate) fn take<M: Machine>(&self, stream: &StreamId) -> Option<Loaded<M>> {
        let seed = self.0.borrow_mut().remove(stream)?;
        seed.downcast().ok().map(|loaded| *loaded)
    }
}
