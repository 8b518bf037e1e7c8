//! Ben-Or's consensus: whatever is lost and whoever crashes, nobody decides differently. That it ends, with a coin and
//! against any schedule, is shown in [`super::flp`].

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, Seen, Spec, Subject};
use quipu_base::NodeId;
use quipu_protocols::benor::{BenOr, Config, Decided, Message, Phase, Propose, Tie};

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// What some run must reach.
const EVERYBODY: &str = "everybody decides";

/// The program; see the module.
pub struct BenOrAgreement;

impl Program for BenOrAgreement {
    type Protocol = BenOr;

    fn card(&self) -> Card {
        Card {
            name: "ben-or",
            paper: "Ben-Or: Another Advantage of Free Choice (PODC 1983)",
            promise: "no two nodes decide differently",
            expected: Expected::Holds,
            spec: Spec::new(7, 3, 1),
            sometimes: &[EVERYBODY],
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let members = || NODES.iter().map(|(id, _)| *id).collect();
        let config = |me| Config { me, members: members(), tolerated: 1, tie: Tie::Coin };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn script(&self) -> Vec<Line<Propose>> {
        let line = |node, value| Line { round: 1, node: NodeId(node), request: Propose(value) };
        vec![line(1, false), line(2, true), line(3, true)]
    }

    fn judge(&self, seen: &Seen<'_, Decided>) -> Judgement {
        let decisions: Vec<(NodeId, bool)> =
            seen.all().map(|(told, decided)| (told.node, decided.0)).collect();
        let differently = |(_, value): &&(NodeId, bool)| *value != decisions[0].1;
        if let Some((other, value)) = decisions.iter().find(differently) {
            return Judgement::Broken(format!(
                "{} decides {}, {other} decides {value}",
                decisions[0].0, !value
            ));
        }
        let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, |_| true)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Decided>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.told(*node, |_| true));
        if all { vec![EVERYBODY] } else { Vec::new() }
    }

    fn describe(&self, message: &Message) -> String {
        let bit = |vote: &Option<bool>| vote.map_or("?", |value| if value { "1" } else { "0" });
        match message {
            Message::Vote { round, phase: Phase::Report, vote } => format!("{round}: I hold {}", bit(vote)),
            Message::Vote { round, phase: Phase::Proposal, vote } => {
                format!("{round}: I propose {}", bit(vote))
            }
            Message::Decided(value) => format!("decided {}", bit(&Some(*value))),
        }
    }

    fn belief(&self, node: &BenOr) -> String {
        match (node.decided(), node.at()) {
            (Some(value), _) => format!("decided {}", u8::from(value)),
            (None, Some((round, _))) => format!("round {round}, holds {}", u8::from(node.value())),
            (None, None) => String::new(),
        }
    }
}

/// Every program of Ben-Or's consensus.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![Box::new(BenOrAgreement)]
}
