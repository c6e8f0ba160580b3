//! Small plots: bars with the limit as a line, as SVG.
//!
//! ```text
//!   title
//!   a label   ▇▇▇▇▇▇▇▇▇▇ 1.3 ms      ┆ limit 5 ms
//!   another   ▇▇▇▇ 0.5 ms            ┆
//! ```

use std::fmt::Write as _;
use std::path::PathBuf;

/// A plot of horizontal bars.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the numbers are: `ms`, `×`.
    pub(crate) unit: &'static str,
    /// Where the limit lies, and what it is.
    pub(crate) limit: Option<(f64, String)>,
    /// Groups of a name and, side by side, values.
    pub(crate) rows: Vec<(String, Vec<f64>)>,
    /// What the values of a row are, in their order.
    pub(crate) series: Vec<String>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 110.0;
const BAR: f64 = 13.0;
const COLOURS: [&str; 4] = ["#3b6ea8", "#8fb3d9", "#5a9367", "#c58b3f"];

impl Plot {
    /// Writes `benches/plots/{name}.svg`.
    pub(crate) fn write(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/plots");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.svg"));
        std::fs::write(&path, self.svg()).unwrap();
        println!("plot: benches/plots/{name}.svg");
    }

    fn svg(&self) -> String {
        let bars: usize = self.rows.iter().map(|row| row.1.len()).sum();
        let top = 62.0;
        let height = top + bars as f64 * (BAR + 2.0) + self.rows.len() as f64 * 9.0 + 30.0;
        let values = self.rows.iter().flat_map(|row| row.1.iter().copied());
        let limit = self.limit.as_ref().map_or(0.0, |limit| limit.0);
        let most = values.fold(limit, f64::max).max(f64::MIN_POSITIVE) * 1.04;
        let x = |value: f64| LEFT + value / most * (WIDTH - LEFT - RIGHT);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>",
            escaped(&self.title)
        );
        self.legend(&mut out);
        let mut y = top;
        for (name, values) in &self.rows {
            let middle = y + values.len() as f64 * (BAR + 2.0) / 2.0 + 3.0;
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                escaped(name)
            );
            for (value, colour) in values.iter().zip(COLOURS.iter().cycle()) {
                let width = (x(*value) - LEFT).max(1.0);
                let _ = writeln!(
                    out,
                    "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" \
                     fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\">{}</text>",
                    LEFT + width + 5.0,
                    y + BAR - 2.5,
                    shown(*value, self.unit)
                );
                y += BAR + 2.0;
            }
            y += 9.0;
        }
        if let Some((value, text)) = &self.limit {
            let at = x(*value);
            let _ = writeln!(
                out,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.0}\" y2=\"{y:.0}\" stroke=\"#b03030\" \
                 stroke-dasharray=\"4 3\"/><text x=\"{at:.1}\" y=\"{:.0}\" fill=\"#b03030\" \
                 text-anchor=\"middle\">{}</text>",
                top - 4.0,
                y + 14.0,
                escaped(text)
            );
        }
        out.push_str("</svg>\n");
        out
    }

    fn legend(&self, out: &mut String) {
        let mut x = 16.0;
        for (name, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let _ = writeln!(
                out,
                "<rect x=\"{x:.0}\" y=\"35\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
                 <text x=\"{:.0}\" y=\"45\">{}</text>",
                x + 16.0,
                escaped(name)
            );
            x += 34.0 + name.chars().count() as f64 * 7.0;
        }
    }
}

fn shown(value: f64, unit: &str) -> String {
    if value >= 1_000.0 {
        return format!("{value:.0} {unit}");
    }
    if value >= 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.2} {unit}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
