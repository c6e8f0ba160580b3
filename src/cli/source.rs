//! Where a verb reads: a data directory, or a running server.
//!
//! ```text
//!   --data DIR    segments alone: also beside a running server, and on a copy
//!   --server URL  the server's own answers
//!   neither       MAINSTAY__SERVER__DATA, else ./mainstay-data
//! ```

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mainstay_actors::time::Timestamp;
use mainstay_journal::{OpenError, Reader, Reading};

use super::exit::Failed;
use super::online::Online;
use super::{AtRest, DEFAULT_DATA};
use crate::travel::{Moment, MomentError, Place, Unfoldable};

/// The two ways of a verb that reads.
#[derive(Debug, Args)]
pub(super) struct Way {
    /// Data directory [default: ./mainstay-data]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// Ask this server instead
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    key: AtRest,
}

/// One of them, opened.
#[derive(Debug)]
pub(super) enum Source {
    /// A data directory.
    Data(Box<Reader>),
    /// A running server.
    Server(Online),
}

/// One of them, not opened yet.
#[derive(Debug)]
pub(super) enum Where {
    /// A data directory.
    Data(PathBuf),
    /// A running server.
    Server(Online),
}

impl Way {
    /// A data directory, the default one if `None`.
    pub(super) fn to(data: Option<PathBuf>, key: AtRest) -> Self {
        Self { data, server: None, key }
    }

    pub(super) fn open(&self) -> Result<Source, Failed> {
        Ok(match self.chosen()? {
            Where::Data(data) => Source::Data(Box::new(open(&data, &self.reading()?)?)),
            Where::Server(online) => Source::Server(online),
        })
    }

    pub(super) fn chosen(&self) -> Result<Where, Failed> {
        if let Some(server) = &self.server {
            let hint = "or read its data directory with --data";
            return Ok(Where::Server(Online::new(server, hint)?));
        }
        Ok(Where::Data(self.data()))
    }

    /// With what it is read.
    pub(super) fn reading(&self) -> Result<Reading, Failed> {
        self.key.reading()
    }

    /// The data directory, if no server is asked.
    pub(super) fn data(&self) -> PathBuf {
        let from_environment = || std::env::var_os("MAINSTAY__SERVER__DATA").map(Into::into);
        let data = self.data.clone().or_else(from_environment);
        data.unwrap_or_else(|| DEFAULT_DATA.into())
    }
}

/// Opens a journal to read it; the error names the way out.
pub(super) fn open(data: &Path, reading: &Reading) -> Result<Reader, Failed> {
    Reader::open_with(data, reading.clone()).map_err(|error| match &error {
        OpenError::NotAJournal { path, reason } => Failed::refused(format!(
            "open {}: not a journal ({reason}); name a data directory with --data, or ask a \
             running server with --server",
            path.display()
        )),
        _ => refusal(&error),
    })
}

/// A journal that cannot be opened, as an exit code.
pub(super) fn refusal(error: &OpenError) -> Failed {
    match error {
        OpenError::Damaged { .. } | OpenError::Base { .. } => Failed::integrity(error.to_string()),
        OpenError::Io { .. } => Failed::work(error.to_string()),
        OpenError::Sealed { .. } => Failed::usage(error.to_string()),
        _ => Failed::refused(error.to_string()),
    }
}

/// A moment of a flag, without a journal.
pub(super) fn moment(flag: &str, text: &str) -> Result<Moment, Failed> {
    text.parse().map_err(|error| of_moment(flag, error))
}

/// The place of a moment of a flag; the newest event, if it is absent.
pub(super) fn place(reader: &Reader, flag: &str, text: Option<&str>) -> Result<Place, Failed> {
    let Some(text) = text else { return Ok(Place::newest(reader)?) };
    moment(flag, text)?.place(reader, now()).map_err(|error| of_moment(flag, error))
}

fn of_moment(flag: &str, error: MomentError) -> Failed {
    match error {
        MomentError::Read(error) => error.into(),
        _ => Failed::usage(format!("{flag}: {error}")),
    }
}

impl From<Unfoldable> for Failed {
    fn from(error: Unfoldable) -> Self {
        match error {
            Unfoldable::Read(error) => error.into(),
            Unfoldable::Meaningless { .. } => Self::integrity(error.to_string()),
            Unfoldable::Stopped => Self::work(error.to_string()),
        }
    }
}

/// This moment, by the wall clock.
pub(super) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "tells a time to come from one that was quiet, and how old things are"
    )]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// What tells a bar how much is done of how much.
pub(super) fn telling(bar: &ProgressBar) -> impl FnMut(u64, u64) + '_ {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// A progress bar that shows itself on a terminal only.
pub(super) fn progress(doing: &'static str, total: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(doing)
}
