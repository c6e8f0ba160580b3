//! A way to a server that can be cut: so a database falls, and none is harmed.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on loopback and passes on, until it is cut or dropped.
pub struct Relay {
    address: SocketAddr,
    is_whole: watch::Sender<bool>,
}

impl Relay {
    /// To a server, `host:port`.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub async fn to(server: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (is_whole, whole) = watch::channel(true);
        tokio::spawn(async move {
            let mut ended = whole.clone();
            tokio::select! {
                () = accept(listener, server, whole) => {},
                _ = ended.wait_for(|_| false) => {},
            }
        });
        Ok(Self { address, is_whole })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, and each new one at once.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// Passes on again.
    pub fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn accept(listener: TcpListener, server: String, whole: watch::Receiver<bool>) {
    while let Ok((near, _)) = listener.accept().await {
        if *whole.borrow() {
            tokio::spawn(pass(near, server.clone(), whole.clone()));
        }
    }
}

async fn pass(mut near: TcpStream, server: String, mut whole: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {},
        // Cut, or the relay is gone.
        _ = whole.wait_for(|whole| !whole) => {},
    }
}
