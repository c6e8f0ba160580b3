//! Tables that fit the terminal.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without frames; columns share the width of the terminal, or take what they need when
/// the output is no terminal.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
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
