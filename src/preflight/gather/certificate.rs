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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(name: &str) -> CertificateParams {
        let mut params =
            CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 2, 3);
        params
    }

    /// A certificate and its authority, in this order or the other, and how they are read.
    fn written(folder: &Path, in_order: bool) -> Result<CertificateFacts, String> {
        let (of_ca, of_leaf) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = params("authority.example");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let root = ca.self_signed(&of_ca).unwrap();
        let leaf = params("leaf.example");
        let leaf = leaf.signed_by(&of_leaf, &Issuer::new(ca, &of_ca)).unwrap();
        let (leaf, root) = (leaf.pem(), root.pem());
        let (text, key) = if in_order { (leaf + &root, of_leaf) } else { (root + &leaf, of_ca) };
        let files = TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        fs::write(&files.cert, text).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        read(&files)
    }

    #[test]
    fn times_names_and_chain_are_read_and_the_first_end_counts() {
        let folder = tempfile::tempdir().unwrap();
        let facts = written(folder.path(), true).unwrap();
        assert_eq!(facts.names, ["leaf.example", "127.0.0.1"]);
        assert_eq!(facts.from.to_string(), "2026-01-01T00:00:00.000000Z");
        assert_eq!(facts.until.to_string(), "2027-01-01T00:00:00.000000Z");
        assert_eq!((facts.chain, facts.broken, facts.key_mode & 0o777), (2, None, 0o600));
    }

    #[test]
    fn a_chain_in_another_order_is_told_and_so_is_a_key_that_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let broken = written(folder.path(), false).unwrap().broken.unwrap();
        assert!(
            broken.starts_with("certificate 1 is by CN=authority.example, the next"),
            "{broken}"
        );
        let key = folder.path().join("key.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let files = TlsConfig { cert: folder.path().join("cert.pem"), key };
        assert_eq!(read(&files).unwrap().key_mode & 0o777, 0o644);
        fs::remove_file(&files.cert).unwrap();
        assert!(read(&files).unwrap_err().contains("cert.pem: No such file"));
    }
}
