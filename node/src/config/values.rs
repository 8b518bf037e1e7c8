//! Values whose type says what is allowed, so that a mistake is found where it is written.

use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A node's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            id @ 1..=255 => Ok(Id(id as u64)),
            _ => Err(D::Error::custom("a node's number is 1 to 255")),
        }
    }
}

/// `host:port`; the host may be a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Address> {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', ' ']);
        let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        (plain || bracketed).then(|| Address { host: host.into(), port })
    }

    /// The host, brackets included.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is certain that only this machine reaches it. A name may stand for any address, but for `localhost`.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not host:port")))
    }
}

/// A number of milliseconds from `LEAST` to `MOST`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Millis<const LEAST: u32, const MOST: u32>(pub u32);

impl<const LEAST: u32, const MOST: u32> Millis<LEAST, MOST> {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Millis<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        match u32::try_from(value) {
            Ok(value) if (LEAST..=MOST).contains(&value) => Ok(Millis(value)),
            _ => Err(D::Error::custom(format!("from {LEAST} to {MOST} milliseconds"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["localhost:1", "10.0.0.1:65535", "[::1]:2181", "a.b-c:80"] {
            assert_eq!(Address::parse(good).map(|address| address.to_string()).as_deref(), Some(good));
        }
        for bad in ["", "a", ":1", "a:", "a:0", "a:65536", "::1:80", "http://a:1", "[]:1", "a b:1"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_is_certainly_here_is_loopback() {
        let is_loopback = |text| Address::parse(text).expect("an address").is_loopback();
        for here in ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(here), "{here}");
        }
        for beyond in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "node-1:1", "[fe80::1]:1"]
        {
            assert!(!is_loopback(beyond), "{beyond}");
        }
    }
}
