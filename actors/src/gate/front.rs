//! A gate as its callers have it: enter, make the call, settle.
//!
//! ```text
//!   enter_plainly ──► the call ──► settle_plainly      most calls: closed, a success within a tick
//!        │ None                        │ no
//!        ▼                             ▼
//!   shut, enter ────► the call ──► settle              all others
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Outcome;
use super::board::{Board, Spot};
use super::face::{Entry, Lane, Plain, Settled, Shut, Ticket};
use super::stripe::{LONG_US, Stripe};
use super::thrift;
use super::word::Word;

/// A gate as its callers have it. Cheap to clone, used from any thread.
#[derive(Clone)]
#[repr(C)]
pub struct Front {
    // What a call reads comes first.
    board: Arc<Board>,
    spot: Spot,
    name: Arc<str>,
}

impl Front {
    pub(super) const fn new(board: Arc<Board>, spot: Spot, name: Arc<str>) -> Self {
        Self { board, spot, name }
    }

    /// The dependency's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a call may be made now. Reads no lock and allocates nothing.
    #[inline]
    #[must_use]
    pub fn enter(&self) -> Entry {
        self.spot.face().enter(self.board.now_us())
    }

    /// Where this thread counts: to be asked for where a call is settled.
    #[inline]
    #[must_use]
    pub fn lane(&self) -> Lane<'_> {
        self.spot.lane()
    }

    /// Whether the call's time is wanted exactly, and not by the tick alone.
    #[inline]
    #[must_use]
    pub fn wants_exact(&self, ticket: Ticket, lane: Lane<'_>) -> bool {
        ticket.word.has(Word::EXACT) || self.wants_latency(lane.stripe)
    }

    #[inline]
    fn wants_latency(&self, stripe: &Stripe) -> bool {
        stripe.wants_latency(self.round(), || thrift::is_spent(self.board.now_us()))
    }

    /// The short way into a call, if it is as most are: the breaker is closed, no failure makes a
    /// second look necessary, the thread has counted here before, no exact time is wanted.
    /// Everybody else takes [`enter`](Self::enter).
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "measured: a call of its own costs as much as the rest"
    )]
    #[must_use]
    pub fn enter_plainly(&self) -> Option<Plain<'_>> {
        let word = self.spot.face().word();
        if !word.is_wholly_plain() {
            return None;
        }
        let stripe = self.spot.own_stripe()?;
        if self.wants_latency(stripe) {
            return None;
        }
        let ticket = Ticket { word, began_us: self.board.now_us() };
        Some(Plain { ticket, lane: Lane { stripe, is_shared: false, on_its_thread: PhantomData } })
    }

    /// The answer of a breaker that is open; `None`: [`enter`](Self::enter) says more.
    #[inline]
    #[must_use]
    pub fn shut(&self) -> Option<Shut> {
        let face = self.spot.face();
        face.shut(face.word(), self.board.now_us())
    }

    /// As [`settle`](Self::settle), for a call that was entered plainly: a success that took less
    /// than a tick, in a state that is still the same, is counted and nothing more.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "measured: a call of its own costs as much as the rest"
    )]
    pub fn settle_plainly(&self, plain: Plain<'_>, outcome: Outcome) {
        let Plain { ticket, lane } = plain;
        if !self.is_settled_plainly(ticket, outcome, lane.stripe) {
            self.settle(ticket, outcome, None, lane);
        }
    }

    /// As [`settle_plainly`](Self::settle_plainly), where the call may have come to another thread.
    #[inline]
    pub fn settle_anywhere(&self, ticket: Ticket, outcome: Outcome) {
        match self.spot.own_stripe() {
            Some(stripe) if self.is_settled_plainly(ticket, outcome, stripe) => {},
            _ => self.settle(ticket, outcome, None, self.lane()),
        }
    }

    #[inline]
    fn is_settled_plainly(&self, ticket: Ticket, outcome: Outcome, stripe: &Stripe) -> bool {
        let is_settled = self.board.now_us() == ticket.began_us
            && outcome == Outcome::Success
            && ticket.word.is_wholly_plain()
            && self.spot.face().settle_plainly(ticket, stripe);
        if is_settled && ticket.word.has(Word::BY_CALLS) {
            self.succeed_by_calls(ticket);
        }
        is_settled
    }

    #[inline(never)]
    fn succeed_by_calls(&self, ticket: Ticket) {
        let stripes = || self.spot.stripes().map(|(_, stripe)| stripe);
        if self.spot.face().succeed_by_calls(ticket, stripes) {
            self.board.notice(&self.name);
        }
    }

    /// The time by the tick, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.board.now_us() / 1_000
    }

    /// Faults are injected into its calls.
    #[inline]
    #[must_use]
    pub const fn is_faulted(ticket: Ticket) -> bool {
        ticket.word.has(Word::FAULTED)
    }

    /// Tells how a call went; `exact_us` is how long it took, in microseconds, if that was taken.
    pub fn settle(&self, ticket: Ticket, outcome: Outcome, exact_us: Option<u64>, lane: Lane<'_>) {
        let now_us = self.board.now_us();
        let by_tick_us = now_us.saturating_sub(ticket.began_us);
        let us = exact_us.unwrap_or(by_tick_us);
        let (_, settled) = self.count(ticket, outcome, us, lane);
        if settled.counted && (exact_us.is_some() || us >= LONG_US) {
            lane.stripe.keep_latency(self.round(), us);
            thrift::spend(now_us);
        }
        if settled.found {
            self.board.notice(&self.name);
        }
    }

    /// Whether it was slow, and what became of it.
    fn count(&self, ticket: Ticket, outcome: Outcome, us: u64, lane: Lane<'_>) -> (bool, Settled) {
        let face = self.spot.face();
        let slow = us > 0 && us > face.slow_us() && outcome != Outcome::Ignored;
        let stripes = || self.spot.stripes().map(|(_, stripe)| stripe);
        (slow, face.settle(ticket, outcome, slow, lane, stripes))
    }

    /// As [`settle`](Self::settle), for a call under an injected fault: it decides as any call does,
    /// and the journal's statistics count it apart.
    pub fn settle_injected(&self, ticket: Ticket, outcome: Outcome) {
        let now_us = self.board.now_us();
        let us = now_us.saturating_sub(ticket.began_us);
        let (slow, settled) = self.count(ticket, outcome, us, self.lane());
        if settled.counted || settled.late {
            self.spot.face().count_injected(outcome == Outcome::Failure, slow, settled.late);
        }
        if settled.found {
            self.board.notice(&self.name);
        }
    }

    /// Faults are injected into calls that begin now.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.spot.face().word().has(Word::FAULTED)
    }

    /// From now on calls are admitted with [`is_faulted`](Self::is_faulted), or no longer.
    pub fn set_faulted(&self, faulted: bool) {
        self.spot.face().mark(Word::FAULTED, faulted);
    }

    /// The journal does not take events: the breaker goes on, and its state is not recorded yet.
    #[must_use]
    pub fn is_unjournaled(&self) -> bool {
        self.spot.face().word().has(Word::UNJOURNALED)
    }

    pub(super) const fn spot(&self) -> &Spot {
        &self.spot
    }

    #[inline]
    pub(super) fn round(&self) -> u32 {
        self.board.round()
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Front").field(&self.name).finish()
    }
}
