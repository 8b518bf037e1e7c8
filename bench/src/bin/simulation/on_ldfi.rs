//! The program on the executor of our lineage-driven fault injection: in rounds, with a list of faults.
//!
//! A round is as long as a message takes on average. Which messages are lost is drawn from the seed beforehand, one in a
//! hundred of those that may be sent.

use crate::clients::Clients;
use crate::on_quipu::{Answered, Node, Nothing};
use crate::program::{LEAST_DELAY, LOSS, MOST_DELAY, REPLICAS};
use crate::system::{Execution, System};
use quipu_base::{NodeId, Rng};
use quipu_bench::Failure;
use quipu_lab::ldfi::{
    Actor, Card, Expected, Fault, FaultSet, Goal, Judgement, Line, Program, Seen, Spec, Subject,
};
use std::time::Duration;

/// Ours in rounds.
pub(crate) const SYSTEM: System = System {
    name: "Quipu, in rounds",
    includes: "`quipu_lab::ldfi`: a message takes one round, and only what is on a list goes wrong; every input is recorded with \
               its cause, so that a search can ask for the lineage of the outcome",
    execute,
};

const NAMES: [&str; REPLICAS as usize] = ["a", "b", "c"];

struct Register {
    operations: u64,
}

impl Program for Register {
    type Protocol = Node;

    fn card(&self) -> Card {
        Card {
            name: "register",
            paper: "Attiya, Bar-Noy, Dolev: Sharing Memory Robustly (1995)",
            promise: "what clients see is linearizable",
            expected: Expected::Holds,
            spec: self.spec(),
            sometimes: &[],
        }
    }

    fn cast(&self) -> Vec<Actor<(u64, u64)>> {
        let actor = |(id, name)| Actor { id: NodeId(id + 1), name, config: (id, self.operations) };
        (0..REPLICAS).zip(NAMES).map(actor).collect()
    }

    fn script(&self) -> Vec<Line<Nothing>> {
        Vec::new()
    }

    fn judge(&self, seen: &Seen<'_, Answered>) -> Judgement {
        let mut clients = Clients::new(self.operations);
        for (emission, Answered(answer)) in seen.all() {
            clients.answered(emission.node.0 - 1, *answer);
        }
        match clients.judge() {
            Ok(()) => Judgement::Kept { goals: Vec::<Goal>::new(), vacuous: false },
            Err(error) => Judgement::Broken(error.to_string()),
        }
    }

    fn round(&self) -> Duration {
        (LEAST_DELAY + MOST_DELAY) / 2
    }
}

impl Register {
    /// An operation takes four rounds, and three more for each time that somebody has to ask again.
    fn spec(&self) -> Spec {
        let rounds = u32::try_from(self.operations * 6 + 40).unwrap_or(u32::MAX).min(10_000);
        Spec::new(rounds, rounds, 0)
    }
}

fn execute(seed: u64, operations: u64) -> Result<Execution, Failure> {
    let program = Register { operations };
    let spec = program.spec();
    let mut random = Rng::with_seed(seed);
    let mut lost = Vec::new();
    for round in 1..spec.last_round {
        for (from, to) in (1..=REPLICAS).flat_map(|from| (1..=REPLICAS).map(move |to| (from, to))) {
            if from != to && random.f64() < LOSS {
                lost.push(Fault::Loss { from: NodeId(from), to: NodeId(to), round });
            }
        }
    }
    let execution = Subject::execute(&program, &spec, &lost.into_iter().collect::<FaultSet>(), false);
    if let Judgement::Broken(why) = execution.judgement {
        return Err(why.into());
    }
    let last = execution.graph.emissions.last().map_or(0, |emission| emission.round);
    // What happens before the first step of a replica is its start: not an event.
    let events = execution.graph.steps.len() as u64 - REPLICAS;
    Ok(Execution { events, simulated: Some(program.round() * last) })
}
