//! Nodes talking to nodes.
//!
//! Every node dials every peer and only sends on the connection it dialled; what it receives comes on those that
//! its peers dialled. So neither side needs to agree on whose connection to keep, and each direction fails alone.
//! A connection begins with a [`handshake`], then carries [`frame`]s, each with as many messages as a batch had.
//!
//! Delivery is best effort, as protocols expect: what does not fit into a peer's bounded buffer is dropped and
//! counted, and so is what waited for a peer that could not be reached.

mod backoff;
mod dialer;
mod frame;
mod handshake;
mod inbound;
mod outbound;

pub use inbound::{Inbound, InboundCounters};
pub use outbound::{Outbound, PeerCounters, PeerStatus};

use std::time::Duration;

/// The version of everything that nodes say to each other. Another one is refused in the handshake.
pub const PEER_PROTOCOL_VERSION: u16 = 1;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who this node is to its peers, and what it grants them.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster's name; nodes of another one are refused.
    pub cluster: String,
    /// This node's number.
    pub id: quipu_base::NodeId,
    /// Where peers reach this node: `host:port`.
    pub address: String,
    /// The most bytes that wait for one peer.
    pub outbound_bytes: usize,
    /// The longest frame accepted.
    pub max_frame: usize,
}
