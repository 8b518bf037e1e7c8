//! A scheduler against Ben-Or's nodes that sees everything, coins that have fallen too, and keeps them in doubt.

use super::configuration::{Configuration, Letter};
use quipu_base::NodeId;
use quipu_protocols::benor::{BenOr, Message, Phase};
use std::collections::BTreeSet;

/// Lets every node hear first, in every round, from one that holds the opposite. So nobody sees a majority, nobody proposes
/// anything, and all are left to whatever they do then. It fails when all hold the same.
///
/// With n nodes of which it takes more than half to propose, each waits for just as many: one that differs is enough.
pub struct Mixing {
    /// Where it has brought the protocol.
    pub configuration: Configuration<BenOr>,
    /// The most deliveries that any message has waited for.
    pub longest_wait: u64,
    /// Who has heard the opposite in which round.
    in_doubt: BTreeSet<(NodeId, u64)>,
}

impl Mixing {
    /// A scheduler that begins here.
    pub fn new(configuration: Configuration<BenOr>) -> Self {
        Mixing { configuration, longest_wait: 0, in_doubt: BTreeSet::new() }
    }

    /// Delivers messages until somebody has decided, or so many have been delivered; whether nobody has.
    pub fn keep_undecided(&mut self, deliveries: u64) -> bool {
        while self.configuration.decided.is_empty() && self.configuration.deliveries < deliveries {
            self.deliver_one();
        }
        self.configuration.decided.is_empty()
    }

    /// The round in which somebody decided first.
    ///
    /// # Panics
    /// If nobody has.
    pub fn decided_in(&self) -> u64 {
        let deciders = self.configuration.decided.keys().map(|node| &self.configuration.nodes[node]);
        let rounds = deciders.filter_map(|node| node.at()).map(|(round, _)| round);
        rounds.min().expect("somebody has decided")
    }

    /// Delivers what sows doubt before what does no harm, and what may convince somebody last; of these the oldest.
    fn deliver_one(&mut self) {
        let letters = self.configuration.buffer.iter().enumerate();
        let next = letters.min_by_key(|(_, letter)| (self.harm(letter), letter.number));
        let (place, letter) = next.expect("nodes that have not decided have messages under way");
        if let Message::Vote { round, .. } = letter.message
            && self.harm(letter) == Harm::SowsDoubt
        {
            self.in_doubt.insert((letter.to, round));
            self.in_doubt.retain(|(_, old)| old + 2 > round);
        }
        self.longest_wait = self.longest_wait.max(self.configuration.deliveries - letter.sent);
        self.configuration.deliver(place);
    }

    fn harm(&self, letter: &Letter<Message>) -> Harm {
        let node = &self.configuration.nodes[&letter.to];
        let Message::Vote { round, phase: Phase::Report, vote: Some(vote) } = letter.message else {
            return Harm::None;
        };
        match node.at() {
            _ if self.in_doubt.contains(&(letter.to, round)) => Harm::None,
            Some(at) if at > (round, Phase::Report) => Harm::None,
            Some(at) if at == (round, Phase::Report) && vote != node.value() => Harm::SowsDoubt,
            // What it will hold in a later round is not known yet.
            _ => Harm::MayConvince,
        }
    }
}

/// What delivering a message now does to the doubt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Harm {
    SowsDoubt,
    None,
    MayConvince,
}
