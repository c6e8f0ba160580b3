//! Every error as an RFC 9457 problem, the framework's own included.
//!
//! | status | when |
//! |---|---|
//! | 400 | malformed: JSON, types, names, ranges |
//! | 401 | no key that is known and good |
//! | 403 | another host or origin, too low a role, another tenant |
//! | 404 · 405 | no such thing or route · a method that the route does not take |
//! | 408 | a body that does not come |
//! | 409 | held, spent, used before, illegal transition |
//! | 410 · 412 | another epoch, an erased subject · another revision |
//! | 413 · 415 · 422 | too large, not JSON, key reused for another body |
//! | 429 | a key asks too often, or an address tries too many |
//! | 500 | crashed, unreadable history, a key that is gone |
//! | 503 | not ready, busy, closed to writes, outcome unknown |
//! | 507 | disk full |

mod kinds;

pub(crate) use kinds::{__path_show, Kind, kind, show};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use mainstay_actors::chaos::ChaosReject;
use mainstay_actors::dependency::DependencyReject;
use mainstay_actors::host::Failure;
use mainstay_actors::key::KeyReject;
use mainstay_actors::lock::LockReject;
use mainstay_actors::session::SessionReject;
use mainstay_actors::subject::SubjectReject;
use mainstay_actors::system::SystemReject;
use mainstay_journal::Refusal;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::access::WrongTenant;
use crate::vault::VaultError;

/// An error answer: `application/problem+json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after_ms: Option<u64>,
}

impl Problem {
    /// A problem of a kind: `lock-held` becomes the type `/problems/lock-held`.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let known = kinds::kind(kind).is_some_and(|kind| kind.status == status.as_u16());
        debug_assert!(known, "docs/problems.md has no {kind} with {status}");
        let detail = detail.into();
        Self { status, kind, detail, members: Map::new(), retry_after_ms: None }
    }

    /// The request is malformed.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The server's own fault.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Adds a member of its own.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Tells when to try again.
    pub(crate) fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self.with("retry_after_ms", ms)
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Its members, as they are sent.
    pub(crate) fn body(&self) -> Map<String, Value> {
        let mut body = self.members.clone();
        body.insert("type".to_owned(), json!(format!("/problems/{}", self.kind)));
        body.insert("title".to_owned(), json!(self.kind.replace('-', " ")));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        body.insert("detail".to_owned(), json!(self.detail));
        body
    }

    /// A bare status as a problem: for what the framework answers by itself.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (kind, detail) = match status {
            StatusCode::NOT_FOUND => ("not-found", "there is no such route"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method-not-allowed", "this route does not take this method; see Allow")
            },
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-media-type", "send JSON"),
            _ if status.is_server_error() => ("internal", "the server failed on this request"),
            _ => ("bad-request", "the request cannot be understood"),
        };
        Self::new(status, kind, detail)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.kind, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(ms) = self.retry_after_ms {
            let seconds = ms.div_ceil(1_000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // What comes late must not be read as the next request.
            response.force_close();
        }
        let mut response = response
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .body(Value::Object(self.body()).to_string());
        if self.kind == "wrong-tenant" {
            response.extensions_mut().insert(WrongTenant);
        }
        response
    }
}

/// An RFC 9457 problem; members of its own beside these.
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "the schema of what `Problem::body` makes")]
pub(crate) struct ProblemBody {
    /// What programs read: `/problems/` and a name; it can be fetched.
    #[schema(example = "/problems/lock-held")]
    r#type: String,
    /// The name in words.
    title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For people; may change.
    detail: String,
    /// Which field of the request is wrong, where one is.
    #[schema(nullable = false)]
    field: Option<String>,
    /// When to try again.
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// Of the newest durable event that a refusal rests on.
    #[schema(nullable = false)]
    position: Option<u64>,
    /// Of the history of `position`.
    #[schema(nullable = false)]
    epoch: Option<u32>,
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// How long to wait before a full queue or a starting server is asked again, in milliseconds.
const SOON_MS: u64 = 1_000;
/// How long to wait before a full disk is asked again, in milliseconds.
const DISK_MS: u64 = 10_000;

impl<R> From<Failure<R>> for Problem
where
    R: std::error::Error + Into<Self>,
{
    fn from(failure: Failure<R>) -> Self {
        let detail = failure.to_string();
        let unavailable = |kind| Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail.clone());
        match failure {
            Failure::Rejected { reason, at } => {
                let problem: Self = reason.into();
                if at.position == 0 {
                    return problem;
                }
                problem.with("position", at.position).with("epoch", at.epoch)
            },
            Failure::KeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
            },
            Failure::NotReady(_) => unavailable("not-ready").retry_after_ms(SOON_MS),
            Failure::Busy(_) => unavailable("busy").retry_after_ms(SOON_MS),
            Failure::Refused(Refusal::Conflict { .. } | Refusal::Superseded) => {
                unavailable("superseded").retry_after_ms(SOON_MS)
            },
            Failure::Refused(Refusal::NoRoom) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", detail)
                    .retry_after_ms(DISK_MS)
            },
            Failure::Refused(Refusal::Poisoned(_)) => unavailable("journal-closed"),
            Failure::Refused(Refusal::TooLarge(_)) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
            },
            Failure::OutcomeUnknown(_) => unavailable("outcome-unknown"),
            Failure::Unreadable(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable-history", detail)
            },
            Failure::Quarantined => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "quarantined", detail)
            },
            Failure::Crashed => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "crashed", detail),
        }
    }
}

impl From<LockReject> for Problem {
    fn from(reject: LockReject) -> Self {
        let detail = reject.to_string();
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, detail.clone());
        match reject {
            LockReject::Held { holders, retry_after_ms } => {
                conflict("lock-held").with("holders", json!(holders)).retry_after_ms(retry_after_ms)
            },
            LockReject::WaitedInVain { holders, retry_after_ms } => conflict("lock-wait-over")
                .with("holders", json!(holders))
                .retry_after_ms(retry_after_ms),
            LockReject::NotHeld { token } => conflict("lock-not-held").with("token", token),
            LockReject::HeldByOther { token } => {
                conflict("lock-held-by-other").with("token", token)
            },
            LockReject::RequestSpent => conflict("lock-request-spent"),
            LockReject::WaitNeedsRequest => Self::bad(detail),
            LockReject::SessionEnded => conflict("session-ended"),
            LockReject::TooManyWaiters => conflict("lock-queue-full").retry_after_ms(SOON_MS),
            LockReject::TooManyGrants => conflict("lock-full").retry_after_ms(SOON_MS),
            LockReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
            LockReject::OtherUnit { unit } => conflict("lock-other-unit").with("unit", json!(unit)),
        }
    }
}

impl From<SessionReject> for Problem {
    fn from(reject: SessionReject) -> Self {
        let detail = reject.to_string();
        match reject {
            SessionReject::NotFound => Self::not_found(detail),
            SessionReject::Exists => Self::new(StatusCode::CONFLICT, "session-exists", detail),
            SessionReject::Stale { current } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "session-stale", detail)
                    .with("revision", current)
            },
            SessionReject::PersonalSubject { .. } => Self::bad(detail).with("field", "subject"),
            SessionReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}

impl From<KeyReject> for Problem {
    fn from(reject: KeyReject) -> Self {
        let detail = reject.to_string();
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, detail.clone());
        match reject {
            KeyReject::NotFound => Self::not_found(detail),
            KeyReject::Exists => conflict("key-exists"),
            KeyReject::Revoked | KeyReject::Expired => conflict("key-over"),
            KeyReject::TooManySecrets => conflict("key-secrets"),
            KeyReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}

impl From<ChaosReject> for Problem {
    fn from(reject: ChaosReject) -> Self {
        let detail = reject.to_string();
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, detail.clone());
        match reject {
            ChaosReject::NotFound | ChaosReject::Unknown { .. } => Self::not_found(detail),
            ChaosReject::Running => conflict("fault-running"),
            ChaosReject::BelowFloor { level, floor } => conflict("fault-below-floor")
                .with("level", level.name())
                .with("floor", floor.name()),
            ChaosReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}

impl From<SubjectReject> for Problem {
    fn from(reject: SubjectReject) -> Self {
        let detail = reject.to_string();
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, detail.clone());
        match reject {
            SubjectReject::Erased => Self::new(StatusCode::GONE, "subject-erased", detail),
            SubjectReject::Held { why } => conflict("subject-held").with("reason", why),
            SubjectReject::Exists => conflict("subject-exists"),
            SubjectReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}

impl From<SystemReject> for Problem {
    fn from(reject: SystemReject) -> Self {
        let detail = reject.to_string();
        match reject {
            SystemReject::NotAttested { .. } => Self::not_found(detail),
            SystemReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let detail = error.to_string();
        let unavailable = |kind| Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail.clone());
        match error {
            VaultError::Erased => Self::new(StatusCode::GONE, "subject-erased", detail),
            VaultError::Damaged | VaultError::Missing | VaultError::Unopened { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "subject-key-missing", detail)
            },
            VaultError::Closed => unavailable("not-ready").retry_after_ms(SOON_MS),
            VaultError::Busy => unavailable("busy").retry_after_ms(SOON_MS),
            VaultError::NoRoom => Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", detail)
                .retry_after_ms(DISK_MS),
            VaultError::Failed(_) => Self::internal(detail),
        }
    }
}

impl From<DependencyReject> for Problem {
    fn from(reject: DependencyReject) -> Self {
        let detail = reject.to_string();
        match reject {
            DependencyReject::Unknown => Self::not_found(detail),
            DependencyReject::IllegalTransition { from, to } => {
                Self::new(StatusCode::CONFLICT, "illegal-transition", detail)
                    .with("from", from.name())
                    .with("to", to.name())
            },
            DependencyReject::Settings(error) => Self::bad(detail).with("field", error.field),
            DependencyReject::OutOfRange { field, .. } => Self::bad(detail).with("field", field),
        }
    }
}
