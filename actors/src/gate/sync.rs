//! Atomics and the mutex of the gate: those of the standard library, or loom's where its models run.

#[cfg(not(loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
};

#[cfg(loom)]
pub(super) use loom::{
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
};
