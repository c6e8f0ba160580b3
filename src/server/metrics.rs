//! `GET /metrics`: figures for Prometheus, in the text format of `OpenMetrics`. `docs/metrics.md` is the
//! contract: its names and labels stay.

mod drills;
mod guards;
mod refusals;

pub(super) use drills::DrillClock;
pub(super) use refusals::{Reason, Refusals};

use std::sync::atomic::AtomicU64;

use actix_web::HttpResponse;
use actix_web::web::Data;
use mainstay_actors::dependency::Mode;
use mainstay_actors::health::Level;
use mainstay_actors::host::{Faults, HealthView, Host, Keys, Occupancy};
use mainstay_actors::time::Timestamp;
use mainstay_journal::LogStatus;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::App;
use super::page;
use super::problem::Problem;
use crate::backup::Backups;

/// The format's media type.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;
/// One gauge for each set of labels.
type Gauges<N> = Family<Labels, N>;
/// Of seconds and of shares.
type Real = Gauge<f64, AtomicU64>;

/// Figures for Prometheus: health, breakers, the journal, residents, keys and refusals.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "show_metrics",
    responses((
        status = 200,
        description = "OpenMetrics text; docs/metrics.md has every name",
        body = String,
        content_type = "application/openmetrics-text"
    )),
    extensions(("x-problems" = json!(["not-ready", "unauthorized", "wrong-role", "wrong-tenant", "rate-limited"])))
)]
pub(super) async fn show(host: Data<Host>, app: Data<App>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().content_type(OPENMETRICS).body(text(&host, &app).await?))
}

/// All of them, as text.
pub(super) async fn text(host: &Host, app: &App) -> Result<String, Problem> {
    let (Some(log), Some(keys), Some(now)) = (host.log(), host.keys(), host.now()) else {
        return Err(page::not_ready(host));
    };
    let mut registry = Registry::with_prefix("mainstay");
    of_health(&mut registry, &host.health().await?);
    of_journal(&mut registry, &log.status());
    of_residents(&mut registry, &host.occupancy().await?);
    of_keys(&mut registry, keys, now);
    let active = host.faults().map_or(0, Faults::active);
    whole(&mut registry, "faults_active", "Experiments that disturb calls", active);
    guards::register(&mut registry, &app.guards);
    of_backups(&mut registry, &app.backups);
    drills::register(&mut registry, host, app, now).await?;
    app.refusals.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| Problem::internal("the metrics cannot be written"))?;
    Ok(text)
}

fn of_health(registry: &mut Registry, health: &HealthView) {
    let level = match health.level {
        Level::Optimal => 0,
        Level::Degraded => 1,
        Level::Limited => 2,
        Level::Minimal => 3,
        Level::Emergency => 4,
    };
    let score = Real::default();
    score.set(f64::from(health.score.ten_thousandths()) / 1e4);
    registry.register("health_score", "Global health, 0 to 100", score);
    whole(registry, "level", "0 optimal, 1 degraded, 2 limited, 3 minimal, 4 emergency", level);
    let quarantined = health.quarantined.len();
    whole(
        registry,
        "quarantined",
        "Entities that crashed twice and are asked no more",
        quarantined,
    );
    let (states, alone) = (Gauges::<Gauge>::default(), Gauges::<Gauge>::default());
    for dependency in &health.dependencies {
        let state = match dependency.state {
            Mode::Closed => 0,
            Mode::Open => 1,
            Mode::HalfOpen => 2,
            Mode::ForcedOpen => 3,
            Mode::Disabled => 4,
            Mode::MetricsOnly => 5,
        };
        let labels = vec![("dependency", dependency.name.clone())];
        states.get_or_create(&labels).set(state);
        alone.get_or_create(&labels).set(i64::from(dependency.unjournaled));
    }
    let help = "0 closed, 1 open, 2 half-open, 3 forced open, 4 disabled, 5 metrics only";
    registry.register("breaker_state", help, states);
    let help = "1 while the breaker goes on without the journal";
    registry.register("breaker_unjournaled", help, alone);
}

fn of_journal(registry: &mut Registry, status: &LogStatus) {
    let registry = registry.sub_registry_with_prefix("journal");
    whole(registry, "epoch", "Its epoch: each restore begins another", status.head.epoch);
    whole(registry, "position", "Of the newest durable event", status.head.position);
    let refusing = u32::from(status.refusing.is_some());
    whole(registry, "refusing", "Whether it takes no events at this moment", refusing);
    whole(registry, "queued", "Appends that wait for the writer", status.queued);
    whole(registry, "segments", "Segment files", status.segments);
    let size = Gauge::<i64>::default();
    size.set(integer(status.size_bytes));
    registry.register_with_unit("size", "Of all segment files", Unit::Bytes, size);
    let syncs = Gauges::<Real>::default();
    for (quantile, us) in [("0.5", status.sync_p50_us), ("0.99", status.sync_p99_us)] {
        let labels = vec![("quantile", quantile.to_owned())];
        syncs.get_or_create(&labels).set(seconds(us));
    }
    registry.register_with_unit("sync", "The last syncs of the disk", Unit::Seconds, syncs);
    if let Some(store) = &status.store {
        let behind = status.head.position.saturating_sub(store.reached);
        whole(registry, "store_behind", "Durable events that the store has not yet", behind);
    }
}

fn of_residents(registry: &mut Registry, occupancy: &Occupancy) {
    let residents = Gauges::<Gauge>::default();
    let kinds = [
        ("session", occupancy.sessions),
        ("lock", occupancy.locks),
        ("dependency", occupancy.dependencies),
    ];
    for (kind, count) in kinds {
        residents.get_or_create(&vec![("kind", kind.to_owned())]).set(integer(count));
    }
    registry.register("resident_entities", "Entities in memory", residents);
    whole(registry, "held_locks", "Locks with a lease or a waiter", occupancy.held_locks);
    whole(registry, "timers", "Deadlines: each live session has one", occupancy.timers);
    whole(registry, "in_flight", "Appends on their way to the disk", occupancy.in_flight);
}

/// Of keys that let somebody in; the name of a key names a service or a role.
fn of_keys(registry: &mut Registry, keys: &Keys, now: Timestamp) {
    let (ages, ends) = (Gauges::<Real>::default(), Gauges::<Real>::default());
    for (name, state) in keys.all() {
        let Some(key) = state.key.as_ref().filter(|key| key.refusal(now).is_none()) else {
            continue;
        };
        let tenant = key.tenant.clone().unwrap_or_default();
        let labels = vec![("key", name), ("role", key.role.name().to_owned()), ("tenant", tenant)];
        let age = now.as_micros().saturating_sub(key.rotated_at().as_micros());
        ages.get_or_create(&labels).set(seconds(age));
        if let Some(end) = key.expires_at {
            ends.get_or_create(&labels).set(seconds(end.as_micros()));
        }
    }
    let help = "Since its newest secret was made";
    registry.register_with_unit("key_age", help, Unit::Seconds, ages);
    let help = "When it ends by itself, since 1970; keys without an end have none";
    registry.register_with_unit("key_expires_at", help, Unit::Seconds, ends);
}

/// Of the server's own backups, if it makes any.
fn of_backups(registry: &mut Registry, backups: &Backups) {
    let Some(status) = backups.status() else { return };
    let raised = u32::from(status.alarm.is_some());
    whole(registry, "backup_alarm", "Whether events are not shipped, or a backup is late", raised);
    whole(registry, "backup_behind", "Durable events that are in no target", status.behind);
    let times = [
        (
            "backup_behind",
            "For how long the oldest of them has waited",
            Some(status.behind_ms * 1_000),
        ),
        (
            "backup_last_timestamp",
            "When the newest was made",
            status.newest.map(|(_, at)| at.as_micros()),
        ),
        ("backup_due_timestamp", "When the next is due", status.due.map(Timestamp::as_micros)),
    ];
    for (name, help, micros) in times {
        if let Some(micros) = micros {
            let real = Real::default();
            real.set(seconds(micros));
            registry.register_with_unit(name, help, Unit::Seconds, real);
        }
    }
    whole(registry, "backups_made", "Since the start", status.made);
    whole(registry, "backups_failed", "Since the start", status.failed);
}

fn whole(registry: &mut Registry, name: &str, help: &str, value: impl TryInto<i64>) {
    let gauge = Gauge::<i64>::default();
    gauge.set(integer(value));
    registry.register(name, help, gauge);
}

/// The format has no larger whole numbers.
fn integer(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
