//! `mainstay diff`: what changed between two moments.

mod tell;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::EXIT_CODES;
use super::exit::Failed;
use super::replay::stream_id;
use super::source::{Source, Way, moment, place, progress};
use crate::travel::Fold;
use crate::travel::diff::{Diff as Told, DiffError, diff};

/// Tell what changed between two moments
///
/// Who held which lock from when to when and why no more, which level and why, which breakers
/// moved and by what evidence, which sessions began and ended. A moment is a time
/// (2026-11-22T03:12:00Z: after the last event at or before it), a position, or
/// {epoch}-{position}.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Diff {
    #[command(flatten)]
    way: Way,
    /// The earlier moment
    #[arg(long, value_name = "MOMENT")]
    from: String,
    /// The later moment [default: the newest event]
    #[arg(long, value_name = "MOMENT")]
    to: Option<String>,
    /// One stream only: lock/room-101
    #[arg(long, value_name = "KIND/ID")]
    stream: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let stream = self.stream.as_deref().map(stream_id).transpose()?;
        let told = match &self.way.open()? {
            Source::Data(reader) => {
                let from = place(reader, "--from", Some(&self.from))?;
                let to = place(reader, "--to", self.to.as_deref())?;
                let bar = progress("comparing", to.position);
                let mut fold = Fold::default();
                let told =
                    diff(&**reader, &mut fold, (from, to), stream.as_ref(), &mut |position| {
                        bar.set_position(position);
                        true
                    });
                bar.finish_and_clear();
                told?
            },
            Source::Server(online) => {
                moment("--from", &self.from)?;
                let mut query = vec![("from", self.from.clone())];
                if let Some(to) = &self.to {
                    moment("--to", to)?;
                    query.push(("to", to.clone()));
                }
                query.extend(self.stream.clone().map(|stream| ("stream", stream)));
                let told = serde_json::from_value::<Told>(online.get("/api/v1/diff", &query)?);
                told.map_err(|error| Failed::work(format!("the server's answer: {error}")))?
            },
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            let json = serde_json::to_string(&told);
            writeln!(stdout, "{}", json.map_err(|error| Failed::work(error.to_string()))?)?;
        } else {
            write!(stdout, "{}", tell::tell(&told))?;
        }
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl From<DiffError> for Failed {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Backwards { .. } => Self::usage(error.to_string()),
            DiffError::NoStream { .. } => Self::work(error.to_string()),
            DiffError::Fold(error) => error.into(),
        }
    }
}
