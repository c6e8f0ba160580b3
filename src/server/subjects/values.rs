//! Values as a document shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_actors::session::Sealed;
use serde_json::Value;

use crate::vault::SubjectKey;

/// A value that was opened.
pub(super) enum Shown {
    Json(Value),
    /// Bytes that a Rust service has set need not be JSON.
    Base64(String),
}

/// A value of the session `{tenant}/{id}`, if the key opens it; a plain one needs none.
pub(super) fn show(
    key: Option<&SubjectKey>,
    session: &str,
    name: &str,
    value: &Sealed,
) -> Option<Shown> {
    let plain = match value.as_plain() {
        Some(plain) => plain.to_vec(),
        None => key?.open(session, name, value)?,
    };
    let read = serde_json::from_slice(&plain).map(Shown::Json);
    Some(read.unwrap_or_else(|_| Shown::Base64(STANDARD.encode(plain))))
}
