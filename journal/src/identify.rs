//! Who a journal is: its identity is read or made, and its directory is ours from then on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, Held};
use crate::error::OpenError;
use crate::layout::{self, Identity, Layout};
use crate::local::Options;

/// Reads or makes the identity and takes the lock.
pub(crate) fn identify(
    disk: &dyn Disk,
    layout: &Layout,
    options: &Options,
) -> Result<(Identity, Arc<Box<dyn Held>>), OpenError> {
    let root = &layout.root;
    if Identity::read(disk, layout)?.is_none() {
        check_empty(disk, layout, options)?;
        disk.create_dir(root).map_err(|error| OpenError::io("create", root, error))?;
    }
    let held = disk.lock(&layout.lock());
    let held = held.map_err(|error| OpenError::io("lock", layout.lock(), error))?;
    let held = Arc::new(held.ok_or_else(|| OpenError::InUse { path: root.clone() })?);
    let identity = if let Some(identity) = Identity::read(disk, layout)? {
        identity
    } else {
        let journal = options.journal_id.map_or_else(random_id, Ok);
        let journal = journal.map_err(|error| OpenError::io("make an id for", root, error))?;
        let identity = Identity { journal, epoch: 1 };
        identity.write(disk, layout)?;
        identity
    };
    let segments = layout.segments();
    disk.create_dir(&segments)
        .and_then(|()| disk.sync_dir(root))
        .and_then(|()| root.parent().map_or(Ok(()), |parent| sync_parent(disk, parent)))
        .map_err(|error| OpenError::io("create", segments, error))?;
    Ok((identity, held))
}

/// The name of the journal's own directory should be durable too; a relative path has no parent
/// to sync, and a parent may be unreadable.
fn sync_parent(disk: &dyn Disk, parent: &Path) -> std::io::Result<()> {
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match disk.sync_dir(parent) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

fn check_empty(disk: &dyn Disk, layout: &Layout, options: &Options) -> Result<(), OpenError> {
    let ours = ["LOCK", "JOURNAL.new", "lost+found"];
    let names = layout::list(disk, &layout.root)?;
    let path = layout.root.clone();
    if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
        let reason = format!("it holds {name}, but no JOURNAL");
        return Err(OpenError::NotAJournal { path, reason });
    }
    if options.create {
        Ok(())
    } else {
        Err(OpenError::NotAJournal { path, reason: "it is empty or missing".into() })
    }
}

fn random_id() -> std::io::Result<[u8; 16]> {
    use std::io::Read;
    let mut id = [0; 16];
    std::fs::File::open(PathBuf::from("/dev/urandom"))?.read_exact(&mut id)?;
    Ok(id)
}
