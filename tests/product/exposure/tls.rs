//! The certificate: which versions, who may read its key, how a new one comes in.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ProtocolVersion, SupportedProtocolVersion, version};
use tempfile::tempdir;

use super::{Pair, Place};
use crate::support::{Client, Server, run, run_with, until};

/// The version that a client of these versions ends up with.
fn handshake(
    server: &Server,
    pem: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Option<ProtocolVersion> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut stream).ok()?;
    }
    client.protocol_version()
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_plain_http_is_not() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &place.pair.variables());
    assert!(server.says("ready on https://127.0.0.1:").is_some());
    for (versions, spoken) in [
        (&[&version::TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&version::TLS13], ProtocolVersion::TLSv1_3),
    ] {
        assert_eq!(handshake(&server, &place.pair.pem, versions), Some(spoken));
    }
    let other = tempdir().unwrap();
    assert_eq!(handshake(&server, &Pair::new(other.path()).pem, &[&version::TLS13]), None);
    // A version that no client here speaks: record and message header, 1.1, random, no session,
    // one cipher suite, no compression, one signature scheme.
    let mut hello = vec![22, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&hello).unwrap();
    let mut alert = [0; 7];
    std::io::Read::read_exact(&mut stream, &mut alert).unwrap();
    // An alert, fatal: protocol_version.
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]));
    let plain = server.client().try_send("GET", "/livez", &[], None);
    assert!(plain.is_none(), "{plain:?}");
    // Over TLS it is a key that lets in, on loopback, too.
    let client = place.client(&server);
    client.get("/livez").expect(200);
    client.get("/api/v1/health").expect(401);
    client.with("x-api-key", &place.admin).get("/api/v1/health").expect(200);
    assert!(server.stop().success());
}

#[test]
fn a_new_certificate_is_taken_in_by_a_signal_and_a_bad_one_is_not() {
    let place = Place::new();
    let server = Server::start_under(&place.data(), &place.pair.variables());
    let old = place.pair.pem.clone();
    // A new client each time: one that has been here resumes its session.
    let answers = |pem: &str| {
        Client::over_tls(server.address(), pem).try_send("GET", "/livez", &[], None).is_some()
    };
    assert!(answers(&old));
    let hangup = || {
        let id = server.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    fs::write(&place.pair.cert, "-----BEGIN CERTIFICATE-----\nno\n").unwrap();
    hangup();
    until(30, "the bad one to be told", || server.says("the one before stays"));
    assert!(answers(&old));
    let new = Pair::new(place.folder.path()).pem;
    hangup();
    until(30, "the new certificate", || answers(&new).then_some(()));
    assert!(!answers(&old), "the old one is still served");
    assert!(server.stop().success());
}

#[test]
fn a_certificate_that_was_renewed_is_seen_without_a_signal() {
    let mut place = Place::new();
    let server = Server::start_under(&place.data(), &place.pair.variables());
    place.client(&server).get("/livez").expect(200);
    place.pair = Pair::new(place.folder.path());
    let new = place.client(&server);
    until(30, "the new certificate", || new.try_send("GET", "/livez", &[], None));
}

#[test]
fn files_that_are_no_pair_end_the_start_with_a_way_out() {
    let place = Place::new();
    let data = place.data();
    let serve = || {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        run_with(&place.pair.variables(), &arguments)
    };
    fs::set_permissions(&place.pair.key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = serve();
    assert_eq!(open.code, 2, "{}", open.stderr);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    assert!(open.stderr.contains("key.pem"), "{}", open.stderr);
    place.pair.write();
    let other = tempdir().unwrap();
    fs::write(&place.pair.cert, Pair::new(other.path()).pem).unwrap();
    let wrong = serve();
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("do not belong together"), "{}", wrong.stderr);
    fs::remove_file(&place.pair.cert).unwrap();
    let missing = serve();
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("cert.pem: No such file"), "{}", missing.stderr);
    assert_eq!(run(["serve", "--dry-run"]).code, 0);
    let arguments = ["serve", "--dry-run", "--data", data.to_str().unwrap()];
    assert_eq!(run_with(&place.pair.variables(), &arguments).code, 2);
}
