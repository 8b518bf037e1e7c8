//! Several operations in one request (`MultiOperationRecord.java`, `MultiResponse.java`): each behind a small
//! header of its own, a last header to end the list.

use super::jute::{Malformed, Reader, Writer};
use super::records::Stat;
use super::request::{Create, CreateForm};
use super::{code, create_flag, op};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{BufMut, Bytes, BytesMut};

/// One write of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations, which are documented at `op`")]
pub enum MultiOp {
    /// The operations 1, 15, 19 and 21.
    Create(Create),
    Delete {
        path: String,
        version: i32,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    Check {
        path: String,
        version: i32,
    },
}

/// One read of a multiRead. ZooKeeper reads their watch flags and forgets them, and so do we.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations, which are documented at `op`")]
pub enum ReadOp {
    GetData { path: String },
    GetChildren { path: String },
}

/// What became of one write of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations' replies")]
pub enum MultiResult {
    /// To a create of the form [`CreateForm::Plain`].
    Created {
        path: String,
    },
    /// To the other creates.
    CreatedStat {
        path: String,
        stat: Stat,
    },
    Deleted,
    Set(Stat),
    Checked,
    Error(i32),
}

impl MultiResult {
    /// The results of a multi of `count` writes whose write `failed` failed with `error`, so that none took effect:
    /// no error before it, [`RUNTIME_INCONSISTENCY`](code::RUNTIME_INCONSISTENCY) behind it
    /// (`PrepRequestProcessor.pRequestHelper`, `DataTree.processTxn`). The reply's header has no error.
    pub fn failed(count: usize, failed: usize, error: i32) -> Vec<MultiResult> {
        assert!(failed < count, "the write that failed is one of the multi's");
        assert!(error != code::OK, "a failure has a reason");
        let result = |index: usize| match index.cmp(&failed) {
            core::cmp::Ordering::Less => code::OK,
            core::cmp::Ordering::Equal => error,
            core::cmp::Ordering::Greater => code::RUNTIME_INCONSISTENCY,
        };
        (0..count).map(|index| MultiResult::Error(result(index))).collect()
    }
}

/// What became of one read of a multiRead: each fails alone.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are those of the operations' replies")]
pub enum ReadResult {
    Data { data: Option<Bytes>, stat: Stat },
    Children(Vec<String>),
    Error(i32),
}

/// Before each operation and result: its type, whether the list ends here, and an error.
struct MultiHeader {
    op: i32,
    done: bool,
}

impl MultiHeader {
    fn decode(input: &mut Reader) -> Result<Self, Malformed> {
        let header = MultiHeader { op: input.int()?, done: input.bool()? };
        input.int()?;
        Ok(header)
    }

    fn encode(out: &mut BytesMut, op: i32, error: i32) {
        out.put_i32(op);
        out.put_bool(false);
        out.put_i32(error);
    }

    fn encode_end(out: &mut BytesMut) {
        out.put_i32(op::ERROR);
        out.put_bool(true);
        out.put_i32(-1);
    }

    /// Reads operations or results up to the end's header. Each takes its header's bytes at least.
    fn list<T>(
        input: &mut Reader,
        item: impl Fn(i32, &mut Reader) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut items = Vec::new();
        loop {
            let header = MultiHeader::decode(input)?;
            if header.done {
                return Ok(items);
            }
            items.push(item(header.op, input)?);
        }
    }
}

impl MultiOp {
    /// The operation's number.
    pub fn op(&self) -> i32 {
        match self {
            MultiOp::Create(create) => create.form.op(),
            MultiOp::Delete { .. } => op::DELETE,
            MultiOp::SetData { .. } => op::SET_DATA,
            MultiOp::Check { .. } => op::CHECK,
        }
    }

    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<MultiOp>, Malformed> {
        MultiHeader::list(input, |op, input| {
            Ok(match op {
                op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                    MultiOp::Create(settle_form(Create::decode(op, input)?)?)
                }
                op::DELETE => MultiOp::Delete { path: input.path()?, version: input.int()? },
                op::SET_DATA => {
                    MultiOp::SetData { path: input.path()?, data: input.buffer()?, version: input.int()? }
                }
                op::CHECK => MultiOp::Check { path: input.path()?, version: input.int()? },
                _ => return Err(Malformed("not a write of a multi")),
            })
        })
    }

    pub(super) fn encode_list(ops: &[MultiOp], out: &mut BytesMut) {
        for item in ops {
            MultiHeader::encode(out, item.op(), -1);
            match item {
                MultiOp::Create(create) => create.encode(out),
                MultiOp::SetData { path, data, version } => {
                    out.put_text(path);
                    out.put_buffer(data.as_deref());
                    out.put_i32(*version);
                }
                MultiOp::Delete { path, version } | MultiOp::Check { path, version } => {
                    out.put_text(path);
                    out.put_i32(*version);
                }
            }
        }
        MultiHeader::encode_end(out);
    }
}

/// Inside a multi the flags win over the operation, and impossible pairs cannot be read at all
/// (`MultiOperationRecord.deserialize`, `Op.create`).
fn settle_form(mut create: Create) -> Result<Create, Malformed> {
    let ttl = matches!(create.flags, create_flag::PERSISTENT_TTL | create_flag::PERSISTENT_SEQUENTIAL_TTL);
    let known = (create_flag::PERSISTENT..=create_flag::PERSISTENT_SEQUENTIAL_TTL).contains(&create.flags);
    create.form = match create.form {
        // Unknown flags stay with this form, to be refused as a bad argument.
        CreateForm::Ttl { ttl_ms } if ttl || !known => CreateForm::Ttl { ttl_ms },
        _ if create.flags == create_flag::CONTAINER => CreateForm::Container,
        CreateForm::Ttl { .. } => CreateForm::Plain,
        _ if ttl || !known => return Err(Malformed("flags that the create cannot have")),
        form => form,
    };
    Ok(create)
}

impl ReadOp {
    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<ReadOp>, Malformed> {
        MultiHeader::list(input, |op, input| {
            let path = match op {
                op::GET_DATA | op::GET_CHILDREN => input.path()?,
                _ => return Err(Malformed("not a read of a multiRead")),
            };
            input.bool()?;
            Ok(if op == op::GET_DATA { ReadOp::GetData { path } } else { ReadOp::GetChildren { path } })
        })
    }

    pub(super) fn encode_list(ops: &[ReadOp], out: &mut BytesMut) {
        for item in ops {
            let (op, path) = match item {
                ReadOp::GetData { path } => (op::GET_DATA, path),
                ReadOp::GetChildren { path } => (op::GET_CHILDREN, path),
            };
            MultiHeader::encode(out, op, -1);
            out.put_text(path);
            out.put_bool(false);
        }
        MultiHeader::encode_end(out);
    }
}

impl MultiResult {
    pub(super) fn encode_list(results: &[MultiResult], out: &mut BytesMut) {
        for result in results {
            match result {
                MultiResult::Created { path } => {
                    MultiHeader::encode(out, op::CREATE, code::OK);
                    out.put_text(path);
                }
                MultiResult::CreatedStat { path, stat } => {
                    MultiHeader::encode(out, op::CREATE2, code::OK);
                    out.put_text(path);
                    stat.encode(out);
                }
                MultiResult::Deleted => MultiHeader::encode(out, op::DELETE, code::OK),
                MultiResult::Set(stat) => {
                    MultiHeader::encode(out, op::SET_DATA, code::OK);
                    stat.encode(out);
                }
                MultiResult::Checked => MultiHeader::encode(out, op::CHECK, code::OK),
                MultiResult::Error(error) => encode_error(*error, out),
            }
        }
        MultiHeader::encode_end(out);
    }

    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<MultiResult>, Malformed> {
        MultiHeader::list(input, |op, input| {
            Ok(match op {
                op::CREATE => MultiResult::Created { path: input.path()? },
                op::CREATE2 => MultiResult::CreatedStat { path: input.path()?, stat: Stat::decode(input)? },
                op::DELETE => MultiResult::Deleted,
                op::SET_DATA => MultiResult::Set(Stat::decode(input)?),
                op::CHECK => MultiResult::Checked,
                op::ERROR => MultiResult::Error(input.int()?),
                _ => return Err(Malformed("not a result of a multi")),
            })
        })
    }
}

impl ReadResult {
    pub(super) fn encode_list(results: &[ReadResult], out: &mut BytesMut) {
        for result in results {
            match result {
                ReadResult::Data { data, stat } => {
                    MultiHeader::encode(out, op::GET_DATA, code::OK);
                    out.put_buffer(data.as_deref());
                    stat.encode(out);
                }
                ReadResult::Children(children) => {
                    MultiHeader::encode(out, op::GET_CHILDREN, code::OK);
                    out.put_paths(children);
                }
                ReadResult::Error(error) => encode_error(*error, out),
            }
        }
        MultiHeader::encode_end(out);
    }

    pub(super) fn decode_list(input: &mut Reader) -> Result<Vec<ReadResult>, Malformed> {
        MultiHeader::list(input, |op, input| {
            Ok(match op {
                op::GET_DATA => ReadResult::Data { data: input.buffer()?, stat: Stat::decode(input)? },
                op::GET_CHILDREN => ReadResult::Children(input.paths()?.unwrap_or_default()),
                op::ERROR => ReadResult::Error(input.int()?),
                _ => return Err(Malformed("not a result of a multiRead")),
            })
        })
    }
}

/// An error is told twice, in the header and as the body.
fn encode_error(error: i32, out: &mut BytesMut) {
    MultiHeader::encode(out, op::ERROR, error);
    out.put_i32(error);
}
