//! A GET that is answered below 400.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Asks over HTTP or HTTPS; `ca` instead of the public authorities.
pub(super) fn agent(ca: Option<&Path>, timeout: Duration) -> Result<ureq::Agent, String> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = ca {
        tls = tls.root_certs(RootCerts::Specific(Arc::new(read_ca(path)?)));
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .http_status_as_error(false)
        // Each probe asks whether a connection can be made, too.
        .max_idle_connections(0)
        .tls_config(tls.build())
        .build();
    Ok(config.into())
}

pub(super) fn ask(agent: &ureq::Agent, url: &str) -> Result<(), String> {
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        ..400 => Ok(()),
        status => Err(format!("answered with status {status}")),
    }
}

fn read_ca(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let roots: Result<Vec<_>, _> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error.to_string())),
        })
        .collect();
    match roots {
        Ok(roots) if roots.is_empty() => Err("holds no certificate in PEM".to_owned()),
        roots => roots,
    }
}
