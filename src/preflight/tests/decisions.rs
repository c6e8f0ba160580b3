//! What the gate says of what was found.

use mainstay_actors::health::Level;

use super::healthy::{NOW, before, healthy, voucher};
use crate::preflight::words::{DAY_MS, HOUR_MS};
use crate::preflight::*;

/// Facts in which so many items that are not critical fail.
fn without(count: usize) -> Facts {
    let mut facts = healthy();
    let minor = all().filter(|(_, item)| {
        item.severity != Severity::Critical && facts.attestations.contains_key(item.id)
    });
    let mut ids: Vec<&str> = minor.map(|(_, item)| item.id).collect();
    ids.truncate(count);
    let mut left = count - ids.len();
    for id in ids {
        facts.attestations.remove(id);
    }
    let more = super::BREAKS.iter().filter(|(id, _)| {
        let item = find(id).unwrap();
        // Those that change nothing another one looks at.
        item.severity != Severity::Critical
            && ["capacity.", "clocks.", "budgets.opt", "access.used"]
                .iter()
                .any(|it| id.starts_with(it))
    });
    for (_, break_it) in more {
        if left > 0 {
            break_it(&mut facts);
            left -= 1;
        }
    }
    assert_eq!(left, 0, "there are too few items");
    let report = check(&facts, &Filter::default());
    assert_eq!((report.total.fail, report.critical.missed()), (count as u64, 0));
    facts
}

#[test]
fn everything_is_a_go_without_a_reason() {
    let launch = launch(&healthy());
    assert_eq!(launch.decision, Decision::Go);
    assert!(launch.reasons.is_empty() && launch.missed.is_empty(), "{:?}", launch.reasons);
    assert!(launch.needs.iter().all(|need| need.met), "{:?}", launch.needs);
    assert_eq!(launch.needs.len(), 4);
}

/// 145 items: 95 % are 137.75, 90 % are 130.5.
#[test]
fn the_share_decides_between_go_caution_and_no_go() {
    for (missing, decision) in [
        (7, Decision::Go),
        (8, Decision::GoWithCaution),
        (14, Decision::GoWithCaution),
        (15, Decision::NoGo),
    ] {
        let launch = launch(&without(missing));
        assert_eq!(launch.decision, decision, "{missing}: {:?}", launch.reasons);
        assert_eq!(launch.missed.len(), missing);
        assert_eq!(launch.reasons.is_empty(), decision == Decision::Go, "{:?}", launch.reasons);
    }
}

#[test]
fn one_critical_item_that_fails_or_is_unknown_is_a_no_go() {
    let mut failing = healthy();
    failing.attestations.remove("documents.on-call");
    let mut unknown = healthy();
    unknown.machine.disk = None;
    for (facts, told) in [
        (failing, "of the critical items 1 fail and 0 are unknown"),
        (unknown, "of the critical items 0 fail and 2 are unknown"),
    ] {
        let launch = launch(&facts);
        assert_eq!(launch.decision, Decision::NoGo);
        assert_eq!(launch.reasons, [told]);
    }
}

#[test]
fn each_need_that_is_not_met_is_a_no_go_with_its_reason() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Change); 4] = [
        ("smoke report", |f| drop(f.attestations.remove("budgets.smoke-report"))),
        ("load report", |f| {
            let at = before(DAY_MS);
            f.attestations.insert("budgets.load-report".to_owned(), Voucher { at, ..voucher() });
        }),
        ("good drill", |f| f.drill.as_mut().unwrap().good_at = Some(before(31 * DAY_MS))),
        ("7 days without P0", |f| {
            let levels = &mut f.journal.as_mut().unwrap().levels;
            levels.push((before(2 * HOUR_MS), Level::Emergency));
            levels.push((before(HOUR_MS), Level::Optimal));
        }),
    ];
    for (told, change) in cases {
        let mut facts = healthy();
        change(&mut facts);
        let launch = launch(&facts);
        assert_eq!(launch.decision, Decision::NoGo, "{told}");
        let unmet: Vec<_> = launch.needs.iter().filter(|need| !need.met).collect();
        assert_eq!(unmet.len(), 1, "{unmet:?}");
        assert!(unmet[0].what.starts_with(told), "{unmet:?}");
        assert!(launch.reasons.iter().any(|it| it.starts_with(told)), "{:?}", launch.reasons);
    }
}

#[test]
fn what_means_nothing_here_is_left_out_of_the_score() {
    let mut facts = healthy();
    facts.journal.as_mut().unwrap().archive = None;
    facts.machine.inodes = None;
    let report = check(&facts, &Filter::default());
    assert_eq!((report.total.not_applicable, report.total.applicable()), (2, 143));
    assert_eq!(report.share, 10_000);
    // Nobody has to vouch for a certificate that is not there.
    facts.certificate = None;
    facts.attestations.remove("certificates.renewed-by-itself");
    let report = check(&facts, &Filter::default());
    assert_eq!((report.total.not_applicable, report.total.fail), (2 + 7, 0));
}

#[test]
fn an_attestation_expires_and_is_void_for_another_release() {
    let item = "documents.runbooks";
    let ruled = |voucher: Voucher| {
        let mut facts = healthy();
        facts.attestations.insert(item.to_owned(), voucher);
        let filter = Filter { only: vec![item.to_owned()], ..Filter::default() };
        let checked = check(&facts, &filter).items.remove(0);
        (checked.verdict, checked.evidence)
    };
    let (verdict, evidence) = ruled(voucher());
    assert_eq!(verdict, Verdict::Pass);
    assert!(evidence.starts_with("key:ann, 1h ago, until 2026-"), "{evidence}");
    let (verdict, evidence) = ruled(Voucher { until: NOW, ..voucher() });
    assert_eq!(verdict, Verdict::Fail);
    assert!(evidence.starts_with("it expired at 2026-"), "{evidence}");
    let (verdict, evidence) = ruled(Voucher { release: "0.0.9".to_owned(), ..voucher() });
    assert_eq!(verdict, Verdict::Fail);
    assert!(evidence.starts_with("it is for release 0.0.9, and this is 0.1.0"), "{evidence}");
}

/// The level in which the days began counts, however long ago it began.
#[test]
fn a_level_that_began_before_the_seven_days_counts_as_long_as_it_lasts_into_them() {
    let worst = |levels: &[(u64, Level)]| {
        let mut facts = healthy();
        let levels = levels.iter().map(|(days, level)| (before(days * DAY_MS), *level));
        facts.journal.as_mut().unwrap().levels = levels.collect();
        let need = launch(&facts).needs.pop().unwrap();
        (need.met, need.evidence)
    };
    let told = |level: &str| format!("the worst level was {level}");
    let (bad, good) = (Level::Emergency, Level::Optimal);
    assert_eq!(worst(&[]), (true, told("OPTIMAL")));
    assert_eq!(worst(&[(9, bad), (6, good)]), (false, told("EMERGENCY")));
    assert_eq!(worst(&[(9, bad), (8, good)]), (true, told("OPTIMAL")));
    assert_eq!(worst(&[(6, Level::Limited), (5, good)]), (true, told("LIMITED")));
}
