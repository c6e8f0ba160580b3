//! `/api/v1/subjects`: what is held about somebody, what they decided, and how they are forgotten.
//!
//! | file | one thing |
//! |---|---|
//! | `consents` | what they decided about their data |
//! | `erase` | forgotten, or held |
//! | `export` | all of it as a document |
//! | `rectify` | put right in every session |
//! | `import` | such a document of another server |
//! | `history`, `sessions`, `values` | what they look at |

mod consents;
mod erase;
mod export;
mod history;
mod import;
mod rectify;
mod sessions;
mod values;

pub(super) use consents::{__path_consents, __path_record_consent, consents, record_consent};
pub(super) use erase::{__path_erase, __path_hold, erase, hold};
pub(super) use export::{__path_export, export};
pub(super) use import::{__path_import, import};
pub(super) use rectify::{__path_rectify, rectify};

use mainstay_actors::host::{Host, Meta, Receipt};
use mainstay_actors::machine::Machine;
use mainstay_actors::session::check_subject;
use mainstay_actors::subject::{Subject, SubjectCommand, SubjectReject, SubjectReply};
use mainstay_journal::StreamId;
use utoipa::IntoParams;

use super::problem::Problem;
use super::request::Of;

/// Which subject.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
pub(super) struct SubjectId {
    /// The subject, as its sessions name it.
    #[param(example = "customer-7", min_length = 1, max_length = 200)]
    id: String,
}

/// The stream of a subject that may be one.
fn stream(tenant: &str, subject: &str) -> Result<StreamId, Problem> {
    check_subject(tenant, subject)?;
    StreamId::new(Subject::KIND, &format!("{tenant}/{subject}"))
        .ok_or_else(|| Problem::bad("the subject is too long").with("field", "subject"))
}

/// Asks a subject; `Show` of an erased one is a refusal here, too.
async fn ask(
    host: &Host,
    stream: StreamId,
    command: SubjectCommand,
    meta: Meta,
) -> Result<Receipt<SubjectReply>, Problem> {
    let may_be_erased = command == SubjectCommand::Erase;
    let receipt = host.ask::<Subject>(stream, command, meta).await?;
    if receipt.reply.0.erased.is_some() && !may_be_erased {
        return Err(SubjectReject::Erased.into());
    }
    Ok(receipt)
}
