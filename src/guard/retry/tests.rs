use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn rejected(after_ms: Option<u64>) -> Again {
    Again::Rejected { retry_after: after_ms.map(MS) }
}

#[test]
fn what_cannot_be_is_named() {
    let refused = |retry: Retry| retry.check().unwrap_err().field;
    assert_eq!(refused(Retry::attempts(0)), "attempts");
    assert_eq!(refused(Retry::attempts(101)), "attempts");
    assert_eq!(refused(Retry::attempts(3).base(Duration::ZERO)), "retry.base");
    assert_eq!(refused(Retry::attempts(3).base(MS(3_000))), "retry.base");
    assert_eq!(refused(Retry::attempts(3).max(MS(3_600_001))), "retry.max");
    assert_eq!(Retry::attempts(3).check(), Ok(()));
}

#[test]
fn pauses_double_up_to_the_longest() {
    let retry = Retry::attempts(100).base(MS(50)).max(MS(2_000));
    let longest = |tried| retry.pause(tried, u64::MAX).as_micros().div_ceil(1_000);
    assert_eq!([1, 2, 3, 4].map(longest), [50, 100, 200, 400]);
    assert_eq!([7, 33, 64, 100].map(longest), [2_000; 4]);
    assert_eq!(retry.pause(3, 0), Duration::ZERO);
    assert_eq!(retry.pause(3, 1 << 63), MS(100));
}

#[test]
fn the_same_seed_draws_the_same_pauses_and_they_spread() {
    let draws = |seed| {
        let retry = Retry::attempts(3).seed(seed);
        (0..1_000).map(|_| retry.pause(1, retry.draw())).collect::<Vec<_>>()
    };
    assert_eq!(draws(7), draws(7));
    assert_ne!(draws(7), draws(8));
    let below_half = draws(7).iter().filter(|pause| **pause < MS(25)).count();
    assert!((450..=550).contains(&below_half), "{below_half}");
}

#[test]
fn tries_end() {
    let retry = Retry::attempts(3);
    assert!(retry.next(1, Again::Failed, 0).is_some());
    assert!(retry.next(2, Again::Failed, 0).is_some());
    assert_eq!(retry.next(3, Again::Failed, 0), None);
}

#[test]
fn ignored_and_rejected_without_a_time_are_never_again() {
    let retry = Retry::attempts(3);
    assert_eq!(retry.next(1, Again::Ignored, 0), None);
    assert_eq!(retry.next(1, rejected(None), 0), None);
    assert_eq!(retry.next(1, rejected(Some(2_001)), 0), None, "longer than the longest pause");
    // None of them has taken from the budget.
    assert_eq!((0..9).filter(|_| retry.next(1, Again::Failed, 0).is_some()).count(), 3);
}

#[test]
fn a_rejection_is_not_retried_before_its_time() {
    let retry = Retry::attempts(3);
    for second in 0..100 {
        let pause = retry.next(1, rejected(Some(700)), second * 10_000).unwrap();
        assert!((MS(700)..=MS(750)).contains(&pause), "{pause:?}");
    }
}

#[test]
fn the_budget_is_a_fifth_of_the_calls_of_ten_seconds() {
    let budget = RetryBudget::default();
    let room = |now_ms| (0..1_000).filter(|_| budget.take(now_ms)).count();
    assert_eq!(room(0), 3);
    for call in 0..100 {
        budget.called(call * 10);
    }
    assert_eq!(room(999), 17, "20 of 100, 3 are taken");
    assert_eq!(room(9_999), 0);
    assert_eq!(room(10_000), 3, "the first second no longer counts");
}

#[test]
fn calls_before_a_silence_no_longer_count() {
    let budget = RetryBudget::default();
    for _ in 0..100 {
        budget.called(0);
    }
    assert_eq!((0..100).filter(|_| budget.take(15_000)).count(), 3);
}

#[test]
fn clones_share_the_budget() {
    let budget = RetryBudget::default();
    let retries = [Retry::attempts(9).budget(budget.clone()), Retry::attempts(9).budget(budget)];
    let again = |retry: &Retry| retry.next(1, Again::Failed, 0).is_some();
    assert_eq!((0..10).flat_map(|_| &retries).filter(|retry| again(retry)).count(), 3);
}

#[test]
fn seconds_come_round() {
    let budget = RetryBudget::default();
    let last_ms = ((1 << 24) - 1) * 1_000;
    assert_eq!((0..9).filter(|_| budget.take(last_ms)).count(), 3);
    assert!(!budget.take(last_ms + 1_000), "a second later they still count");
}

#[test]
fn two_threads_take_no_more_than_the_budget() {
    let budget = RetryBudget::default();
    let work = || {
        let mut taken = 0;
        for _ in 0..10_000 {
            budget.called(5_000);
            taken += u32::from(budget.take(5_000));
        }
        taken
    };
    let both = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(work), scope.spawn(work));
        one.join().unwrap() + two.join().unwrap()
    });
    // Every call is counted; at the edge two may both go without, later calls make that good.
    assert!((3_900..=4_000).contains(&both), "{both}");
    let rest = (0..200).filter(|_| budget.take(5_000)).count();
    assert_eq!(both as usize + rest, 4_000);
}
