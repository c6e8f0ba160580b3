//! A simulated retail service that uses mainstay over HTTP as any other client would.
//!
//! ```text
//!   customers ──► session ──► permit? ──► simulated call ──► outcome ──► reservation lock
//!   weather   ──► each dependency: fine · slow · failing · down, in turn, by a fixed schedule
//! ```
//!
//! Weights are those of the retail framework: LLM API 50, database 30, Redis 15, S3 5; none has a
//! critical cap, so the score is pure arithmetic.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value reads as null")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Config;

/// Simulated customers, each a thread with its own connection.
const CUSTOMERS: u64 = 6;
/// A customer thinks this long between two steps.
const THINK: Duration = Duration::from_millis(25);

/// Name, weight, and a slow call of each dependency, as they stand in the configuration.
const DEPENDENCIES: &str = r#"
[[dependency]]
name = "llm-api"
weight = 50
[dependency.breaker]
window = "10s"
minimum_calls = 5
open_for = "4s"
slow_call = "400ms"

[[dependency]]
name = "database"
weight = 30
[dependency.breaker]
window = "10s"
minimum_calls = 5
open_for = "3s"
slow_call = "100ms"

[[dependency]]
name = "redis"
weight = 15
[dependency.breaker]
window = "10s"
minimum_calls = 5
open_for = "2s"

[[dependency]]
name = "s3"
weight = 5
[dependency.breaker]
window = "10s"
minimum_calls = 5
open_for = "2s"
"#;

/// Adds the four dependencies to a configuration that does not name them.
pub fn add_dependencies(config: &mut Config) {
    let Ok(demo) = Config::from_text(DEPENDENCIES, "demo", []) else { return };
    for dependency in demo.dependency {
        if config.dependency.iter().all(|known| known.name != dependency.name) {
            config.dependency.push(dependency);
        }
    }
}

/// The running simulation; it ends with this value.
#[derive(Debug)]
pub struct Demo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Demo {
    /// Starts the customers against a server.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(server: SocketAddr) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        #[expect(clippy::disallowed_methods, reason = "the simulation's own weather clock")]
        let started = Instant::now();
        let mut demo = Self { stop: stop.clone(), threads: Vec::new() };
        for number in 0..CUSTOMERS {
            let customer = Customer {
                api: format!("http://{server}/api/v1"),
                agent: ureq::Agent::config_builder()
                    .timeout_global(Some(Duration::from_secs(5)))
                    .http_status_as_error(false)
                    .build()
                    .into(),
                dice: AtomicU64::new(number + 1),
                started,
                stop: stop.clone(),
            };
            let thread = std::thread::Builder::new().name("mainstay-demo".to_owned());
            demo.threads.push(thread.spawn(move || customer.live())?);
        }
        Ok(demo)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// How a dependency is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    Slow,
    Failing,
    Down,
}

/// From a second to a second, and how it is then.
type Stretch = (u64, u64, Weather);

/// Period and bad stretches of each dependency, in seconds: they overlap differently each round,
/// so that every level is seen within some minutes.
const WEATHER: [(&str, u64, &[Stretch]); 4] = [
    ("llm-api", 97, &[(40, 52, Weather::Failing), (70, 78, Weather::Slow)]),
    ("database", 71, &[(25, 33, Weather::Slow), (50, 60, Weather::Down)]),
    ("redis", 43, &[(15, 21, Weather::Down)]),
    ("s3", 61, &[(8, 14, Weather::Failing)]),
];

fn weather(dependency: &str, second: u64) -> Weather {
    let Some((_, period, stretches)) = WEATHER.iter().find(|(name, ..)| *name == dependency) else {
        return Weather::Fine;
    };
    let second = second % period;
    stretches
        .iter()
        .find(|(from, to, _)| (*from..*to).contains(&second))
        .map_or(Weather::Fine, |(.., weather)| *weather)
}

struct Customer {
    api: String,
    agent: ureq::Agent,
    dice: AtomicU64,
    started: Instant,
    stop: Arc<AtomicBool>,
}

impl Customer {
    fn live(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.visit();
            self.think();
        }
    }

    /// A visit: a session, a few calls to the dependencies, perhaps a reservation.
    fn visit(&self) {
        let subject = format!("customer-{}", self.roll(500));
        let created = self.post(
            "/sessions",
            &json!({
                "subject": subject,
                "ttl_ms": 30_000,
                "attributes": { "basket": [], "locale": "en" },
            }),
        );
        let Some(session) = created.and_then(|it| it["id"].as_str().map(str::to_owned)) else {
            return;
        };
        for step in 0..3 + self.roll(5) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.call(self.pick([("redis", 40), ("database", 30), ("llm-api", 20), ("s3", 10)]));
            if step == 1 {
                let basket = json!({ "attributes": { "basket": [self.roll(1_000)] } });
                self.send("PATCH", &format!("/sessions/{session}"), &basket);
            }
            self.think();
        }
        if self.roll(3) == 0 {
            self.reserve(&session);
        }
        // Some customers just leave: their sessions expire.
        if self.roll(4) != 0 {
            self.send("DELETE", &format!("/sessions/{session}"), &Value::Null);
        }
    }

    /// A guarded call: asks for a permit, simulates the work, reports the outcome.
    fn call(&self, dependency: &str) {
        let path = format!("/dependencies/{dependency}");
        let Some(permit) = self.post(&format!("{path}/permits"), &Value::Null) else { return };
        if permit["admitted"] != true {
            return;
        }
        let luck = self.roll(100);
        let (outcome, duration_ms) = match weather(dependency, self.started.elapsed().as_secs()) {
            Weather::Fine if luck < 99 => ("success", 2 + self.roll(20)),
            Weather::Slow => ("success", 450 + self.roll(200)),
            Weather::Failing if luck < 30 => ("success", 5 + self.roll(40)),
            Weather::Fine | Weather::Failing => ("failure", 5 + self.roll(40)),
            Weather::Down => ("failure", 1),
        };
        std::thread::sleep(Duration::from_millis(duration_ms.min(50)));
        self.post(
            &format!("{path}/outcomes"),
            &json!({
                "permit": permit["permit"],
                "outcome": outcome,
                "duration_ms": duration_ms,
            }),
        );
    }

    /// Takes a room for the session; most give it back, some rely on the session's end.
    fn reserve(&self, session: &str) {
        let lock = format!("/locks/room-{}", 100 + self.roll(20));
        let owner = format!("session-{session}");
        let lease = self.post(
            &format!("{lock}/acquire"),
            &json!({
                "owner": owner,
                "session": session,
                "ttl_ms": 10_000,
            }),
        );
        self.think();
        if let Some(token) = lease.and_then(|it| it["token"].as_u64())
            && self.roll(3) != 0
        {
            self.post(&format!("{lock}/release"), &json!({ "token": token, "owner": owner }));
        }
    }

    fn think(&self) {
        std::thread::sleep(THINK + Duration::from_millis(self.roll(25)));
    }

    /// A number below `sides`: a linear congruential generator, so that every demo is alike.
    fn roll(&self, sides: u64) -> u64 {
        let next = |seed: u64| {
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        let seed = next(self.dice.load(Ordering::Relaxed));
        self.dice.store(seed, Ordering::Relaxed);
        (seed >> 33) % sides
    }

    /// One of four, by share.
    fn pick(&self, shares: [(&'static str, u64); 4]) -> &'static str {
        let mut left = self.roll(shares.iter().map(|(_, share)| share).sum());
        for (name, share) in shares {
            if left < share {
                return name;
            }
            left -= share;
        }
        "s3"
    }

    fn post(&self, path: &str, body: &Value) -> Option<Value> {
        self.send("POST", path, body)
    }

    /// The answer of a request that worked.
    fn send(&self, method: &str, path: &str, body: &Value) -> Option<Value> {
        let url = format!("{}{path}", self.api);
        let sent = match method {
            "DELETE" => self.agent.delete(url).call(),
            "PATCH" => self.agent.patch(url).send_json(body),
            _ => self.agent.post(url).send_json(body),
        };
        let mut response = sent.ok()?;
        let answer = response.body_mut().read_json::<Value>().ok()?;
        response.status().is_success().then_some(answer)
    }
}
