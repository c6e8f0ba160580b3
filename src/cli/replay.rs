//! `mainstay replay`: what a journal folds to.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mainstay_actors::host::DependencyView;
use mainstay_actors::session::SessionState;
use mainstay_actors::time::Timestamp;
use mainstay_actors::world::World;
use mainstay_journal::{Cursor, OpenError, ReadLog, Reader, StreamId};
use serde_json::json;

use super::DataArgs;
use super::exit::Failed;
use super::table::{lines, table};
use crate::event::fold;

/// Show what a journal folds to, at its end or at a position
///
/// Reads segments only, so it also works beside a running server and on a copy.
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    data: DataArgs,
    /// Stop after this position
    #[arg(long, value_name = "POSITION")]
    at: Option<u64>,
    /// One stream only: lock/room-101
    #[arg(long, value_name = "KIND/ID")]
    stream: Option<String>,
    /// Print the whole state as JSON
    #[arg(long)]
    json: bool,
}

/// A fold with the place where it ends.
struct Replayed {
    world: World,
    end: Cursor,
    at: Timestamp,
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let reader = open(&self.data.data)?;
        let head = reader.head();
        let until = self.at.unwrap_or(head.position);
        if until > head.position {
            return Err(Failed::usage(format!(
                "position {until} lies after the last event, {}",
                head.position
            )));
        }
        let replayed = match &self.stream {
            Some(name) => one_stream(&reader, name, until)?,
            None => everything(&reader, until)?,
        };
        let mut stdout = io::stdout().lock();
        if self.json {
            writeln!(stdout, "{}", document(&replayed))?;
        } else {
            write!(stdout, "{}", shown(&replayed))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens a journal to read it; the error names the way out.
pub(super) fn open(data: &Path) -> Result<Reader, Failed> {
    Reader::open(data).map_err(|error| refusal(&error))
}

/// A journal that cannot be opened, as an exit code.
pub(super) fn refusal(error: &OpenError) -> Failed {
    match error {
        OpenError::Damaged { .. } => Failed::integrity(error.to_string()),
        OpenError::Io { .. } => Failed::work(error.to_string()),
        _ => Failed::refused(error.to_string()),
    }
}

fn everything(reader: &Reader, until: u64) -> Result<Replayed, Failed> {
    let mut replayed =
        Replayed { world: World::default(), end: reader.head(), at: Timestamp::default() };
    replayed.end.position = until;
    let bar = progress("replaying", until);
    let mut trouble = None;
    reader.scan(1, until, &mut |record| {
        replayed.at = Timestamp::from_micros(record.at_us);
        if record.position % 10_000 == 0 {
            bar.set_position(record.position);
        }
        step(&mut replayed.world, &record, &mut trouble)
    })?;
    bar.finish_and_clear();
    trouble.map_or(Ok(replayed), |reason| Err(Failed::integrity(reason)))
}

fn one_stream(reader: &Reader, name: &str, until: u64) -> Result<Replayed, Failed> {
    let stream = StreamId::parse(name).ok_or_else(|| {
        Failed::usage(format!("{name:?} is no stream; write KIND/ID: lock/room-101"))
    })?;
    let mut replayed =
        Replayed { world: World::default(), end: Cursor::default(), at: Timestamp::default() };
    let mut trouble = None;
    reader.read_stream(&stream, until, &mut |record| {
        replayed.end = record.cursor();
        replayed.at = Timestamp::from_micros(record.at_us);
        step(&mut replayed.world, &record, &mut trouble)
    })?;
    if let Some(reason) = trouble {
        return Err(Failed::integrity(reason));
    }
    if replayed.end.position == 0 {
        return Err(Failed::work(format!("there is no stream {name} up to position {until}")));
    }
    Ok(replayed)
}

fn step(
    world: &mut World,
    record: &mainstay_journal::RecordRef<'_>,
    trouble: &mut Option<String>,
) -> ControlFlow<()> {
    match fold(world, record) {
        Ok(()) => ControlFlow::Continue(()),
        Err(reason) => {
            *trouble = Some(format!("{reason}; run `mainstay verify` for all findings"));
            ControlFlow::Break(())
        },
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

fn document(replayed: &Replayed) -> serde_json::Value {
    let Replayed { world, end, at } = replayed;
    json!({
        "epoch": end.epoch,
        "position": end.position,
        "at": at,
        "system": world.system,
        "dependencies": world.dependencies,
        "sessions": world.sessions,
        "locks": world.locks,
    })
}

fn shown(replayed: &Replayed) -> String {
    let Replayed { world, end, at } = replayed;
    let mut out = format!("position {end}, {at}\n\n");
    if let Some(health) = world.system.get("health") {
        let since = health.since.map_or_else(String::new, |since| format!(" since {since}"));
        let _ = write!(out, "{}{since}\n\n", health.level);
    }
    let mut rows = table(&["dependency", "weight", "score", "state", "since"]);
    for (name, state) in &world.dependencies {
        if let Some(it) = DependencyView::of(name, state) {
            let score = it.score.map_or_else(|| "unknown".to_owned(), |s| s.shown().to_string());
            let since = it.since.map_or_else(String::new, |since| since.to_string());
            rows.add_row([it.name, it.weight.to_string(), score, it.state.to_string(), since]);
        }
    }
    if rows.row_count() > 0 {
        out.push_str(&lines(&rows));
        out.push('\n');
    }
    out.push_str(&held(world));
    let live = world.sessions.values().filter(|it| matches!(it, SessionState::Live(_))).count();
    let _ = write!(
        out,
        "sessions  {live} live, {} in all\nlocks     {} in all\n",
        world.sessions.len(),
        world.locks.len()
    );
    out
}

/// Most leases in the table; the rest is counted.
const SHOWN: usize = 20;

fn held(world: &World) -> String {
    let grants = || {
        let locks = world.locks.iter();
        locks.flat_map(|(name, lock)| lock.grants.iter().map(move |grant| (name, grant)))
    };
    let count = grants().count();
    if count == 0 {
        return String::new();
    }
    let mut rows = table(&["held lock", "owner", "token", "expires"]);
    for (name, grant) in grants().take(SHOWN) {
        let (token, expires) = (grant.token.to_string(), grant.expires_at.to_string());
        rows.add_row([name.clone(), grant.claim.owner.clone(), token, expires]);
    }
    let more = count.saturating_sub(SHOWN);
    let rest = if more > 0 { format!("and {more} more\n") } else { String::new() };
    format!("{}{rest}\n", lines(&rows))
}
