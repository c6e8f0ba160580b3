//! The power goes at every point: nothing acknowledged is lost, no position is used twice.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed setup is a failed test")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append};
use mainstay_journal::disk::sim::{Loss, SimDisk};
use mainstay_journal::{EventLog as _, LocalLog, OpenError, Options, Outcome, ReadLog as _};

/// Position → payload of everything acknowledged so far.
type Ledger = BTreeMap<u64, Vec<u8>>;

fn options(disk: &SimDisk) -> Options {
    Options {
        segment_bytes: 5000,
        group_records: 12,
        heads: 16,
        store: false,
        journal_id: Some([7; 16]),
        disk: Arc::new(disk.clone()),
        ..Options::default()
    }
}

/// Opens, appends until the disk fails or `rounds` are done, and keeps the ledger.
fn load(disk: &SimDisk, ledger: &mut Ledger, rounds: u64, salt: u64) -> Result<(), OpenError> {
    let outcomes = Outcomes::default();
    let (log, mut writer) = LocalLog::open_manual("/j", &options(disk), outcomes.clone())?;
    let mut submitted = Vec::new();
    let mut versions = BTreeMap::<String, u64>::new();
    for round in 0..rounds {
        for n in 0..=(round * 7 + salt) % 5 {
            let name = format!("s/{salt}-{}", (round + n) % 3);
            let version = versions.entry(name.clone()).or_default();
            let count = u8::try_from(1 + (round + n) % 4).unwrap();
            let mut append = append(&name, *version, count, 1000 + round);
            for draft in &mut append.drafts {
                draft.payload.resize(20 + usize::try_from((round * 37) % 400).unwrap(), 1);
                draft.payload.extend(format!("{salt}:{}", submitted.len()).bytes());
            }
            *version += u64::from(count);
            submitted.push(append.clone());
            log.submit(append).unwrap();
        }
        writer.turn();
        for (append, outcome) in submitted.iter().zip(outcomes.all()) {
            let Outcome::Committed { first, .. } = outcome else { return Ok(()) };
            for (position, draft) in (first..).zip(&append.drafts) {
                let known = ledger.insert(position, draft.payload.clone());
                assert!(known.is_none_or(|known| known == draft.payload), "{position} used twice");
            }
        }
    }
    Ok(())
}

/// Opens what is left and holds it against the ledger.
fn check(disk: &SimDisk, ledger: &Ledger, story: &str) {
    let opened = LocalLog::open_manual("/j", &options(disk), Outcomes::default());
    let (log, _writer) = opened.unwrap_or_else(|error| panic!("{story}: {error}"));
    let head = log.head().position;
    let newest = ledger.keys().last().copied().unwrap_or_default();
    assert!(head >= newest, "{story}: acknowledged up to {newest}, head is {head}");
    let mut next = 1;
    let read = log.scan(1, u64::MAX, &mut |record| {
        assert_eq!(record.position, next, "{story}");
        if let Some(payload) = ledger.get(&next) {
            assert_eq!(record.payload, payload, "{story}: position {next}");
        }
        next += 1;
        ControlFlow::Continue(())
    });
    assert!(read.is_ok(), "{story}: {read:?}");
    assert_eq!(next, head + 1, "{story}");
}

fn cut_everywhere(loss: Loss, step: u64) {
    let whole = SimDisk::default();
    load(&whole, &mut Ledger::new(), 40, 1).unwrap();
    let operations = whole.operations();
    assert!(operations > 100, "the load is too small to say anything");
    for at in (1..=operations).step_by(usize::try_from(step).unwrap()) {
        let story = format!("{loss:?}, cut at operation {at}");
        let mut ledger = Ledger::new();
        let disk = SimDisk::default();
        disk.cut_after(at);
        let _ = load(&disk, &mut ledger, 40, 1);
        let left = disk.power_cut(loss, at);
        check(&left, &ledger, &story);
        // A second life, and a second cut in the middle of it, recovery included.
        left.cut_after(at % 40 + 1);
        let _ = load(&left, &mut ledger, 10, 1000 + at);
        let left = left.power_cut(loss, at ^ 0x5555);
        check(&left, &ledger, &format!("{story}, again"));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_all_unsynced_bytes_are() {
    cut_everywhere(Loss::All, 1);
}

#[test]
fn nothing_acknowledged_is_lost_when_some_unsynced_writes_survive() {
    cut_everywhere(Loss::Some, 2);
}

#[test]
fn nothing_acknowledged_is_lost_when_writes_are_torn() {
    cut_everywhere(Loss::Torn, 2);
}

#[test]
fn a_disk_whose_sync_lies_is_caught_by_this_very_check() {
    let disk = SimDisk::default();
    let mut ledger = Ledger::new();
    load(&disk, &mut Ledger::new(), 1, 1).unwrap();
    let disk = disk.power_cut(Loss::All, 0);
    disk.set_lying(true);
    load(&disk, &mut ledger, 5, 2).unwrap();
    let left = disk.power_cut(Loss::All, 0);
    let caught = std::panic::catch_unwind(|| check(&left, &ledger, "lying"));
    assert!(caught.is_err(), "a skipped sync went unnoticed");
}

/// A number from the seed that looks drawn, below `bound`.
fn drawn(seed: u64, bound: u64) -> u64 {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % bound
}

/// One journal lives through many cuts, with its threads at work: the writer, and the maker of spare
/// files, which become segments. Returns how many events were acknowledged.
fn cut_under_load(cuts: u64, seed: u64) -> usize {
    let (mut disk, mut ledger) = (SimDisk::default(), Ledger::new());
    let (mut segments, mut spares) = (0, 0);
    for cut in 0..cuts {
        let seed = seed + cut * 7;
        let loss = match seed % 3 {
            0 => Loss::All,
            1 => Loss::Some,
            _ => Loss::Torn,
        };
        let outcomes = Outcomes::default();
        let options = Options { spares: 2, ..options(&disk) };
        let log = LocalLog::open("/j", &options, outcomes.clone()).unwrap();
        let mut submitted = Vec::new();
        for n in 0..2 + drawn(seed, 40) {
            let mut append =
                append(&format!("s/{cut}-{n}"), 0, 1 + u8::try_from(n % 3).unwrap(), n);
            for draft in &mut append.drafts {
                draft.payload.resize(30 + usize::try_from(drawn(seed + n, 500)).unwrap(), 1);
                draft.payload.extend(format!("{seed}:{n}").bytes());
            }
            submitted.push(append.clone());
            log.submit(append).unwrap();
            if drawn(seed ^ n, 4) == 0 {
                // Some groups are large, some small.
                log.wait_beyond(log.head().position, Duration::from_millis(20));
            }
        }
        // What was acknowledged before the power went; more may be on its way.
        let acknowledged = outcomes.all();
        let left = disk.power_cut(loss, seed);
        for (append, outcome) in submitted.iter().zip(acknowledged) {
            let Outcome::Committed { first, .. } = outcome else { panic!("{outcome:?}") };
            for (position, draft) in (first..).zip(&append.drafts) {
                let known = ledger.insert(position, draft.payload.clone());
                assert!(known.is_none(), "cut {cut}: {position} was used twice");
            }
        }
        drop(log);
        let names = left.files();
        let ends =
            |end: &str| names.iter().filter(|path| path.to_string_lossy().contains(end)).count();
        segments = ends(".seg");
        spares += ends("spare-");
        check(&left, &ledger, &format!("seed {seed}, cut {cut}, {loss:?}"));
        disk = left;
    }
    assert!(segments as u64 > cuts / 4 && spares > 0, "{segments} segments, {spares} spares");
    ledger.len()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_again_and_again_under_load() {
    let acknowledged = cut_under_load(60, 1);
    assert!(acknowledged > 500, "hardly any load: {acknowledged}");
}

#[test]
#[ignore = "takes long: `just campaign`"]
fn nothing_acknowledged_is_lost_over_thousands_of_cuts_under_load() {
    let (rounds, cuts) = (30, 100);
    let acknowledged: usize = (0..rounds).map(|round| cut_under_load(cuts, round * 1_000)).sum();
    println!("campaign: {} power cuts under load, {acknowledged} events held", rounds * cuts);
}
