//! [`verify`]: walks both copies, reports every finding, and heals the bad one if told to.
//!
//! ```text
//! segments ─► block: hash · chain · position · group ─► record: version · previous · time · meaning
//!     ▲              │ equal?
//!     └── store: blocks, runs, filters        repair: the good copy goes over the bad one
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::bounded;

use crate::archive::Base;
use crate::block::Opener;
use crate::disk::{Disk, Held, RealDisk};
use crate::error::OpenError;
use crate::keyring::Keyring;
use crate::layout::{Identity, Layout};
use crate::record::{Cursor, RecordRef};
use crate::recover::Place;
use crate::unlock::check_keys;

mod ahead;
mod base;
mod missing;
mod records;
mod segments;
mod stores;

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Heal the bad copy from the good one. Needs the directory's lock.
    pub repair: bool,
    /// Leave the store alone, as beside a running server.
    pub segments_only: bool,
    /// The keys of blocks at rest.
    pub keyring: Keyring,
    /// Where the archive of dropped months lies, if not where it lay then. They are checked if it can
    /// be read.
    pub archive: Option<PathBuf>,
    /// Where files lie; the store is only checked on [`RealDisk`].
    pub disk: Arc<dyn Disk>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        let keyring = Keyring::default();
        let disk = Arc::new(RealDisk);
        Self { repair: false, segments_only: false, keyring, archive: None, disk }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A block of a segment is bad or missing.
    Segment,
    /// A block is whole but does not continue the chain.
    Chain,
    /// Blocks of one group commit do not fit together.
    Group,
    /// An unacknowledged group was cut short, as by a crash; the next start moves it aside.
    TornTail,
    /// A record breaks the framing.
    Record,
    /// A stream's versions are not gap-free.
    Version,
    /// A record names a wrong predecessor in its stream.
    Previous,
    /// Time falls.
    Time,
    /// What the journal keeps of dropped months does not fit the records.
    Base,
    /// A database does not open.
    Store,
    /// The store's copy of a block is missing or differs.
    StoreBlock,
    /// The store's index of a segment is missing, damaged or wrong.
    StoreIndex,
    /// The caller's check did not like a record.
    Meaning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// In which file or database.
    pub file: PathBuf,
    /// At which byte of it, if that means something.
    pub offset: Option<u64>,
    /// The first position it concerns.
    pub position: u64,
    /// What was found; what is lost, if something is.
    pub text: String,
    /// It was healed.
    pub repaired: bool,
}

/// A segment's file.
#[derive(Debug)]
struct File {
    path: PathBuf,
    month: String,
    first: u64,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The last record of the last whole group.
    pub head: Cursor,
    /// Records that were checked.
    pub records: u64,
    /// Blocks that were checked.
    pub blocks: u64,
    /// Segment files that were checked, those of an archive among them.
    pub segments: usize,
    /// Everything up to here was dropped into an archive; 0 if nothing was.
    pub dropped: u64,
    /// The archive was checked, too.
    pub archive_checked: bool,
    /// The store was held against the segments; not so beside a running server.
    pub store_checked: bool,
    /// In order of position, as far as they have one.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Nothing is wrong, or everything that was is healed. A torn tail is no fault.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let fine = |finding: &Finding| finding.repaired || finding.kind == FindingKind::TornTail;
        self.findings.iter().all(fine)
    }
}

/// The caller's check of each record; an `Err` becomes a finding.
pub type Meaning<'m> = &'m mut dyn FnMut(RecordRef<'_>) -> Result<(), String>;

/// Called with bytes done and bytes in all.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Verifies a journal.
///
/// Without the lock (a server is running) segments alone are checked, and the report says so;
/// the newest segment may then grow while it is read.
///
/// # Errors
/// [`OpenError`] if it cannot be read at all, or to repair it and another process has it open.
pub fn verify(
    directory: impl AsRef<Path>,
    options: &VerifyOptions,
    progress: Progress<'_>,
    meaning: Meaning<'_>,
) -> Result<Report, OpenError> {
    let layout = Layout { root: directory.as_ref().to_path_buf() };
    let disk = &options.disk;
    let identity = Identity::read(&**disk, &layout)?.ok_or_else(|| OpenError::NotAJournal {
        path: layout.root.clone(),
        reason: "it has no JOURNAL".into(),
    })?;
    let opener = Opener { journal: identity.journal, keyring: options.keyring.clone() };
    check_keys(&**disk, &layout, &opener)?;
    let held = take_lock(&layout, options)?;
    let archive = options.archive.as_deref();
    let base = Base::read(&**disk, &layout, &identity, &options.keyring, archive)?;
    let place = Place { disk, layout: &layout, opener: &opener, base: base.as_deref() };
    let mut listed = place.segments()?;
    let with_store = held.is_some() && !options.segments_only && layout.store().is_dir();
    let stores = with_store.then(|| stores::Stores::new(&layout, identity.journal));
    let mut check = segments::Check {
        layout: &layout,
        disk: &**disk,
        opener: opener.clone(),
        repair: options.repair && held.is_some(),
        stores,
        records: records::Records::new(&identity),
        gone: Vec::new(),
        last_hash: Some([0; 32]),
        meaning,
        report: Report {
            head: Cursor { epoch: identity.epoch, position: 0 },
            records: 0,
            blocks: 0,
            segments: 0,
            dropped: base.as_ref().map_or(0, |base| base.head().position),
            archive_checked: false,
            store_checked: with_store,
            findings: Vec::new(),
        },
    };
    if check.missing(&listed)? {
        listed = place.segments()?;
    }
    let mut files = base.as_deref().map_or_else(Vec::new, |base| check.begin(base, disk));
    files.extend(listed.into_iter().map(|(month, first)| {
        let path = layout.segment(&month, first);
        File { path, month, first }
    }));
    check.report.segments = files.len();
    let size = |file: &File| disk.open(&file.path, false).and_then(|file| file.size());
    let total = files.iter().map(|file| size(file).unwrap_or_default()).sum();
    let dropped = check.report.dropped;
    // What an archive holds has no second copy here.
    let own = files.iter().filter(|file| file.first > dropped).map(|file| &file.month);
    let months = check.stores.as_mut().map(|stores| stores.open(own));
    let (months, keyring) = (months.unwrap_or_default(), options.keyring.clone());
    std::thread::scope(|scope| {
        let (next, ahead) = bounded(0);
        let (files, months, keyring) = (&files, &months, &keyring);
        scope.spawn(move || ahead::run(files, &**disk, months, keyring, &next));
        let mut done = 0;
        for (index, (file, ahead)) in files.iter().zip(ahead).enumerate() {
            let next = files.get(index + 1).map(|next| next.first);
            if !check.is_away(file, base.as_deref()) {
                done += check.segment(file, ahead, next)?;
            }
            let ends = |base: &&Base| next == Some(base.head().position + 1);
            if let Some(base) = base.as_deref().filter(ends) {
                check.pass_base(base);
            }
            progress(done, total);
        }
        Ok(())
    })?;
    drop(months);
    Ok(check.end())
}

fn take_lock(layout: &Layout, options: &VerifyOptions) -> Result<Option<Box<dyn Held>>, OpenError> {
    if options.segments_only && !options.repair {
        return Ok(None);
    }
    match options.disk.lock(&layout.lock()) {
        Ok(Some(held)) => Ok(Some(held)),
        Ok(None) if options.repair => Err(OpenError::InUse { path: layout.root.clone() }),
        Err(error) if options.repair => Err(OpenError::io("lock", layout.lock(), error)),
        Ok(None) | Err(_) => Ok(None),
    }
}
