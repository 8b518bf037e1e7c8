//! The ZooKeeper 3.8 client protocol, both directions.
//!
//! A server reads [`Frames`], the first of which is a [`ConnectRequest`] (or, instead of a length, a
//! [`FourLetterWord`]), every further one a request for [`decode_request`]; it answers with [`encode_reply`] and
//! [`encode_watch_event`]. [`client`] is the other side.
//!
//! Shapes follow `zookeeper-jute/src/main/resources/zookeeper.jute` of Apache ZooKeeper 3.8.6, which differs from
//! 3.8.0 in one thing: `create2` inside a multi is answered with the stat (`MultiOperationRecord.java`). Where its
//! reading code is more tolerant than those shapes, we are equally so:
//!
//! * Bytes behind a complete record are ignored (`BinaryInputArchive` never looks at them).
//! * A bool is any byte, true unless zero (`DataInput.readBoolean`).
//! * Text that is not UTF-8 is read with replacement characters (`new String(.., UTF_8)`). No valid path holds
//!   one, so path validation refuses it where it matters, on create.
//! * A null path is malformed (ZooKeeper fails on it inside the processor and answers the same code, all but
//!   `addWatch`), except in `sync` and `getEphemerals`, which read it as the empty string. So does an ACL's null
//!   scheme or id: kazoo writes every empty string as null.
//! * A null ACL list is an empty one; both are refused as an invalid ACL, later. A null list of watches is
//!   malformed. A negative count other than the null mark -1 is an empty list.
//! * Null data and empty data differ, are stored and returned so: kazoo and its tests rely on it.

pub mod client;
mod codes;
mod connect;
mod frame;
mod jute;
mod multi;
mod records;
mod request;
mod response;
mod words;

pub use codes::{code, create_flag, event_kind, event_state, op, op_name, permission, watcher_kind, xid};
pub use connect::{ConnectRequest, ConnectResponse, PASSWORD_LENGTH};
pub use frame::{DEFAULT_MAX_FRAME, FrameError, Frames};
pub use jute::Malformed;
pub use multi::{MultiOp, MultiResult, ReadOp, ReadResult};
pub use records::{Acl, ClientInfo, Stat};
pub use request::{Create, CreateForm, Request, RequestHeader, Watches, WireError, decode_request};
pub use response::{ReplyHeader, Response, encode_reply, encode_watch_event};
pub use words::{FourLetterWord, four_letter_word};
