//! A small service that embeds mainstay: two guests want one room for overlapping nights.
//!
//! ```text
//!   anna ── session ── lease 1 to 5 December ── renewed ── session ends: lost
//!   ben  ──────────────────── waits ─────────────────────────── lease 3 to 8 December ── revoked
//! ```
//!
//! `cargo run --example booking --no-default-features`

use std::error::Error;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use jiff::civil::date;
use mainstay::event::Event;
use mainstay::journal::{Query, ReadLog, Reader, StreamId};
use mainstay::lock::AcquireError;
use mainstay::{Config, Mainstay};

/// Short, so that the example sees a renewal; a real service takes half a minute.
const TTL: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    serve(data.path(), &mut io::stdout().lock()).await
}

/// Everything the service does, told line by line.
pub(crate) async fn serve(data: &Path, told: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    data.clone_into(&mut config.server.data);
    let stay = Mainstay::open(config).await?;
    let health = stay.health().await?;
    writeln!(told, "health: {}, score {}", health.level, health.score.shown())?;
    book(&stay, told).await?;
    stay.close().await;
    replay(data, told)
}

async fn book(stay: &Mainstay, told: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let minutes = Duration::from_mins(30);
    let session = stay.sessions().create("guest-1", minutes).attribute("nights", &4).await?.session;

    let (check_in, check_out) = (date(2026, 12, 1), date(2026, 12, 5));
    let room = stay.lock("room-101").range(check_in..check_out).session(&session);
    let anna = room.acquire("anna", TTL).await?;
    writeln!(told, "anna holds {} from {check_in} to {check_out}", anna.name())?;

    // Ben's nights overlap; a task waits for them.
    let (from, to) = (date(2026, 12, 3), date(2026, 12, 8));
    let room = stay.lock("room-101").range(from..to);
    if let Err(AcquireError::Held { holders, .. }) = room.clone().acquire("ben", TTL).await {
        let owners: Vec<&str> = holders.iter().map(|holder| holder.owner.as_str()).collect();
        writeln!(told, "ben waits behind {}", owners.join(", "))?;
    }
    let ben = tokio::spawn(room.wait(Duration::from_mins(1)).acquire("ben", TTL));

    let before = anna.expires_at();
    if anna.renewed().await? > before {
        writeln!(told, "the lease was renewed: it ends later")?;
    }

    session.end().await?;
    writeln!(told, "anna's session ends: {}", anna.lost().await)?;

    let ben = ben.await??;
    writeln!(told, "ben holds {} from {from} to {to}", ben.name())?;
    stay.lock("room-101").force_release("the roof leaks").await?;
    writeln!(told, "an operator: {}", ben.lost().await)?;
    Ok(())
}

/// What happened to the room, from the journal alone.
fn replay(data: &Path, told: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let room = StreamId::new("lock", "room-101");
    let mut events = Vec::new();
    Reader::open(data)?.find(&Query { stream: room, ..Query::default() }, &mut |record| {
        events.push(Event::of(&record));
        ControlFlow::Continue(())
    })?;
    for event in events {
        writeln!(told, "room-101 {}", event.name)?;
    }
    Ok(())
}
