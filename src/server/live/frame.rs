//! Events in the framing of server-sent events.

use actix_web::web::Bytes;
use mainstay_journal::RecordRef;
use russe::{Event as Frame, Message};
use serde_json::json;

use crate::event::Event;

/// A browser comes back so soon after its connection is lost.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// A record; its id is its cursor, so that a reader that comes back goes on behind it.
pub(super) fn of(record: &RecordRef<'_>) -> Bytes {
    let data = serde_json::to_string(&Event::of(record)).unwrap_or_default();
    let id = Some(record.cursor().to_string().into());
    encode(Frame::Message(Message { data: data.into(), event: None, retry: None, id }))
}

/// The first thing a reader gets: headers alone may wait in a buffer.
pub(super) fn hello(after: u64) -> Bytes {
    let hello = Message {
        data: json!({ "after": after }).to_string().into(),
        event: Some("hello".into()),
        retry: Some(RETRY),
        id: None,
    };
    encode(Frame::Message(hello))
}

/// The last thing a reader gets.
pub(super) fn end(event: &'static str, reason: &str) -> Bytes {
    let data = json!({ "reason": reason }).to_string().into();
    encode(Frame::Message(Message { data, event: Some(event.into()), retry: None, id: None }))
}

/// Keeps a connection from looking dead.
pub(super) fn heartbeat() -> Bytes {
    encode(Frame::Comment("still here".into()))
}

fn encode(frame: Frame) -> Bytes {
    // Ids and names are our own and on one line: there is nothing to refuse.
    let Ok(text) = frame.into_bytestring() else { return Bytes::new() };
    text.into_bytes()
}
