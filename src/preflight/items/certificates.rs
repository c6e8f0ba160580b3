//! TLS.

use std::net::IpAddr;

use crate::preflight::facts::Facts;
use crate::preflight::item::Severity::{Critical, Major};
use crate::preflight::item::{Item, attested, machine, unless};
use crate::preflight::ruling::{Ruling, none_of, of_certificate, of_config, rule};
use crate::preflight::words::{self, DAY_MS, OTHERS};

/// How long a certificate is to be valid from now on, in milliseconds.
const VALID_MS: u64 = 30 * DAY_MS;

pub(super) const ITEMS: &[Item] = &[
    machine(
        "certificates.readable",
        Critical,
        "Certificate and private key can be read, and belong together",
        "mainstay serve --config FILE --dry-run",
        |facts| match &facts.certificate {
            None => Ruling::not_applicable("there is no [server.tls]"),
            Some(Ok(it)) => Ruling::pass(format!("{} certificates", it.chain)),
            Some(Err(error)) => Ruling::fail(error.clone()),
        },
    ),
    machine(
        "certificates.valid-for-30-days",
        Critical,
        "The certificate is valid for 30 days from now on",
        "renew it; the server takes it in without a restart",
        |facts| {
            of_certificate(facts, |it| {
                let left = it.until.ms_since(facts.now);
                rule(left >= VALID_MS, format!("{} left, until {}", words::span(left), it.until))
            })
        },
    ),
    machine(
        "certificates.begun",
        Critical,
        "The certificate is valid already",
        "wait, or set the clock",
        |facts| of_certificate(facts, |it| rule(it.from <= facts.now, format!("from {}", it.from))),
    ),
    machine(
        "certificates.names",
        Critical,
        "The certificate is for every name by which the server may be asked for",
        "get one for all of `server.names`",
        names,
    ),
    machine(
        "certificates.chain",
        Critical,
        "Each certificate of the file is signed by the one after it",
        "put the certificate first, then those that lead to its authority, in order",
        |facts| {
            of_certificate(facts, |it| match &it.broken {
                None => Ruling::pass(format!("{} certificates", it.chain)),
                Some(broken) => Ruling::fail(broken.clone()),
            })
        },
    ),
    machine(
        "certificates.key-mode",
        Critical,
        "Only its owner can read the private key",
        "chmod 600 FILE, and get another if somebody has read it",
        |facts| {
            of_certificate(facts, |it| {
                let private = words::keeps_out(it.key_mode, OTHERS);
                rule(private, format!("mode {}", words::mode(it.key_mode)))
            })
        },
    ),
    unless(
        attested(
            "certificates.renewed-by-itself",
            Major,
            "The certificate is renewed by itself, and somebody is told if it is not",
            "let a job renew it, and an alert watch its end",
            180,
        ),
        |facts| facts.certificate.is_none().then_some("there is no [server.tls]"),
    ),
];

fn names(facts: &Facts) -> Ruling {
    of_config(facts, |config| {
        of_certificate(facts, |certificate| {
            let wanted: Vec<&str> = config.config.server.names.iter().collect();
            if wanted.is_empty() {
                return Ruling::not_applicable("server.names is empty");
            }
            let bad = wanted.iter().filter(|name| !covers(&certificate.names, name));
            let bad: Vec<String> = bad.map(|name| format!("it is not for {name}")).collect();
            none_of(&bad, certificate.names.join(", "))
        })
    })
}

/// Whether one of these is this name; a `*` is one label, the first.
fn covers(names: &[String], wanted: &str) -> bool {
    let wanted = wanted.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let is = |name: &String| {
        let name = name.to_lowercase();
        if let (Ok(a), Ok(b)) = (name.parse::<IpAddr>(), wanted.parse::<IpAddr>()) {
            return a == b;
        }
        let below = name.strip_prefix("*.").zip(wanted.split_once('.'));
        name == wanted || below.is_some_and(|(rest, (_, parent))| rest == parent)
    };
    names.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_is_one_label_and_an_address_is_itself_however_it_is_written() {
        let names = ["*.a.example", "b.example", "::1"].map(str::to_owned);
        for (wanted, good) in [
            ("x.a.example", true),
            ("X.A.example", true),
            ("a.example", false),
            ("x.y.a.example", false),
            ("b.example", true),
            ("c.b.example", false),
            ("[0:0::1]", true),
            ("::2", false),
        ] {
            assert_eq!(covers(&names, wanted), good, "{wanted}");
        }
    }
}
