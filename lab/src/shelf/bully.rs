//! Bully election ([`quipu_protocols::bully`]), under what its paper assumes and under what networks do.
//!
//! With crashes alone, and messages that take a round, no two lead at once and everybody follows the highest who lives.
//! With lost messages two lead: one lost answer is enough to take the living for dead. Nobody may build on it for safety.

use crate::ldfi::{Actor, Card, Expected, Judgement, Program, ROUND, Seen, Spec, Subject};
use quipu_base::NodeId;
use quipu_protocols::bully::{Bully, Config, Message, State};

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// How many rounds one waits for an answer: there and back, and one more.
const ANSWER: u32 = 3;
/// How many rounds pass between two words of the coordinator.
const HEARTBEAT: u32 = 2;
/// How many rounds after a crash everybody may still follow the dead: three heartbeats until it is missed, two answers'
/// time, an election, and the next highest may be the one who waits.
const RECOVERY: u32 = 3 * HEARTBEAT + 4 * ANSWER;
/// What some run must reach.
const TAKEOVER: &str = "the next highest takes over";
const EVERYBODY: &str = "everybody follows the highest";

/// The program; see the module.
pub struct BullyElection {
    /// Whether messages get lost.
    pub omissions: bool,
}

/// With lost messages, and without.
pub fn all() -> Vec<Box<dyn Subject>> {
    [true, false].map(|omissions| Box::new(BullyElection { omissions }) as Box<dyn Subject>).into()
}

impl Program for BullyElection {
    type Protocol = Bully;

    fn card(&self) -> Card {
        Card {
            name: if self.omissions { "bully" } else { "bully-synchronous" },
            paper: "Garcia-Molina: Elections in a Distributed Computing System (IEEE Trans. Computers, 1982)",
            promise: if self.omissions {
                "no two lead at once (nobody may build on it: it does not hold)"
            } else {
                "no two lead at once, and everybody ends up following the highest who lives"
            },
            expected: if self.omissions { Expected::Breaks } else { Expected::Holds },
            spec: if self.omissions { Spec::new(12, 6, 0) } else { Spec::new(32, 0, 2) },
            sometimes: if self.omissions { &[EVERYBODY] } else { &[EVERYBODY, TAKEOVER] },
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let members: Vec<NodeId> = NODES.iter().map(|(id, _)| *id).collect();
        let config = |id| Config {
            id,
            members: members.clone(),
            answer_timeout: ROUND * ANSWER,
            heartbeat: ROUND * HEARTBEAT,
        };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: config(*id) }).collect()
    }

    fn judge(&self, seen: &Seen<'_, State>) -> Judgement {
        if let Some(split) = split_brain(seen) {
            return Judgement::Broken(split);
        }
        let goals =
            NODES.iter().filter_map(|(node, _)| seen.goal(*node, |state| is_settled(*state))).collect();
        let settled = |node: NodeId| seen.of(node).last().copied();
        let alive = || NODES.iter().map(|(node, _)| *node).filter(|node| !seen.is_down(*node));
        let last_crash = seen.outages().iter().map(|outage| outage.round).max().unwrap_or(1);
        let due = !self.omissions && last_crash + RECOVERY <= Program::card(self).spec.last_round;
        if let (true, Some(highest)) = (due, alive().max()) {
            for node in alive() {
                let wanted = if node == highest { State::Leading } else { State::Following(highest) };
                if settled(node) != Some(wanted) {
                    return Judgement::Broken(format!("in the end {node} is {:?}", settled(node)));
                }
            }
        }
        Judgement::Kept { goals, vacuous: false }
    }

    fn reached(&self, seen: &Seen<'_, State>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        if (1..=2).all(|node| seen.told(NodeId(node), |state| *state == State::Following(NodeId(3)))) {
            reached.push(EVERYBODY);
        }
        if seen.told(NodeId(1), |state| *state == State::Following(NodeId(2))) {
            reached.push(TAKEOVER);
        }
        reached
    }

    fn describe(&self, message: &Message) -> String {
        format!("{message:?}").to_lowercase()
    }

    fn belief(&self, node: &Bully) -> String {
        format!("{:?}", node.state())
    }
}

fn is_settled(state: State) -> bool {
    matches!(state, State::Following(_) | State::Leading)
}

/// Two who lead in the same round, each from the round in which it says so until it says otherwise or crashes.
fn split_brain(seen: &Seen<'_, State>) -> Option<String> {
    let mut reigns: Vec<(NodeId, u32, u32)> = Vec::new();
    for (node, _) in NODES {
        let crash = seen.outages().iter().find(|outage| outage.node == node).map(|outage| outage.round);
        let told: Vec<(u32, State)> = seen
            .all()
            .filter(|(told, _)| told.node == node)
            .map(|(told, state)| (told.round, *state))
            .collect();
        for (place, (from, _)) in told.iter().enumerate().filter(|(_, (_, state))| *state == State::Leading) {
            let until = told.get(place + 1).map(|(round, _)| *round).or(crash).unwrap_or(u32::MAX);
            reigns.push((node, *from, until));
        }
    }
    reigns.iter().enumerate().find_map(|(place, (one, from, until))| {
        let rival = reigns[..place].iter().find(|(_, start, end)| start < until && from < end)?;
        Some(format!("{} and {one} lead at once from round {}", rival.0, from.max(&rival.1)))
    })
}
