//! Every route. One resource a path, so that a wrong method is 405 and not 404.

use actix_web::Handler;
use actix_web::http::Method;
use actix_web::web::route;
use actix_web::{FromRequest, Responder};
use mainstay_actors::key::Role::{Admin, Operator, Supervisor, Viewer};

use super::access::{Door, Need, door};
use super::{
    attestations, backups, batch, chaos, dependencies, docs, drills, events, keys, launch, live,
    locks, metrics, openapi, problem, proofs, readiness, sessions, subjects, travel,
};

/// Takes larger bodies than others do.
pub(super) const IMPORT: &str = "/api/v1/subjects";

/// A path, and what it takes.
pub(super) type At = (&'static str, Vec<Door>);

/// All of them; each is an operation of the OpenAPI document and a row of `docs/access.md`.
pub(super) fn all() -> Vec<At> {
    let groups = [
        outside(),
        of_dependencies(),
        of_sessions(),
        of_subjects(),
        of_locks(),
        of_the_journal(),
        of_drills(),
        of_keys(),
        of_chaos(),
        of_launches(),
        of_operations(),
    ];
    groups.into_iter().flatten().collect()
}

fn outside() -> Vec<At> {
    let open = Need::Nothing;
    vec![
        ("/livez", vec![get(open, readiness::livez)]),
        ("/readyz", vec![get(open, readiness::readyz)]),
        // Figures of all tenants.
        ("/metrics", vec![get(Need::role(Viewer), metrics::show)]),
        ("/openapi.json", vec![get(open, openapi::show)]),
        ("/docs", vec![get(open, docs::redirect)]),
        ("/docs/{file:.*}", vec![get(open, docs::asset)]),
        ("/problems/{kind}", vec![get(open, problem::show)]),
    ]
}

fn of_dependencies() -> Vec<At> {
    // They are everybody's: a tenant sees them, and commands none.
    let (reads, commands) = (Need::scoped(Viewer), Need::role(Operator));
    vec![
        ("/api/v1/health", vec![get(reads, dependencies::show_health)]),
        ("/api/v1/dependencies", vec![get(reads, dependencies::list)]),
        (
            "/api/v1/dependencies/{name}",
            vec![get(reads, dependencies::show), put(commands, dependencies::configure)],
        ),
        ("/api/v1/dependencies/{name}/state", vec![post(commands, dependencies::force)]),
        ("/api/v1/dependencies/{name}/permits", vec![post(commands, dependencies::ask_permit)]),
        ("/api/v1/dependencies/{name}/outcomes", vec![post(commands, dependencies::outcomes)]),
    ]
}

fn of_sessions() -> Vec<At> {
    let (reads, commands) = (Need::scoped(Viewer), Need::scoped(Operator));
    vec![
        ("/api/v1/sessions", vec![get(reads, sessions::list), post(commands, sessions::create)]),
        (
            "/api/v1/sessions/{id}",
            vec![
                get(reads, sessions::show),
                patch(commands, sessions::change),
                delete(commands, sessions::end),
            ],
        ),
        ("/api/v1/sessions/{id}/touch", vec![post(commands, sessions::touch)]),
    ]
}

fn of_subjects() -> Vec<At> {
    let (reads, commands) = (Need::scoped(Viewer), Need::scoped(Operator));
    vec![
        (IMPORT, vec![post(Need::scoped(Admin), subjects::import)]),
        (
            "/api/v1/subjects/{id}",
            vec![patch(commands, subjects::rectify), delete(Need::scoped(Admin), subjects::erase)],
        ),
        ("/api/v1/subjects/{id}/export", vec![get(Need::scoped(Admin), subjects::export)]),
        (
            "/api/v1/subjects/{id}/consents",
            vec![get(reads, subjects::consents), post(commands, subjects::record_consent)],
        ),
        ("/api/v1/subjects/{id}/hold", vec![post(Need::scoped(Supervisor), subjects::hold)]),
    ]
}

fn of_locks() -> Vec<At> {
    let (reads, commands) = (Need::scoped(Viewer), Need::scoped(Operator));
    vec![
        ("/api/v1/locks", vec![get(reads, locks::list)]),
        ("/api/v1/locks/{name}", vec![get(reads, locks::show)]),
        ("/api/v1/locks/{name}/acquire", vec![post(commands, locks::acquire)]),
        ("/api/v1/locks/{name}/renew", vec![post(commands, locks::renew)]),
        ("/api/v1/locks/{name}/release", vec![post(commands, locks::release)]),
        // For the resource that is written: it asks, and changes nothing.
        ("/api/v1/locks/{name}/check", vec![post(reads, locks::check)]),
        (
            "/api/v1/locks/{name}/force-release",
            vec![post(Need::scoped(Supervisor), locks::force_release)],
        ),
        ("/api/v1/batch", vec![post(commands, batch::run)]),
    ]
}

fn of_the_journal() -> Vec<At> {
    let reads = Need::scoped(Viewer);
    vec![
        ("/api/v1/events", vec![get(reads, events::list)]),
        ("/api/v1/events/live", vec![get(reads, live::follow)]),
        ("/api/v1/events/{position}/why", vec![get(reads, travel::show_why)]),
        ("/api/v1/state", vec![get(reads, travel::show_state)]),
        ("/api/v1/streams/{kind}/{id:.*}", vec![get(reads, travel::show_stream)]),
        ("/api/v1/diff", vec![get(reads, travel::show_diff)]),
        ("/api/v1/checkpoint", vec![get(reads, proofs::show_checkpoint)]),
        ("/api/v1/checkpoint/keys", vec![get(reads, proofs::show_keys)]),
        // Of events that they may see.
        ("/api/v1/proofs/inclusion/{position}", vec![get(reads, proofs::show_inclusion)]),
        ("/api/v1/proofs/consistency", vec![get(reads, proofs::show_consistency)]),
    ]
}

fn of_drills() -> Vec<At> {
    // Everybody's data was practised with.
    let (reads, records) = (Need::role(Viewer), Need::role(Operator));
    vec![("/api/v1/drills", vec![get(reads, drills::list), post(records, drills::record)])]
}

fn of_keys() -> Vec<At> {
    let admin = Need::role(Admin);
    vec![
        ("/api/v1/keys", vec![get(admin, keys::list), post(admin, keys::create)]),
        ("/api/v1/keys/{name}", vec![get(admin, keys::show)]),
        ("/api/v1/keys/{name}/rotate", vec![post(admin, keys::rotate)]),
        ("/api/v1/keys/{name}/revoke", vec![post(admin, keys::revoke)]),
    ]
}

fn of_chaos() -> Vec<At> {
    // It strikes everybody's calls.
    let (reads, commands) = (Need::role(Viewer), Need::role(Operator));
    vec![
        (
            "/api/v1/chaos",
            vec![
                get(reads, chaos::list),
                post(commands, chaos::start),
                delete(commands, chaos::stop_all),
            ],
        ),
        ("/api/v1/chaos/{name}", vec![delete(commands, chaos::stop)]),
    ]
}

fn of_launches() -> Vec<At> {
    // They name keys and dependencies of everybody.
    let reads = Need::role(Viewer);
    vec![
        (
            "/api/v1/attestations",
            vec![
                get(reads, attestations::list),
                post(Need::role(Supervisor), attestations::attest),
            ],
        ),
        ("/api/v1/gate/launch", vec![get(reads, launch::show)]),
    ]
}

fn of_operations() -> Vec<At> {
    let (reads, commands) = (Need::role(Viewer), Need::role(Operator));
    vec![("/api/v1/backups", vec![get(reads, backups::list), post(commands, backups::make)])]
}

macro_rules! methods {
    ($($name:ident $method:ident,)+) => {
        $(
            fn $name<F, Args>(need: Need, handler: F) -> Door
            where
                F: Handler<Args>,
                Args: FromRequest + 'static,
                F::Output: Responder + 'static,
            {
                door(Method::$method, need, route().method(Method::$method).to(handler))
            }
        )+
    };
}

methods! { get GET, put PUT, post POST, patch PATCH, delete DELETE, }
