//! CASPaxos: what clients of a register are told is linearizable, whoever proposes and whoever comes back.

use super::{Mistake, Mistaken, NODES, members};
use crate::check::{Budget, History, Register, RegisterInput, RegisterOutput, Verdict, check};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec};
use quipu_base::NodeId;
use quipu_protocols::paxos::Patience;
use quipu_protocols::paxos::caspaxos::{
    Answer, Answered, CasPaxos, Change, Config, Message, Planted, Request,
};

type Value = u64;
type Said = ((), Message<Value>);

/// What some run must reach.
const ALL_ANSWERED: &str = "every client is answered";
const ONE_ROUND_TRIP: &str = "a change takes no longer than a message each way and a sync";

/// One register on three nodes; clients ask two of them.
#[derive(Clone)]
pub struct OneRegister {
    name: &'static str,
    expected: Expected,
    spec: Spec,
    mistake: Mistake<Said>,
    planted: Planted,
    script: &'static [(u32, u64, Ask)],
}

#[derive(Clone, Copy)]
enum Ask {
    Read,
    Write(Value),
    Swap(Option<Value>, Value),
}

impl Ask {
    fn change(self) -> Change<Value> {
        match self {
            Ask::Read => Change::Read,
            Ask::Write(value) => Change::Write(value),
            Ask::Swap(expected, new) => Change::CompareAndSet { expected, new },
        }
    }

    fn input(self) -> RegisterInput {
        match self {
            Ask::Read => RegisterInput::Read,
            Ask::Write(value) => RegisterInput::Write(value),
            Ask::Swap(expected, new) => RegisterInput::CompareAndSet(expected, new),
        }
    }
}

/// One change, another at the same node, one elsewhere, and reads of both.
const SCRIPT: &[(u32, u64, Ask)] =
    &[(1, 1, Ask::Swap(None, 1)), (9, 1, Ask::Swap(Some(1), 2)), (13, 2, Ask::Read), (23, 1, Ask::Read)];
/// One change, and a read after it.
const ONE_READ: &[(u32, u64, Ask)] = &[(1, 1, Ask::Write(1)), (10, 2, Ask::Read)];
/// One change, and reads while it may not have reached a majority.
const READS: &[(u32, u64, Ask)] = &[(1, 1, Ask::Write(1)), (10, 2, Ask::Read), (20, 3, Ask::Read)];
/// One swap back and forth: made twice, it does what nobody asked for.
const SWAPS: &[(u32, u64, Ask)] = &[
    (1, 1, Ask::Swap(None, 1)),
    (10, 2, Ask::Swap(Some(1), 2)),
    (19, 2, Ask::Write(3)),
    (30, 2, Ask::Read),
    (30, 1, Ask::Read),
];

/// Sound, and with each mistake.
pub fn all() -> Vec<OneRegister> {
    let sound = OneRegister {
        name: "caspaxos",
        expected: Expected::Holds,
        spec: Spec { recoveries: 1, total: 3, ..Spec::new(32, 16, 0) },
        mistake: Mistake::NOTHING,
        planted: Planted::Nothing,
        script: SCRIPT,
    };
    vec![
        OneRegister {
            name: "caspaxos-hasty",
            expected: Expected::Breaks,
            spec: Spec { recoveries: 1, cuts: 1, cut: 20, total: 2, ..Spec::new(24, 22, 0) },
            mistake: Mistake::HASTY,
            script: ONE_READ,
            ..sound.clone()
        },
        OneRegister {
            name: "caspaxos-quick-reads",
            expected: Expected::Breaks,
            spec: Spec::new(36, 30, 1),
            planted: Planted::ReadsSkipPhaseTwo,
            script: READS,
            ..sound.clone()
        },
        OneRegister {
            name: "caspaxos-twice",
            expected: Expected::Breaks,
            spec: Spec::new(44, 30, 0),
            planted: Planted::ChangesTwice,
            script: SWAPS,
            ..sound.clone()
        },
        sound,
    ]
}

impl Program for OneRegister {
    type Protocol = Mistaken<CasPaxos<(), Value>>;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Rystsov: CASPaxos: Replicated State Machines without logs (2018)",
            promise: "what clients see is linearizable",
            expected: self.expected,
            spec: self.spec,
            sometimes: match self.expected {
                Expected::Holds => &[ALL_ANSWERED, ONE_ROUND_TRIP],
                Expected::Breaks => &[ALL_ANSWERED],
            },
        }
    }

    fn cast(&self) -> Vec<Actor<(Config, Mistake<Said>)>> {
        let config = |id: NodeId| Config {
            id,
            members: members(),
            patience: Patience::exactly(ROUND * (8 + id.0 as u32)),
            max_changes: 4,
            one_round_trip: true,
            planted: self.planted,
        };
        NODES.iter().map(|(id, name)| Actor { id: *id, name, config: (config(*id), self.mistake) }).collect()
    }

    fn script(&self) -> Vec<Line<Request<(), Value>>> {
        let line = |(round, node, ask): &(u32, u64, Ask)| Line {
            round: *round,
            node: NodeId(*node),
            request: Request { key: (), change: ask.change() },
        };
        self.script.iter().map(line).collect()
    }

    fn judge(&self, seen: &Seen<'_, Answered<Value>>) -> Judgement {
        let mut history = History::new();
        for (round, node, ask) in self.script {
            let operation = history.invoke(*node, ask.input(), u64::from(*round) * 2);
            let mut answers = seen.all().filter(|(told, _)| told.node == NodeId(*node));
            let Some((emission, answered)) = answers.find(|(_, answered)| asked_in(answered) == *round)
            else {
                continue;
            };
            let at = u64::from(emission.round) * 2 + 1;
            match told(ask.input(), &answered.answer) {
                Some(output) => history.ok(operation, output, at),
                None if answered.answer == Answer::Refused => history.fail(operation),
                None => {}
            }
        }
        if let Verdict::Violation(violation) = check(&Register, &history, Budget::default()) {
            return Judgement::Broken(violation.to_string());
        }
        let of_line = |(round, node, _): &(u32, u64, Ask)| {
            seen.goal(NodeId(*node), |answered: &Answered<Value>| asked_in(answered) == *round)
        };
        let goals: Vec<Goal> = self.script.iter().filter_map(of_line).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Answered<Value>>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        let unanswered =
            |answered: &Answered<Value>| matches!(answered.answer, Answer::Unknown | Answer::Refused);
        let answered: Vec<_> = seen.all().filter(|(_, answered)| !unanswered(answered)).collect();
        if answered.len() == self.script.len() {
            reached.push(ALL_ANSWERED);
        }
        if answered.iter().any(|(told, answered)| told.round - asked_in(answered) <= 3) {
            reached.push(ONE_ROUND_TRIP);
        }
        reached
    }
}

/// The lab numbers requests by round.
fn asked_in(answered: &Answered<Value>) -> u32 {
    (answered.request.0 >> 16) as u32
}

/// What a client was told, in the checker's words; nothing where it was told that nobody knows.
pub(super) fn told(input: RegisterInput, answer: &Answer<u64>) -> Option<RegisterOutput> {
    match (input, answer) {
        (_, Answer::Holds(value)) => Some(RegisterOutput::Value(*value)),
        (RegisterInput::Write(_), Answer::Changed) => Some(RegisterOutput::Written),
        (_, Answer::Changed) => Some(RegisterOutput::Set(true)),
        (_, Answer::Differs(_)) => Some(RegisterOutput::Set(false)),
        (_, Answer::Unknown | Answer::Refused) => None,
    }
}
