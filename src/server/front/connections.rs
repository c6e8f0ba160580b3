//! Every connection is bounded: in number, in time, in what it holds.
//!
//! ```text
//!   connected ─► head within 10 s ─► body within 30 s ─► answer ─► taken within 75 s ─┐
//!                     ▲                                                               │
//!                     └──────── next head begun within 60 s, whole within 75 s ───────┘
//! ```
//!
//! The framework's clock runs over the first head and over the silence between two requests. A head
//! that stops in its middle later on, and a reader that takes a byte a second, are ended here. A
//! stream of events is not: it has rules of its own. With no room for another, the connection that
//! has waited longest makes it, so that a crowd of idle ones keeps nobody out.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockRef, Socket};

use crate::server::live;

/// A body must be here this soon after its head.
pub(in crate::server) const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at the connections of a worker.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So many looks without anything whole end a connection.
const LOOKS: u64 = 15;
/// One that is told to go goes sooner, whatever it still sends.
const LOOKS_TO_GO: u64 = 1;
/// Most bytes that the operating system holds for a connection that does not read; it doubles them.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Files beside connections: segments, the store, the log.
const OTHER_FILES: u64 = 512;

/// A connection, as long as it is open.
struct Connection {
    /// The same socket, to end it by.
    socket: Socket,
    doing: Cell<Doing>,
}

#[derive(Clone, Copy)]
enum Doing {
    /// It reads a head, or takes an answer; not beyond that look.
    Until(u64),
    /// A handler is at work.
    Asked,
    /// It takes events.
    Streaming,
    /// It was ended, and is about to go.
    Ended,
}

impl Connection {
    fn end(&self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }

    /// The look beyond which it may not wait, if it waits.
    fn waits_until(&self) -> Option<u64> {
        match self.doing.get() {
            Doing::Until(last) => Some(last),
            Doing::Asked | Doing::Streaming | Doing::Ended => None,
        }
    }
}

thread_local! {
    /// Looks so far, and the connections of this worker.
    static WORKER: (Cell<u64>, RefCell<Vec<Weak<Connection>>>) = const {
        (Cell::new(0), RefCell::new(Vec::new()))
    };
}

/// Bounds a connection that was just made, as one of at most so many of its worker.
pub(in crate::server) fn accepted(connection: &dyn Any, extensions: &mut Extensions, most: usize) {
    let tls = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|it| it.get_ref().0);
    let Some(stream) = connection.downcast_ref::<TcpStream>().or_else(tls) else { return };
    let socket = SockRef::from(stream);
    // Who takes nothing of what is sent is closed by the operating system. Where this cannot be
    // set, a reader that reads nothing only holds its seat.
    drop(socket.set_tcp_user_timeout(Some(live::STALLED)));
    drop(socket.set_send_buffer_size(SEND_BUFFER_BYTES));
    // Without a second handle it goes by the framework's clock alone.
    let Ok(socket) = socket.try_clone() else { return };
    WORKER.with(|(look, open)| {
        let connection =
            Rc::new(Connection { socket, doing: Cell::new(Doing::Until(look.get() + LOOKS)) });
        let mut open = open.borrow_mut();
        if open.is_empty() {
            actix_web::rt::spawn(look_after());
        }
        // Beyond this no more are accepted: the next one needs room.
        if open.len() + 1 >= most {
            make_room(&mut open, most);
        }
        open.push(Rc::downgrade(&connection));
        extensions.insert(connection);
    });
}

/// Ends the connection that has waited longest, if the others are as many as that.
fn make_room(open: &mut Vec<Weak<Connection>>, most: usize) {
    open.retain(|it| it.strong_count() > 0);
    let open = open.iter().filter_map(Weak::upgrade);
    let open: Vec<_> = open.filter(|it| !matches!(it.doing.get(), Doing::Ended)).collect();
    if open.len() + 1 < most {
        return;
    }
    let waiting = open.iter().filter_map(|it| Some((it.waits_until()?, it)));
    if let Some((_, longest)) = waiting.min_by_key(|(until, _)| *until) {
        longest.doing.set(Doing::Ended);
        longest.end();
    }
}

/// Says what a request's connection is doing.
pub(super) async fn watch(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    let doing = |doing| {
        if let Some(connection) = &connection {
            connection.doing.set(doing);
        }
    };
    doing(Doing::Asked);
    let response = next.call(request).await;
    let (mut streams, mut goes) = (false, false);
    if let Ok(response) = &response {
        let kind = response.headers().get(CONTENT_TYPE);
        streams = kind.is_some_and(|it| *it == "text/event-stream");
        goes = response.status() == StatusCode::REQUEST_TIMEOUT;
    }
    let looks = if goes { LOOKS_TO_GO } else { LOOKS };
    let until = || Doing::Until(WORKER.with(|(look, _)| look.get()) + looks);
    doing(if streams { Doing::Streaming } else { until() });
    response
}

/// Ends what waits for too long, as long as this worker has connections.
async fn look_after() {
    loop {
        actix_web::rt::time::sleep(LOOK_EVERY).await;
        let any = WORKER.with(|(look, open)| {
            let now = look.get() + 1;
            look.set(now);
            let mut open = open.borrow_mut();
            open.retain(|connection| {
                let Some(connection) = connection.upgrade() else { return false };
                if connection.waits_until().is_some_and(|last| now > last) {
                    connection.doing.set(Doing::Ended);
                    connection.end();
                }
                true
            });
            !open.is_empty()
        });
        if !any {
            return;
        }
    }
}

/// Lets the process open as many files as its connections need, as far as the system does, and says
/// for how many connections that is enough. One takes two files.
pub(in crate::server) fn raise_file_limit(connections: usize) -> usize {
    let wanted = 2 * u64::try_from(connections).unwrap_or(u64::MAX / 4) + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_none_or(|it| it >= wanted) {
        return connections;
    }
    let raised = Rlimit { current: Some(wanted.min(most)), maximum: limit.maximum };
    let failed = setrlimit(Resource::Nofile, raised).is_err();
    let may = if failed { limit.current.unwrap_or_default() } else { wanted.min(most) };
    if may >= wanted {
        return connections;
    }
    let enough = usize::try_from(may.saturating_sub(OTHER_FILES) / 2).unwrap_or_default().max(64);
    tracing::warn!(
        "limits.connections = {connections} needs {wanted} open files, and the process may have \
         {may}, which is enough for {enough}: raise its limit (ulimit -n, LimitNOFILE) or lower \
         limits.connections"
    );
    enough
}
