//! TLS 1.2 and 1.3: the certificate, and how a new one comes in without a restart.
//!
//! ```text
//!   cert and key, PEM ──► do they belong together? ──► served to every new connection
//!         ▲                        │ no: at a start an error, later logged, and the
//!         │                        ▼ one before stays
//!   looked at every few seconds, and at once when asked to
//! ```

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use crate::config::TlsConfig;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A certificate with all that lead to it is far below.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of its files cannot be read or understood.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// Both are good, and not for each other.
    #[error("{cert} and {key} do not belong together: {reason}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        reason: String,
    },
    /// The library cannot be set up.
    #[error("set up TLS: {0}")]
    Library(rustls::Error),
}

/// Reads the pair and says whether a server could use it.
///
/// # Errors
/// See [`TlsError`].
pub fn check(files: &TlsConfig) -> Result<(), TlsError> {
    load(files).map(drop)
}

/// The certificate that is served; new ones are taken in as long as this value lives.
#[derive(Debug)]
pub(super) struct Tls {
    config: rustls::ServerConfig,
    /// A message asks for a look at the files; its end ends the thread.
    look: SyncSender<()>,
}

impl Tls {
    pub(super) fn start(files: &TlsConfig) -> Result<Self, TlsError> {
        let seen = Stamp::of(files);
        let current = Arc::new(Current(RwLock::new(Arc::new(load(files)?))));
        let config = config(current.clone()).map_err(TlsError::Library)?;
        let (look, looks) = mpsc::sync_channel(1);
        let keeper = Keeper { files: files.clone(), current, seen };
        let thread = std::thread::Builder::new().name("mainstay-tls".to_owned());
        thread.spawn(move || keeper.run(&looks)).map_err(|error| TlsError::File {
            path: files.cert.clone(),
            reason: format!("start the thread that looks after it: {error}"),
        })?;
        Ok(Self { config, look })
    }

    /// Looks at the files at once, whether they have changed or not.
    pub(super) fn reload(&self) {
        // One that waits is as good as two.
        let _ = self.look.try_send(());
    }

    /// What the listener needs.
    pub(super) fn config(&self) -> rustls::ServerConfig {
        self.config.clone()
    }
}

fn config(current: Arc<Current>) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(current);
    Ok(config)
}

/// What new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Takes new files in.
struct Keeper {
    files: TlsConfig,
    current: Arc<Current>,
    seen: Stamp,
}

impl Keeper {
    fn run(mut self, looks: &mpsc::Receiver<()>) {
        loop {
            let asked = match looks.recv_timeout(LOOK_EVERY) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Before they are read: what changes meanwhile is seen the next time.
            let stamp = Stamp::of(&self.files);
            if asked || stamp != self.seen {
                self.seen = stamp;
                self.take();
            }
        }
    }

    fn take(&self) {
        match load(&self.files) {
            Ok(pair) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!(cert = %self.files.cert.display(), "certificate taken in");
            },
            Err(error) => {
                tracing::error!(%error, "the new certificate is not taken, the one before stays");
            },
        }
    }
}

/// What tells that a file is another, of both files; `None` for one that is not there.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

impl Stamp {
    fn of(files: &TlsConfig) -> Self {
        let told = |it: Metadata| (it.ino(), it.size(), it.mtime(), it.mtime_nsec());
        Self([&files.cert, &files.key].map(|path| fs::metadata(path).ok().map(told)))
    }
}

fn load(files: &TlsConfig) -> Result<CertifiedKey, TlsError> {
    let TlsConfig { cert, key } = files;
    let at = |path: &Path, reason: String| TlsError::File { path: path.to_owned(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(cert)?).collect();
    let chain = chain.map_err(|error| at(cert, format!("no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(at(cert, "it holds no certificate in PEM".to_owned()));
    }
    let text = read(key)?;
    let mode = fs::metadata(key).map_err(|error| at(key, error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        let reason = "others can read it; `chmod 600` it, and get another if somebody has";
        return Err(at(key, reason.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| at(key, format!("it holds no private key in PEM: {error}")))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
        TlsError::Pair { cert: cert.clone(), key: key.clone(), reason: error.to_string() }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let at = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let size = fs::metadata(path).map_err(|error| at(error.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(at("it is too large for a certificate or key".to_owned()));
    }
    fs::read(path).map_err(|error| at(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pair(folder: &Path) -> TlsConfig {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsConfig { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        fs::write(&files.cert, signed.cert.pem()).unwrap();
        fs::write(&files.key, signed.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        files
    }

    /// A `ClientHello` of an old version, as far as a server reads it to refuse it: record and
    /// message header, version, random, no session, one cipher suite, no compression, one signature
    /// scheme.
    fn hello(version: [u8; 2]) -> Vec<u8> {
        let mut body = version.to_vec();
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
        let length = u8::try_from(body.len()).unwrap();
        let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
        hello.extend(body);
        hello
    }

    #[test]
    fn versions_before_1_2_are_refused_by_an_alert() {
        let folder = tempfile::tempdir().unwrap();
        let config = Arc::new(Tls::start(&pair(folder.path())).unwrap().config());
        for version in [[3, 0], [3, 1], [3, 2]] {
            let mut server = rustls::ServerConnection::new(config.clone()).unwrap();
            server.read_tls(&mut hello(version).as_slice()).unwrap();
            let error = server.process_new_packets().unwrap_err();
            assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{version:?}: {error}");
            let mut alert = Vec::new();
            server.write_tls(&mut alert).unwrap();
            // Fatal: protocol_version.
            assert_eq!(alert[5..], [2, 70], "{version:?}");
        }
    }

    #[test]
    fn what_is_no_pair_is_refused_with_its_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let files = pair(folder.path());
        check(&files).unwrap();
        let told = |files: &TlsConfig| check(files).unwrap_err().to_string();
        let swapped = TlsConfig { cert: files.key.clone(), key: files.cert.clone() };
        assert!(told(&swapped).ends_with("key.pem: it holds no certificate in PEM"));
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(told(&files).contains("key.pem: others can read it; `chmod 600` it"));
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        let other = tempfile::tempdir().unwrap();
        let mixed = TlsConfig { cert: pair(other.path()).cert, ..files.clone() };
        assert!(told(&mixed).contains("do not belong together"), "{}", told(&mixed));
        fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\n!!!\n").unwrap();
        assert!(told(&files).contains("cert.pem: no PEM"), "{}", told(&files));
        fs::remove_file(&files.cert).unwrap();
        assert!(told(&files).contains("cert.pem: No such file"), "{}", told(&files));
    }
}
