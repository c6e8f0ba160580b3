//! `/api/v1/sessions` over the wire.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Answer, Client, Server, until};

fn create(client: &Client, subject: &str) -> Answer {
    let attributes = json!({ "cart": ["soap"], "step": 1 });
    let body = json!({ "subject": subject, "ttl_ms": 60_000, "attributes": attributes });
    client.post("/api/v1/sessions", &body).expect(201)
}

fn patch(client: &Client, id: &str, if_match: Option<&str>, step: u64) -> Answer {
    let headers: Vec<_> = if_match.map(|etag| ("if-match", etag)).into_iter().collect();
    let body = json!({ "attributes": { "step": step } });
    client.try_json("PATCH", &format!("/api/v1/sessions/{id}"), &headers, &body).unwrap()
}

#[test]
fn a_session_is_created_read_patched_touched_and_ended() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let created = create(&client, "subject-1");
    let id = created.text("id");
    assert_eq!(created.header("etag"), Some("\"1\""));
    assert!(created.number("position") > 0);

    let path = format!("/api/v1/sessions/{id}");
    let shown = client.get(&path).expect(200);
    assert_eq!(shown.body["attributes"], json!({ "cart": ["soap"], "step": 1 }));
    assert_eq!(shown.body["subject"], "subject-1");

    let patched = patch(&client, &id, Some("\"1\""), 2).expect(200);
    assert_eq!(patched.header("etag"), Some("\"2\""));
    let body = json!({ "attributes": { "cart": null } });
    client.try_json("PATCH", &path, &[], &body).unwrap().expect(200);
    assert_eq!(client.get(&path).expect(200).body["attributes"], json!({ "step": 2 }));

    let listed = client.get("/api/v1/sessions?subject=subject-1").expect(200);
    assert_eq!(listed.body["sessions"][0]["id"], *id);
    client.delete(&path).expect(200);
    client.get(&path).problem(404, "/problems/not-found");
    client.delete(&path).problem(404, "/problems/not-found");
    let listed = client.get("/api/v1/sessions?subject=subject-1").expect(200);
    assert_eq!(listed.body["sessions"], json!([]));
}

#[test]
fn a_touch_does_not_change_the_etag() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let created = create(&client, "subject-1");
    let etag = created.header("etag").unwrap().to_owned();
    let path = format!("/api/v1/sessions/{}", created.text("id"));
    let touched = client.try_send("POST", &format!("{path}/touch"), &[], None).unwrap();
    assert_eq!(touched.expect(200).header("etag"), Some(&*etag));
    assert_eq!(client.get(&path).expect(200).header("etag"), Some(&*etag));
}

#[test]
fn of_concurrent_patches_of_one_revision_exactly_one_wins() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let id = create(&client, "subject-1").text("id");
    for revision in 1..=10_u64 {
        let etag = format!("\"{revision}\"");
        let patches: Vec<_> = (0..4)
            .map(|n| {
                let (client, id, etag) = (server.client(), id.clone(), etag.clone());
                std::thread::spawn(move || patch(&client, &id, Some(&etag), n))
            })
            .collect();
        let mut won = 0;
        for answer in patches.into_iter().map(|it| it.join().unwrap()) {
            if answer.status == 200 {
                won += 1;
            } else {
                let problem = answer.problem(412, "/problems/session-stale");
                assert_eq!(problem["revision"], revision + 1);
            }
        }
        assert_eq!(won, 1);
    }
}

#[test]
fn the_end_of_a_session_releases_its_locks_and_refuses_new_ones() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let id = create(&client, "subject-1").text("id");
    let hold = json!({ "owner": "anna", "ttl_ms": 60_000, "session": id });
    for lock in ["a", "b", "c"] {
        client.post(&format!("/api/v1/locks/{lock}/acquire"), &hold).expect(200);
    }
    client.delete(&format!("/api/v1/sessions/{id}")).expect(200);
    until(10, "the locks to be free", || {
        let listed = client.get("/api/v1/locks").expect(200);
        (listed.body["locks"] == json!([])).then_some(())
    });
    let refused = client.post("/api/v1/locks/a/acquire", &hold);
    refused.problem(409, "/problems/session-ended");
}

#[test]
fn a_session_that_has_run_out_is_not_readable() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "subject": "subject-1", "ttl_ms": 1_000 });
    let id = client.post("/api/v1/sessions", &body).expect(201).text("id");
    let path = format!("/api/v1/sessions/{id}");
    until(10, "the session to run out", || (client.get(&path).status == 404).then_some(()));
    let stream = format!("/api/v1/events?stream=session/default/{id}&type=SessionEnded");
    until(10, "its end to be recorded", || {
        let events = client.get(&stream).expect(200);
        (events.body["events"][0]["data"]["reason"] == "idle").then_some(())
    });
}

#[test]
fn sessions_of_one_tenant_are_not_found_in_another() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let body = json!({ "tenant": "acme", "subject": "subject-1", "ttl_ms": 60_000 });
    let id = client.post("/api/v1/sessions", &body).expect(201).text("id");
    client.get(&format!("/api/v1/sessions/{id}?tenant=acme")).expect(200);
    client.get(&format!("/api/v1/sessions/{id}")).problem(404, "/problems/not-found");
    let listed = client.get("/api/v1/sessions?subject=subject-1").expect(200);
    assert_eq!(listed.body["sessions"], json!([]));
    let listed = client.get("/api/v1/sessions?subject=subject-1&tenant=acme").expect(200);
    assert_eq!(listed.body["sessions"][0]["id"], *id);
}

#[test]
fn attribute_values_never_appear_in_events_or_streams() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let attributes = json!({ "diagnosis": "sunburn-7351" });
    let body = json!({ "subject": "subject-1", "ttl_ms": 60_000, "attributes": attributes });
    let id = client.post("/api/v1/sessions", &body).expect(201).text("id");
    patch(&client, &id, None, 7_352_001).expect(200);
    let events = client.get("/api/v1/events").expect(200).body.to_string();
    let state = client.get(&format!("/api/v1/streams/session/default/{id}")).expect(200);
    for text in [events, state.body.to_string()] {
        assert!(text.contains("diagnosis"), "the name is shown: {text}");
        assert!(!text.contains("sunburn-7351") && !text.contains("7352001"), "{text}");
    }
}

fn ids(page: &Answer) -> Vec<String> {
    let sessions = page.body["sessions"].as_array().unwrap();
    sessions.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn many_ended_sessions_do_not_hide_a_live_older_one() {
    // The limit counted created sessions: a hundred ended ones hid those that live.
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let old = create(&client, "subject-1").text("id");
    let ending: Vec<_> = (0..6)
        .map(|_| {
            let client = server.client();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let id = create(&client, "subject-1").text("id");
                    client.delete(&format!("/api/v1/sessions/{id}")).expect(200);
                }
            })
        })
        .collect();
    for it in ending {
        it.join().unwrap();
    }
    let listed = client.get("/api/v1/sessions?subject=subject-1").expect(200);
    assert_eq!((ids(&listed), &listed.body["next"]), (vec![old.clone()], &json!(null)));
    let listed = client.get("/api/v1/sessions?subject=subject-1&limit=1").expect(200);
    assert_eq!(ids(&listed), [old]);
}

#[test]
fn sessions_are_listed_in_pages_until_there_are_no_more() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let mut created: Vec<String> =
        (0..25).map(|_| create(&client, "subject-1").text("id")).collect();
    create(&client, "subject-2");
    let mut path = "/api/v1/sessions?subject=subject-1&limit=10".to_owned();
    let mut listed = Vec::new();
    let mut pages = 0;
    loop {
        let page = client.get(&path).expect(200);
        pages += 1;
        assert!(ids(&page).len() <= 10, "{}", page.body);
        listed.extend(ids(&page));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/api/v1/sessions?subject=subject-1&limit=10&before={next}");
    }
    created.reverse();
    assert_eq!((listed, pages), (created, 3));
    for (before, status) in [("x", 400), ("1-999999", 400), ("2-1", 410)] {
        let path = format!("/api/v1/sessions?subject=subject-1&before={before}");
        client.get(&path).expect(status).expect_problem();
    }
}
