//! What a site is told and tells: configuration, requests, messages, events.

use super::item::{Item, Timestamp};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::NodeId;
use quipu_base::merkle::Description;

/// What the operator decides. All sites need the same, but for `site`.
#[derive(Clone, Debug)]
pub struct Config {
    /// This site.
    pub site: NodeId,
    /// All sites, this one too, ascending.
    pub sites: Arc<[NodeId]>,
    /// How updates are spread quickly, if they are.
    pub rumors: Option<RumorMongering>,
    /// How sites make sure that they hold the same, if they do.
    pub anti_entropy: Option<AntiEntropy>,
    /// How long a deleted item is remembered.
    pub death: Death,
}

/// Who sends what he has to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Whoever calls tells.
    Push,
    /// Whoever calls asks.
    Pull,
    /// Both.
    PushPull,
}

impl Direction {
    pub(super) fn pushes(self) -> bool {
        self != Direction::Pull
    }

    pub(super) fn pulls(self) -> bool {
        self != Direction::Push
    }
}

/// Rumor mongering (section 1.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RumorMongering {
    /// How often a site calls another.
    pub cycle: Duration,
    /// Who tells whom.
    pub direction: Direction,
    /// Whether whoever is told says if he needed it. Otherwise a rumor is spread blindly: every contact counts as useless.
    pub feedback: bool,
    /// When a site loses interest in a rumor.
    pub interest: Interest,
}

/// When a site loses interest in a rumor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// After so many useless contacts in a row.
    Counter(u32),
    /// After each useless contact with a probability of one in so many.
    Coin(u32),
}

/// Anti-entropy (section 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AntiEntropy {
    /// How often a site compares what it holds with another's.
    pub period: Duration,
    /// Who is brought up to date: whoever is called, whoever calls, or both.
    pub direction: Direction,
    /// Whether what it brings becomes a rumor again (section 1.5): if one site missed it, others may have.
    pub redistribute: bool,
}

/// How long death certificates last (section 2). By clocks, so leave room for how far apart they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    /// For so long every site keeps a certificate (the paper's tau1): longer than it takes to reach every site.
    pub threshold: Duration,
    /// For so long after that its keepers still do (tau2).
    pub dormant_threshold: Duration,
    /// How many keepers a certificate has.
    pub keepers: usize,
}

/// What a client asks of its site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<K, V> {
    /// Give an item this value.
    Set(K, V),
    /// Delete an item, known here or not.
    Delete(K),
}

/// What sites say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<K, V> {
    /// Are there rumors?
    Ask,
    /// These are hot.
    Rumors {
        /// The rumors.
        rumors: Vec<(K, Item<V>)>,
        /// And what have you heard?
        ask: bool,
    },
    /// What was said of these: whether it was needed.
    Feedback(Vec<(K, Timestamp, bool)>),
    /// Anti-entropy begins: this is the root of all I hold.
    Root {
        /// Who is to be brought up to date.
        flow: Flow,
        /// The root.
        root: u64,
    },
    /// We differ: this is what I hold there.
    Compare {
        /// Who is to be brought up to date.
        flow: Flow,
        /// What the sender holds.
        descriptions: Vec<Description<K>>,
    },
    /// Where we differ to the last key.
    Differ {
        /// The sender's items there.
        items: Vec<(K, Item<V>)>,
        /// Where the receiver's are wanted if they are newer than this.
        wanted: Vec<(K, Option<Timestamp>)>,
    },
}

/// Whom an exchange brings up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Whoever sends the message that says so.
    pub to_sender: bool,
    /// Whoever receives it.
    pub to_receiver: bool,
}

impl Flow {
    /// The same in the answer.
    pub(super) fn answered(self) -> Flow {
        Flow { to_sender: self.to_receiver, to_receiver: self.to_sender }
    }
}

/// What a site tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<K, V> {
    /// An item has a new version here, and it is on disk: a client asked for it, or another site told.
    Learned(K, Item<V>),
    /// A dormant death certificate met what it had deleted, and is spread again.
    Awakened(K),
}
