//! The binary form of messages and records: version 1 of both.

use super::{Message, Record, Value};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};

impl<V: Value> Codec for Message<V> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Message::Read { operation, key } => fields(out, 1, &[operation, key]),
            Message::Versions { operation, versions } => fields(out, 2, &[operation, versions]),
            Message::Stamp { operation, key, context, value } => {
                fields(out, 3, &[operation, key, context, value]);
            }
            Message::Stamped { operation, versions } => fields(out, 4, &[operation, versions]),
            Message::Overgrown { operation, siblings } => fields(out, 5, &[operation, &(*siblings as u64)]),
            Message::Store { operation, key, versions, stands_in_for } => {
                fields(out, 6, &[operation, key, versions, stands_in_for]);
            }
            Message::Stored { operation } => fields(out, 7, &[operation]),
            Message::Repair { key, versions } => fields(out, 8, &[key, versions]),
            Message::Handoff { key, versions } => fields(out, 9, &[key, versions]),
            Message::HandedOff { key, digest } => fields(out, 10, &[key, digest]),
            Message::Root(root) => fields(out, 11, &[root]),
            Message::Compare(descriptions) => fields(out, 12, &[descriptions]),
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            1 => Message::Read { operation: next(input)?, key: next(input)? },
            2 => Message::Versions { operation: next(input)?, versions: next(input)? },
            3 => Message::Stamp {
                operation: next(input)?,
                key: next(input)?,
                context: next(input)?,
                value: next(input)?,
            },
            4 => Message::Stamped { operation: next(input)?, versions: next(input)? },
            5 => Message::Overgrown { operation: next(input)?, siblings: next::<u64>(input)? as usize },
            6 => Message::Store {
                operation: next(input)?,
                key: next(input)?,
                versions: next(input)?,
                stands_in_for: next(input)?,
            },
            7 => Message::Stored { operation: next(input)? },
            8 => Message::Repair { key: next(input)?, versions: next(input)? },
            9 => Message::Handoff { key: next(input)?, versions: next(input)? },
            10 => Message::HandedOff { key: next(input)?, digest: next(input)? },
            11 => Message::Root(next(input)?),
            12 => Message::Compare(next::<Vec<_>>(input)?),
            _ => return Err(Malformed("a quorum's message")),
        })
    }
}

impl<V: Value> Codec for Record<V> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Record::Kept { cell, key, versions } => fields(out, 1, &[cell, key, versions]),
            Record::Hint { cell, home, key, versions } => fields(out, 2, &[cell, home, key, versions]),
            Record::NoHint { cell } => fields(out, 3, &[cell]),
            Record::Name(name) => fields(out, 4, &[name]),
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            1 => Record::Kept { cell: next(input)?, key: next(input)?, versions: next(input)? },
            2 => Record::Hint {
                cell: next(input)?,
                home: next(input)?,
                key: next(input)?,
                versions: next(input)?,
            },
            3 => Record::NoHint { cell: next(input)? },
            4 => Record::Name(next(input)?),
            _ => return Err(Malformed("a quorum's record")),
        })
    }
}

/// What can be one field among others.
trait Field {
    fn put(&self, out: &mut BytesMut);
}

impl<T: Codec> Field for T {
    fn put(&self, out: &mut BytesMut) {
        self.encode(out);
    }
}

fn fields(out: &mut BytesMut, kind: u8, fields: &[&dyn Field]) {
    kind.encode(out);
    fields.iter().for_each(|field| field.put(out));
}

fn next<T: Codec>(input: &mut Bytes) -> Result<T, Malformed> {
    T::decode(input)
}
