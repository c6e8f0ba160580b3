//! A tenant's key finds nothing of another tenant.

use serde_json::{Value, json};

use super::{Guarded, kind};
use crate::support::{Answer, Client, Feed};

/// Two tenants with a session and a lock each, and a key of each.
struct Two {
    guarded: Guarded,
    acme: Client,
    acme_key: String,
    acme_session: String,
    other_session: String,
}

impl Two {
    fn start() -> Self {
        let guarded = Guarded::start();
        let acme = guarded.key("acme", "supervisor", Some("acme"));
        let other = guarded.key("other", "supervisor", Some("other"));
        let session = |key: &str, secret: &str| {
            let body = json!({ "subject": "shared-subject", "ttl_ms": 600_000, "attributes": { "s": secret } });
            let made = guarded.as_who(key).post("/api/v1/sessions", &body).expect(201);
            made.text("id")
        };
        let (acme_session, other_session) = (session(&acme, "ours"), session(&other, "theirs"));
        for (key, tenant) in [(&acme, "acme"), (&other, "other")] {
            let path = format!("/api/v1/locks/{tenant}:room/acquire");
            let body = json!({ "owner": format!("{tenant}-owner"), "ttl_ms": 600_000 });
            guarded.as_who(key).post(&path, &body).expect(200);
        }
        let acme_key = acme;
        let acme = guarded.as_who(&acme_key);
        Self { guarded, acme, acme_key, acme_session, other_session }
    }
}

#[test]
fn a_tenants_key_finds_nothing_of_another_tenant_by_any_way() {
    let two = Two::start();
    let (acme, theirs) = (&two.acme, &two.other_session);
    acme.get(&format!("/api/v1/sessions/{}", two.acme_session)).expect(200);
    // By id alone its own tenant is meant: there is no such session, as for any made-up id.
    let session = |id: &str| acme.get(&format!("/api/v1/sessions/{id}"));
    let (theirs_answer, made_up) =
        (session(theirs), session("00000000-0000-7000-8000-000000000000"));
    assert_eq!((theirs_answer.status, made_up.status), (404, 404));
    let plain = |answer: &Answer, id: &str| answer.body.to_string().replace(id, "ID");
    assert_eq!(
        plain(&theirs_answer, theirs),
        plain(&made_up, "00000000-0000-7000-8000-000000000000")
    );
    // Named, it is refused, whether it is there or not.
    let patch = json!({ "attributes": { "s": "stolen" } });
    for tenant in ["other", "never-was"] {
        for id in [theirs.as_str(), "made-up"] {
            let of = format!("/api/v1/sessions/{id}?tenant={tenant}");
            for answer in [
                acme.get(&of),
                acme.delete(&of),
                acme.patch(&of, &patch),
                acme.post(&format!("/api/v1/sessions/{id}/touch?tenant={tenant}"), &json!(null)),
                acme.get(&format!("/api/v1/sessions?subject=shared-subject&tenant={tenant}")),
                acme.post(
                    "/api/v1/sessions",
                    &json!({ "tenant": tenant, "subject": "s", "ttl_ms": 60_000 }),
                ),
            ] {
                assert_eq!((answer.status, kind(&answer)), (403, "/problems/wrong-tenant"));
                assert!(!answer.body.to_string().contains(theirs.as_str()));
            }
        }
    }
    let own = acme.get("/api/v1/sessions?subject=shared-subject").expect(200);
    assert_eq!(own.body["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(own.body["sessions"][0]["id"], json!(two.acme_session));
}

#[test]
fn a_tenants_key_reaches_locks_of_its_own_name_only() {
    let two = Two::start();
    let acme = &two.acme;
    for name in ["other:room", "room", "acmex:room", "never-was:room"] {
        let path = format!("/api/v1/locks/{name}");
        let lease = json!({ "owner": "acme-owner", "ttl_ms": 60_000 });
        let token = json!({ "token": 1, "owner": "acme-owner" });
        for answer in [
            acme.get(&path),
            acme.post(&format!("{path}/acquire"), &lease),
            acme.post(&format!("{path}/renew"), &token),
            acme.post(&format!("{path}/release"), &token),
            acme.post(&format!("{path}/check"), &json!({ "token": 1 })),
            acme.post(&format!("{path}/force-release"), &json!({ "reason": "x" })),
        ] {
            assert_eq!((answer.status, kind(&answer)), (403, "/problems/wrong-tenant"), "{name}");
        }
    }
    // A lease's session is its own.
    let theirs = json!({ "owner": "a", "ttl_ms": 60_000, "session": format!("other/{}", two.other_session) });
    assert_eq!(acme.post("/api/v1/locks/acme:x/acquire", &theirs).status, 403);
    let ours = json!({ "owner": "a", "ttl_ms": 60_000, "session": two.acme_session });
    acme.post("/api/v1/locks/acme:x/acquire", &ours).expect(200);
    for (query, expected) in
        [("", 2), ("?prefix=ac", 2), ("?prefix=acme:r", 1), ("?prefix=other", 0), ("?prefix=b", 0)]
    {
        let listed = acme.get(&format!("/api/v1/locks{query}")).expect(200);
        let names = listed.body["locks"].as_array().unwrap().clone();
        assert_eq!(names.len(), expected, "{query}: {names:?}");
        assert!(names.iter().all(|it| it["name"].as_str().unwrap().starts_with("acme:")));
    }
}

#[test]
fn the_journal_shows_a_tenant_its_own_events_only() {
    let two = Two::start();
    let (acme, admin) = (&two.acme, two.guarded.as_who(&two.guarded.admin));
    acme.patch(
        &format!("/api/v1/sessions/{}", two.acme_session),
        &json!({ "attributes": { "s": 1 } }),
    )
    .expect(200);
    let all = admin.get("/api/v1/events?limit=1000").expect(200).body["events"].clone();
    let all = all.as_array().unwrap();
    let is_own =
        |stream: &str| stream.starts_with("session/acme/") || stream.starts_with("lock/acme:");
    let expected: Vec<&Value> =
        all.iter().filter(|it| is_own(it["stream"].as_str().unwrap())).collect();
    assert_eq!(expected.len(), 3, "{all:#?}");
    let own = acme.get("/api/v1/events?limit=1000").expect(200);
    assert_eq!(json!(expected), own.body["events"]);
    let theirs = [&two.other_session, "other:room", "other-owner", "key:other", "key:root"];
    let nothing_of_theirs = |what: &str, answer: &Answer| {
        let shown = answer.body.to_string();
        for secret in theirs {
            assert!(!shown.contains(secret), "{what} shows {secret}: {shown}");
        }
    };
    nothing_of_theirs("/events", &own);
    // Every filter that could find theirs finds nothing.
    let stream = format!("session/other/{}", two.other_session);
    for filter in [
        format!("stream={stream}"),
        "stream=lock/other:room".to_owned(),
        "stream=key/root".to_owned(),
        "principal=key:other".to_owned(),
        "type=KeyCreated".to_owned(),
        "type=Booted".to_owned(),
    ] {
        let found = acme.get(&format!("/api/v1/events?{filter}")).expect(200);
        assert_eq!(found.body["events"], json!([]), "{filter}");
    }
    for stream in [stream.as_str(), "lock/other:room", "key/root", "system/boot"] {
        acme.get(&format!("/api/v1/streams/{stream}")).expect(404);
        acme.get(&format!("/api/v1/diff?from=0&stream={stream}")).expect(404);
    }
    for event in all {
        let own = is_own(event["stream"].as_str().unwrap());
        let why = acme.get(&format!("/api/v1/events/{}/why", event["position"]));
        assert_eq!(why.status, if own { 200 } else { 404 }, "{event}");
        nothing_of_theirs("why", &why);
    }
    let state = acme.get("/api/v1/state").expect(200);
    nothing_of_theirs("/state", &state);
    assert_eq!((&state.body["live_sessions"], &state.body["held_locks"]), (&json!(1), &json!(1)));
    let whole = admin.get("/api/v1/state").expect(200);
    assert_eq!((&whole.body["live_sessions"], &whole.body["held_locks"]), (&json!(2), &json!(2)));
    assert_eq!(state.body["health"], whole.body["health"]);
    let diff = acme.get("/api/v1/diff?from=0").expect(200);
    nothing_of_theirs("/diff", &diff);
    assert_eq!(diff.body["sessions"]["live_after"], 1);
    assert_eq!(diff.body["locks"]["shown"].as_array().unwrap().len(), 1);
}

#[test]
fn a_batch_is_held_to_the_same_rules() {
    let two = Two::start();
    let commands = json!({ "commands": [
        { "op": "sessions.touch", "id": two.acme_session },
        { "op": "sessions.touch", "id": two.other_session },
        { "op": "sessions.touch", "id": two.other_session, "tenant": "other" },
        { "op": "sessions.create", "body": { "tenant": "other", "subject": "s", "ttl_ms": 60_000 } },
        { "op": "locks.acquire", "name": "acme:b", "body": { "owner": "a", "ttl_ms": 60_000 } },
        { "op": "locks.acquire", "name": "other:b", "body": { "owner": "a", "ttl_ms": 60_000 } },
        { "op": "locks.check", "name": "room", "body": { "token": 1 } },
        { "op": "dependencies.outcomes", "name": "db", "body": [{ "outcome": "failure", "duration_ms": 1 }] },
        { "op": "dependencies.state", "name": "db", "body": { "to": "forced_open", "reason": "x" } },
    ] });
    let answers = two.acme.post("/api/v1/batch", &commands).expect(200).body["answers"].clone();
    let statuses: Vec<u64> =
        answers.as_array().unwrap().iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 403, 403, 200, 403, 403, 403, 403], "{answers:#}");
    let viewer = two.guarded.key("acme-viewer", "viewer", Some("acme"));
    let batch = two.guarded.as_who(&viewer).post("/api/v1/batch", &commands);
    assert_eq!(kind(&batch), "/problems/wrong-role");
}

#[test]
fn the_live_feed_tells_a_tenant_its_own_events_only() {
    let two = Two::start();
    let address = two.guarded.server.address();
    // What is in the journal already, and what comes.
    let mut past = Feed::open_with(address, "after=0", &two.acme_key);
    let mut coming = Feed::open_with(address, "", &two.acme_key);
    assert!(coming.status.contains("200"), "{}", coming.status);
    let admin = two.guarded.as_who(&two.guarded.admin);
    let theirs = format!("/api/v1/sessions/{}/touch?tenant=other", two.other_session);
    admin.post(&theirs, &json!(null)).expect(200);
    let lease = json!({ "owner": "o", "ttl_ms": 60_000 });
    for name in ["other:x", "everybodys", "acme:last"] {
        admin.post(&format!("/api/v1/locks/{name}/acquire"), &lease).expect(200);
    }
    assert_eq!(coming.expect().data["stream"], "lock/acme:last");
    let session = format!("session/acme/{}", two.acme_session);
    for stream in [session.as_str(), "lock/acme:room", "lock/acme:last"] {
        assert_eq!(past.expect().data["stream"], stream);
    }
}

#[test]
fn an_admin_of_a_tenant_exports_and_puts_right_its_own_subjects_only() {
    let two = Two::start();
    let admin = two.guarded.key("acme-admin", "admin", Some("acme"));
    let admin = two.guarded.as_who(&admin);
    let told = admin.get("/api/v1/subjects/shared-subject/export").expect(200).body;
    assert_eq!(told["data"]["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(told["data"]["sessions"][0]["id"], json!(two.acme_session));
    assert_eq!(told["reads"][0]["by"], "key:acme-admin");
    assert!(!told.to_string().contains("theirs"), "{told}");
    let body = json!({ "attributes": { "s": "right" } });
    let told = admin.patch("/api/v1/subjects/shared-subject", &body).expect(200).body;
    assert_eq!(told["sessions"].as_array().unwrap().len(), 1);
    for tenant in ["other", "never-was"] {
        let of = format!("/api/v1/subjects/shared-subject/export?tenant={tenant}");
        let patched = format!("/api/v1/subjects/shared-subject?tenant={tenant}");
        for answer in [admin.get(&of), admin.patch(&patched, &body)] {
            assert_eq!((answer.status, kind(&answer)), (403, "/problems/wrong-tenant"));
        }
    }
    // What was not read left no trace, and what was not reached has not changed.
    let all = two.guarded.as_who(&two.guarded.admin);
    let told = all.get("/api/v1/subjects/shared-subject/export?tenant=other").expect(200).body;
    assert_eq!(told["reads"].as_array().unwrap().len(), 1);
    assert_eq!(told["data"]["sessions"][0]["attributes"], json!({ "s": "theirs" }));
}

#[test]
fn a_tenants_key_gets_proofs_of_events_that_it_may_see_and_of_no_other() {
    let two = Two::start();
    let (acme, admin) = (&two.acme, two.guarded.as_who(&two.guarded.admin));
    let head = admin.get("/readyz?verbose").expect(200).body["journal"]["position"].clone();
    let own = acme.get("/api/v1/events?limit=1000").expect(200);
    let own: Vec<&Value> =
        own.body["events"].as_array().unwrap().iter().map(|event| &event["position"]).collect();
    let mut proved = 0;
    for position in 1..=head.as_u64().unwrap() {
        let path = format!("/api/v1/proofs/inclusion/{position}");
        let all = admin.get(&path).expect(200);
        let answer = acme.get(&path);
        if own.iter().any(|it| **it == position) {
            assert_eq!(answer.expect(200).body["leaf_hash"], all.body["leaf_hash"]);
            proved += 1;
        } else {
            // As of a position without an event.
            let body = answer.problem(404, "/problems/not-found");
            let nothing =
                acme.get("/api/v1/proofs/inclusion/0").problem(404, "/problems/not-found");
            let text =
                |body: &Value, at: u64| body.to_string().replace(&format!("position {at}"), "");
            assert_eq!(text(&body, position), text(&nothing, 0));
        }
    }
    assert!(proved >= 2 && proved == own.len(), "{proved} of {}", own.len());
    // Numbers and hashes of all events are everybody's.
    assert_eq!(acme.get("/api/v1/checkpoint").status, 200);
    assert_eq!(acme.get("/api/v1/checkpoint/keys").status, 200);
    acme.get("/api/v1/proofs/consistency?from=1").expect(200);
}
