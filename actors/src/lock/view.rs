//! A lock as anyone may see it.

use serde::Serialize;

use super::draft::Draft;
use super::{LockState, Mode, Range};
use crate::time::Timestamp;

impl LockState {
    /// Its journaled leases and waiters as anyone may see them, without what is over at `now`,
    /// swept or not.
    #[must_use]
    pub fn view_at(&self, now: Timestamp) -> LockView {
        let mut draft = Draft::of(self);
        draft.hide_over(now);
        draft.view()
    }
}

/// A lock as anyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LockView {
    /// Live leases, oldest first.
    pub holders: Vec<Holder>,
    /// Who waits, in order.
    pub waiters: Vec<WaiterView>,
    /// The highest token ever granted.
    pub last_token: u64,
}

/// A lease as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Holder {
    /// The fencing token.
    pub token: u64,
    /// Who holds it.
    pub owner: String,
    /// Alone or together.
    pub mode: Mode,
    /// Which part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub range: Option<Range>,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
}

/// A waiting request as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaiterView {
    /// Who waits.
    pub owner: String,
    /// Alone or together.
    pub mode: Mode,
    /// Which part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub range: Option<Range>,
    /// When it gives up.
    pub deadline: Timestamp,
}
