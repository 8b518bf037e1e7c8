//! Sessions: claims, sequence numbers, ends.

use super::rig::*;
use crate::tree::*;
use alloc::string::String;
use alloc::vec::Vec;
use quipu_base::NodeId;

fn attach(session: i64, new: u64, replaces: u64) -> Command {
    Command::AttachSession {
        session: SessionId(session),
        owner: NodeId(2),
        attachment: Attachment(new),
        replaces: Attachment(replaces),
        timeout_ms: 9_000,
    }
}

fn write(session: i64, attachment: u64, sequence: u64, path: &str) -> Command {
    Command::SessionWrite {
        session: SessionId(session),
        attachment: Attachment(attachment),
        sequence,
        identities: Vec::new(),
        write: Write::One(create(path, CreateMode::Ephemeral)),
    }
}

fn expire(session: i64, attachment: u64) -> Command {
    Command::ExpireSession { session: SessionId(session), attachment: Attachment(attachment) }
}

#[test]
fn opening_again_changes_nothing() {
    let mut rig = Rig::new();
    rig.create("/e", CreateMode::Ephemeral).unwrap();
    assert_eq!(rig.apply(&open_session(1)), Outcome::Attached);
    let session = rig.tree.session(SessionId(1)).unwrap();
    assert_eq!((session.last_sequence, session.timeout_ms, session.password), (1, 4_000, [1; 16]));
    assert_eq!(rig.apply(&attach(1, 77, 1)), Outcome::Attached);
    assert_eq!(rig.apply(&open_session(1)), Outcome::Moved(Attachment(77)));
}

#[test]
fn writes_are_applied_once_and_in_order() {
    let mut rig = Rig::new();
    assert_eq!(rig.apply(&write(1, 1, 2, "/b")), Outcome::Gap { expected: 1 });
    assert!(matches!(rig.apply(&write(1, 1, 1, "/a")), Outcome::Written(Ok(_))));
    assert_eq!(rig.apply(&write(1, 1, 1, "/a")), Outcome::Duplicate);
    assert_eq!(rig.apply(&write(1, 1, 0, "/a")), Outcome::Duplicate);
    // What the tree refuses has been applied nevertheless.
    assert_eq!(rig.apply(&write(1, 1, 2, "/a")), Outcome::Written(Err(Error::NodeExists)));
    assert_eq!(rig.apply(&write(1, 1, 2, "/b")), Outcome::Duplicate);
    assert_eq!(rig.apply(&write(1, 1, u64::MAX, "/b")), Outcome::Gap { expected: 3 });
    assert_eq!(rig.apply(&write(9, 1, 1, "/b")), Outcome::NoSession);
}

#[test]
fn a_new_claim_ends_the_old_and_counts_from_one() {
    let mut rig = Rig::new();
    assert!(matches!(rig.apply(&write(1, 1, 1, "/a")), Outcome::Written(Ok(_))));
    assert_eq!(rig.apply(&attach(1, 50, 999)), Outcome::Moved(Attachment(1)));
    assert_eq!(rig.apply(&attach(1, 50, 1)), Outcome::Attached);
    let session = rig.tree.session(SessionId(1)).unwrap();
    assert_eq!((session.owner, session.timeout_ms, session.last_sequence), (NodeId(2), 9_000, 0));
    assert_eq!(rig.apply(&write(1, 1, 2, "/b")), Outcome::Moved(Attachment(50)));
    assert_eq!(rig.apply(&write(1, 50, 2, "/b")), Outcome::Gap { expected: 1 });
    assert!(matches!(rig.apply(&write(1, 50, 1, "/b")), Outcome::Written(Ok(_))));
    // Late copies neither take the session back nor begin the count again.
    assert_eq!(rig.apply(&attach(1, 50, 1)), Outcome::Attached);
    assert_eq!(rig.apply(&write(1, 50, 1, "/b")), Outcome::Duplicate);
    assert_eq!(rig.apply(&attach(1, 60, 50)), Outcome::Attached);
    assert_eq!(rig.apply(&attach(1, 50, 1)), Outcome::Moved(Attachment(60)));
    assert_eq!(rig.apply(&attach(9, 1, 2)), Outcome::NoSession);
}

#[test]
fn an_end_takes_the_ephemerals_under_one_zxid() {
    let mut rig = Rig::new();
    rig.persistent("/p");
    rig.create("/p/b", CreateMode::Ephemeral).unwrap();
    rig.create("/p/a", CreateMode::Ephemeral).unwrap();
    rig.one(2, create("/p/other", CreateMode::Ephemeral)).unwrap();
    rig.seen();
    assert_eq!(rig.write(1, Write::Close), Outcome::Closed);
    let seen: Vec<String> =
        rig.seen().into_iter().map(|(path, change)| alloc::format!("{path} {change:?}")).collect();
    assert_eq!(seen, ["/p/a Deleted", "/p ChildrenChanged", "/p/b Deleted", "/p ChildrenChanged"]);
    assert_eq!((rig.stat("/p").pzxid, rig.stat("/p").cversion), (rig.tree.last_zxid(), 5));
    assert!(rig.tree.exists("/p/other").is_ok());
    assert!(rig.tree.session(SessionId(1)).is_none());
    assert_eq!(rig.write(1, Write::Close), Outcome::NoSession);
}

#[test]
fn only_the_silent_claim_expires() {
    let mut rig = Rig::new();
    rig.create("/e", CreateMode::Ephemeral).unwrap();
    rig.apply(&attach(1, 50, 1));
    assert_eq!(rig.apply(&expire(1, 1)), Outcome::Moved(Attachment(50)));
    assert!(rig.tree.exists("/e").is_ok());
    assert_eq!(rig.apply(&expire(1, 50)), Outcome::Closed);
    assert_eq!(rig.tree.exists("/e"), Err(Error::NoNode));
    assert_eq!(rig.apply(&expire(1, 50)), Outcome::NoSession);
    assert_eq!(rig.tree.sessions().map(|(id, _)| id.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn ephemerals_are_listed_by_prefix() {
    let mut rig = Rig::new();
    for path in ["/ab", "/a", "/b"] {
        rig.create(path, CreateMode::Ephemeral).unwrap();
    }
    assert_eq!(rig.tree.ephemerals(SessionId(1), "/"), ["/a", "/ab", "/b"]);
    assert_eq!(rig.tree.ephemerals(SessionId(1), "/a"), ["/a", "/ab"]);
    assert_eq!(rig.tree.ephemerals(SessionId(2), ""), [""; 0]);
    assert_eq!(
        rig.tree.all_ephemerals().map(|(id, paths)| (id.0, paths.count())).collect::<Vec<_>>(),
        [(1, 3)]
    );
}

/// Session 1 ends twice, and between the ends session 2 creates what session 1 had.
fn ends_twice(planted: u32) -> Result<Stat, Error> {
    let mut rig = Rig::with(Settings { planted, ..Settings::default() });
    rig.create("/lock", CreateMode::Ephemeral).unwrap();
    assert_eq!(rig.apply(&expire(1, 1)), Outcome::Closed);
    rig.one(2, create("/lock", CreateMode::Persistent)).unwrap();
    assert_eq!(rig.apply(&expire(1, 1)), Outcome::NoSession);
    rig.tree.exists("/lock")
}

#[test]
fn planted_an_ephemeral_is_dropped_twice() {
    assert!(ends_twice(0).is_ok());
    assert_eq!(ends_twice(PLANTED_EPHEMERAL_TWICE), Err(Error::NoNode));
}

#[test]
fn planted_a_copy_is_applied() {
    let mut rig = Rig::with(Settings { planted: PLANTED_DUPLICATE_APPLIED, ..Settings::default() });
    rig.apply(&write(1, 1, 1, "/a"));
    assert_eq!(rig.apply(&write(1, 1, 1, "/a")), Outcome::Written(Err(Error::NodeExists)));
}
