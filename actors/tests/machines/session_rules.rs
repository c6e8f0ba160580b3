//! Sessions: tables, ends, revisions, coalesced touches.

use mainstay_actors::codec::Payload;
use mainstay_actors::machine::{Again, Machine};
use mainstay_actors::session::{
    Attributes, Elsewhere, EndReason, Live, Sealed, Session, SessionCommand, SessionCreated,
    SessionEnded, SessionEvent, SessionFenced, SessionImported, SessionPatched, SessionReject,
    SessionReply, SessionState, SessionTouched,
};

use crate::support::{Entity, Then, at};

pub(crate) fn create() -> SessionCommand {
    create_with(60_000, None, &[("cart", "3")])
}

/// As it stood elsewhere.
pub(crate) fn elsewhere() -> Elsewhere {
    Elsewhere {
        tenant: "default".to_owned(),
        subject: "guest-7".to_owned(),
        revision: 7,
        ttl_ms: 60_000,
        created_at: at(0),
        active_at: at(0),
        idle_until: at(60_000),
        ends_at: Some(at(3_600_000)),
        attributes: Attributes::from([("cart", sealed("3"))]),
    }
}

pub(crate) fn create_with(
    ttl_ms: u64,
    max_age_ms: Option<u64>,
    attributes: &[(&str, &str)],
) -> SessionCommand {
    let attributes = attributes.iter();
    SessionCommand::Create {
        tenant: "default".to_owned(),
        subject: "guest-7".to_owned(),
        ttl_ms,
        max_age_ms,
        attributes: attributes.map(|(name, value)| ((*name).to_owned(), sealed(value))).collect(),
    }
}

pub(crate) fn sealed(value: &str) -> Sealed {
    Sealed::plain(value.as_bytes())
}

pub(crate) fn patch(if_revision: Option<u64>, changes: &[(&str, Option<&str>)]) -> SessionCommand {
    let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), value.map(sealed)));
    SessionCommand::Patch { if_revision, changes: changes.collect() }
}

pub(crate) fn live(session: &Entity<Session>) -> &Live {
    match &session.state {
        SessionState::Live(live) => live,
        other => panic!("not live: {other:?}"),
    }
}

fn created() -> Entity<Session> {
    let mut session = Entity::given();
    session.when(create());
    session
}

fn states() -> Vec<(&'static str, Entity<Session>)> {
    let mut run_out = created();
    run_out.wait_ms(60_000);
    let mut ended = created();
    ended.when(SessionCommand::End);
    vec![("absent", Entity::given()), ("live", created()), ("run out", run_out), ("ended", ended)]
}

fn ruling(then: &Then<Session>) -> String {
    let reply = match &then.reply {
        Some(Ok(SessionReply::Shown(_))) => "shown",
        Some(Ok(SessionReply::Kept { .. })) => "kept",
        Some(Ok(SessionReply::Ended)) => "ended",
        Some(Ok(SessionReply::Done)) => "done",
        Some(Err(SessionReject::NotFound)) => "not found",
        Some(Err(SessionReject::Exists)) => "exists",
        Some(Err(SessionReject::Stale { .. })) => "stale",
        other => panic!("{other:?}"),
    };
    format!("{} {reply}", then.names())
}

#[test]
fn every_state_and_command_has_one_ruling() {
    let mut table = String::new();
    for (name, session) in states() {
        for command in [
            create(),
            SessionCommand::Touch,
            patch(None, &[("cart", Some("4"))]),
            patch(Some(9), &[("cart", Some("4"))]),
            patch(None, &[]),
            SessionCommand::End,
            SessionCommand::Show,
            SessionCommand::Due,
            SessionCommand::Forget,
            SessionCommand::Import(Box::new(elsewhere())),
            SessionCommand::Fence { at: at(90_000) },
        ] {
            let then = session.clone().when(command);
            table.push_str(&format!("{name}: {}\n", ruling(&then)));
        }
    }
    // Create, Touch, Patch, stale Patch, empty Patch, End, Show, Due, Forget, Import, Fence.
    let expected = "\
absent: SessionCreated shown
absent: - not found
absent: - not found
absent: - not found
absent: - not found
absent: - not found
absent: - not found
absent: - done
absent: - done
absent: SessionImported shown
absent: - done
live: - exists
live: - kept
live: SessionPatched kept
live: - stale
live: - kept
live: SessionEnded ended
live: - shown
live: - done
live: SessionEnded ended
live: - exists
live: SessionFenced done
run out: - exists
run out: - not found
run out: - not found
run out: - not found
run out: - not found
run out: - not found
run out: - not found
run out: SessionEnded done
run out: SessionEnded done
run out: - exists
run out: SessionFenced done
ended: - exists
ended: - not found
ended: - not found
ended: - not found
ended: - not found
ended: - not found
ended: - not found
ended: - done
ended: - done
ended: - exists
ended: - done
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn every_state_and_event_has_one_ruling() {
    let changes = Attributes::default();
    let events: [SessionEvent; 7] = [
        SessionCreated {
            tenant: "default".into(),
            subject: "guest-7".into(),
            ttl_ms: 1_000,
            at: at(0),
            idle_until: at(1_000),
            ends_at: None,
            attributes: Attributes::default(),
        }
        .into(),
        SessionTouched { at: at(0), idle_until: at(1_000) }.into(),
        SessionPatched { revision: 2, at: at(0), idle_until: at(1_000), changes: changes.clone() }
            .into(),
        SessionPatched { revision: 3, at: at(0), idle_until: at(1_000), changes }.into(),
        SessionEnded { reason: EndReason::Idle, at: at(1_000) }.into(),
        SessionImported {
            tenant: "default".into(),
            subject: "guest-7".into(),
            revision: 7,
            ttl_ms: 1_000,
            created_at: at(0),
            active_at: at(0),
            idle_until: at(1_000),
            ends_at: None,
            at: at(0),
            attributes: Attributes::default(),
        }
        .into(),
        SessionFenced { at: at(90_000) }.into(),
    ];
    let mut table = String::new();
    for (name, session) in states() {
        let legal = events.iter().map(|event| {
            let legal = Session::apply(session.state.clone(), event).is_ok();
            if legal { event.name() } else { "-" }
        });
        table.push_str(&format!("{name}: {}\n", legal.collect::<Vec<_>>().join(" ")));
    }
    let expected = "\
absent: SessionCreated - - - - SessionImported -
live: - SessionTouched SessionPatched - SessionEnded - SessionFenced
run out: - SessionTouched SessionPatched - SessionEnded - SessionFenced
ended: - - - - - - -
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn an_imported_session_goes_on_as_it_stood_elsewhere() {
    let mut session = Entity::<Session>::given();
    let imported = session.when(SessionCommand::Import(Box::new(elsewhere())));
    let Some(Ok(SessionReply::Shown(shown))) = imported.reply else { panic!("not shown") };
    assert_eq!(*shown, *live(&session));
    assert_eq!((shown.revision, shown.created_at, shown.expires_at()), (7, at(0), at(60_000)));
    assert_eq!(session.when(patch(Some(7), &[("cart", None)])).names(), "SessionPatched");
    assert_eq!(live(&session).revision, 8);
    // One that has run out meanwhile begins, and its deadline ends it.
    let mut late = Entity::<Session>::given();
    late.wait_ms(60_000);
    late.when(SessionCommand::Import(Box::new(elsewhere())));
    assert_eq!(late.when(SessionCommand::Show).reject(), SessionReject::NotFound);
    assert_eq!(late.when(SessionCommand::Due).names(), "SessionEnded");
}

/// Makes something wrong.
type Spoil = fn(&mut Elsewhere);

#[test]
fn a_session_that_no_server_could_have_is_not_imported() {
    let rules: [(&str, Spoil); 10] = [
        ("tenant", |it| it.tenant = "a/b".to_owned()),
        ("subject", |it| it.subject = String::new()),
        ("ttl_ms", |it| it.ttl_ms = 999),
        ("max_age_ms", |it| it.ends_at = Some(it.created_at)),
        ("revision", |it| it.revision = 0),
        ("revision", |it| it.revision = u64::MAX),
        ("created_at", |it| it.created_at = at(1)),
        ("active_at", |it| it.active_at = at(1)),
        ("idle_until", |it| it.idle_until = at(60_001)),
        ("attribute value", |it| it.attributes = [("a", Sealed::under_key(b"short"))].into()),
    ];
    for (expected, spoil) in rules {
        let mut wrong = elsewhere();
        spoil(&mut wrong);
        let refused = Entity::<Session>::given().when(SessionCommand::Import(Box::new(wrong)));
        match refused.reject() {
            SessionReject::OutOfRange { field, .. } => assert_eq!(field, expected),
            other => panic!("{expected}: {other}"),
        }
    }
    let mut personal = elsewhere();
    personal.subject = "ann@example.org".to_owned();
    let refused = Entity::<Session>::given().when(SessionCommand::Import(Box::new(personal)));
    assert!(matches!(refused.reject(), SessionReject::PersonalSubject { .. }));
}

#[test]
fn a_session_that_has_run_out_is_not_readable_swept_or_not() {
    let mut session = created();
    session.wait_ms(59_999);
    assert!(matches!(session.when(SessionCommand::Show).ok(), SessionReply::Shown(_)));
    session.wait_ms(1);
    assert_eq!(session.when(SessionCommand::Show).reject(), SessionReject::NotFound);
    session.due();
    assert_eq!(session.when(SessionCommand::Show).reject(), SessionReject::NotFound);
}

#[test]
fn it_ends_at_the_moment_it_ran_out_however_late_the_timer_is() {
    let mut session = created();
    session.wait_ms(3_600_000);
    session.due();
    let ended = SessionState::Ended { reason: EndReason::Idle, at: at(60_000) };
    assert_eq!(session.state, ended);
    assert_eq!(Session::deadline(&session.state), None);
}

#[test]
fn the_absolute_age_ends_it_whatever_happens() {
    let mut session = Entity::<Session>::given();
    session.when(create_with(60_000, Some(100_000), &[]));
    for _ in 0..9 {
        session.wait_ms(11_000);
        session.when(SessionCommand::Touch);
    }
    let kept = session.when(SessionCommand::Touch).ok();
    assert_eq!(kept, SessionReply::Kept { revision: 1, expires_at: at(100_000) });
    assert_eq!(session.next_deadline().names(), "SessionEnded");
    let ended = SessionState::Ended { reason: EndReason::MaxAge, at: at(100_000) };
    assert_eq!(session.state, ended);
}

#[test]
fn a_touch_is_journaled_once_a_tenth_of_the_ttl_has_passed() {
    let mut session = created();
    session.wait_ms(5_999);
    let then = session.when(SessionCommand::Touch);
    assert_eq!(then.names(), "-");
    let journaled = SessionReply::Kept { revision: 1, expires_at: at(60_000) };
    assert_eq!(then.ok(), journaled, "only journaled touches count");
    session.wait_ms(1);
    let then = session.when(SessionCommand::Touch);
    assert_eq!(then.names(), "SessionTouched");
    assert_eq!(then.ok(), SessionReply::Kept { revision: 1, expires_at: at(66_000) });
}

#[test]
fn a_patch_counts_as_a_touch_and_raises_the_revision() {
    let mut session = created();
    session.wait_ms(1_000);
    let kept = session.when(patch(None, &[("cart", None), ("room", Some("12"))])).ok();
    assert_eq!(kept, SessionReply::Kept { revision: 2, expires_at: at(61_000) });
    let names: Vec<_> = live(&session).attributes.names().collect();
    assert_eq!(names, ["room"]);
    assert_eq!(live(&session).attributes.get("room").unwrap().as_plain(), Some(b"12".as_slice()));
}

#[test]
fn of_two_concurrent_patches_one_wins_and_the_other_learns_the_revision() {
    let mut session = created();
    let one = session.when(patch(Some(1), &[("cart", Some("4"))]));
    assert_eq!(one.names(), "SessionPatched");
    let other = session.when(patch(Some(1), &[("cart", Some("5"))]));
    assert_eq!(other.reject(), SessionReject::Stale { current: 2 });
}

#[test]
fn a_touch_does_not_change_the_revision() {
    let mut session = created();
    session.wait_ms(10_000);
    session.when(SessionCommand::Touch);
    assert_eq!(live(&session).revision, 1);
}

fn again(session: &Entity<Session>, events: &[SessionEvent]) -> Again<Session> {
    Session::answer_again(&session.state, "r1", events, session.now)
}

#[test]
fn a_retried_create_gets_the_session_as_it_was_created() {
    let mut session = Entity::<Session>::given();
    let first = session.when(create());
    let events = first.events.clone();
    session.when(patch(None, &[("cart", Some("4"))]));
    assert_eq!(again(&session, &events), Again::Reply(Ok(first.ok())));
    session.when(SessionCommand::End);
    assert_eq!(again(&session, &events), Again::Reply(Err(SessionReject::Exists)));
}

#[test]
fn a_retried_patch_or_end_gets_its_first_answer() {
    let mut session = created();
    let patched = session.when(patch(Some(1), &[("cart", Some("4"))]));
    let events = patched.events.clone();
    let first = patched.ok();
    session.when(patch(None, &[("cart", Some("5"))]));
    assert_eq!(again(&session, &events), Again::Reply(Ok(first)));
    let ended = session.when(SessionCommand::End);
    assert_eq!(again(&session, &events), Again::Reply(Err(SessionReject::NotFound)));
    assert_eq!(again(&session, &ended.events), Again::Reply(Ok(SessionReply::Ended)));
}

/// Once a retried create showed the attributes of a session that had run out, up to its sweep.
#[test]
fn a_session_that_has_run_out_is_not_readable_through_a_retry_swept_or_not() {
    let mut session = Entity::<Session>::given();
    let created = session.when(create()).events;
    session.wait_ms(10_000);
    let patched = session.when(patch(None, &[("cart", Some("4"))])).events;
    let touched = session.when(SessionCommand::Touch).events;
    session.wait_ms(60_000);
    assert!(matches!(session.state, SessionState::Live(_)), "not swept yet");
    for _ in 0..2 {
        assert_eq!(again(&session, &created), Again::Reply(Err(SessionReject::Exists)));
        assert_eq!(again(&session, &patched), Again::Reply(Err(SessionReject::NotFound)));
        assert_eq!(again(&session, &touched), Again::Decide);
        assert_eq!(session.when(SessionCommand::Touch).reject(), SessionReject::NotFound);
        session.due();
    }
}

#[test]
fn touches_and_what_only_time_did_are_decided_again() {
    let mut session = created();
    session.wait_ms(10_000);
    let touched = session.when(SessionCommand::Touch);
    assert_eq!(again(&session, &touched.events), Again::Decide);
    assert_eq!(again(&session, &[]), Again::Decide);
    let swept = session.next_deadline();
    assert_eq!(again(&session, &swept.events), Again::Decide);
}
