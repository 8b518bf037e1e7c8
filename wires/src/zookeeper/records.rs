//! The records that requests and replies share (`org.apache.zookeeper.data` in `zookeeper.jute`).

use super::jute::{Malformed, Reader, Writer};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut, BytesMut};
use smol_str::SmolStr;

/// What a client sees of a node besides its data; 68 bytes on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The zxid of the transaction that created the node.
    pub czxid: i64,
    /// The zxid of the last change of the data.
    pub mzxid: i64,
    /// When the node was created, in milliseconds since 1970.
    pub ctime: i64,
    /// When the data was last changed, in milliseconds since 1970.
    pub mtime: i64,
    /// How often the data was changed.
    pub version: i32,
    /// How often children came or went.
    pub cversion: i32,
    /// How often the ACL was changed.
    pub aversion: i32,
    /// The session that the node dies with; 0 if it does not die with one.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Direct children.
    pub num_children: i32,
    /// The zxid of the last transaction that added or removed a child.
    pub pzxid: i64,
}

impl Stat {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_i64(self.czxid);
        out.put_i64(self.mzxid);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        out.put_i64(self.ephemeral_owner);
        out.put_i32(self.data_length);
        out.put_i32(self.num_children);
        out.put_i64(self.pzxid);
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Self, Malformed> {
        Ok(Stat {
            czxid: input.long()?,
            mzxid: input.long()?,
            ctime: input.long()?,
            mtime: input.long()?,
            version: input.int()?,
            cversion: input.int()?,
            aversion: input.int()?,
            ephemeral_owner: input.long()?,
            data_length: input.int()?,
            num_children: input.int()?,
            pzxid: input.long()?,
        })
    }
}

/// Who may do what: one entry of a node's access control list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl {
    /// The bits of [`permission`](super::permission) that are granted.
    pub permissions: i32,
    /// The authentication scheme that `id` is of: `world`, `auth`, `digest`, `ip`, ...
    pub scheme: SmolStr,
    /// Who, in the scheme's own form.
    pub id: SmolStr,
}

impl Acl {
    /// A null list is an empty one: both are refused as invalid later.
    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<Acl>, Malformed> {
        const MINIMUM: usize = 3 * size_of::<i32>();
        let acl = input.list(MINIMUM, |input| {
            Ok(Acl { permissions: input.int()?, scheme: input.word()?, id: input.word()? })
        })?;
        Ok(acl.unwrap_or_default())
    }

    pub(super) fn encode_list(list: &[Acl], out: &mut BytesMut) {
        out.put_count(list.len());
        for acl in list {
            out.put_i32(acl.permissions);
            out.put_text(&acl.scheme);
            out.put_text(&acl.id);
        }
    }
}

/// One of the identities that a connection has, as `whoAmI` tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientInfo {
    /// The authentication scheme.
    pub scheme: String,
    /// The user's name, without secrets.
    pub user: String,
}

impl ClientInfo {
    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<ClientInfo>, Malformed> {
        const MINIMUM: usize = 2 * size_of::<i32>();
        let list = input.list(MINIMUM, |input| {
            Ok(ClientInfo { scheme: input.text_or_empty()?, user: input.text_or_empty()? })
        })?;
        Ok(list.unwrap_or_default())
    }

    pub(super) fn encode_list(list: &[ClientInfo], out: &mut BytesMut) {
        out.put_count(list.len());
        for info in list {
            out.put_text(&info.scheme);
            out.put_text(&info.user);
        }
    }
}
