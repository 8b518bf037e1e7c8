//! Signatures, as far as protocols care: nobody can make one for another.
//!
//! Here is no cryptography. A node would implement [`Signer`] with a library, `ed25519-dalek` say: it encodes the statement in one
//! canonical way, together with the name of the cluster, and signs the bytes.

use core::fmt::{Debug, Write};
use quipu_base::NodeId;

/// A node's own secret key, and everybody's public keys.
pub trait Signer<S> {
    /// What proves that a node has made a statement.
    type Signature: Clone + Debug;

    /// This node makes a statement.
    fn sign(&self, statement: &S) -> Self::Signature;

    /// Whether that node has made this statement.
    fn verifies(&self, by: NodeId, statement: &S, signature: &Self::Signature) -> bool;
}

/// A signer for tests, examples and the lab. Seals cannot be forged because there is no way to make one but [`Signer::sign`]:
/// a liar that holds nobody's key but its own can only seal as itself. It is not for nodes: whoever can write bytes could write
/// a seal.
#[derive(Clone, Debug)]
pub struct SealKey {
    owner: NodeId,
}

/// What a [`SealKey`] makes: its owner, and a fingerprint of the statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seal {
    by: NodeId,
    fingerprint: u64,
}

impl SealKey {
    /// The key of a node. Whoever sets up a test hands each node its own.
    pub fn of(owner: NodeId) -> Self {
        SealKey { owner }
    }
}

impl<S: Debug> Signer<S> for SealKey {
    type Signature = Seal;

    fn sign(&self, statement: &S) -> Seal {
        Seal { by: self.owner, fingerprint: fingerprint(statement) }
    }

    fn verifies(&self, by: NodeId, statement: &S, seal: &Seal) -> bool {
        seal.by == by && seal.fingerprint == fingerprint(statement)
    }
}

/// FNV-1a over how a statement prints.
fn fingerprint(statement: &impl Debug) -> u64 {
    struct Hash(u64);
    impl Write for Hash {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(())
        }
    }
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    write!(hash, "{statement:?}").expect("hashing does not fail");
    hash.0
}
