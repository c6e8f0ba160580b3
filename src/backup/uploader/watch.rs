//! Looks each second whether events are shipped and backups are made, and says when they are not.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use mainstay_actors::time::Timestamp;

use super::{News, Shared};

const LOOK: Duration = Duration::from_secs(1);
/// A scheduled backup may take this long before it is late.
const LATE_MS: u64 = 60_000;

/// What was seen so far.
#[derive(Default)]
struct Seen {
    /// A head that was not shipped when it was seen, and when that was.
    behind: Option<(u64, Timestamp)>,
    raised: Option<Timestamp>,
}

/// Watches until it is stopped.
pub(super) fn run(shared: &Shared, uploader: &JoinHandle<()>, stopped: &Receiver<()>) {
    let mut seen = Seen::default();
    loop {
        match stopped.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {},
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        look(shared, &mut seen, uploader.is_finished());
    }
}

fn look(shared: &Shared, seen: &mut Seen, has_ended: bool) {
    let now = shared.now();
    let head = shared.log.head().position;
    let mut status = shared.status();
    let shipped = status.shipped.unwrap_or_default();
    status.behind = head.saturating_sub(shipped);
    if seen.behind.is_some_and(|(position, _)| position <= shipped) {
        seen.behind = None;
    }
    if status.behind > 0 {
        seen.behind.get_or_insert((head, now));
    }
    status.behind_ms = seen.behind.map_or(0, |(_, since)| now.ms_since(since));
    let late = status.due.map_or(0, |due| now.ms_since(due));
    let trouble = status.trouble.clone().map_or_else(String::new, |it| format!(": {it}"));
    let reason = if has_ended {
        Some("the uploader has ended; restart the server".to_owned())
    } else if shared.duty.continuous && status.behind_ms >= shared.duty.alarm_after_ms {
        let seconds = status.behind_ms / 1_000;
        Some(format!("events have not been shipped for {seconds} s{trouble}"))
    } else if late >= LATE_MS {
        Some(format!("a backup is {} s late{trouble}", late / 1_000))
    } else {
        None
    };
    status.alarm.clone_from(&reason);
    let behind = status.behind;
    drop(status);
    match (reason, seen.raised) {
        (Some(reason), None) => {
            tracing::error!(reason, behind, "backups are not up to date");
            seen.raised = Some(now);
            (shared.tell)(News::Alarm { reason, behind });
        },
        (None, Some(since)) => {
            tracing::info!("backups are up to date again");
            seen.raised = None;
            (shared.tell)(News::Over { lasted_ms: now.ms_since(since) });
        },
        _ => {},
    }
}
