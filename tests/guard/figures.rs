//! What guards count for whoever watches them, and the layers that the configuration gives.

use mainstay::dependency::Outcome;
use mainstay::guard::{Bulkhead, GuardError, Refused};
use mainstay::{Config, Mainstay};
use tempfile::TempDir;

use super::support::{Rig, ms};

#[tokio::test]
async fn fallbacks_and_bulkheads_count_for_the_dependency_whoever_made_the_guard() {
    let rig = Rig::new().await;
    let bulkhead = Bulkhead::new(1).queue(0);
    let guard = rig.db.guard().bulkhead(bulkhead.clone());
    let other = rig.stay.dependency("db").guard().bulkhead(bulkhead).fallback(|_| 9);
    let inside = tokio::spawn({
        let guard = guard.clone();
        async move {
            guard
                .call(|| async {
                    tokio::time::sleep(ms(100)).await;
                    Ok::<_, u8>(1)
                })
                .await
        }
    });
    while rig.db.figures().bulkheads.is_none_or(|it| it.active == 0) {
        tokio::time::sleep(ms(1)).await;
    }
    assert_eq!(other.call(|| async { Ok::<_, u8>(1) }).await, Ok(9));
    let figures = rig.db.figures();
    let counts = figures.bulkheads.unwrap();
    assert_eq!(
        (figures.fallbacks, counts.active, counts.idle, counts.exhausted_total),
        (1, 1, 0, 1)
    );
    assert_eq!(inside.await.unwrap(), Ok(1));
    drop((guard, other));
    let counts = rig.db.figures().bulkheads.unwrap();
    let (active, idle) = (counts.active, counts.idle);
    assert_eq!((active, idle, counts.exhausted_total), (0, 0, 1), "nobody has it any more");
    let next = rig.db.guard().bulkhead(Bulkhead::new(3));
    assert_eq!(next.call(ok).await, Ok(1));
    let counts = rig.db.figures().bulkheads.unwrap();
    assert_eq!((counts.idle, counts.exhausted_total), (3, 1), "a counter never falls");
    rig.stay.close().await;
}

async fn ok() -> Result<u8, u8> {
    Ok(1)
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn caches_count_for_the_dependency_and_no_count_is_lost_with_them() {
    use mainstay::guard::Cache;
    let rig = Rig::new().await;
    for round in 1..=3 {
        let cached = rig.db.guard().cache(Cache::new(ms(60_000)).unwrap());
        for _ in 0..3 {
            assert_eq!(cached.call(&1, || async { Ok::<_, u8>(7) }).await, Ok(7));
        }
        let counts = rig.db.figures().caches.unwrap();
        assert_eq!((counts.misses_total, counts.hits_total), (round, 2 * round));
    }
    rig.stay.close().await;
}

#[tokio::test]
async fn the_layers_of_the_configuration_stand_around_every_guard_and_are_shared() {
    let text = r#"
        [[dependency]]
        name = "db"
        [dependency.guard]
        timeout = "50ms"
        rate_limit = { calls = 2, per = "1h" }
    "#;
    let data = TempDir::new().unwrap();
    let mut config = Config::from_text(text, "mainstay.toml", []).unwrap();
    config.server.data = data.path().join("data");
    let stay = Mainstay::open(config).await.unwrap();
    let hangs = stay.dependency("db").guard().call(std::future::pending::<Result<(), u8>>).await;
    assert_eq!(hangs, Err(Refused::TimedOut { after: ms(50) }.into()));
    let guards = [stay.dependency("db").guard(), stay.client("other").dependency("db").guard()];
    let ask = || async { Ok::<_, u8>(1) };
    assert_eq!(guards[0].call(ask).await, Ok(1));
    let limited = guards[1].call(ask).await;
    let is_limited = matches!(limited, Err(GuardError::Refused(Refused::RateLimited { .. })));
    assert!(is_limited, "the two share it: {limited:?}");
    // What its user sets stands instead.
    let own = guards[0].clone().timeout(ms(5_000)).classify(|_: &Result<u8, u8>| Outcome::Ignored);
    assert!(own.call(ask).await.is_err_and(|it| it.retry_after().is_some()));
    stay.close().await;
}
