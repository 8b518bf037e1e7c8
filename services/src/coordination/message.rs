//! What the nodes of a coordination service say to each other, and the timers they set.

use super::types::{Administer, Member, RefusalReason};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{NodeId, Protocol};
use quipu_machines::tree::SessionId;
use quipu_protocols::raft::{Groups, GroupsMessage};

/// A message between two nodes.
#[derive(Clone, Debug)]
pub enum Message {
    /// Consensus.
    Groups(GroupsMessage),
    /// To the leader: please propose these commands, in this order. Nothing answers but the log.
    Forward(Vec<Bytes>),
    /// To the leader: these sessions' clients have been heard of.
    Touch(Vec<SessionId>),
    /// To the leader: how far must I have applied to read what is true now?
    ConfirmRead {
        /// The asker's number for the round.
        round: u64,
    },
    /// From the leader: this far.
    ReadConfirmed {
        /// The asker's number for the round.
        round: u64,
        /// The index to wait for; `None` if the node asked does not lead.
        index: Option<u64>,
    },
    /// To the leader: an operator's wish.
    Administer {
        /// The asker's number for it.
        token: u64,
        /// The wish.
        wish: Administer,
    },
    /// From the leader: what became of it.
    Administered {
        /// The asker's number for it.
        token: u64,
        /// On success, the index at which the wish is in force.
        result: Result<u64, RefusalReason>,
    },
}

/// The service's timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Consensus.
    Groups(<Groups as Protocol>::Timer),
    /// The end of a batch of inputs: forwards and read rounds leave together.
    Flush,
    /// The service's own pulse: sessions, touches, collection, patience.
    Tick,
    /// The next piece of a snapshot.
    Snapshot,
}

impl Codec for Message {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Message::Groups(message) => {
                out.put_u8(0);
                message.encode(out);
            }
            Message::Forward(commands) => {
                out.put_u8(1);
                commands.encode(out);
            }
            Message::Touch(sessions) => {
                out.put_u8(2);
                (sessions.len() as u32).encode(out);
                sessions.iter().for_each(|session| session.0.encode(out));
            }
            Message::ConfirmRead { round } => {
                out.put_u8(3);
                round.encode(out);
            }
            Message::ReadConfirmed { round, index } => {
                out.put_u8(4);
                round.encode(out);
                index.encode(out);
            }
            Message::Administer { token, wish } => {
                out.put_u8(5);
                token.encode(out);
                wish.encode(out);
            }
            Message::Administered { token, result } => {
                out.put_u8(6);
                token.encode(out);
                result.ok().encode(out);
                result.err().map(|reason| reason as u8).encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            0 => Message::Groups(Codec::decode(input)?),
            1 => Message::Forward(Codec::decode(input)?),
            2 => {
                let sessions: Vec<i64> = Codec::decode(input)?;
                Message::Touch(sessions.into_iter().map(SessionId).collect())
            }
            3 => Message::ConfirmRead { round: Codec::decode(input)? },
            4 => Message::ReadConfirmed { round: Codec::decode(input)?, index: Codec::decode(input)? },
            5 => Message::Administer { token: Codec::decode(input)?, wish: Codec::decode(input)? },
            6 => {
                let token = Codec::decode(input)?;
                let (index, reason) = (Option::<u64>::decode(input)?, Option::<u8>::decode(input)?);
                let result = match (index, reason) {
                    (Some(index), None) => Ok(index),
                    (None, Some(reason)) => Err(refusal_reason(reason)?),
                    _ => return Err(Malformed("a result is either an index or a reason")),
                };
                Message::Administered { token, result }
            }
            _ => return Err(Malformed("unknown coordination message")),
        })
    }
}

fn refusal_reason(code: u8) -> Result<RefusalReason, Malformed> {
    const ALL: [RefusalReason; 6] = [
        RefusalReason::NoLeader,
        RefusalReason::ChangeInProgress,
        RefusalReason::UnknownMember,
        RefusalReason::AlreadyDone,
        RefusalReason::NotCaughtUp,
        RefusalReason::BadChange,
    ];
    ALL.into_iter().find(|reason| *reason as u8 == code).ok_or(Malformed("unknown reason"))
}

impl Codec for Administer {
    fn encode(&self, out: &mut BytesMut) {
        let (kind, node) = match self {
            Administer::Add(member) => {
                out.put_u8(0);
                return member.encode(out);
            }
            Administer::Replace(members) => {
                out.put_u8(4);
                return members.encode(out);
            }
            Administer::Promote(node) => (1, node),
            Administer::Remove(node) => (2, node),
            Administer::Transfer(node) => (3, node),
        };
        out.put_u8(kind);
        node.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            0 => Administer::Add(Member::decode(input)?),
            1 => Administer::Promote(NodeId::decode(input)?),
            2 => Administer::Remove(NodeId::decode(input)?),
            3 => Administer::Transfer(NodeId::decode(input)?),
            4 => Administer::Replace(Codec::decode(input)?),
            _ => return Err(Malformed("unknown wish")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn messages_come_back() {
        let member = Member {
            id: NodeId(4),
            peer: "a:1".into(),
            election_port: 2,
            client: "a:3".into(),
            http: "".into(),
            voting: true,
        };
        let messages = [
            Message::Forward(vec![Bytes::from_static(b"one"), Bytes::new()]),
            Message::Touch(vec![SessionId(-1), SessionId(7)]),
            Message::ConfirmRead { round: 9 },
            Message::ReadConfirmed { round: 9, index: Some(3) },
            Message::ReadConfirmed { round: 9, index: None },
            Message::Administer { token: 1, wish: Administer::Add(member) },
            Message::Administer { token: 1, wish: Administer::Transfer(NodeId(2)) },
            Message::Administered { token: 1, result: Ok(5) },
            Message::Administered { token: 1, result: Err(RefusalReason::NotCaughtUp) },
        ];
        for message in messages {
            let bytes = message.to_bytes();
            let back = Message::from_bytes(bytes.clone()).expect("what we wrote");
            assert_eq!(back.to_bytes(), bytes, "{message:?}");
            for end in 0..bytes.len() {
                assert!(Message::from_bytes(bytes.slice(..end)).is_err(), "{message:?} cut at {end}");
            }
        }
    }
}
