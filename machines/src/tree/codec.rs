//! The binary form of a [`Command`], as the log carries it. The first byte is the version of the form.

use super::types::{Acl, Attachment, Command, CreateMode, Identity, Op, SessionId, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quipu_base::codec::{Codec, Malformed};
use quipu_base::codec_struct;
use smol_str::SmolStr;

/// The version that is written. Others are refused: a new one comes with a reader for the old.
const VERSION: u8 = 1;

impl Codec for Command {
    fn encode(&self, out: &mut BytesMut) {
        VERSION.encode(out);
        match self {
            Command::OpenSession { session, password, timeout_ms, owner, attachment } => {
                1u8.encode(out);
                session.encode(out);
                out.put_slice(password);
                timeout_ms.encode(out);
                owner.encode(out);
                attachment.encode(out);
            }
            Command::AttachSession { session, owner, attachment, replaces, timeout_ms } => {
                2u8.encode(out);
                session.encode(out);
                owner.encode(out);
                attachment.encode(out);
                replaces.encode(out);
                timeout_ms.encode(out);
            }
            Command::SessionWrite { session, attachment, sequence, identities, write } => {
                3u8.encode(out);
                session.encode(out);
                attachment.encode(out);
                sequence.encode(out);
                identities.encode(out);
                write.encode(out);
            }
            Command::ExpireSession { session, attachment } => {
                4u8.encode(out);
                session.encode(out);
                attachment.encode(out);
            }
            Command::Reap { paths } => {
                5u8.encode(out);
                paths.encode(out);
            }
            Command::System { ops } => {
                6u8.encode(out);
                ops.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        if u8::decode(input)? != VERSION {
            return Err(Malformed("a tree command of an unknown version"));
        }
        Ok(match u8::decode(input)? {
            1 => Command::OpenSession {
                session: Codec::decode(input)?,
                password: decode_array(input)?,
                timeout_ms: Codec::decode(input)?,
                owner: Codec::decode(input)?,
                attachment: Codec::decode(input)?,
            },
            2 => Command::AttachSession {
                session: Codec::decode(input)?,
                owner: Codec::decode(input)?,
                attachment: Codec::decode(input)?,
                replaces: Codec::decode(input)?,
                timeout_ms: Codec::decode(input)?,
            },
            3 => Command::SessionWrite {
                session: Codec::decode(input)?,
                attachment: Codec::decode(input)?,
                sequence: Codec::decode(input)?,
                identities: Codec::decode(input)?,
                write: Codec::decode(input)?,
            },
            4 => Command::ExpireSession { session: Codec::decode(input)?, attachment: Codec::decode(input)? },
            5 => Command::Reap { paths: Codec::decode(input)? },
            6 => Command::System { ops: Codec::decode(input)? },
            _ => return Err(Malformed("an unknown tree command")),
        })
    }
}

impl Codec for Write {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Write::One(op) => {
                1u8.encode(out);
                op.encode(out);
            }
            Write::Multi(ops) => {
                2u8.encode(out);
                ops.encode(out);
            }
            Write::Close => 3u8.encode(out),
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        match u8::decode(input)? {
            1 => Ok(Write::One(Codec::decode(input)?)),
            2 => Ok(Write::Multi(Codec::decode(input)?)),
            3 => Ok(Write::Close),
            _ => Err(Malformed("an unknown kind of write")),
        }
    }
}

impl Codec for Op {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Op::Create { path, data, acl, mode } => {
                1u8.encode(out);
                path.encode(out);
                data.encode(out);
                acl.encode(out);
                mode.encode(out);
            }
            Op::Delete { path, version } => {
                2u8.encode(out);
                path.encode(out);
                version.encode(out);
            }
            Op::SetData { path, data, version } => {
                3u8.encode(out);
                path.encode(out);
                data.encode(out);
                version.encode(out);
            }
            Op::SetAcl { path, acl, version } => {
                4u8.encode(out);
                path.encode(out);
                acl.encode(out);
                version.encode(out);
            }
            Op::Check { path, version } => {
                5u8.encode(out);
                path.encode(out);
                version.encode(out);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        let tag = u8::decode(input)?;
        let path = Codec::decode(input)?;
        Ok(match tag {
            1 => Op::Create {
                path,
                data: Codec::decode(input)?,
                acl: Codec::decode(input)?,
                mode: Codec::decode(input)?,
            },
            2 => Op::Delete { path, version: Codec::decode(input)? },
            3 => Op::SetData { path, data: Codec::decode(input)?, version: Codec::decode(input)? },
            4 => Op::SetAcl { path, acl: Codec::decode(input)?, version: Codec::decode(input)? },
            5 => Op::Check { path, version: Codec::decode(input)? },
            _ => return Err(Malformed("an unknown op")),
        })
    }
}

impl Codec for CreateMode {
    fn encode(&self, out: &mut BytesMut) {
        let tag: u8 = match self {
            CreateMode::Persistent => 1,
            CreateMode::PersistentSequential => 2,
            CreateMode::Ephemeral => 3,
            CreateMode::EphemeralSequential => 4,
            CreateMode::Container => 5,
            CreateMode::Ttl(_) => 6,
            CreateMode::TtlSequential(_) => 7,
        };
        tag.encode(out);
        if let CreateMode::Ttl(ttl) | CreateMode::TtlSequential(ttl) = self {
            ttl.encode(out);
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(match u8::decode(input)? {
            1 => CreateMode::Persistent,
            2 => CreateMode::PersistentSequential,
            3 => CreateMode::Ephemeral,
            4 => CreateMode::EphemeralSequential,
            5 => CreateMode::Container,
            6 => CreateMode::Ttl(Codec::decode(input)?),
            7 => CreateMode::TtlSequential(Codec::decode(input)?),
            _ => return Err(Malformed("an unknown mode of creation")),
        })
    }
}

codec_struct!(Acl { permissions, identity });

impl Codec for Identity {
    fn encode(&self, out: &mut BytesMut) {
        for text in [&self.scheme, &self.id] {
            (text.len() as u32).encode(out);
            out.put_slice(text.as_bytes());
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Identity { scheme: decode_text(input)?, id: decode_text(input)? })
    }
}

/// What [`String`]'s codec reads, without an allocation if it is short.
fn decode_text(input: &mut Bytes) -> Result<SmolStr, Malformed> {
    let length = u32::decode(input)? as usize;
    let bytes = input.get(..length).ok_or(Malformed("bytes shorter than their length"))?;
    let text = core::str::from_utf8(bytes).map_err(|_| Malformed("text is not UTF-8"))?;
    let text = SmolStr::new(text);
    input.advance(length);
    Ok(text)
}

impl Codec for SessionId {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(SessionId(Codec::decode(input)?))
    }
}

impl Codec for Attachment {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, Malformed> {
        Ok(Attachment(Codec::decode(input)?))
    }
}

/// So many bytes as they are, without a length.
pub(super) fn decode_array<const N: usize>(input: &mut Bytes) -> Result<[u8; N], Malformed> {
    if input.len() < N {
        return Err(Malformed("bytes shorter than they must be"));
    }
    Ok(input.split_to(N)[..].try_into().expect("that many were split off"))
}
