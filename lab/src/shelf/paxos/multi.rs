//! Multi-Paxos: what one node tells as chosen in a slot, every node does, whoever leads and whoever comes back.

use super::{Mistake, Mistaken, NODES, members};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::NodeId;
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::multi::{Config, Event, Message, MultiPaxos, Propose, Slot};
use std::collections::BTreeMap;

type Command = &'static str;

/// What some run must reach.
const TWO_LEADERS: &str = "two nodes lead, one after the other";
const CHOSEN: &str = "everybody learns what the first leader was asked";

/// The first node stands early, the second once it misses the first; each is asked to have commands chosen.
#[derive(Clone)]
pub struct Log {
    name: &'static str,
    expected: Expected,
    spec: Spec,
    mistake: Mistake<Message<Command>>,
}

/// Sound, and with each mistake.
pub fn all() -> Vec<Log> {
    let ignorant = Mistake {
        hears: |message| match message {
            Message::Promise { ballot, chosen, .. } => {
                Message::Promise { ballot, chosen, accepted: Vec::new() }
            }
            other => other,
        },
        ..Mistake::NOTHING
    };
    let sound = Log {
        name: "multi-paxos",
        expected: Expected::Holds,
        spec: Spec { recoveries: 1, total: 3, ..Spec::new(30, 16, 0) },
        mistake: Mistake::NOTHING,
    };
    let spec = Spec { recoveries: 1, cuts: 1, cut: 20, ..Spec::new(40, 30, 1) };
    vec![
        Log { name: "multi-paxos-hasty", expected: Expected::Breaks, spec, mistake: Mistake::HASTY },
        Log { name: "multi-paxos-ignorant", expected: Expected::Breaks, spec, mistake: ignorant },
        sound,
    ]
}

impl Program for Log {
    type Protocol = Mistaken<MultiPaxos<Command>>;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Lamport: Paxos Made Simple (2001), section 3",
            promise: "no two nodes ever tell different commands for one slot",
            expected: self.expected,
            spec: self.spec,
            sometimes: &[CHOSEN, TWO_LEADERS],
        }
    }

    fn cast(&self) -> Vec<Actor<(Config, Mistake<Message<Command>>)>> {
        let config = |id: NodeId| Config {
            id,
            members: members(),
            heartbeat: ROUND * 3,
            patience: Patience::exactly(ROUND * [5, 9, 16][id.0 as usize - 1]),
            max_batch: 1,
            window: 2,
            max_waiting: 4,
        };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: (config(*id), self.mistake) }).collect()
    }

    fn script(&self) -> Vec<Line<Propose<Command>>> {
        let line = |round, node, command| Line { round, node: NodeId(node), request: Propose(command) };
        vec![line(11, 1, "a"), line(12, 1, "b"), line(25, 2, "c"), line(27, 2, "d")]
    }

    fn judge(&self, seen: &Seen<'_, Event<Command>>) -> Judgement {
        let mut slots: BTreeMap<Slot, (NodeId, Vec<Command>)> = BTreeMap::new();
        let mut goals: Vec<Goal> = Vec::new();
        for (told, event) in seen.all() {
            let Event::Chosen { slot, batch } = event else { continue };
            let (first, commands) = slots.entry(*slot).or_insert_with(|| (told.node, batch.to_vec()));
            if *commands != batch.to_vec() {
                let node = told.node;
                return Judgement::Broken(format!(
                    "slot {slot} holds {commands:?} on {first} and {batch:?} on {node}"
                ));
            }
        }
        for (node, _) in NODES {
            let of_slot = |slot| {
                seen.goal(
                    node,
                    move |event: &Event<Command>| matches!(event, Event::Chosen { slot: told, .. } if *told == slot),
                )
            };
            goals.extend(slots.keys().filter_map(|slot| of_slot(*slot)));
        }
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Event<Command>>) -> Vec<&'static str> {
        let leads = |node| seen.told(node, |event| matches!(event, Event::Leads(_)));
        let chosen =
            |event: &Event<Command>| matches!(event, Event::Chosen { batch, .. } if **batch == ["a"]);
        let mut reached = Vec::new();
        if NODES.iter().all(|(node, _)| seen.told(*node, chosen)) {
            reached.push(CHOSEN);
        }
        if NODES.iter().filter(|(node, _)| leads(*node)).count() > 1 {
            reached.push(TWO_LEADERS);
        }
        reached
    }

    fn belief(&self, node: &Mistaken<MultiPaxos<Command>>) -> String {
        let node = node.inner();
        let leads = if node.leads() { "leads, " } else { "" };
        format!("{leads}chosen to {}", node.chosen())
    }
}
