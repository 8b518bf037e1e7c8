//! Between what ZooKeeper clients say and what the tree understands.

use super::clients::Form;
use alloc::vec::Vec;
use quipu_machines::tree::{self, Acl, CreateMode, Identity, Op, OpResult, Outcome, Stat, Write};
use quipu_wires::zookeeper::{self as wire, code, create_flag};

/// The write that a request asks for and how its outcome is told. `Ok(None)`: it is no write.
pub(super) fn write_of(request: &mut wire::Request) -> Result<Option<(Write, Form)>, i32> {
    use wire::Request;
    let one = |op: Op, form: Form| Ok(Some((Write::One(op), form)));
    match request {
        Request::Create(create) => {
            let form = form_of(create);
            one(create_op(create)?, form)
        }
        Request::Delete { path, version } => {
            one(Op::Delete { path: core::mem::take(path), version: *version }, Form::Nothing)
        }
        Request::SetData { path, data, version } => {
            one(Op::SetData { path: core::mem::take(path), data: data.take(), version: *version }, Form::Stat)
        }
        Request::SetAcl { path, acl, version } => {
            one(Op::SetAcl { path: core::mem::take(path), acl: acl_of(acl), version: *version }, Form::Stat)
        }
        Request::Multi(ops) => {
            let forms = ops.iter().map(multi_form).collect();
            let ops = ops.iter_mut().map(multi_op).collect::<Result<_, _>>()?;
            Ok(Some((Write::Multi(ops), Form::Multi(forms))))
        }
        Request::CloseSession => Ok(Some((Write::Close, Form::Close))),
        _ => Ok(None),
    }
}

fn form_of(create: &wire::Create) -> Form {
    if create.wants_stat() { Form::PathStat } else { Form::Path }
}

fn multi_form(op: &wire::MultiOp) -> Form {
    match op {
        wire::MultiOp::Create(create) => form_of(create),
        wire::MultiOp::SetData { .. } => Form::Stat,
        wire::MultiOp::Delete { .. } | wire::MultiOp::Check { .. } => Form::Nothing,
    }
}

fn multi_op(op: &mut wire::MultiOp) -> Result<Op, i32> {
    Ok(match op {
        wire::MultiOp::Create(create) => create_op(create)?,
        wire::MultiOp::Delete { path, version } => {
            Op::Delete { path: core::mem::take(path), version: *version }
        }
        wire::MultiOp::SetData { path, data, version } => {
            Op::SetData { path: core::mem::take(path), data: data.take(), version: *version }
        }
        wire::MultiOp::Check { path, version } => {
            Op::Check { path: core::mem::take(path), version: *version }
        }
    })
}

fn create_op(create: &mut wire::Create) -> Result<Op, i32> {
    let mode = match (create.flags, create.ttl_ms()) {
        (create_flag::PERSISTENT, _) => CreateMode::Persistent,
        (create_flag::EPHEMERAL, _) => CreateMode::Ephemeral,
        (create_flag::PERSISTENT_SEQUENTIAL, _) => CreateMode::PersistentSequential,
        (create_flag::EPHEMERAL_SEQUENTIAL, _) => CreateMode::EphemeralSequential,
        (create_flag::CONTAINER, _) => CreateMode::Container,
        (create_flag::PERSISTENT_TTL, Some(ttl)) => CreateMode::Ttl(valid_ttl(ttl)?),
        (create_flag::PERSISTENT_SEQUENTIAL_TTL, Some(ttl)) => CreateMode::TtlSequential(valid_ttl(ttl)?),
        _ => return Err(code::BAD_ARGUMENTS),
    };
    Ok(Op::Create {
        path: core::mem::take(&mut create.path),
        data: create.data.take(),
        acl: acl_of(&mut create.acl),
        mode,
    })
}

/// ZooKeeper keeps a TTL in 40 bits (`EphemeralType.TTL.maxValue`).
fn valid_ttl(ttl_ms: i64) -> Result<i64, i32> {
    if (1..=0xff_ffff_ffff).contains(&ttl_ms) { Ok(ttl_ms) } else { Err(code::BAD_ARGUMENTS) }
}

fn acl_of(acl: &mut Vec<wire::Acl>) -> Vec<Acl> {
    core::mem::take(acl)
        .into_iter()
        .map(|acl| Acl {
            permissions: acl.permissions as u32,
            identity: Identity { scheme: acl.scheme, id: acl.id },
        })
        .collect()
}

/// The answer to a write, in the form the client asked for.
pub(super) fn answer_of(outcome: Outcome, form: &Form) -> Result<wire::Response, i32> {
    match (outcome, form) {
        (Outcome::Written(Ok(result)), form) => Ok(response_of(result, form)),
        (Outcome::Written(Err(error)), _) => Err(error.code()),
        (Outcome::Multi(Ok(results)), Form::Multi(forms)) => {
            assert_eq!(results.len(), forms.len());
            let results = results.into_iter().zip(forms).map(|(result, form)| multi_result(result, form));
            Ok(wire::Response::Multi(results.collect()))
        }
        (Outcome::Multi(Err(failed)), Form::Multi(forms)) => {
            Ok(wire::Response::Multi(wire::MultiResult::failed(forms.len(), failed.at, failed.error.code())))
        }
        (Outcome::Closed, Form::Close) => Ok(wire::Response::Empty),
        (outcome, form) => panic!("{outcome:?} is no outcome of a write told as {form:?}"),
    }
}

fn response_of(result: OpResult, form: &Form) -> wire::Response {
    match (result, form) {
        (OpResult::Created { path, .. }, Form::Path) => wire::Response::Created { path },
        (OpResult::Created { path, stat }, _) => wire::Response::CreatedStat { path, stat: stat_of(&stat) },
        (OpResult::Set { stat }, _) => wire::Response::Stat(stat_of(&stat)),
        (OpResult::Deleted | OpResult::Checked, _) => wire::Response::Empty,
    }
}

fn multi_result(result: OpResult, form: &Form) -> wire::MultiResult {
    match (result, form) {
        (OpResult::Created { path, .. }, Form::Path) => wire::MultiResult::Created { path },
        (OpResult::Created { path, stat }, _) => {
            wire::MultiResult::CreatedStat { path, stat: stat_of(&stat) }
        }
        (OpResult::Set { stat }, _) => wire::MultiResult::Set(stat_of(&stat)),
        (OpResult::Deleted, _) => wire::MultiResult::Deleted,
        (OpResult::Checked, _) => wire::MultiResult::Checked,
    }
}

/// The same facts, as the wire has them.
pub(super) fn stat_of(stat: &Stat) -> wire::Stat {
    wire::Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: stat.ephemeral_owner,
        data_length: stat.data_length,
        num_children: stat.num_children,
        pzxid: stat.pzxid,
    }
}

/// The same list, as the wire has it.
pub(super) fn wire_acl(acl: Vec<Acl>) -> Vec<wire::Acl> {
    acl.into_iter()
        .map(|acl| wire::Acl {
            permissions: acl.permissions as i32,
            scheme: acl.identity.scheme,
            id: acl.identity.id,
        })
        .collect()
}

/// The wire's code for an error of the tree's.
pub(super) fn code_of(error: tree::Error) -> i32 {
    error.code()
}
