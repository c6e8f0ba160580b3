use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::filter::Filter;
use super::{COLUMNS, Sieve, Way};

/// The nth term of a segment.
fn term(segment: usize, nth: usize) -> u64 {
    xxh3_64(format!("{segment}/{nth}").as_bytes())
}

fn filter(segment: usize, terms: usize) -> Filter {
    let mut sorted: Vec<_> = (0..terms).map(|nth| (term(segment, nth), 0)).collect();
    sorted.sort_unstable();
    Filter::of(&sorted)
}

fn likely(sieve: &Sieve, low: usize, high: usize, terms: &[Vec<u64>], way: Way) -> Vec<usize> {
    sieve.likely(low..=high, terms, way).map(|it| it.0).collect()
}

/// A segment of up to three groups, and how many terms it has.
fn segments() -> impl Strategy<Value = Vec<(usize, usize)>> {
    let terms = prop_oneof![0..40_usize, 0..3_000_usize];
    proptest::collection::vec((0..150_usize, terms), 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the filters say one by one, the sieve says of all, whatever came first or was larger.
    #[test]
    fn a_sieve_says_what_its_filters_say(
        set in segments(),
        asked in proptest::collection::vec(
            proptest::collection::vec((0..150_usize, 0..60_usize), 1..4), 0..3),
        (one, other) in (0..150_usize, 0..150_usize),
    ) {
        let (low, high) = (one.min(other), one.max(other));
        let sieve = Sieve::default();
        let mut model: BTreeMap<usize, Filter> = BTreeMap::new();
        for (segment, terms) in set {
            let filter = filter(segment, terms);
            sieve.set(segment, &filter);
            model.entry(segment).or_insert(filter);
        }
        let terms: Vec<Vec<u64>> = asked
            .into_iter()
            .map(|any| any.into_iter().map(|(segment, nth)| term(segment, nth)).collect())
            .collect();
        let mut wanted = Vec::new();
        for segment in low..=high {
            let filter = model.get(&segment);
            let known = sieve.likely(segment..=segment, &[], Way::Back).next();
            prop_assert_eq!(known, Some((segment, filter.is_some())));
            let holds = filter.is_none_or(|filter| {
                terms.iter().all(|any| any.iter().any(|term| filter.may_hold(*term)))
            });
            let found = likely(&sieve, segment, segment, &terms, Way::Forth);
            prop_assert_eq!(!found.is_empty(), holds);
            wanted.extend(found);
        }
        prop_assert_eq!(&likely(&sieve, low, high, &terms, Way::Forth), &wanted);
        wanted.reverse();
        prop_assert_eq!(&likely(&sieve, low, high, &terms, Way::Back), &wanted);
    }
}

#[test]
fn every_term_is_found_where_it_is_and_few_where_it_is_not() {
    let sieve = Sieve::default();
    // So many that a size of 2^15 is as full as it gets, then one so large that all are repeated.
    let full = (1 << 15) / 12;
    for segment in 0..COLUMNS - 1 {
        sieve.set(segment, &filter(segment, full));
    }
    for round in 0..2 {
        let (mut asked, mut wrong) = (0, 0);
        for segment in 0..COLUMNS - 1 {
            for nth in (0..full).step_by(7) {
                let found = likely(&sieve, 0, COLUMNS - 2, &[vec![term(segment, nth)]], Way::Forth);
                assert!(found.contains(&segment));
                wrong += found.len() - 1;
                asked += COLUMNS - 2;
            }
        }
        // One in two hundred; the goal is one in fifty.
        assert!(wrong * 200 < asked, "round {round}: {wrong} of {asked}");
        sieve.set(COLUMNS - 1, &filter(COLUMNS - 1, full * 5));
    }
}

#[test]
fn a_segment_whose_run_is_made_again_is_found_by_the_same_terms() {
    let sieve = Sieve::default();
    for (segment, terms) in [(3, 200), (70, 10), (5, 5_000), (3, 200), (9, 40)] {
        sieve.set(segment, &filter(segment, terms));
        for nth in 0..200 {
            assert_eq!(likely(&sieve, 3, 3, &[vec![term(3, nth)]], Way::Back), [3]);
        }
        let absent = (0..1_000)
            .filter(|nth| !likely(&sieve, 3, 3, &[vec![term(4, *nth)]], Way::Back).is_empty());
        assert!(absent.count() < 20);
    }
}

#[test]
fn a_reader_misses_nothing_while_filters_are_added_and_tables_grow() {
    const SEGMENTS: usize = 130;
    let (sieve, set) = (Sieve::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for segment in 0..SEGMENTS {
                sieve.set(segment, &filter(segment, 20 + segment * 11));
                set.store(segment + 1, Ordering::Release);
            }
        });
        for round in 0.. {
            let there = set.load(Ordering::Acquire);
            for segment in 0..there {
                let term = term(segment, (round + segment) % 20);
                let found = likely(&sieve, 0, SEGMENTS - 1, &[vec![term]], Way::Forth);
                assert!(found.contains(&segment), "{segment} of {there}");
            }
            if there == SEGMENTS {
                break;
            }
        }
    });
}
