//! Placement: which node owns which key, such that everybody who knows the nodes agrees, and few keys move when the nodes
//! change.
//!
//! | scheme | a look-up costs | balance | when a node joins or leaves | source |
//! |---|---|---|---|---|
//! | [`Ring`] | log of the points | as one over the root of the points per node | only its own keys move | Karger et al. 1997 |
//! | [`Rendezvous`] | a hash per node | as even as the hash | only its own keys move | Thaler, Ravishankar 1998 |
//! | [`Jump`] | log of the nodes, no memory | as even as the hash | only its own keys move; but only the last node may leave | Lamping, Veach 2014 |
//! | [`Maglev`] | one access to a table | as even as can be | a few others move too | Eisenbud et al. 2016 |
//! | [`BoundedLoads`] | as the ring | no node has more than its bound | a few others move too | Mirrokni, Thorup, Zadimoghaddam 2018 |
//!
//! **What is placed stays placed.** Nodes of different versions must agree on every owner, and data lies where it was put:
//! so the hash ([`crate::hash`]) and everything built on it are a format. Golden tests hold them still, and no number here is floating point
//! beyond what IEEE 754 defines to the bit.

mod bounded;
mod jump;
mod key;
mod maglev;
mod rendezvous;
mod ring;

pub use bounded::BoundedLoads;
pub use jump::{Jump, jump};
pub use key::Key;
pub use maglev::Maglev;
pub use rendezvous::Rendezvous;
pub use ring::Ring;

use crate::NodeId;

/// Says who owns a key.
pub trait Placement {
    /// The node that owns `key`; `None` if there is no node.
    fn owner(&self, key: Key) -> Option<NodeId>;
}
