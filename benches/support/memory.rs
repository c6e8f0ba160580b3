//! Memory of a process, and the page cache of its files.

use std::fs::{self, File};
use std::path::Path;

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

/// Drops the files of a folder from the page cache, or reads them into it.
pub(crate) fn page_cache(folder: &Path, cold: bool) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            page_cache(&path, cold);
            continue;
        }
        let mut file = File::open(&path).unwrap();
        if cold {
            // What is not on the disk yet cannot be dropped.
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        } else {
            std::io::copy(&mut file, &mut std::io::sink()).unwrap();
        }
    }
}
