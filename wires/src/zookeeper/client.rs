//! The client's side: for our benchmark generator and tests, and for looking at other servers.

use super::frame;
use super::jute::{Malformed, Reader, Writer};
use super::multi::{MultiOp, ReadOp};
use super::records::Acl;
use super::request::{Create, CreateForm, Request, Watches};
use super::response::{ReplyHeader, Response};
use super::{ConnectRequest, ConnectResponse, xid};
use alloc::string::String;
use bytes::{BufMut, Bytes, BytesMut};

/// Appends the first frame, its length included.
pub fn encode_connect(out: &mut BytesMut, request: &ConnectRequest) {
    request.encode(out);
}

/// Reads the server's first frame.
pub fn decode_connect_response(frame: Bytes) -> Result<ConnectResponse, Malformed> {
    ConnectResponse::decode(frame)
}

/// Appends a request frame, its length included. Some operations have an [`xid`] of their own.
///
/// # Panics
/// If the request is 2 GiB or longer.
pub fn encode_request(out: &mut BytesMut, xid: i32, request: &Request) {
    let start = frame::begin(out);
    out.put_i32(xid);
    out.put_i32(request.op());
    request.encode(out);
    assert!(frame::finish(out, start, i32::MAX as usize), "requests are far shorter than 2 GiB");
}

/// Reads a reply's header alone: its xid says which request it answers, and so how to read the rest.
pub fn decode_reply_header(frame: &Bytes) -> Result<ReplyHeader, Malformed> {
    ReplyHeader::decode(&mut Reader(frame.clone()))
}

/// Reads the reply to a request of operation `op`. There is no response if and only if the header has an error.
pub fn decode_reply(frame: Bytes, op: i32) -> Result<(ReplyHeader, Option<Response>), Malformed> {
    let mut input = Reader(frame);
    let header = ReplyHeader::decode(&mut input)?;
    let response = if header.error == 0 { Some(Response::decode(op, &mut input)?) } else { None };
    Ok((header, response))
}

/// Something that a client watched has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchEvent {
    /// The transaction that did it; -1 from servers before 3.9.
    pub zxid: i64,
    /// One of [`event_kind`](super::event_kind)'s.
    pub kind: i32,
    /// One of [`event_state`](super::event_state)'s.
    pub state: i32,
    /// The node.
    pub path: String,
}

/// Reads a frame whose header has the xid [`xid::WATCH_EVENT`].
pub fn decode_watch_event(frame: Bytes) -> Result<WatchEvent, Malformed> {
    let mut input = Reader(frame);
    let header = ReplyHeader::decode(&mut input)?;
    if header.xid != xid::WATCH_EVENT {
        return Err(Malformed("not a watch event"));
    }
    Ok(WatchEvent { zxid: header.zxid, kind: input.int()?, state: input.int()?, path: input.path()? })
}

impl Request {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Request::Create(create) => create.encode(out),
            Request::Delete { path, version: number }
            | Request::CheckWatches { path, kind: number }
            | Request::RemoveWatches { path, kind: number }
            | Request::AddWatch { path, mode: number } => {
                out.put_text(path);
                out.put_i32(*number);
            }
            Request::Exists { path, watch }
            | Request::GetData { path, watch }
            | Request::GetChildren { path, watch }
            | Request::GetChildren2 { path, watch } => {
                out.put_text(path);
                out.put_bool(*watch);
            }
            Request::SetData { path, data, version } => {
                out.put_text(path);
                out.put_buffer(data.as_deref());
                out.put_i32(*version);
            }
            Request::SetAcl { path, acl, version } => {
                out.put_text(path);
                Acl::encode_list(acl, out);
                out.put_i32(*version);
            }
            Request::GetAcl { path }
            | Request::Sync { path }
            | Request::GetEphemerals { prefix: path }
            | Request::GetAllChildrenNumber { path } => out.put_text(path),
            Request::Multi(ops) => MultiOp::encode_list(ops, out),
            Request::MultiRead(ops) => ReadOp::encode_list(ops, out),
            Request::Reconfig { joining, leaving, new_members, config_id } => {
                for members in [joining, leaving, new_members] {
                    out.put_text_or_null(members.as_deref());
                }
                out.put_i64(*config_id);
            }
            Request::Auth { kind, scheme, auth } => {
                out.put_i32(*kind);
                out.put_text(scheme);
                out.put_buffer(Some(auth));
            }
            Request::SetWatches(watches) => watches.encode(out, false),
            Request::SetWatches2(watches) => watches.encode(out, true),
            Request::Sasl { token } => out.put_buffer(Some(token)),
            Request::CreateSession { timeout_ms } => out.put_i32(*timeout_ms),
            Request::Ping | Request::WhoAmI | Request::CloseSession | Request::Unknown { .. } => {}
        }
    }
}

impl Create {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_text(&self.path);
        out.put_buffer(self.data.as_deref());
        Acl::encode_list(&self.acl, out);
        out.put_i32(self.flags);
        if let CreateForm::Ttl { ttl_ms } = self.form {
            out.put_i64(ttl_ms);
        }
    }
}

impl Watches {
    fn encode(&self, out: &mut BytesMut, with_persistent: bool) {
        out.put_i64(self.relative_zxid);
        let all = [&self.data, &self.exist, &self.child, &self.persistent, &self.persistent_recursive];
        for paths in &all[..if with_persistent { 5 } else { 3 }] {
            out.put_paths(paths);
        }
    }
}
