//! What members say to each other, and to themselves.

use super::members::{Belief, State};
use alloc::vec::Vec;
use quipu_base::NodeId;

/// The most updates a message may carry; one with more is dropped and counted.
pub const MOST_UPDATES: usize = 64;

/// Any message carries news: dissemination costs no messages of its own (section 4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it is for.
    pub kind: Kind,
    /// What has lately changed, at most [`MOST_UPDATES`].
    pub updates: Vec<Update>,
}

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Are you there? To the member that is probed, from its prober or from one who helps it.
    Ping(ProbeId),
    /// I am. From the member that is probed, and from who helps its prober.
    Ack(ProbeId),
    /// Ping this member for me, and tell me.
    PingRequest(ProbeId, NodeId),
    /// I have pinged it for you and heard nothing yet: do not blame me (Lifeguard).
    Nack(ProbeId),
    /// Let me in, and tell me who is here.
    Join,
    /// Only the news.
    News,
}

/// One probe of one member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProbeId {
    /// Who wants to know.
    pub prober: NodeId,
    /// Its number for it.
    pub number: u32,
}

/// What somebody believes of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Whom it is about.
    pub member: NodeId,
    /// What is believed.
    pub belief: Belief,
    /// Who found out. Suspicions by different members confirm each other.
    pub by: NodeId,
}

/// What a member waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The end of a protocol period, and the beginning of the next.
    Period,
    /// Who is probed has not answered: others are asked.
    Unanswered,
    /// Who is pinged for another has not answered.
    Nack(ProbeId),
    /// Who is suspected has not denied it.
    Suspicion(NodeId),
}

/// What the embedding program asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Join those whom this member belongs to; again after having left, too. Asked again in every period until somebody is
    /// known.
    Join(NodeId),
    /// Say goodbye, and fall silent.
    Leave,
}

/// What a member tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It believes something else of another one.
    Changed {
        /// The other.
        member: NodeId,
        /// Its state now.
        state: State,
        /// Its incarnation.
        incarnation: u32,
    },
    /// Whom it has probed in this period has answered, itself or through others.
    Answered {
        /// The other.
        member: NodeId,
    },
    /// It heard that it is suspected, or held dead, and says that it lives.
    Refuted {
        /// Its incarnation from now on.
        incarnation: u32,
    },
}
