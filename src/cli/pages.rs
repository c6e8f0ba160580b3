//! `mainstay completions` and `mainstay man`: what shells and `man` want to know of the verbs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::Cli;
use super::exit::Failed;

/// Print the completions of a shell
///
/// For bash: `mainstay completions bash > /etc/bash_completion.d/mainstay`
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        // Into memory first: the generator does not expect a reader to leave.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mainstay", &mut script);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&script)?;
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Print the manual page, or write one for each verb
///
/// To read it: `mainstay man | man -l -`
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each verb into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if let Some(dir) = &self.dir {
            let pages = write_pages(dir)
                .map_err(|error| Failed::work(format!("write into {}: {error}", dir.display())))?;
            writeln!(io::stderr(), "{pages} pages written to {}", dir.display())?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut page = Vec::new();
        Page::new(Cli::command()).render(&mut page)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&page)?;
        stdout.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes `mainstay.1`, `mainstay-audit.1`, …; returns how many.
fn write_pages(dir: &Path) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)?;
    let pages = fs::read_dir(dir)?.filter_map(Result::ok);
    let ours = pages.filter(|page| page.file_name().to_string_lossy().starts_with("mainstay"));
    Ok(ours.count())
}
