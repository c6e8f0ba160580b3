//! The sessions of a subject: those that ever began, and those that live.

use std::sync::Arc;

use actix_web::rt::spawn;
use mainstay_actors::host::{Host, Meta, sessions_ever};
use mainstay_actors::session::Live;
use mainstay_journal::{EventLog, StreamId};

use crate::server::page;
use crate::server::problem::Problem;
use crate::server::sessions::show_live;

/// Most sessions that are looked at.
const MAX_BEGUN: usize = 10_000;
/// Most live ones.
const MAX_LIVE: usize = 1_000;
/// Sessions that are asked at once.
const AT_ONCE: usize = 16;

/// Sessions that began about a subject, the newest first.
pub(super) struct Begun {
    pub(super) streams: Vec<StreamId>,
    /// There were more, before these.
    pub(super) more: bool,
}

/// Those of them that live.
pub(super) struct LiveOnes {
    pub(super) sessions: Vec<(StreamId, Live)>,
    /// There were more, before these.
    pub(super) more: bool,
}

/// `{id}` of `session/{tenant}/{id}`.
pub(super) fn id_of(stream: &StreamId) -> &str {
    stream.id().split_once('/').map_or("", |(_, id)| id)
}

pub(super) async fn begun(
    log: &Arc<dyn EventLog>,
    tenant: &str,
    subject: &str,
) -> Result<Begun, Problem> {
    let (log, tenant, subject) = (log.clone(), tenant.to_owned(), subject.to_owned());
    page::off_arbiter(move || {
        let (streams, all) = sessions_ever(&*log, &tenant, &subject, MAX_BEGUN)?;
        Ok(Begun { streams, more: !all })
    })
    .await
}

pub(super) async fn live(
    host: &Host,
    begun: &[StreamId],
    meta: &Meta,
) -> Result<LiveOnes, Problem> {
    let mut sessions = Vec::new();
    for some in begun.chunks(AT_ONCE) {
        let ask = |stream: &StreamId| spawn(show_live(host.clone(), stream.clone(), meta.clone()));
        let asked: Vec<_> = some.iter().map(ask).collect();
        for (stream, answer) in some.iter().zip(asked) {
            let answer = answer.await.map_err(|error| Problem::internal(error.to_string()))?;
            sessions.extend(answer?.map(|live| (stream.clone(), live)));
        }
        if sessions.len() > MAX_LIVE {
            sessions.truncate(MAX_LIVE);
            return Ok(LiveOnes { sessions, more: true });
        }
    }
    Ok(LiveOnes { sessions, more: false })
}
