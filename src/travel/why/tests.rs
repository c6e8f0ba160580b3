//! Chains of causes and effects, over epochs and in crowds.

use mainstay_actors::codec::Payload as _;
use mainstay_actors::session::{EndReason, SessionEnded, SessionEvent};
use mainstay_journal::{
    Append, Draft, Envelope, EventLog as _, MemoryLog, Outcome, StreamId, Tags,
};

use super::*;

/// One event in a stream of its own.
fn write(log: &MemoryLog, cause: Option<(u32, u64)>, correlation: Option<&str>) {
    let number = log.head().position + 1;
    let at = Timestamp::from_micros(number);
    let event = SessionEvent::from(SessionEnded { reason: EndReason::Ended, at });
    let mut payload = Vec::new();
    event.encode(&mut payload).unwrap();
    let (type_id, schema) = event.type_id();
    log.submit(Append {
        activation: 1,
        seen: None,
        stream: StreamId::new("session", &format!("default/{number}")).unwrap(),
        expected_version: 0,
        envelope: Envelope {
            at_us: number,
            principal: "local".into(),
            request: None,
            correlation: correlation.map(Into::into),
            causation: cause.map(|(epoch, position)| Cursor { epoch, position }),
        },
        drafts: vec![Draft { type_id, schema, tags: Tags::new(), payload }],
    })
    .unwrap();
}

fn positions(few: &Few<Told>) -> Vec<u64> {
    few.shown.iter().map(|told| told.event.position).collect()
}

#[test]
fn causes_are_followed_to_their_beginning_and_effects_to_their_ends() {
    let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    for cause in [None, Some(1), Some(2), None, Some(3), Some(5), Some(3), Some(4)] {
        write(&log, cause.map(|position| (1, position)), None);
    }
    let story = why(&log, 3).unwrap().unwrap();
    assert_eq!(positions(&story.causes), [2, 1]);
    let effects = story.effects.shown.iter().map(|it| (it.depth, it.told.event.position));
    assert_eq!(effects.collect::<Vec<_>>(), [(1, 5), (2, 6), (1, 7)]);
    assert!(story.complete && story.together.is_empty() && story.correlated.is_empty());
    assert_eq!(why(&log, 9).unwrap(), None);
    assert_eq!(why(&log, 0).unwrap(), None);
}

#[test]
fn a_cause_of_another_epoch_or_of_the_future_ends_the_chain() {
    let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    for cause in [(7, 1), (1, 3), (1, 2), (1, 99)] {
        write(&log, Some(cause), None);
    }
    for (position, causes) in [(1, vec![]), (2, vec![]), (3, vec![2]), (4, vec![])] {
        let story = why(&log, position).unwrap().unwrap();
        assert_eq!(positions(&story.causes), causes, "of {position}");
    }
}

#[test]
fn a_cause_before_the_fork_is_followed_and_one_that_was_left_behind_it_is_not() {
    let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    for cause in [None, Some((1, 1))] {
        write(&log, cause, None);
    }
    log.begin_epoch();
    // 1-3 was an event of the old history; 2-3 is one of this.
    for cause in [Some((1, 2)), Some((1, 3)), Some((2, 3)), Some((2, 2))] {
        write(&log, cause, None);
    }
    let expected = [(3, vec![2, 1]), (4, vec![]), (5, vec![3, 2, 1]), (6, vec![])];
    for (position, causes) in expected {
        let story = why(&log, position).unwrap().unwrap();
        assert_eq!(positions(&story.causes), causes, "of {position}");
    }
    let effects = why(&log, 2).unwrap().unwrap().effects.shown;
    let effects = effects.iter().map(|it| (it.depth, it.told.event.position));
    assert_eq!(effects.collect::<Vec<_>>(), [(1, 3), (2, 5)]);
}

#[test]
fn a_hundred_effects_and_companions_are_counted_and_the_first_told() {
    let log = MemoryLog::immediate(|_: u32, _: Vec<Outcome>| {});
    for number in 0..100 {
        write(&log, (number > 0).then_some((1, 1)), None);
    }
    for _ in 0..100 {
        write(&log, None, Some("order"));
    }
    let effects = why(&log, 1).unwrap().unwrap().effects;
    assert_eq!((effects.shown.len(), effects.more), (TOLD, 99 - TOLD as u64));
    let correlated = why(&log, 150).unwrap().unwrap().correlated;
    assert_eq!((correlated.shown.len(), correlated.more), (TOLD, 99 - TOLD as u64));
}
