//! A second cache tier in Redis, which two services share: Redis falls, and nobody notices but the
//! source.
//!
//! ```text
//!   price() ──► memory ──► Redis, behind a guard of its own ──► the source, behind its guard
//!                            └─► out of reach, or its breaker open: as if it had nothing
//! ```
//!
//! `cargo run --manifest-path examples/services/Cargo.toml --bin tier -- redis://HOST`, or with the
//! URL in `REDIS_URL`

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use mainstay::dependency::{Dependency, Mode};
use mainstay::guard::{Cache, Cached, Guard, GuardError, Tier};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    AsyncCommands as _, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError,
};
use services::{Failure, Relay, Temporary, until};

/// Prices in Redis, by room.
struct InRedis {
    connection: ConnectionManager,
    guard: Guard,
    prefix: String,
    ttl: Duration,
}

impl Tier<u32, u32> for InRedis {
    type Error = GuardError<RedisError>;

    async fn get(&self, room: &u32) -> Option<u32> {
        let get = || async { self.connection.clone().get(self.name(room)).await };
        self.guard.call(get).await.ok().flatten()
    }

    async fn put(&self, room: &u32, price: &u32) {
        let (name, ttl) = (self.name(room), self.ttl.as_secs());
        let set = || async { self.connection.clone().set_ex::<_, _, ()>(&name, price, ttl).await };
        // What is not kept is loaded again.
        drop(self.guard.call(set).await);
    }

    async fn remove(&self, room: &u32) -> Result<(), Self::Error> {
        self.guard.call(|| async { self.connection.clone().del(self.name(room)).await }).await
    }
}

impl InRedis {
    fn name(&self, room: &u32) -> String {
        format!("{}:{room}", self.prefix)
    }
}

type Prices = Cached<u32, u32, InRedis>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).or_else(|| std::env::var("REDIS_URL").ok());
    let url = url.ok_or("name a Redis: redis://HOST, or REDIS_URL")?;
    let (relay, connection) = connect(&url).await?;

    let mainstay = Temporary::open().await?;
    let redis = mainstay.dependency("redis").await?;
    let source = mainstay.dependency("source").await?;
    // Two services would be two processes.
    let one = prices(&source, &redis, &connection)?;
    let other = prices(&source, &redis, &connection)?;

    let now = Cell::new(100);
    let price = async |service: &Prices, room: u32| {
        let before = service.kept().counts();
        let price = service.call(&room, || async { Ok::<_, Infallible>(now.get()) }).await?;
        let after = service.kept().counts();
        let from = match () {
            () if after.misses_total > before.misses_total => "the source",
            () if after.tier_hits_total > before.tier_hits_total => "Redis",
            () => "memory",
        };
        println!("room {room} costs {price}, from {from}");
        Ok::<_, GuardError<_>>(())
    };

    price(&one, 1).await?;
    price(&one, 1).await?;
    price(&other, 1).await?;

    println!("-- prices change");
    now.set(120);
    one.kept().invalidate(&1).await?;
    price(&one, 1).await?;
    // In its memory the other has the old one, for as long as that is fresh.
    other.kept().invalidate(&1).await?;
    price(&other, 1).await?;

    println!("-- Redis is out of reach");
    relay.cut();
    let mut room = 100;
    while mainstay.is_closed(&redis).await? {
        price(&one, room).await?;
        room += 1;
    }
    until(&redis, Mode::Open).await?;
    price(&one, room).await?;
    price(&one, 1).await?;

    println!("-- it is back");
    relay.mend();
    until(&redis, Mode::HalfOpen).await?;
    while !mainstay.is_closed(&redis).await? {
        room += 1;
        price(&one, room).await?;
    }
    until(&redis, Mode::Closed).await?;
    price(&other, room).await?;
    println!("the one service: {:?}", one.kept().counts());
    println!("the other service: {:?}", other.kept().counts());

    mainstay.close_and_tell("redis").await
}

/// Fresh in memory for a minute and in Redis for five; an old price is better than none.
fn prices(
    source: &Dependency,
    redis: &Dependency,
    connection: &ConnectionManager,
) -> Result<Prices, Failure> {
    let tier = InRedis {
        connection: connection.clone(),
        guard: redis.guard().timeout(Duration::from_millis(100)),
        prefix: format!("mainstay-example-{}", std::process::id()),
        ttl: Duration::from_mins(5),
    };
    let cache = Cache::new(Duration::from_mins(1))?.stale(Duration::from_hours(1))?.tier(tier);
    Ok(source.guard().timeout(Duration::from_secs(2)).cache(cache))
}

/// Over a way that can be cut. Fails where there is no Redis.
async fn connect(url: &str) -> Result<(Relay, ConnectionManager), Failure> {
    let info: ConnectionInfo = url.into_connection_info()?;
    drop(Client::open(info.clone())?.get_multiplexed_async_connection().await?);
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Err("the URL must be redis://HOST: this example reaches Redis over TCP".into());
    };
    let relay = Relay::to(format!("{host}:{port}")).await?;
    let near = relay.address();
    let info = info.set_addr(ConnectionAddr::Tcp(near.ip().to_string(), near.port()));
    // It connects again for as long as it takes; the guard sees to it that no caller waits for that.
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(usize::MAX)
        .set_max_delay(Duration::from_millis(500));
    Ok((relay, ConnectionManager::new_lazy_with_config(Client::open(info)?, config)?))
}
