//! How soon is a large journal served again after its disk is lost, and how much of it is lost? P8
//!
//! ```text
//!   journal of a million events ─► encrypted backup ─► server, writer ─► disk lost
//!        restore ─► server ─► first verified write: RTO          acknowledged and gone: RPO
//! ```
//!
//! See `benches/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints figures, and stops when it cannot go on"
)]

#[expect(dead_code, reason = "this one has no flag without a value")]
#[path = "support/flags.rs"]
mod flags;
#[expect(dead_code, reason = "how much was made is not asked")]
#[path = "support/generate.rs"]
mod generate;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::generate::{Plan, generate};

/// P8, in milliseconds.
const RTO_MS: u64 = 10_000;
const RPO_MS: u64 = 1_000;

fn main() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = flags::text("--data").map(PathBuf::from);
    let data = data.unwrap_or_else(|| make(&scratch.path().join("data")));
    let scenario = flags::text("--scenario").unwrap_or_else(|| "disk-loss".to_owned());
    let (mut rtos, mut rpos) = (Vec::new(), Vec::new());
    for round in 1..=flags::number("--rounds", 5) {
        let report = drill(&data, scratch.path(), &scenario);
        let it = &report["scenarios"][0];
        assert_eq!(it["findings"], serde_json::json!([]), "{it}");
        let number = |value: &Value| value.as_u64().unwrap();
        let (rto, rpo) = (number(&it["rto_ms"]), number(&it["rpo_ms"]));
        println!(
            "round {round}: {} events, {} MB; RTO {rto} ms, RPO {rpo} ms, {} of {} lost; {} compared",
            report["baseline"]["position"],
            number(&report["baseline"]["size_bytes"]) / 1_000_000,
            it["lost_events"],
            it["acknowledged"],
            it["comparison"]["compared"],
        );
        for phase in it["phases"].as_array().unwrap() {
            let mark = if phase["in_rto"] == true { "*" } else { " " };
            println!("  {mark} {:>7} ms  {}", phase["took_ms"], phase["name"].as_str().unwrap());
        }
        rtos.push(rto);
        rpos.push(rpo);
    }
    let verdict = |worst: u64, limit: u64| if worst > limit { "over" } else { "within" };
    for (name, all, limit) in [("RTO", &mut rtos, RTO_MS), ("RPO", &mut rpos, RPO_MS)] {
        all.sort_unstable();
        let (middle, worst) = (all[all.len() / 2], all[all.len() - 1]);
        let verdict = verdict(worst, limit);
        println!("{name}: median {middle} ms, worst {worst} ms, {verdict} {limit} ms");
    }
}

fn make(data: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let events = flags::number("--events", 1_000_000);
    let plan = Plan {
        events,
        entities: flags::number("--entities", events / 10),
        live_percent: 90,
        days: 28,
        until_us: u64::try_from(now.as_micros()).unwrap(),
        seed: 1,
    };
    std::fs::create_dir_all(data).unwrap();
    generate(data, &plan);
    data.to_owned()
}

/// The report of one drill.
fn drill(data: &Path, scratch: &Path, scenario: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["drill", "--no-record", "--json", "--scenario", scenario, "--rpo", "1s"]);
    command.arg("--data").arg(data).arg("--report").arg(scratch.join("report"));
    let ended = command.output().unwrap();
    serde_json::from_slice(&ended.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ended.stderr)))
}
