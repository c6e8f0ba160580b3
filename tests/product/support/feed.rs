//! A reader of the live feed: server-sent events from a raw socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A connection to the live feed.
pub(crate) struct Feed {
    lines: BufReader<TcpStream>,
    /// The status line.
    pub(crate) status: String,
}

/// An event of the feed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// `{epoch}-{position}`; empty for what is said about the feed itself.
    pub(crate) id: String,
    /// `message` unless it is about the feed itself.
    pub(crate) event: String,
    pub(crate) data: Value,
}

impl Feed {
    /// Connects and reads the headers.
    pub(crate) fn open(address: SocketAddr, query: &str, last: Option<&str>) -> Self {
        Self::send(address, &request(query, last))
    }

    /// As [`Feed::open`], under a key.
    pub(crate) fn open_with(address: SocketAddr, query: &str, key: &str) -> Self {
        let request = request(query, None);
        Self::send(address, &request.replacen("\r\n", &format!("\r\nX-API-Key: {key}\r\n"), 1))
    }

    fn send(address: SocketAddr, request: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).unwrap();
        let mut feed = Self { lines, status };
        while feed.line().is_some_and(|line| !line.is_empty()) {}
        feed
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        // A server that was killed may reset the connection.
        let read = self.lines.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event of any kind; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Told> {
        let mut told = Told { id: String::new(), event: "message".to_owned(), data: Value::Null };
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut told.id),
                Some(("event", event)) => event.clone_into(&mut told.event),
                Some(("data", data)) => told.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !told.data.is_null() => return Some(told),
                _ => {},
            }
        }
    }

    /// The next event of the journal, which must come.
    #[track_caller]
    pub(crate) fn expect(&mut self) -> Told {
        loop {
            let told = self.next().unwrap();
            if told.event == "message" {
                return told;
            }
        }
    }
}

/// A request for the live feed, of a version of HTTP whose bodies are not chunked.
pub(crate) fn request(query: &str, last: Option<&str>) -> String {
    let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
    format!("GET /api/v1/events/live?{query} HTTP/1.0\r\nHost: localhost\r\n{last}\r\n")
}
