//! What replicas and clients say to each other, and what of it is signed.

use super::Machine;
use crate::byzantine::signature::Signer;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use quipu_base::NodeId;

/// What a client wants done. A client numbers its requests, and waits for each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Request<O> {
    /// Who wants it.
    pub client: NodeId,
    /// The client's number for it, from 1.
    pub number: u64,
    /// What.
    pub operation: O,
}

/// What is ordered: a request, or nothing where a new view has to fill a gap (the paper's null request).
pub type Ordered<O> = Option<Request<O>>;

/// What a node can be held to by others than the one it said it to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement<O, D> {
    /// A client: I want this.
    Request(Request<O>),
    /// A primary: in this view, this has this number.
    PrePrepare {
        /// The view.
        view: u64,
        /// The number.
        sequence: u64,
        /// What has it.
        ordered: Ordered<O>,
    },
    /// A backup: it has told me so, and nothing else.
    Prepare {
        /// The view.
        view: u64,
        /// The number.
        sequence: u64,
        /// What has it.
        ordered: Ordered<O>,
    },
    /// A replica: when I had executed everything up to this number, my state had this digest.
    Checkpoint {
        /// The number.
        sequence: u64,
        /// The digest.
        digest: D,
    },
    /// A replica: I leave for this view, and this is what I know of those before.
    ViewChange {
        /// The view.
        view: u64,
        /// The number of its stable checkpoint.
        stable: u64,
        /// What had been prepared there after it: its number, in which view, and what.
        prepared: Vec<(u64, u64, Ordered<O>)>,
    },
}

/// The statements of a machine's replicas.
pub type StatementOf<M> = Statement<<M as Machine>::Operation, <M as Machine>::Digest>;
/// Their signatures.
pub type SignatureOf<M, G> = <G as Signer<StatementOf<M>>>::Signature;
/// Their messages.
pub type MessageOf<M, G> =
    Message<<M as Machine>::Operation, <M as Machine>::Reply, <M as Machine>::Digest, SignatureOf<M, G>>;

/// A request with its client's signature.
pub(super) type SignedRequest<M, G> = (Request<<M as Machine>::Operation>, SignatureOf<M, G>);
/// A replica's digest with its signature.
pub(super) type SignedDigest<M, G> = (<M as Machine>::Digest, SignatureOf<M, G>);
/// A pre-prepare of a new view: its number, what has it, and the primary's signature.
pub(super) type SignedOrder<M, G> = (u64, Ordered<<M as Machine>::Operation>, SignatureOf<M, G>);

/// What is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<O, R, D, S> {
    /// A client to the primary, or to all when no answer comes; and a backup that passes it on to the primary.
    Request(Request<O>, S),
    /// The primary to the backups.
    PrePrepare {
        /// The view.
        view: u64,
        /// The number.
        sequence: u64,
        /// What has it.
        request: Request<O>,
        /// The client's signature.
        client: S,
        /// The primary's signature.
        primary: S,
    },
    /// A backup to all others, signed.
    Prepare {
        /// The view.
        view: u64,
        /// The number.
        sequence: u64,
        /// What has it.
        ordered: Ordered<O>,
        /// The backup's signature.
        signature: S,
    },
    /// A replica to all others: I know that enough of us have prepared.
    Commit {
        /// The view.
        view: u64,
        /// The number.
        sequence: u64,
        /// What has it.
        ordered: Ordered<O>,
    },
    /// A replica to the client.
    Reply {
        /// The replica's view: the client asks its primary next time.
        view: u64,
        /// The client's number.
        number: u64,
        /// The answer.
        reply: R,
    },
    /// A replica to all others, signed.
    Checkpoint {
        /// The number.
        sequence: u64,
        /// The digest.
        digest: D,
        /// The replica's signature.
        signature: S,
    },
    /// A replica to all others, signed.
    ViewChange(ViewChange<O, D, S>),
    /// The new primary to the backups: enough of you have left for this view; this is what goes on there.
    NewView {
        /// The view.
        view: u64,
        /// The proof: a quorum's.
        view_changes: Vec<ViewChange<O, D, S>>,
        /// Its pre-prepares, each with its number and its signature.
        orders: Vec<(u64, Ordered<O>, S)>,
    },
}

/// A replica leaves for another view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ViewChange<O, D, S> {
    /// Which replica.
    pub by: NodeId,
    /// For which view.
    pub view: u64,
    /// Its stable checkpoint.
    pub stable: Stable<D, S>,
    /// What had been prepared there after it.
    pub prepared: Vec<Prepared<O, S>>,
    /// The replica's signature under all that.
    pub signature: S,
}

/// A checkpoint, and who has signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stable<D, S> {
    /// The number. Nothing has to be proved of the beginning, 0.
    pub sequence: u64,
    /// The digest, except of the beginning.
    pub digest: Option<D>,
    /// A quorum's signatures.
    pub proof: Vec<(NodeId, S)>,
}

/// A prepared certificate: the primary's pre-prepare, and the prepares of enough backups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared<O, S> {
    /// The view.
    pub view: u64,
    /// The number.
    pub sequence: u64,
    /// What has it.
    pub ordered: Ordered<O>,
    /// The primary's signature.
    pub primary: S,
    /// The backups' signatures.
    pub backups: Vec<(NodeId, S)>,
}

impl<O: Clone, D, S> ViewChange<O, D, S> {
    /// What its signature is under.
    pub fn statement(&self) -> Statement<O, D> {
        let prepared =
            self.prepared.iter().map(|one| (one.sequence, one.view, one.ordered.clone())).collect();
        Statement::ViewChange { view: self.view, stable: self.stable.sequence, prepared }
    }
}

/// Whether so many different replicas of `among` have made this statement.
pub(super) fn have_stated<S, G: Signer<S>>(
    signer: &G,
    enough: usize,
    among: impl Fn(NodeId) -> bool,
    statement: &S,
    signatures: &[(NodeId, G::Signature)],
) -> bool {
    let who: BTreeSet<NodeId> = signatures.iter().map(|(by, _)| *by).filter(|by| among(*by)).collect();
    who.len() >= enough
        && who.len() == signatures.len()
        && signatures.iter().all(|(by, signature)| signer.verifies(*by, statement, signature))
}
