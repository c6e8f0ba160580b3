//! Clients that send, or take, as little as they can.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tempfile::tempdir;

use crate::support::Server;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    stream
}

/// All that comes until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {},
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "still open: {error}"),
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

#[test]
fn a_head_that_does_not_come_is_408_and_the_connection_ends() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let (mut silent, mut half) = (connect(&server), connect(&server));
    half.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-").unwrap();
    assert!(rest(&mut half).starts_with("http/1.1 408"));
    rest(&mut silent);
    server.client().get("/livez").expect(200);
}

#[test]
fn a_body_that_does_not_come_is_a_problem_and_the_connection_ends() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let head =
        "POST /api/v1/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut sized = connect(&server);
    write!(sized, "{head}content-length: 100\r\n\r\n{{").unwrap();
    let mut chunked = connect(&server);
    write!(chunked, "{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n").unwrap();
    for mut stream in [sized, chunked] {
        let answer = rest(&mut stream);
        assert!(answer.starts_with("http/1.1 408"), "{answer}");
        assert!(answer.contains("/problems/request-timeout"), "{answer}");
        assert!(answer.contains("x-frame-options: deny"), "{answer}");
    }
}

#[test]
fn a_second_head_that_stops_in_its_middle_ends_the_connection() {
    // The framework's clock runs over the first head only: the connection stayed for good.
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    let mut stream = connect(&server);
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /livez HT").unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
}

#[test]
fn a_head_that_is_too_large_is_431_and_one_with_too_many_lines_too() {
    let data = tempdir().unwrap();
    let server = Server::start(data.path());
    for head in [format!("x: {}\r\n", "y".repeat(200_000)), "x: y\r\n".repeat(200)] {
        let mut stream = connect(&server);
        // It may be refused before all of it is sent.
        drop(write!(stream, "GET /livez HTTP/1.1\r\nhost: localhost\r\n{head}\r\n"));
        let answer = rest(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("http/1.1 431"), "{answer}");
    }
    server.client().get("/livez").expect(200);
}
