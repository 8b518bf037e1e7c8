//! As much of an HTTP client as it takes to talk to our own nodes.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// Longer than a node waits for a change of membership.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER: u64 = 16 << 20;

/// What a node said.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks a node; `address` is `host:port`.
pub(crate) fn ask(method: &str, address: &str, path: &str, body: Option<&str>) -> Result<Answer, String> {
    ask_within(READ_TIMEOUT, method, address, path, body)
}

/// Asks a node and waits at most `patience` for each part of the answer.
pub(crate) fn ask_within(
    patience: Duration,
    method: &str,
    address: &str,
    path: &str,
    body: Option<&str>,
) -> Result<Answer, String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let target = address.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT.min(patience))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| format!("{address}: {error}"))?;
    parse(&answer).ok_or_else(|| format!("{address}: what answers there is no quipu node"))
}

/// Our nodes send whole bodies and then close, so everything behind the head is the body.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: answer[end + 4..].to_vec() })
}

/// The address in what an operator typed: `http://host:port/`, or only `host:port`.
pub(crate) fn address_of(url: &str) -> &str {
    let bare = url.trim().strip_prefix("http://").unwrap_or(url.trim());
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer =
            parse(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").expect("an answer");
        assert_eq!((answer.status, &answer.body[..]), (503, &b"no"[..]));
        assert!(parse(b"SSH-2.0\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.1 200 OK").is_none());
    }

    #[test]
    fn urls_and_addresses_are_the_same() {
        for url in
            ["127.0.0.1:8181", "http://127.0.0.1:8181", "http://127.0.0.1:8181/", " 127.0.0.1:8181/v1 "]
        {
            assert_eq!(address_of(url), "127.0.0.1:8181");
        }
    }
}
