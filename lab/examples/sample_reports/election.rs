//! Five nodes, sixty rounds: a leader, its heartbeats, its entries, and what follows when it dies.

use crate::world::{Program, World, execute};
use quipu_base::NodeId;
use quipu_lab::report::data::{Fault, Report, Search, Spec, StepKind, Verdict, VerdictKind};
use std::collections::BTreeSet;

const NAMES: [&str; 5] = ["Amaru", "Beatriz", "Chaska", "Diego", "Elena"];
const ROUNDS: u32 = 60;
/// The rounds in which a client asks for something.
const REQUESTS: [u32; 8] = [6, 11, 17, 27, 33, 38, 49, 55];

#[derive(Clone, Default)]
struct Replica {
    term: u32,
    voted: u32,
    leads: bool,
    votes: BTreeSet<u64>,
    heard: u32,
    log: u32,
    committed: u32,
    acks: BTreeSet<u64>,
}

struct Election {
    replicas: Vec<Replica>,
}

impl Election {
    fn new() -> Self {
        Election { replicas: vec![Replica::default(); NAMES.len()] }
    }

    fn of(&mut self, node: u64) -> &mut Replica {
        &mut self.replicas[node as usize - 1]
    }

    fn lead(&mut self, world: &mut World, node: u64) {
        let replica = self.of(node);
        replica.leads = true;
        let (term, log) = (replica.term, replica.log);
        world.outcome(node, &format!("leads term {term}"), false);
        world.believe(node, &format!("leader of term {term}"));
        world.broadcast(node, &format!("append term {term} entry {log}"));
    }

    fn follow(&mut self, world: &mut World, node: u64, term: u32, leader: u64) {
        let round = world.round;
        let replica = self.of(node);
        (replica.term, replica.leads, replica.heard) = (term, false, round);
        world.believe(node, &format!("follows {} in term {term}", NAMES[leader as usize - 1]));
    }
}

impl Program for Election {
    fn start(&mut self, world: &mut World, node: u64) {
        let round = world.round;
        let replica = self.of(node);
        (replica.leads, replica.heard) = (false, round);
        if round > 1 {
            let (term, log) = (replica.term, replica.log);
            world.step(node, StepKind::Synced, &format!("term {term}, entry {log}"));
        }
        world.believe(node, "no leader");
    }

    fn receive(&mut self, world: &mut World, node: u64, from: u64, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok()).unwrap_or(0);
        let term = number(2);
        match words[0] {
            "vote?" if term > self.of(node).voted && number(4) >= self.of(node).log => {
                self.of(node).voted = term;
                self.of(node).heard = world.round;
                world.send(node, from, &format!("vote term {term}"));
            }
            "vote" if term == self.of(node).term && !self.of(node).leads => {
                self.of(node).votes.insert(from);
                if self.of(node).votes.len() == 2 {
                    self.lead(world, node);
                }
            }
            "append" if term >= self.of(node).term => {
                self.follow(world, node, term, from);
                let replica = self.of(node);
                if number(4) > replica.log {
                    replica.log = number(4);
                    world.send(node, from, &format!("stored term {term} entry {}", number(4)));
                }
            }
            "stored" if self.of(node).leads && number(4) > self.of(node).committed => {
                self.of(node).acks.insert(from);
                if self.of(node).acks.len() == 2 {
                    self.of(node).committed = number(4);
                    world.outcome(node, &format!("committed entry {}", number(4)), true);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, world: &mut World, node: u64) {
        let round = world.round;
        let patience = 7 + node as u32 * 2;
        let replica = self.of(node);
        if replica.leads && REQUESTS.contains(&round) {
            replica.log += 1;
            replica.acks.clear();
            let (term, log) = (replica.term, replica.log);
            world.step(node, StepKind::Request, &format!("set x = {}", log * 11));
            world.broadcast(node, &format!("append term {term} entry {log}"));
        } else if replica.leads && round.is_multiple_of(5) {
            let (term, log) = (replica.term, replica.log);
            world.step(node, StepKind::Timer, "heartbeat");
            world.broadcast(node, &format!("append term {term} entry {log}"));
        } else if !replica.leads && (round - replica.heard >= patience || (round == 2 && node == 1)) {
            replica.term = replica.term.max(replica.voted) + 1;
            (replica.voted, replica.heard) = (replica.term, round);
            replica.votes.clear();
            let (term, log) = (replica.term, replica.log);
            world.step(node, StepKind::Timer, "election timeout");
            world.believe(node, &format!("candidate of term {term}"));
            world.broadcast(node, &format!("vote? term {term} entry {log}"));
        }
    }
}

pub(crate) fn report() -> Report {
    let faults = vec![
        Fault::Loss { from: NodeId(1), to: NodeId(4), round: 11 },
        Fault::Crash { node: NodeId(1), round: 13, until: Some(31) },
        Fault::Loss { from: NodeId(2), to: NodeId(5), round: 25 },
        Fault::Loss { from: NodeId(2), to: NodeId(4), round: 27 },
        Fault::Loss { from: NodeId(3), to: NodeId(2), round: 28 },
        Fault::Delay { from: NodeId(2), to: NodeId(1), round: 33, by: 3 },
        Fault::Crash { node: NodeId(2), round: 41, until: None },
    ];
    let good = execute(&mut Election::new(), &NAMES, ROUNDS, &[]);
    let hard = execute(&mut Election::new(), &NAMES, ROUNDS, &faults);
    Report {
        program: "election".to_owned(),
        paper: "Ongaro and Ousterhout: In Search of an Understandable Consensus Algorithm, USENIX ATC 2014"
            .to_owned(),
        promise: "An entry that was committed is in the log of every later leader.".to_owned(),
        spec: Spec { recoveries: 1, delays: 1, skews: 0, ..Spec::new(ROUNDS, 34, 2) },
        verdict: Verdict {
            kind: VerdictKind::Certified,
            text: "Every hypothesis was tried; each left a leader that has all committed entries.".to_owned(),
        },
        search: Search {
            executions: 18_342,
            seconds: 7.316,
            rows: vec![
                ("hypotheses".to_owned(), "21,907".to_owned()),
                ("solver calls".to_owned(), "18,343".to_owned()),
                ("same by symmetry".to_owned(), "3,565".to_owned()),
            ],
        },
        faults: Vec::new(),
        runs: vec![
            good.finish("without faults", true, "One leader, eight entries, all committed."),
            hard.finish(
                "hardest hypothesis",
                true,
                "Two leaders died; the third has every entry that they committed.",
            ),
        ],
    }
}
