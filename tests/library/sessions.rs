//! Sessions: typed answers, and errors with what is needed to go on.

use mainstay::Unavailable;
use mainstay::journal::{Cursor, Fault, ReadLog as _, Refusal};
use mainstay::session::{CreateError, ListError, PatchError, SessionError};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::support::{Rig, client, secs, virtually};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
}

#[test]
fn a_session_shows_what_it_was_created_with() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let cart = Cart { items: vec!["tea".to_owned()] };
        let sessions = client(&host).sessions().tenant("shop");
        let create = sessions.create("c-1", secs(60)).attribute("cart", &cart);
        let created = create.bytes("blob", &[0, 159]).max_age(secs(90)).await.unwrap();
        assert_eq!(created.cursor, log.head());
        let view = created.session.get().await.unwrap();
        assert_eq!((view.tenant(), view.subject(), view.revision()), ("shop", "c-1", 1));
        assert_eq!(view.id(), created.session.id());
        assert_eq!(view.expires_at(), created.expires_at);
        assert_eq!(view.attribute::<Cart>("cart").unwrap(), Some(cart));
        assert_eq!(view.bytes("blob"), Some(&[0, 159][..]));
        assert!(view.attribute::<Cart>("blob").is_err());
        assert_eq!(view.attribute::<Cart>("nothing").unwrap(), None);
        assert!(view.names().eq(["blob", "cart"]));
        // Another tenant's session is not there.
        let other = client(&host).session(view.id());
        assert_eq!(other.get().await, Err(SessionError::NotFound));
    });
}

#[test]
fn the_second_of_two_patches_of_one_revision_is_told_the_current_one() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let created = client(&host).sessions().create("c-1", secs(60)).await.unwrap();
        let session = created.session;
        let kept = session.patch().set("a", &1).set_bytes("b", b"x").if_revision(1).await;
        assert_eq!(kept.unwrap().revision, 2);
        let late = session.patch().remove("a").if_revision(1).await;
        assert_eq!(late, Err(PatchError::Stale { current: 2 }));
        let kept = session.patch().remove("a").if_revision(2).await.unwrap();
        let view = session.get().await.unwrap();
        assert_eq!((view.revision(), view.cursor()), (3, kept.cursor));
        assert!(view.names().eq(["b"]));
    });
}

#[test]
fn a_touched_session_lives_on_and_one_that_is_over_answers_nothing() {
    virtually(async {
        let (host, _log) = Rig::default().start().await;
        let session = client(&host).sessions().create("c-1", secs(60)).await.unwrap().session;
        sleep(secs(40)).await;
        let kept = session.touch().await.unwrap();
        assert_eq!(kept.revision, 1);
        sleep(secs(40)).await;
        assert_eq!(session.get().await.unwrap().expires_at(), kept.expires_at);
        sleep(secs(21)).await;
        assert_eq!(session.get().await, Err(SessionError::NotFound));
        assert_eq!(session.touch().await, Err(SessionError::NotFound));
        assert_eq!(session.end().await, Err(SessionError::NotFound));
        assert_eq!(session.patch().set("a", &1).await, Err(PatchError::NotFound));
        let never = client(&host).session("never");
        assert_eq!(never.get().await, Err(SessionError::NotFound));
    });
}

#[test]
fn what_cannot_be_a_session_says_why() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let sessions = client(&host).sessions();
        let refused = sessions.create("anna@example.org", secs(60)).await.unwrap_err();
        assert_eq!(refused, CreateError::PersonalSubject { what: "an e-mail address" });
        let refused = sessions.create("c-1", secs(0)).await.unwrap_err();
        assert!(matches!(refused, CreateError::Invalid { field: "ttl_ms", .. }), "{refused}");
        let bad = sessions.clone().tenant("a/b").create("c-1", secs(60)).await.unwrap_err();
        assert!(matches!(bad, CreateError::Invalid { field: "tenant", .. }), "{bad}");
        let keyed_by_lists = std::collections::BTreeMap::from([(vec![1], 2)]);
        let create = sessions.create("c-1", secs(60)).attribute("map", &keyed_by_lists);
        let refused = create.await.unwrap_err();
        assert!(matches!(&refused, CreateError::Unwritable { name, .. } if name == "map"));
        log.set(Fault::Refuse(Refusal::NoRoom));
        let refused = sessions.create("c-1", secs(60)).await.unwrap_err();
        assert_eq!(refused, CreateError::Unavailable(Unavailable::Refused(Refusal::NoRoom)));
    });
}

#[test]
fn pages_of_a_subject_hold_its_live_sessions_newest_first() {
    virtually(async {
        let (host, log) = Rig::default().start().await;
        let sessions = client(&host).sessions();
        let mut created = Vec::new();
        for n in 0..7 {
            let subject = if n == 3 { "other" } else { "c-1" };
            created.push(sessions.create(subject, secs(600)).await.unwrap().session);
        }
        created[5].end().await.unwrap();
        let mut found = Vec::new();
        let mut page = sessions.of_subject("c-1").limit(2).await.unwrap();
        loop {
            assert!(page.sessions.len() <= 2);
            found.extend(page.sessions.iter().map(|view| view.id().to_owned()));
            let Some(next) = page.next else { break };
            page = sessions.of_subject("c-1").limit(2).before(next).await.unwrap();
        }
        let expected = [6, 4, 2, 1, 0].map(|n: usize| created[n].id().to_owned());
        assert_eq!(found, expected);
        assert!(sessions.of_subject("nobody").await.unwrap().sessions.is_empty());
        let cursor = Cursor { epoch: 9, position: 1 };
        let refused = sessions.of_subject("c-1").before(cursor).await.unwrap_err();
        assert_eq!(refused, ListError::OtherEpoch { cursor, epoch: log.head().epoch });
    });
}
