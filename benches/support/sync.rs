//! How long the disk takes to sync, to stand beside every figure.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

/// Median time of an `fdatasync` after a 16 KiB write into a zeroed file, in microseconds.
pub(crate) fn p50_us(dir: &Path) -> u128 {
    let path = dir.join("sync");
    let file = File::create(&path).unwrap();
    file.write_all_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut times: Vec<u128> = (0..500)
        .map(|turn| {
            file.write_all_at(&[1; 16 << 10], turn * (16 << 10)).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed().as_micros()
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    times.sort_unstable();
    times[times.len() / 2]
}
