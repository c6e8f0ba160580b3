//! A guard as a middleware of actix-web: what is too much is shed with a word on when to come back.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::test::{TestRequest, call_service, init_service, try_call_service};
use actix_web::{App, HttpResponse, web};
use mainstay::guard::{Bulkhead, ByStatus, RateLimit, Shed};

use super::support::{Rig, ms};

#[actix_web::test]
async fn a_rate_that_is_too_high_is_429_with_a_time() {
    let rig = Rig::new().await;
    let limit = RateLimit::per(3, Duration::from_mins(1)).unwrap();
    let guard = rig.db.guard().classified_by(ByStatus).rate_limit(limit);
    let app = App::new().wrap(guard.into_inbound()).route("/", web::get().to(HttpResponse::Ok));
    let app = init_service(app).await;
    for _ in 0..3 {
        let response = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    let shed = try_call_service(&app, TestRequest::get().uri("/").to_request()).await;
    let response = shed.unwrap_err().error_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 =
        response.headers().get(RETRY_AFTER).unwrap().to_str().unwrap().parse().unwrap();
    assert!((15..=21).contains(&seconds), "{seconds}");
    rig.stay.close().await;
}

#[actix_web::test]
async fn answers_of_500_open_the_breaker_and_it_answers_503() {
    let rig = Rig::new().await;
    let guard = rig.db.guard().classified_by(ByStatus);
    let app = App::new()
        .wrap(guard.into_inbound())
        .route("/broken", web::get().to(HttpResponse::InternalServerError))
        .route("/", web::get().to(HttpResponse::Ok));
    let app = init_service(app).await;
    for uri in ["/broken", "/missing", "/broken"] {
        call_service(&app, TestRequest::get().uri(uri).to_request()).await;
    }
    let response = call_service(&app, TestRequest::get().uri("/").to_request()).await;
    assert_eq!(response.status(), StatusCode::OK, "two of four: it trips with this one");
    let shed = try_call_service(&app, TestRequest::get().uri("/").to_request()).await;
    let error = shed.unwrap_err();
    assert!(error.as_error::<Shed>().is_some(), "{error}");
    let response = error.error_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
    rig.stay.close().await;
}

#[actix_web::test]
async fn a_full_service_answers_503_while_others_are_served() {
    let rig = Rig::new().await;
    let bulkhead = Bulkhead::new(1).queue(0);
    let guard = rig.db.guard().classified_by(ByStatus).bulkhead(bulkhead.clone());
    let app = App::new().wrap(guard.into_inbound()).route("/", web::get().to(slowly));
    let app = init_service(app).await;
    let first = call_service(&app, TestRequest::get().uri("/").to_request());
    let second = async {
        tokio::time::sleep(ms(10)).await;
        try_call_service(&app, TestRequest::get().uri("/").to_request()).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.status(), StatusCode::OK);
    let response = second.unwrap_err().error_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    assert_eq!((bulkhead.counts().exhausted_total, bulkhead.counts().active), (1, 0));
    rig.stay.close().await;
}

async fn slowly() -> HttpResponse {
    tokio::time::sleep(ms(50)).await;
    HttpResponse::Ok().finish()
}
