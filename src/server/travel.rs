//! `/api/v1/state`, `/streams`, `/diff` and `/events/{position}/why`: what the journal says of a
//! moment, of the way between two, and of one event.
//!
//! ```text
//!   request ─► moment ─► its turn (one fold at a time, others wait or are busy)
//!                           │ the last fold, if it has not passed the moment, goes on from there
//!                           └► fold, off the arbiter ─► page · diff ─► kept for the next page
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path, Query};
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, Host, Readiness};
use mainstay_journal::{EventLog, ReadLog, StreamId};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::App;
use super::access::Scope;
use super::page::{self, Limit};
use super::problem::Problem;
use crate::travel::diff::{Diff, DiffError, diff};
use crate::travel::why::{Why, why_seen};
use crate::travel::{
    Fold, Moment, MomentError, Place, StateAt, StatePage, StreamAt, StreamError, Unfoldable,
    state_at, stream_at,
};

/// How long a request waits for its turn to fold.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last fold is kept for the next page.
const KEEP: Duration = Duration::from_secs(30);

/// The turn to fold, and the last fold.
#[derive(Clone)]
pub(crate) struct Folds {
    turn: Arc<Semaphore>,
    kept: Arc<Mutex<Option<Fold>>>,
    uses: Arc<AtomicU64>,
}

impl Default for Folds {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), kept: Arc::default(), uses: Arc::default() }
    }
}

impl Folds {
    /// Works on a fold that has not passed `until`, one at a time.
    async fn fold<T: Send + 'static>(
        &self,
        scope: &Scope,
        until: Place,
        work: impl FnOnce(&mut Fold) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(PATIENCE, self.turn.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Failure::<DependencyReject>::Busy("folds of the journal").into());
        };
        if let Some(tenant) = scope.only() {
            // It is small beside the whole, and nobody else's to go on from.
            let mut fold = Fold::of_tenant(tenant);
            return page::off_arbiter(move || {
                let _turn = turn;
                work(&mut fold)
            })
            .await;
        }
        let kept = self.kept.clone();
        let done = page::off_arbiter(move || {
            // Given back by the fold itself: it goes on when its caller leaves.
            let _turn = turn;
            let last = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut fold = last.filter(|it| it.position <= until.position).unwrap_or_default();
            let done = work(&mut fold)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(fold);
            Ok(done)
        })
        .await;
        self.forget_later();
        done
    }

    /// A fold of a large journal is large: it goes when nobody has asked for a while.
    fn forget_later(&self) {
        let used = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        let (kept, uses) = (self.kept.clone(), self.uses.clone());
        actix_web::rt::spawn(async move {
            tokio::time::sleep(KEEP).await;
            if uses.load(Ordering::Relaxed) == used {
                drop(kept.lock().unwrap_or_else(PoisonError::into_inner).take());
            }
        });
    }
}

/// The query of `GET /state`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskState {
    /// A time, a position or `{epoch}-{position}`; now, if absent.
    #[param(
        nullable = false,
        pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$"
    )]
    at: Option<String>,
    /// Sessions after this `{tenant}/{id}`.
    #[serde(default)]
    #[param(value_type = Option<String>, nullable = false)]
    after_session: String,
    /// Locks after this name.
    #[serde(default)]
    #[param(value_type = Option<String>, nullable = false)]
    after_lock: String,
    /// Sessions and locks of the page, 100 each if absent.
    #[serde(default)]
    #[param(value_type = Option<usize>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Limit,
}

/// Health, dependencies, and a page of live sessions and held locks at a moment.
#[utoipa::path(
    get,
    path = "/api/v1/state",
    tag = "journal",
    operation_id = "show_state",
    params(AskState),
    responses((status = 200, description = "What lived at the moment", body = StateAt)),
    extensions(("x-problems" = json!(["archived", "other-epoch", "unreadable-history"])))
)]
pub(super) async fn show_state(
    host: Data<Host>,
    app: Data<App>,
    scope: Scope,
    query: Query<AskState>,
) -> Result<Json<StateAt>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let place = place(&host, &log, "at", query.at.as_deref()).await?;
    let host = (**host).clone();
    let work = move |fold: &mut Fold| {
        fold.advance(&*log, &place, &mut |_| is_serving(&host))?;
        let AskState { after_session, after_lock, limit, .. } = &*query;
        let limit = limit.get();
        Ok(state_at(fold, place, StatePage { after_session, after_lock, limit }))
    };
    app.folds.fold(&scope, place, work).await.map(Json)
}

/// Which stream.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of parts of the path")]
struct StreamName {
    /// Of the entity.
    #[param(example = "lock")]
    kind: String,
    /// The entity's id; a session's is `{tenant}/{id}`.
    #[param(example = "room-101")]
    id: String,
}

/// The query of `GET /streams/{kind}/{id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskStream {
    /// A time, a position or `{epoch}-{position}`; now, if absent.
    #[param(
        nullable = false,
        pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$"
    )]
    at: Option<String>,
}

/// What a stream folds to at a moment.
#[utoipa::path(
    get,
    path = "/api/v1/streams/{kind}/{id}",
    tag = "journal",
    operation_id = "show_stream",
    params(StreamName, AskStream),
    responses((status = 200, description = "The entity's state, from its events", body = StreamAt)),
    extensions(("x-problems" = json!(["archived", "not-found", "other-epoch", "unreadable-history"])))
)]
pub(super) async fn show_stream(
    host: Data<Host>,
    scope: Scope,
    path: Path<(String, String)>,
    query: Query<AskStream>,
) -> Result<Json<StreamAt>, Problem> {
    let (kind, id) = path.into_inner();
    let unknown = || Problem::not_found(format!("there is no stream {kind}/{id}"));
    let stream = StreamId::new(&kind, &id).filter(|it| scope.sees(it.as_str()));
    let stream = stream.ok_or_else(unknown)?;
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let place = place(&host, &log, "at", query.at.as_deref()).await?;
    page::off_arbiter(move || Ok(stream_at(&*log, &stream, &place)?)).await.map(Json)
}

/// The query of `GET /diff`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskDiff {
    /// The earlier moment: a time, a position or `{epoch}-{position}`.
    #[param(
        pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$",
        example = "0"
    )]
    from: String,
    /// The later one; now, if absent.
    #[param(
        nullable = false,
        pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$|^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$"
    )]
    to: Option<String>,
    /// Of one stream only: `kind/id`.
    #[param(nullable = false, example = "lock/room-101", pattern = "^[a-z]{1,20}/[!-~]{1,200}$")]
    stream: Option<String>,
}

/// What changed between two moments: who held what, which level and why.
#[utoipa::path(
    get,
    path = "/api/v1/diff",
    tag = "journal",
    operation_id = "show_diff",
    params(AskDiff),
    responses((status = 200, description = "The way from one moment to the other", body = Diff)),
    extensions(("x-problems" = json!(["archived", "not-found", "other-epoch", "unreadable-history"])))
)]
pub(super) async fn show_diff(
    host: Data<Host>,
    app: Data<App>,
    scope: Scope,
    query: Query<AskDiff>,
) -> Result<Json<Diff>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let stream = query.stream.as_deref().map(page::stream).transpose()?;
    if let Some(stream) = stream.as_ref().filter(|it| !scope.sees(it.as_str())) {
        return Err(Problem::not_found(format!("there is no stream {stream}")));
    }
    let from = place(&host, &log, "from", Some(&query.from)).await?;
    let to = place(&host, &log, "to", query.to.as_deref()).await?;
    let host = (**host).clone();
    let Some(stream) = stream else {
        let work = move |fold: &mut Fold| {
            Ok(diff(&*log, fold, (from, to), None, &mut |_| is_serving(&host))?)
        };
        return app.folds.fold(&scope, from, work).await.map(Json);
    };
    let work = move || {
        let mut fold = Fold::default();
        Ok(diff(&*log, &mut fold, (from, to), Some(&stream), &mut |_| is_serving(&host))?)
    };
    page::off_arbiter(work).await.map(Json)
}

/// Which event.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
struct EventPlace {
    /// Its position, or `{epoch}-{position}`.
    #[param(example = "1", pattern = "^([0-9]{1,9}-)?[0-9]{1,18}$")]
    position: String,
}

/// Why an event came to be, and what it led to.
#[utoipa::path(
    get,
    path = "/api/v1/events/{position}/why",
    tag = "journal",
    operation_id = "show_why",
    params(EventPlace),
    responses((status = 200, description = "The event, its causes and its effects", body = Why)),
    extensions(("x-problems" = json!(["archived", "not-found", "other-epoch"])))
)]
pub(super) async fn show_why(
    host: Data<Host>,
    scope: Scope,
    position: Path<String>,
) -> Result<Json<Why>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    page::off_arbiter(move || {
        let position = page::position("position", &position, &*log)?;
        let none = || Problem::not_found(format!("there is no event at position {position}"));
        let story = why_seen(&*log, position, &|stream| scope.sees(stream))?;
        story.map(Json).ok_or_else(none)
    })
    .await
}

/// The place of a moment in a parameter; now, if it is absent.
async fn place(
    host: &Host,
    log: &Arc<dyn EventLog>,
    field: &'static str,
    text: Option<&str>,
) -> Result<Place, Problem> {
    let now = host.now().unwrap_or_default();
    let told = |error| moment_problem(field, error);
    let moment: Moment = match text {
        Some(text) => text.parse().map_err(told)?,
        None => Moment::Time(now),
    };
    let log = log.clone();
    page::off_arbiter(move || {
        let log: &dyn ReadLog = &*log;
        match moment {
            // Whatever is durable has happened.
            Moment::Time(at) if at == now => {
                let newest = Place::newest(log)?;
                Ok(Place { at: newest.at.max(Some(now)), ..newest })
            },
            moment => moment.place(log, now).map_err(told),
        }
    })
    .await
}

/// A fold gives up when the server stops.
fn is_serving(host: &Host) -> bool {
    host.readiness() == Readiness::Ready
}

fn moment_problem(field: &'static str, error: MomentError) -> Problem {
    let detail = format!("{field}: {error}");
    match error {
        MomentError::OtherEpoch { .. } => Problem::new(StatusCode::GONE, "other-epoch", detail),
        MomentError::Read(error) => error.into(),
        MomentError::Nonsense(_) | MomentError::AfterEnd { .. } | MomentError::Future { .. } => {
            Problem::bad(detail).with("field", field)
        },
    }
}

impl From<Unfoldable> for Problem {
    fn from(error: Unfoldable) -> Self {
        let detail = error.to_string();
        match error {
            Unfoldable::Read(error) => error.into(),
            Unfoldable::Meaningless { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable-history", detail)
            },
            Unfoldable::Stopped => {
                Failure::<DependencyReject>::NotReady("the server is stopping".to_owned()).into()
            },
        }
    }
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NoStream { .. } => Self::not_found(error.to_string()),
            StreamError::Fold(error) => error.into(),
        }
    }
}

impl From<DiffError> for Problem {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Backwards { .. } => Self::bad(error.to_string()).with("field", "from"),
            DiffError::NoStream { .. } => Self::not_found(error.to_string()),
            DiffError::Fold(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_to_fold_is_told_that_it_is_busy() {
        let folds = Folds::default();
        let turn = folds.turn.clone().acquire_owned().await.unwrap();
        let place = Place { epoch: 1, position: 0, at: None };
        let problem = folds.fold(&Scope::ALL, place, |_| Ok(())).await.unwrap_err();
        assert_eq!(problem.status_code(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.to_string().contains("busy"), "{problem}");
        drop(turn);
        assert_eq!(folds.turn.available_permits(), 1);
    }
}
