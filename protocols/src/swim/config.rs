//! What the operator decides.

use super::logarithm::{self, ONE};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use quipu_base::NodeId;

/// What the operator decides. All members should agree on all of it but `id` and `roster`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// This member's number.
    pub id: NodeId,
    /// Whom it knows from the start, in the order of their numbers. Others join.
    pub roster: Arc<Vec<NodeId>>,
    /// The protocol period, the paper's T': `ping_timeout`, and time enough for a ping by way of another.
    pub period: Duration,
    /// How long a ping and its ack may take before others are asked.
    pub ping_timeout: Duration,
    /// How many others are asked: the paper's k.
    pub relays: usize,
    /// Whom to probe next.
    pub selection: Selection,
    /// How long a suspicion lasts, at least: so many periods, times the decimal logarithm of the number of members (if that
    /// is more than one). With 0 nobody is suspected: who does not answer is dead.
    pub suspicion: u32,
    /// An update is passed on so many times, times the natural logarithm of the number of members: the paper's λ.
    pub lambda: u32,
    /// The most updates a message carries along; up to [`super::MOST_UPDATES`].
    pub piggyback: usize,
    /// Every so many periods one who is held dead is pinged, so that a partition heals; 0 for never, as in the paper.
    pub reconnect: u32,
    /// The most members that are known. Whoever is gone makes room; beyond that, who is new is ignored and counted.
    pub most_members: usize,
    /// What keeps an overloaded member from blaming the others.
    pub lifeguard: Lifeguard,
}

/// Whom to probe next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Anybody: section 3.1.
    Uniform,
    /// Everybody in turn, in an order that is shuffled each time round: section 4.3.
    RoundRobin,
}

/// The three parts of Lifeguard, each of which can be left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifeguard {
    /// The highest local health multiplier, S; 0 for none.
    pub slowest: u32,
    /// How many further members have to suspect somebody before its suspicion lasts no longer than at least, K.
    pub confirmations: usize,
    /// A suspicion that nobody confirms lasts so many times as long, β. With 1 every suspicion lasts equally long.
    pub patience: u32,
    /// Whether who is suspected hears of it with the next ping: the buddy system.
    pub buddies: bool,
}

impl Lifeguard {
    /// SWIM as it was in 2002.
    pub const OFF: Lifeguard = Lifeguard { slowest: 0, confirmations: 0, patience: 1, buddies: false };
    /// As in the paper.
    pub const FULL: Lifeguard = Lifeguard { slowest: 8, confirmations: 3, patience: 6, buddies: true };
}

impl Config {
    /// What Lifeguard's authors run in a local network: a second's period, three relays, α = 5.
    pub fn local_network(id: NodeId, roster: Arc<Vec<NodeId>>) -> Config {
        Config {
            id,
            roster,
            period: Duration::from_secs(1),
            ping_timeout: Duration::from_millis(500),
            relays: 3,
            selection: Selection::RoundRobin,
            suspicion: 5,
            lambda: 3,
            piggyback: 32,
            reconnect: 10,
            most_members: 100_000,
            lifeguard: Lifeguard::FULL,
        }
    }

    /// How often an update is passed on among so many members.
    pub(super) fn transmissions(&self, members: usize) -> u32 {
        let times = u64::from(self.lambda) * logarithm::ln(members.max(2) as u64);
        times.div_ceil(ONE) as u32
    }

    /// How long a suspicion lasts among so many members, if so many beside the first have it: Lifeguard, section IV-B.
    pub(super) fn suspicion_timeout(&self, members: usize, confirmed: usize) -> Duration {
        let scale = logarithm::log10(members.max(1) as u64).max(ONE);
        let least = self.period * self.suspicion * scale as u32 / ONE as u32;
        let most = least * self.lifeguard.patience.max(1);
        // Where there are fewer members who could confirm it, fewer have to.
        let needed = self.lifeguard.confirmations.min(members.saturating_sub(2));
        if confirmed >= needed {
            return least;
        }
        let share = logarithm::log2(confirmed as u64 + 1) * ONE / logarithm::log2(needed as u64 + 1);
        most - (most - least) * share as u32 / ONE as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of Lifeguard: max(min, max − (max − min) · log(C + 1) / log(K + 1)).
    #[test]
    fn a_suspicion_gets_shorter_with_every_confirmation() {
        let config = Config::local_network(NodeId(1), Arc::new(Vec::new()));
        let seconds = |confirmed| config.suspicion_timeout(100, confirmed).as_secs_f64();
        for (confirmed, expected) in [(0, 60.0), (1, 35.0), (2, 20.37), (3, 10.0), (4, 10.0)] {
            assert!((seconds(confirmed) - expected).abs() < 0.02, "{confirmed}: {}", seconds(confirmed));
        }
        let plain = Config { lifeguard: Lifeguard::OFF, ..config };
        assert_eq!(plain.suspicion_timeout(10, 0), Duration::from_secs(5));
    }

    #[test]
    fn an_update_is_passed_on_about_log_n_times() {
        let config = Config::local_network(NodeId(1), Arc::new(Vec::new()));
        assert_eq!([3, 10, 100, 1000, 10_000].map(|n| config.transmissions(n)), [4, 7, 14, 21, 28]);
    }
}
