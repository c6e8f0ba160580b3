//! What the tests share: a journal with a fault in front, a System in virtual time, short words.

mod journal;
mod words;

pub(crate) use journal::{Rig, virtually};
pub(crate) use words::{
    acquire, breaker, claim, create, lock, lock_events, meta, request, session, waiting,
};
