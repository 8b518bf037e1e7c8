//! Quotas as `zkCli setquota` sets them.

use super::rig::*;
use crate::tree::*;
use alloc::string::String;
use alloc::vec;

const STATS: &str = "/zookeeper/quota/app/zookeeper_stats";

fn limited(settings: Settings, limits: &'static str) -> Rig {
    let mut rig = Rig::with(settings);
    for path in ["/app", "/app/old", "/zookeeper/quota/app"] {
        rig.persistent(path);
    }
    rig.persistent("/zookeeper/quota/app/zookeeper_limits");
    rig.one(1, set("/zookeeper/quota/app/zookeeper_limits", limits, -1)).unwrap();
    rig.persistent(STATS);
    rig
}

fn counted(rig: &Rig) -> String {
    String::from_utf8(rig.tree.data(STATS, &[]).unwrap().0.unwrap().to_vec()).unwrap()
}

#[test]
fn what_is_below_a_quota_is_counted() {
    let mut rig = limited(Settings::default(), "count=1,bytes=1");
    assert_eq!(counted(&rig), "count=2,bytes=6");
    let stat = rig.stat(STATS);
    rig.persistent("/app/old/new");
    rig.persistent("/apparently");
    assert_eq!(counted(&rig), "count=3,bytes=9");
    rig.one(1, set("/app/old", "longer", -1)).unwrap();
    assert_eq!(counted(&rig), "count=3,bytes=12");
    rig.create("/app/mine", CreateMode::Ephemeral).unwrap();
    assert_eq!(counted(&rig), "count=4,bytes=15");
    rig.write(1, Write::Close);
    rig.one(2, delete("/app/old/new", -1)).unwrap();
    assert_eq!(counted(&rig), "count=2,bytes=9");
    let now = rig.stat(STATS);
    assert_eq!((now.version, now.mzxid), (stat.version, stat.mzxid));
}

#[test]
fn a_failed_multi_is_not_counted() {
    let mut rig = limited(Settings::default(), "count=1,bytes=1");
    let ops = vec![create("/app/x", CreateMode::Persistent), set("/app", "", -1), check("/app", 9)];
    assert!(rig.multi(1, ops).is_err());
    assert_eq!(counted(&rig), "count=2,bytes=6");
}

#[test]
fn the_deepest_quota_counts() {
    let mut rig = limited(Settings::default(), "count=1,bytes=1");
    rig.persistent("/zookeeper/quota/app/old");
    rig.persistent("/zookeeper/quota/app/old/zookeeper_limits");
    rig.persistent("/app/old/deep");
    assert_eq!(counted(&rig), "count=2,bytes=6");
    rig.one(1, delete("/zookeeper/quota/app/old/zookeeper_limits", -1)).unwrap();
    rig.persistent("/app/old/deeper");
    assert_eq!(counted(&rig), "count=3,bytes=9");
}

#[test]
fn hard_limits_refuse_only_where_they_are_enforced() {
    let limits = "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3";
    let mut lenient = limited(Settings::default(), limits);
    lenient.persistent("/app/a");
    lenient.persistent("/app/b");
    let mut strict = limited(Settings { enforce_quotas: true, ..Settings::default() }, limits);
    strict.persistent("/app/a");
    assert_eq!(strict.create("/app/b", CreateMode::Persistent), Err(Error::QuotaExceeded));
    assert_eq!(strict.one(1, set("/app/a", "12345", -1)), Err(Error::QuotaExceeded));
    assert!(strict.one(1, set("/app/a", "1234", -1)).is_ok());
    assert_eq!(counted(&strict), "count=3,bytes=10");
    strict.one(1, delete("/app/a", -1)).unwrap();
    strict.persistent("/app/b");
}

#[test]
fn nonsense_in_a_quota_harms_nobody() {
    let mut rig = limited(Settings { enforce_quotas: true, ..Settings::default() }, "count=,=;;x=y,bytes");
    rig.one(1, set(STATS, "\u{0}nonsense=9999999999999999999999,count=5=7;z=1;a=2", -1)).unwrap();
    rig.persistent("/app/a");
    assert_eq!(counted(&rig), "count=6,bytes=2=;a=2;z=1");
    rig.one(1, delete(STATS, -1)).unwrap();
    rig.persistent("/app/b");
    // A quota on the root is none.
    rig.persistent("/zookeeper/quota/zookeeper_limits");
    rig.persistent("/zookeeper/quota/zookeeper_stats");
    assert_eq!(rig.tree.data("/zookeeper/quota/zookeeper_stats", &[]).unwrap().0, bytes("new"));
}
