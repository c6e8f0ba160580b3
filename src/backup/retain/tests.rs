//! Retention as a table of days, and clocks that lie.

use mainstay_journal::Cursor;

use super::super::manifest::{Of, Verified};
use super::*;

const HOUR_MS: u64 = 3_600_000;
const KEEP: Keep = Keep { daily: 7, weekly: 4, monthly: 12, within_ms: 48 * HOUR_MS };

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// A backup that says one time and was written at another.
fn backup(position: u64, made_at: Timestamp, stored_at: Timestamp) -> Listed {
    let of = Of {
        journal: [1; 16],
        head: Cursor { epoch: 1, position },
        recorded_at: made_at,
        made_at,
        block: [0; 32],
        tree: [0; 32],
        base: 0,
    };
    Listed { manifest: Manifest::new(&of, &[]), stored_at, verified: None }
}

/// One each hour up to a time, the newest first.
fn hourly(hours: u64, upto: Timestamp) -> Vec<Listed> {
    (0..hours)
        .map(|back| {
            let at = Timestamp::from_micros(upto.as_micros() - back * HOUR_MS * 1_000);
            backup(hours - back, at, at)
        })
        .collect()
}

fn count(kept: &[(Listed, Vec<&'static str>)], why: &str) -> usize {
    kept.iter().filter(|(_, reasons)| reasons.contains(&why)).count()
}

#[test]
fn a_year_of_hourly_backups_leaves_seven_days_four_weeks_twelve_months_and_the_window() {
    let now = at("2026-11-27T02:30:00Z");
    let (kept, dropped) = choose(hourly(24 * 500, now), &KEEP, now);
    for (why, times) in
        [("daily", 7), ("weekly", 4), ("monthly", 12), ("within", 49), ("newest", 1)]
    {
        assert_eq!(count(&kept, why), times, "{why}");
    }
    assert_eq!(kept.len() + dropped.len(), 24 * 500);
    // The newest of each: of a day its last hour, of a week its Sunday, of a month its last day.
    let days = kept.iter().filter(|(_, why)| why.contains(&"daily"));
    let shown: Vec<String> = days.map(|(it, _)| it.manifest.made_at.to_string()).collect();
    assert_eq!(shown[1], "2026-11-26T23:30:00.000000Z");
    let weeks = kept.iter().filter(|(_, why)| why.contains(&"weekly"));
    let shown: Vec<String> = weeks.map(|(it, _)| it.manifest.made_at.to_string()).collect();
    assert_eq!(shown[1], "2026-11-22T23:30:00.000000Z");
    let months = kept.iter().filter(|(_, why)| why.contains(&"monthly"));
    let shown: Vec<String> = months.map(|(it, _)| it.manifest.made_at.to_string()).collect();
    assert_eq!(shown[1], "2026-10-31T23:30:00.000000Z");
}

#[test]
fn thirty_dailies_are_thirty() {
    let now = at("2026-11-27T02:30:00Z");
    let keep = Keep { daily: 30, weekly: 0, monthly: 0, within_ms: 0 };
    let (kept, _) = choose(hourly(24 * 60, now), &keep, now);
    assert_eq!(kept.len(), 30);
}

#[test]
fn a_clock_that_runs_ahead_empties_no_window() {
    let now = at("2026-11-27T02:30:00Z");
    let within = |now| {
        let (kept, _) = choose(hourly(100, at("2026-11-27T02:30:00Z")), &KEEP, now);
        count(&kept, "within")
    };
    assert_eq!(within(now), 49);
    assert_eq!(within(at("2036-11-27T02:30:00Z")), 49);
    assert_eq!(within(at("2016-11-27T02:30:00Z")), 100);
}

#[test]
fn a_forged_time_pushes_no_real_backup_out() {
    let now = at("2026-11-27T02:30:00Z");
    let real = hourly(100, now);
    for forged in ["2036-01-01T00:00:00Z", "2001-01-01T00:00:00Z"] {
        let many = (0..50).map(|n| {
            let made_at = at(forged).plus_ms(n * 24 * HOUR_MS);
            backup(1_000 + n, made_at, now)
        });
        let mut all: Vec<Listed> = many.rev().chain(real.clone()).collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.manifest.position));
        let (kept, _) = choose(all, &KEEP, now);
        let stays = |real: &&Listed| kept.iter().any(|(it, _)| it.manifest.id == real.manifest.id);
        let window = real.iter().take(49).filter(stays).count();
        assert_eq!(window, 49, "{forged}");
        let days: Vec<_> = real.iter().filter(stays).map(|it| date(it.stored_at)).collect();
        let days: HashSet<_> = days.into_iter().collect();
        assert_eq!(days.len(), 6, "{forged}: every day that has a real backup keeps one");
    }
}

#[test]
fn the_newest_and_the_newest_verified_always_stay() {
    let now = at("2026-11-27T02:30:00Z");
    let keep = Keep { daily: 0, weekly: 0, monthly: 0, within_ms: 0 };
    let mut all = hourly(50, at("2020-01-03T00:00:00Z"));
    all[30].verified = Some(Verified { at: now, objects: 1, of: 1, opened: true });
    all[40].verified = all[30].verified;
    let old = all[30].manifest.id.clone();
    let (kept, _) = choose(all, &keep, now);
    let reasons: Vec<_> = kept.iter().map(|(_, why)| why.clone()).collect();
    assert_eq!(reasons, [vec!["newest", "within"], vec!["verified"]]);
    assert_eq!(kept[1].0.manifest.id, old);
}
