//! What a session may hold, and how it may be named.

use super::{
    Attributes, Elsewhere, MAX_AGE_MS, MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, MAX_CHANGES,
    MAX_NAME_BYTES, Sealed, SessionReject, TTL_MS, personal::personal,
};
use crate::time::Timestamp;

/// Shortest absolute age, in milliseconds.
const MIN_AGE_MS: u64 = 1_000;
/// Of a session that comes from elsewhere: what every JSON number holds.
const REVISIONS: std::ops::RangeInclusive<u64> = 1..=1 << 53;

/// Whether a session may begin like this; `attributes` may still be plain. The edge asks before it
/// makes a key for the subject.
///
/// # Errors
/// Why it may not.
pub fn check_new(
    tenant: &str,
    subject: &str,
    ttl_ms: u64,
    max_age_ms: Option<u64>,
    attributes: &Attributes,
) -> Result<(), SessionReject> {
    check_create(tenant, subject, ttl_ms, max_age_ms)?;
    check_attributes(attributes)
}

/// Whether a session may have stood like this elsewhere; `attributes` may still be plain.
///
/// # Errors
/// Why it may not.
pub fn check_import(elsewhere: &Elsewhere, now: Timestamp) -> Result<(), SessionReject> {
    let Elsewhere { created_at, active_at, idle_until, ends_at, ttl_ms, .. } = elsewhere;
    let max_age_ms = ends_at.map(|ends_at| ends_at.ms_since(*created_at));
    let (tenant, subject) = (&elsewhere.tenant, &elsewhere.subject);
    check_new(tenant, subject, *ttl_ms, max_age_ms, &elsewhere.attributes)?;
    check(REVISIONS.contains(&elsewhere.revision), "revision", "1 to 2^53")?;
    check(created_at <= active_at, "created_at", "at most active_at")?;
    check(*active_at <= now, "active_at", "in the past")?;
    let idles = *active_at..=active_at.plus_ms(*ttl_ms);
    check(idles.contains(idle_until), "idle_until", "at most ttl_ms after active_at")
}

/// Whether these may name somebody.
///
/// # Errors
/// Why they may not.
pub fn check_subject(tenant: &str, subject: &str) -> Result<(), SessionReject> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let named = is_name_length(tenant) && tenant.chars().all(plain);
    check(named, "tenant", "1 to 200 of A-Z a-z 0-9 . _ -")?;
    check(is_name(subject), "subject", "1 to 200 bytes without control characters")?;
    match personal(subject) {
        Some(what) => Err(SessionReject::PersonalSubject { what }),
        None => Ok(()),
    }
}

fn check_create(
    tenant: &str,
    subject: &str,
    ttl_ms: u64,
    max_age_ms: Option<u64>,
) -> Result<(), SessionReject> {
    check_subject(tenant, subject)?;
    check(TTL_MS.contains(&ttl_ms), "ttl_ms", "1000 to 2592000000 (30 days)")?;
    let aged = max_age_ms.is_none_or(|age_ms| (MIN_AGE_MS..=MAX_AGE_MS).contains(&age_ms));
    check(aged, "max_age_ms", "1000 to 31622400000 (366 days)")
}

fn check_attributes(attributes: &Attributes) -> Result<(), SessionReject> {
    for (name, value) in attributes.iter() {
        check_change(name, Some(value))?;
    }
    check_sums(attributes.len(), size_bytes(attributes))
}

/// One attribute's name and value.
pub(super) fn check_change(name: &str, value: Option<&Sealed>) -> Result<(), SessionReject> {
    check(is_name(name), "attribute name", "1 to 200 bytes without control characters")?;
    let whole = value.is_none_or(Sealed::is_whole);
    check(whole, "attribute value", "led by its scheme byte, and as long as the scheme needs")
}

/// The attributes as they would be after the changes, and the changes themselves: a record is
/// bounded too.
pub(super) fn check_patched(
    attributes: &Attributes,
    changes: &Attributes<Option<Sealed>>,
) -> Result<(), SessionReject> {
    let mut count = attributes.len();
    let mut bytes = size_bytes(attributes);
    for (name, value) in changes.iter() {
        if let Some(old) = attributes.get(name) {
            count -= 1;
            bytes -= name.len() + old.size_bytes();
        }
        if let Some(new) = value {
            count += 1;
            bytes += name.len() + new.size_bytes();
        }
    }
    check_sums(count, bytes)?;
    let value_bytes = |value: &Option<Sealed>| value.as_ref().map_or(0, Sealed::size_bytes);
    let sizes = changes.iter().map(|(name, value)| name.len() + value_bytes(value));
    check(changes.len() <= MAX_CHANGES, "changes", "at most 128")?;
    let fits = sizes.sum::<usize>() <= MAX_ATTRIBUTE_BYTES;
    check(fits, "changes", "at most 16384 bytes, names included")
}

fn check_sums(count: usize, bytes: usize) -> Result<(), SessionReject> {
    check(count <= MAX_ATTRIBUTES, "attributes", "at most 64")?;
    check(bytes <= MAX_ATTRIBUTE_BYTES, "attributes", "at most 16384 bytes, names included")
}

fn size_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.size_bytes()).sum()
}

fn is_name_length(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

fn is_name(name: &str) -> bool {
    is_name_length(name) && !name.chars().any(char::is_control)
}

fn check(holds: bool, field: &'static str, rule: &'static str) -> Result<(), SessionReject> {
    if holds { Ok(()) } else { Err(SessionReject::OutOfRange { field, rule }) }
}
