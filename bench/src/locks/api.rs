//! Our locks, over HTTP/1.1: `POST /v1/locks/NAME/acquire`, which is answered when the lock is held, and `/release`. Each
//! client keeps its connection; requests and answers are made and read by hand, but are what any HTTP client sends.

use super::generator::{self, Client, News};
use super::{Cell, LEASE_MS};
use crate::Failure;
use crate::coordination::clusters::Cluster;
use crate::coordination::{Sample, Window};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a fresh cluster may take to serve locks.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest head of an answer.
const HEAD_LIMIT: usize = 16 * 1024;

/// The largest body of an answer.
const BODY_LIMIT: usize = 1 << 20;

/// Waits until every node serves locks.
///
/// # Errors
///
/// If one does not within 20 seconds.
pub fn prepare(cluster: &Cluster) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    for address in &cluster.http {
        while let Err(error) = try_once(*address) {
            if Instant::now() > deadline {
                return Err(format!("{address} does not serve locks: {error}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Runs one cell.
///
/// # Errors
///
/// If a server refuses something, or leaves something unanswered.
pub fn run(cluster: &Cluster, cell: Cell, window: Window) -> Result<Sample, Failure> {
    generator::run(cluster, &cluster.http, cell, window, |number| Api::new(cell.lock(number), number))
}

fn try_once(address: SocketAddr) -> Result<(), Failure> {
    let mut client = Api::new(format!("ready-{}", address.port()), 0);
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut input, mut output) = (Vec::new(), Vec::new());
    client.acquire(&mut output);
    loop {
        stream.write_all(&output)?;
        output.clear();
        while Api::complete(&input)?.is_none() {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk)? {
                0 => return Err("it closed the connection".into()),
                length => input.extend_from_slice(&chunk[..length]),
            }
        }
        match client.receive(&std::mem::take(&mut input), &mut output)? {
            Some(News::Holds(_)) => client.release(&mut output),
            _ => return Ok(()),
        }
    }
}

struct Api {
    lock: String,
    owner: String,
    random: fastrand::Rng,
    body: String,
    token: u64,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Idle,
    Acquiring,
    Holding,
    Releasing,
}

impl Api {
    fn new(lock: String, number: usize) -> Self {
        let owner = format!("client-{number:03}");
        Api { lock, owner, random: fastrand::Rng::new(), body: String::new(), token: 0, step: Step::Idle }
    }

    /// Appends a request with what is in the body.
    fn post(&mut self, verb: &str, output: &mut Vec<u8>) {
        let (lock, length, body) = (&self.lock, self.body.len(), &self.body);
        write!(
            output,
            "POST /v1/locks/{lock}/{verb} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .expect("a vector takes everything");
    }
}

impl Client for Api {
    fn complete(input: &[u8]) -> Result<Option<usize>, Failure> {
        let Some(head) = head_length(input) else {
            return if input.len() > HEAD_LIMIT { Err("an endless head".into()) } else { Ok(None) };
        };
        let length = head + body_length(&input[..head])?;
        Ok((input.len() >= length).then_some(length))
    }

    fn is_busy(&self) -> bool {
        self.step != Step::Idle
    }

    fn acquire(&mut self, output: &mut Vec<u8>) {
        let request = self.random.u128(..);
        self.body.clear();
        write!(
            self.body,
            "{{\"owner\":\"{}\",\"ttl_ms\":{LEASE_MS},\"wait_ms\":{LEASE_MS},\"request_id\":\"{request:032x}\"}}",
            self.owner
        )
        .expect("a string takes everything");
        self.post("acquire", output);
        self.step = Step::Acquiring;
    }

    fn receive(&mut self, message: &[u8], _output: &mut Vec<u8>) -> Result<Option<News>, Failure> {
        let head = head_length(message).ok_or("an answer without a head")?;
        let (head, body) = message.split_at(head);
        if !head.starts_with(b"HTTP/1.1 200 ") {
            let answer = String::from_utf8_lossy(message);
            return Err(format!("{} while {:?}: {answer}", self.lock, self.step).into());
        }
        let answer: Value = serde_json::from_slice(body)?;
        match self.step {
            Step::Acquiring => {
                self.token = answer["token"].as_u64().ok_or("a grant without a token")?;
                self.step = Step::Holding;
                Ok(Some(News::Holds(self.token)))
            }
            Step::Releasing if answer["released"] == true => {
                self.step = Step::Idle;
                Ok(Some(News::Released))
            }
            step => Err(format!("{answer} while {step:?}").into()),
        }
    }

    fn release(&mut self, output: &mut Vec<u8>) {
        self.body.clear();
        write!(self.body, "{{\"token\":{}}}", self.token).expect("a string takes everything");
        self.post("release", output);
        self.step = Step::Releasing;
    }
}

/// How long the head is, with the empty line behind it.
fn head_length(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

fn body_length(head: &[u8]) -> Result<usize, Failure> {
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if line[..colon].eq_ignore_ascii_case(b"content-length") {
            let length: usize = std::str::from_utf8(&line[colon + 1..])?.trim().parse()?;
            return if length <= BODY_LIMIT { Ok(length) } else { Err("a body too large".into()) };
        }
    }
    Err("an answer without a length".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn answers_are_cut() {
        let bytes = answer("{}");
        for length in 0..bytes.len() {
            assert_eq!(Api::complete(&bytes[..length]).expect("short"), None);
        }
        let both = [&bytes[..], b"HTTP"].concat();
        assert_eq!(Api::complete(&both).expect("whole"), Some(bytes.len()));
        assert!(Api::complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Api::complete(&[b'a'; HEAD_LIMIT + 1]).is_err());
    }

    #[test]
    fn a_lock_is_taken_and_given_back() {
        let mut client = Api::new("own-000".into(), 3);
        let mut output = Vec::new();
        client.acquire(&mut output);
        let request = String::from_utf8(output.clone()).expect("text");
        assert!(request.starts_with("POST /v1/locks/own-000/acquire HTTP/1.1\r\n"));
        let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert!(body.contains("\"owner\":\"client-003\""));
        let news = client.receive(&answer("{\"token\":7}"), &mut output).expect("a grant");
        assert_eq!(news, Some(News::Holds(7)));
        client.release(&mut output);
        assert!(output.ends_with(b"{\"token\":7}"));
        let busy = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n";
        assert!(client.receive(busy, &mut output).is_err());
        let news = client.receive(&answer("{\"released\":true}"), &mut output).expect("a release");
        assert_eq!(news, Some(News::Released));
        assert!(!client.is_busy());
    }
}
