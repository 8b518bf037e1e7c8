//! What an operator decides about one node: a TOML file in which every mistake is told with its line.

mod doors;
mod example;
#[cfg(test)]
mod tests;
mod values;

pub use doors::{Door, Doors, MAX_TOKENS, OpenDoor, Role, Secret, Sha256, Tls, Token, is_label, node_name};
pub use example::EXAMPLE;
pub use values::{Address, Millis};

use quipu_base::NodeId;
use quipu_services::coordination::Member;
use quipu_wires::zookeeper::{DEFAULT_MAX_FRAME, FourLetterWord};
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use values::Id;

/// One node's configuration, read from its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the node is.
    pub node: Node,
    /// The members of a new cluster; none to wait until an existing cluster adds this node.
    #[serde(default, rename = "member")]
    pub members: Vec<InitialMember>,
    /// Certificates, if any listener speaks TLS.
    pub tls: Option<Tls>,
    /// The tokens of HTTP clients; none to let every one of them do anything.
    #[serde(default, rename = "token")]
    pub tokens: Vec<Token>,
    /// What is open on purpose.
    #[serde(default)]
    pub doors: Doors,
    /// How long things take.
    #[serde(default)]
    pub timing: Timing,
    /// How much of everything there may be.
    #[serde(default)]
    pub limits: Limits,
    /// How much HTTP clients may take.
    #[serde(default)]
    pub http: Http,
    /// What ZooKeeper clients see.
    #[serde(default)]
    pub zookeeper: ZooKeeper,
    /// What is written to the log.
    #[serde(default)]
    pub log: Log,
}

/// Who the node is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its number, 1 to 255, never reused for another machine.
    pub id: Id,
    /// The cluster's name; nodes of other names are refused.
    pub cluster: String,
    /// Where its journal is.
    pub data_dir: PathBuf,
    /// Where its peers reach it.
    pub peer: Address,
    /// Where ZooKeeper clients reach it.
    pub client: Address,
    /// Where HTTP clients reach it.
    pub http: Address,
}

/// A member of a new cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialMember {
    /// Its number.
    pub id: Id,
    /// Where its peers reach it.
    pub peer: Address,
    /// Where ZooKeeper clients reach it.
    pub client: Address,
    /// Where HTTP clients reach it.
    pub http: Option<Address>,
    /// The third port that ZooKeeper's own configuration lists; nothing of ours listens there.
    #[serde(default)]
    pub election_port: u16,
}

/// How long things take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// ZooKeeper's tick.
    pub tick_ms: Millis<10, 60_000>,
    /// How long a follower waits for a leader before it stands.
    pub election_timeout_ms: Millis<10, 60_000>,
    /// How often a leader says that it lives.
    pub heartbeat_ms: Millis<1, 20_000>,
    /// How long a client may wait while no leader is known.
    pub patience_ms: Millis<100, 600_000>,
    /// How often containers and TTL nodes are collected.
    pub reap_interval_ms: Millis<100, 3_600_000>,
    /// The bound on clock drift under which a leader answers reads from its lease, in parts per million.
    pub lease_drift_ppm: Option<u32>,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            tick_ms: Millis(2_000),
            election_timeout_ms: Millis(800),
            heartbeat_ms: Millis(100),
            patience_ms: Millis(5_000),
            reap_interval_ms: Millis(60_000),
            lease_drift_ppm: None,
        }
    }
}

/// How much of everything there may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Client connections at once.
    pub connections: usize,
    /// Client connections at once from one address, 0 for any number.
    pub connections_per_address: usize,
    /// The longest frame of a client, in bytes.
    pub max_frame_bytes: usize,
    /// Requests of one connection without an answer.
    pub outstanding_requests: usize,
    /// Bytes of such requests.
    pub outstanding_bytes: usize,
    /// Bytes that wait for a client to read them.
    pub output_bytes: usize,
    /// Inputs that wait for the core.
    pub inbox: usize,
    /// Bytes that wait for one peer.
    pub peer_bytes: usize,
    /// Bytes by which the log grows before a snapshot replaces it; as many as the last one took if that is more.
    pub snapshot_after_bytes: usize,
    /// How long a client may take for its handshake.
    pub handshake_ms: Millis<10, 600_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            connections_per_address: 0,
            max_frame_bytes: DEFAULT_MAX_FRAME,
            outstanding_requests: 1_024,
            outstanding_bytes: 4 << 20,
            output_bytes: 16 << 20,
            inbox: 16_384,
            peer_bytes: 32 << 20,
            snapshot_after_bytes: 32 << 20,
            handshake_ms: Millis(10_000),
        }
    }
}

/// How much HTTP clients may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address, 0 for any number.
    pub connections_per_address: usize,
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// How long a request's head may take to arrive, and a TLS handshake.
    pub header_ms: Millis<10, 600_000>,
    /// How long a request's body may take.
    pub body_ms: Millis<10, 600_000>,
    /// How long a connection may stay without a request.
    pub idle_ms: Millis<10, 3_600_000>,
    /// How long a client may leave what is sent to it.
    pub write_ms: Millis<10, 600_000>,
    /// Streams of events at once.
    pub streams: usize,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            connections: 4_096,
            connections_per_address: 1_024,
            max_body_bytes: 1 << 20,
            max_header_bytes: 16 * 1024,
            header_ms: Millis(10_000),
            body_ms: Millis(10_000),
            idle_ms: Millis(75_000),
            write_ms: Millis(30_000),
            streams: 1_024,
        }
    }
}

/// What ZooKeeper clients see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZooKeeper {
    /// `super:base64(sha1(super:password))`.
    pub super_digest: Option<Secret>,
    /// Whether every read is linearizable, until the cluster's own setting says otherwise.
    pub linearizable_reads: bool,
    /// The four-letter words that are answered; `["*"]` for all.
    pub four_letter_words: Vec<String>,
}

impl Default for ZooKeeper {
    fn default() -> Self {
        ZooKeeper { super_digest: None, linearizable_reads: false, four_letter_words: vec!["*".into()] }
    }
}

/// What is written to the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important level: error, warn, info, debug or trace.
    pub level: Level,
    /// Text or JSON; text on a terminal and elsewhere too unless this says otherwise.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Log { level: Level::Info, format: LogFormat::Text }
    }
}

/// How important a line of the log must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are what they say")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of the log's lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// Why there is no configuration. Names the file, and the line and the key where it can.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not TOML, has a key that does not exist, lacks one that must be there, or has a value
    /// out of its bounds.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            path: path.into(),
            line: None,
            message: format!("cannot be read: {error}"),
        })?;
        Config::parse(&text, path)
    }

    /// Reads a text that came from `path`.
    ///
    /// # Errors
    ///
    /// See [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let key = line.and_then(|line| key_of(text.lines().nth(line - 1)?));
            let message = match key {
                Some(key) => format!("`{key}`: {}", error.message()),
                None => error.message().to_string(),
            };
            ConfigError { path: path.into(), line, message }
        })?;
        config.validate().map_err(|(key, message)| ConfigError {
            path: path.into(),
            line: text.lines().position(|line| key_of(line) == Some(key)).map(|at| at + 1),
            message: format!("`{key}`: {message}"),
        })?;
        Ok(config)
    }

    /// What types cannot say: the key at fault, and why.
    fn validate(&self) -> Result<(), (&'static str, String)> {
        self.words().map_err(|word| ("four_letter_words", format!("there is no word {word:?}")))?;
        if self.node.cluster.is_empty() || self.node.cluster.len() > 128 {
            return Err(("cluster", "a cluster's name has 1 to 128 bytes".into()));
        }
        if self.timing.heartbeat_ms.0 * 3 > self.timing.election_timeout_ms.0 {
            return Err(("heartbeat_ms", "at most a third of election_timeout_ms".into()));
        }
        if self.limits.max_frame_bytes < 1024 || self.limits.max_frame_bytes > 16 << 20 {
            return Err(("max_frame_bytes", "from 1024 bytes to 16 MiB".into()));
        }
        if self.http.max_header_bytes < 8192 || self.http.max_header_bytes > 1 << 20 {
            return Err(("max_header_bytes", "from 8192 bytes to 1 MiB".into()));
        }
        let positive = [
            ("connections", self.limits.connections),
            ("outstanding_requests", self.limits.outstanding_requests),
            ("outstanding_bytes", self.limits.outstanding_bytes),
            ("output_bytes", self.limits.output_bytes),
            ("inbox", self.limits.inbox),
            ("peer_bytes", self.limits.peer_bytes),
            ("snapshot_after_bytes", self.limits.snapshot_after_bytes),
            ("http.connections", self.http.connections),
            ("max_body_bytes", self.http.max_body_bytes),
            ("streams", self.http.streams),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err((key, "must not be 0".into()));
        }
        self.validate_members()?;
        self.validate_doors()
    }

    fn validate_members(&self) -> Result<(), (&'static str, String)> {
        let ids: Vec<u64> = self.members.iter().map(|member| member.id.0).collect();
        if let Some(id) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)) {
            return Err(("id", format!("two [[member]]s have the number {}", id.1)));
        }
        if !ids.is_empty() && !ids.contains(&self.node.id.0) {
            let id = self.node.id.0;
            return Err((
                "id",
                format!("node {id} is none of the [[member]]s; leave them all out to join later"),
            ));
        }
        Ok(())
    }

    /// The members of a new cluster, as the service wants them; `None` to join one.
    pub fn bootstrap(&self) -> Option<Vec<Member>> {
        let members: Vec<Member> = self
            .members
            .iter()
            .map(|member| Member {
                id: NodeId(member.id.0),
                peer: member.peer.to_string(),
                election_port: member.election_port,
                client: member.client.to_string(),
                http: member.http.as_ref().map(Address::to_string).unwrap_or_default(),
                voting: true,
            })
            .collect();
        if members.is_empty() { None } else { Some(members) }
    }

    /// The four-letter words that are answered, or the first that is none.
    pub fn words(&self) -> Result<Vec<FourLetterWord>, String> {
        let words = &self.zookeeper.four_letter_words;
        if words.iter().any(|word| word == "*") {
            return Ok(FourLetterWord::ALL.to_vec());
        }
        let find = |word: &String| FourLetterWord::ALL.iter().copied().find(|known| known.as_str() == word);
        words.iter().map(|word| find(word).ok_or_else(|| word.clone())).collect()
    }
}

/// The key that a line sets, if it does.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(key)
}
