//! What a log entry of this service carries: a version, the leader's wall clock, and a command.

use super::ask::Errand;
use bytes::{BufMut, Bytes, BytesMut};
use quipu_base::WallTime;
use quipu_base::codec::{Codec, Malformed};
use quipu_machines::tree::Command;

const VERSION: u8 = 1;

/// Memory is taken in pieces of this size.
const CHUNK_BYTES: usize = 32 * 1024;

/// Writes short values one behind the other and cuts them out: many share one piece of memory, which goes when the
/// last of them does. They are commands, or the log's entries, which come and go in one order, so none keeps others
/// alive for long.
#[derive(Debug)]
pub(super) struct Pen(BytesMut);

impl Pen {
    pub(super) fn new() -> Self {
        Pen(BytesMut::with_capacity(CHUNK_BYTES))
    }

    /// The bytes of a command.
    pub(super) fn write(&mut self, command: &impl Codec) -> Bytes {
        command.encode(&mut self.0);
        self.0.split().freeze()
    }

    /// The payload of an entry that proposes `command`, which is encoded already. The leader stamps it, so that one
    /// clock, not three, dates what happens to the tree.
    pub(super) fn stamp(&mut self, time: WallTime, command: &[u8]) -> Bytes {
        self.0.reserve(9 + command.len());
        self.0.put_u8(VERSION);
        self.0.put_i64_le(time.0);
        self.0.put_slice(command);
        self.0.split().freeze()
    }
}

/// What an entry carries.
pub(super) enum Carried {
    /// A command of the tree.
    Tree(Command),
    /// An errand.
    Errand(Errand),
}

/// The time and the command of an entry.
pub(super) fn unstamp(mut payload: Bytes) -> Result<(i64, Carried), Malformed> {
    if u8::decode(&mut payload)? != VERSION {
        return Err(Malformed("unknown version of a log entry"));
    }
    let time = i64::decode(&mut payload)?;
    let carried = match payload.first() {
        Some(&Errand::MARK) => Carried::Errand(Errand::from_bytes(payload)?),
        _ => Carried::Tree(Command::from_bytes(payload)?),
    };
    Ok((time, carried))
}
