//! What a session may hold, and how it may be named.

use std::collections::BTreeMap;

use mainstay_actors::codec::Payload;
use mainstay_actors::session::{
    MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, MAX_CHANGES, MAX_NAME_BYTES, Sealed, Session,
    SessionCommand, SessionReject,
};

use crate::session_rules::{create_with, live, patch};
use crate::support::{Entity, Then};

fn of(tenant: &str, subject: &str) -> Option<SessionReject> {
    let create = SessionCommand::Create {
        tenant: tenant.to_owned(),
        subject: subject.to_owned(),
        ttl_ms: 60_000,
        max_age_ms: None,
        attributes: BTreeMap::new(),
    };
    Entity::<Session>::given().when(create).reply?.err()
}

fn field(command: SessionCommand) -> &'static str {
    field_of(Entity::<Session>::given().when(command))
}

fn field_of(then: Then<Session>) -> &'static str {
    match then.reject() {
        SessionReject::OutOfRange { field, .. } => field,
        other => panic!("{other}"),
    }
}

#[test]
fn tenants_are_plain_names() {
    for tenant in ["default", "Hotel-1.eu_west", &"t".repeat(200)] {
        assert_eq!(of(tenant, "guest"), None, "{tenant}");
    }
    for tenant in ["", "a/b", "a b", "ä", "a:b", &"t".repeat(201)] {
        let reject = of(tenant, "guest");
        assert!(
            matches!(reject, Some(SessionReject::OutOfRange { field: "tenant", .. })),
            "{tenant}"
        );
    }
}

#[test]
fn subjects_are_printable() {
    for subject in ["guest-7", "Zoë's 3rd id", "x@y", "@handle", &"s".repeat(200)] {
        assert_eq!(of("default", subject), None, "{subject}");
    }
    for subject in ["", "a\nb", "a\u{7f}", &"s".repeat(201)] {
        let reject = of("default", subject);
        let refused = matches!(reject, Some(SessionReject::OutOfRange { field: "subject", .. }));
        assert!(refused, "{subject:?}");
    }
}

#[test]
fn times_have_limits() {
    assert_eq!(field(create_with(999, None, &[])), "ttl_ms");
    assert_eq!(field(create_with(2_592_000_001, None, &[])), "ttl_ms");
    assert_eq!(field(create_with(60_000, Some(999), &[])), "max_age_ms");
    assert_eq!(field(create_with(60_000, Some(31_622_400_001), &[])), "max_age_ms");
}

#[test]
fn attributes_are_bounded_in_number_and_size() {
    let many: Vec<String> = (0..=MAX_ATTRIBUTES).map(|n| format!("a{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(field(create_with(60_000, None, &many)), "attributes");
    let mut session = Entity::<Session>::given();
    session.when(create_with(60_000, None, &many[1..]));
    let one_more = patch(None, &[("new", Some("1"))]);
    let full = session.when(one_more).reject();
    assert!(matches!(full, SessionReject::OutOfRange { field: "attributes", .. }));
    let swapped = patch(None, &[("new", Some("1")), (many[1].0, None)]);
    assert_eq!(session.when(swapped).names(), "SessionPatched");
    assert_eq!(live(&session).attributes.len(), MAX_ATTRIBUTES);
}

#[test]
fn names_and_plain_values_count_in_the_size() {
    let fits = "v".repeat(MAX_ATTRIBUTE_BYTES - 4);
    let mut session = Entity::<Session>::given();
    let created = session.when(create_with(60_000, None, &[("name", &fits)]));
    assert_eq!(created.names(), "SessionCreated");
    let longer = format!("{fits}v");
    assert_eq!(field(create_with(60_000, None, &[("name", &longer)])), "attributes");
    let reject = session.when(patch(None, &[("name", Some(&longer))])).reject();
    assert!(matches!(reject, SessionReject::OutOfRange { field: "attributes", .. }));
}

/// A record's 32 KiB without 2 KiB for its envelope.
const PAYLOAD_BYTES: usize = 30 * 1024;

fn encoded_bytes(then: &Then<Session>) -> usize {
    let mut bytes = Vec::new();
    then.events[0].encode(&mut bytes).expect("an event can be written");
    bytes.len()
}

/// `count` names of the greatest length.
fn long_names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:0>MAX_NAME_BYTES$}")).collect()
}

#[test]
fn the_largest_session_fits_a_record() {
    let value = "v".repeat(MAX_ATTRIBUTE_BYTES / MAX_ATTRIBUTES - MAX_NAME_BYTES);
    let names = long_names(MAX_ATTRIBUTES);
    let attributes = names.iter().map(|name| (name.clone(), under_key(&value)));
    let created = Entity::<Session>::given().when(SessionCommand::Create {
        tenant: "t".repeat(MAX_NAME_BYTES),
        subject: "s".repeat(MAX_NAME_BYTES),
        ttl_ms: 2_592_000_000,
        max_age_ms: Some(31_622_400_000),
        attributes: attributes.collect(),
    });
    let size = encoded_bytes(&created);
    assert!((MAX_ATTRIBUTE_BYTES..PAYLOAD_BYTES).contains(&size), "{size}");
}

/// Once a patch could set 16 KiB and name 16 KiB more to remove: no record could hold it.
#[test]
fn the_largest_patch_fits_a_record_and_a_larger_one_is_refused() {
    let mut session = Entity::<Session>::given();
    session.when(create_with(60_000, None, &[]));
    let names = long_names(64);
    let mut changes: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), None)).collect();
    // Each of the others is set to nothing, which sealed is 41 bytes.
    changes.extend((0..63).map(|n| (format!("{n:02}"), Some(under_key("")))));
    let rest = MAX_ATTRIBUTE_BYTES - 64 * MAX_NAME_BYTES - 63 * 2 - 1;
    changes.insert("a".to_owned(), Some(under_key(&"v".repeat(rest))));
    let of = |changes: &BTreeMap<String, Option<Sealed>>| SessionCommand::Patch {
        if_revision: None,
        changes: changes.clone(),
    };
    let patched = session.clone().when(of(&changes));
    let size = encoded_bytes(&patched);
    assert!((MAX_ATTRIBUTE_BYTES..PAYLOAD_BYTES).contains(&size), "{size}");
    changes.remove(&names[0]);
    changes.insert(format!("{:0>1$}", "x", MAX_NAME_BYTES + 1 - 1), None);
    changes.insert("a".to_owned(), Some(under_key(&"v".repeat(rest + 1))));
    assert_eq!(field_of(session.clone().when(of(&changes))), "changes");

    let many: Vec<_> = (0..=MAX_CHANGES).map(|n| format!("{n}")).collect();
    let mut many: Vec<_> = many.iter().map(|name| (name.as_str(), None)).collect();
    assert_eq!(field_of(session.clone().when(patch(None, &many))), "changes");
    many.pop();
    assert_eq!(session.when(patch(None, &many)).names(), "SessionPatched");
}

/// A value as the edge hands it over: nonce and tag around it.
fn under_key(value: &str) -> Sealed {
    Sealed::under_key(&[&[7; 40], value.as_bytes()].concat())
}

#[test]
fn a_sealed_value_counts_as_its_plain_one_and_is_as_long_as_its_scheme_needs() {
    let sealed = under_key("secret");
    assert_eq!((sealed.size_bytes(), Sealed::plain(b"secret").size_bytes()), (6, 6));
    assert_eq!(sealed.as_plain(), None);
    assert_eq!(sealed.as_under_key().map(<[u8]>::len), Some(46));
    for (value, is_taken) in [(under_key(""), true), (Sealed::under_key(&[7; 39]), false)] {
        let changes = BTreeMap::from([("pin".to_owned(), Some(value))]);
        let mut session = Entity::<Session>::given();
        session.when(create_with(60_000, None, &[]));
        let then = session.when(SessionCommand::Patch { if_revision: None, changes });
        assert_eq!(then.reply.is_some_and(|reply| reply.is_ok()), is_taken);
    }
}

#[test]
fn attribute_names_have_limits() {
    for name in ["", "a\nb", &"n".repeat(201)] {
        assert_eq!(field(create_with(60_000, None, &[(name, "1")])), "attribute name");
    }
}

#[test]
fn a_value_shows_its_length_only() {
    let value = Sealed::plain(b"secret");
    assert_eq!(format!("{value:?}"), "Sealed(6 bytes)");
    assert_eq!(serde_json::to_string(&value).expect("json"), r#"{"size_bytes":6}"#);
    assert!(serde_json::from_str::<Sealed>("\"secret\"").is_err());
    let mut session = Entity::<Session>::given();
    session.when(create_with(60_000, None, &[("pin", "secret")]));
    let shown =
        format!("{:?} {}", session.state, serde_json::to_string(&session.state).expect("json"));
    assert!(!shown.contains("secret"));
}
