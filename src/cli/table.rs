//! Tables that fit the terminal.
//!
//! | output | width |
//! |---|---|
//! | `COLUMNS` in the environment | that many columns |
//! | a terminal | its own |
//! | a file or pipe | what the rows need |

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// Narrower than this, a row of many columns is told in lines.
const NARROW: u16 = 140;
/// No table can be narrower.
const NARROWEST: u16 = 20;

/// A table without frames; columns share the width of the terminal.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = bare();
    table.set_header(header);
    table
}

/// As [`table`], without a header.
pub(super) fn bare() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = columns() {
        table.set_width(width);
    }
    table
}

/// Whether the output is too narrow for many columns.
pub(super) fn is_narrow() -> bool {
    bare().width().is_some_and(|width| width < NARROW)
}

fn columns() -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok()?.parse::<u16>().ok()?;
    (columns > 0).then_some(columns.max(NARROWEST))
}

/// The lines of a table without trailing blanks.
pub(super) fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A JSON value as a cell.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
