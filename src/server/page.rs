//! Pages: a limit, and the cursor of what comes after.

use std::sync::Arc;

use actix_web::http::StatusCode;
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::{Failure, Host};
use mainstay_journal::{Away, EventLog, ReadError, ReadLog, StreamId};
use serde::{Deserialize, Deserializer, de};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::travel::cursor::{self, NoPlace};

/// How many rows a page has: 1 to 1,000, 100 when absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(usize);

/// Most rows of a page.
pub(crate) const MAX_LIMIT: usize = 1_000;

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl Limit {
    pub(crate) const fn get(self) -> usize {
        self.0
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(deserializer)?;
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(Self(limit));
        }
        Err(de::Error::custom(format!("limit must be 1 to {MAX_LIMIT}")))
    }
}

/// Cuts `limit + 1` rows to a page; the cursor is that of its last row, if there is more.
pub(crate) fn cut<T, C>(
    mut rows: Vec<T>,
    limit: usize,
    cursor: impl Fn(&T) -> C,
) -> (Vec<T>, Option<C>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(cursor);
    (rows, next)
}

/// The position of a cursor in a parameter: `{epoch}-{position}`, or a bare position of the current
/// history. One of an older epoch is good up to the fork. Reads: off the arbiter.
pub(crate) fn position(field: &str, text: &str, log: &dyn ReadLog) -> Result<u64, Problem> {
    let position = cursor::position(text, log).map_err(|none| match none {
        NoPlace::AfterEnd { asked, head } => {
            let detail = format!("position {} lies after the last event, {head}", asked.position);
            Problem::bad(detail).with("field", field)
        },
        NoPlace::OtherEpoch { asked, head } => Problem::new(
            StatusCode::GONE,
            "other-epoch",
            format!("the cursor {asked} is no place of this history, which is at {head}"),
        ),
        NoPlace::Read(error) => error.into(),
    })?;
    position.ok_or_else(|| {
        Problem::bad(format!("{field} must be a position or {{epoch}}-{{position}}"))
            .with("field", field)
    })
}

/// The same, off the arbiter.
pub(crate) async fn place(
    field: &'static str,
    text: &str,
    log: Arc<dyn EventLog>,
) -> Result<u64, Problem> {
    let text = text.to_owned();
    off_arbiter(move || position(field, &text, &*log)).await
}

/// A stream's name in a parameter.
pub(crate) fn stream(name: &str) -> Result<StreamId, Problem> {
    StreamId::parse(name).ok_or_else(|| {
        Problem::bad("stream must be kind/id: lock/room-101").with("field", "stream")
    })
}

/// The journal is not open yet.
pub(crate) fn not_ready(host: &Host) -> Problem {
    Failure::<DependencyReject>::NotReady(host.readiness().to_string()).into()
}

/// Reads that may run or wait for a thread at once.
const MAX_READS: usize = 256;
static READS: Semaphore = Semaphore::const_new(MAX_READS);

/// Runs a read of the journal off the arbiter; too many at once are busy.
pub(crate) async fn off_arbiter<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let Ok(permit) = READS.try_acquire() else { return Err(busy()) };
    run(permit, work).await
}

/// The same for those who may wait for their turn.
pub(crate) async fn when_free<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let permit = READS.acquire().await.map_err(|_| busy())?;
    run(permit, work).await
}

async fn run<T: Send + 'static>(
    permit: SemaphorePermit<'static>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = actix_web::web::block(move || {
        // Given back by the read itself: it goes on when its caller leaves.
        let _permit = permit;
        work()
    })
    .await;
    done.unwrap_or_else(|_| Err(Problem::internal("the read was cancelled")))
}

fn busy() -> Problem {
    Failure::<DependencyReject>::Busy("reads of the journal").into()
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            // Where it lies is the operator's business, and in the log of whoever asks for it.
            ReadError::Archived(Away { month, .. }) => {
                let detail = format!(
                    "{month} was dropped into an archive that is not there; ask for later times, or \
                     bring the archive back"
                );
                Self::new(StatusCode::GONE, "archived", detail).with("month", month)
            },
            _ => Self::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[tokio::test]
    async fn a_read_beyond_the_bound_is_busy_and_not_queued() {
        assert_eq!(off_arbiter(|| Ok(7)).await, Ok(7));
        let all = READS.acquire_many(u32::try_from(MAX_READS).unwrap()).await.unwrap();
        let problem = off_arbiter(|| Ok(7)).await.unwrap_err();
        assert_eq!(problem.status_code(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(problem.to_string().contains("busy"), "{problem}");
        drop(all);
        assert_eq!(off_arbiter(|| Ok(8)).await, Ok(8));
    }
}
