//! A long stream is folded from its last snapshot on.

use std::sync::atomic::Ordering;

use mainstay_actors::host::{Host, Receipt};
use mainstay_actors::session::{Sealed, Session, SessionCommand, SessionReply};

use super::support::{Rig, create, meta, request, session, virtually};

const PATCHES: u64 = 1_000;

fn patch(number: u64) -> SessionCommand {
    let value = Sealed::plain(&number.to_le_bytes());
    let changes = [(format!("a{}", number % 7), Some(value))].into();
    SessionCommand::Patch { if_revision: None, changes }
}

async fn show(host: &Host) -> Receipt<SessionReply> {
    host.ask::<Session>(session("default/hot"), SessionCommand::Show, meta()).await.unwrap()
}

async fn many_patches(host: &Host) -> Receipt<SessionReply> {
    let hot = || session("default/hot");
    host.ask::<Session>(hot(), create(600_000), meta()).await.unwrap();
    for number in 1..=PATCHES {
        host.ask::<Session>(hot(), patch(number), request(&format!("k{number}"))).await.unwrap();
    }
    show(host).await
}

#[test]
fn a_restart_reads_at_most_the_records_since_the_last_snapshot() {
    let rig = Rig::default();
    let before = virtually(async { many_patches(&rig.start().await.0).await });
    let rig = rig.cut();
    virtually(async {
        let (host, _log) = rig.start().await;
        rig.shelf.read.store(0, Ordering::Relaxed);
        assert_eq!(show(&host).await, before);
        let read = rig.shelf.read.load(Ordering::Relaxed);
        assert!(read < 64, "{read} records were read");
        // A retried request finds its answer, a new one goes on from the same revision.
        let again = patch(PATCHES);
        let key = request(&format!("k{PATCHES}"));
        let again = host.ask::<Session>(session("default/hot"), again, key).await.unwrap();
        assert_eq!(again.at, before.at);
        let next = host.ask::<Session>(session("default/hot"), patch(7), meta()).await.unwrap();
        assert!(
            matches!(next.reply, SessionReply::Kept { revision, .. } if revision == PATCHES + 2)
        );
    });
}

#[test]
fn without_or_with_a_wrong_snapshot_the_whole_stream_gives_the_same() {
    let rig = Rig::default();
    let before = virtually(async { many_patches(&rig.start().await.0).await });
    for damage in ["none", "bytes", "another place", "another stream's"] {
        let rig = rig.after_cut();
        {
            let mut snapshots = rig.shelf.snapshots.lock().unwrap();
            let snapshot = snapshots.get_mut(&session("default/hot")).unwrap();
            match damage {
                "none" => snapshots.clear(),
                "bytes" => snapshot.bytes.truncate(9),
                "another place" => snapshot.head.position -= 1,
                _ => snapshot.head.version += 3,
            }
        }
        virtually(async {
            let (host, _log) = rig.start().await;
            assert_eq!(show(&host).await, before, "{damage}");
        });
        // The fold was long: its result was kept, for the next one.
        let kept = rig.shelf.snapshots.lock().unwrap().get(&session("default/hot")).cloned();
        assert_eq!(kept.unwrap().head.version, PATCHES + 1, "{damage}");
    }
}

#[test]
fn a_state_is_kept_after_sixty_four_events_and_not_before() {
    let rig = Rig::default();
    virtually(async {
        let (host, _log) = rig.start().await;
        host.ask::<Session>(session("default/s"), create(600_000), meta()).await.unwrap();
        let kept = || rig.shelf.snapshots.lock().unwrap().get(&session("default/s")).cloned();
        for number in 2..=200 {
            host.ask::<Session>(session("default/s"), patch(number), meta()).await.unwrap();
            let version = kept().map_or(0, |snapshot| snapshot.head.version);
            assert_eq!(version, number / 64 * 64, "at version {number}");
        }
    });
}
