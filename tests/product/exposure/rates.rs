//! How often a key may ask, and how often one may be tried.

use serde_json::json;

use super::Place;
use crate::support::{Server, until};

fn start(place: &Place, rate: &str, burst: &str) -> Server {
    let variables = [
        ("MAINSTAY__ACCESS__KEYS", "required"),
        ("MAINSTAY__ACCESS__RATE_PER_SECOND", rate),
        ("MAINSTAY__ACCESS__BURST", burst),
    ];
    Server::start_under(&place.data(), &variables)
}

#[test]
fn every_answer_to_a_key_says_what_is_left_and_the_next_one_is_429() {
    let place = Place::new();
    let server = start(&place, "1", "4");
    let admin = server.client().with("x-api-key", &place.admin);
    let first = admin.get("/api/v1/health").expect(200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=4;w=4"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=3;t=1"));
    let made = admin.post("/api/v1/keys", &json!({ "name": "eve", "role": "viewer" })).expect(201);
    let eve = server.client().with("x-api-key", &made.text("key"));
    let refused = eve.post("/api/v1/batch", &json!({ "commands": [] })).expect(403);
    assert_eq!(refused.header("ratelimit"), Some("\"key\";r=3;t=1"), "each key has its own");
    let spent = until(30, "a 429", || {
        let answer = admin.get("/api/v1/health");
        (answer.status == 429).then_some(answer)
    });
    assert!(spent.header("ratelimit").unwrap().starts_with("\"key\";r=0;t="));
    assert_eq!(spent.header("retry-after"), Some("1"));
    assert!((1..=1_000).contains(&spent.number("retry_after_ms")), "{}", spent.body);
    spent.problem(429, "/problems/rate-limited");
    // It is refused for its key, not for its address.
    eve.get("/api/v1/health").expect(200);
    until(30, "the next one to be taken", || {
        (admin.get("/api/v1/health").status == 200).then_some(())
    });
    // Health checks are nobody's.
    for _ in 0..10 {
        let live = admin.get("/livez").expect(200);
        assert_eq!(live.header("ratelimit"), None);
    }
}

#[test]
fn a_rate_of_zero_and_a_request_without_a_key_have_no_limit() {
    let place = Place::new();
    let server = start(&place, "0", "1");
    let admin = server.client().with("x-api-key", &place.admin);
    for _ in 0..20 {
        assert_eq!(admin.get("/api/v1/health").expect(200).header("ratelimit"), None);
    }
    drop(server);
    let variables = [("MAINSTAY__ACCESS__RATE_PER_SECOND", "1"), ("MAINSTAY__ACCESS__BURST", "1")];
    let server = Server::start_under(&place.data(), &variables);
    for _ in 0..20 {
        assert_eq!(server.client().get("/api/v1/health").expect(200).header("ratelimit"), None);
    }
}

#[test]
fn who_tries_keys_is_told_to_stop_and_who_has_a_good_one_is_not_disturbed() {
    let place = Place::new();
    let server = start(&place, "2000", "4000");
    let wrong = format!("{}{}", &place.admin[..place.admin.len() - 4], "0000");
    let eve = server.client().with("x-api-key", &wrong);
    let admin = server.client().with("x-api-key", &place.admin);
    let mut limited = 0;
    for _ in 0..200 {
        let answer = eve.get("/api/v1/health");
        assert!([401, 429].contains(&answer.status), "{}", answer.status);
        if answer.status == 429 {
            limited += 1;
            assert!(answer.header("retry-after").is_some());
            answer.problem(429, "/problems/rate-limited");
        }
    }
    assert!(limited > 0, "200 tries, none too many");
    admin.get("/api/v1/health").expect(200);
    let story = admin.get("/api/v1/events?stream=key/root").expect(200).body["events"].clone();
    let refusals = story.as_array().unwrap().iter().filter(|it| it["type"] == "AccessRefused");
    assert_eq!(refusals.count(), 1);
}
