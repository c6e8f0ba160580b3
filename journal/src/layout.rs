//! Where everything lies in a journal directory, and its identity file.
//!
//! ```text
//! JOURNAL  LOCK  segments/2026-11/00000000000000000001.seg  store/2026-11/  proofs/2026-11/  kept/  set-aside/
//! BASE  base/00000000000000004711.states      once months were dropped
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::block::FORMAT;
use crate::disk::{self, Disk};
use crate::error::OpenError;
use crate::hex::{from_hex, hex};

/// Who a journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// 16 random bytes.
    pub journal: [u8; 16],
    /// The epoch its next record belongs to.
    pub epoch: u32,
}

/// The paths in a journal directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("JOURNAL")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn month(&self, month: &str) -> PathBuf {
        self.segments().join(month)
    }

    pub(crate) fn segment(&self, month: &str, first: u64) -> PathBuf {
        self.month(month).join(format!("{first:020}.seg"))
    }

    pub(crate) fn spare(&self, number: u64) -> PathBuf {
        self.segments().join(format!("spare-{number}"))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Leaf hashes of a sealed segment; see `merkle`.
    pub(crate) fn leaves(&self, month: &str, first: u64) -> PathBuf {
        self.root.join("proofs").join(month).join(format!("{first:020}.leaves"))
    }

    /// What was kept under a name; see `kept`.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.root.join("kept").join(name)
    }

    /// How far the store was when it was last written: a hint for the next opening.
    pub(crate) fn reached(&self) -> PathBuf {
        self.store().join("reached")
    }

    /// What was dropped into an archive; see `archive`.
    pub(crate) fn base(&self) -> PathBuf {
        self.root.join("BASE")
    }

    /// The states of all streams at the last position that was dropped.
    pub(crate) fn states(&self, position: u64) -> PathBuf {
        self.root.join("base").join(format!("{position:020}.states"))
    }

    pub(crate) fn set_aside(&self) -> PathBuf {
        self.root.join("set-aside")
    }
}

/// `2026-11` for a time in microseconds since the Unix epoch (UTC).
pub(crate) fn month_of(at_us: u64) -> String {
    // Civil date from a day number, by H. Hinnant's algorithm: years begin in March.
    let day = at_us / 86_400_000_000 + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}")
}

/// Where the month of a time ends: the first microsecond of the next one.
pub(crate) fn end_of_month(at_us: u64) -> u64 {
    const DAY_US: u64 = 86_400_000_000;
    let (month, day) = (month_of(at_us), at_us / DAY_US);
    let end = (day + 1..=day + 31).find(|day| month_of(day * DAY_US) != month);
    end.unwrap_or(day + 32) * DAY_US
}

impl Identity {
    fn text(&self) -> String {
        let mut text = format!(
            "mainstay journal\nformat {FORMAT}\nid {}\nepoch {}\n",
            hex(&self.journal),
            self.epoch
        );
        let sum = hex(&Sha256::digest(text.as_bytes()));
        let _ = writeln!(text, "sha256 {sum}");
        text
    }

    pub(crate) fn write(&self, disk: &dyn Disk, layout: &Layout) -> Result<(), OpenError> {
        let path = layout.identity();
        disk::write_durably(disk, &path, self.text().as_bytes())
            .map_err(|error| OpenError::io("write", path, error))
    }

    /// Puts this identity in place of a closed journal's, as a restore does, for tests.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[cfg(feature = "test-support")]
    pub fn plant(&self, disk: &dyn Disk, directory: &std::path::Path) -> Result<(), OpenError> {
        self.write(disk, &Layout { root: directory.to_path_buf() })
    }

    /// Reads `JOURNAL`; `None` if there is none.
    pub(crate) fn read(disk: &dyn Disk, layout: &Layout) -> Result<Option<Self>, OpenError> {
        let path = layout.identity();
        let bytes = match disk::read_all(disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { doing: "read", path, source: error }),
        };
        let wrong =
            |reason: &str| OpenError::NotAJournal { path: path.clone(), reason: reason.into() };
        let text = String::from_utf8(bytes).map_err(|_| wrong("JOURNAL is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some("mainstay journal") {
            return Err(wrong("JOURNAL does not say `mainstay journal`"));
        }
        let mut field = |name| lines.next().and_then(|line| line.strip_prefix(name));
        let format = field("format ").and_then(|text| text.parse::<u64>().ok());
        match format {
            None => return Err(wrong("JOURNAL names no format")),
            Some(found) if found > u64::from(FORMAT) => {
                return Err(OpenError::NewerFormat { path, found, known: FORMAT });
            },
            Some(_) => {},
        }
        let journal = field("id ").and_then(from_hex).ok_or_else(|| wrong("JOURNAL has no id"))?;
        let epoch = field("epoch ").and_then(|text| text.parse().ok());
        let identity = Self { journal, epoch: epoch.ok_or_else(|| wrong("JOURNAL has no epoch"))? };
        if identity.text() != text {
            return Err(wrong("JOURNAL does not match its checksum"));
        }
        Ok(Some(identity))
    }
}

/// Every segment file: month and first position, in order of position.
pub(crate) fn list_segments(
    disk: &dyn Disk,
    layout: &Layout,
) -> Result<Vec<(String, u64)>, OpenError> {
    let mut found = Vec::new();
    for month in list(disk, &layout.segments())? {
        if !is_month(&month) {
            continue;
        }
        for name in list(disk, &layout.month(&month))? {
            if let Some(first) = name.strip_suffix(".seg").and_then(|text| text.parse().ok()) {
                found.push((month.clone(), first));
            }
        }
    }
    found.sort_by_key(|(_, first)| *first);
    Ok(found)
}

pub(crate) fn is_month(name: &str) -> bool {
    name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Names in a directory that may be missing.
pub(crate) fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>, OpenError> {
    match disk.list(directory) {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(OpenError::Io { doing: "list", path: directory.into(), source: error }),
    }
}

#[cfg(test)]
mod tests {
    use super::{end_of_month, month_of};

    #[test]
    fn a_time_lies_in_its_month() {
        for (at_s, month) in [
            (0, "1970-01"),
            (951_782_399, "2000-02"),
            (951_868_800, "2000-03"),
            (1_767_225_599, "2025-12"),
            (1_767_225_600, "2026-01"),
            (1_795_305_600, "2026-11"),
        ] {
            assert_eq!(month_of(at_s * 1_000_000), month);
        }
    }

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        for at_s in [0, 951_782_399, 951_868_800, 1_767_225_599, 1_767_225_600, 1_795_305_600] {
            let at_us = at_s * 1_000_000;
            let end_us = end_of_month(at_us);
            assert!(end_us > at_us);
            assert_eq!(month_of(end_us - 1), month_of(at_us));
            assert_ne!(month_of(end_us), month_of(at_us));
        }
    }
}
