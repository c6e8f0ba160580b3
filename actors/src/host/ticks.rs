//! The tick of the clock for callers: a thread that sets the board's time every millisecond.
//!
//! Reading a clock costs more than a whole guarded call; reading what this thread has set costs
//! nothing measurable. It sleeps until there is a first caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::Duration;

use super::clock::Clock;
use crate::gate::Board;

/// How exact the time of a call is that is not taken exactly.
const TICK: Duration = Duration::from_millis(1);
/// How often it looks whether it is needed at all.
const IDLE: Duration = Duration::from_secs(1);

/// Wakes the thread for the first caller.
#[derive(Debug)]
pub(super) struct Ticks {
    wanted: Arc<AtomicBool>,
    thread: Thread,
}

impl Ticks {
    /// Starts the thread; it ends with the board.
    pub(super) fn start(board: &Arc<Board>, clock: Clock) -> std::io::Result<Self> {
        let wanted = Arc::new(AtomicBool::new(false));
        let (board, is_wanted) = (Arc::downgrade(board), wanted.clone());
        let name = std::thread::Builder::new().name("mainstay-tick".to_owned());
        let running = name.spawn(move || tick(&board, clock, &is_wanted))?;
        Ok(Self { wanted, thread: running.thread().clone() })
    }

    /// There is a caller.
    pub(super) fn want(&self) {
        if !self.wanted.swap(true, Ordering::Relaxed) {
            self.thread.unpark();
        }
    }
}

fn tick(board: &Weak<Board>, clock: Clock, wanted: &AtomicBool) {
    while let Some(board) = board.upgrade().filter(|board| !board.has_ended()) {
        board.tick(clock.now());
        drop(board);
        if wanted.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
        } else {
            std::thread::park_timeout(IDLE);
        }
    }
}
