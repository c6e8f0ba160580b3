//! Subjects over a real directory: consents, a hold, and an erasure that reaches everything.

use mainstay::session::{CreateError, SessionError};
use mainstay::subject::SubjectError;
use mainstay::{Config, Mainstay};
use tempfile::tempdir;

use super::support::secs;

#[test]
fn a_subject_decides_is_held_and_is_forgotten_for_good() {
    let data = tempdir().unwrap();
    let mut config = Config::default();
    config.server.data = data.path().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stay = Mainstay::open(config.clone()).await.unwrap();
        let shop = stay.client("crm").sessions().tenant("shop");
        let ann = shop.subject("c-1");
        ann.record_consent("mail", true, "2026-11").await.unwrap();
        ann.record_consent("mail", false, "2026-11").await.unwrap();
        let mail = ann.consents().await.unwrap()["mail"].clone();
        assert_eq!((mail.granted, mail.by.as_str()), (false, "crm"));
        assert!(stay.client("crm").subject("c-1").consents().await.unwrap().is_empty());

        let session = shop.create("c-1", secs(60)).attribute("name", &"Ann").await.unwrap().session;
        ann.hold("case 7").await.unwrap();
        assert_eq!(ann.held().await.unwrap().unwrap().reason, "case 7");
        assert_eq!(ann.erase().await, Err(SubjectError::Held { why: "case 7".to_owned() }));
        session.get().await.unwrap();
        ann.lift_hold("case 7 is closed").await.unwrap();
        assert_eq!(ann.held().await.unwrap(), None);

        let erased = ann.erase().await.unwrap();
        assert_eq!(erased.sessions_ended, 1);
        assert_eq!(session.get().await, Err(SessionError::NotFound));
        assert_eq!(ann.consents().await, Err(SubjectError::Erased));
        assert_eq!(ann.record_consent("mail", true, "1").await, Err(SubjectError::Erased));
        assert_eq!(ann.erase().await, Err(SubjectError::Erased));
        let anew = shop.create("c-1", secs(60)).attribute("name", &"Ann").await;
        assert!(matches!(anew, Err(CreateError::Erased)), "{anew:?}");
        let looks_personal = shop.subject("ann@example.org").erase().await;
        assert!(matches!(looks_personal, Err(SubjectError::Invalid(_))), "{looks_personal:?}");
        stay.close().await;
        let stay = Mainstay::open(config).await.unwrap();
        let ann = stay.client("crm").sessions().tenant("shop").subject("c-1");
        assert_eq!(ann.consents().await, Err(SubjectError::Erased));
        stay.close().await;
    });
}
