//! The formats are fixtures: a change that these tests notice needs a new version and a reader for the old.

use super::model::Generator;
use super::rig::*;
use crate::tree::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use quipu_base::NodeId;
use quipu_base::codec::{Codec, Malformed};

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect()
}

/// One of everything.
fn commands() -> Vec<Command> {
    let (session, attachment) = (SessionId(0x0102_0304_0506_0708), Attachment(0x1112_1314_1516_1718));
    let write = |sequence, write| Command::SessionWrite {
        session,
        attachment,
        sequence,
        identities: vec![identity("digest", "u:h"), identity("ip", "::1")],
        write,
    };
    let modes = [
        CreateMode::Persistent,
        CreateMode::PersistentSequential,
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
        CreateMode::Ttl(1_000),
        CreateMode::TtlSequential(TTL_MAX_MS),
    ];
    let mut ops: Vec<Op> = modes.map(|mode| create("/ä", mode)).into();
    ops.push(delete("/d", 1));
    ops.push(set("/s", "", -1));
    ops.push(Op::SetData { path: "/s".into(), data: None, version: 2 });
    ops.push(Op::SetAcl {
        path: "/acl".into(),
        acl: vec![allow(READ, "ip", "10.0.0.0/8")],
        version: i32::MIN,
    });
    ops.push(check("/c", i32::MAX));
    vec![
        Command::OpenSession {
            session,
            password: *b"sixteen bytes ok",
            timeout_ms: 4_000,
            owner: NodeId(3),
            attachment,
        },
        Command::AttachSession {
            session,
            owner: NodeId(2),
            attachment,
            replaces: Attachment(9),
            timeout_ms: 5_000,
        },
        write(1, Write::One(create("/a/b", CreateMode::Persistent))),
        write(2, Write::Multi(ops)),
        write(u64::MAX, Write::Close),
        Command::ExpireSession { session: SessionId(-1), attachment },
        Command::Reap { paths: vec!["/r".into(), "/ü".into()] },
        Command::System { ops: vec![set("/quipu/x", "y", -1), delete("/z", -1)] },
    ]
}

#[test]
fn commands_have_these_bytes() {
    let written: String = commands().iter().map(|command| hex(&command.to_bytes()) + "\n").collect();
    assert_eq!(written, include_str!("golden/commands-1.hex"), "got:\n{written}");
}

#[test]
fn snapshots_have_these_bytes() {
    let mut rig = Rig::new();
    rig.time = 1_700_000_000_000;
    for (path, mode) in
        [("/p", CreateMode::Persistent), ("/e", CreateMode::Ephemeral), ("/c", CreateMode::Container)]
    {
        rig.create(path, mode).unwrap();
    }
    rig.create("/t-", CreateMode::TtlSequential(60_000)).unwrap();
    rig.one(2, Op::SetData { path: "/p".into(), data: None, version: -1 }).unwrap();
    rig.who = vec![identity("digest", "u:h")];
    rig.one(2, Op::SetAcl { path: "/p".into(), acl: vec![allow(READ, "auth", "")], version: -1 }).unwrap();
    rig.tree.snapshot_begin();
    let chunks: Vec<Bytes> = core::iter::from_fn(|| rig.tree.snapshot_next(usize::MAX)).collect();
    assert_eq!(chunks.len(), 1);
    let written = hex(&chunks[0]);
    assert_eq!(written, include_str!("golden/snapshot-1.hex"), "got:\n{written}");
}

#[test]
fn commands_come_back() {
    let mut generator = Generator::new(11);
    let tree = Tree::new(Settings::default());
    let random = (0..2_000).map(|_| generator.command(&tree));
    for command in commands().into_iter().chain(random) {
        assert_eq!(Command::from_bytes(command.to_bytes()), Ok(command));
    }
}

#[test]
fn what_is_cut_or_unknown_is_refused() {
    for command in commands() {
        let bytes = command.to_bytes();
        for length in 0..bytes.len() {
            assert!(Command::from_bytes(bytes.slice(..length)).is_err(), "{command:?} cut to {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0xff;
            // Most of it still means something; none of it may panic.
            let _ = Command::from_bytes(Bytes::from(damaged));
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert_eq!(
            Command::from_bytes(Bytes::from(newer)),
            Err(Malformed("a tree command of an unknown version"))
        );
    }
}

#[test]
fn data_are_cut_from_the_input() {
    let bytes = commands()[2].to_bytes();
    let range = bytes.as_ptr_range();
    let Command::SessionWrite { write: Write::One(Op::Create { data: Some(data), .. }), .. } =
        Command::from_bytes(bytes.clone()).unwrap()
    else {
        panic!()
    };
    assert!(range.contains(&data.as_ptr()));
}

#[test]
fn errors_have_zookeepers_codes() {
    let codes = [
        (Error::NoNode, -101),
        (Error::InvalidAcl, -114),
        (Error::Unimplemented, -6),
        (Error::QuotaExceeded, -125),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code);
    }
}
