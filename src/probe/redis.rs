//! PING to Redis, after AUTH when there is a password: one line each way.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::budget::{Bounded, Budget};
use super::credential::Credential;
use crate::config::RedisTarget;

/// Longer than any line that answers AUTH or PING.
const LINE_BYTES: usize = 512;

/// Errors of Redis that are told by their name. Of another only that it was one is told: its text
/// is the server's, and may hold what it was sent.
const KNOWN: [&str; 9] = [
    "BUSY",
    "DENIED",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "READONLY",
    "WRONGPASS",
];

/// How one Redis is asked.
pub(super) struct Redis {
    pub(super) target: RedisTarget,
    /// None: in the plain.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) credential: Credential,
    pub(super) timeout: Duration,
}

impl Redis {
    pub(super) fn ask(&self, budget: Budget) -> Result<(), String> {
        let password = self.credential.password()?;
        let to = (self.target.host.as_str(), self.target.port);
        let mut stream = Bounded::new(super::tcp::connect(to, &budget)?, budget);
        let user = self.credential.user.as_deref();
        let Some(config) = &self.tls else { return converse(&mut stream, user, password) };
        let name = ServerName::try_from(self.target.host.clone()).map_err(|it| it.to_string())?;
        let mut session = rustls::ClientConnection::new(config.clone(), name)
            .map_err(|error| error.to_string())?;
        converse(&mut rustls::Stream::new(&mut session, &mut stream), user, password)
    }
}

fn converse(
    stream: &mut (impl Read + Write),
    user: Option<&str>,
    password: Option<Zeroizing<String>>,
) -> Result<(), String> {
    if let Some(password) = password {
        let parts: Vec<&str> =
            ["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect();
        expect(stream, &command(&parts), "AUTH", "+OK")?;
    }
    expect(stream, &command(&["PING"]), "PING", "+PONG")
}

/// An array of bulk strings: a password may hold any byte.
fn command(parts: &[&str]) -> Zeroizing<String> {
    let length: usize = parts.iter().map(|it| it.len() + 32).sum();
    // As long as it gets: text that grows leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(length + 32));
    for piece in ["*", &parts.len().to_string(), "\r\n"] {
        text.push_str(piece);
    }
    for part in parts {
        for piece in ["$", &part.len().to_string(), "\r\n", part, "\r\n"] {
            text.push_str(piece);
        }
    }
    text
}

fn expect(
    stream: &mut (impl Read + Write),
    command: &str,
    name: &str,
    answer: &str,
) -> Result<(), String> {
    let at = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            format!("{name}: no answer in time")
        },
        _ => format!("{name}: {error}"),
    };
    stream.write_all(command.as_bytes()).and_then(|()| stream.flush()).map_err(at)?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() == LINE_BYTES {
            return Err(format!("{name}: the answer is not Redis's"));
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(at)?;
        line.extend(byte);
    }
    let line = String::from_utf8_lossy(&line);
    match line.trim_end_matches(['\r', '\n']) {
        line if line == answer => Ok(()),
        line => Err(match line.strip_prefix('-').and_then(|it| it.split(' ').next()) {
            Some(error) if KNOWN.contains(&error) => format!("{name}: answered with {error}"),
            Some(_) => format!("{name}: answered with an error"),
            None => format!("{name}: the answer is not Redis's"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it is given, and keeps what it is sent.
    struct Script(std::io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Script {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn asked(answers: &str, password: Option<&str>) -> (Result<(), String>, String) {
        let mut script = Script(std::io::Cursor::new(answers.into()), Vec::new());
        let password = password.map(|it| Zeroizing::new(it.to_owned()));
        let answer = converse(&mut script, None, password);
        (answer, String::from_utf8(script.1).unwrap())
    }

    #[test]
    fn only_pong_is_a_success() {
        assert_eq!(asked("+PONG\r\n", None), (Ok(()), "*1\r\n$4\r\nPING\r\n".to_owned()));
        for (answer, told) in [
            ("-LOADING Redis is loading the dataset in memory\r\n", "answered with LOADING"),
            ("-NOAUTH Authentication required.\r\n", "answered with NOAUTH"),
            ("-MISCONF Errors writing\r\n", "answered with MISCONF"),
            ("-hunter2 is odd\r\n", "answered with an error"),
            ("+OK\r\n", "not Redis's"),
            ("HTTP/1.1 400 Bad Request\r\n", "not Redis's"),
            ("+PON", "failed to fill"),
            (&"x".repeat(LINE_BYTES + 1), "not Redis's"),
        ] {
            let reason = asked(answer, None).0.unwrap_err();
            assert!(reason.contains(told) && !reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn a_password_goes_first_and_is_never_told() {
        let (answer, sent) = asked("+OK\r\n+PONG\r\n", Some("a b\r\nc"));
        assert_eq!(answer, Ok(()));
        assert_eq!(sent, "*2\r\n$4\r\nAUTH\r\n$6\r\na b\r\nc\r\n*1\r\n$4\r\nPING\r\n");
        let (answer, _) = asked("-WRONGPASS hunter2 is wrong\r\n", Some("hunter2"));
        assert_eq!(answer, Err("AUTH: answered with WRONGPASS".to_owned()));
    }
}
