//! A pool of PostgreSQL connections behind a guard: the database falls, and returns.
//!
//! ```text
//!   rooms() ──► guard ──► a connection of the pool ──► a query ──► the database
//!                └─► refused at once, while the breaker is open: nobody waits for the pool
//! ```
//!
//! The way to the database is cut here, not the database itself.
//!
//! `cargo run --manifest-path examples/services/Cargo.toml --bin database -- postgres://USER@HOST/DATABASE`,
//! or with the URL in `DATABASE_URL`

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use mainstay::dependency::{Mode, Outcome};
use mainstay::guard::{Bulkhead, GuardError};
use services::{Failure, Relay, Temporary, until};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

/// Connections, and calls at a time.
const CONNECTIONS: u32 = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).or_else(|| std::env::var("DATABASE_URL").ok());
    let url = url.ok_or("name a database: postgres://USER@HOST/DATABASE, or DATABASE_URL")?;
    let (relay, pool) = connect(&url).await?;

    let mainstay = Temporary::open().await?;
    let database = mainstay.dependency("database").await?;
    let guard = database
        .guard()
        // Of the wait for a connection, too.
        .timeout(Duration::from_millis(500))
        .bulkhead(Bulkhead::new(CONNECTIONS).queue(10))
        .classify(outcome);
    let count = async |query: &str| {
        let call = async || {
            let connection = pool.get().await?;
            let statement = connection.prepare_cached(query).await?;
            let row = connection.query_one(&statement, &[]).await?;
            Ok::<i64, PoolError>(row.get(0))
        };
        match guard.call(call).await {
            Ok(rows) => println!("{rows} tables"),
            Err(GuardError::Failed(error)) => println!("the call failed: {}", short(&error)),
            Err(refused) => println!("not called: {refused}"),
        }
    };
    const TABLES: &str = "SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'r'";

    count(TABLES).await;
    for _ in 0..5 {
        // The query's own fault: five of them open no breaker.
        count("SELECT count(*) / 0 FROM pg_catalog.pg_class").await;
    }
    count(TABLES).await;

    println!("-- the database is out of reach");
    relay.cut();
    while mainstay.is_closed(&database).await? {
        count(TABLES).await;
    }
    until(&database, Mode::Open).await?;
    count(TABLES).await;

    println!("-- it is back");
    relay.mend();
    until(&database, Mode::HalfOpen).await?;
    while !mainstay.is_closed(&database).await? {
        count(TABLES).await;
    }
    until(&database, Mode::Closed).await?;
    mainstay.close_and_tell("database").await
}

/// What the database itself answers says nothing against it, but for a lack of means, a wish that
/// somebody ended, and a fault inside: classes 53, 57, 58 and XX.
fn outcome(result: &Result<i64, PoolError>) -> Outcome {
    let code = match result {
        Ok(_) => return Outcome::Success,
        Err(PoolError::Backend(error)) => error.code().map(SqlState::code),
        Err(_) => None,
    };
    match code.and_then(|code| code.get(..2)) {
        None | Some("53" | "57" | "58" | "XX") => Outcome::Failure,
        Some(_) => Outcome::Ignored,
    }
}

/// What the database says, where it says something.
fn short(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => match error.as_db_error() {
            Some(said) => said.message().to_owned(),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// A pool over a way that can be cut. Fails where there is no database.
async fn connect(url: &str) -> Result<(Relay, Pool), Failure> {
    let named: Config = url.parse()?;
    let Some(Host::Tcp(host)) = named.get_hosts().first() else {
        return Err("the URL must name a host: this example reaches the database over TCP".into());
    };
    let port = named.get_ports().first().unwrap_or(&5432);
    let relay = Relay::to(format!("{host}:{port}")).await?;

    let mut config = Config::new();
    config.host(relay.address().ip().to_string()).port(relay.address().port());
    config.connect_timeout(Duration::from_secs(1));
    if let Some(user) = named.get_user() {
        config.user(user);
    }
    if let Some(password) = named.get_password() {
        config.password(password);
    }
    if let Some(name) = named.get_dbname() {
        config.dbname(name);
    }
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    let pool = Pool::builder(manager).max_size(CONNECTIONS as usize).build()?;
    drop(pool.get().await?);
    Ok((relay, pool))
}
