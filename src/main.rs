//! The `mainstay` program: see [`mainstay::cli`].

use std::process::ExitCode;

/// Messages and replies are made on one thread and dropped on another; this allocator nearly
/// doubles the durable commands a second (ADR-0008).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mainstay::cli::run()
}
