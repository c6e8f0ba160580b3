//! The headers of every answer, errors too.
//!
//! Not of what the framework answers before there is a request: 400 to a head that is none, 408 to
//! one that does not come, 431 to one that is too large. Those have no body, and close.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, PERMISSIONS_POLICY,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use actix_web::middleware::Next;

/// Of every answer.
const ALWAYS: [(HeaderName, &str); 5] = [
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // The filter that this once turned on can open holes: docs/adr/0016-no-xss-filter.md
    (X_XSS_PROTECTION, "0"),
    (
        PERMISSIONS_POLICY,
        "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
         fullscreen=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), \
         magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
         publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), \
         serial=(), storage-access=(), usb=(), window-management=(), \
         xr-spatial-tracking=()",
    ),
];
/// A year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// An answer is data: nothing in it may load or run, wherever it is shown.
const DATA_ONLY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Adds them; over TLS the browser is told to come back over TLS only.
pub(super) async fn add(
    secure: bool,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let of_the_api = request.path().starts_with("/api");
    let mut response = next.call(request).await?;
    write(response.headers_mut(), secure, of_the_api);
    Ok(response)
}

/// Writes them into an answer. A page may have a policy of its own, and be kept.
pub(super) fn write(headers: &mut HeaderMap, secure: bool, of_the_api: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, DATA_ONLY);
    }
    if of_the_api || !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
}
