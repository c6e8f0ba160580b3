//! Planted bugs: each is found by one of the seeds, or the checks are worth nothing.

use mainstay_actors::planted::{Bug, plant};
use mainstay_journal::planted::skip_syncs;

use super::attempt;

/// Seeds that a bug may take to be found.
const TRIES: u64 = 40;

/// The first failure, which says one of these things.
#[track_caller]
fn is_found(says: &[&str]) {
    let found = (1..=TRIES).find_map(|seed| Some((seed, attempt(seed).err()?)));
    plant(None);
    skip_syncs(false);
    let (seed, reason) = found.unwrap();
    println!("campaign: found by seed {seed}: {}", reason.lines().next().unwrap_or_default());
    let told = says.iter().any(|text| reason.contains(text));
    assert!(told, "seed {seed}, another failure than was planted: {reason}");
}

#[test]
fn a_skipped_sync_is_found() {
    skip_syncs(true);
    is_found(&["lost", "other content", "does not start", "damaged"]);
}

#[test]
fn a_token_that_is_not_checked_is_found() {
    plant(Some(Bug::SkipTokenCheck));
    is_found(&["does not follow"]);
}

#[test]
fn a_reply_before_durability_is_found() {
    plant(Some(Bug::ReplyBeforeDurable));
    is_found(&["does not follow", "lost"]);
}

#[test]
fn a_late_outcome_that_counts_is_found() {
    plant(Some(Bug::CountLateOutcomes));
    is_found(&["calls,"]);
}
