//! What each route needs, as a type that every route is made of, and as the table of
//! `docs/access.md`.

use actix_web::Route;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use mainstay_actors::key::Role;

use super::let_in;

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Need {
    /// Nothing: it tells nothing of anybody.
    Nothing,
    /// A role.
    Role {
        /// This one, or more.
        role: Role,
        /// Whether keys of a tenant reach it; they see their own there.
        by_tenants: bool,
    },
}

impl Need {
    /// A role of a key of all tenants.
    pub(in crate::server) const fn role(role: Role) -> Self {
        Self::Role { role, by_tenants: false }
    }

    /// A role; keys of a tenant see and command their own.
    pub(in crate::server) const fn scoped(role: Role) -> Self {
        Self::Role { role, by_tenants: true }
    }
}

/// A method of a path: what it needs, and what it does.
pub(in crate::server) struct Door {
    pub(in crate::server) method: Method,
    pub(in crate::server) need: Need,
    pub(in crate::server) route: Route,
}

/// A route that lets in who has what it needs.
pub(in crate::server) fn door(method: Method, need: Need, route: Route) -> Door {
    let route = route.wrap(from_fn(move |request, next| let_in(need, request, next)));
    Door { method, need, route }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::routes;

    /// The page with the table.
    const PAGE: &str = include_str!("../../../docs/access.md");

    fn row(path: &str, door: &Door) -> String {
        let cells: Vec<&str> = match door.need {
            Need::Nothing => vec!["yes"; 6],
            Need::Role { role, by_tenants } => {
                let roles = Role::ALL.map(|it| if it >= role { "yes" } else { "no" });
                let tenants = if by_tenants { "their own" } else { "no" };
                ["no"].into_iter().chain(roles).chain([tenants]).collect()
            },
        };
        format!("| `{} {path}` | {} |\n", door.method, cells.join(" | "))
    }

    #[test]
    fn the_page_has_the_whole_matrix() {
        let mut table = String::from(
            "| route | no key | viewer | operator | supervisor | admin | keys of a tenant |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for (path, doors) in routes::all() {
            table.extend(doors.iter().map(|door| row(path, door)));
        }
        assert!(PAGE.contains(&table), "docs/access.md needs this table:\n\n{table}");
    }
}
