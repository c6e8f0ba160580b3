//! `GET /docs`: the OpenAPI document as a page, from files inside the program.
//!
//! The browser is told to load nothing from anywhere else, whatever the page may ask for.

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use actix_web::web::Path;
use utoipa::IntoParams;
use utoipa_swagger_ui::{Config, serve};

use super::problem::Problem;

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Without this the page would ask a public service whether the document is valid.
    Arc::new(Config::from("/openapi.json").validator_url("none").use_base_layout())
});

/// Everything from this server, nothing written into the page; pictures may be part of a style.
const ONLY_FROM_HERE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                              img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'none'";

/// Leads to the page, whose files lie beside it.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "documents",
    operation_id = "open_docs",
    responses((status = 308, description = "The page is at /docs/", headers(("Location" = String, description = "/docs/"))))
)]
pub(super) async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// A file of the page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the schema of a part of the path")]
struct DocsFile {
    /// Nothing for the page itself.
    #[param(example = "index.html")]
    file: String,
}

/// The page, and the files that it loads.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "documents",
    operation_id = "show_docs",
    params(DocsFile),
    responses((status = 200, description = "The file", content((String = "text/html"), (String = "text/css"), (String = "text/javascript"), (Vec<u8> = "image/png")))),
    extensions(("x-problems" = json!(["not-found"])))
)]
pub(super) async fn asset(file: Path<String>) -> Result<HttpResponse, Problem> {
    let found = serve(&file, CONFIG.clone()).map_err(|error| Problem::internal(error.to_string()));
    let found =
        found?.ok_or_else(|| Problem::not_found(format!("/docs has no file {:?}", *file)))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, ONLY_FROM_HERE))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_TYPE, found.content_type))
        .body(found.bytes.into_owned()))
}
