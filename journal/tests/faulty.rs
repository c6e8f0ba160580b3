//! A failing log fails as it was told to, and is the log inside otherwise.

use mainstay_journal::conformance::{self, Bench, Outcomes, append};
use mainstay_journal::{
    EventLog, Fault, FaultyLog, FaultySink, MemoryLog, Outcome, ReadLog as _, Refusal,
};

struct Faulty {
    log: FaultyLog<MemoryLog>,
    outcomes: Outcomes,
}

impl Bench for Faulty {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }
    fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.all()
    }
    fn work(&mut self) {}
}

fn faulty() -> Faulty {
    let outcomes = Outcomes::default();
    let sink = FaultySink::new(outcomes.clone());
    let log = FaultyLog::new(MemoryLog::immediate(sink.clone()), sink);
    Faulty { log, outcomes }
}

#[test]
fn without_a_fault_it_keeps_the_contract() {
    conformance::all(&mut || Box::new(faulty()));
}

#[test]
fn what_is_held_is_seen_by_nobody_until_it_is_released() {
    let Faulty { log, outcomes } = faulty();
    log.set(Fault::Hold);
    log.submit(append("a/1", 0, 1, 1)).unwrap();
    log.submit(append("a/1", 1, 1, 1)).unwrap();
    assert_eq!((log.head().position, log.held(), outcomes.all().len()), (0, 2, 0));
    log.release().unwrap();
    assert_eq!((log.head().position, log.held(), outcomes.all().len()), (2, 0, 2));
}

#[test]
fn each_fault_answers_as_it_says() {
    let Faulty { log, outcomes } = faulty();
    log.set(Fault::Full);
    assert!(log.submit(append("a/1", 0, 1, 1)).is_err());
    log.set(Fault::Refuse(Refusal::NoRoom));
    log.submit(append("a/1", 0, 1, 1)).unwrap();
    assert_eq!(log.status().refusing, Some(Refusal::NoRoom));
    log.set(Fault::Unknown("lost".into()));
    log.submit(append("a/1", 0, 1, 1)).unwrap();
    assert_eq!(log.head().position, 0);
    log.set(Fault::UnknownButWritten("kept".into()));
    log.submit(append("a/1", 0, 1, 1)).unwrap();
    assert_eq!(log.head().position, 1);
    let wanted = [
        Outcome::Refused(Refusal::NoRoom),
        Outcome::Unknown("lost".into()),
        Outcome::Unknown("kept".into()),
    ];
    assert_eq!(outcomes.all(), wanted);
}
