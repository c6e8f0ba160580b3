//! A service that stands in for a real one: it answers on loopback, and misbehaves when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::scenario::ServiceKind;
use super::steps::Behaviour;

/// See the module. It ends with this value.
#[derive(Debug)]
pub(super) struct StandIn {
    kind: ServiceKind,
    address: SocketAddr,
    state: watch::Sender<State>,
    applied: watch::Receiver<u32>,
    /// Callers that nobody uses, with their connections.
    pool: Mutex<Vec<ServiceCaller>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    behaviour: Behaviour,
    /// Counts what it was told.
    told: u32,
    /// Counts how often its connections were ended.
    kills: u32,
}

/// Connections that wait to be taken.
const BACKLOG: u32 = 1_024;
/// How long a service may take to do as it is told.
const PATIENCE: Duration = Duration::from_secs(5);

impl StandIn {
    /// Starts one on a free port.
    pub(super) async fn start(kind: ServiceKind) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State { behaviour: Behaviour::Up, told: 0, kills: 0 });
        let (applies, applied) = watch::channel(0);
        tokio::spawn(serve(kind, address, listener, seen, applies));
        Ok(Self { kind, address, state, applied, pool: Mutex::default() })
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Behaves so from now on, and does when this returns.
    pub(super) async fn behave(&self, behaviour: Behaviour) -> Result<(), String> {
        self.state.send_modify(|state| {
            state.told += 1;
            if behaviour == Behaviour::KillsConnections {
                state.kills += 1;
            } else {
                state.behaviour = behaviour;
            }
        });
        let told = self.state.borrow().told;
        let mut applied = self.applied.clone();
        let done = tokio::time::timeout(PATIENCE, applied.wait_for(|it| *it == told)).await;
        match done {
            Ok(Ok(_)) => Ok(()),
            _ => Err("the stand-in does not do as it is told".to_owned()),
        }
    }

    /// Who calls it: out of the pool, if there is one.
    pub(super) fn caller(&self) -> ServiceCaller {
        let pooled = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (kind, address) = (self.kind, self.address);
        pooled.unwrap_or(ServiceCaller { kind, address, connection: None })
    }

    /// Back into the pool.
    pub(super) fn put_back(&self, caller: ServiceCaller) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
    }
}

async fn serve(
    kind: ServiceKind,
    address: SocketAddr,
    first: TcpListener,
    mut seen: watch::Receiver<State>,
    applies: watch::Sender<u32>,
) {
    let mut listener = Some(first);
    // While it is down nobody else is given its port.
    let mut held = None;
    loop {
        let state = *seen.borrow_and_update();
        if state.behaviour == Behaviour::Down {
            listener = None;
            held = held.or_else(|| hold(address).ok());
        } else if listener.is_none() {
            listener = held.take().and_then(|socket| socket.listen(BACKLOG).ok());
        }
        // Nobody looks any more: it ends at the next turn.
        let _ = applies.send(state.told);
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = seen.changed() => {
                if changed.is_err() {
                    return;
                }
            },
            accepted = accepted => {
                if let Some((stream, _)) = accepted {
                    tokio::spawn(answer(kind, stream, seen.clone(), state.kills));
                }
            },
        }
    }
}

/// A socket with the port, which takes no connections.
fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn answer(
    kind: ServiceKind,
    mut stream: TcpStream,
    mut seen: watch::Receiver<State>,
    kills: u32,
) {
    let mut asked: Vec<u8> = Vec::new();
    loop {
        let mut bytes = [0; 1024];
        let ends = |state: State| state.behaviour == Behaviour::Down || state.kills != kills;
        if ends(*seen.borrow_and_update()) {
            return;
        }
        let read = tokio::select! {
            changed = seen.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = stream.read(&mut bytes) => read,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(count) => asked.extend(bytes.iter().take(count)),
        }
        // What it was told before it was asked holds for the answer.
        let state = *seen.borrow();
        if ends(state) {
            return;
        }
        let end = kind.request_end();
        while let Some(at) = asked.windows(end.len()).position(|window| window == end) {
            asked.drain(..at + end.len());
            let answer = match state.behaviour {
                Behaviour::Hangs => continue,
                Behaviour::Fails => kind.failure(),
                _ => kind.success(),
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl ServiceKind {
    const fn request(self) -> &'static str {
        match self {
            Self::Tcp => "PING\r\n",
            Self::Http => "GET / HTTP/1.1\r\nHost: stand-in\r\n\r\n",
            Self::Redis => "*1\r\n$4\r\nPING\r\n",
        }
    }

    const fn request_end(self) -> &'static [u8] {
        match self {
            Self::Tcp | Self::Redis => b"PING\r\n",
            Self::Http => b"\r\n\r\n",
        }
    }

    const fn success(self) -> &'static str {
        match self {
            Self::Tcp | Self::Redis => "+PONG\r\n",
            Self::Http => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        }
    }

    const fn failure(self) -> &'static str {
        match self {
            Self::Tcp | Self::Redis => "-ERR it has failed\r\n",
            Self::Http => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        }
    }
}

/// Calls a stand-in over one connection, which it makes again when it is lost.
#[derive(Debug)]
pub(super) struct ServiceCaller {
    kind: ServiceKind,
    address: SocketAddr,
    connection: Option<TcpStream>,
}

impl ServiceCaller {
    /// Makes a call.
    pub(super) async fn call(&mut self) -> io::Result<()> {
        // Dropped half-way, as by a timeout, the connection is gone: its answer is nobody's.
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.write_all(self.kind.request().as_bytes()).await?;
        let mut answer = [0; 256];
        let mut read = 0;
        loop {
            let room = answer.get_mut(read..).unwrap_or_default();
            let more = stream.read(room).await?;
            if more == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            read += more;
            let so_far = answer.get(..read).unwrap_or_default();
            if so_far == self.kind.success().as_bytes() {
                self.connection = Some(stream);
                return Ok(());
            }
            if so_far == self.kind.failure().as_bytes() {
                self.connection = Some(stream);
                return Err(io::Error::other("it has failed"));
            }
        }
    }
}

/// Stand-ins by dependency.
pub(super) type StandIns = BTreeMap<String, Arc<StandIn>>;

/// Starts those that a scenario names.
pub(super) fn start(
    runtime: &Handle,
    kinds: &BTreeMap<String, ServiceKind>,
) -> io::Result<StandIns> {
    runtime.block_on(async {
        let mut all = StandIns::new();
        for (name, kind) in kinds {
            all.insert(name.clone(), Arc::new(StandIn::start(*kind).await?));
        }
        Ok(all)
    })
}
