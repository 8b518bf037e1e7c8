//! The golden frames and what they say.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod properties;

use bytes::Bytes;
use quipu_wires::zookeeper::{
    Acl, ClientInfo, ConnectRequest, ConnectResponse, Create, CreateForm, MultiOp, MultiResult, ReadOp,
    ReadResult, Request, Response, Stat, Watches, code, op,
};

/// Name in the golden file, xid, and the request that the frame is.
pub(crate) type Asked = (&'static str, i32, Request);

/// Name in the golden file, operation, xid, zxid, and the result that the frame is.
pub(crate) type Answered = (&'static str, i32, i32, i64, Result<Response, i32>);

/// Every golden frame with its name, the length cut off.
pub(crate) fn golden() -> Vec<(&'static str, Bytes)> {
    let lines = include_str!("../golden/zookeeper.txt").lines().filter(|line| !line.starts_with('#'));
    let frame = |line: &'static str| {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        let (length, body) = bytes.split_first_chunk().expect("a length");
        assert_eq!(i32::from_be_bytes(*length) as usize, body.len(), "{name}");
        (name, Bytes::copy_from_slice(body))
    };
    lines.map(frame).collect()
}

/// The golden frame of this name.
pub(crate) fn golden_frame(name: &str) -> Bytes {
    let found = golden().into_iter().find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("no golden frame {name}")).1
}

pub(crate) const STAT: Stat = Stat {
    czxid: 0x1_0000_0002,
    mzxid: 0x1_0000_0003,
    ctime: 1_600_000_000_001,
    mtime: 1_600_000_000_002,
    version: 4,
    cversion: -5,
    aversion: 6,
    ephemeral_owner: 0x0700_0000_0000_0008,
    data_length: 9,
    num_children: 10,
    pzxid: 0x1_0000_000b,
};

fn text(text: &str) -> String {
    text.to_string()
}

fn texts<const N: usize>(all: [&str; N]) -> Vec<String> {
    all.map(text).to_vec()
}

fn data(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

fn open_acl() -> Vec<Acl> {
    vec![Acl { permissions: 31, scheme: "world".into(), id: "anyone".into() }]
}

fn two_acl() -> Vec<Acl> {
    vec![
        Acl { permissions: 1, scheme: "world".into(), id: "anyone".into() },
        Acl { permissions: 16, scheme: "auth".into(), id: "".into() },
    ]
}

fn password() -> Bytes {
    (0..16).map(|index| index * 17).collect()
}

pub(crate) fn connect_request(read_only: Option<bool>) -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0x1234,
        timeout_ms: 30_000,
        session: 0x100_aabb_ccdd_eeff,
        password: password(),
        read_only,
    }
}

pub(crate) fn connect_response(read_only: Option<bool>) -> ConnectResponse {
    ConnectResponse {
        protocol_version: 0,
        timeout_ms: 20_000,
        session: 0x100_aabb_ccdd_eeff,
        password: password(),
        read_only,
    }
}

fn create(form: CreateForm, path: &str, data: Option<Bytes>, acl: Vec<Acl>, flags: i32) -> Create {
    Create { form, path: text(path), data, acl, flags }
}

/// What Java's frames ask.
pub(crate) fn requests() -> Vec<Asked> {
    let path = || text("/a");
    let mut all = created();
    all.extend([
        ("request.delete", 6, Request::Delete { path: path(), version: 7 }),
        ("request.exists", 7, Request::Exists { path: path(), watch: true }),
        ("request.getData", 8, Request::GetData { path: path(), watch: false }),
        ("request.setData", 9, Request::SetData { path: path(), data: data("new"), version: -1 }),
        ("request.setData.null", 10, Request::SetData { path: path(), data: None, version: 3 }),
        ("request.getACL", 11, Request::GetAcl { path: path() }),
        ("request.setACL", 12, Request::SetAcl { path: path(), acl: two_acl(), version: 2 }),
        ("request.getChildren", 13, Request::GetChildren { path: path(), watch: true }),
        ("request.sync", 14, Request::Sync { path: path() }),
        ("request.ping", -2, Request::Ping),
        ("request.getChildren2", 15, Request::GetChildren2 { path: text("/"), watch: false }),
        ("request.checkWatches", 20, Request::CheckWatches { path: path(), kind: 1 }),
        ("request.removeWatches", 21, Request::RemoveWatches { path: path(), kind: 3 }),
        ("request.sasl", 22, Request::Sasl { token: Bytes::from_static(b"token") }),
        ("request.getEphemerals", 23, Request::GetEphemerals { prefix: text("/e") }),
        ("request.getAllChildrenNumber", 24, Request::GetAllChildrenNumber { path: path() }),
        ("request.addWatch", 25, Request::AddWatch { path: path(), mode: 1 }),
        ("request.whoAmI", 26, Request::WhoAmI),
        ("request.closeSession", 27, Request::CloseSession),
    ]);
    all.extend(composed());
    all.extend(watched());
    all
}

fn created() -> Vec<Asked> {
    let ttl = CreateForm::Ttl { ttl_ms: 86_400_000 };
    [
        ("request.create", 1, create(CreateForm::Plain, "/a", data("xyz"), open_acl(), 0)),
        ("request.create.null", 2, create(CreateForm::Plain, "/a", None, Vec::new(), 1)),
        ("request.create2", 3, create(CreateForm::WithStat, "/a/ä", data(""), two_acl(), 3)),
        ("request.createContainer", 4, create(CreateForm::Container, "/c", data("c"), open_acl(), 4)),
        ("request.createTTL", 5, create(ttl, "/t", data("t"), open_acl(), 6)),
    ]
    .map(|(name, xid, create)| (name, xid, Request::Create(create)))
    .to_vec()
}

fn composed() -> Vec<Asked> {
    let ttl = CreateForm::Ttl { ttl_ms: 1000 };
    let first = MultiOp::Create(create(CreateForm::Plain, "/m", data("1"), open_acl(), 0));
    let with_ttl = MultiOp::Create(create(ttl, "/m/t", data("t"), open_acl(), 5));
    let rest = [
        MultiOp::Delete { path: text("/n"), version: -1 },
        MultiOp::SetData { path: text("/o"), data: data("set"), version: 4 },
        MultiOp::Check { path: text("/p"), version: 5 },
    ];
    let mut multi = vec![
        first.clone(),
        MultiOp::Create(create(CreateForm::WithStat, "/m/2-", data("2"), open_acl(), 2)),
        MultiOp::Create(create(CreateForm::Container, "/m/c", None, open_acl(), 4)),
        with_ttl.clone(),
    ];
    multi.extend(rest.clone());
    let mut of_java = vec![first, with_ttl];
    of_java.extend(rest);
    let reads = vec![ReadOp::GetData { path: text("/a") }, ReadOp::GetChildren { path: text("/") }];
    let reconfig = Request::Reconfig {
        joining: Some(text("server.4=h:1:2;3")),
        leaving: Some(text("1,2")),
        new_members: None,
        config_id: -1,
    };
    vec![
        ("request.multi", 16, Request::Multi(multi)),
        ("request.multi.java", 28, Request::Multi(of_java)),
        ("request.multi.empty", 17, Request::Multi(Vec::new())),
        ("request.multiRead", 18, Request::MultiRead(reads)),
        ("request.reconfig", 19, reconfig),
    ]
}

fn watched() -> Vec<Asked> {
    let auth = Request::Auth { kind: 0, scheme: text("digest"), auth: Bytes::from_static(b"user:pass") };
    let old = Watches {
        relative_zxid: 0x99,
        data: texts(["/d1", "/d2"]),
        exist: texts(["/e"]),
        ..Watches::default()
    };
    let new = Watches {
        relative_zxid: 0x99,
        data: texts(["/d"]),
        child: texts(["/c"]),
        persistent: texts(["/p"]),
        persistent_recursive: texts(["/r1", "/r2"]),
        ..Watches::default()
    };
    vec![
        ("request.auth", -4, auth),
        ("request.setWatches", -8, Request::SetWatches(old)),
        ("request.setWatches2", -8, Request::SetWatches2(new)),
    ]
}

/// What Java's frames answer.
pub(crate) fn replies() -> Vec<Answered> {
    let stat = STAT;
    let sequential = text("/a/ä0000000007");
    let who = [("ip", "127.0.0.1"), ("digest", "user")]
        .map(|(scheme, user)| ClientInfo { scheme: text(scheme), user: text(user) })
        .to_vec();
    let children = texts(["b"]);
    let good = [
        ("reply.create", op::CREATE, 1, Response::Created { path: text("/a") }),
        ("reply.create2", op::CREATE2, 3, Response::CreatedStat { path: sequential, stat }),
        ("reply.exists", op::EXISTS, 7, Response::Stat(stat)),
        ("reply.getData", op::GET_DATA, 8, Response::Data { data: data("xyz"), stat }),
        ("reply.getData.null", op::GET_DATA, 8, Response::Data { data: None, stat }),
        ("reply.setData", op::SET_DATA, 9, Response::Stat(stat)),
        ("reply.getACL", op::GET_ACL, 11, Response::Acl { acl: two_acl(), stat }),
        ("reply.setACL", op::SET_ACL, 12, Response::Stat(stat)),
        ("reply.getChildren", op::GET_CHILDREN, 13, Response::Children(texts(["b", "c"]))),
        ("reply.sync", op::SYNC, 14, Response::Path(text("/a"))),
        ("reply.ping", op::PING, -2, Response::Empty),
        ("reply.getChildren2", op::GET_CHILDREN2, 15, Response::ChildrenStat { children, stat }),
        ("reply.getEphemerals", op::GET_EPHEMERALS, 23, Response::Ephemerals(texts(["/e/1"]))),
        ("reply.getAllChildrenNumber", op::GET_ALL_CHILDREN_NUMBER, 24, Response::Count(77)),
        ("reply.addWatch", op::ADD_WATCH, 25, Response::WatchAdded),
        ("reply.whoAmI", op::WHO_AM_I, 26, Response::WhoAmI(who)),
    ];
    let mut all: Vec<_> =
        good.into_iter().map(|(name, op, xid, body)| (name, op, xid, 42, Ok(body))).collect();
    all.push(("reply.error", op::EXISTS, 7, 42, Err(code::NO_NODE)));
    all.push(("reply.sasl", op::SASL, 22, 0, Ok(Response::Sasl { token: data("token") })));
    all.extend(composed_replies());
    all
}

fn composed_replies() -> Vec<Answered> {
    let stat = STAT;
    let results = vec![
        MultiResult::Created { path: text("/m") },
        MultiResult::CreatedStat { path: text("/m/2-0000000000"), stat },
        MultiResult::Deleted,
        MultiResult::Set(stat),
        MultiResult::Checked,
    ];
    let failed = MultiResult::failed(3, 1, code::BAD_VERSION);
    let reads = vec![
        ReadResult::Data { data: data("xyz"), stat },
        ReadResult::Children(texts(["b"])),
        ReadResult::Error(code::NO_NODE),
    ];
    vec![
        ("reply.multi", op::MULTI, 16, 42, Ok(Response::Multi(results))),
        ("reply.multi.failed", op::MULTI, 16, 42, Ok(Response::Multi(failed))),
        ("reply.multiRead", op::MULTI_READ, 18, 42, Ok(Response::MultiRead(reads))),
    ]
}

/// What kazoo's frames ask.
pub(crate) fn kazoo_requests() -> Vec<Asked> {
    let same = requests();
    let as_java = |name: &str| {
        let (_, xid, request) = same.iter().find(|(java, ..)| *java == name).expect("a known request");
        (*xid, request.clone())
    };
    let mut all = Vec::new();
    for (name, _) in golden() {
        let Some(kazoo) = name.strip_prefix("kazoo.") else { continue };
        let (xid, request) = match kazoo {
            "connect" => continue,
            "create.null" => (2, Request::Create(create(CreateForm::Plain, "/a", None, two_acl(), 1))),
            "close" => as_java("request.closeSession"),
            "multi" => {
                let (xid, Request::Multi(mut ops)) = as_java("request.multi.java") else { unreachable!() };
                ops.remove(1);
                (xid - 12, Request::Multi(ops))
            }
            other => as_java(&format!("request.{other}")),
        };
        all.push((name, xid, request));
    }
    all
}
