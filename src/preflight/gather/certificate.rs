//! The certificate of TLS: times, names, and whether its chain holds together.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;

use mainstay_actors::time::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::config::TlsConfig;
use crate::preflight::facts::CertificateFacts;
use crate::server::{TlsError, check_tls};

pub(super) fn read(files: &TlsConfig) -> Result<CertificateFacts, String> {
    match check_tls(files) {
        // Told by an item of its own.
        Err(TlsError::File { path, .. }) if path == files.key && is_open(files) => {},
        Err(error) => return Err(error.to_string()),
        Ok(()) => {},
    }
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", files.cert.display());
    let text = fs::read(&files.cert).map_err(|error| told(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| told(&error))?;
    let parsed = chain.iter().map(|der| X509Certificate::from_der(der).map(|(_, it)| it));
    let parsed = parsed.collect::<Result<Vec<_>, _>>().map_err(|error| told(&error))?;
    let first = parsed.first().ok_or_else(|| told(&"it holds no certificate"))?;
    let mode = fs::metadata(&files.key).map_err(|error| told(&error))?.mode();
    Ok(CertificateFacts {
        from: moment(first.validity().not_before),
        until: parsed.iter().map(|it| moment(it.validity().not_after)).min().unwrap_or_default(),
        names: names(first),
        chain: parsed.len(),
        broken: broken(&parsed),
        key_mode: mode,
    })
}

/// Whether others can read the private key.
fn is_open(files: &TlsConfig) -> bool {
    fs::metadata(&files.key).is_ok_and(|it| it.mode() & 0o077 != 0)
}

fn moment(time: ASN1Time) -> Timestamp {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|it| it.to_string()),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

/// What is wrong with the way from the first certificate to the last.
fn broken(chain: &[X509Certificate<'_>]) -> Option<String> {
    let pairs = chain.iter().zip(chain.iter().skip(1)).enumerate();
    for (index, (below, above)) in pairs {
        let number = index + 1;
        if below.issuer() != above.subject() {
            let (issuer, subject) = (below.issuer(), above.subject());
            let told = format!("certificate {number} is by {issuer}, the next one is {subject}");
            return Some(told);
        }
        if below.verify_signature(Some(above.public_key())).is_err() {
            return Some(format!("certificate {number} is not signed by the next one"));
        }
    }
    None
}
