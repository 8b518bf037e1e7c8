//! What a server answers, and how it writes it.

use super::frame;
use super::jute::{Malformed, Reader, Writer};
use super::multi::{MultiResult, ReadResult};
use super::records::{Acl, ClientInfo, Stat};
use super::{code, op, xid};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};

/// A reply's body where there was no error.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations' replies")]
pub enum Response {
    /// To `delete`, `ping`, `auth`, `setWatches`, `setWatches2`, `checkWatches`, `removeWatches`, `closeSession`.
    Empty,
    /// To `create`.
    Created { path: String },
    /// To `create2`, `createContainer`, `createTTL`.
    CreatedStat { path: String, stat: Stat },
    /// To `exists`, `setData`, `setACL`.
    Stat(Stat),
    /// To `getData` and `reconfig`. `None` is null.
    Data { data: Option<Bytes>, stat: Stat },
    /// To `getACL`.
    Acl { acl: Vec<Acl>, stat: Stat },
    /// To `getChildren`.
    Children(Vec<String>),
    /// To `getChildren2`.
    ChildrenStat { children: Vec<String>, stat: Stat },
    /// To `sync`.
    Path(String),
    /// To `multi`, failed or not.
    Multi(Vec<MultiResult>),
    /// To `multiRead`.
    MultiRead(Vec<ReadResult>),
    /// To `getEphemerals`.
    Ephemerals(Vec<String>),
    /// To `getAllChildrenNumber`.
    Count(i32),
    /// To `whoAmI`.
    WhoAmI(Vec<ClientInfo>),
    /// To `addWatch`: an error record that says none.
    WatchAdded,
    /// To `sasl`.
    Sasl { token: Option<Bytes> },
}

/// What every reply begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    /// The request's number, or one of [`xid`]'s.
    pub xid: i32,
    /// The newest zxid that the server had applied.
    pub zxid: i64,
    /// One of [`code`]'s; unless it is 0 there is no body.
    pub error: i32,
}

impl ReplyHeader {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.xid);
        out.put_i64(self.zxid);
        out.put_i32(self.error);
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Self, Malformed> {
        Ok(ReplyHeader { xid: input.int()?, zxid: input.long()?, error: input.int()? })
    }
}

/// Appends a reply frame, its length included. An error has no body.
///
/// A body of 2 GiB or more cannot be framed; the reply then is the error
/// [`MARSHALLING_ERROR`](code::MARSHALLING_ERROR).
pub fn encode_reply(out: &mut BytesMut, xid: i32, zxid: i64, result: Result<&Response, i32>) {
    encode_reply_within(i32::MAX as usize, out, xid, zxid, result);
}

fn encode_reply_within(
    limit: usize,
    out: &mut BytesMut,
    xid: i32,
    zxid: i64,
    result: Result<&Response, i32>,
) {
    assert!(result != Err(code::OK), "an error is not 0");
    let start = frame::begin(out);
    ReplyHeader { xid, zxid, error: result.err().unwrap_or(code::OK) }.encode(out);
    if let Ok(response) = result {
        response.encode(out);
    }
    if !frame::finish(out, start, limit) {
        let start = frame::begin(out);
        ReplyHeader { xid, zxid, error: code::MARSHALLING_ERROR }.encode(out);
        assert!(frame::finish(out, start, limit), "a reply without body fits");
    }
}

/// Appends the frame of a watch event, its length included. The `kind` is one of
/// [`event_kind`](super::event_kind)'s, the `state` [`CONNECTED`](super::event_state::CONNECTED). ZooKeeper 3.8
/// sends -1 as `zxid`, newer ones the transaction's.
pub fn encode_watch_event(out: &mut BytesMut, zxid: i64, kind: i32, state: i32, path: &str) {
    let start = frame::begin(out);
    ReplyHeader { xid: xid::WATCH_EVENT, zxid, error: code::OK }.encode(out);
    out.put_i32(kind);
    out.put_i32(state);
    out.put_text(path);
    assert!(frame::finish(out, start, i32::MAX as usize), "a path came in a frame and fits one");
}

impl Response {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Response::Empty => {}
            Response::Created { path } | Response::Path(path) => out.put_text(path),
            Response::CreatedStat { path, stat } => {
                out.put_text(path);
                stat.encode(out);
            }
            Response::Stat(stat) => stat.encode(out),
            Response::Data { data, stat } => {
                out.put_buffer(data.as_deref());
                stat.encode(out);
            }
            Response::Acl { acl, stat } => {
                Acl::encode_list(acl, out);
                stat.encode(out);
            }
            Response::Children(paths) | Response::Ephemerals(paths) => out.put_paths(paths),
            Response::ChildrenStat { children, stat } => {
                out.put_paths(children);
                stat.encode(out);
            }
            Response::Multi(results) => MultiResult::encode_list(results, out),
            Response::MultiRead(results) => ReadResult::encode_list(results, out),
            Response::Count(count) => out.put_i32(*count),
            Response::WhoAmI(infos) => ClientInfo::encode_list(infos, out),
            Response::WatchAdded => out.put_i32(code::OK),
            Response::Sasl { token } => out.put_buffer(token.as_deref()),
        }
    }

    /// The body of a reply to operation `op`.
    pub(super) fn decode(op: i32, input: &mut Reader) -> Result<Self, Malformed> {
        Ok(match op {
            op::CREATE => Response::Created { path: input.path()? },
            op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                Response::CreatedStat { path: input.path()?, stat: Stat::decode(input)? }
            }
            op::EXISTS | op::SET_DATA | op::SET_ACL => Response::Stat(Stat::decode(input)?),
            op::GET_DATA | op::RECONFIG => {
                Response::Data { data: input.buffer()?, stat: Stat::decode(input)? }
            }
            op::GET_ACL => Response::Acl { acl: Acl::decode_list(input)?, stat: Stat::decode(input)? },
            op::GET_CHILDREN => Response::Children(input.paths()?.unwrap_or_default()),
            op::GET_CHILDREN2 => Response::ChildrenStat {
                children: input.paths()?.unwrap_or_default(),
                stat: Stat::decode(input)?,
            },
            op::SYNC => Response::Path(input.text_or_empty()?),
            op::MULTI => Response::Multi(MultiResult::decode_list(input)?),
            op::MULTI_READ => Response::MultiRead(ReadResult::decode_list(input)?),
            op::GET_EPHEMERALS => Response::Ephemerals(input.paths()?.unwrap_or_default()),
            op::GET_ALL_CHILDREN_NUMBER => Response::Count(input.int()?),
            op::WHO_AM_I => Response::WhoAmI(ClientInfo::decode_list(input)?),
            op::ADD_WATCH => match input.int()? {
                code::OK => Response::WatchAdded,
                _ => return Err(Malformed("an error without an error")),
            },
            op::SASL => Response::Sasl { token: input.buffer()? },
            op::DELETE
            | op::PING
            | op::AUTH
            | op::SET_WATCHES
            | op::SET_WATCHES2
            | op::CHECK_WATCHES
            | op::REMOVE_WATCHES
            | op::CLOSE_SESSION => Response::Empty,
            _ => return Err(Malformed("a reply to an unknown operation")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_reply_too_long_for_a_frame_becomes_an_error() {
        let response = Response::Data { data: Some(Bytes::from(vec![7; 100])), stat: Stat::default() };
        let mut out = BytesMut::new();
        encode_reply_within(100, &mut out, 5, 6, Ok(&response));
        let mut error = BytesMut::new();
        encode_reply(&mut error, 5, 6, Err(code::MARSHALLING_ERROR));
        assert_eq!(out, error);
    }
}
