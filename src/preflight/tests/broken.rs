//! Facts that break one item each.

use std::path::PathBuf;

use mainstay_actors::dependency::Mode;
use mainstay_actors::health::Level;
use mainstay_actors::key::Role;
use mainstay_actors::rate::Rate;

use super::healthy::{NOW, before};
use crate::Config;
use crate::config::{ProbeTarget, Span};
use crate::preflight::words::{DAY_MS, HOUR_MS};
use crate::preflight::{
    BackupFacts, CertificateFacts, DependencyFacts, DrillFacts, Facts, JournalFacts, KeyFacts,
    ServerFacts, Start,
};

type Break = fn(&mut Facts);

/// Another configuration: this text over the healthy one.
fn config(facts: &mut Facts) -> &mut Config {
    &mut facts.config.as_mut().unwrap().config
}

fn journal(facts: &mut Facts) -> &mut JournalFacts {
    facts.journal.as_mut().unwrap()
}

fn dependency(facts: &mut Facts) -> &mut DependencyFacts {
    &mut journal(facts).dependencies[0]
}

/// Changes the breaker of the database, in the file and in the journal.
fn breaker(facts: &mut Facts, file: &str, change: fn(&mut DependencyFacts)) {
    let text = format!("[[dependency]]\nname = \"database\"\n[dependency.breaker]\n{file}\n");
    let text = Config::from_text(&text, "test", []).unwrap().dependency.remove(0).breaker;
    let named = &mut config(facts).dependency[0];
    let slow_call = named.breaker.slow_call;
    named.breaker = text;
    named.breaker.slow_call = slow_call;
    change(dependency(facts));
}

fn key(facts: &mut Facts) -> &mut KeyFacts {
    &mut journal(facts).keys[2]
}

fn server(facts: &mut Facts) -> &mut ServerFacts {
    facts.server.as_mut().unwrap().as_mut().unwrap()
}

fn certificate(facts: &mut Facts) -> &mut CertificateFacts {
    facts.certificate.as_mut().unwrap().as_mut().unwrap()
}

fn backup(facts: &mut Facts) -> &mut BackupFacts {
    facts.backup.as_mut().unwrap()
}

fn drill(facts: &mut Facts) -> &mut DrillFacts {
    facts.drill.as_mut().unwrap()
}

pub(super) const BREAKS: &[(&str, Break)] = &[
    ("configuration.readable", |f| f.config = Err("m.toml:1:1: unknown key".to_owned())),
    ("configuration.file-named", |f| f.config.as_mut().unwrap().file = None),
    ("configuration.file-mode", |f| {
        f.config.as_mut().unwrap().file = Some((PathBuf::from("/m"), 0o100_664));
    }),
    ("configuration.data-absolute", |f| config(f).server.data = "./data".into()),
    ("configuration.listen-safe", |f| {
        config(f).server.tls = None;
        f.certificate = None;
    }),
    ("configuration.port-fixed", |f| config(f).server.listen.set_port(0)),
    ("configuration.names", |f| config(f).server.names = crate::config::List::default()),
    ("configuration.rate-limited", |f| {
        let text = "[access]\nkeys = \"required\"\nrate_per_second = 0\n";
        config(f).access = Config::from_text(text, "test", []).unwrap().access;
    }),
    ("configuration.checkpoint-kept", |f| {
        let text = "[limits]\ncheckpoint_events = 0\n";
        config(f).limits = Config::from_text(text, "test", []).unwrap().limits;
    }),
    ("configuration.recover-after", |f| config(f).health.recover_after = Span::from_ms(10)),
    ("configuration.applied", |f| dependency(f).settings.weight = 31),
    ("configuration.release-same", |f| {
        journal(f).starts.push(Start { at: before(5), version: "0.0.9".to_owned() });
    }),
    ("journal.opens", |f| f.journal = Err("open /data: not a journal".to_owned())),
    ("journal.whole", |f| journal(f).findings.push("position 5: the hash is wrong".to_owned())),
    ("journal.meaning", |f| server(f).unreadable = 1),
    ("journal.taking-writes", |f| server(f).refusing = Some("the disk is full".to_owned())),
    ("journal.sync-fast", |f| server(f).sync_p99_us = 50_001),
    ("journal.store-near", |f| {
        server(f).position = 140_000;
        journal(f).position = 140_000;
        journal(f).witness.as_mut().unwrap().as_mut().unwrap().covers = 140_000;
    }),
    ("journal.store-sound", |f| server(f).store.as_mut().unwrap().rebuilding = true),
    ("journal.set-aside-empty", |f| f.files.set_aside = (1, 10)),
    ("journal.checkpoint-fresh", |f| f.files.checkpoint_at = Some(before(8 * DAY_MS))),
    ("journal.witness", |f| {
        journal(f).witness.as_mut().unwrap().as_mut().unwrap().is_beside = true;
    }),
    ("journal.key-file-mode", |f| f.files.journal_key = Some(0o100_640)),
    ("journal.archive-reachable", |f| journal(f).archive = Some((10_000, false))),
    ("journal.local-disk", |f| f.machine.filesystem = Some("nfs4".to_owned())),
    ("journal.quarantine", |f| server(f).quarantined.push("lock/room-101".to_owned())),
    ("journal.starts-calm", |f| {
        let start = journal(f).starts[0].clone();
        journal(f).starts = vec![start; 6];
    }),
    ("journal.same", |f| server(f).epoch = 2),
    ("backups.configured", |f| f.backup = None),
    ("backups.interval-within-rpo", |f| {
        backup(f).continuous = false;
        assert!(backup(f).interval_ms.unwrap() > backup(f).rpo_ms);
    }),
    ("backups.continuous", |f| {
        backup(f).continuous = false;
        backup(f).interval_ms = Some(60_000);
    }),
    ("backups.encrypted", |f| backup(f).recipients = 0),
    ("backups.two-recipients", |f| backup(f).recipients = 1),
    ("backups.fresh", |f| backup(f).last_at = Some(before(2 * HOUR_MS + 1))),
    ("backups.verified", |f| backup(f).verified_at = None),
    ("backups.target-reachable", |f| backup(f).unreachable = Some("timed out".to_owned())),
    ("backups.off-site", |f| backup(f).is_off_site = false),
    ("backups.retention", |f| backup(f).keep.weekly = 3),
    ("backups.keep-within", |f| backup(f).keep.within_ms = DAY_MS),
    ("backups.drill-recent", |f| drill(f).good_at = Some(before(31 * DAY_MS + 1))),
    ("backups.drill-rto", |f| drill(f).rto_ms = Some(600_001)),
    ("backups.drill-rpo", |f| drill(f).rpo_ms = Some(900_001)),
    ("dependencies.any", |f| {
        config(f).dependency.clear();
        journal(f).dependencies.clear();
    }),
    ("dependencies.critical", |f| {
        config(f).dependency[0].critical = false;
        dependency(f).settings.cap = None;
    }),
    ("dependencies.weights", |f| {
        config(f).dependency[0].weight = 0;
        dependency(f).settings.weight = 0;
    }),
    ("dependencies.seen", |f| dependency(f).observed_at = Some(before(DAY_MS + 1))),
    ("dependencies.probed", |f| config(f).dependency[0].probe = None),
    ("dependencies.known", |f| dependency(f).is_known = false),
    ("dependencies.closed", |f| dependency(f).mode = Mode::HalfOpen),
    ("dependencies.not-forced", |f| dependency(f).mode = Mode::Disabled),
    ("dependencies.minimum-calls", |f| {
        breaker(f, "minimum_calls = 4", |it| it.settings.breaker.minimum_calls = 4);
    }),
    ("dependencies.failure-rate", |f| {
        breaker(f, "failure_rate = 0.95", |it| {
            it.settings.breaker.failure_rate = Rate::from_ten_thousandths(9_500);
        });
    }),
    ("dependencies.open-for", |f| {
        breaker(f, "open_for = \"999ms\"", |it| it.settings.breaker.open_for_ms = 999);
    }),
    ("dependencies.slow-calls", |f| {
        config(f).dependency[0].breaker.slow_call = None;
        dependency(f).settings.breaker.slow_call_ms = None;
    }),
    ("dependencies.probe-timeouts", |f| {
        config(f).dependency[0].timeout = Span::from_ms(5_001);
    }),
    ("budgets.no-p0-p1", |f| {
        let levels = &mut journal(f).levels;
        levels.push((before(HOUR_MS), Level::Minimal));
        levels.push((before(HOUR_MS - 1), Level::Optimal));
    }),
    ("budgets.level-now", |f| journal(f).levels.push((before(1), Level::Limited))),
    ("budgets.optimal-share", |f| {
        let levels = &mut journal(f).levels;
        levels.push((before(6 * HOUR_MS), Level::Degraded));
        levels.push((before(3 * HOUR_MS), Level::Optimal));
    }),
    ("budgets.level-calm", |f| {
        for ms in (1..=12).rev() {
            let level = if ms % 2 == 0 { Level::Degraded } else { Level::Optimal };
            journal(f).levels.push((before(ms), level));
        }
    }),
    ("budgets.breakers-calm", |f| dependency(f).openings_of_day = 6),
    ("budgets.failures", |f| dependency(f).failures_of_day = 11),
    ("security.sealed-at-rest", |f| config(f).journal.key_file = None),
    ("security.signing-key", |f| f.files.signing_key = None),
    ("security.secret-mode", |f| f.files.secret = Some(0o100_640)),
    ("security.subject-keys-mode", |f| f.files.subject_keys[1].1 = 0o100_644),
    ("security.data-mode", |f| f.files.data = Some((0o40_755, 1_000))),
    ("security.keys-required", |f| {
        // On loopback, without a certificate and what needs one.
        let text = "[server]\nlisten = \"127.0.0.1:7070\"\ndata = \"/var/lib/mainstay\"\n";
        let server = Config::from_text(text, "test", []).unwrap().server;
        config(f).server = server;
        config(f).access.keys = crate::config::KeysNeeded::Optional;
        f.certificate = None;
    }),
    ("security.origins", |f| {
        let text = "[server]\norigins = [\"http://app.example\", \"http://localhost:3000\"]\n";
        config(f).server.origins = Config::from_text(text, "test", []).unwrap().server.origins;
    }),
    ("security.redirect", |f| config(f).server.redirect = None),
    ("security.key-file-outside", |f| f.files.journal_key_is_inside = true),
    ("security.not-root", |f| f.files.data = Some((0o40_750, 0))),
    ("security.refusals-calm", |f| journal(f).refusals_of_day = 101),
    ("security.probes-encrypted", |f| {
        let plain = "http://mail.example/health".to_owned();
        config(f).dependency[1].probe = Some(ProbeTarget::Http(plain));
    }),
    ("capacity.disk-days", |f| journal(f).events_of_week = 1_000_000_000),
    ("capacity.disk-free", |f| {
        let (all, _) = f.machine.disk.unwrap();
        f.machine.disk = Some((all, all / 11));
    }),
    ("capacity.inodes", |f| f.machine.inodes = Some((1_000_000, 49_999))),
    ("capacity.open-files", |f| f.machine.open_files = Some(33_023)),
    ("capacity.memory", |f| {
        let bytes = 65_536 * 3 * 1_024 * 2 - 2;
        f.machine.memory = Some((bytes, bytes / 2));
    }),
    ("capacity.memory-available", |f| {
        let (all, _) = f.machine.memory.unwrap();
        f.machine.memory = Some((all, all / 11));
    }),
    ("capacity.in-flight", |f| server(f).in_flight = (2_049, 4_096)),
    ("capacity.queue", |f| server(f).queued = 2_049),
    ("capacity.cores", |f| f.machine.cores = 1),
    ("capacity.load", |f| f.machine.load_hundredths = Some(401)),
    ("capacity.own-filesystem", |f| f.machine.is_root_filesystem = true),
    ("clocks.synchronised", |f| f.machine.is_synchronised = Some(false)),
    ("clocks.journal-not-ahead", |f| journal(f).last_at = Some(NOW.plus_ms(1_001))),
    ("clocks.order", |f| journal(f).falling = Some(7)),
    ("clocks.server-agrees", |f| server(f).clock_off_ms = Some(2_001)),
    ("clocks.source", |f| f.machine.clock_source = Some("jiffies".to_owned())),
    ("certificates.readable", |f| f.certificate = Some(Err("cert.pem: no PEM".to_owned()))),
    ("certificates.valid-for-30-days", |f| {
        certificate(f).until = NOW.plus_ms(30 * DAY_MS - 1);
    }),
    ("certificates.begun", |f| certificate(f).from = NOW.plus_ms(1)),
    ("certificates.names", |f| certificate(f).names = vec!["other.example".to_owned()]),
    ("certificates.chain", |f| certificate(f).broken = Some("2 did not sign 1".to_owned())),
    ("certificates.key-mode", |f| certificate(f).key_mode = 0o100_640),
    ("observability.ready", |f| server(f).ready = Err("draining".to_owned())),
    ("observability.metrics", |f| server(f).metrics = Err("403".to_owned())),
    ("observability.families", |f| {
        assert!(server(f).metrics.as_mut().unwrap().remove("mainstay_journal_position"));
    }),
    ("observability.health", |f| server(f).health = None),
    ("observability.openapi", |f| server(f).version = None),
    ("observability.release", |f| server(f).version = Some("0.0.9".to_owned())),
    ("observability.correlated", |f| journal(f).correlated = (100, 49)),
    ("access.admin", |f| {
        for key in &mut journal(f).keys {
            key.role = key.role.min(Role::Supervisor);
        }
    }),
    ("access.second-admin", |f| journal(f).keys[1].of_tenant = true),
    ("access.few-admins", |f| {
        let admin = journal(f).keys[0].clone();
        journal(f).keys.extend(vec![admin; 4]);
    }),
    ("access.least-rights", |f| {
        journal(f).keys.retain(|it| it.role == Role::Admin);
    }),
    ("access.viewer", |f| {
        journal(f).keys.retain(|it| it.role != Role::Viewer);
    }),
    ("access.fresh", |f| key(f).rotated_at = before(90 * DAY_MS + 1)),
    ("access.used", |f| key(f).used_at = Some(before(31 * DAY_MS))),
    ("access.not-ending", |f| key(f).expires_at = Some(NOW.plus_ms(14 * DAY_MS - 1))),
    ("access.no-overlap", |f| key(f).overlaps_since = Some(before(8 * DAY_MS))),
    ("access.no-stale-tries", |f| journal(f).stale_tries_of_day = 1),
];
