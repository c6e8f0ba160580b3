//! Attestations: one of each item, replaced, withdrawn, and bounded.

use mainstay_actors::machine::{Again, Machine};
use mainstay_actors::system::{
    MAX_ATTESTED_MS, MAX_EVIDENCE_BYTES, System, SystemCommand, SystemReject, SystemState,
};

use crate::support::{Entity, at};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn attest(item: &str, for_ms: u64) -> SystemCommand {
    SystemCommand::Attest {
        item: item.to_owned(),
        evidence: "https://wiki.example/1".to_owned(),
        release: "0.1.0".to_owned(),
        for_ms,
    }
}

fn withdraw(item: &str) -> SystemCommand {
    SystemCommand::Withdraw { item: item.to_owned() }
}

#[test]
fn an_item_has_one_attestation_and_a_later_one_replaces_it() {
    let mut stream = Entity::<System>::given();
    assert_eq!(stream.when(attest("documents.runbooks", DAY_MS)).names(), "Attested");
    stream.wait_ms(1_000);
    assert_eq!(stream.when(attest("documents.runbooks", 2 * DAY_MS)).names(), "Attested");
    let state = stream.when(attest("documents.on-call", DAY_MS)).ok().0;
    assert_eq!(state.attestations.len(), 2);
    let runbooks = &state.attestations["documents.runbooks"];
    assert_eq!((runbooks.at, runbooks.until), (at(1_000), at(1_000 + 2 * DAY_MS)));
    assert_eq!(runbooks.release, "0.1.0");
}

#[test]
fn what_is_withdrawn_is_gone_and_cannot_be_withdrawn_again() {
    let mut stream = Entity::<System>::given();
    let item = "documents.runbooks".to_owned();
    let none = SystemReject::NotAttested { item };
    assert_eq!(stream.when(withdraw("documents.runbooks")).reject(), none);
    stream.when(attest("documents.runbooks", DAY_MS));
    let then = stream.when(withdraw("documents.runbooks"));
    assert_eq!(then.names(), "AttestationWithdrawn");
    assert_eq!(then.ok().0, SystemState::default());
    assert_eq!(stream.when(withdraw("documents.runbooks")).reject(), none);
}

#[test]
fn a_withdrawal_of_nothing_is_no_history() {
    let mut stream = Entity::<System>::given();
    stream.when(attest("a.b", DAY_MS));
    let withdrawn = stream.when(withdraw("a.b")).events;
    assert!(System::apply(SystemState::default(), &withdrawn[0]).is_err());
}

#[test]
fn what_is_out_of_its_range_is_refused_by_its_field() {
    let long = "e".repeat(MAX_EVIDENCE_BYTES + 1);
    for (item, evidence, for_ms, told) in [
        ("", "https://e", 1, "item"),
        ("Documents.runbooks", "https://e", 1, "item"),
        ("documents runbooks", "https://e", 1, "item"),
        ("a.b", "", 1, "evidence"),
        ("a.b", "two words", 1, "evidence"),
        ("a.b", &long, 1, "evidence"),
        ("a.b", "https://e", 0, "for_ms"),
        ("a.b", "https://e", MAX_ATTESTED_MS + 1, "for_ms"),
    ] {
        let (item, evidence) = (item.to_owned(), evidence.to_owned());
        let command = SystemCommand::Attest { item, evidence, release: "0.1.0".to_owned(), for_ms };
        let refused = Entity::<System>::given().when(command).reject();
        assert!(
            matches!(refused, SystemReject::OutOfRange { field, .. } if field == told),
            "{told}: {refused}"
        );
    }
}

#[test]
fn a_request_that_comes_again_attests_no_second_time() {
    let mut stream = Entity::<System>::given();
    let then = stream.when_asked("k", attest("a.b", DAY_MS));
    let again = System::answer_again(&stream.state, "k", &then.events, at(5));
    let Again::Reply(Ok(reply)) = again else { panic!("{again:?}") };
    assert_eq!(reply.0, stream.state);
    assert_eq!(System::answer_again(&stream.state, "k", &[], at(5)), Again::Decide);
}
