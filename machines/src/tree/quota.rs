//! Quotas, which clients keep as nodes of a fixed form (`zkCli setquota`; ZooKeeper's `Quotas`, `StatsTrack`,
//! `DataTree.updateQuotaStat`).
//!
//! A node `/zookeeper/quota/some/path/zookeeper_limits` sets limits for `/some/path` and all below it; beside it the tree
//! keeps what there is in `zookeeper_stats`, without touching that node's stat. Only the deepest quota above a node
//! counts it, and none is kept for the root. Limits without "hard" in their name never refuse anything, and the hard
//! ones only where [`Settings::enforce_quotas`](super::Settings) says so.

use super::node::Node;
use super::path::{self, QUOTA};
use super::store::Store;
use super::types::Error;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;

const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";
const COUNT: &str = "count";
const BYTES: &str = "bytes";

/// The path that a node limits, if it is a quota's limits.
pub(super) fn limited_by(path: &str) -> Option<&str> {
    counted_by(path, LIMITS)
}

fn counted_by<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    path.strip_prefix(QUOTA)?.strip_suffix(name).filter(|limited| !limited.is_empty())
}

impl Store {
    /// Counts a change of so many nodes and bytes at a path.
    pub(super) fn account(&mut self, path: &str, nodes: i64, bytes: i64) {
        let Some(quota) = self.quota_above(path) else { return };
        let stats = format!("{QUOTA}{quota}{STATS}");
        let Some(node) = self.root.find(&stats) else { return };
        let mut numbers = Numbers::parse(node);
        numbers.add(COUNT, nodes);
        numbers.add(BYTES, bytes);
        self.modify(&stats, |facts| facts.data = Some(numbers.render()));
    }

    /// Counts all there is, if a node just created is a quota's statistics.
    pub(super) fn begin_account(&mut self, path: &str) {
        let Some(limited) = counted_by(path, STATS) else { return };
        let (nodes, bytes) = self.root.find(limited).map_or((0, 0), Node::totals);
        let mut numbers = Numbers::default();
        numbers.0.insert(COUNT.into(), nodes);
        numbers.0.insert(BYTES.into(), bytes);
        self.modify(path, |facts| facts.data = Some(numbers.render()));
    }

    /// Whether a change of so many nodes and bytes at a path would keep to the hard limits.
    pub(super) fn keeps_quota(&self, path: &str, nodes: i64, bytes: i64) -> Result<(), Error> {
        let Some(quota) = self.quota_above(path) else { return Ok(()) };
        let numbers = |name| self.root.find(&format!("{QUOTA}{quota}{name}")).map(Numbers::parse);
        let (Some(limits), Some(stats)) = (numbers(LIMITS), numbers(STATS)) else { return Ok(()) };
        let within =
            |limit: i64, is: i64, change: i64| change == 0 || limit < 0 || is.saturating_add(change) <= limit;
        let kept = within(limits.get("countHardLimit"), stats.get(COUNT), nodes)
            && within(limits.get("byteHardLimit"), stats.get(BYTES), bytes);
        if kept { Ok(()) } else { Err(Error::QuotaExceeded) }
    }

    fn quota_above<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.index.quotas.is_empty() {
            return None;
        }
        core::iter::once(path).chain(path::ancestors(path)).find(|path| self.index.quotas.contains(*path))
    }
}

/// What a quota's node holds: `count=4,bytes=5=;byteHardLimit=10;countHardLimit=3`. A number that is missing is -1.
#[derive(Default)]
struct Numbers(BTreeMap<String, i64>);

impl Numbers {
    /// A client may write anything here; what makes no sense is not there.
    fn parse(node: &Node) -> Numbers {
        let text =
            node.facts.data.as_deref().and_then(|data| core::str::from_utf8(data).ok()).unwrap_or_default();
        let pair = |pair: &str| {
            let mut parts = pair.split('=');
            Some((String::from(parts.next()?), parts.next()?.parse().ok()?))
        };
        Numbers(text.split([',', ';']).filter_map(pair).collect())
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(-1)
    }

    fn add(&mut self, name: &str, change: i64) {
        let sum = self.get(name).saturating_add(change);
        self.0.insert(name.into(), sum);
    }

    /// The count comes first, then the bytes, then an equals sign to stop parsers older than the rest.
    fn render(&self) -> Bytes {
        let mut text = format!("{COUNT}={},{BYTES}={}", self.get(COUNT), self.get(BYTES));
        let others = self.0.iter().filter(|(name, _)| ![COUNT, BYTES].contains(&name.as_str()));
        for (at, (name, number)) in others.enumerate() {
            text.push_str(if at == 0 { "=;" } else { ";" });
            text.push_str(&format!("{name}={number}"));
        }
        Bytes::from(text)
    }
}
