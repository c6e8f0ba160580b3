//! A host over a journal directory, as the program opens one.

use std::path::Path;
use std::sync::Arc;

use mainstay::actors::host::{Host, HostOptions, Meta, OpenLog};
use mainstay::journal::{EventLog, LocalLog, Options};

/// A host over a journal directory, ready.
pub(crate) fn open(directory: &Path) -> Host {
    let path = directory.to_owned();
    let open: OpenLog = Box::new(move |mut sink| {
        let sink = move |epoch, outcomes| sink.group(epoch, outcomes);
        Ok(Arc::new(LocalLog::open(&path, &Options::default(), sink)?) as Arc<dyn EventLog>)
    });
    let host = Host::open(open, HostOptions::default()).unwrap();
    block_on(async { host.ready().await.unwrap() });
    host
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Who asks.
pub(crate) fn meta() -> Meta {
    Meta::of(&Arc::from("bench"))
}
