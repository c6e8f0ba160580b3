//! The page cache of a folder's files.

use std::fs::{self, File};
use std::path::Path;

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
