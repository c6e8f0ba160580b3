//! The disasters.

use serde::{Deserialize, Serialize};

/// A disaster that is practised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// The process is killed, and started again on its directory.
    ProcessKill,
    /// The machine is lost with its disk: what was shipped is restored.
    DiskLoss,
    /// The second copy is damaged: it is made again.
    StoreCorruption,
    /// A segment is damaged: it is healed from the store, or what was shipped is restored.
    SegmentCorruption,
    /// A release writes what should not be: the journal is restored to the time before.
    BadRelease,
}

impl Scenario {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 5] = [
        Self::ProcessKill,
        Self::DiskLoss,
        Self::StoreCorruption,
        Self::SegmentCorruption,
        Self::BadRelease,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessKill => "process-kill",
            Self::DiskLoss => "disk-loss",
            Self::StoreCorruption => "store-corruption",
            Self::SegmentCorruption => "segment-corruption",
            Self::BadRelease => "bad-release",
        }
    }

    /// Whether something acknowledged may be gone afterwards. Where not, the RPO is 0 whatever is
    /// configured.
    #[must_use]
    pub const fn may_lose(self) -> bool {
        matches!(self, Self::DiskLoss | Self::SegmentCorruption)
    }

    /// Whether it is about the second copy, which then must be there.
    pub(super) const fn needs_store(self) -> bool {
        matches!(self, Self::StoreCorruption | Self::SegmentCorruption)
    }

    /// What happens, in a few words.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::ProcessKill => "the process is killed and started again on its directory",
            Self::DiskLoss => "the machine is lost with its disk; what was shipped is restored",
            Self::StoreCorruption => "the second copy is damaged; it is made again",
            Self::SegmentCorruption => {
                "a segment is damaged; it is healed from the store, or what was shipped is restored"
            },
            Self::BadRelease => {
                "a release writes what should not be; the time before it is restored"
            },
        }
    }
}

impl std::str::FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no scenario; there are {names}")
        })
    }
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
