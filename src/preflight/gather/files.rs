//! Files and modes of a data directory.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mainstay_actors::time::Timestamp;

use crate::preflight::facts::FileFacts;

pub(super) fn read(data: &Path, journal_key: Option<&Path>) -> FileFacts {
    let at = |name: &str| fs::metadata(data.join(name)).ok();
    let mode = |name: &str| at(name).map(|it| it.mode());
    FileFacts {
        data: fs::metadata(data).ok().map(|it| (it.mode(), it.uid())),
        secret: mode("secret"),
        subject_keys: subject_keys(data),
        signing_key: mode("signing/key"),
        set_aside: sum(&data.join("set-aside")),
        checkpoint_at: at("kept/checkpoint").and_then(|it| modified(&it)),
        journal_key: journal_key.and_then(|path| fs::metadata(path).ok()).map(|it| it.mode()),
        journal_key_is_inside: journal_key.is_some_and(|path| is_inside(path, data)),
    }
}

fn subject_keys(data: &Path) -> Vec<(String, u32)> {
    let folder = data.join("keys");
    let Ok(of_folder) = fs::metadata(&folder) else { return Vec::new() };
    let mut found = vec![("keys".to_owned(), of_folder.mode())];
    for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
        let name = format!("keys/{}", entry.file_name().to_string_lossy());
        found.extend(entry.metadata().ok().map(|it| (name, it.mode())));
    }
    found.sort();
    found
}

/// Things in a folder, and the bytes of all that is below it.
fn sum(folder: &Path) -> (u64, u64) {
    let (mut things, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        things += 1;
        bytes += match entry.metadata() {
            Ok(it) if it.is_dir() => sum(&entry.path()).1,
            Ok(it) => it.len(),
            Err(_) => 0,
        };
    }
    (things, bytes)
}

fn modified(file: &Metadata) -> Option<Timestamp> {
    let seconds = u64::try_from(file.mtime()).ok()?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}

fn is_inside(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(path).zip(real(folder)).is_some_and(|(path, folder)| path.starts_with(folder))
}
