//! A small HTTP client: JSON in, JSON out, every status an answer.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use ureq::tls::{RootCerts, TlsConfig};

/// A client of one server, with its own connections.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    /// `http://127.0.0.1:7070`
    url: String,
    agent: ureq::Agent,
    /// Sent with every request.
    headers: Vec<(String, String)>,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; `Null` if it is none.
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self {
            address,
            url: format!("http://{address}"),
            agent: config.into(),
            headers: Vec::new(),
        }
    }

    /// Over TLS to this machine, trusting these certificates and no others.
    pub(crate) fn over_tls(address: SocketAddr, pem: &str) -> Self {
        let roots = ureq::tls::parse_pem(pem.as_bytes()).map(|item| match item.unwrap() {
            ureq::tls::PemItem::Certificate(certificate) => certificate,
            _ => panic!("this is no certificate"),
        });
        let roots = RootCerts::Specific(Arc::new(roots.collect()));
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            // Each request makes a connection, and sees the certificate of the moment.
            .max_idle_connections(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        let url = format!("https://127.0.0.1:{}", address.port());
        Self { address, url, agent: config.into(), headers: Vec::new() }
    }

    /// Sends a request; `None` when the server is gone.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(url);
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let answered = match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut answered = answered.ok()?;
        let bytes = answered.body_mut().read_to_vec().ok()?;
        Some(Answer {
            status: answered.status().as_u16(),
            headers: answered.headers().clone(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        })
    }

    /// Sends JSON; `None` when the server is gone.
    pub(crate) fn try_json(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Answer> {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.try_send(method, path, &headers, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.try_send("GET", path, &[], None).unwrap()
    }

    /// The same client, which goes nowhere it is led to.
    pub(crate) fn unled(&self) -> Self {
        let config = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false);
        Self { agent: config.build().into(), ..self.clone() }
    }

    /// The body of a 200 as it is.
    pub(crate) fn get_bytes(&self, path: &str) -> Vec<u8> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let headers = self.headers.iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let mut answer = request.call().unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.body_mut().read_to_vec().unwrap()
    }

    /// The same client, which sends a header with every request.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The status of a request whose answer may never end; its body is an empty object.
    pub(crate) fn status_of(&self, method: &str, path: &str) -> u16 {
        self.head_of(method, path)[9..12].parse().unwrap()
    }

    /// Status line and headers of such a request, lower case.
    pub(crate) fn head_of(&self, method: &str, path: &str) -> String {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if self.headers.iter().all(|(name, _)| name != "host") {
            request.push_str("host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            for part in [name, ": ", value, "\r\n"] {
                request.push_str(part);
            }
        }
        request.push_str("content-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        for byte in BufReader::new(stream).bytes() {
            head.push(byte.unwrap());
            if head.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.try_json("PATCH", path, &[], body).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.try_send("DELETE", path, &[], None).unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_json("POST", path, &[], body).unwrap()
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.try_json("PUT", path, &[], body).unwrap()
    }

    /// POST under an `Idempotency-Key`.
    pub(crate) fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.try_json("POST", path, &[("idempotency-key", key)], body).unwrap()
    }

    /// Sends bytes as they are; gives the status line and all that follows.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_ref()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Answer {
    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The problem, which must have this status and type.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, kind: &str) -> Value {
        let body = self.expect_problem();
        assert_eq!((&body["status"], &body["type"]), (&status.into(), &kind.into()), "{body}");
        body
    }

    /// A problem as RFC 9457 wants it, of whatever status.
    #[track_caller]
    pub(crate) fn expect_problem(self) -> Value {
        assert!(self.status >= 400, "{} {}", self.status, self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], self.status, "{}", self.body);
        for member in ["type", "title", "detail"] {
            let text = self.body[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {member}: {}", self.body);
        }
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A number in the body.
    #[track_caller]
    pub(crate) fn number(&self, member: &str) -> u64 {
        self.body[member].as_u64().unwrap_or_else(|| panic!("no {member}: {}", self.body))
    }

    /// A text in the body.
    #[track_caller]
    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {}", self.body))
            .to_owned()
    }
}
