//! `probe`: the URL of an endpoint that is probed.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An endpoint that is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTarget {
    /// A connection is made and closed.
    Tcp(String),
    /// A GET answers below 400.
    Http(String),
    /// A PING is answered with PONG.
    Redis(RedisTarget),
    /// A query is answered, by a server that takes writes.
    Postgres(PostgresTarget),
}

/// `redis://host[:port]`, or `rediss://…` over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTarget {
    /// A name or an address, without brackets.
    pub host: String,
    /// 6379 when absent.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// `postgres://host[:port][/database][?sslmode=…]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresTarget {
    /// A name or an address, without brackets.
    pub host: String,
    /// 5432 when absent.
    pub port: u16,
    /// The server's own default, the user's name, when absent.
    pub database: Option<String>,
    /// `sslmode`: `verify-full` when absent, or `disable`.
    pub tls: bool,
}

impl std::fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Http(url) => f.write_str(url),
            Self::Redis(it) => {
                let scheme = if it.tls { "rediss" } else { "redis" };
                write!(f, "{scheme}://{}:{}", bracketed(&it.host), it.port)
            },
            Self::Postgres(it) => {
                write!(f, "postgres://{}:{}", bracketed(&it.host), it.port)?;
                if let Some(database) = &it.database {
                    write!(f, "/{database}")?;
                }
                write!(f, "?sslmode={}", if it.tls { "verify-full" } else { "disable" })
            },
        }
    }
}

impl std::str::FromStr for ProbeTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("a probe is a URL: tcp://host:port")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // Anywhere in a database's URL: no part of one needs it.
        let database = matches!(scheme, "redis" | "rediss" | "postgres");
        if authority.contains('@') || database && rest.contains('@') {
            return Err("a probe's URL must not carry credentials".to_owned());
        }
        match scheme {
            "tcp" if has_port(authority) && authority == rest => Ok(Self::Tcp(rest.to_owned())),
            "tcp" => Err("a tcp probe names host and port: tcp://host:port".to_owned()),
            "http" | "https" if !authority.is_empty() => Ok(Self::Http(text.to_owned())),
            "redis" | "rediss" if authority == rest => {
                let (host, port) = endpoint(authority, 6379)?;
                Ok(Self::Redis(RedisTarget { host, port, tls: scheme == "rediss" }))
            },
            "redis" | "rediss" => Err("a redis probe names host and port only".to_owned()),
            "postgres" => postgres(rest).map(Self::Postgres),
            _ => Err(format!(
                "{scheme}:// cannot be probed; use tcp://, http://, https://, redis://, rediss:// \
                 or postgres://"
            )),
        }
    }
}

fn postgres(rest: &str) -> Result<PostgresTarget, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, "sslmode=verify-full"));
    let tls = match query {
        "sslmode=verify-full" => true,
        "sslmode=disable" => false,
        // What they accept depends on whom one meets, or on no certificate at all.
        _ => return Err("a postgres probe takes ?sslmode=verify-full or disable".to_owned()),
    };
    let (authority, database) = path.split_once('/').unwrap_or((path, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    if !database.bytes().all(plain) {
        return Err("a database's name is letters, digits and _ - . $".to_owned());
    }
    let (host, port) = endpoint(authority, 5432)?;
    let database = Some(database.to_owned()).filter(|it| !it.is_empty());
    Ok(PostgresTarget { host, port, database, tls })
}

/// Host without brackets, and port.
fn endpoint(authority: &str, default: u16) -> Result<(String, u16), String> {
    let rule = "a probe names a host, and a port from 1: host:port or [address]:port";
    let (host, port) = super::parts(authority);
    let port = port.map_or(Ok(default), str::parse::<u16>).map_err(|_| rule)?;
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => super::server::is_host(host),
    };
    if good && port > 0 {
        Ok((inner.unwrap_or(host).to_owned(), port))
    } else {
        Err(rule.to_owned())
    }
}

fn bracketed(host: &str) -> std::borrow::Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

fn has_port(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0))
}

impl Serialize for ProbeTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProbeTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_databases_are_read_whole_and_said_again() {
        for (text, said) in [
            ("redis://cache", "redis://cache:6379"),
            ("rediss://cache:6380", "rediss://cache:6380"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("postgres://db", "postgres://db:5432?sslmode=verify-full"),
            ("postgres://db:1/app?sslmode=disable", "postgres://db:1/app?sslmode=disable"),
            ("postgres://[::1]:7/app", "postgres://[::1]:7/app?sslmode=verify-full"),
        ] {
            let target: ProbeTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), said);
            assert_eq!(said.parse(), Ok(target), "{said}");
        }
    }

    #[test]
    fn what_a_database_s_url_may_not_hold_is_refused_and_not_repeated() {
        for bad in [
            "redis://",
            "redis://cache:0",
            "redis://cache:99999",
            "redis://cache/0",
            "redis://[::1",
            "redis://a b",
            "redis://:hunter2@cache",
            "postgres://",
            "postgres://db/a/b",
            "postgres://u:hunter2@db",
            "postgres://db?user=u&password=hunter2",
            "postgres://db?sslmode=prefer",
            "postgres://db?sslmode=require",
        ] {
            let told = bad.parse::<ProbeTarget>().unwrap_err();
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
