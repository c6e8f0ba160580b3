//! The `mainstay` program: see [`mainstay::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::cli::run()
}
