//! A reader beside a writer sees whole groups only, and all of them in the end.

use std::ops::ControlFlow;
use std::time::Duration;

use mainstay_journal::conformance::{Outcomes, append, stream};
use mainstay_journal::{EventLog as _, LocalLog, Options, ReadLog as _, Reader, Subscription};

#[test]
fn a_reader_follows_a_writer_over_segments() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    let log = LocalLog::open(directory.path(), &options, Outcomes::default()).unwrap();
    let reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.identity(), log.identity());
    let writer = std::thread::spawn(move || {
        for n in 0..2000_u64 {
            let mut next = append(&format!("s/{}", n % 7), n / 7 * 2, 2, n);
            while let Err(full) = log.submit(next) {
                next = full.0;
                std::thread::yield_now();
            }
        }
        log.close();
    });
    let mut next = 1;
    let mut follow = Subscription::new(&reader, 0);
    while next <= 4000 {
        follow
            .next(Duration::from_secs(10), &mut |record| {
                assert_eq!(record.position, next);
                next += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        // Appends of two records lie in one group: never half of one.
        assert_eq!(reader.head().position % 2, 0);
        let head = reader.stream_head(&stream("s/3"), u64::MAX).unwrap();
        let mut versions = 0;
        reader
            .read_stream(&stream("s/3"), reader.head().position, &mut |record| {
                versions += 1;
                assert_eq!(record.version, versions);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(versions, head.version);
    }
    writer.join().unwrap();
}
