//! The handshake, each direction's first frame (`ConnectRequest`, `ConnectResponse`, `ProtocolManager.java`).

use super::frame;
use super::jute::{Malformed, Reader, Writer};
use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of the password that a server hands out.
pub const PASSWORD_LENGTH: usize = 16;

/// What a client says first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// Always 0.
    pub protocol_version: i32,
    /// The newest zxid that the client has seen. A server behind it must not serve the client.
    pub last_zxid_seen: i64,
    /// The wanted session timeout in milliseconds, to be clamped.
    pub timeout_ms: i32,
    /// The session to resume; 0 for a new one.
    pub session: i64,
    /// The password of that session. Not always 16 bytes, null reads as empty: then it is simply wrong.
    pub password: Bytes,
    /// Whether a read-only server will do; `None` from clients of ZooKeeper 3.3 and before, which do not know
    /// this byte, must get a reply without it, and mean no.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Reads the first frame. The connection of a malformed one is closed.
    pub fn decode(frame: Bytes) -> Result<Self, Malformed> {
        let mut input = Reader(frame);
        Ok(ConnectRequest {
            protocol_version: input.int()?,
            last_zxid_seen: input.long()?,
            timeout_ms: input.int()?,
            session: input.long()?,
            password: input.buffer()?.unwrap_or_default(),
            read_only: input.bool().ok(),
        })
    }

    /// Appends the frame, its length included.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = frame::begin(out);
        out.put_i32(self.protocol_version);
        out.put_i64(self.last_zxid_seen);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session);
        out.put_buffer(Some(&self.password));
        if let Some(read_only) = self.read_only {
            out.put_bool(read_only);
        }
        assert!(frame::finish(out, start, i32::MAX as usize), "a password is short");
    }
}

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The session timeout in milliseconds that holds; 0 if the session is gone.
    pub timeout_ms: i32,
    /// The session; 0 if it is gone.
    pub session: i64,
    /// The session's password; zeros if it is gone.
    pub password: Bytes,
    /// Whether this server is read-only; must be `None` where the request's was, as old clients do not expect it.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// The answer to `request` that opens or resumes a session. `read_only` says whether this server is.
    pub fn accepted(
        request: &ConnectRequest,
        timeout_ms: i32,
        session: i64,
        password: Bytes,
        read_only: bool,
    ) -> Self {
        assert!(timeout_ms > 0 && session != 0, "a timeout or session of 0 says that the session is gone");
        let read_only = request.read_only.map(|_| read_only);
        ConnectResponse { protocol_version: 0, timeout_ms, session, password, read_only }
    }

    /// The answer to `request` if its session has expired or its password is wrong; the connection then closes.
    pub fn expired(request: &ConnectRequest) -> Self {
        ConnectResponse {
            protocol_version: 0,
            timeout_ms: 0,
            session: 0,
            password: Bytes::from_static(&[0; PASSWORD_LENGTH]),
            read_only: request.read_only.map(|_| false),
        }
    }

    /// Appends the frame, its length included.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = frame::begin(out);
        out.put_i32(self.protocol_version);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session);
        out.put_buffer(Some(&self.password));
        if let Some(read_only) = self.read_only {
            out.put_bool(read_only);
        }
        assert!(frame::finish(out, start, i32::MAX as usize), "a password is short");
    }

    /// Reads a server's first frame.
    pub fn decode(frame: Bytes) -> Result<Self, Malformed> {
        let mut input = Reader(frame);
        Ok(ConnectResponse {
            protocol_version: input.int()?,
            timeout_ms: input.int()?,
            session: input.long()?,
            password: input.buffer()?.unwrap_or_default(),
            read_only: input.bool().ok(),
        })
    }
}
