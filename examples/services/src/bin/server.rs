//! An axum server whose whole router stands behind a guard: what it cannot serve it sheds, with a
//! word on when to come back.
//!
//! ```text
//!   request ──► HandleErrorLayer ──► guard ──► the router
//!                   └── refused: 503 (429 for a rate limit), Retry-After, application/problem+json
//! ```
//!
//! `cargo run --manifest-path examples/services/Cargo.toml --bin server`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mainstay::dependency::{Dependency, Mode, Outcome};
use mainstay::guard::{Bulkhead, GuardError, Refused};
use services::{Failure, Temporary, until};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::ServiceBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mainstay = Temporary::open().await?;
    let checkout = mainstay.dependency("checkout").await?;
    let is_down = Arc::new(AtomicBool::new(false));
    let address = serve(&checkout, is_down.clone()).await?;

    println!("-- six requests at once, where two have room and one may wait");
    let mut at_once = JoinSet::new();
    for _ in 0..6 {
        at_once.spawn(ask(address));
    }
    while let Some(told) = at_once.join_next().await {
        println!("{}", told??);
    }

    println!("-- what the handlers need falls");
    is_down.store(true, Ordering::Relaxed);
    while mainstay.is_closed(&checkout).await? {
        println!("{}", ask(address).await?);
    }
    until(&checkout, Mode::Open).await?;
    println!("{}", ask(address).await?);

    println!("-- it returns");
    is_down.store(false, Ordering::Relaxed);
    until(&checkout, Mode::HalfOpen).await?;
    while !mainstay.is_closed(&checkout).await? {
        println!("{}", ask(address).await?);
    }
    until(&checkout, Mode::Closed).await?;
    mainstay.close_and_tell("checkout").await
}

async fn serve(checkout: &Dependency, is_down: Arc<AtomicBool>) -> Result<SocketAddr, Failure> {
    let guard = checkout
        .guard()
        .timeout(Duration::from_secs(1))
        .bulkhead(Bulkhead::new(2).queue(1))
        .classify(|answer: &Result<Response, Infallible>| match answer {
            Ok(response) if response.status().is_server_error() => Outcome::Failure,
            _ => Outcome::Success,
        });
    let router = Router::new()
        .route("/", get(book))
        .with_state(is_down)
        .layer(ServiceBuilder::new().layer(HandleErrorLayer::new(shed)).layer(guard.into_layer()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// A handler; it takes its time.
async fn book(State(is_down): State<Arc<AtomicBool>>) -> Result<&'static str, StatusCode> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    if is_down.load(Ordering::Relaxed) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok("booked")
}

/// What the guard did not let in.
async fn shed(error: GuardError<Infallible>) -> Response {
    let (status, retry_after) = match &error {
        GuardError::Refused(Refused::RateLimited { .. }) => {
            (StatusCode::TOO_MANY_REQUESTS, error.retry_after())
        },
        _ => (StatusCode::SERVICE_UNAVAILABLE, error.retry_after()),
    };
    // Whole seconds, and never too early.
    let seconds = retry_after.unwrap_or_default().as_millis().div_ceil(1_000).max(1);
    let problem = format!(r#"{{"title":"{error}","status":{}}}"#, status.as_u16());
    let headers =
        [(CONTENT_TYPE, "application/problem+json".to_owned()), (RETRY_AFTER, seconds.to_string())];
    (status, headers, problem).into_response()
}

/// A client: the answer in a line.
async fn ask(address: SocketAddr) -> reqwest::Result<String> {
    let response = reqwest::get(format!("http://{address}/")).await?;
    let status = response.status();
    let retry_after = match response.headers().get(RETRY_AFTER) {
        Some(seconds) => format!(", Retry-After: {}", seconds.to_str().unwrap_or_default()),
        None => String::new(),
    };
    Ok(format!("{status}{retry_after}: {}", response.text().await?))
}
