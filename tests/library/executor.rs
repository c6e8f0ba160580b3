//! The library needs no tokio around it: a thread that parks is executor enough.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use mainstay::lock::Lost;
use mainstay::{Client, Config, Mainstay, Unavailable};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

fn config(data: &std::path::Path) -> Config {
    let mut config = Config::default();
    data.clone_into(&mut config.server.data);
    config
}

#[test]
fn everything_works_on_a_bare_thread_and_the_directory_is_free_after_close() {
    let data = tempfile::tempdir().unwrap();
    let first_token = block_on(async {
        let stay = Mainstay::open(config(data.path())).await.unwrap();
        let created = stay.sessions().create("c-1", Duration::from_mins(1)).await.unwrap();
        let page = stay.sessions().of_subject("c-1").await.unwrap();
        assert_eq!(page.sessions[0].id(), created.session.id());
        let lock = stay.lock("room").wait(Duration::from_secs(5)).session(&created.session);
        let lease = lock.acquire("anna", Duration::from_millis(1_500)).await.unwrap();
        lease.renewed().await.unwrap();
        assert!(lease.is_held());
        let token = lease.token();
        lease.release().await.unwrap();
        stay.close().await;
        token
    });
    block_on(async {
        let stay = Mainstay::open(config(data.path())).await.unwrap();
        let lease = stay.lock("room").acquire("ben", Duration::from_mins(1)).await.unwrap();
        assert!(lease.token() > first_token);
        stay.close().await;
    });
}

#[test]
fn a_closed_mainstay_holds_no_lease_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    block_on(async {
        let stay = Mainstay::open(config(data.path())).await.unwrap();
        let client = stay.client("test");
        let lease = client.lock("room").acquire("anna", Duration::from_mins(1)).await.unwrap();
        let lost = lease.lost();
        stay.close().await;
        assert!(!lease.is_held());
        assert_eq!(lost.await, Lost::Closed);
        let refused = client.health().await.unwrap_err();
        assert!(matches!(refused, Unavailable::NotReady(_)), "{refused}");
        let refused = client.lock("room").acquire("ben", Duration::from_mins(1)).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with("not ready"), "{text}");
    });
}

#[test]
fn futures_and_handles_may_move_between_threads() {
    fn movable<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>() {}
    shared::<Client>();
    shared::<mainstay::Lease>();
    shared::<mainstay::session::Session>();
    let data = tempfile::tempdir().unwrap();
    block_on(async {
        let stay = Mainstay::open(config(data.path())).await.unwrap();
        let acquire = stay.lock("room").acquire("anna", Duration::from_mins(1));
        movable(&acquire);
        let lease = acquire.await.unwrap();
        movable(&lease.lost());
        let release = lease.release();
        movable(&release);
        release.await.unwrap();
        stay.close().await;
    });
}
