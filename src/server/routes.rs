//! Every route. One resource a path, so that a wrong method is 405 and not 404.

use actix_web::Route;
use actix_web::web::{delete, get, patch, post, put};

use super::{
    batch, dependencies, docs, events, live, locks, openapi, problem, readiness, sessions,
    subjects, travel,
};

/// A path, and what it takes.
pub(super) type At = (&'static str, Vec<Route>);

/// All of them; each is an operation of the OpenAPI document.
pub(super) fn all() -> Vec<At> {
    let groups =
        [outside(), of_dependencies(), of_sessions(), of_subjects(), of_locks(), of_the_journal()];
    groups.into_iter().flatten().collect()
}

fn outside() -> Vec<At> {
    vec![
        ("/livez", vec![get().to(readiness::livez)]),
        ("/readyz", vec![get().to(readiness::readyz)]),
        ("/openapi.json", vec![get().to(openapi::show)]),
        ("/docs", vec![get().to(docs::redirect)]),
        ("/docs/{file:.*}", vec![get().to(docs::asset)]),
        ("/problems/{kind}", vec![get().to(problem::show)]),
    ]
}

fn of_dependencies() -> Vec<At> {
    vec![
        ("/api/v1/health", vec![get().to(dependencies::show_health)]),
        ("/api/v1/dependencies", vec![get().to(dependencies::list)]),
        (
            "/api/v1/dependencies/{name}",
            vec![get().to(dependencies::show), put().to(dependencies::configure)],
        ),
        ("/api/v1/dependencies/{name}/state", vec![post().to(dependencies::force)]),
        ("/api/v1/dependencies/{name}/permits", vec![post().to(dependencies::ask_permit)]),
        ("/api/v1/dependencies/{name}/outcomes", vec![post().to(dependencies::outcomes)]),
    ]
}

fn of_sessions() -> Vec<At> {
    vec![
        ("/api/v1/sessions", vec![get().to(sessions::list), post().to(sessions::create)]),
        (
            "/api/v1/sessions/{id}",
            vec![
                get().to(sessions::show),
                patch().to(sessions::change),
                delete().to(sessions::end),
            ],
        ),
        ("/api/v1/sessions/{id}/touch", vec![post().to(sessions::touch)]),
    ]
}

fn of_subjects() -> Vec<At> {
    vec![
        ("/api/v1/subjects/{id}", vec![delete().to(subjects::erase)]),
        (
            "/api/v1/subjects/{id}/consents",
            vec![get().to(subjects::consents), post().to(subjects::record_consent)],
        ),
        ("/api/v1/subjects/{id}/hold", vec![post().to(subjects::hold)]),
    ]
}

fn of_locks() -> Vec<At> {
    vec![
        ("/api/v1/locks", vec![get().to(locks::list)]),
        ("/api/v1/locks/{name}", vec![get().to(locks::show)]),
        ("/api/v1/locks/{name}/acquire", vec![post().to(locks::acquire)]),
        ("/api/v1/locks/{name}/renew", vec![post().to(locks::renew)]),
        ("/api/v1/locks/{name}/release", vec![post().to(locks::release)]),
        ("/api/v1/locks/{name}/check", vec![post().to(locks::check)]),
        ("/api/v1/locks/{name}/force-release", vec![post().to(locks::force_release)]),
        ("/api/v1/batch", vec![post().to(batch::run)]),
    ]
}

fn of_the_journal() -> Vec<At> {
    vec![
        ("/api/v1/events", vec![get().to(events::list)]),
        ("/api/v1/events/live", vec![get().to(live::follow)]),
        ("/api/v1/events/{position}/why", vec![get().to(travel::show_why)]),
        ("/api/v1/state", vec![get().to(travel::show_state)]),
        ("/api/v1/streams/{kind}/{id:.*}", vec![get().to(travel::show_stream)]),
        ("/api/v1/diff", vec![get().to(travel::show_diff)]),
    ]
}
