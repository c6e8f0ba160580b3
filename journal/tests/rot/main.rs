//! Bytes rot and files go: whatever lies in the directory, an open ends in right answers or in a named
//! error, and no event goes missing in silence.
//!
//! | damage | to |
//! |---|---|
//! | one flipped bit | every file, at every offset that is used, or a sample |
//! | cut short, empty, gone | every file |
//! | swapped | every two files of one kind |
//!
//! A plain `cargo test` takes a sample; all of it: `just campaign`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed setup is a failed test"
)]

mod truth;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use truth::{Came, Truth, copy, files, fill, judge};

/// Cases beside each other: a store that cannot be made again waits half a second before it ends.
const THREADS: usize = 6;

/// What is done to a directory.
#[derive(Debug, Clone)]
enum Damage {
    Flip { file: PathBuf, at: u64, bit: u8 },
    Cut { file: PathBuf, length: u64 },
    Gone(PathBuf),
    Swap(PathBuf, PathBuf),
}

impl Damage {
    fn strike(&self, root: &Path) {
        match self {
            Self::Flip { file, at, bit } => {
                let mut bytes = fs::read(root.join(file)).unwrap();
                bytes[usize::try_from(*at).unwrap()] ^= 1 << bit;
                fs::write(root.join(file), bytes).unwrap();
            },
            Self::Cut { file, length } => {
                let file = fs::OpenOptions::new().write(true).open(root.join(file)).unwrap();
                file.set_len(*length).unwrap();
            },
            Self::Gone(file) => fs::remove_file(root.join(file)).unwrap(),
            Self::Swap(one, other) => {
                let (one, other) = (root.join(one), root.join(other));
                let aside = root.join("aside");
                fs::rename(&one, &aside).unwrap();
                fs::rename(&other, &one).unwrap();
                fs::rename(&aside, &other).unwrap();
            },
        }
    }

    fn is_in_store(&self) -> bool {
        let (Self::Flip { file, .. } | Self::Cut { file, .. } | Self::Gone(file)) = self else {
            let Self::Swap(one, _) = self else { return false };
            return one.starts_with("store");
        };
        file.starts_with("store")
    }
}

/// A directory that damage is done to copies of.
struct Ground {
    directory: TempDir,
    truth: Truth,
}

impl Ground {
    fn new(events: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let truth = fill(directory.path(), events);
        Self { directory, truth }
    }

    fn files(&self) -> Vec<PathBuf> {
        let root = self.directory.path();
        let mut files = files(root);
        files.retain(|path| fs::metadata(path).unwrap().len() > 0);
        files.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    }

    /// Bytes up to the last that is not zero.
    fn used(&self, file: &Path) -> u64 {
        let bytes = fs::read(self.directory.path().join(file)).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1)
    }

    /// A flipped bit every so many bytes, in each file.
    fn flips(&self, step: impl Fn(&Path, u64) -> u64) -> Vec<Damage> {
        let mut all = Vec::new();
        for file in self.files() {
            let used = self.used(&file);
            let step = step(&file, used).max(1);
            for at in (step / 2..used).step_by(usize::try_from(step).unwrap()) {
                let bit = u8::try_from(at % 8).unwrap();
                all.push(Damage::Flip { file: file.clone(), at, bit });
            }
        }
        all
    }

    /// Files that are short, empty, gone or swapped.
    fn losses(&self) -> Vec<Damage> {
        let files = self.files();
        let mut all = Vec::new();
        for file in &files {
            let used = self.used(file);
            for length in [0, 1, used / 2, used - 1] {
                all.push(Damage::Cut { file: file.clone(), length });
            }
            all.push(Damage::Gone(file.clone()));
        }
        for (index, one) in files.iter().enumerate() {
            for other in &files[index + 1..] {
                if one.extension() == other.extension() && one.parent() != Some(Path::new("")) {
                    all.push(Damage::Swap(one.clone(), other.clone()));
                }
            }
        }
        all
    }

    /// Does each damage to a copy and judges it; returns how many were healed, and how many named.
    fn suffer(&self, damages: &[Damage], with_store: bool) -> (usize, usize) {
        let (queue, came) = (Mutex::new(damages.iter()), Mutex::new(BTreeMap::new()));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let Some(damage) = queue.lock().unwrap().next() else { break };
                        let named = match self.suffer_one(damage, with_store) {
                            Ok(Came::Whole) => 0,
                            Ok(Came::Named(_)) => 1,
                            Err(_) => 2,
                        };
                        *came.lock().unwrap().entry(named).or_insert(0) += 1;
                        if named == 2 {
                            // Once more, to tell.
                            let again = self.suffer_one(damage, with_store);
                            panic!("{damage:?}, store {with_store}: {again:?}");
                        }
                    }
                });
            }
        });
        let came = came.into_inner().unwrap();
        let count = |named| came.get(&named).copied().unwrap_or_default();
        (count(0), count(1))
    }

    fn suffer_one(&self, damage: &Damage, with_store: bool) -> Result<Came, String> {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        damage.strike(directory.path());
        if !with_store {
            fs::remove_dir_all(directory.path().join("store")).unwrap();
        }
        judge(directory.path(), &self.truth, with_store && !damage.is_in_store())
    }
}

#[test]
fn the_ground_is_whole_and_a_wrong_answer_is_told_from_a_right_one() {
    let ground = Ground::new(20);
    let leaves = |path: &&PathBuf| path.extension().is_some_and(|end| end == "leaves");
    let sealed = files(&ground.directory.path().join("segments")).len() - 1;
    assert_eq!(ground.files().iter().filter(leaves).count(), sealed, "{:?}", ground.files());
    assert_eq!(judge(ground.directory.path(), &ground.truth, true), Ok(Came::Whole));
    let mut truth = fill(tempfile::tempdir().unwrap().path(), 20);
    truth.payloads[7][1] ^= 1;
    assert!(judge(ground.directory.path(), &truth, false).is_err());
    let mut truth = fill(tempfile::tempdir().unwrap().path(), 20);
    truth.payloads.push(vec![1]);
    assert!(judge(ground.directory.path(), &truth, false).is_err(), "a lost event was not missed");
    let mut truth = fill(tempfile::tempdir().unwrap().path(), 20);
    truth.nodes[4].2[9] ^= 1;
    assert!(judge(ground.directory.path(), &truth, false).is_err(), "a wrong node was not told");
}

#[test]
fn flipped_bits_are_healed_or_named() {
    let ground = Ground::new(60);
    let flips = ground.flips(|_, used| used / 7);
    let (healed, named) = ground.suffer(&flips, true);
    assert!(healed > named, "{healed} healed, {named} named");
}

#[test]
fn files_that_are_short_empty_gone_or_swapped_are_healed_or_named() {
    let ground = Ground::new(60);
    let losses = ground.losses();
    let (healed, named) = ground.suffer(&losses, true);
    assert!(healed > named, "{healed} healed, {named} named");
}

#[test]
#[ignore = "takes long: `just campaign`"]
fn every_flipped_bit_is_healed_or_named() {
    let small = Ground::new(60);
    let of_store = |path: &Path| path.starts_with("store");
    // Every offset of what is ours; without a store it is quick.
    let ours = small.flips(|path, _| if of_store(path) { u64::MAX } else { 1 });
    let (healed, named) = small.suffer(&ours, false);
    println!(
        "campaign: {} flipped bits of a small journal without a store: {healed} whole, {named} named",
        healed + named
    );
    let flips = small.flips(|path, used| if of_store(path) { used / 500 } else { 7 });
    let (healed, named) = small.suffer(&flips, true);
    println!("campaign: {} of one with a store: {healed} healed, {named} named", healed + named);
    let large = Ground::new(2_000);
    // Its hundred files of leaf hashes are as those of the small one.
    let of_tree = |path: &Path| path.starts_with("proofs");
    let parts = |path: &Path| {
        if of_store(path) {
            150
        } else if of_tree(path) {
            1
        } else {
            4
        }
    };
    let flips = large.flips(|path, used| used / parts(path));
    let (healed, named) = large.suffer(&flips, true);
    println!("campaign: {} of a larger one: {healed} healed, {named} named", healed + named);
}

#[test]
#[ignore = "takes long: `just campaign`"]
fn every_lost_file_of_a_larger_journal_is_healed_or_named() {
    for (events, with_store) in [(60, true), (60, false), (400, true)] {
        let ground = Ground::new(events);
        let losses = ground.losses();
        let (healed, named) = ground.suffer(&losses, with_store);
        println!(
            "campaign: {} lost or swapped files of {events} events, store {with_store}: {healed} \
             healed, {named} named",
            healed + named
        );
    }
}
