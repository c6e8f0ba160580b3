//! Ranges of settings.

pub(super) use super::error::LimitError;

pub(super) const fn check(
    holds: bool,
    field: &'static str,
    rule: &'static str,
) -> Result<(), LimitError> {
    if holds { Ok(()) } else { Err(LimitError { field, rule }) }
}
