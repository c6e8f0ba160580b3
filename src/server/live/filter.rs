//! Which events a reader wants: the same question to the journal's index and to one event.

use mainstay_journal::{Query as Find, StreamId};

use super::Follow;
use super::tail::Item;
use crate::event::type_ids;
use crate::server::access::Scope;
use crate::server::problem::Problem;

/// Every given field must match.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    find: Find,
    scope: Scope,
}

impl Filter {
    pub(super) fn of(query: &Follow, scope: Scope) -> Result<Self, Problem> {
        let bad = |field: &str, reason: String| Problem::bad(reason).with("field", field);
        let stream = query.stream.as_deref().map(|name| {
            StreamId::parse(name)
                .ok_or_else(|| bad("stream", "stream must be kind/id: lock/room-101".to_owned()))
        });
        let types = query.r#type.as_deref().map(type_ids).transpose();
        let find = Find {
            stream: stream.transpose()?,
            types: types.map_err(|reason| bad("type", reason))?.unwrap_or_default(),
            principal: query.principal.clone(),
            correlation: query.correlation.clone(),
            tags: scope.tags(),
            ..Find::default()
        };
        Ok(Self { find, scope })
    }

    /// The question to the journal's index.
    pub(super) fn find(&self, after: u64) -> Find {
        Find { after, ..self.find.clone() }
    }

    /// The same question to one event.
    pub(super) fn takes(&self, item: &Item) -> bool {
        let Find { stream, types, principal, correlation, .. } = &self.find;
        self.scope.sees(&item.stream)
            && stream.as_ref().is_none_or(|stream| *stream.as_str() == *item.stream)
            && (types.is_empty() || types.contains(&item.type_id))
            && principal.as_ref().is_none_or(|it| **it == *item.principal)
            && correlation
                .as_ref()
                .is_none_or(|it| Some(it.as_str()) == item.correlation.as_deref())
    }
}
