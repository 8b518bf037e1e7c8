//! What this node asks of the log for those who have no session: for HTTP's clients.
//!
//! An ask travels to the leader and through the log like a session's write, marked with the node that asks, its start
//! and a number. Every node carries it out; the one that asked finds its outcome in its own log and answers. An ask
//! that may be lost is sent again, and so may be carried out twice. That is why there are only two kinds, for which it does no
//! harm: commands about locks, which know their own copies, and changes of the tree that their author makes
//! conditional on versions of nodes, and on these being the same nodes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{NodeId, RequestId, Time, codec_struct};
use quipu_machines::locks::{self, Token};
use quipu_machines::tree::{Identity, MultiError, Op, OpResult};
use smol_str::SmolStr;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A command about locks. Only what clients ask: the leader's own commands are not for them.
    Lock(locks::Command),
    /// A change of the tree.
    Change(Change),
}

/// A change of the tree: all of it or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What to do, in order, each seeing those before it. Ephemeral nodes need a session and cannot be made.
    pub ops: Vec<Op>,
    /// Who asks; `world` is understood.
    pub identities: Vec<Identity>,
    /// Nodes that must still be the ones that these zxids created: a version alone comes again when a node does.
    pub created: Vec<(String, i64)>,
    /// The lock, with its namespace, and the grant that must be in force when the change happens.
    pub guard: Option<(SmolStr, Token)>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The machine's outcome.
    Lock(locks::Outcome),
    /// What each op gave, or why nothing was done.
    Change(Result<Vec<OpResult>, ChangeError>),
    /// Everything that was acknowledged before the question is applied here.
    Confirmed,
}

/// Why nothing of a change was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeError {
    /// The grant that guards it is not in force.
    Stale,
    /// A node is not the one that it must be, or is gone.
    Replaced,
    /// An op failed.
    Failed(MultiError),
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDone {
    /// Not every member understands this yet; nothing was done.
    FeatureClosed,
    /// No leader was known for too long; nothing was done.
    NoLeader,
    /// Too many are waiting already; nothing was done.
    TooMany,
    /// It was sent, and may still be carried out, or has been.
    Unknown,
}

/// An ask as the log carries it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Errand {
    /// Who asks, and since which start; a node's zeroth start asks nothing that is answered.
    pub(super) origin: NodeId,
    pub(super) start: u64,
    pub(super) number: u64,
    pub(super) ask: Ask,
}

impl Errand {
    /// The first byte, which no command of the tree has: those begin with their version, which is small.
    pub(super) const MARK: u8 = 0xA1;
}

impl Codec for Errand {
    fn encode(&self, out: &mut BytesMut) {
        Errand::MARK.encode(out);
        self.origin.encode(out);
        self.start.encode(out);
        self.number.encode(out);
        match &self.ask {
            Ask::Lock(command) => {
                1u8.encode(out);
                command.encode(out);
            }
            Ask::Change(change) => {
                2u8.encode(out);
                change.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        if u8::decode(input)? != Errand::MARK {
            return Err(Malformed("not an errand"));
        }
        let (origin, start, number) = (Codec::decode(input)?, Codec::decode(input)?, Codec::decode(input)?);
        let ask = match u8::decode(input)? {
            1 => Ask::Lock(Codec::decode(input)?),
            2 => Ask::Change(Codec::decode(input)?),
            _ => return Err(Malformed("an unknown kind of errand")),
        };
        Ok(Errand { origin, start, number, ask })
    }
}

/// The guard as it is written.
struct Guard {
    lock: String,
    token: u64,
}

codec_struct!(Guard { lock, token });

/// A node that must be there, as it is written.
struct Created {
    path: String,
    czxid: i64,
}

codec_struct!(Created { path, czxid });

impl Codec for Change {
    fn encode(&self, out: &mut BytesMut) {
        self.ops.encode(out);
        self.identities.encode(out);
        let created = self.created.iter().map(|(path, czxid)| Created { path: path.clone(), czxid: *czxid });
        created.collect::<Vec<_>>().encode(out);
        let guard = self.guard.as_ref();
        guard.map(|(lock, token)| Guard { lock: lock.as_str().into(), token: token.0 }).encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let (ops, identities) = (Codec::decode(input)?, Codec::decode(input)?);
        let created: Vec<Created> = Codec::decode(input)?;
        let created = created.into_iter().map(|Created { path, czxid }| (path, czxid)).collect();
        let guard = Option::<Guard>::decode(input)?;
        let guard = guard.map(|Guard { lock, token }| (SmolStr::from(lock), Token(token)));
        Ok(Change { ops, identities, created, guard })
    }
}

/// This node's asks on their way.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Chosen at random when this start of the node asks for the first time: an answer to an earlier start's ask is
    /// nobody's. Until then it is 0, which marks what the leader says by itself.
    pub(super) start: u64,
    last: u64,
    pub(super) outstanding: BTreeMap<u64, Outstanding>,
}

/// An ask on its way.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) id: RequestId,
    pub(super) command: Bytes,
    pub(super) since: Time,
    /// When it was last sent; `None` if it never was.
    pub(super) sent: Option<Time>,
}

impl Asks {
    /// The most that may be on their way at once.
    pub(super) const LIMIT: usize = 16_384;

    pub(super) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use quipu_machines::locks::{Claim, Command, Terms};

    fn errands() -> Vec<Errand> {
        let terms = Terms { permits: 1, ttl_ms: 2, wait_ms: 3, delay_ms: 4, value: Bytes::from_static(b"v") };
        let claim = Claim { owner: "o".into(), request: "r".into() };
        let identity = Identity { scheme: "super".into(), id: "".into() };
        let op = Op::Delete { path: "/a".into(), version: 3 };
        let guard = Some((SmolStr::from("locks/l"), Token(9)));
        let asks = [
            Ask::Lock(Command::Acquire { name: "locks/l".into(), claim, terms }),
            Ask::Change(Change {
                ops: vec![op.clone()],
                identities: vec![identity],
                created: vec![("/a".into(), 6)],
                guard,
            }),
            Ask::Change(Change { ops: vec![op], identities: vec![], created: vec![], guard: None }),
        ];
        asks.into_iter().map(|ask| Errand { origin: NodeId(2), start: 77, number: 5, ask }).collect()
    }

    #[test]
    fn errands_come_back() {
        for errand in errands() {
            let bytes = errand.to_bytes();
            assert_eq!(Errand::from_bytes(bytes.clone()), Ok(errand.clone()));
            for end in 0..bytes.len() {
                assert!(Errand::from_bytes(bytes.slice(..end)).is_err(), "{errand:?} cut at {end}");
            }
        }
    }

    #[test]
    fn the_form_is_golden() {
        let written: Vec<_> =
            errands().iter().map(|errand| alloc::format!("{:x}", errand.to_bytes())).collect();
        assert_eq!(written, include_str!("golden/errands.txt").lines().collect::<Vec<_>>());
    }
}
