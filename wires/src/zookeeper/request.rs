//! What a client asks for, and how a server reads it.

use super::jute::{Malformed, Reader};
use super::multi::{MultiOp, ReadOp};
use super::op;
use super::records::Acl;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Reads one frame after the handshake. What [`WireError`] says about the connection is what ZooKeeper does.
///
/// # Errors
/// [`WireError::Header`] if not even the header can be read, [`WireError::Body`] if what follows it is not the
/// operation's record. An operation that does not exist is no error but [`Request::Unknown`].
pub fn decode_request(frame: Bytes) -> Result<(RequestHeader, Request), WireError> {
    let mut input = Reader(frame);
    let header = RequestHeader::decode(&mut input).map_err(|error| WireError::Header(error.0))?;
    match Request::decode(header.op, &mut input) {
        Ok(request) => Ok((header, request)),
        Err(error) => Err(WireError::Body { header, reason: error.0 }),
    }
}

/// What every request begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// The client's number for the request, or one of [`xid`](super::xid)'s; the reply repeats it.
    pub xid: i32,
    /// The operation, one of [`op`]'s or anything else.
    pub op: i32,
}

impl RequestHeader {
    fn decode(input: &mut Reader) -> Result<Self, Malformed> {
        Ok(RequestHeader { xid: input.int()?, op: input.int()? })
    }
}

/// Why a frame is no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError {
    /// There is no header: nothing can be answered, close the connection.
    Header(&'static str),
    /// The body is not the operation's record: see [`WireError::closes`].
    Body {
        /// The header, which was readable.
        header: RequestHeader,
        /// Which part was not.
        reason: &'static str,
    },
}

impl WireError {
    /// Whether the connection must be closed without an answer. Otherwise the answer is
    /// [`MARSHALLING_ERROR`](super::code::MARSHALLING_ERROR) and the connection stays: the processors catch every
    /// exception (`PrepRequestProcessor.pRequestHelper`, `FinalRequestProcessor.processRequest`). Authentication
    /// is read before them (`ZooKeeperServer.processPacket`), where an exception ends the connection.
    pub fn closes(&self) -> bool {
        match self {
            WireError::Header(_) => true,
            WireError::Body { header, .. } => matches!(header.op, op::AUTH | op::SASL),
        }
    }

    /// Which part could not be read, for a counter's label.
    pub fn reason(&self) -> &'static str {
        match self {
            WireError::Header(reason) | WireError::Body { reason, .. } => reason,
        }
    }
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WireError::Header(reason) => write!(f, "a request without header: {reason}"),
            WireError::Body { header, reason } => {
                write!(f, "a malformed {} request: {reason}", op::name(header.op))
            }
        }
    }
}

impl core::error::Error for WireError {}

/// A request's body. Versions of -1 mean any; paths are as the client sent them, not validated.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations, which are documented at `op`")]
pub enum Request {
    /// The operations 1, 15, 19 and 21.
    Create(Create),
    Delete {
        path: String,
        version: i32,
    },
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    /// `None` is null data, which is stored and read back as such.
    SetData {
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    GetAcl {
        path: String,
    },
    SetAcl {
        path: String,
        acl: Vec<Acl>,
        version: i32,
    },
    GetChildren {
        path: String,
        watch: bool,
    },
    GetChildren2 {
        path: String,
        watch: bool,
    },
    Sync {
        path: String,
    },
    Ping,
    Multi(Vec<MultiOp>),
    MultiRead(Vec<ReadOp>),
    /// Either the two lists of changes or all members; the configuration's id is -1 for any.
    Reconfig {
        joining: Option<String>,
        leaving: Option<String>,
        new_members: Option<String>,
        config_id: i64,
    },
    /// The kind is one of [`watcher_kind`](super::watcher_kind)'s or anything else.
    CheckWatches {
        path: String,
        kind: i32,
    },
    /// The kind is one of [`watcher_kind`](super::watcher_kind)'s or anything else.
    RemoveWatches {
        path: String,
        kind: i32,
    },
    /// The kind is always 0. Null bytes read as none.
    Auth {
        kind: i32,
        scheme: String,
        auth: Bytes,
    },
    /// Without persistent watches.
    SetWatches(Watches),
    SetWatches2(Watches),
    Sasl {
        token: Bytes,
    },
    GetEphemerals {
        prefix: String,
    },
    GetAllChildrenNumber {
        path: String,
    },
    /// Mode 0 is persistent, 1 persistent and recursive.
    AddWatch {
        path: String,
        mode: i32,
    },
    WhoAmI,
    CloseSession,
    /// No client sends this; servers refuse it like an unknown operation.
    CreateSession {
        timeout_ms: i32,
    },
    /// An operation that does not exist or is not a client's: the answer is
    /// [`UNIMPLEMENTED`](super::code::UNIMPLEMENTED), then the connection closes (`UnimplementedRequestProcessor`).
    Unknown {
        op: i32,
    },
}

/// A node to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// Which of the four operations it is.
    pub form: CreateForm,
    /// The path, or its beginning if the flags ask for a number.
    pub path: String,
    /// The data; `None` is null, which is stored and read back as such.
    pub data: Option<Bytes>,
    /// Who may do what with the node.
    pub acl: Vec<Acl>,
    /// One of [`create_flag`](super::create_flag)'s or anything else; not necessarily in accord with the form.
    pub flags: i32,
}

impl Create {
    /// The time to live in milliseconds, not validated, if the form has one.
    pub fn ttl_ms(&self) -> Option<i64> {
        match self.form {
            CreateForm::Ttl { ttl_ms } => Some(ttl_ms),
            _ => None,
        }
    }

    /// Whether the reply is the path and the [`Stat`](super::Stat), not the path alone.
    pub fn wants_stat(&self) -> bool {
        self.form != CreateForm::Plain
    }

    /// The body of operation `op`, one of the four.
    pub(super) fn decode(op: i32, input: &mut Reader) -> Result<Self, Malformed> {
        let path = input.path()?;
        let data = input.buffer()?;
        let acl = Acl::decode_list(input)?;
        let flags = input.int()?;
        let form = match op {
            op::CREATE => CreateForm::Plain,
            op::CREATE2 => CreateForm::WithStat,
            op::CREATE_CONTAINER => CreateForm::Container,
            op::CREATE_TTL => CreateForm::Ttl { ttl_ms: input.long()? },
            _ => unreachable!("not a create: {op}"),
        };
        Ok(Create { form, path, data, acl, flags })
    }
}

/// The four operations that create a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateForm {
    /// Operation 1: the reply is the path.
    Plain,
    /// Operation 15.
    WithStat,
    /// Operation 19.
    Container,
    /// Operation 21.
    Ttl {
        /// The time to live in milliseconds.
        ttl_ms: i64,
    },
}

impl CreateForm {
    /// The operation's number.
    pub fn op(self) -> i32 {
        match self {
            CreateForm::Plain => op::CREATE,
            CreateForm::WithStat => op::CREATE2,
            CreateForm::Container => op::CREATE_CONTAINER,
            CreateForm::Ttl { .. } => op::CREATE_TTL,
        }
    }
}

/// The watches that a client had when it last saw `relative_zxid`, to be fired or renewed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watches {
    /// The newest zxid that the client has seen.
    pub relative_zxid: i64,
    /// Paths watched by `getData`, and by `exists` where the node was there.
    pub data: Vec<String>,
    /// Paths watched by `exists` where the node was absent.
    pub exist: Vec<String>,
    /// Paths watched by `getChildren`.
    pub child: Vec<String>,
    /// Paths watched persistently.
    pub persistent: Vec<String>,
    /// Paths watched persistently and recursively.
    pub persistent_recursive: Vec<String>,
}

impl Watches {
    fn decode(input: &mut Reader, with_persistent: bool) -> Result<Self, Malformed> {
        const NULL: Malformed = Malformed("a null list of watches");
        let mut watches = Watches {
            relative_zxid: input.long()?,
            data: input.paths()?.ok_or(NULL)?,
            exist: input.paths()?.ok_or(NULL)?,
            child: input.paths()?.ok_or(NULL)?,
            ..Watches::default()
        };
        if with_persistent {
            watches.persistent = input.paths()?.ok_or(NULL)?;
            watches.persistent_recursive = input.paths()?.ok_or(NULL)?;
        }
        Ok(watches)
    }
}

impl Request {
    /// The operation's number, for metrics and for the frame's header.
    pub fn op(&self) -> i32 {
        match self {
            Request::Create(create) => create.form.op(),
            Request::Delete { .. } => op::DELETE,
            Request::Exists { .. } => op::EXISTS,
            Request::GetData { .. } => op::GET_DATA,
            Request::SetData { .. } => op::SET_DATA,
            Request::GetAcl { .. } => op::GET_ACL,
            Request::SetAcl { .. } => op::SET_ACL,
            Request::GetChildren { .. } => op::GET_CHILDREN,
            Request::GetChildren2 { .. } => op::GET_CHILDREN2,
            Request::Sync { .. } => op::SYNC,
            Request::Ping => op::PING,
            Request::Multi(_) => op::MULTI,
            Request::MultiRead(_) => op::MULTI_READ,
            Request::Reconfig { .. } => op::RECONFIG,
            Request::CheckWatches { .. } => op::CHECK_WATCHES,
            Request::RemoveWatches { .. } => op::REMOVE_WATCHES,
            Request::Auth { .. } => op::AUTH,
            Request::SetWatches(_) => op::SET_WATCHES,
            Request::SetWatches2(_) => op::SET_WATCHES2,
            Request::Sasl { .. } => op::SASL,
            Request::GetEphemerals { .. } => op::GET_EPHEMERALS,
            Request::GetAllChildrenNumber { .. } => op::GET_ALL_CHILDREN_NUMBER,
            Request::AddWatch { .. } => op::ADD_WATCH,
            Request::WhoAmI => op::WHO_AM_I,
            Request::CloseSession => op::CLOSE_SESSION,
            Request::CreateSession { .. } => op::CREATE_SESSION,
            Request::Unknown { op } => *op,
        }
    }

    fn decode(op: i32, input: &mut Reader) -> Result<Self, Malformed> {
        Ok(match op {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                Request::Create(Create::decode(op, input)?)
            }
            op::DELETE => Request::Delete { path: input.path()?, version: input.int()? },
            op::EXISTS => Request::Exists { path: input.path()?, watch: input.bool()? },
            op::GET_DATA => Request::GetData { path: input.path()?, watch: input.bool()? },
            op::SET_DATA => {
                Request::SetData { path: input.path()?, data: input.buffer()?, version: input.int()? }
            }
            op::GET_ACL => Request::GetAcl { path: input.path()? },
            op::SET_ACL => {
                Request::SetAcl { path: input.path()?, acl: Acl::decode_list(input)?, version: input.int()? }
            }
            op::GET_CHILDREN => Request::GetChildren { path: input.path()?, watch: input.bool()? },
            op::GET_CHILDREN2 => Request::GetChildren2 { path: input.path()?, watch: input.bool()? },
            op::SYNC => Request::Sync { path: input.text_or_empty()? },
            op::PING => Request::Ping,
            op::MULTI => Request::Multi(MultiOp::decode_list(input)?),
            op::MULTI_READ => Request::MultiRead(ReadOp::decode_list(input)?),
            op::RECONFIG => Request::Reconfig {
                joining: input.text()?,
                leaving: input.text()?,
                new_members: input.text()?,
                config_id: input.long()?,
            },
            op::CHECK_WATCHES => Request::CheckWatches { path: input.path()?, kind: input.int()? },
            op::REMOVE_WATCHES => Request::RemoveWatches { path: input.path()?, kind: input.int()? },
            op::AUTH => Request::Auth {
                kind: input.int()?,
                scheme: input.text_or_empty()?,
                auth: input.buffer()?.unwrap_or_default(),
            },
            op::SET_WATCHES => Request::SetWatches(Watches::decode(input, false)?),
            op::SET_WATCHES2 => Request::SetWatches2(Watches::decode(input, true)?),
            op::SASL => Request::Sasl { token: input.buffer()?.unwrap_or_default() },
            op::GET_EPHEMERALS => Request::GetEphemerals { prefix: input.text_or_empty()? },
            op::GET_ALL_CHILDREN_NUMBER => Request::GetAllChildrenNumber { path: input.path()? },
            op::ADD_WATCH => Request::AddWatch { path: input.path()?, mode: input.int()? },
            op::WHO_AM_I => Request::WhoAmI,
            op::CLOSE_SESSION => Request::CloseSession,
            op::CREATE_SESSION => Request::CreateSession { timeout_ms: input.int()? },
            op => Request::Unknown { op },
        })
    }
}
