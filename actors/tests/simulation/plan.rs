//! What happens to a host in one life: drawn before it begins.

use mainstay_journal::disk::sim::Loss;

use super::chance::Chance;

/// One life, from a start to an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long clients work, in milliseconds.
    pub(crate) length_ms: u64,
    /// The disk takes at most this long for a commit, in microseconds.
    pub(crate) commit_us: u64,
    pub(crate) fault: Fault,
    /// Clients stop, and what the host says is held against the journal, before it ends.
    pub(crate) quiet: bool,
    pub(crate) end: End,
}

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// It is full from one moment to another, in milliseconds.
    Full {
        from_ms: u64,
        for_ms: u64,
    },
    /// The nth write fails.
    Write(u64),
    /// The nth sync fails.
    Sync(u64),
    /// Everything fails from the nth change on, which may be one of the start.
    Dies(u64),
}

/// How the life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The power goes.
    Cut(Loss),
    /// The process is killed; what it wrote is with the operating system.
    Kill,
    /// It is asked to end.
    Close,
}

impl Plan {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let fault = match chance.within(0, 10) {
            0..4 => Fault::Nothing,
            4..6 => {
                Fault::Full { from_ms: chance.within(0, 1_500), for_ms: chance.within(50, 1_500) }
            },
            6 => Fault::Write(chance.within(1, 90)),
            7 => Fault::Sync(chance.within(1, 90)),
            _ => Fault::Dies(chance.within(1, 300)),
        };
        let losses = [Loss::All, Loss::Some, Loss::Torn];
        let end = match chance.within(0, 10) {
            0..7 => End::Cut(losses[usize::try_from(chance.within(0, 3)).unwrap()]),
            7..9 => End::Kill,
            _ => End::Close,
        };
        Self {
            length_ms: chance.within(300, 2_500),
            commit_us: if chance.percent(15) { 200_000 } else { chance.within(2_000, 40_000) },
            fault,
            quiet: chance.percent(30),
            end,
        }
    }

    /// The last life: nothing goes wrong, and everything is looked at.
    pub(crate) fn last(chance: &mut Chance) -> Self {
        Self { fault: Fault::Nothing, quiet: true, end: End::Close, ..Self::draw(chance) }
    }
}
