//! What a log keeps beside its records, and what a caller may say it has seen.

use std::io::Read;
use std::ops::ControlFlow;

use super::{Bench, append, commit, stream};
use crate::log::{Outcome, Refusal, Seen};
use crate::record::Head;

pub(super) fn streams_read_between_two_of_their_records(bench: &mut dyn Bench) {
    for version in (0..180).step_by(2) {
        commit(bench, vec![append("a/1", version, 2, 1), append("a/2", version, 2, 1)]);
    }
    let log = bench.log();
    let name = stream("a/1");
    let mut heads = vec![Head::default()];
    let read = log.read_stream(&name, u64::MAX, &mut |record| {
        heads.push(Head { version: record.version, position: record.position });
        ControlFlow::Continue(())
    });
    assert!(read.is_ok() && heads.len() == 181, "{read:?}");
    let between = |after: Head, upto: Head| {
        let mut versions = Vec::new();
        let met = log.read_between(&name, after, upto, &mut |record| {
            versions.push(record.version);
            ControlFlow::Continue(())
        });
        (met.ok(), versions)
    };
    for (after, upto) in [(0, 180), (0, 3), (7, 9), (1, 180), (100, 180), (180, 180)] {
        let pair = heads.get(after).zip(heads.get(upto));
        let (met, versions) = pair.map(|(after, upto)| between(*after, *upto)).unwrap_or_default();
        let wanted: Vec<u64> = (after as u64 + 1..=upto as u64).collect();
        assert_eq!((met, versions), (Some(true), wanted), "{after} to {upto}");
    }
    // A record of another stream, and one that does not lie there.
    let last = heads.last().copied().unwrap_or_default();
    for (version, by) in [(100, 1), (170, 1), (179, 2)] {
        let mut wrong = heads.get(version).copied().unwrap_or_default();
        wrong.position = wrong.position.saturating_sub(by);
        assert_eq!(between(wrong, last), (Some(false), Vec::new()), "{wrong:?}");
    }
}

pub(super) fn what_is_kept_is_read_back(bench: &mut dyn Bench) {
    let log = bench.log();
    let read = || {
        let mut bytes = Vec::new();
        let kept = log.kept("name").ok().flatten();
        kept.map(|mut kept| kept.read_to_end(&mut bytes).map(|_| bytes).unwrap_or_default())
    };
    assert_eq!(read(), None);
    for length in [100_000, 3, 0] {
        let bytes = vec![9; length];
        let kept = log.keep("name", &mut |out| out.write_all(&bytes));
        assert!(kept.is_ok(), "{kept:?}");
        assert_eq!(read(), Some(bytes));
    }
    // What fails half-way leaves what was there.
    let failed = log.keep("name", &mut |out| {
        out.write_all(&vec![1; 70_000])?;
        Err(std::io::ErrorKind::Other.into())
    });
    assert!(failed.is_err());
    assert_eq!(read(), Some(Vec::new()));
}

pub(super) fn what_a_caller_has_seen_does_not_replace_what_the_log_knows(bench: &mut dyn Bench) {
    let seen = |version, position, upto| Some(Seen { head: Head { version, position }, upto });
    let mut first = append("a/1", 0, 1, 1);
    first.seen = seen(0, 0, 0);
    let outcomes = commit(bench, vec![first, append("a/2", 0, 1, 1)]);
    assert_eq!(outcomes.first(), Some(&Outcome::Committed { first: 1, count: 1 }));
    let mut second = append("a/1", 1, 1, 1);
    second.seen = seen(1, 1, 2);
    assert_eq!(commit(bench, vec![second]), [Outcome::Committed { first: 3, count: 1 }]);
    let mut stale = append("a/1", 1, 1, 1);
    stale.seen = seen(1, 1, 2);
    let conflict = Refusal::Conflict { expected: 1, actual: 2 };
    assert_eq!(commit(bench, vec![stale]), [Outcome::Refused(conflict)]);
    let head = bench.log().stream_head(&stream("a/1"), u64::MAX).ok();
    assert_eq!(head, Some(Head { version: 2, position: 3 }));
}
