//! Memory of a process.

use std::fs;

/// Resident memory of a process (`self`, or its id), in bytes.
pub(crate) fn rss_bytes(process: &str) -> u64 {
    field(process, "VmRSS:")
}

/// The most it ever was.
pub(crate) fn peak_bytes(process: &str) -> u64 {
    field(process, "VmHWM:")
}

fn field(process: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
