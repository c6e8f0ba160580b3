//! Figures as evidence says them.

use mainstay_actors::time::Timestamp;

use crate::config::Span;

/// An hour, in milliseconds.
pub(super) const HOUR_MS: u64 = 3_600_000;
/// A day, in milliseconds.
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;
/// A mebibyte.
pub(super) const MIB: u64 = 1_048_576;
/// A gibibyte.
pub(super) const GIB: u64 = 1_024 * MIB;

/// Names that are told at most.
const FEW: usize = 5;

/// The first few of these, and how many more there are.
pub(super) fn few(texts: &[String]) -> String {
    let shown: Vec<&str> = texts.iter().take(FEW).map(String::as_str).collect();
    let told = shown.join("; ");
    match texts.len().saturating_sub(FEW) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

/// `3.2 GiB`, rounded down.
pub(super) fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| (bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..MIB => format!("{} KiB", bytes / 1_024),
        MIB..GIB => format!("{} MiB", bytes / MIB),
        _ => {
            let (whole, tenth) = tenths(GIB);
            format!("{whole}.{tenth} GiB")
        },
    }
}

/// A length of time, to the second; days are told as such.
pub(super) fn span(ms: u64) -> String {
    let (days, rest) = (ms / DAY_MS, ms % DAY_MS);
    let part = if ms < 1_000 { rest } else { rest - rest % 1_000 };
    match (days, part) {
        (0, _) => Span::from_ms(part).to_string(),
        (1, _) => "1 day".to_owned(),
        _ => format!("{days} days"),
    }
}

/// How long ago that was.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.ms_since(at)))
}

/// Everybody but a file's owner.
pub(super) const OTHERS: u32 = 0o077;
/// Everybody but a file's owner and group.
pub(super) const STRANGERS: u32 = 0o007;

/// Whether a mode gives these people nothing.
pub(super) const fn keeps_out(mode: u32, whom: u32) -> bool {
    mode & whom == 0
}

/// `640`, as `chmod` takes it.
pub(super) fn mode(mode: u32) -> String {
    format!("{:o}", mode & 0o7777)
}

/// A size as a figure.
pub(super) fn number(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A share in percent, rounded down.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100)
        .checked_div(u128::from(whole))
        .map_or(0, |it| u64::try_from(it).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_in_the_unit_that_fits() {
        let told = [512, 2_048, 5 * MIB, 3 * GIB + GIB / 4].map(bytes);
        assert_eq!(told, ["512 B", "2 KiB", "5 MiB", "3.2 GiB"]);
        let told = [200, 61_200, DAY_MS + 5, 40 * DAY_MS].map(span);
        assert_eq!(told, ["200ms", "1m 1s", "1 day", "40 days"]);
        assert_eq!((percent(1, 3), percent(1, 0)), (33, 0));
        let many: Vec<String> = (0..7).map(|it| it.to_string()).collect();
        assert_eq!(few(&many), "0; 1; 2; 3; 4; and 2 more");
    }
}
