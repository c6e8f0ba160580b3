//! `/api/v1/backups`: which there are, how they stand, and one made now.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::Failure;
use mainstay_actors::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::page;
use super::problem::Problem;
use crate::backup::{BackupError, Backups, Listed, Manifest, TargetError};

/// The backups in the server's target.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BackupList {
    /// Where they lie.
    target: String,
    /// How they stand.
    status: BackupStatus,
    /// The newest first.
    backups: Vec<Backup>,
    /// Bytes of everything that is there.
    size_bytes: u64,
}

/// How a server's backups stand.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct BackupStatus {
    /// Every event is shipped within a second.
    continuous: bool,
    /// Every event up to here is there; null before that is known.
    shipped: Option<u64>,
    /// Durable events that are not.
    behind: u64,
    /// For how long the oldest of them has waited.
    behind_ms: u64,
    /// When the next backup is due.
    due: Option<Timestamp>,
    /// Since the start of the server.
    made: u64,
    /// See `made`.
    failed: u64,
    /// What went wrong last, until something goes well.
    trouble: Option<String>,
    /// Why the alarm is raised.
    alarm: Option<String>,
}

/// A backup.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Backup {
    #[schema(example = "20261127T020000Z-1-4711")]
    id: String,
    /// Of its last event.
    epoch: u32,
    /// Its last event.
    position: u64,
    /// When that happened.
    recorded_at: Timestamp,
    /// When the backup was made.
    made_at: Timestamp,
    objects: usize,
    size_bytes: u64,
    /// When it was last read back; null: never.
    verified_at: Option<Timestamp>,
}

impl Backup {
    fn of(manifest: &Manifest, verified_at: Option<Timestamp>) -> Self {
        Self {
            id: manifest.id.clone(),
            epoch: manifest.epoch,
            position: manifest.position,
            recorded_at: manifest.recorded_at,
            made_at: manifest.made_at,
            objects: manifest.pieces.len(),
            size_bytes: manifest.size_bytes(),
            verified_at,
        }
    }
}

/// List the backups in the server's target
#[utoipa::path(
    get,
    path = "/api/v1/backups",
    tag = "backups",
    operation_id = "list_backups",
    responses((status = 200, description = "How they stand, and each of them", body = BackupList)),
    extensions(("x-problems" = json!(["no-backup-target", "backup-failed"])))
)]
pub(super) async fn list(app: Data<App>) -> Result<Json<BackupList>, Problem> {
    let backups = configured(&app)?;
    page::off_arbiter(move || {
        let held = backups.list().or_else(|error| match error {
            // Nothing was written there yet.
            BackupError::NotATarget { .. } | BackupError::Target(TargetError::NotThere { .. }) => {
                Ok(crate::backup::Held::default())
            },
            error => Err(problem(&error)),
        })?;
        let backup = |it: &Listed| Backup::of(&it.manifest, it.verified.map(|it| it.at));
        Ok(BackupList {
            target: backups.duty().map(|duty| duty.place.to_string()).unwrap_or_default(),
            status: status(&backups),
            backups: held.backups.iter().map(backup).collect(),
            size_bytes: held.size_bytes,
        })
    })
    .await
    .map(Json)
}

/// Make a backup now
///
/// Everything that is durable at this moment is in the target when this answers. A retry makes
/// another one, which costs its name.
#[utoipa::path(
    post,
    path = "/api/v1/backups",
    tag = "backups",
    operation_id = "make_backup",
    responses((status = 201, description = "It is there", body = Backup)),
    extensions(("x-problems" = json!(["no-backup-target", "backup-failed"])))
)]
pub(super) async fn make(app: Data<App>) -> Result<HttpResponse, Problem> {
    let backups = configured(&app)?;
    if backups.status().is_none() {
        return Err(Failure::<DependencyReject>::Busy("the start of backups").into());
    }
    let made = page::off_arbiter(move || backups.back_up().map_err(|error| problem(&error)));
    Ok(HttpResponse::Created().json(Backup::of(&made.await?, None)))
}

/// How the server's backups stand; `None` if none are configured.
pub(super) fn standing(backups: &Backups) -> Option<BackupStatus> {
    backups.are_configured().then(|| status(backups))
}

fn status(backups: &Backups) -> BackupStatus {
    let continuous = backups.duty().is_some_and(|duty| duty.continuous);
    let Some(status) = backups.status() else {
        return BackupStatus { continuous, ..BackupStatus::default() };
    };
    BackupStatus {
        continuous,
        shipped: status.shipped,
        behind: status.behind,
        behind_ms: status.behind_ms,
        due: status.due,
        made: status.made,
        failed: status.failed,
        trouble: status.trouble,
        alarm: status.alarm,
    }
}

fn configured(app: &App) -> Result<Arc<Backups>, Problem> {
    if app.backups.are_configured() {
        return Ok(Arc::clone(&app.backups));
    }
    let detail = "this server has no target: set backup.to and backup.recipients";
    Err(Problem::new(StatusCode::CONFLICT, "no-backup-target", detail))
}

fn problem(error: &BackupError) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "backup-failed", error.to_string())
}
