//! `[server]`: where it listens, what of it the network sees, where its data lies.
//!
//! | `listen` | needs | keys |
//! |---|---|---|
//! | loopback | nothing | as `[access]` says |
//! | loopback, with `[server.tls]` | the certificate | always |
//! | any other address | `[server.tls]`, and a key in the journal | always |

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::List;

/// The port when none is configured.
pub const DEFAULT_PORT: u16 = 7070;

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port; one that is not loopback needs `[server.tls]` and a key.
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Address and port that lead plain HTTP to the https URL of the same path, and do nothing else.
    #[cfg_attr(feature = "cli", schemars(with = "Option<String>"))]
    pub redirect: Option<SocketAddr>,
    /// The names by which it may be asked for, in `Host`; none: any on a public address, those of
    /// this machine on loopback.
    pub names: List,
    /// Origins whose pages may ask in a browser: `https://app.example`.
    pub origins: List,
    /// The certificate: it serves https with it, and nothing else.
    pub tls: Option<TlsConfig>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            data: PathBuf::from("./mainstay-data"),
            redirect: None,
            names: List::default(),
            origins: List::default(),
            tls: None,
        }
    }
}

/// `[server.tls]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, Default)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// A PEM file with the certificate, and those that lead to its authority.
    pub cert: PathBuf,
    /// A PEM file with its private key, which only the server's user may read.
    pub key: PathBuf,
}

impl ServerConfig {
    /// Whether it can be reached from elsewhere.
    #[must_use]
    pub fn is_public(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(tls) = &self.tls
            && [&tls.cert, &tls.key].into_iter().any(|it| it.as_os_str().is_empty())
        {
            return Err("server.tls needs both `cert` and `key`, two PEM files".to_owned());
        }
        if self.redirect.is_some() && self.tls.is_none() {
            return Err("server.redirect leads to https, and there is no [server.tls]".to_owned());
        }
        if let Some(name) = self.names.iter().find(|it| !is_host(it)) {
            return Err(format!("server.names: {name:?} is no host name or address; no port"));
        }
        if let Some(origin) = self.origins.iter().find(|it| !is_origin(it)) {
            return Err(format!(
                "server.origins: {origin:?} must be scheme, host and port as a browser sends them: \
                 https://app.example"
            ));
        }
        Ok(())
    }
}

/// Whether this is a name or an address, without a port: `mainstay.example`, `192.0.2.1`, `[::1]`.
#[must_use]
pub fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return address.parse::<IpAddr>().is_ok_and(|it| it.is_ipv6());
    }
    let label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (1..=63).contains(&label.len()) && plain && !edges
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// An origin as browsers write it: lower case, the port only where it is not the scheme's.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = parts(authority);
    let usual = if scheme == "https" { "443" } else { "80" };
    let port_fits = port.is_none_or(|it| it != usual && it.parse::<u16>().is_ok());
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    ["http", "https"].contains(&scheme) && is_host(host) && port_fits && lower
}

/// Host and port of an authority.
#[must_use]
pub fn parts(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_that_could_be_more() {
        for good in ["a", "mainstay.example", "a-b.c_d.e", "192.0.2.1", "[::1]", "XN--P1AI"] {
            assert!(is_host(good), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a/b",
            "a:1",
            "a@b",
            "a\\b",
            "a%2f",
            "::1",
            "[a]",
            "[127.0.0.1]",
            "[::1",
            "\u{e9}",
            "a\r\nb",
            "a?b",
            "a#b",
            "*.example",
            &long,
        ] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_the_network_sees_is_checked_where_it_is_written() {
        let tls = "[server.tls]\ncert = \"c\"\nkey = \"k\"\n";
        let read = |text: &str| Config::from_text(text, "test", []).map_err(|e| e.to_string());
        for good in [
            "[server]\nnames = [\"mainstay.example\"]\norigins = [\"https://app.example:8443\"]\n",
            tls,
            &format!("[server]\nredirect = \"0.0.0.0:80\"\n{tls}"),
        ] {
            read(good).unwrap();
        }
        for (bad, told) in [
            ("[server.tls]\ncert = \"c\"\n", "server.tls needs both"),
            ("[server]\nredirect = \"0.0.0.0:80\"\n", "server.redirect leads to https"),
            ("[server]\nnames = [\"a:1\"]\n", "server.names: \"a:1\""),
            ("[server]\nnames = 3\n", "must be a list of texts"),
            ("[server]\norigins = [\"*\"]\n", "server.origins: \"*\""),
            ("[server]\norigins = [\"https://app.example/\"]\n", "server.origins"),
            ("[server]\norigins = [\"https://app.example:443\"]\n", "server.origins"),
            ("[server]\norigins = [\"https://App.example\"]\n", "server.origins"),
            ("[server]\norigins = [\"null\"]\n", "server.origins"),
            ("[access]\nrate_per_second = 1000001\n", "access.rate_per_second must be 0 to"),
            ("[access]\nburst = 0\n", "access.burst must be 1 to"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(told), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_variable_reaches_a_section_in_a_section_and_a_list_by_commas() {
        let variables = [
            ("MAINSTAY__SERVER__TLS__CERT", "/c"),
            ("MAINSTAY__SERVER__TLS__KEY", "/k"),
            ("MAINSTAY__SERVER__NAMES", "a.example, b.example"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_text("", "test", variables).unwrap();
        let tls = TlsConfig { cert: PathBuf::from("/c"), key: PathBuf::from("/k") };
        assert_eq!(config.server.tls, Some(tls));
        let names: Vec<&str> = config.server.names.iter().collect();
        assert_eq!(names, ["a.example", "b.example"]);
    }
}
