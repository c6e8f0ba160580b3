//! Clients that take locks, use sessions and call a dependency, as chance will have it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_actors::gate::{Admission, Outcome, Report};
use mainstay_actors::host::{Host, Meta};
use mainstay_actors::lock::{Claim, Lock, LockCommand, LockReply, Mode};
use mainstay_actors::session::{Sealed, Session, SessionCommand};
use mainstay_journal::StreamId;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::chance::Chance;
use super::history::{Call, Command, Said};
use super::scene::{Held, Keyed, Shared};

/// Who takes locks and uses sessions.
const CUSTOMERS: u64 = 6;
/// Who calls the dependency.
const CALLERS: u64 = 4;
/// Few, so that they meet.
const LOCKS: u64 = 4;
/// The dependency.
pub(crate) const DEPENDENCY: &str = "db";

/// Starts everybody; they end when the scene says so, or with their System.
pub(crate) fn start(host: &Host, scene: &Shared, seed: u64, life: u64) {
    let of = |who: u64| Client {
        name: format!("c{who}"),
        host: host.clone(),
        scene: scene.clone(),
        chance: Chance::of(seed, life, 100 + who),
    };
    for who in 0..CUSTOMERS + CALLERS {
        let client = of(who);
        scene.borrow_mut().clients += 1;
        spawn_local(async move {
            let scene = client.scene.clone();
            if who < CUSTOMERS {
                client.shop().await;
            } else {
                client.call().await;
            }
            scene.borrow_mut().clients -= 1;
        });
    }
    let mut weather = of(CUSTOMERS + CALLERS);
    spawn_local(async move {
        loop {
            let down = weather.chance.percent(50);
            weather.scene.borrow_mut().down = down;
            weather.pause(100_000, 900_000).await;
        }
    });
}

struct Client {
    name: String,
    host: Host,
    scene: Shared,
    chance: Chance,
}

impl Client {
    async fn pause(&mut self, from_us: u64, to_us: u64) {
        sleep(Duration::from_micros(self.chance.within(from_us, to_us))).await;
    }

    fn is_over(&self) -> bool {
        self.scene.borrow().stop
    }

    async fn shop(mut self) {
        loop {
            self.pause(100, 90_000).await;
            if self.is_over() {
                return;
            }
            match self.chance.within(0, 100) {
                0..25 => self.acquire().await,
                25..33 => self.acquire_again().await,
                33..60 => self.use_lease().await,
                60..64 => self.show().await,
                _ => self.use_session().await,
            }
        }
    }

    fn lock_name(&mut self) -> String {
        format!("l-{}", self.chance.within(0, LOCKS))
    }

    async fn acquire(&mut self) {
        let lock = self.lock_name();
        let wait_ms = if self.chance.percent(40) { self.chance.within(20, 1_500) } else { 0 };
        let key = (wait_ms > 0 || self.chance.percent(50)).then(|| {
            let number = self.scene.borrow_mut().fresh();
            format!("k-{number}")
        });
        let session = if self.chance.percent(25) {
            self.chance.one_of(&self.scene.borrow().sessions).map(|id| id.as_str().into())
        } else {
            None
        };
        let claim = Claim {
            owner: self.name.as_str().into(),
            session,
            mode: Mode::Exclusive,
            range: None,
            ttl_ms: self.chance.within(100, 2_000),
            delay_ms: 0,
            request: None,
        };
        let command = LockCommand::Acquire { claim, wait_ms };
        if let Some(key) = key.clone() {
            let keyed = Keyed { lock: lock.clone(), command: command.clone(), key };
            self.scene.borrow_mut().keep(keyed);
        }
        self.ask_lock(&lock, command, key).await;
    }

    /// The same request, whoever made it, in this life or an earlier one.
    async fn acquire_again(&mut self) {
        let keyed = {
            let mut scene = self.scene.borrow_mut();
            self.chance.one_of(scene.keyed.make_contiguous()).cloned()
        };
        let Some(Keyed { lock, command, key }) = keyed else { return };
        self.ask_lock(&lock, command, Some(key)).await;
    }

    /// Renews, releases or checks a lease, which may be over, or another's.
    async fn use_lease(&mut self) {
        let held = {
            let mut scene = self.scene.borrow_mut();
            self.chance.one_of(scene.held.make_contiguous()).cloned()
        };
        let Some(Held { lock, token, owner }) = held else { return };
        let owner = if self.chance.percent(15) { self.name.clone() } else { owner };
        let command = match self.chance.within(0, 10) {
            0..4 => LockCommand::Renew { token, owner, ttl_ms: None },
            4..8 => LockCommand::Release { token, owner },
            _ => LockCommand::Check { token },
        };
        self.ask_lock(&lock, command, None).await;
    }

    async fn show(&mut self) {
        let lock = self.lock_name();
        self.ask_lock(&lock, LockCommand::Show, None).await;
    }

    async fn ask_lock(&mut self, lock: &str, command: LockCommand, key: Option<String>) {
        let stream = StreamId::new("lock", lock).unwrap();
        let said = Command::Lock(command.clone());
        let act = self.scene.borrow_mut().ask(&self.host, stream.as_str(), said, key.as_deref());
        let owner = match &command {
            LockCommand::Acquire { claim, .. } => claim.owner.to_string(),
            _ => String::new(),
        };
        let answered = self.host.ask::<Lock>(stream, command, meta(key)).await;
        let mut scene = self.scene.borrow_mut();
        if let Ok(receipt) = &answered
            && let LockReply::Lease(lease) = &receipt.reply
            && !owner.is_empty()
        {
            scene.hold(Held { lock: lock.to_owned(), token: lease.token, owner });
        }
        scene.answer(&self.host, act, Said::Lock(answered));
    }

    async fn use_session(&mut self) {
        let known = self.chance.one_of(&self.scene.borrow().sessions).cloned();
        let choice = self.chance.within(0, 10);
        let (id, command) = match (choice, known) {
            (0..3, _) | (_, None) => (self.new_session(), self.create()),
            (3..5, Some(id)) => (id, SessionCommand::Touch),
            (5..7, Some(id)) => (id, self.patch()),
            (7, Some(id)) => (id, SessionCommand::End),
            (_, Some(id)) => (id, SessionCommand::Show),
        };
        let stream = StreamId::new("session", &id).unwrap();
        let said = Command::Session(command.clone());
        let act = self.scene.borrow_mut().ask(&self.host, stream.as_str(), said, None);
        let answered = self.host.ask::<Session>(stream, command, meta(None)).await;
        self.scene.borrow_mut().answer(&self.host, act, Said::Session(answered));
    }

    /// The newest few are used: the older ones are over.
    fn new_session(&mut self) -> String {
        let mut scene = self.scene.borrow_mut();
        let id = format!("default/s-{}", scene.fresh());
        scene.sessions.push(id.clone());
        if scene.sessions.len() > 8 {
            scene.sessions.remove(0);
        }
        id
    }

    fn create(&mut self) -> SessionCommand {
        SessionCommand::Create {
            tenant: "default".to_owned(),
            subject: self.name.clone(),
            ttl_ms: self.chance.within(1_000, 3_000),
            max_age_ms: self.chance.percent(20).then_some(2_500),
            attributes: BTreeMap::new(),
        }
    }

    fn patch(&mut self) -> SessionCommand {
        let value = Sealed::plain(&self.chance.next().to_le_bytes());
        let changes = BTreeMap::from([("step".to_owned(), Some(value))]);
        SessionCommand::Patch { if_revision: None, changes }
    }

    async fn call(mut self) {
        loop {
            self.pause(100, 60_000).await;
            if self.is_over() {
                return;
            }
            let Ok(Admission::Admitted(permit)) = self.host.admit(DEPENDENCY).await else {
                continue;
            };
            let call = {
                let mut scene = self.scene.borrow_mut();
                let began = scene.moment(&self.host);
                scene.history.calls.push(Call { permit, began, reported: None });
                scene.history.calls.len() - 1
            };
            // Some are so slow that the breaker has moved when they come back.
            let longest_us = if self.chance.percent(25) { 1_500_000 } else { 40_000 };
            self.pause(500, longest_us).await;
            if self.chance.percent(5) {
                continue;
            }
            let outcome = match (self.chance.within(0, 10), self.scene.borrow().down) {
                (0, _) => Outcome::Ignored,
                (1..9, true) | (9, false) => Outcome::Failure,
                _ => Outcome::Success,
            };
            {
                let mut scene = self.scene.borrow_mut();
                let moment = scene.moment(&self.host);
                scene.history.calls[call].reported = Some((outcome, moment));
            }
            let report = Report {
                permit: Some(permit),
                outcome,
                duration_us: 1,
                probe: false,
                injected: false,
            };
            // The gate may be gone with a start that failed; nothing durable is claimed.
            drop(self.host.record(DEPENDENCY, vec![report]).await);
        }
    }
}

fn meta(key: Option<String>) -> Meta {
    let request = key.map(|key| (Arc::from(key), 1));
    Meta { request, ..Meta::of(&Arc::from("client")) }
}
