//! Records as people and programs read them: one shape for HTTP, audit and replay.

use mainstay_actors::time::Timestamp;
use mainstay_actors::world::{AnyEvent, Meaningless, World};
use mainstay_journal::{Cursor, RecordRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One event. Attribute values appear as lengths only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Event {
    /// Of its history.
    pub epoch: u32,
    /// Gap-free from 1.
    pub position: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// `kind/id`.
    pub stream: String,
    /// Gap-free from 1 along the stream.
    pub version: u64,
    /// What happened: `LeaseGranted`.
    #[serde(rename = "type")]
    pub name: String,
    /// Who asked for it.
    pub principal: String,
    /// The request it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(nullable = false))]
    pub request: Option<String>,
    /// What ties it to work outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(nullable = false))]
    pub correlation: Option<String>,
    /// `{epoch}-{position}` of the event that made it necessary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(nullable = false))]
    pub causation: Option<String>,
    /// The event's own fields.
    #[cfg_attr(feature = "server", schema(value_type = Object))]
    pub data: Value,
}

impl Event {
    /// Reads a record. One of an unknown type keeps its envelope and shows its size.
    #[must_use]
    pub fn of(record: &RecordRef<'_>) -> Self {
        let (kind, _) = record.kind_and_id();
        let decoded = AnyEvent::decode(kind, record.type_id, record.schema, record.payload);
        let (name, data) = match &decoded {
            Ok(event) => (event.name().to_owned(), json!(event)),
            Err(reason) => (
                format!("{:#06x}.{}", record.type_id, record.schema),
                json!({ "unreadable": reason.to_string(), "size_bytes": record.payload.len() }),
            ),
        };
        Self {
            epoch: record.epoch,
            position: record.position,
            at: Timestamp::from_micros(record.at_us),
            stream: record.stream.to_owned(),
            version: record.version,
            name,
            principal: record.principal.to_owned(),
            request: record.request.map(|(id, _)| id.to_owned()),
            correlation: record.correlation.map(str::to_owned),
            causation: record.causation.map(|cursor| cursor.to_string()),
            data,
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.position }
    }
}

/// Folds a record into a world.
///
/// # Errors
/// What is wrong with it, with its position.
pub fn fold(world: &mut World, record: &RecordRef<'_>) -> Result<(), String> {
    apply(world, record).map_err(|reason| format!("position {}: {reason}", record.position))
}

/// As [`fold`], with the bare reason.
pub(crate) fn apply(world: &mut World, record: &RecordRef<'_>) -> Result<(), Meaningless> {
    let (kind, id) = record.kind_and_id();
    let event = AnyEvent::decode(kind, record.type_id, record.schema, record.payload)?;
    Ok(world.apply(id, &event)?)
}

/// Type ids of one name, or of several with commas between.
///
/// # Errors
/// A name is unknown; the nearest known one is named.
pub fn type_ids(names: &str) -> Result<Vec<u16>, String> {
    let catalogue = AnyEvent::catalogue();
    names.split(',').map(str::trim).map(|name| type_id(&catalogue, name)).collect()
}

fn type_id(catalogue: &[(&str, u16)], name: &str) -> Result<u16, String> {
    if let Some((_, id)) = catalogue.iter().find(|(known, _)| *known == name) {
        return Ok(*id);
    }
    let distance = |known: &&(&str, u16)| strsim::damerau_levenshtein(name, known.0);
    let nearest = catalogue.iter().min_by_key(distance).map_or("none", |(known, _)| known);
    Err(format!("unknown event type {name:?}; the nearest known one is {nearest:?}"))
}
