//! Terms: what a record can be found by, as 64-bit hashes.
//!
//! | seed | text |
//! |---:|---|
//! | 1 | stream |
//! | 2 | type id |
//! | 3 | principal |
//! | 4 | correlation id |
//! | 256 + key | tag value |

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::log::Query;
use crate::record::RecordRef;

pub(crate) fn stream(name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), 1)
}

pub(crate) fn type_id(id: u16) -> u64 {
    xxh3_64_with_seed(&id.to_le_bytes(), 2)
}

pub(crate) fn principal(name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), 3)
}

pub(crate) fn correlation(id: &str) -> u64 {
    xxh3_64_with_seed(id.as_bytes(), 4)
}

pub(crate) fn tag(key: u8, value: &str) -> u64 {
    xxh3_64_with_seed(value.as_bytes(), 256 + u64::from(key))
}

/// Calls `take` with every term of a record.
pub(crate) fn of_record(record: &RecordRef<'_>, mut take: impl FnMut(u64)) {
    take(stream(record.stream));
    take(type_id(record.type_id));
    take(principal(record.principal));
    if let Some(id) = record.correlation {
        take(correlation(id));
    }
    for (key, value) in record.tags() {
        take(tag(key, value));
    }
}

/// The terms that a query asks for: each inner list is an "or", the outer one an "and", those
/// that few records have first.
pub(crate) fn of_query(query: &Query) -> Vec<Vec<u64>> {
    let mut terms = Vec::new();
    terms.extend(query.correlation.as_deref().map(|id| vec![correlation(id)]));
    terms.extend(query.stream.as_ref().map(|id| vec![stream(id.as_str())]));
    terms.extend(query.tags.iter().map(|(key, value)| vec![tag(*key, value)]));
    terms.extend(query.principal.as_deref().map(|name| vec![principal(name)]));
    if !query.types.is_empty() {
        terms.push(query.types.iter().map(|id| type_id(*id)).collect());
    }
    terms
}

/// Whether a record is what the query asks for.
pub(crate) fn matches(query: &Query, record: &RecordRef<'_>) -> bool {
    let tagged = |key: u8, value: &str| record.tags().any(|tag| tag == (key, value));
    record.position > query.after
        && query.stream.as_ref().is_none_or(|stream| stream.as_str() == record.stream)
        && (query.types.is_empty() || query.types.contains(&record.type_id))
        && query.principal.as_deref().is_none_or(|name| name == record.principal)
        && query.correlation.as_deref().is_none_or(|id| record.correlation == Some(id))
        && query.tags.iter().all(|(key, value)| tagged(*key, value))
        && query.since_us.is_none_or(|since| record.at_us >= since)
        && query.until_us.is_none_or(|until| record.at_us <= until)
}
