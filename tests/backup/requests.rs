//! A store that fails from some request on, as one whose client was killed there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Fails every request from one on; hangs instead, if told so.
#[derive(Debug, Clone)]
pub(crate) struct Failing {
    inner: Arc<InMemory>,
    left: Arc<AtomicU64>,
    pub(crate) full: Arc<AtomicBool>,
}

impl Failing {
    pub(crate) fn over(inner: Arc<InMemory>) -> Self {
        Self { inner, left: Arc::new(AtomicU64::new(u64::MAX)), full: Arc::default() }
    }

    /// So many requests are served.
    pub(crate) fn after(&self, requests: u64) {
        self.left.store(requests, Ordering::SeqCst);
    }

    /// How many of them were, of `given`.
    pub(crate) fn served(&self, given: u64) -> u64 {
        given - self.left.load(Ordering::SeqCst)
    }

    fn serve(&self) -> Result<()> {
        let take = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return Ok(());
        }
        let kind = if self.full.load(Ordering::SeqCst) {
            std::io::ErrorKind::StorageFull
        } else {
            std::io::ErrorKind::ConnectionReset
        };
        let source = Box::new(std::io::Error::new(kind, "the store is away"));
        Err(Error::Generic { store: "failing", source })
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.serve()?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.serve()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.serve()?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.serve() {
            Ok(()) => self.inner.delete_stream(locations),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.serve() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.serve()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.serve()?;
        self.inner.copy_opts(from, to, options).await
    }
}
