//! Who makes up the chain, and how long things take.

use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::NodeId;

/// A server as it is since one of its starts: what it knew before, it has forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// Who.
    pub node: NodeId,
    /// How often it had started.
    pub incarnation: u64,
}

/// The chain, as the master has decided it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// Which decision this is. Servers obey the highest that they have heard of, and listen to each other only in the same one.
    pub epoch: u64,
    /// The servers, the head first and the tail last.
    pub chain: Vec<Member>,
}

impl Configuration {
    /// The first one: servers that have started once, and are empty.
    pub fn first(servers: &[NodeId]) -> Self {
        let chain = servers.iter().map(|node| Member { node: *node, incarnation: 1 }).collect();
        Configuration { epoch: 1, chain }
    }

    /// Who takes updates.
    pub fn head(&self) -> Option<NodeId> {
        self.chain.first().map(|member| member.node)
    }

    /// Who knows what is done.
    pub fn tail(&self) -> Option<NodeId> {
        self.chain.last().map(|member| member.node)
    }

    /// Where in the chain a server is.
    pub fn place(&self, member: Member) -> Option<usize> {
        self.chain.iter().position(|other| *other == member)
    }

    /// The server before this one.
    pub fn predecessor(&self, member: Member) -> Option<NodeId> {
        let place = self.place(member)?.checked_sub(1)?;
        Some(self.chain[place].node)
    }

    /// The server after this one.
    pub fn successor(&self, member: Member) -> Option<NodeId> {
        let place = self.place(member)? + 1;
        self.chain.get(place).map(|member| member.node)
    }
}

/// How long things take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// A server tells the master that it lives once in this time.
    pub heartbeat: Duration,
    /// A server may answer for so long after it asked the master, if the master has answered.
    pub lease: Duration,
    /// The master waits for so long beyond a lease before it takes a silent server for dead: what clocks may go wrong by in that
    /// time.
    pub margin: Duration,
    /// What has had no answer for so long is said again.
    pub again: Duration,
}

impl Default for Timing {
    /// For a local network.
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(100),
            lease: Duration::from_millis(500),
            margin: Duration::from_millis(50),
            again: Duration::from_millis(100),
        }
    }
}
