//! Keys: tables, secrets that overlap, refusals that are recorded once.

use mainstay_actors::key::{
    AccessRefused, Key, KeyCommand, KeyCreated, KeyEvent, KeyHash, KeyReject, KeyRevoked,
    KeyRotated, MAX_SECRETS, REFUSALS_EVERY_MS, RefusedBecause, Role,
};
use mainstay_actors::machine::{Again, Machine};

use crate::support::{Entity, Then, at};

fn hash(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

fn create(life_ms: Option<u64>) -> KeyCommand {
    KeyCommand::Create { role: Role::Operator, tenant: None, hash: hash(1), life_ms }
}

fn rotate(number: u8, overlap_ms: u64) -> KeyCommand {
    KeyCommand::Rotate { hash: hash(number), overlap_ms }
}

fn revoke() -> KeyCommand {
    KeyCommand::Revoke { reason: "lost".to_owned() }
}

fn refuse(because: RefusedBecause) -> KeyCommand {
    KeyCommand::Refuse { because, operation: "POST /api/v1/keys".to_owned() }
}

fn created(life_ms: Option<u64>) -> Entity<Key> {
    let mut key = Entity::given();
    key.when(create(life_ms));
    key
}

fn states() -> [(&'static str, Entity<Key>); 4] {
    let mut expired = created(Some(60_000));
    expired.wait_ms(60_000);
    let mut revoked = created(None);
    revoked.when(revoke());
    [
        ("absent", Entity::given()),
        ("good", created(None)),
        ("expired", expired),
        ("revoked", revoked),
    ]
}

/// The hashes of the secrets that are taken now.
fn good(key: &Entity<Key>) -> Vec<u8> {
    let facts = key.state.key.as_ref().expect("a key");
    facts.good_secrets(key.now).map(|secret| secret.hash.0[0]).collect()
}

fn ruling(then: &Then<Key>) -> String {
    let reply = match &then.reply {
        Some(Ok(reply)) => reply.0.as_ref().map_or("nothing", |_| "the key"),
        Some(Err(KeyReject::NotFound)) => "not found",
        Some(Err(KeyReject::Exists)) => "exists",
        Some(Err(KeyReject::Revoked)) => "revoked",
        Some(Err(KeyReject::Expired)) => "expired",
        other => panic!("{other:?}"),
    };
    format!("{} {reply}", then.names())
}

#[test]
fn every_state_and_command_has_one_ruling() {
    let mut table = String::new();
    for (name, key) in states() {
        let commands =
            [create(None), rotate(2, 0), revoke(), refuse(RefusedBecause::Role), KeyCommand::Show];
        for command in commands {
            table.push_str(&format!("{name}: {}\n", ruling(&key.clone().when(command))));
        }
    }
    // Create, Rotate, Revoke, Refuse, Show.
    let expected = "\
absent: KeyCreated the key
absent: - not found
absent: - not found
absent: - nothing
absent: - not found
good: - exists
good: KeyRotated the key
good: KeyRevoked the key
good: AccessRefused the key
good: - the key
expired: - exists
expired: - expired
expired: KeyRevoked the key
expired: AccessRefused the key
expired: - the key
revoked: - exists
revoked: - revoked
revoked: - the key
revoked: AccessRefused the key
revoked: - the key
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn every_state_and_event_has_one_ruling() {
    let made =
        KeyCreated { role: Role::Viewer, tenant: None, hash: hash(1), at: at(0), expires_at: None };
    let (because, operation) = (RefusedBecause::Role, "GET /".to_owned());
    let events: [KeyEvent; 4] = [
        made.into(),
        KeyRotated { hash: hash(2), at: at(0), older_until: at(0) }.into(),
        KeyRevoked { reason: "lost".to_owned(), at: at(0) }.into(),
        AccessRefused { because, operation, at: at(0) }.into(),
    ];
    // An expired key takes what it took before: time alone makes no history illegal.
    for (name, legal) in
        [("absent", "ynnn"), ("good", "nyyy"), ("expired", "nyyy"), ("revoked", "nnny")]
    {
        let (_, key) = states().into_iter().find(|(state, _)| *state == name).expect("a state");
        let found: String = events
            .iter()
            .map(|event| match Key::apply(key.state.clone(), event) {
                Ok(_) => 'y',
                Err(illegal) => {
                    let mut kept = key.state.clone();
                    Key::fold(&mut kept, event).expect_err("the same ruling");
                    assert_eq!(kept, key.state, "{illegal}: the state was touched");
                    'n'
                },
            })
            .collect();
        assert_eq!(found, legal, "{name}");
    }
}

#[test]
fn the_older_secret_is_taken_until_its_overlap_ends() {
    let mut key = created(None);
    key.when(rotate(2, 1_000));
    assert_eq!(good(&key), [2, 1]);
    key.wait_ms(999);
    assert_eq!(good(&key), [2, 1]);
    key.wait_ms(1);
    assert_eq!(good(&key), [2]);
}

#[test]
fn a_rotation_without_overlap_ends_every_older_secret_at_once() {
    let mut key = created(None);
    key.when(rotate(2, 60_000));
    key.when(rotate(3, 0));
    assert_eq!(good(&key), [3]);
}

#[test]
fn a_second_rotation_prolongs_no_older_secret() {
    let mut key = created(None);
    key.when(rotate(2, 1_000));
    key.when(rotate(3, 60_000));
    key.wait_ms(1_000);
    assert_eq!(good(&key), [3, 2]);
}

#[test]
fn secrets_that_are_good_at_once_are_bounded() {
    let mut key = created(None);
    for number in 2.. {
        let then = key.when(rotate(number, 60_000));
        if good(&key).len() == MAX_SECRETS && then.events.is_empty() {
            assert_eq!(then.reject(), KeyReject::TooManySecrets);
            break;
        }
    }
    key.when(rotate(99, 0)).ok();
    assert_eq!(good(&key), [99], "the way out that the error names");
}

#[test]
fn a_revoked_key_has_no_secrets_and_its_name_is_spent() {
    let mut key = created(None);
    key.when(revoke());
    assert_eq!(good(&key), [] as [u8; 0]);
    let facts = key.state.key.clone().expect("a key");
    assert_eq!(facts.refusal(key.now), Some(RefusedBecause::Revoked));
    assert_eq!(key.when(create(None)).reject(), KeyReject::Exists);
}

#[test]
fn a_key_expires_at_its_moment_and_not_before() {
    let mut key = created(Some(1_000));
    let facts = key.state.key.clone().expect("a key");
    key.wait_ms(999);
    assert_eq!(facts.refusal(key.now), None);
    key.wait_ms(1);
    assert_eq!(facts.refusal(key.now), Some(RefusedBecause::Expired));
}

#[test]
fn refusals_are_recorded_once_a_minute_for_each_reason() {
    let mut key = created(None);
    assert_eq!(key.when(refuse(RefusedBecause::Role)).names(), "AccessRefused");
    assert_eq!(key.when(refuse(RefusedBecause::Role)).names(), "-");
    assert_eq!(key.when(refuse(RefusedBecause::Tenant)).names(), "AccessRefused");
    key.wait_ms(REFUSALS_EVERY_MS - 1);
    assert_eq!(key.when(refuse(RefusedBecause::Role)).names(), "-");
    key.wait_ms(1);
    assert_eq!(key.when(refuse(RefusedBecause::Role)).names(), "AccessRefused");
}

#[test]
fn a_long_operation_is_cut_between_its_letters() {
    let mut key = created(None);
    let operation = format!("x{}", "ü".repeat(200));
    let then = key.when(KeyCommand::Refuse { because: RefusedBecause::Role, operation });
    let [KeyEvent::AccessRefused(event)] = &then.events[..] else { panic!("{then:?}") };
    assert_eq!(event.operation.len(), 199);
}

#[test]
fn ranges_are_kept() {
    let with = |tenant: Option<&str>, life_ms| KeyCommand::Create {
        role: Role::Viewer,
        tenant: tenant.map(str::to_owned),
        hash: hash(1),
        life_ms,
    };
    let long = "x".repeat(201);
    for command in [
        with(Some(""), None),
        with(Some("a/b"), None),
        with(Some(&long), None),
        with(None, Some(999)),
        with(None, Some(316_224_000_001)),
    ] {
        let reject = Entity::<Key>::given().when(command).reject();
        assert!(matches!(reject, KeyReject::OutOfRange { .. }), "{reject:?}");
    }
    for command in [
        rotate(2, 7_776_000_001),
        KeyCommand::Revoke { reason: String::new() },
        KeyCommand::Revoke { reason: "a\nb".to_owned() },
    ] {
        let reject = created(None).when(command).reject();
        assert!(matches!(reject, KeyReject::OutOfRange { .. }), "{reject:?}");
    }
}

#[test]
fn a_retried_create_makes_no_second_secret() {
    let mut key = Entity::<Key>::given();
    let events = key.when(create(None)).events;
    let again = Key::answer_again(&key.state, "r", &events, key.now);
    assert_eq!(again, Again::Reply(Err(KeyReject::Exists)));
}

#[test]
fn json_shows_a_fingerprint_and_never_the_hash() {
    let mut key = Entity::<Key>::given();
    let then = key.when(create(None));
    let shown = serde_json::to_string(&(&then.events, &key.state)).expect("JSON");
    assert!(shown.contains("\"01010101\"") && !shown.contains("0101010101"), "{shown}");
    assert!(!format!("{:?}", key.state).contains("1, 1"), "{:?}", key.state);
}
