//! What an audit asks with several filters: the pairs that are hard to intersect.

use mainstay::actors::host::tags;
use mainstay::journal::Query;

use crate::questions::{Question, hour, of_principal, of_tag, types};

/// Combined, down to those that many records match by halves and none in full.
pub(crate) const TOGETHER: [Question; 9] = [
    ("an hour, type", |it| Some(Query { types: types("LeaseGranted"), ..hour(it) })),
    ("after, type", |it| {
        Some(Query { types: types("SessionPatched"), after: it.position, ..Query::default() })
    }),
    ("an hour, principal, rare", |it| {
        Some(Query { principal: Some("svc-999".to_owned()), ..hour(it) })
    }),
    ("type and principal, common", |_| Some(pair("SessionPatched", "svc-000"))),
    ("type, rare, and principal, common", |_| Some(pair("RefusalRecorded", "svc-000"))),
    ("type, rare, and principal, rare", |_| Some(pair("RefusalRecorded", "svc-999"))),
    ("principal and tag, both common", |_| {
        Some(Query { principal: Some("svc-000".to_owned()), ..of_tag(tags::TENANT, "acme") })
    }),
    ("type and tag, both common, no row", |_| {
        Some(Query { types: types("LeaseReleased"), ..of_tag(tags::TENANT, "acme") })
    }),
    ("type and principal, common, no row", |_| Some(pair("WindowObserved", "svc-000"))),
];

fn pair(event: &str, principal: &str) -> Query {
    Query { types: types(event), ..of_principal(principal) }
}
