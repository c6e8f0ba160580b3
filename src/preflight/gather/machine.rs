//! The machine: its disk, memory, limits and clock, as the operating system tells them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use crate::preflight::facts::MachineFacts;
use crate::preflight::words::number;

pub(super) fn read(data: &Path) -> MachineFacts {
    let disk = statvfs(data).ok();
    let mount = mount(data);
    MachineFacts {
        disk: disk.as_ref().map(|it| {
            let bytes = |blocks: u64| blocks.saturating_mul(it.f_frsize);
            (bytes(it.f_blocks), bytes(it.f_bavail))
        }),
        inodes: disk.filter(|it| it.f_files > 0).map(|it| (it.f_files, it.f_favail)),
        is_root_filesystem: mount.as_ref().is_some_and(|(point, _)| point == Path::new("/")),
        filesystem: mount.map(|(_, kind)| kind),
        open_files: getrlimit(Resource::Nofile).maximum,
        memory: memory(),
        cores: std::thread::available_parallelism().map_or(1, |it| number(it.get())),
        load_hundredths: load(),
        is_synchronised: synchronised(),
        clock_source: text(CLOCK_SOURCE),
    }
}

const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// systemd-timesyncd makes the file in it once the clock follows a server.
const TIMESYNC: &str = "/run/systemd/timesync";

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The mount point that a path lies below, and the kind of its file system.
fn mount(path: &Path) -> Option<(PathBuf, String)> {
    let path = path.canonicalize().ok()?;
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    below(&table, &path)
}

/// Of a later line with the same mount point: it lies over the earlier one.
fn below(table: &str, path: &Path) -> Option<(PathBuf, String)> {
    let mounts = table.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        Some((PathBuf::from(point), after.split(' ').next()?.to_owned()))
    });
    let over = mounts.filter(|(point, _)| path.starts_with(point));
    over.max_by_key(|(point, _)| point.components().count())
}

/// All memory and what is available of it, in bytes; that of a container if it may have less.
fn memory() -> Option<(u64, u64)> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|it| it * 1_024)
    };
    let (all, available) = (line("MemTotal:")?, line("MemAvailable:")?);
    let bound = text("/sys/fs/cgroup/memory.max").and_then(|it| it.parse::<u64>().ok());
    let used = text("/sys/fs/cgroup/memory.current").and_then(|it| it.parse::<u64>().ok());
    Some(match bound.filter(|bound| *bound < all) {
        Some(bound) => (bound, available.min(bound.saturating_sub(used.unwrap_or(0)))),
        None => (all, available),
    })
}

/// The load of the last 15 minutes, in hundredths.
fn load() -> Option<u64> {
    let table = text("/proc/loadavg")?;
    let (whole, part) = table.split(' ').nth(2)?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 100 + part.parse::<u64>().ok()?)
}

fn synchronised() -> Option<bool> {
    let folder = Path::new(TIMESYNC);
    folder.is_dir().then(|| folder.join("synchronized").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_on_the_innermost_mount_and_on_the_last_one_of_a_point() {
        let table = "1 0 8:1 / / rw - ext4 /dev/a rw\n\
                     2 1 0:5 / /data rw shared:1 - tmpfs none rw\n\
                     3 1 8:2 / /data rw shared:2 - xfs /dev/b rw\n\
                     4 1 8:3 / /data\\040of/x rw - nfs4 host:/x rw\n";
        let of = |path: &str| below(table, Path::new(path)).map(|(_, kind)| kind);
        assert_eq!(of("/home").as_deref(), Some("ext4"));
        assert_eq!(of("/data/a").as_deref(), Some("xfs"));
        assert_eq!(of("/database").as_deref(), Some("ext4"));
        assert_eq!(of("/data of/x/y").as_deref(), Some("nfs4"));
    }

    #[test]
    fn this_machine_tells_of_itself() {
        let facts = read(Path::new("."));
        let (all, free) = facts.disk.unwrap();
        assert!(all > free && all > 1_000_000, "{all} {free}");
        let (all, available) = facts.memory.unwrap();
        assert!(all > available && available > 0, "{all} {available}");
        assert!(facts.cores > 0 && facts.load_hundredths.is_some() && facts.filesystem.is_some());
    }
}
