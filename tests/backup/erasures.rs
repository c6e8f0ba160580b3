//! Who was erased after a backup is erased again by each restore, and no target has the key any more.

use mainstay::Client;
use mainstay::journal::plant::Until;
use mainstay::session::{CreateError, SessionError};

use crate::journal::{Rig, TTL};

#[test]
fn an_erasure_after_the_backup_is_carried_out_before_anything_is_served() {
    let rig = Rig::new();
    let session = rig.with(&rig.data(), async |client: Client| {
        for subject in ["ann", "ben"] {
            let create = client.sessions().create(subject, TTL).bytes("name", b"secret");
            create.await.unwrap();
        }
        let create = client.sessions().create("ann", TTL).bytes("name", b"secret");
        client.subject("ann").hold("case 7").await.unwrap();
        create.await.unwrap().session.id().to_owned()
    });
    let before = rig.back_up().unwrap().manifest;
    rig.with(&rig.data(), async |client: Client| {
        client.subject("ann").lift_hold("closed").await.unwrap();
        client.subject("ann").erase().await.unwrap();
    });
    rig.back_up().unwrap();
    // To a moment before the erasure, while she was held.
    let restored = rig.restore("new", Until::Position(before.position)).unwrap();
    assert_eq!(restored.erased, ["subject/default/ann"]);
    // Every key of the target came back, but hers.
    let keys = |data: &str| std::fs::read(rig.path(data).join("keys/subjects")).unwrap();
    let (ours, theirs) = (keys("new"), keys("data"));
    assert_eq!((ours[64], ours[128]), (2, 1), "ann's slot is erased, ben's is live");
    assert_eq!(ours, theirs);
    rig.with(&rig.path("new"), async |client: Client| {
        let refused = client.sessions().create("ann", TTL).bytes("name", b"new").await;
        assert!(matches!(refused, Err(CreateError::Erased)), "{refused:?}");
        let gone = client.session(&session).get().await;
        assert_eq!(gone, Err(SessionError::NotFound));
        // Another one's new values are sealed under the key that came back.
        let create = client.sessions().create("ben", TTL).bytes("name", b"new");
        let session = create.await.unwrap().session;
        assert_eq!(session.get().await.unwrap().bytes("name"), Some(&b"new"[..]));
    });
}

#[test]
fn after_an_erasure_the_target_has_another_key_in_its_place() {
    let rig = Rig::new();
    rig.with(&rig.data(), async |client: Client| {
        client.sessions().create("ann", TTL).bytes("name", b"secret").await.unwrap();
    });
    rig.back_up().unwrap();
    let shard = |rig: &Rig| {
        let sealed = rig.target.read("keys/subjects/000000.age").unwrap();
        rig.identities.open(&sealed).unwrap()
    };
    let before = shard(&rig);
    let key = before[64 + 17..64 + 49].to_vec();
    assert_eq!(before[64], 1, "the first slot is live");
    rig.with(&rig.data(), async |client: Client| {
        client.subject("ann").erase().await.unwrap();
    });
    rig.back_up().unwrap();
    let after = shard(&rig);
    assert_eq!(after[64], 2, "the first slot is erased");
    assert!(!after.windows(key.len()).any(|window| window == key));
}
