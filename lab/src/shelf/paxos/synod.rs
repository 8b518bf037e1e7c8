//! Single-decree Paxos: no two nodes decide differently, even where acceptors crash and come back.

use super::{Mistake, Mistaken, NODES, members};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::NodeId;
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::synod::{Config, Decided, Message, Propose, Synod};

type Value = &'static str;

/// What some run must reach.
const EVERYBODY: &str = "everybody learns what is decided";

/// One value is decided among three nodes, of which two propose.
#[derive(Clone)]
pub struct OneValue {
    name: &'static str,
    promise: &'static str,
    expected: Expected,
    spec: Spec,
    mistake: Mistake<Message<Value>>,
    patience: Patience,
    script: &'static [(u32, u64, Value)],
    /// Whether somebody has to decide.
    ends: bool,
}

const AGREEMENT: &str = "no two nodes decide differently";
/// The second proposer comes before the first can have won, and again after it has.
const SCRIPT: &[(u32, u64, Value)] = &[(1, 1, "peter"), (2, 2, "paul")];
const IN_TURN: &[(u32, u64, Value)] = &[(1, 2, "paul"), (11, 1, "peter")];
/// A ballot that nobody disturbs takes eight rounds: four messages and three syncs.
const BALLOT: u32 = 8;

/// Sound, with each mistake, and duelling.
pub fn all() -> Vec<OneValue> {
    let sound = OneValue {
        name: "synod",
        promise: AGREEMENT,
        expected: Expected::Holds,
        spec: Spec { recoveries: 1, ..Spec::new(14, 10, 0) },
        mistake: Mistake::NOTHING,
        patience: Patience { least: ROUND * BALLOT, most: ROUND * (BALLOT + 6) },
        script: SCRIPT,
        ends: false,
    };
    let ignorant = Mistake {
        hears: |message| match message {
            Message::Promise(ballot, _) => Message::Promise(ballot, None),
            other => other,
        },
        ..Mistake::NOTHING
    };
    let duel = OneValue {
        promise: "within eighty rounds somebody decides, if nothing goes wrong",
        spec: Spec::new(80, 0, 0),
        ends: true,
        script: &[(1, 1, "peter"), (3, 2, "paul")],
        ..sound.clone()
    };
    vec![
        OneValue {
            name: "synod-hasty",
            expected: Expected::Breaks,
            spec: Spec { recoveries: 1, cuts: 1, cut: 10, ..Spec::new(20, 18, 0) },
            mistake: Mistake::HASTY,
            script: IN_TURN,
            ..sound.clone()
        },
        OneValue {
            name: "synod-ignorant",
            expected: Expected::Breaks,
            spec: Spec { cuts: 1, cut: 10, ..Spec::new(20, 18, 0) },
            mistake: ignorant,
            script: IN_TURN,
            ..sound.clone()
        },
        OneValue {
            name: "synod-duel",
            expected: Expected::Breaks,
            patience: Patience::exactly(ROUND * (BALLOT / 2)),
            ..duel.clone()
        },
        OneValue {
            name: "synod-patient",
            patience: Patience { least: ROUND * (BALLOT / 2), most: ROUND * (BALLOT * 2) },
            ..duel
        },
        sound,
    ]
}

impl Program for OneValue {
    type Protocol = Mistaken<Synod<Value>>;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Lamport: Paxos Made Simple (2001), section 2",
            promise: self.promise,
            expected: self.expected,
            spec: self.spec,
            sometimes: if self.ends { &[] } else { &[EVERYBODY] },
        }
    }

    fn cast(&self) -> Vec<Actor<(Config, Mistake<Message<Value>>)>> {
        let config = |id| Config { id, members: members(), patience: self.patience };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: (config(*id), self.mistake) }).collect()
    }

    fn script(&self) -> Vec<Line<Propose<Value>>> {
        let line = |(round, node, value): &(u32, u64, Value)| Line {
            round: *round,
            node: NodeId(*node),
            request: Propose(*value),
        };
        self.script.iter().map(line).collect()
    }

    fn judge(&self, seen: &Seen<'_, Decided<Value>>) -> Judgement {
        let decisions: Vec<(NodeId, Value)> =
            seen.all().map(|(told, decided)| (told.node, decided.0)).collect();
        if let Some((first, value)) = decisions.first()
            && let Some((second, other)) = decisions.iter().find(|(_, other)| other != value)
        {
            return Judgement::Broken(format!("{first} decides {value:?} and {second} decides {other:?}"));
        }
        if self.ends && decisions.is_empty() {
            return Judgement::Broken(format!("nobody has decided by round {}", self.spec.last_round));
        }
        let goals: Vec<Goal> = NODES.iter().filter_map(|(node, _)| seen.goal(*node, |_| true)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Decided<Value>>) -> Vec<&'static str> {
        let all = NODES.iter().all(|(node, _)| seen.told(*node, |_| true));
        if all { vec![EVERYBODY] } else { Vec::new() }
    }
}
