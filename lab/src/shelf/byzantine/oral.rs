//! Oral messages: four generals bear one traitor, whoever it is and whatever it says to whom; three do not.

use super::{EveryLie, Lie, Suspect};
use crate::ldfi::{Actor, Card, Expected, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::NodeId;
use quipu_protocols::byzantine::oral::{Config, General, Message, Obeys, Order};
use std::collections::BTreeMap;

const NAMES: [&str; 7] = ["commander", "a", "b", "c", "d", "e", "f"];
const COMMANDER: NodeId = NodeId(1);
/// What some run must reach.
const ATTACK: &str = "all loyal lieutenants attack";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Choice {
    Attack,
    Retreat,
}

/// How a general lies.
#[derive(Clone, Debug)]
pub(super) enum OralLie {
    /// It says this to each, or nothing.
    To(BTreeMap<NodeId, Option<Choice>>),
    /// It says whatever comes to its mind, about each path something else.
    Whatever(u64),
}

impl Lie<Message<Choice>> for OralLie {
    fn tell(&self, to: NodeId, message: Message<Choice>) -> Option<Message<Choice>> {
        let order = match self {
            OralLie::To(says) => says.get(&to).copied().unwrap_or(Some(message.order)),
            OralLie::Whatever(seed) => {
                let path =
                    message.path.iter().fold(*seed, |sum, node| sum.wrapping_mul(31).wrapping_add(node.0));
                [None, Some(Choice::Attack), Some(Choice::Retreat)]
                    [fastrand::Rng::with_seed(path.wrapping_mul(31).wrapping_add(to.0)).usize(0..3)]
            }
        };
        order.map(|order| Message { order, ..message })
    }
}

/// One order, and how who lies.
pub(super) struct Oral {
    name: &'static str,
    expected: Expected,
    generals: usize,
    /// The m of OM(m).
    bears: usize,
    order: Choice,
    traitors: BTreeMap<NodeId, OralLie>,
}

/// One traitor among four: every lie.
pub(super) fn four_generals() -> EveryLie<Oral> {
    EveryLie(every_lie("om-4", Expected::Holds, 4))
}

/// One among three.
pub(super) fn three_generals() -> EveryLie<Oral> {
    EveryLie(every_lie("om-3", Expected::Breaks, 3))
}

/// Two among seven, who say whatever comes to their minds, three hundred times.
pub(super) fn seven_generals() -> EveryLie<Oral> {
    let program = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        let one = NodeId(random.u64(1..=7));
        let other = NodeId(1 + (one.0 + random.u64(0..6)) % 7);
        let traitors = BTreeMap::from([one, other].map(|node| (node, OralLie::Whatever(random.u64(..)))));
        let order = if random.bool() { Choice::Attack } else { Choice::Retreat };
        Oral { name: "om-7", expected: Expected::Holds, generals: 7, bears: 2, order, traitors }
    };
    EveryLie((0..300).map(program).collect())
}

/// Every position of one traitor, and every way to say something, or nothing, to each of those it speaks to.
fn every_lie(name: &'static str, expected: Expected, generals: usize) -> Vec<Oral> {
    let nodes: Vec<NodeId> = (1..=generals as u64).map(NodeId).collect();
    let mut programs = Vec::new();
    // The commander is the last to lie, so that the first counterexample is the paper's figure 1.
    for traitor in nodes.iter().rev() {
        let hear: Vec<NodeId> =
            nodes.iter().copied().filter(|node| node != traitor && *node != COMMANDER).collect();
        for number in 0..3usize.pow(hear.len() as u32) {
            let says = hear.iter().enumerate().map(|(place, node)| {
                let choices = [Some(Choice::Retreat), Some(Choice::Attack), None];
                (*node, choices[number / 3usize.pow(place as u32) % 3])
            });
            let lie = OralLie::To(says.collect());
            for order in [Choice::Attack, Choice::Retreat] {
                let traitors = BTreeMap::from([(*traitor, lie.clone())]);
                programs.push(Oral { name, expected, generals, bears: 1, order, traitors });
            }
        }
    }
    programs
}

impl Oral {
    fn loyal_lieutenants(&self) -> impl Iterator<Item = NodeId> + '_ {
        let all = (2..=self.generals as u64).map(NodeId);
        all.filter(|node| !self.traitors.contains_key(node))
    }
}

impl Program for Oral {
    type Protocol = Suspect<General<Choice>, OralLie>;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Lamport, Shostak, Pease: The Byzantine Generals Problem (TOPLAS, 1982), section 3",
            promise: "all loyal lieutenants obey the same order, and that of a loyal commander, whatever the traitors say",
            expected: self.expected,
            spec: Spec::new(5, 0, 0),
            sometimes: if self.expected == Expected::Holds { &[ATTACK] } else { &[] },
        }
    }

    fn cast(&self) -> Vec<Actor<(Config<Choice>, Option<OralLie>)>> {
        let nodes: Vec<NodeId> = (1..=self.generals as u64).map(NodeId).collect();
        let actor = |(id, name): (&NodeId, &'static str)| {
            let config = Config {
                id: *id,
                generals: nodes.clone(),
                commander: COMMANDER,
                traitors: self.bears,
                round: ROUND,
                default: Choice::Retreat,
            };
            Actor { id: *id, name, config: (config, self.traitors.get(id).cloned()) }
        };
        nodes.iter().zip(NAMES).map(actor).collect()
    }

    fn script(&self) -> Vec<Line<Order<Choice>>> {
        vec![Line { round: 1, node: COMMANDER, request: Order(self.order) }]
    }

    fn judge(&self, seen: &Seen<'_, Obeys<Choice>>) -> Judgement {
        let obeys = |node: NodeId| seen.of(node).next().map(|Obeys(choice)| *choice);
        let name = |node: NodeId| NAMES[node.0 as usize - 1];
        let loyal: Vec<(NodeId, Option<Choice>)> =
            self.loyal_lieutenants().map(|node| (node, obeys(node))).collect();
        let (first, choice) = loyal[0];
        if let Some((node, _)) = loyal.iter().find(|(_, choice)| choice.is_none()) {
            return Judgement::Broken(format!("{} never decides", name(*node)));
        }
        if let Some((other, differs)) = loyal.iter().find(|(_, other)| *other != choice) {
            return Judgement::Broken(format!(
                "{} does {choice:?} and {} does {differs:?}",
                name(first),
                name(*other)
            ));
        }
        if !self.traitors.contains_key(&COMMANDER) && choice != Some(self.order) {
            let order = self.order;
            return Judgement::Broken(format!(
                "the loyal commander says {order:?}, and {} does not",
                name(first)
            ));
        }
        let goals = loyal.iter().filter_map(|(node, _)| seen.goal(*node, |_| true)).collect();
        Judgement::Kept { goals, vacuous: false }
    }

    fn reached(&self, seen: &Seen<'_, Obeys<Choice>>) -> Vec<&'static str> {
        let attack =
            self.loyal_lieutenants().all(|node| seen.told(node, |told| *told == Obeys(Choice::Attack)));
        if attack { vec![ATTACK] } else { Vec::new() }
    }

    fn describe(&self, message: &Message<Choice>) -> String {
        let path: Vec<&str> = message.path.iter().map(|node| NAMES[node.0 as usize - 1]).collect();
        format!(
            "{:?}, says {}",
            message.order,
            path.iter().rev().copied().collect::<Vec<_>>().join(", says ")
        )
    }

    fn belief(&self, node: &Self::Protocol) -> String {
        if node.lie.is_some() { "traitor".to_owned() } else { String::new() }
    }
}
