//! Registers to which every value is written once, judged without a search (Gibbons and Korach, "Testing shared
//! memories", 1997): sorting is all that it takes.
//!
//! A write and the reads of its value are a *cluster*: in any order that explains the answers they stand together,
//! the write first. A cluster must be before another if one of its operations returned before one of the other's
//! was called. Two clusters that must each be before the other show that there is no order, and so does a read that
//! returned before its write was called, or that has no write. There is nothing else that can be wrong.
//!
//! What a cluster says about the others is in its *zone*: from its first return to its last call if they are in
//! that order (a *forward* zone: throughout it the register holds the value), else the other way around (a
//! *backward* zone: at one moment within it all of the cluster may take effect). Two clusters contradict each other
//! if their forward zones overlap, or if the backward zone of one lies within the forward zone of the other.
//!
//! A write that was never answered belongs to the history if its value was read; else nothing needs it.

use super::linearizability::Decision;
use super::map::Map;

/// One operation on a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// A value was written, perhaps: unless it returned, nobody knows.
    Write {
        /// No other write has this one.
        value: u64,
        invoked: u64,
        returned: Option<u64>,
    },
    /// This was read; none if nothing had been written.
    Read { value: Option<u64>, invoked: u64, returned: u64 },
    /// Something that says nothing: a read that was never answered.
    Nothing,
}

/// Whether there is an order; nothing if a value is written twice.
pub(crate) fn decide(accesses: &[Access]) -> Option<Decision> {
    let mut clusters = clusters(accesses)?;
    if let Err(contradiction) = add_reads(&mut clusters, accesses) {
        return Some(Decision::NoOrder(contradiction));
    }
    let happened = |cluster: &Cluster| cluster.first_return != u64::MAX;
    let zones: Vec<Cluster> = clusters.list.into_iter().filter(happened).collect();
    Some(match contradiction(zones) {
        Some((one, other)) => Decision::NoOrder(witness(accesses, &one, &other)),
        None => Decision::Order,
    })
}

/// A write, and what counts of the reads of its value.
#[derive(Clone, Copy)]
struct Cluster {
    /// The write, unless it is what the register held at first.
    write: Option<usize>,
    /// The return that came first, and whose it was. `u64::MAX`: nothing has returned.
    first_return: u64,
    first_returned: usize,
    /// The call that came last, and whose it was.
    last_call: u64,
    last_called: usize,
}

/// All clusters; the first is that of what the register held at first.
struct Clusters {
    list: Vec<Cluster>,
    of_value: Map<u64, usize>,
}

/// Moments are counted from 1, so that the register's first value was written before everything.
fn moment(time: u64) -> u64 {
    time.saturating_add(1)
}

fn clusters(accesses: &[Access]) -> Option<Clusters> {
    let initial = Cluster { write: None, first_return: 0, first_returned: 0, last_call: 0, last_called: 0 };
    let mut clusters = Clusters { list: vec![initial], of_value: Map::default() };
    for (at, access) in accesses.iter().enumerate() {
        let Access::Write { value, invoked, returned } = *access else { continue };
        if clusters.of_value.insert(value, clusters.list.len()).is_some() {
            return None;
        }
        clusters.list.push(Cluster {
            write: Some(at),
            first_return: returned.map_or(u64::MAX, moment),
            first_returned: at,
            last_call: moment(invoked),
            last_called: at,
        });
    }
    Some(clusters)
}

/// Adds every read to its cluster, unless it cannot have read what it did: then, it and its write.
fn add_reads(clusters: &mut Clusters, accesses: &[Access]) -> Result<(), Vec<usize>> {
    for (at, access) in accesses.iter().enumerate() {
        let Access::Read { value, invoked, returned } = *access else { continue };
        let cluster = match value {
            None => 0,
            Some(value) => *clusters.of_value.get(&value).ok_or(vec![at])?,
        };
        let cluster = &mut clusters.list[cluster];
        if let Some(write) = cluster.write
            && let Access::Write { invoked: written, .. } = accesses[write]
            && returned < written
        {
            return Err(vec![at, write]);
        }
        if moment(returned) < cluster.first_return {
            (cluster.first_return, cluster.first_returned) = (moment(returned), at);
        }
        if moment(invoked) > cluster.last_call {
            (cluster.last_call, cluster.last_called) = (moment(invoked), at);
        }
    }
    Ok(())
}

/// Two clusters that must each be before the other.
fn contradiction(zones: Vec<Cluster>) -> Option<(Cluster, Cluster)> {
    let (mut forward, backward): (Vec<Cluster>, Vec<Cluster>) =
        zones.into_iter().partition(|zone| zone.first_return < zone.last_call);
    forward.sort_unstable_by_key(|zone| zone.first_return);
    for pair in forward.windows(2) {
        // Were an earlier zone to reach as far as this one, it would have overlapped with the one between.
        if pair[1].first_return < pair[0].last_call {
            return Some((pair[0], pair[1]));
        }
    }
    for zone in backward {
        let before = forward.partition_point(|other| other.first_return < zone.last_call);
        if let Some(other) = before.checked_sub(1).map(|last| forward[last])
            && zone.first_return < other.last_call
        {
            return Some((other, zone));
        }
    }
    None
}

/// The operations of two clusters that show the contradiction, each with the write of its value.
fn witness(accesses: &[Access], one: &Cluster, other: &Cluster) -> Vec<usize> {
    let mut operations: Vec<usize> = Vec::new();
    for cluster in [one, other] {
        operations.extend(cluster.write);
        // The first value was returned by nobody.
        operations.extend(Some(cluster.first_returned).filter(|_| cluster.first_return > 0));
        operations.extend(Some(cluster.last_called).filter(|_| cluster.last_call > 0));
    }
    operations.sort_unstable();
    operations.dedup();
    assert!(
        operations.iter().all(|at| accesses[*at] != Access::Nothing),
        "only what says something is a witness"
    );
    operations
}

#[cfg(test)]
mod tests;
