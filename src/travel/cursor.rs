//! Cursors, as people and programs write them, and whether they are of this journal.

use mainstay_journal::{Cursor, ReadError, ReadLog};

/// Why a cursor is no place of a journal.
#[derive(Debug)]
pub(crate) enum NoPlace {
    /// It lies after the last event.
    AfterEnd { asked: Cursor, head: Cursor },
    /// It is of another history: of an older epoch, behind the fork, or of one that has not begun.
    OtherEpoch { asked: Cursor, head: Cursor },
    /// The journal cannot be read there.
    Read(ReadError),
}

/// The position that a text names: `{epoch}-{position}`, or a bare position of the current history;
/// `None` if it is neither.
#[cfg(feature = "server")]
pub(crate) fn position(text: &str, log: &dyn ReadLog) -> Result<Option<u64>, NoPlace> {
    if let Ok(cursor) = text.parse::<Cursor>() {
        return position_of(cursor, log).map(Some);
    }
    let (Ok(position), head) = (text.parse(), log.head()) else { return Ok(None) };
    let asked = Cursor { epoch: head.epoch, position };
    if position > head.position {
        Err(NoPlace::AfterEnd { asked, head })
    } else {
        Ok(Some(position))
    }
}

/// The position of a cursor, if it is a place of this history.
pub(crate) fn position_of(asked: Cursor, log: &dyn ReadLog) -> Result<u64, NoPlace> {
    let head = log.head();
    if asked.epoch == head.epoch && asked.position > head.position {
        return Err(NoPlace::AfterEnd { asked, head });
    }
    match log.is_ours(asked) {
        Ok(true) => Ok(asked.position),
        Ok(false) => Err(NoPlace::OtherEpoch { asked, head }),
        Err(error) => Err(NoPlace::Read(error)),
    }
}
