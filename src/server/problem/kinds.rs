//! The kinds of problems, read from the table of `docs/problems.md`: people, programs and the
//! OpenAPI document see the same one.

use std::sync::LazyLock;

use actix_web::web::{Json, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;

/// The page with the table.
const PAGE: &str = include_str!("../../../docs/problems.md");

/// A kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Kind {
    /// The `type` of its problems: `/problems/lock-held`.
    #[schema(example = "/problems/lock-held")]
    pub(crate) r#type: String,
    /// In words.
    pub(crate) title: String,
    /// The status it comes with.
    pub(crate) status: u16,
    /// When it happens.
    pub(crate) when: String,
    /// What to do about it.
    pub(crate) way_out: String,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| PAGE.lines().filter_map(row).collect());

/// All of them, in the page's order.
pub(crate) fn kinds() -> &'static [Kind] {
    &KINDS
}

/// The kind of a name: `lock-held`.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.r#type.strip_prefix(PREFIX) == Some(name))
}

/// What a name needs to be a type.
const PREFIX: &str = "/problems/";

/// A row of the table: type, status, when, way out.
fn row(line: &str) -> Option<Kind> {
    let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    let status = cells.next()?.parse().ok()?;
    let (when, way_out) = (plain(cells.next()?), plain(cells.next()?));
    let (r#type, title) = (format!("{PREFIX}{name}"), name.replace('-', " "));
    Some(Kind { r#type, title, status, when, way_out })
}

/// A cell without its links: their targets are files beside the page.
fn plain(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, (target, after))) =
            link.split_once("](").and_then(|(name, more)| Some((name, more.split_once(')')?)))
        else {
            break;
        };
        let page = target.split_once('#').map_or(target, |(page, _)| page);
        text.push_str(before);
        text.push_str(name);
        if name != page {
            text.extend([" (docs/", page, ")"]);
        }
        rest = after;
    }
    text + rest
}

/// What a type of problem means.
#[utoipa::path(
    get,
    path = "/problems/{kind}",
    tag = "documents",
    operation_id = "show_problem",
    params(("kind" = String, Path, description = "The last part of a problem's `type`", example = "lock-held")),
    responses((status = 200, description = "When it happens, and the way out", body = Kind)),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(crate) async fn show(name: Path<String>) -> Result<Json<&'static Kind>, Problem> {
    let unknown = || Problem::not_found(format!("there is no problem {:?}", *name));
    kind(&name).map(Json).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_page_is_a_kind_with_four_cells() {
        let rows = PAGE.lines().filter(|line| line.starts_with("| `")).count();
        assert!(rows > 25, "the table has moved");
        assert_eq!(kinds().len(), rows, "a row cannot be read");
        let names: std::collections::BTreeSet<&str> =
            kinds().iter().map(|kind| &*kind.r#type).collect();
        assert_eq!(names.len(), rows, "two rows are of one type");
        for kind in kinds() {
            assert!((400..600).contains(&kind.status), "{kind:?}");
            assert!(!kind.when.is_empty() && !kind.way_out.is_empty(), "{kind:?}");
            assert!(!kind.way_out.contains("]("), "a link to nowhere: {kind:?}");
        }
    }

    #[test]
    fn a_link_of_the_page_becomes_its_text() {
        let text = plain("[operating.md](operating.md#closed), or `x`");
        assert_eq!(text, "operating.md, or `x`");
        assert_eq!(plain("see [the page](a.md)."), "see the page (docs/a.md).");
        assert_eq!(plain("no [link"), "no [link");
    }
}
