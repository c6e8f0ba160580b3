//! The same commands and queries over journals of rising size, in turns.
//!
//! ```text
//!   10 k events, 1 k entities ─┐
//!   …                          ├─► a host over each ─► rounds: every kind on every journal ─► ratios
//!   10 M events, 1 M entities ─┘
//! ```
//!
//! Journals are made when they are missing. Small ones are copied for each round: the commands
//! would make them large.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mainstay::actors::codec::Payload;
use mainstay::actors::host::Host;
use mainstay::actors::session::SessionEvent;
use mainstay::journal::{Query, ReadLog, StreamId};

use crate::commands::{IN_FLIGHT, Kind, cost};
use crate::host;
use crate::median::median;
use crate::questions::{ALONE, Question, Sample, samples};

/// Commands of one kind in one round.
const COMMANDS: usize = 2_048;
/// Records that queries are made of, in one round.
const SAMPLES: u64 = 200;
/// Up to this size a round gets a copy.
const COPIED_EVENTS: u64 = 100_000;
/// Filters whose page costs the same whatever lies around it.
const ASKED: [&str; 8] = [
    "type, common",
    "principal, common",
    "correlation",
    "correlation, unknown",
    "tag: subject",
    "an hour",
    "after",
    "stream, unknown",
];

/// What one kind of work costs on each journal, in microseconds.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) costs_us: Vec<f64>,
}

impl Row {
    /// The largest journal's by the smallest's.
    pub(crate) fn ratio(&self) -> f64 {
        self.costs_us[self.costs_us.len() - 1] / self.costs_us[0]
    }
}

/// Measures over the journals in these directories, smallest first.
pub(crate) fn measure(journals: &[(u64, PathBuf)], scratch: &Path, rounds: u64) -> Vec<Row> {
    let questions: Vec<&Question> = ALONE.iter().filter(|it| ASKED.contains(&it.0)).collect();
    let names = Kind::ALL.map(Kind::name).into_iter().chain(questions.iter().map(|it| it.0));
    let mut figures: Vec<Vec<Vec<f64>>> =
        vec![vec![Vec::new(); journals.len()]; names.clone().count()];
    let mut kept: Vec<Option<Subject>> = journals.iter().map(|_| None).collect();
    for round in 0..rounds {
        for (column, (events, directory)) in journals.iter().enumerate() {
            let copied = *events <= COPIED_EVENTS;
            let copy = scratch.join("copy");
            if copied {
                copy_all(directory, &copy);
            }
            let here = if copied { &copy } else { directory };
            let subject = kept[column].get_or_insert_with(|| Subject::open(here));
            for (row, cost_us) in subject.round(round, &questions).into_iter().enumerate() {
                figures[row][column].push(cost_us);
            }
            if copied {
                kept[column].take().unwrap().close();
                std::fs::remove_dir_all(&copy).unwrap();
            }
        }
    }
    kept.into_iter().flatten().for_each(Subject::close);
    let medians = |columns: Vec<Vec<f64>>| columns.into_iter().map(median).collect();
    let rows = names.zip(figures);
    rows.map(|(name, columns)| Row { name, costs_us: medians(columns) }).collect()
}

/// A host, and what to ask of it.
struct Subject {
    host: Host,
    samples: Vec<Sample>,
    sessions: Vec<StreamId>,
}

impl Subject {
    fn open(directory: &Path) -> Self {
        let host = host::open(directory);
        let log = host.log().unwrap();
        let samples = samples(&*log, SAMPLES);
        let sessions = sessions(&*log);
        for sample in &samples {
            log.stream_head(&sample.stream, u64::MAX).unwrap();
        }
        Self { host, samples, sessions }
    }

    /// What each kind of command and each question costs, in microseconds.
    fn round(&self, round: u64, questions: &[&Question]) -> Vec<f64> {
        let mut costs = Vec::new();
        let share = usize::try_from(round).unwrap() * COMMANDS;
        // A session that comes twice in a round would have been asked for.
        let patches = COMMANDS.min(self.sessions.len()) / IN_FLIGHT * IN_FLIGHT;
        let mine = self.sessions.iter().cycle().skip(share % self.sessions.len()).take(patches);
        let mine: Vec<StreamId> = mine.cloned().collect();
        for kind in Kind::ALL {
            let count = if kind == Kind::Patch { patches } else { COMMANDS };
            costs.push(us(cost(&self.host, kind, count, &mine)));
        }
        let log = self.host.log().unwrap();
        for (_, query) in questions {
            let queries: Vec<Query> = self.samples.iter().filter_map(query).collect();
            let times = queries.iter().map(|query| {
                let (mut seen, asked) = (0, Instant::now());
                log.find(query, &mut |_| {
                    seen += 1;
                    if seen < 100 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
                .unwrap();
                us(asked.elapsed())
            });
            costs.push(median(times.collect()));
        }
        costs
    }

    fn close(self) {
        host::block_on(self.host.close());
    }
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000_000.0
}

/// Sessions from all over the journal, each once.
fn sessions(log: &dyn ReadLog) -> Vec<StreamId> {
    let created = SessionEvent::catalogue()[0].1;
    let head = log.head().position;
    let places = 20_000.min(head / 20);
    let mut found = Vec::new();
    for place in 0..places {
        let query =
            Query { types: vec![created], after: place * (head / places), ..Query::default() };
        log.find(&query, &mut |record| {
            found.push(StreamId::parse(record.stream).unwrap());
            ControlFlow::Break(())
        })
        .unwrap();
    }
    found.dedup();
    found
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
