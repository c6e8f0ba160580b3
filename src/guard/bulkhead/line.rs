//! Places, and a line before them: first come, first served.
//!
//! One word holds how many are inside and how many wait, so that whoever leaves sees whoever came
//! to wait, and the other way round. While nobody waits the word is all that is touched. The line
//! itself is behind a lock; who waits is no longer in it once it has been given a place.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(super) struct Line {
    /// Inside in the low half, waiting in the high one. `waiting` is the length of the line.
    word: AtomicU64,
    limit: AtomicU32,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Ids rise from front to back.
    waiters: VecDeque<(u64, Option<Waker>)>,
    next_id: u64,
}

/// Neither a place nor room in the line.
#[derive(Debug)]
pub(super) struct NoPlace;

const ONE_WAITING: u64 = 1 << 32;

#[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
const fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

impl Line {
    pub(super) fn new(limit: u32) -> Self {
        let limit = AtomicU32::new(limit);
        Self { word: AtomicU64::new(0), limit, queue: Mutex::default() }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn inside_and_waiting(&self) -> (u32, u32) {
        halves(self.word.load(Ordering::Relaxed))
    }

    /// Goes in, if there is room and nobody waits.
    #[inline]
    pub(super) fn try_enter(&self) -> bool {
        let limit = self.limit();
        let enter = |word| {
            let (inside, waiting) = halves(word);
            (waiting == 0 && inside < limit).then(|| word + 1)
        };
        self.word.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_ok()
    }

    /// Stands in the line, if fewer than `room` do; `None`: there was room inside after all.
    pub(super) fn wait(&self, room: u32) -> Result<Option<Waiting<'_>>, NoPlace> {
        let mut queue = self.lock();
        loop {
            if self.try_enter() {
                return Ok(None);
            }
            let word = self.word.load(Ordering::Relaxed);
            let (inside, waiting) = halves(word);
            if waiting == 0 && inside < self.limit() {
                continue;
            }
            if waiting >= room {
                return Err(NoPlace);
            }
            if self.swap(word, word + ONE_WAITING) {
                break;
            }
        }
        let id = queue.next_id;
        queue.next_id += 1;
        queue.waiters.push_back((id, None));
        Ok(Some(Waiting { line: self, id, done: false }))
    }

    /// A place is given to the first who waits, or is free.
    #[inline]
    pub(super) fn leave(&self) {
        let leave = |word| (halves(word).1 == 0).then(|| word - 1);
        if self.word.fetch_update(Ordering::Release, Ordering::Relaxed, leave).is_err() {
            self.pass_on();
        }
    }

    #[cold]
    fn pass_on(&self) {
        let mut queue = self.lock();
        self.word.fetch_sub(1, Ordering::Release);
        let woken = self.admit(&mut queue);
        drop(queue);
        wake(woken);
    }

    pub(super) fn resize(&self, limit: u32) {
        let mut queue = self.lock();
        self.limit.store(limit, Ordering::Relaxed);
        let woken = self.admit(&mut queue);
        drop(queue);
        wake(woken);
    }

    /// Gives the free places to who waits. Under the lock nobody else changes how many wait, and
    /// while somebody waits nobody goes in by another way.
    fn admit(&self, queue: &mut Queue) -> Vec<Waker> {
        let mut woken = Vec::new();
        loop {
            let word = self.word.load(Ordering::Relaxed);
            let (inside, waiting) = halves(word);
            if waiting == 0 || inside >= self.limit() {
                return woken;
            }
            if self.swap(word, word - ONE_WAITING + 1) {
                woken.extend(queue.waiters.pop_front().and_then(|(_, waker)| waker));
            }
        }
    }

    fn swap(&self, from: u64, to: u64) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Only the caller's own wakers could panic under it, and they leave the line whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(woken: Vec<Waker>) {
    woken.into_iter().for_each(Waker::wake);
}

/// Ready with a place. Dropped before, it leaves the line or gives the place on.
#[derive(Debug)]
pub(super) struct Waiting<'l> {
    line: &'l Line,
    id: u64,
    /// The place is taken by who asked.
    done: bool,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.line.lock();
        if let Ok(at) = queue.waiters.binary_search_by_key(&self.id, |(id, _)| *id)
            && let Some((_, waker)) = queue.waiters.get_mut(at)
        {
            let is_known = waker.as_ref().is_some_and(|known| known.will_wake(context.waker()));
            let before = if is_known { None } else { waker.replace(context.waker().clone()) };
            // Not under the lock: it may be the last of a task that waits here itself.
            drop(queue);
            drop(before);
            return Poll::Pending;
        }
        drop(queue);
        self.done = true;
        Poll::Ready(())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut queue = self.line.lock();
        let Ok(at) = queue.waiters.binary_search_by_key(&self.id, |(id, _)| *id) else {
            // It has been given a place that nobody will take.
            drop(queue);
            return self.line.leave();
        };
        let gone = queue.waiters.remove(at);
        self.line.word.fetch_sub(ONE_WAITING, Ordering::Release);
        let woken = self.line.admit(&mut queue);
        drop(queue);
        drop(gone);
        wake(woken);
    }
}
