//! Who may come in, and how: certificates, tokens, and what is open to anyone.

use super::values::Address;
use super::{Config, Node};
use ring::digest;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::fmt;
use std::path::PathBuf;

/// The most tokens of a configuration: each request may be compared with all of them.
pub const MAX_TOKENS: usize = 1_000;

/// This node's certificate, and which of its listeners speak TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with this node's certificate, and those between it and the authority's.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key.
    pub key: PathBuf,
    /// A PEM file with the certificates of the authorities whose nodes and clients are let in.
    pub ca: PathBuf,
    /// Between nodes: [`Door::Mutual`] or [`Door::Plain`].
    #[serde(default = "mutual")]
    pub peer: Door,
    /// For ZooKeeper clients.
    #[serde(default = "mutual")]
    pub client: Door,
    /// For HTTP clients, who show tokens.
    #[serde(default = "tls")]
    pub http: Door,
}

fn mutual() -> Door {
    Door::Mutual
}

fn tls() -> Door {
    Door::Tls
}

/// How a listener lets somebody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Without TLS: anybody on the way can read and change what is said.
    Plain,
    /// With TLS; only the node shows a certificate.
    Tls,
    /// With TLS; both sides show certificates of the configured authority.
    Mutual,
}

/// What is open on purpose.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Doors {
    /// Whether listeners beyond loopback may go without TLS and tokens. Whoever reaches them may then do anything.
    pub open_beyond_loopback_without_authentication: bool,
}

/// What the bearer of a token may do; each role includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Read,
    /// Takes locks, stands for election, writes the tree.
    Write,
    /// Changes flags and members, and ends what others hold.
    Admin,
}

impl Role {
    /// Its name in configurations and refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

/// A token that HTTP clients may bear: only its hash is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Who bears it, for the log.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// The SHA-256 of the token, as 64 hexadecimal digits.
    pub sha256: Sha256,
}

/// A SHA-256. Tokens are 32 random bytes, so their hashes need neither salt nor stretching. It is not shown all the same.
#[derive(Clone, Copy)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of a text.
    pub fn of(text: &[u8]) -> Sha256 {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
        Sha256(bytes)
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Sha256) -> bool {
        self.0.iter().zip(other.0).fold(0, |difference, (own, other)| difference | (own ^ other)) == 0
    }

    /// 64 hexadecimal digits, for a configuration.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse(text: &str) -> Option<Sha256> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
        }
        Some(Sha256(bytes))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // What is no hash may be the token itself: it is not repeated.
        Sha256::parse(&text)
            .ok_or_else(|| D::Error::custom("64 hexadecimal digits, as `quipu tokens new` prints them"))
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A listener that would be open to anybody who reaches it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenDoor {
    /// The key of its address in `[node]`.
    pub key: &'static str,
    /// Its address.
    pub address: String,
    /// What it lacks.
    lacks: &'static str,
}

impl fmt::Display for OpenDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenDoor { key, address, lacks } = self;
        write!(
            f,
            "node.{key} = {address:?} is reached from beyond this machine and {lacks}. Make certificates with `quipu \
             certs init` and tokens with `quipu tokens new` (see docs/DOORS.md), or listen on 127.0.0.1. To let \
             anybody in who reaches the port, write open_beyond_loopback_without_authentication = true into [doors], \
             or start with --open-beyond-loopback-without-authentication"
        )
    }
}

impl Config {
    /// How a listener lets somebody in.
    pub fn door(&self, choose: impl Fn(&Tls) -> Door) -> Door {
        self.tls.as_ref().map_or(Door::Plain, choose)
    }

    /// The first listener that is reached from beyond this machine and lets in anybody, unless that is wanted.
    pub fn open_door(&self) -> Option<OpenDoor> {
        if self.doors.open_beyond_loopback_without_authentication {
            return None;
        }
        let Node { peer, client, http, .. } = &self.node;
        let open = |key, address: &Address, lacks| {
            (!address.is_loopback()).then(|| OpenDoor { key, address: address.to_string(), lacks })
        };
        if self.door(|tls| tls.peer) == Door::Plain
            && let Some(open) =
                open("peer", peer, "takes anybody for a node: [tls] with peer = \"mutual\" is missing")
        {
            return Some(open);
        }
        if self.door(|tls| tls.client) == Door::Plain
            && let Some(open) =
                open("client", client, "speaks no TLS: [tls] with client = \"mutual\" is missing")
        {
            return Some(open);
        }
        if self.door(|tls| tls.http) == Door::Plain
            && let Some(open) = open("http", http, "speaks no TLS: [tls] with http = \"tls\" is missing")
        {
            return Some(open);
        }
        if self.tokens.is_empty() {
            return open("http", http, "asks for no token: there is no [[token]]");
        }
        None
    }

    /// What types cannot say about doors: the key at fault, and why.
    pub(super) fn validate_doors(&self) -> Result<(), (&'static str, String)> {
        if self.tokens.len() > MAX_TOKENS {
            return Err(("name", format!("at most {MAX_TOKENS} [[token]]s")));
        }
        let names: Vec<&str> = self.tokens.iter().map(|token| &token.name[..]).collect();
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.len() > 128) {
            return Err(("name", format!("a token's name has 1 to 128 bytes, not {}", name.len())));
        }
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(("name", format!("two [[token]]s have the name {name:?}")));
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        if tls.peer == Door::Tls {
            return Err((
                "tls.peer",
                "\"mutual\" or \"plain\": each node must show the other who it is".into(),
            ));
        }
        if tls.peer == Door::Mutual && !is_label(&self.node.cluster) {
            return Err((
                "cluster",
                "stands in the nodes' certificates, so with [tls] it is made of up to 63 letters, digits and hyphens"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// Whether the name can stand in a certificate, as one part of a domain name.
pub fn is_label(name: &str) -> bool {
    let is_ends_plain = !name.starts_with('-') && !name.ends_with('-');
    (1..=63).contains(&name.len())
        && is_ends_plain
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The name that a node's certificate bears, whatever its address is at the moment.
pub fn node_name(cluster: &str, id: u64) -> String {
    format!("node-{id}.{cluster}.quipu.internal")
}
