//! `/api/v1/attestations`: what no machine can check, and who vouches for it.

use actix_web::web::{Data, Json};
use mainstay_actors::host::Host;
use mainstay_actors::machine::Machine as _;
use mainstay_actors::system::{System, SystemCommand};
use mainstay_actors::time::Timestamp;
use mainstay_journal::StreamId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::page;
use super::problem::Problem;
use super::request::{Caller, CommandHeaders, Placed};
use super::whole;
use crate::preflight::gather::vouchers;
use crate::preflight::{
    ATTESTATIONS, Decided, Item, RELEASE, Severity, Voucher, all, attestable, find, may_attest,
};

/// An item to vouch for, or not any more.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Attest)]
pub(super) struct Attest {
    /// Which item of the preflight.
    item: String,
    /// Where the evidence is: a URL without credentials. Needed unless it is withdrawn.
    #[schema(pattern = "^[A-Za-z0-9]+://[!-~]{1,490}$")]
    evidence: Option<String>,
    /// It holds for so long; as long as the item says if absent, and never longer.
    #[schema(minimum = 1, maximum = 63_158_400_000_u64)]
    #[serde(default, deserialize_with = "whole::optional")]
    for_ms: Option<u64>,
    /// Nobody vouches for it any more.
    #[serde(default)]
    withdraw: bool,
}

/// An item that no machine can check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Vouched {
    /// Which item of the preflight.
    #[schema(example = "documents.runbooks")]
    item: &'static str,
    /// How bad it is when nobody vouches for it.
    severity: Severity,
    /// A sentence that is true when somebody does.
    title: &'static str,
    /// How long an attestation of it holds at most.
    holds_ms: u64,
    /// What was attested last; null if nobody vouches for it.
    attestation: Option<Attestation>,
    /// Why that does not hold any more, if it does not.
    void: Option<String>,
}

/// What somebody vouches for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attestation {
    evidence: String,
    /// The version it is for; void for another.
    release: String,
    /// Who vouches; null if that was dropped into an archive.
    by: Option<String>,
    at: Timestamp,
    /// It holds until then.
    until: Timestamp,
}

/// All that people vouch for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attestations {
    /// The version that is running.
    release: &'static str,
    /// Every item that no machine can check, attested or not.
    attestations: Vec<Vouched>,
}

/// Every item that no machine can check, with who vouches for it.
#[utoipa::path(
    get,
    path = "/api/v1/attestations",
    tag = "launch",
    operation_id = "list_attestations",
    responses((status = 200, description = "All of them", body = Attestations))
)]
pub(super) async fn list(host: Data<Host>) -> Result<Json<Attestations>, Problem> {
    let log = host.log().ok_or_else(|| page::not_ready(&host))?;
    let now = host.now().unwrap_or_default();
    let mut vouchers = page::off_arbiter(move || Ok(vouchers(&*log)?)).await?;
    let items = all().map(|(_, item)| item);
    let attestations = items.filter_map(|item| vouched(item, vouchers.remove(item.id), now));
    Ok(Json(Attestations { release: RELEASE, attestations: attestations.collect() }))
}

/// Vouch for an item, or withdraw that.
///
/// What was attested of it before is replaced. It is for the version that is running, and void for
/// another one.
#[utoipa::path(
    post,
    path = "/api/v1/attestations",
    tag = "launch",
    operation_id = "attest",
    params(CommandHeaders),
    request_body(content = Attest, example = json!({"item": "documents.runbooks", "evidence": "https://wiki.example/runbooks"})),
    responses((status = 200, description = "How the item stands", body = Placed<Vouched>)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn attest(
    host: Data<Host>,
    caller: Caller,
    body: Body<Attest>,
) -> Result<Json<Placed<Vouched>>, Problem> {
    let bad = |(field, told): (&'static str, String)| Problem::bad(told).with("field", field);
    let meta = caller.meta(&*body);
    let Attest { item, evidence, for_ms, withdraw } = body.into_inner();
    let command = if withdraw {
        attestable(&item).map_err(bad)?;
        if evidence.is_some() || for_ms.is_some() {
            let told = "what is withdrawn has no evidence and no time";
            return Err(bad(("withdraw", told.to_owned())));
        }
        SystemCommand::Withdraw { item: item.clone() }
    } else {
        let evidence = evidence.unwrap_or_default();
        let for_ms = may_attest(&item, &evidence, for_ms).map_err(bad)?;
        let release = RELEASE.to_owned();
        SystemCommand::Attest { item: item.clone(), evidence, release, for_ms }
    };
    let none = || Problem::internal("there is no stream of attestations");
    let stream = StreamId::new(System::KIND, ATTESTATIONS).ok_or_else(none)?;
    let principal = meta.principal.to_string();
    let receipt = host.ask::<System>(stream, command, meta).await?;
    let voucher = receipt.reply.0.attestations.get(&item).map(|it| Voucher {
        evidence: it.evidence.clone(),
        release: it.release.clone(),
        by: Some(principal),
        at: it.at,
        until: it.until,
    });
    let now = host.now().unwrap_or_default();
    let vouched = find(&item).and_then(|item| vouched(item, voucher, now)).ok_or_else(none)?;
    Ok(Json(Placed::new(vouched, receipt.at)))
}

/// How an item stands; `None` if a machine decides it.
pub(crate) fn vouched(
    item: &'static Item,
    voucher: Option<Voucher>,
    now: Timestamp,
) -> Option<Vouched> {
    let Decided::Attested { holds_ms, .. } = item.decided else { return None };
    let void = voucher.as_ref().and_then(|voucher| voucher.void(RELEASE, now));
    let attestation = voucher.map(|it| {
        let Voucher { evidence, release, by, at, until } = it;
        Attestation { evidence, release, by, at, until }
    });
    let Item { id, severity, title, .. } = *item;
    Some(Vouched { item: id, severity, title, holds_ms, attestation, void })
}
