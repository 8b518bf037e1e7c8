//! The binary form of messages and records. A change here is a new version of the wire or of the disk: the
//! golden bytes in the tests must not change otherwise.

use super::groups::{GroupRecord, GroupsMessage};
use super::message::{
    Append, AppendReply, Beat, BeatReply, Chunk, ChunkReply, Commit, Inform, Inquire, Message, Outcome,
    Termed, VoteReply, VoteRequest,
};
use super::record::Record;
use super::{Entry, Membership, Payload, SnapshotHead};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::quorum::Voters;
use quipu_base::{GroupId, NodeId, codec_struct};

codec_struct!(Entry { index, term, payload });
codec_struct!(SnapshotHead { index, term, membership });
codec_struct!(VoteRequest { term, pre, last_index, last_term, transfer });
codec_struct!(VoteReply { term, pre, granted });
codec_struct!(Append { term, session, previous_index, previous_term, commit, round, entries });
codec_struct!(AppendReply { term, session, round, outcome });
codec_struct!(Commit { term, commit });
codec_struct!(Beat { term, session, commit, round, sleep });
codec_struct!(BeatReply { term, session, round, received, durable, asleep });
codec_struct!(Chunk { term, session, head, number, last, bytes });
codec_struct!(ChunkReply { term, session, index, next });
codec_struct!(Termed { term });
codec_struct!(Inquire { nonce });
codec_struct!(Inform { nonce, term, commit });
codec_struct!(GroupRecord { group, record });

/// Implements [`Codec`] for an enum whose variants hold one value each, by a leading tag.
macro_rules! codec_enum {
    ($name:ident { $($tag:literal => $variant:ident),* $(,)? }) => {
        impl Codec for $name {
            fn encode(&self, out: &mut BytesMut) {
                match self {
                    $( $name::$variant(value) => {
                        <u8 as Codec>::encode(&$tag, out);
                        value.encode(out);
                    } )*
                }
            }

            fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
                match u8::decode(input)? {
                    $( $tag => Ok($name::$variant(Codec::decode(input)?)), )*
                    _ => Err(Malformed(concat!("unknown kind of ", stringify!($name)))),
                }
            }
        }
    };
}

codec_enum!(Message {
    1 => VoteRequest,
    2 => VoteReply,
    3 => Append,
    4 => AppendReply,
    5 => Commit,
    6 => Beat,
    7 => BeatReply,
    8 => Chunk,
    9 => ChunkReply,
    10 => TimeoutNow,
    11 => Stale,
    12 => Wake,
    13 => Inquire,
    14 => Inform,
});

impl Codec for Box<Chunk> {
    fn encode(&self, out: &mut BytesMut) {
        Chunk::encode(self, out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Chunk::decode(input).map(Box::new)
    }
}

impl Codec for Box<Membership> {
    fn encode(&self, out: &mut BytesMut) {
        Membership::encode(self, out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Membership::decode(input).map(Box::new)
    }
}

impl Codec for Outcome {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Outcome::Matched { index } => {
                0u8.encode(out);
                index.encode(out);
            }
            Outcome::Conflict { previous, index, term } => {
                1u8.encode(out);
                [previous, index, term].into_iter().for_each(|number| number.encode(out));
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            0 => Ok(Outcome::Matched { index: u64::decode(input)? }),
            1 => Ok(Outcome::Conflict {
                previous: u64::decode(input)?,
                index: u64::decode(input)?,
                term: u64::decode(input)?,
            }),
            _ => Err(Malformed("unknown outcome of an append")),
        }
    }
}

impl Codec for Payload {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Payload::Noop => 0u8.encode(out),
            Payload::Command(bytes) => {
                1u8.encode(out);
                bytes.encode(out);
            }
            Payload::Membership(membership) => {
                2u8.encode(out);
                membership.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            0 => Ok(Payload::Noop),
            1 => Bytes::decode(input).map(Payload::Command),
            2 => Codec::decode(input).map(Payload::Membership),
            _ => Err(Malformed("unknown kind of payload")),
        }
    }
}

impl Codec for Membership {
    fn encode(&self, out: &mut BytesMut) {
        encode_set(&self.voters.incoming, out);
        encode_set(&self.voters.outgoing, out);
        encode_set(&self.learners, out);
        self.context.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let voters = Voters { incoming: decode_set(input)?, outgoing: decode_set(input)? };
        Ok(Membership { voters, learners: decode_set(input)?, context: Bytes::decode(input)? })
    }
}

fn encode_set(set: &BTreeSet<NodeId>, out: &mut BytesMut) {
    (set.len() as u32).encode(out);
    set.iter().for_each(|node| node.encode(out));
}

fn decode_set(input: &mut Bytes) -> Result<BTreeSet<NodeId>, Malformed> {
    let nodes = Vec::<NodeId>::decode(input)?;
    if !nodes.is_sorted_by(|a, b| a < b) {
        return Err(Malformed("a set is strictly ascending"));
    }
    Ok(nodes.into_iter().collect())
}

impl Codec for Record {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Record::Term { term, vote } => {
                1u8.encode(out);
                term.encode(out);
                vote.encode(out);
            }
            Record::Entry { first, previous_term, entry } => {
                2u8.encode(out);
                first.encode(out);
                previous_term.encode(out);
                entry.encode(out);
            }
            Record::Compacted { first, next } => {
                3u8.encode(out);
                first.encode(out);
                next.encode(out);
            }
            Record::Chunk { slot, snapshot, number, bytes } => {
                4u8.encode(out);
                slot.encode(out);
                snapshot.encode(out);
                number.encode(out);
                bytes.encode(out);
            }
            Record::Snapshot { slot, chunks, head } => {
                5u8.encode(out);
                slot.encode(out);
                chunks.encode(out);
                head.encode(out);
            }
            Record::Refilling { version, active } => {
                6u8.encode(out);
                version.encode(out);
                active.encode(out);
            }
            Record::Cleared { kind } => {
                7u8.encode(out);
                kind.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let record = match u8::decode(input)? {
            1 => Record::Term { term: Codec::decode(input)?, vote: Codec::decode(input)? },
            2 => Record::Entry {
                first: Codec::decode(input)?,
                previous_term: Codec::decode(input)?,
                entry: Codec::decode(input)?,
            },
            3 => Record::Compacted { first: Codec::decode(input)?, next: Codec::decode(input)? },
            4 => Record::Chunk {
                slot: decode_slot(input)?,
                snapshot: Codec::decode(input)?,
                number: Codec::decode(input)?,
                bytes: Codec::decode(input)?,
            },
            5 => Record::Snapshot {
                slot: decode_slot(input)?,
                chunks: Codec::decode(input)?,
                head: Codec::decode(input)?,
            },
            6 => Record::Refilling { version: Codec::decode(input)?, active: Codec::decode(input)? },
            7 => Record::Cleared { kind: Codec::decode(input)? },
            _ => return Err(Malformed("unknown kind of raft record")),
        };
        Ok(record)
    }
}

fn decode_slot(input: &mut Bytes) -> Result<u8, Malformed> {
    let slot = u8::decode(input)?;
    if slot > 1 { Err(Malformed("a snapshot is in stream 0 or 1")) } else { Ok(slot) }
}

impl Codec for GroupsMessage {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            GroupsMessage::Group(group, message) => {
                1u8.encode(out);
                group.encode(out);
                message.encode(out);
            }
            GroupsMessage::Beats { sleeping, beats } => {
                2u8.encode(out);
                sleeping.encode(out);
                encode_pairs(beats, out);
            }
            GroupsMessage::BeatReplies(replies) => {
                3u8.encode(out);
                encode_pairs(replies, out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            1 => Ok(GroupsMessage::Group(Codec::decode(input)?, Codec::decode(input)?)),
            2 => {
                let sleeping = u64::decode(input)?;
                Ok(GroupsMessage::Beats { sleeping, beats: decode_pairs(input)? })
            }
            3 => Ok(GroupsMessage::BeatReplies(decode_pairs(input)?)),
            _ => Err(Malformed("unknown kind of message between groups")),
        }
    }
}

fn encode_pairs<T: Codec>(pairs: &[(GroupId, T)], out: &mut BytesMut) {
    (pairs.len() as u32).encode(out);
    for (group, value) in pairs {
        group.encode(out);
        value.encode(out);
    }
}

fn decode_pairs<T: Codec>(input: &mut Bytes) -> Result<Vec<(GroupId, T)>, Malformed> {
    let count = u32::decode(input)? as usize;
    // Every pair takes more than a byte: a hostile count must not reserve memory that it cannot fill.
    if count > input.len() {
        return Err(Malformed("more pairs than bytes"));
    }
    (0..count).map(|_| Ok((GroupId::decode(input)?, T::decode(input)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use core::fmt::{Debug, Write};

    fn membership() -> Membership {
        let nodes = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect();
        let voters = Voters { incoming: nodes(&[1, 2]), outgoing: nodes(&[2, 3]) };
        Membership { voters, learners: nodes(&[4]), context: Bytes::from_static(b"ctx") }
    }

    fn entries() -> Vec<Entry> {
        let command = Payload::Command(Bytes::from_static(b"hello"));
        vec![
            Entry { index: 1, term: 1, payload: Payload::Noop },
            Entry { index: 2, term: 1, payload: command },
            Entry { index: 3, term: 2, payload: Payload::Membership(Box::new(membership())) },
        ]
    }

    fn messages() -> Vec<Message> {
        let head = SnapshotHead { index: 9, term: 8, membership: Box::new(membership()) };
        let chunk =
            Chunk { term: 1, session: 2, head, number: 3, last: true, bytes: Bytes::from_static(b"piece") };
        let conflict = Outcome::Conflict { previous: 4, index: 3, term: 2 };
        let (term, session, round, commit) = (1, 2, 3, 4);
        vec![
            Message::VoteRequest(VoteRequest {
                term,
                pre: true,
                last_index: 2,
                last_term: 3,
                transfer: false,
            }),
            Message::VoteReply(VoteReply { term, pre: false, granted: true }),
            Message::Append(Append {
                term,
                session,
                previous_index: 5,
                previous_term: 6,
                commit,
                round,
                entries: entries(),
            }),
            Message::AppendReply(AppendReply {
                term,
                session,
                round,
                outcome: Outcome::Matched { index: 7 },
            }),
            Message::AppendReply(AppendReply { term, session, round, outcome: conflict }),
            Message::Commit(Commit { term, commit }),
            Message::Beat(Beat { term, session, commit, round, sleep: true }),
            Message::BeatReply(BeatReply { term, session, round, received: 5, durable: 4, asleep: false }),
            Message::Chunk(Box::new(chunk)),
            Message::ChunkReply(ChunkReply { term, session, index: 9, next: 4 }),
            Message::TimeoutNow(Termed { term }),
            Message::Stale(Termed { term }),
            Message::Wake(Termed { term }),
            Message::Inquire(Inquire { nonce: 5 }),
            Message::Inform(Inform { nonce: 5, term, commit }),
        ]
    }

    fn groups_messages() -> Vec<GroupsMessage> {
        let beat = Beat { term: 1, session: 2, commit: 3, round: 4, sleep: false };
        let reply = BeatReply { term: 1, session: 2, round: 4, received: 3, durable: 3, asleep: true };
        vec![
            GroupsMessage::Group(GroupId(7), Message::Stale(Termed { term: 1 })),
            GroupsMessage::Beats { sleeping: 99, beats: vec![(GroupId(7), beat)] },
            GroupsMessage::BeatReplies(vec![(GroupId(7), reply)]),
        ]
    }

    fn records() -> Vec<GroupRecord> {
        let head = SnapshotHead { index: 9, term: 8, membership: Box::new(membership()) };
        let entry = entries().remove(1);
        let records = vec![
            Record::Term { term: 1, vote: Some(NodeId(2)) },
            Record::Term { term: 2, vote: None },
            Record::Entry { first: 1, previous_term: 1, entry },
            Record::Compacted { first: 3, next: 4 },
            Record::Chunk { slot: 1, snapshot: 9, number: 0, bytes: Bytes::from_static(b"piece") },
            Record::Snapshot { slot: 1, chunks: 1, head },
            Record::Refilling { version: 3, active: true },
            Record::Cleared { kind: 4 },
        ];
        records.into_iter().map(|record| GroupRecord { group: GroupId(5), record }).collect()
    }

    /// Adds a line with the value's bytes to `golden`, and sees that they come back and that no part of them
    /// does.
    fn examine<T: Codec + Debug + PartialEq>(value: T, golden: &mut String) {
        let bytes = value.to_bytes();
        bytes.iter().for_each(|byte| write!(golden, "{byte:02x}").expect("a string takes everything"));
        golden.push('\n');
        for length in 0..bytes.len() {
            assert!(T::from_bytes(bytes.slice(..length)).is_err(), "{length} bytes of {value:?}");
        }
        assert_eq!(T::from_bytes(bytes), Ok(value));
    }

    #[test]
    fn the_bytes_are_those_of_version_1() {
        let mut golden = String::new();
        messages().into_iter().for_each(|message| examine(message, &mut golden));
        groups_messages().into_iter().for_each(|message| examine(message, &mut golden));
        records().into_iter().for_each(|record| examine(record, &mut golden));
        assert_eq!(golden, include_str!("golden.txt"), "the format has changed");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Message::from_bytes(Bytes::from_static(&[0])).is_err());
        assert!(Message::from_bytes(Bytes::from_static(&[99, 0, 0])).is_err());
        assert!(Record::from_bytes(Bytes::from_static(&[4, 2])).is_err(), "there is no third slot");
        assert!(GroupsMessage::from_bytes(Bytes::from_static(b"\x03\xff\xff\xff\xff")).is_err());
        let unsorted = b"\x02\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";
        assert!(decode_set(&mut Bytes::from_static(unsorted)).is_err());
    }
}
