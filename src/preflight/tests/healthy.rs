//! Facts of a service that is ready.

use std::collections::BTreeSet;
use std::path::PathBuf;

use mainstay_actors::dependency::Mode;
use mainstay_actors::health::Level;
use mainstay_actors::key::Role;
use mainstay_actors::time::Timestamp;

use crate::Config;
use crate::preflight::words::{DAY_MS, GIB, HOUR_MS};
use crate::preflight::*;

/// 2026-11-27T03:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_795_748_400_000_000);

/// So many milliseconds before now.
pub(super) const fn before(ms: u64) -> Timestamp {
    Timestamp::from_micros(NOW.as_micros() - ms * 1_000)
}

const CONFIG: &str = r#"
[server]
listen = "0.0.0.0:7070"
redirect = "0.0.0.0:80"
data = "/var/lib/mainstay"
names = ["mainstay.example"]
origins = ["https://app.example"]
[server.tls]
cert = "/etc/mainstay/cert.pem"
key = "/etc/mainstay/key.pem"
[access]
keys = "required"
[journal]
key_file = "/etc/mainstay/journal.key"
[limits]
checkpoint_events = 1000
[[dependency]]
name = "database"
weight = 30
critical = true
probe = "tcp://db.example:5432"
[dependency.breaker]
slow_call = "100ms"
[[dependency]]
name = "mail"
weight = 10
probe = "https://mail.example/health"
[dependency.breaker]
slow_call = "1s"
"#;

pub(super) fn healthy() -> Facts {
    let config = Config::from_text(CONFIG, "test", []).unwrap();
    Facts {
        now: NOW,
        release: "0.1.0".to_owned(),
        journal: Ok(journal(&config)),
        config: Ok(ConfigFacts { config, file: Some((PathBuf::from("/etc/m.toml"), 0o100_644)) }),
        files: files(),
        machine: machine(),
        server: Some(Ok(server())),
        certificate: Some(Ok(certificate())),
        backup: Some(backup()),
        drill: Some(drill()),
        attestations: all()
            .filter(|(_, item)| matches!(item.decided, Decided::Attested { .. }))
            .map(|(_, item)| (item.id.to_owned(), voucher()))
            .collect(),
    }
}

pub(super) fn voucher() -> Voucher {
    Voucher {
        evidence: "https://wiki.example/1".to_owned(),
        release: "0.1.0".to_owned(),
        by: Some("key:ann".to_owned()),
        at: before(HOUR_MS),
        until: NOW.plus_ms(HOUR_MS),
    }
}

fn journal(config: &Config) -> JournalFacts {
    let dependencies = config.settings().into_iter().map(|(name, settings)| DependencyFacts {
        name,
        settings,
        mode: Mode::Closed,
        is_known: true,
        observed_at: Some(before(5_000)),
        calls_of_day: 1_000,
        failures_of_day: 3,
        openings_of_day: 0,
    });
    JournalFacts {
        epoch: 1,
        position: 70_000,
        first_at: Some(before(60 * DAY_MS)),
        last_at: Some(before(2_000)),
        findings: Vec::new(),
        checked: 70_000,
        record_bytes: 70_000 * 200,
        unreadable: Vec::new(),
        falling: None,
        events_of_week: 7_000,
        archive: Some((10_000, true)),
        starts: vec![Start { at: before(HOUR_MS), version: "0.1.0".to_owned() }],
        levels: vec![
            (before(20 * DAY_MS), Level::Emergency),
            (before(19 * DAY_MS), Level::Optimal),
            (before(2 * DAY_MS), Level::Degraded),
            (before(2 * DAY_MS - HOUR_MS / 2), Level::Optimal),
        ],
        dependencies: dependencies.collect(),
        keys: vec![
            key("ann", Role::Admin),
            key("bob", Role::Admin),
            key("booking", Role::Operator),
            key("scraper", Role::Viewer),
        ],
        refusals_of_day: 2,
        stale_tries_of_day: 0,
        correlated: (100, 90),
        witness: Some(Ok(WitnessFacts {
            path: PathBuf::from("/mnt/witness"),
            covers: 69_990,
            is_beside: false,
        })),
    }
}

fn key(name: &str, role: Role) -> KeyFacts {
    KeyFacts {
        name: name.to_owned(),
        role,
        of_tenant: false,
        created_at: before(50 * DAY_MS),
        rotated_at: before(20 * DAY_MS),
        expires_at: Some(NOW.plus_ms(100 * DAY_MS)),
        overlaps_since: None,
        used_at: Some(before(DAY_MS)),
    }
}

fn files() -> FileFacts {
    FileFacts {
        data: Some((0o40_750, 1_000)),
        secret: Some(0o100_600),
        subject_keys: vec![("keys".to_owned(), 0o40_700), ("keys/subjects".to_owned(), 0o100_600)],
        signing_key: Some(0o100_600),
        set_aside: (0, 0),
        checkpoint_at: Some(before(DAY_MS)),
        journal_key: Some(0o100_600),
        journal_key_is_inside: false,
    }
}

fn machine() -> MachineFacts {
    MachineFacts {
        disk: Some((100 * GIB, 50 * GIB)),
        inodes: Some((1_000_000, 900_000)),
        filesystem: Some("ext4".to_owned()),
        is_root_filesystem: false,
        open_files: Some(1_048_576),
        memory: Some((16 * GIB, 8 * GIB)),
        cores: 2,
        load_hundredths: Some(150),
        is_synchronised: Some(true),
        clock_source: Some("tsc".to_owned()),
    }
}

fn server() -> ServerFacts {
    let contract = include_str!("../../../docs/metrics.md").lines();
    let names = contract.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    ServerFacts {
        ready: Ok(()),
        epoch: 1,
        position: 70_001,
        refusing: None,
        queued: 3,
        sync_p99_us: 1_200,
        store: Some(StoreFacts { reached: 69_000, rebuilding: false, trouble: None }),
        in_flight: (5, 4_096),
        quarantined: Vec::new(),
        unreadable: 0,
        health: Some(("OPTIMAL".to_owned(), 100)),
        metrics: Ok(names.map(str::to_owned).collect::<BTreeSet<_>>()),
        version: Some("0.1.0".to_owned()),
        clock_off_ms: Some(300),
    }
}

fn certificate() -> CertificateFacts {
    CertificateFacts {
        from: before(10 * DAY_MS),
        until: NOW.plus_ms(80 * DAY_MS),
        names: vec!["mainstay.example".to_owned()],
        chain: 2,
        broken: None,
        key_mode: 0o100_600,
    }
}

fn backup() -> BackupFacts {
    BackupFacts {
        target: "s3://backups".to_owned(),
        continuous: true,
        interval_ms: Some(HOUR_MS),
        rpo_ms: 15 * 60_000,
        recipients: 2,
        keep: Keep { daily: 7, weekly: 4, monthly: 12, within_ms: 2 * DAY_MS },
        unreachable: None,
        is_off_site: true,
        last_at: Some(before(60_000)),
        verified_at: Some(before(DAY_MS)),
    }
}

fn drill() -> DrillFacts {
    DrillFacts {
        good_at: Some(before(3 * DAY_MS)),
        rto_ms: Some(8_000),
        rto_target_ms: 600_000,
        rpo_ms: Some(0),
        rpo_target_ms: 900_000,
    }
}
