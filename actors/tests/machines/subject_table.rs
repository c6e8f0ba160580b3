//! A subject's tables, pair by pair.

use std::collections::BTreeMap;

use mainstay_actors::machine::{Again, Machine};
use mainstay_actors::subject::{
    Consent, ConsentRecorded, ErasureFinished, HoldLifted, HoldPlaced, MAX_CONSENTS, Subject,
    SubjectCommand, SubjectErased, SubjectEvent, SubjectExported, SubjectImported,
    SubjectRectified, SubjectReject, SubjectReply, SubjectState,
};

use crate::support::{Entity, Then, at};

fn text(text: &str) -> String {
    text.to_owned()
}

fn consent(about: &str, granted: bool) -> SubjectCommand {
    SubjectCommand::RecordConsent { consent: text(about), granted, text_version: text("v1") }
}

fn hold(held: bool) -> SubjectCommand {
    SubjectCommand::SetHold { held, reason: text("case 7") }
}

fn import(consents: &[&str]) -> SubjectCommand {
    let (text_version, by) = (text("v1"), text("anna"));
    let consent = Consent { granted: true, text_version, by, at: at(0) };
    let consents = consents.iter().map(|about| (text(about), consent.clone())).collect();
    SubjectCommand::Import { consents, sessions: 2 }
}

fn after(commands: impl IntoIterator<Item = SubjectCommand>) -> Entity<Subject> {
    let mut subject = Entity::given();
    for command in commands {
        subject.when(command);
    }
    subject
}

fn states() -> [(&'static str, Entity<Subject>); 5] {
    let finish = SubjectCommand::FinishErasure { sessions_ended: 3 };
    [
        ("new", Entity::given()),
        ("open", after([consent("mail", true)])),
        ("held", after([hold(true)])),
        ("erased", after([consent("mail", true), SubjectCommand::Erase])),
        ("forgotten", after([SubjectCommand::Erase, finish])),
    ]
}

fn ruling(then: &Then<Subject>) -> String {
    let reply = match then.reply.as_ref().expect("an answer") {
        Ok(_) => "shown".to_owned(),
        Err(SubjectReject::Held { why }) => format!("held: {why}"),
        Err(SubjectReject::Erased) => "erased".to_owned(),
        Err(SubjectReject::Exists) => "exists".to_owned(),
        Err(other) => panic!("{other}"),
    };
    format!("{} {reply}", then.names())
}

#[test]
fn every_state_and_command_has_one_ruling() {
    let mut table = String::new();
    for (name, subject) in states() {
        for command in [
            consent("mail", false),
            hold(true),
            hold(false),
            SubjectCommand::Export,
            SubjectCommand::Rectify { names: vec![text("mail")], sessions: 1 },
            import(&["mail"]),
            SubjectCommand::Erase,
            SubjectCommand::FinishErasure { sessions_ended: 3 },
            SubjectCommand::Show,
        ] {
            let then = subject.clone().when(command);
            table.push_str(&format!("{name}: {}\n", ruling(&then)));
        }
    }
    // Consent, hold, lift, export, rectify, import, erase, finish, show.
    let expected = "\
new: ConsentRecorded shown
new: HoldPlaced shown
new: - shown
new: SubjectExported shown
new: SubjectRectified shown
new: SubjectImported+ConsentRecorded shown
new: SubjectErased shown
new: - shown
new: - shown
open: ConsentRecorded shown
open: HoldPlaced shown
open: - shown
open: SubjectExported shown
open: SubjectRectified shown
open: - exists
open: SubjectErased shown
open: - shown
open: - shown
held: ConsentRecorded shown
held: - shown
held: HoldLifted shown
held: SubjectExported shown
held: SubjectRectified shown
held: - exists
held: - held: case 7
held: - shown
held: - shown
erased: - erased
erased: - erased
erased: - erased
erased: - erased
erased: - erased
erased: - erased
erased: - erased
erased: ErasureFinished shown
erased: - shown
forgotten: - erased
forgotten: - erased
forgotten: - erased
forgotten: - erased
forgotten: - erased
forgotten: - erased
forgotten: - erased
forgotten: - shown
forgotten: - shown
";
    assert_eq!(table, expected, "\n{table}");
}

pub(crate) fn events() -> Vec<SubjectEvent> {
    vec![
        ConsentRecorded {
            consent: text("mail"),
            granted: true,
            text_version: text("v1"),
            by: text("anna"),
            at: at(0),
        }
        .into(),
        HoldPlaced { reason: text("case 7"), at: at(0) }.into(),
        HoldLifted { reason: text("closed"), at: at(0) }.into(),
        SubjectExported { by: text("anna"), at: at(0) }.into(),
        SubjectRectified { names: vec![text("mail")], sessions: 1, at: at(0) }.into(),
        SubjectImported { consents: 1, sessions: 2, at: at(0) }.into(),
        SubjectErased { at: at(0) }.into(),
        ErasureFinished { sessions_ended: 3, at: at(0) }.into(),
    ]
}

#[test]
fn every_state_and_event_has_one_ruling() {
    let mut table = String::new();
    for (name, subject) in states() {
        let line: String = events()
            .iter()
            .map(|event| {
                let before = subject.state.clone();
                let mut state = before.clone();
                if Subject::fold(&mut state, event).is_ok() {
                    return '+';
                }
                assert_eq!(state, before, "an illegal event changes nothing");
                '-'
            })
            .collect();
        table.push_str(&format!("{name} {line}\n"));
    }
    // Consent, hold, lift, export, rectify, import, erase, finish.
    let expected =
        "new ++-++++-\nopen ++-++++-\nheld +-++++--\nerased -------+\nforgotten --------\n";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn the_last_consent_of_a_type_counts_and_an_erasure_forgets_them() {
    let mut subject = after([consent("mail", true), consent("ads", true), consent("mail", false)]);
    let granted = |state: &SubjectState| -> BTreeMap<String, bool> {
        state.consents.iter().map(|(about, it)| (about.clone(), it.granted)).collect()
    };
    let expected = BTreeMap::from([(text("ads"), true), (text("mail"), false)]);
    assert_eq!(granted(&subject.state), expected);
    subject.when(SubjectCommand::Erase);
    assert_eq!(granted(&subject.state), BTreeMap::new());
}

#[test]
fn consents_are_bounded_in_number_and_length() {
    let mut subject = after((0..MAX_CONSENTS).map(|n| consent(&format!("c{n}"), true)));
    let refused = |then: Then<Subject>| match then.reply {
        Some(Err(SubjectReject::OutOfRange { field, .. })) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(subject.when(consent("one more", true))), "consent");
    assert_eq!(subject.when(consent("c0", false)).names(), "ConsentRecorded");
    for wrong in ["", "a\nb", &"x".repeat(201)] {
        assert_eq!(refused(Entity::given().when(consent(wrong, true))), "consent");
        let reason = SubjectCommand::SetHold { held: true, reason: text(wrong) };
        assert_eq!(refused(Entity::given().when(reason)), "reason");
    }
}

#[test]
fn an_imported_consent_keeps_who_and_when_but_cannot_come_from_the_future() {
    let imported = after([import(&["mail", "ads"])]);
    assert_eq!(imported.state.consents["mail"].by, "anna");
    assert_eq!(imported.state.consents["mail"].at, at(0));
    let consent = Consent { granted: true, text_version: text("v"), by: text("b"), at: at(9) };
    let consents = BTreeMap::from([(text("mail"), consent)]);
    let then = Entity::<Subject>::given().when(SubjectCommand::Import { consents, sessions: 0 });
    assert!(matches!(then.reply, Some(Err(SubjectReject::OutOfRange { field: "at", .. }))));
}

#[test]
fn a_retried_erasure_finds_its_answer_and_whatever_else_was_asked_does_not() {
    let erased = after([consent("mail", true), SubjectCommand::Erase]).state;
    let again = |event: SubjectEvent| Subject::answer_again(&erased, "r", &[event], at(1));
    let shown = Again::Reply(Ok(SubjectReply(erased.clone())));
    assert_eq!(again(SubjectErased { at: at(0) }.into()), shown);
    let gone = Again::Reply(Err(SubjectReject::Erased));
    assert_eq!(again(SubjectExported { by: text("anna"), at: at(0) }.into()), gone);
}
