//! The binary form of messages and records. Whoever frames them says which version they are.

use super::item::{Content, Item, Timestamp};
use super::{Flow, Message, Record};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::{WallTime, codec_struct};

codec_struct!(Flow { to_sender, to_receiver });

impl Codec for Timestamp {
    fn encode(&self, out: &mut BytesMut) {
        self.time.0.encode(out);
        self.node.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Timestamp { time: WallTime(i64::decode(input)?), node: Codec::decode(input)? })
    }
}

impl<V: Codec> Codec for Item<V> {
    fn encode(&self, out: &mut BytesMut) {
        self.at.encode(out);
        match &self.content {
            Content::Value(value) => {
                0u8.encode(out);
                value.encode(out);
            }
            Content::Deleted { activated, keepers } => {
                1u8.encode(out);
                activated.0.encode(out);
                keepers.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let at = Timestamp::decode(input)?;
        let content = match u8::decode(input)? {
            0 => Content::Value(V::decode(input)?),
            1 => {
                Content::Deleted { activated: WallTime(i64::decode(input)?), keepers: Codec::decode(input)? }
            }
            _ => return Err(Malformed("an item")),
        };
        Ok(Item { at, content })
    }
}

/// A list of pairs: a count, and then one behind the other.
fn encode_pairs<A: Codec, B: Codec>(pairs: &[(A, B)], out: &mut BytesMut) {
    (pairs.len() as u32).encode(out);
    for (first, second) in pairs {
        first.encode(out);
        second.encode(out);
    }
}

fn decode_pairs<A: Codec, B: Codec>(input: &mut Bytes) -> Result<Vec<(A, B)>, Malformed> {
    let count = u32::decode(input)? as usize;
    // Every pair takes at least a byte: a hostile count must not reserve memory it cannot fill.
    if count > input.len() {
        return Err(Malformed("more pairs than bytes"));
    }
    (0..count).map(|_| Ok((A::decode(input)?, B::decode(input)?))).collect()
}

impl<K: Codec + Clone, V: Codec> Codec for Message<K, V> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Message::Ask => 0u8.encode(out),
            Message::Rumors { rumors, ask } => {
                1u8.encode(out);
                encode_pairs(rumors, out);
                ask.encode(out);
            }
            Message::Feedback(feedback) => {
                2u8.encode(out);
                (feedback.len() as u32).encode(out);
                for (key, at, needed) in feedback {
                    key.encode(out);
                    at.encode(out);
                    needed.encode(out);
                }
            }
            Message::Root { flow, root } => {
                3u8.encode(out);
                flow.encode(out);
                root.encode(out);
            }
            Message::Compare { flow, descriptions } => {
                4u8.encode(out);
                flow.encode(out);
                descriptions.encode(out);
            }
            Message::Differ { items, wanted } => {
                5u8.encode(out);
                encode_pairs(items, out);
                encode_pairs(wanted, out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            0 => Message::Ask,
            1 => Message::Rumors { rumors: decode_pairs(input)?, ask: bool::decode(input)? },
            2 => {
                let count = u32::decode(input)? as usize;
                if count > input.len() {
                    return Err(Malformed("more feedback than bytes"));
                }
                let one = |_| Ok((K::decode(input)?, Timestamp::decode(input)?, bool::decode(input)?));
                Message::Feedback((0..count).map(one).collect::<Result<_, _>>()?)
            }
            3 => Message::Root { flow: Codec::decode(input)?, root: u64::decode(input)? },
            4 => Message::Compare { flow: Codec::decode(input)?, descriptions: Codec::decode(input)? },
            5 => Message::Differ { items: decode_pairs(input)?, wanted: decode_pairs(input)? },
            _ => return Err(Malformed("a message of gossip")),
        })
    }
}

impl<K: Codec, V: Codec> Codec for Record<K, V> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Record::Held { cell, version, key, item } => {
                0u8.encode(out);
                cell.encode(out);
                version.encode(out);
                key.encode(out);
                item.encode(out);
            }
            Record::Free { cell } => {
                1u8.encode(out);
                cell.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            0 => Record::Held {
                cell: Codec::decode(input)?,
                version: Codec::decode(input)?,
                key: Codec::decode(input)?,
                item: Codec::decode(input)?,
            },
            1 => Record::Free { cell: Codec::decode(input)? },
            _ => return Err(Malformed("a record of gossip")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use quipu_base::NodeId;
    use quipu_base::hash::hash;
    use quipu_base::merkle::{MerkleTree, Range};

    type Sent = Message<String, u64>;

    fn messages() -> Vec<Sent> {
        let at = Timestamp { time: WallTime(-5), node: NodeId(7) };
        let value = Item { at, content: Content::Value(9) };
        let content = Content::Deleted { activated: WallTime(6), keepers: vec![NodeId(1), NodeId(2)] };
        let deleted = Item { at, content };
        let key = || String::from("key");
        let mut tree = MerkleTree::new();
        for number in 0..20 {
            tree.insert(alloc::format!("{number}"), number);
        }
        let flow = Flow { to_sender: true, to_receiver: false };
        vec![
            Message::Ask,
            Message::Rumors { rumors: vec![(key(), value.clone()), (key(), deleted)], ask: true },
            Message::Feedback(vec![(key(), at, true), (key(), at, false)]),
            Message::Root { flow, root: tree.root() },
            Message::Compare { flow: flow.answered(), descriptions: vec![tree.describe(Range::WHOLE)] },
            Message::Differ { items: vec![(key(), value)], wanted: vec![(key(), Some(at)), (key(), None)] },
        ]
    }

    fn records() -> Vec<Record<String, u64>> {
        let at = Timestamp { time: WallTime(5), node: NodeId(7) };
        let item = Item { at, content: Content::Value(9) };
        vec![Record::Held { cell: 3, version: 4, key: String::from("key"), item }, Record::Free { cell: 3 }]
    }

    fn comes_back<T: Codec + PartialEq + core::fmt::Debug>(value: &T) {
        let bytes = value.to_bytes();
        assert_eq!(T::from_bytes(bytes.clone()).as_ref(), Ok(value));
        for length in 0..bytes.len() {
            assert!(T::from_bytes(bytes.slice(..length)).is_err(), "{length} bytes of {value:?}");
        }
    }

    #[test]
    fn everything_comes_back_and_nonsense_is_refused() {
        messages().iter().for_each(comes_back);
        records().iter().for_each(comes_back);
        assert!(Sent::from_bytes(Bytes::from_static(&[6])).is_err());
        assert!(Sent::from_bytes(Bytes::from_static(&[1, 255, 255, 255, 255])).is_err());
        assert!(Sent::from_bytes(Bytes::from_static(&[2, 255, 255, 255, 255])).is_err());
    }

    /// Peers and disks of other versions: a change of these needs a new version of whatever frames them.
    #[test]
    fn golden() {
        let hashes = |all: Vec<Bytes>| all.iter().map(|bytes| hash(0, bytes)).collect::<Vec<_>>();
        let sent = messages().iter().map(Codec::to_bytes).collect();
        let written = records().iter().map(Codec::to_bytes).collect();
        let golden = [
            10_041_351_145_189_524_877,
            8_659_300_900_594_231_566,
            13_192_253_063_493_554_415,
            9_255_259_082_542_090_933,
            4_935_167_933_591_259_567,
            15_973_954_022_391_448_619,
        ];
        assert_eq!(hashes(sent), golden);
        assert_eq!(hashes(written), [7_223_148_143_269_121_760, 6_121_991_618_433_154_783]);
    }
}
