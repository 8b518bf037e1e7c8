//! What a log entry of this service carries: a version, the leader's wall clock, and a command.

use bytes::{BufMut, Bytes, BytesMut};
use quipu_base::WallTime;
use quipu_base::codec::{Codec, Malformed};
use quipu_machines::tree::Command;

const VERSION: u8 = 1;

/// The payload of an entry that proposes `command`, which is encoded already. The leader stamps it, so that one
/// clock, not three, dates what happens to the tree.
pub(super) fn stamp(time: WallTime, command: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(9 + command.len());
    payload.put_u8(VERSION);
    payload.put_i64_le(time.0);
    payload.put_slice(command);
    payload.freeze()
}

/// The time and the command of an entry.
pub(super) fn unstamp(mut payload: Bytes) -> Result<(i64, Command), Malformed> {
    if u8::decode(&mut payload)? != VERSION {
        return Err(Malformed("unknown version of a log entry"));
    }
    Ok((i64::decode(&mut payload)?, Command::from_bytes(payload)?))
}
