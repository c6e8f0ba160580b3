//! An HTTP client behind a guard: the API that it calls falls, and returns.
//!
//! ```text
//!   rate() ──► guard ──► reqwest ──► the API on loopback
//!                └─► yesterday's rate, while the API fails or the breaker is open
//! ```
//!
//! `cargo run --manifest-path examples/services/Cargo.toml --bin client`

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use mainstay::dependency::{Mode, Outcome};
use mainstay::guard::{Bulkhead, GuardError, Retry};
use services::{Failure, Temporary, until};
use tokio::net::TcpListener;

const YESTERDAY: &str = "1.07";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let api = Api::default();
    let address = serve(api.clone()).await?;
    let mainstay = Temporary::open().await?;
    let rates = mainstay.dependency("rates").await?;

    // Made once, used for every call.
    let http = reqwest::Client::new();
    let guard = rates
        .guard()
        .timeout(Duration::from_millis(500))
        .bulkhead(Bulkhead::default())
        // Pauses of 0.1 s at most: a caller does not wait for a breaker that is open for longer.
        .retry(Retry::attempts(2).base(Duration::from_millis(10)).max(Duration::from_millis(100)))
        // A question that the API refuses says nothing against the API.
        .classify(|answer: &reqwest::Result<String>| match answer {
            Ok(_) => Outcome::Success,
            Err(error) if error.status().is_some_and(|it| it.is_client_error()) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        })
        .fallback(|why: GuardError<reqwest::Error>| {
            println!("   fallback: {}", short(&why));
            YESTERDAY.to_owned()
        });
    let rate = async |of: &str| {
        let url = format!("http://{address}/rates/{of}");
        let call = || async { http.get(&url).send().await?.error_for_status()?.text().await };
        guard.call(call).await
    };

    println!("EUR is {}", rate("EUR").await?);
    if let Err(error) = rate("QQQ").await {
        println!("QQQ is nothing, and no fallback hides it: {}", short(&error));
    }

    println!("-- the API falls");
    api.is_down.store(true, Ordering::Relaxed);
    while mainstay.is_closed(&rates).await? {
        println!("EUR is {}", rate("EUR").await?);
    }
    until(&rates, Mode::Open).await?;
    let asked = api.asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        println!("EUR is {}", rate("EUR").await?);
    }
    println!("of these three {} reached the API", api.asked.load(Ordering::Relaxed) - asked);

    println!("-- the API returns");
    api.is_down.store(false, Ordering::Relaxed);
    until(&rates, Mode::HalfOpen).await?;
    while !mainstay.is_closed(&rates).await? {
        println!("EUR is {}", rate("EUR").await?);
    }
    until(&rates, Mode::Closed).await?;
    mainstay.close_and_tell("rates").await
}

fn short(error: &GuardError<reqwest::Error>) -> String {
    match error {
        GuardError::Failed(error) => match error.status() {
            Some(status) => format!("the API says {status}"),
            None => error.to_string(),
        },
        GuardError::Refused(refused) => refused.to_string(),
        other => other.to_string(),
    }
}

/// What stands in for somebody else's API.
#[derive(Clone, Default)]
struct Api {
    is_down: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

async fn serve(api: Api) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/rates/{of}", get(answer)).with_state(api);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn answer(
    State(api): State<Api>,
    Path(of): Path<String>,
) -> Result<&'static str, StatusCode> {
    api.asked.fetch_add(1, Ordering::Relaxed);
    match of.as_str() {
        _ if api.is_down.load(Ordering::Relaxed) => Err(StatusCode::BAD_GATEWAY),
        "EUR" => Ok("1.08"),
        _ => Err(StatusCode::NOT_FOUND),
    }
}
