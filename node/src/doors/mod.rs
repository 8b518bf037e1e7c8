//! How connections are let in: in the open, or by TLS with certificates.
//!
//! Each listener has a door of its own. Behind it a connection is a [`Stream`], and nobody need know what it is made
//! of. In the open it is the socket itself, at no cost; under TLS the handshake comes first, within a time that is
//! bounded, and a handshake that fails costs the one who began it. It is counted by its reason.
//!
//! Nodes know each other by name, not by address: see [`node_name`]. The one who dials checks that it reached the
//! node it meant, the one who is dialled that the number in the hello is that of the certificate.
//!
//! **Invariant**: nothing here, in errors, logs or metrics, shows a key.

mod files;
mod reasons;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use files::DoorError;
pub(crate) use reasons::{HUNG_UP, sentence};
pub use stream::{ReadHalf, Stream, TlsReadHalf, TlsWriteHalf, WriteHalf};

use crate::config::{self, Config, node_name};
use files::Material;
use quipu_base::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Failed handshakes, by listener and reason.
#[derive(Debug, Default)]
pub struct DoorCounters {
    /// How many of each.
    pub failed: RefCell<BTreeMap<(&'static str, &'static str), u64>>,
}

impl DoorCounters {
    fn count(&self, listener: &'static str, reason: &'static str) {
        *self.failed.borrow_mut().entry((listener, reason)).or_default() += 1;
    }
}

/// The doors of one node.
pub struct Doors {
    /// To its peers, and from it to them.
    pub peer: PeerDoor,
    /// To ZooKeeper clients.
    pub client: Door,
    /// To HTTP clients.
    pub http: Door,
    /// Handshakes that failed at any of them.
    pub counters: Rc<DoorCounters>,
    /// The last second of this node's certificate, since the epoch, if it has one.
    pub not_after: Option<u64>,
}

impl Doors {
    /// Reads the certificates.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or does not hold what it should, or if this node's peers would not accept its
    /// certificate: it is somebody else's, of another authority, or has expired.
    pub fn open(config: &Config) -> Result<Doors, DoorError> {
        let counters = Rc::new(DoorCounters::default());
        let door = |listener, server: Option<Arc<ServerConfig>>| Door {
            listener,
            acceptor: server.map(TlsAcceptor::from),
            counters: counters.clone(),
        };
        let material = config.tls.as_ref().map(Material::read).transpose()?;
        let server = |wanted: config::Door| match &material {
            Some(material) if wanted != config::Door::Plain => material.server(wanted).map(Some),
            _ => Ok(None),
        };
        let (dialled, dials) = match &material {
            Some(material) if config.door(|tls| tls.peer) != config::Door::Plain => {
                let (dialled, dials) = material.peer(config)?;
                (Some(dialled), Some(TlsConnector::from(dials)))
            }
            _ => (None, None),
        };
        let mut http = server(config.door(|tls| tls.http))?;
        if let Some(http) = http.as_mut().and_then(Arc::get_mut) {
            http.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Ok(Doors {
            peer: PeerDoor {
                door: door("peer", dialled),
                connector: dials,
                cluster: config.node.cluster.clone(),
            },
            client: door("client", server(config.door(|tls| tls.client))?),
            http: door("http", http),
            counters: counters.clone(),
            not_after: material.as_ref().map(|material| material.not_after),
        })
    }
}

/// Why a connection was not let in: it is closed, and was counted.
#[derive(Debug)]
pub struct Unwelcome {
    /// What it was counted under.
    pub reason: &'static str,
    /// The same for people, where there is more to say.
    pub sentence: String,
}

/// One listener's.
#[derive(Clone)]
pub struct Door {
    listener: &'static str,
    acceptor: Option<TlsAcceptor>,
    counters: Rc<DoorCounters>,
}

impl Door {
    /// A door that is open to anybody.
    pub fn plain(listener: &'static str) -> Door {
        Door { listener, acceptor: None, counters: Rc::default() }
    }

    /// Whether one must speak TLS here.
    pub fn is_tls(&self) -> bool {
        self.acceptor.is_some()
    }

    /// Lets a connection in. It may take as long as `patience` for its handshake.
    ///
    /// # Errors
    ///
    /// If there is no handshake by then, or it fails.
    pub async fn welcome(&self, socket: TcpStream, patience: Duration) -> Result<Stream, Unwelcome> {
        let Some(acceptor) = &self.acceptor else { return Ok(Stream::Plain(socket)) };
        let (reason, sentence) = match timeout(patience, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => return Ok(Stream::Tls(Box::new(TlsStream::Server(stream)))),
            Ok(Err(error)) => (reasons::label(&error), sentence(&error).unwrap_or_else(|| error.to_string())),
            Err(_) => ("timeout", "its handshake takes too long".into()),
        };
        self.counters.count(self.listener, reason);
        Err(Unwelcome { reason, sentence })
    }
}

/// Between nodes.
#[derive(Clone)]
pub struct PeerDoor {
    door: Door,
    connector: Option<TlsConnector>,
    cluster: String,
}

impl PeerDoor {
    /// A door that takes anybody for a node.
    pub fn plain() -> PeerDoor {
        PeerDoor { door: Door::plain("peer"), connector: None, cluster: String::new() }
    }

    /// Whether nodes speak TLS.
    pub fn is_tls(&self) -> bool {
        self.connector.is_some()
    }

    /// Lets a connection in; see [`Door::welcome`]. Whether it is whom it says it is, [`PeerDoor::proves`] tells.
    ///
    /// # Errors
    ///
    /// See [`Door::welcome`].
    pub async fn welcome(&self, socket: TcpStream, patience: Duration) -> Result<Stream, Unwelcome> {
        self.door.welcome(socket, patience).await
    }

    /// Shows this node's certificate to the one who was dialled, which must be node `to`.
    ///
    /// # Errors
    ///
    /// A sentence, if it is not, does not speak TLS, or the connection breaks.
    pub async fn dial(&self, socket: TcpStream, to: NodeId) -> Result<Stream, String> {
        let Some(connector) = &self.connector else { return Ok(Stream::Plain(socket)) };
        let name = ServerName::try_from(node_name(&self.cluster, to.0)).map_err(|error| error.to_string())?;
        match connector.connect(name, socket).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream)))),
            Err(error) => {
                self.door.counters.count("dialled", reasons::label(&error));
                Err(reasons::dialled(&error))
            }
        }
    }

    /// Whether the other side's certificate is that of node `from`. In the open everybody is believed.
    pub fn proves(&self, stream: &Stream, from: NodeId) -> bool {
        if !self.is_tls() {
            return true;
        }
        let Some(certificate) = stream.certificate() else { return false };
        let name = ServerName::try_from(node_name(&self.cluster, from.0));
        match (ParsedCertificate::try_from(certificate), name) {
            (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
            _ => false,
        }
    }
}
