//! What a server shows to the network: TLS, public addresses, headers, CORS, rates, crowds.

mod cors;
mod crowds;
mod headers;
mod public;
mod rates;
mod slow;
mod tls;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use crate::support::{Client, Server, run};

/// A certificate for this machine with its key, in files.
struct Pair {
    pem: String,
    key_pem: String,
    cert: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn new(folder: &Path) -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let signed = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let (pem, key_pem) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let pair = Self { pem, key_pem, cert, key };
        pair.write();
        pair
    }

    fn write(&self) {
        fs::write(&self.cert, &self.pem).unwrap();
        fs::write(&self.key, &self.key_pem).unwrap();
        fs::set_permissions(&self.key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("MAINSTAY__SERVER__TLS__CERT", self.cert.to_str().unwrap()),
            ("MAINSTAY__SERVER__TLS__KEY", self.key.to_str().unwrap()),
        ]
    }
}

/// A data directory with an admin's key and a certificate.
struct Place {
    folder: TempDir,
    pair: Pair,
    admin: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let pair = Pair::new(folder.path());
        let admin = first_key(&folder.path().join("data"));
        Self { folder, pair, admin }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn client(&self, server: &Server) -> Client {
        Client::over_tls(server.address(), &self.pair.pem)
    }
}

/// The first key of a data directory.
fn first_key(data: &Path) -> String {
    let data = data.to_str().unwrap();
    let made = run(["keys", "create", "root", "--role", "admin", "--data", data]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    made.stdout.trim().to_owned()
}

/// The value of a header in a head of lower case.
fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
