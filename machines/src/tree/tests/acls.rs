//! Who may do what.

use super::rig::*;
use crate::tree::*;
use alloc::vec;
use alloc::vec::Vec;

const ALICE: &str = "alice:xyz=";

fn create_with(path: &str, acl: Vec<Acl>) -> Op {
    Op::Create { path: path.into(), data: bytes("secret"), acl, mode: CreateMode::Persistent }
}

fn set_acl(path: &str, acl: Vec<Acl>, version: i32) -> Op {
    Op::SetAcl { path: path.into(), acl, version }
}

fn alice() -> Vec<Identity> {
    vec![identity("ip", "10.0.0.1"), identity("digest", ALICE)]
}

#[test]
fn digests_are_zookeepers() {
    // The example of the Administrator's Guide (`super:test`), which kazoo's suite uses too.
    assert_eq!(digest_id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    assert_eq!(digest_id("user:pass:word").split(':').next(), Some("user"));
}

#[test]
fn malformed_acls_are_refused() {
    let mut rig = Rig::new();
    for bad in [
        vec![],
        vec![allow(ALL, "world", "everyone")],
        vec![allow(ALL, "digest", "alice")],
        vec![allow(ALL, "digest", "alice:")],
        vec![allow(ALL, "digest", "a:b:c")],
        vec![allow(ALL, "ip", "10.0.0")],
        vec![allow(ALL, "ip", "10.0.0.1/33")],
        vec![allow(ALL, "ip", "10.0.0.1/-1")],
        vec![allow(ALL, "ip", "::1/129")],
        vec![allow(ALL, "sasl", "alice")],
        vec![allow(ALL, "super", "")],
        vec![allow(ALL, "", "")],
        vec![allow(ALL, "auth", "")],
        vec![Acl::anyone(ALL), allow(ALL, "nobody", "knows")],
    ] {
        assert_eq!(rig.one(1, create_with("/a", bad.clone())), Err(Error::InvalidAcl), "{bad:?}");
    }
    // The ACL is judged before the parent is sought.
    assert_eq!(rig.one(1, create_with("/no/where", vec![])), Err(Error::InvalidAcl));
    assert_eq!(rig.one(1, set_acl("/none", vec![], -1)), Err(Error::InvalidAcl));
}

#[test]
fn duplicates_are_dropped_and_auth_means_the_caller() {
    let mut rig = Rig::new();
    rig.who = alice();
    rig.who.push(identity("super", ""));
    let entry = allow(READ, "ip", "10.0.0.0/8");
    let acl = vec![entry.clone(), allow(ALL, "auth", "ignored"), entry.clone()];
    rig.one(1, create_with("/a", acl)).unwrap();
    let stored = rig.tree.acl("/a", &rig.who).unwrap().0;
    assert_eq!(stored, [entry, allow(ALL, "digest", ALICE)]);
    // An address does not say who somebody is.
    rig.who = vec![identity("ip", "10.0.0.1")];
    assert_eq!(rig.one(1, create_with("/b", vec![allow(ALL, "auth", "")])), Err(Error::InvalidAcl));
}

#[test]
fn an_acl_that_multiplies_is_refused() {
    let mut rig = Rig::new();
    rig.who = (0..100).map(|at| identity("digest", &alloc::format!("user{at}:x"))).collect();
    let acl: Vec<Acl> = (0..100).map(|permissions| allow(permissions, "auth", "")).collect();
    assert_eq!(rig.one(1, create_with("/a", acl)), Err(Error::InvalidAcl));
}

#[test]
fn each_thing_asks_its_own_permission_of_its_own_node() {
    let mut rig = Rig::new();
    let only = |permissions: u32| vec![Acl::anyone(permissions)];
    rig.one(1, create_with("/none", only(0))).unwrap();
    rig.one(1, create_with("/create", only(CREATE))).unwrap();
    rig.one(1, create_with("/create/x", only(ALL))).unwrap();
    rig.one(1, create_with("/all", only(ALL))).unwrap();
    rig.one(1, create_with("/all/none", only(0))).unwrap();
    rig.one(1, create_with("/write", only(WRITE))).unwrap();
    rig.one(1, create_with("/admin", only(ADMIN))).unwrap();
    assert_eq!(rig.one(1, create_with("/none/x", only(ALL))), Err(Error::NoAuth));
    assert_eq!(rig.one(1, delete("/create/x", -1)), Err(Error::NoAuth));
    assert_eq!(rig.one(1, set("/none", "x", -1)), Err(Error::NoAuth));
    assert_eq!(rig.one(1, set_acl("/write", only(ALL), -1)), Err(Error::NoAuth));
    assert_eq!(rig.one(1, check("/write", -1)), Err(Error::NoAuth));
    // The parent decides a deletion, not the node.
    assert_eq!(rig.one(1, delete("/all/none", -1)), Ok(OpResult::Deleted));
    assert!(rig.one(1, set("/write", "x", -1)).is_ok());
    assert!(rig.one(1, set_acl("/admin", only(ALL), -1)).is_ok());
    assert_eq!(rig.tree.data("/none", &[]), Err(Error::NoAuth));
    assert_eq!(rig.tree.children("/none", &[]).map(|(_, stat)| stat), Err(Error::NoAuth));
    assert_eq!(rig.tree.acl("/none", &[]), Err(Error::NoAuth));
    assert!(rig.tree.exists("/none").is_ok());
    assert!(
        !rig.tree.may_read("/none", &[]) && rig.tree.may_read("/all", &[]) && rig.tree.may_read("/gone", &[])
    );
}

#[test]
fn permission_is_refused_before_the_version_and_the_child() {
    let mut rig = Rig::new();
    rig.one(1, create_with("/p", vec![Acl::anyone(READ)])).unwrap();
    assert_eq!(rig.one(1, set("/p", "x", 42)), Err(Error::NoAuth));
    assert_eq!(rig.one(1, delete("/p/none", 42)), Err(Error::NoAuth));
    assert_eq!(rig.one(1, create_with("/p/.", open_acl())), Err(Error::NoAuth));
}

#[test]
fn super_may_everything() {
    let mut rig = Rig::new();
    rig.one(1, create_with("/none", vec![allow(0, "world", "anyone")])).unwrap();
    rig.who = vec![identity("super", "")];
    assert!(rig.one(1, set("/none", "x", -1)).is_ok());
    assert!(rig.one(1, set("/zookeeper/config", "x", -1)).is_ok());
    assert!(rig.tree.data("/none", &rig.who).is_ok());
}

#[test]
fn hashes_are_hidden_from_those_who_may_only_read() {
    let mut rig = Rig::new();
    let acl = vec![allow(ADMIN, "digest", ALICE), Acl::anyone(READ)];
    rig.one(1, create_with("/a", acl.clone())).unwrap();
    assert_eq!(rig.tree.acl("/a", &alice()).unwrap().0, acl);
    assert_eq!(rig.tree.acl("/a", &[]).unwrap().0, [allow(ADMIN, "digest", "alice:x"), Acl::anyone(READ)]);
    // ADMIN alone is enough to see an ACL.
    rig.one(1, create_with("/b", vec![allow(ADMIN, "digest", ALICE)])).unwrap();
    assert!(rig.tree.acl("/b", &alice()).is_ok() && rig.tree.acl("/b", &[]) == Err(Error::NoAuth));
}

#[test]
fn set_acl_moves_aversion_and_nothing_else() {
    let mut rig = Rig::new();
    rig.one(1, create_with("/a", open_acl())).unwrap();
    rig.seen();
    let before = rig.stat("/a");
    rig.time = 9_000;
    let Ok(OpResult::Set { stat }) = rig.one(1, set_acl("/a", vec![Acl::anyone(ALL & !WRITE)], 0)) else {
        panic!()
    };
    assert_eq!(stat, Stat { aversion: 1, ..before });
    assert_eq!(rig.seen(), []);
    assert_eq!(rig.one(1, set_acl("/a", open_acl(), 0)), Err(Error::BadVersion));
    assert_eq!(rig.one(1, set("/a", "x", -1)), Err(Error::NoAuth));
}

#[test]
fn networks_match_by_their_first_bits() {
    let mut rig = Rig::new();
    let cases = [
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false),
        ("10.1.0.0/16", "10.1.255.255", true),
        ("10.1.99.99/16", "10.1.0.1", true),
        ("10.1.0.0/16", "10.2.0.1", false),
        ("0.0.0.0/0", "192.168.1.1", true),
        ("10.0.0.0/0", "::1", false),
        ("2001:db8::/32", "2001:db8:1::7", true),
        ("2001:db8::/32", "2001:db9::7", false),
        ("::/0", "fe80::1", true),
        ("::1", "::1", true),
        ("10.1.2.3", "nonsense", false),
    ];
    for (at, (network, address, expected)) in cases.into_iter().enumerate() {
        let path = alloc::format!("/n{at}");
        rig.one(1, create_with(&path, vec![allow(READ, "ip", network)])).unwrap();
        let who = [identity("ip", address)];
        assert_eq!(rig.tree.may_read(&path, &who), expected, "{address} in {network}");
        assert!(!rig.tree.may_read(&path, &[]));
    }
}

#[test]
fn the_deleted_are_still_guarded() {
    let mut rig = Rig::new();
    rig.one(1, create_with("/a", vec![allow(READ, "digest", ALICE)])).unwrap();
    rig.one(1, delete("/a", -1)).unwrap();
    assert!(!rig.tree.may_read("/a", &[]) && rig.tree.may_read("/a", &alice()));
    rig.tree.skip(100);
    assert!(rig.tree.may_read("/a", &[]));
}

#[test]
fn equal_acls_are_one_and_unused_ones_go() {
    let mut rig = Rig::new();
    for at in 0..1_000 {
        rig.one(
            1,
            create_with(&alloc::format!("/a{at}"), vec![allow(ALL, "digest", &alloc::format!("u:{at}"))]),
        )
        .unwrap();
        rig.one(1, create_with(&alloc::format!("/b{at}"), open_acl())).unwrap();
        rig.one(1, delete(&alloc::format!("/a{at}"), -1)).unwrap();
    }
    assert!(rig.tree.store.acls.len() <= 65, "{}", rig.tree.store.acls.len());
}
