//! The name of a target: a directory, or a bucket of an S3-compatible store.
//!
//! ```text
//!   /mnt/backups/mainstay                     file:///mnt/backups/mainstay
//!   s3://bucket/prefix?region=eu-central-1    &endpoint=http://127.0.0.1:9000
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::target::{TargetError, bad_directory, no_directory};

/// Where a target lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, or one that is mounted.
    Directory(PathBuf),
    /// A bucket.
    #[cfg(feature = "s3")]
    Bucket(Bucket),
}

/// A bucket and how it is reached.
#[cfg(feature = "s3")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
    /// The file with the access key's id and its secret, a line each; none: what the machine is given.
    secret_file: Option<PathBuf>,
}

impl Place {
    /// Reads a place; the credentials of a bucket lie in a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, secret_file: Option<&Path>) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return bucket(rest, secret_file);
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() {
            return Err("name a directory or s3://bucket/prefix".to_owned());
        }
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(format!(
                "{scheme}:// is no target that is known; name a directory or s3://bucket/prefix"
            ));
        }
        Ok(Self::Directory(path.into()))
    }

    pub(super) fn store(&self, create: bool) -> Result<Arc<dyn ObjectStore>, TargetError> {
        match self {
            Self::Directory(path) => {
                if create {
                    make(path).map_err(|error| bad_directory(path, &error))?;
                } else if !path.is_dir() {
                    return Err(no_directory(path));
                }
                let store = LocalFileSystem::new_with_prefix(path);
                let store = store.map_err(|error| bad_directory(path, &error))?;
                Ok(Arc::new(store.with_fsync(true)))
            },
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.store(),
        }
    }

    /// The directory, if it is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            #[cfg(feature = "s3")]
            Self::Bucket(_) => None,
        }
    }
}

/// Makes a directory and those above it, for the owner only, their names durable.
fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|it| !it.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    make(above)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::File::open(above)?.sync_all(),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            #[cfg(feature = "s3")]
            Self::Bucket(Bucket { name, prefix, .. }) if prefix.is_empty() => {
                write!(f, "s3://{name}")
            },
            #[cfg(feature = "s3")]
            Self::Bucket(Bucket { name, prefix, .. }) => write!(f, "s3://{name}/{prefix}"),
        }
    }
}

#[cfg(not(feature = "s3"))]
fn bucket(_rest: &str, _secret_file: Option<&Path>) -> Result<Place, String> {
    Err("this build has no S3: build it with the feature `s3`, or name a directory".to_owned())
}

#[cfg(feature = "s3")]
fn bucket(rest: &str, secret_file: Option<&Path>) -> Result<Place, String> {
    if rest.split(['/', '?']).next().is_some_and(|name| name.contains('@')) {
        return Err("a URL holds no credentials; name their file as secret_file".to_owned());
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() {
        return Err("name the bucket: s3://bucket/prefix".to_owned());
    }
    let mut bucket = Bucket {
        name: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        region: None,
        endpoint: None,
        secret_file: secret_file.map(Path::to_path_buf),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("region", region)) => bucket.region = Some(region.to_owned()),
            Some(("endpoint", endpoint)) if endpoint.contains('@') => {
                return Err("a URL holds no credentials; name their file as secret_file".to_owned());
            },
            Some(("endpoint", endpoint)) => bucket.endpoint = Some(endpoint.to_owned()),
            _ => return Err(format!("{pair:?} is no parameter; there are region and endpoint")),
        }
    }
    Ok(Place::Bucket(bucket))
}

#[cfg(feature = "s3")]
impl Bucket {
    fn store(&self) -> Result<Arc<dyn ObjectStore>, TargetError> {
        use object_store::aws::AmazonS3Builder;
        use object_store::prefix::PrefixStore;
        use object_store::{BackoffConfig, ClientOptions, RetryConfig};

        use super::target::PATIENCE;

        let target = Place::Bucket(self.clone()).to_string();
        let failed = |object: &str, reason: String| TargetError::Failed {
            doing: "open",
            object: object.to_owned(),
            target: target.clone(),
            reason,
        };
        // The client brings no cryptography of its own: it is ring's, as everywhere.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientOptions::new().with_timeout(PATIENCE).with_connect_timeout(PATIENCE / 2);
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 3,
            retry_timeout: PATIENCE,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.name)
            .with_region(self.region.as_deref().unwrap_or("us-east-1"))
            .with_retry(retry);
        let mut http = false;
        if let Some(endpoint) = &self.endpoint {
            http = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint);
        }
        builder = builder.with_client_options(client.with_allow_http(http));
        if let Some(file) = &self.secret_file {
            let object = file.display().to_string();
            let text = secret(file).map_err(|reason| failed(&object, reason))?;
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let (Some(id), Some(secret), None) = (lines.next(), lines.next(), lines.next()) else {
                let reason = "it must hold two lines: the access key's id and its secret";
                return Err(failed(&object, reason.to_owned()));
            };
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let store = builder.build().map_err(|error| failed("the bucket", error.to_string()))?;
        Ok(if self.prefix.is_empty() {
            Arc::new(store)
        } else {
            Arc::new(PrefixStore::new(store, self.prefix.as_str()))
        })
    }
}

/// A file that nobody else may read.
#[cfg(feature = "s3")]
fn secret(file: &Path) -> Result<zeroize::Zeroizing<String>, String> {
    crate::secret::read(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket_and_holds_no_credentials() {
        let shown = |text: &str| Place::parse(text, None).map(|place| place.to_string());
        assert_eq!(shown("/mnt/b").unwrap(), "/mnt/b");
        assert_eq!(shown("file:///mnt/b").unwrap(), "/mnt/b");
        assert_eq!(shown("b").unwrap(), "b");
        for (bad, told) in [
            ("", "name a directory"),
            ("ftp://host/b", "ftp://"),
            #[cfg(feature = "s3")]
            ("s3://", "name the bucket"),
            #[cfg(feature = "s3")]
            ("s3://key:secret@bucket/b", "holds no credentials"),
            #[cfg(feature = "s3")]
            ("s3://bucket?endpoint=http://key:secret@host", "holds no credentials"),
            #[cfg(feature = "s3")]
            ("s3://bucket?secret=1", "is no parameter"),
        ] {
            let error = shown(bad).unwrap_err();
            assert!(error.contains(told), "{bad:?}: {error}");
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_is_shown_without_how_it_is_reached() {
        let text = "s3://bucket/a/b/?region=eu-1&endpoint=http://127.0.0.1:9000";
        let place = Place::parse(text, None).unwrap();
        assert_eq!(place.to_string(), "s3://bucket/a/b");
        assert!(place.directory().is_none());
    }
}
