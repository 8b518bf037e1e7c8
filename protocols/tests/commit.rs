//! Atomic commitment: the four protocols in one thread, with and without trouble.

use quipu_base::{InMemory, NodeId, Protocol, Rng};
use quipu_protocols::commit::paxos_commit::{self, PaxosCommit};
use quipu_protocols::commit::three_phase::{self, ThreePhase};
use quipu_protocols::commit::two_phase::{self, Termination, TwoPhase};
use quipu_protocols::commit::{Decision, Event, Request, Vote};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const RETRY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(50);

/// The nodes 1 to 3 take part; 4 coordinates, or leads.
const PARTICIPANTS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const COORDINATOR: NodeId = NodeId(4);

fn two_phase(termination: Termination) -> impl Fn(NodeId) -> two_phase::Config {
    move |id| two_phase::Config {
        id,
        coordinator: COORDINATOR,
        patience: PATIENCE,
        retry: RETRY,
        termination,
    }
}

fn three_phase(id: NodeId) -> three_phase::Config {
    three_phase::Config { id, coordinator: COORDINATOR, patience: PATIENCE }
}

/// The participants are the acceptors too; one of them leads.
fn paxos(faster: bool) -> impl Fn(NodeId) -> paxos_commit::Config {
    move |id| paxos_commit::Config {
        id,
        leader: NodeId(1),
        acceptors: PARTICIPANTS.to_vec(),
        retry: RETRY,
        patience: PATIENCE,
        faster,
    }
}

struct Cluster<P: Protocol> {
    nodes: InMemory<P>,
    config: Box<dyn Fn(NodeId) -> P::Config>,
    votes: BTreeMap<NodeId, Vote>,
    told: BTreeMap<NodeId, BTreeSet<Decision>>,
    voted: BTreeSet<NodeId>,
}

impl<P: Protocol<Request = Request<u32>, Event = Event<u32>>> Cluster<P> {
    fn new(ids: &[u64], config: impl Fn(NodeId) -> P::Config + 'static) -> Self {
        let mut nodes = InMemory::new(1);
        ids.iter().for_each(|id| nodes.add(NodeId(*id), config(NodeId(*id))));
        Cluster {
            nodes,
            config: Box::new(config),
            votes: BTreeMap::new(),
            told: BTreeMap::new(),
            voted: BTreeSet::new(),
        }
    }

    fn begin(&mut self, at: u64) {
        let participants = PARTICIPANTS.to_vec();
        self.nodes.request(NodeId(at), Request::Begin { transaction: 7, participants });
    }

    fn restart(&mut self, id: NodeId) {
        self.nodes.restart(id, (self.config)(id));
    }

    /// Lets time pass; programs that are asked answer at once.
    fn run(&mut self, milliseconds: u32) {
        for _ in 0..milliseconds {
            for (node, event) in self.nodes.take_events() {
                match event {
                    Event::Prepare(transaction) if self.nodes.running().any(|running| running == node) => {
                        let vote = self.votes.get(&node).copied().unwrap_or(Vote::Prepared);
                        self.nodes.request(node, Request::Vote { transaction, vote });
                    }
                    Event::Voted(..) => drop(self.voted.insert(node)),
                    Event::Decided(_, decision) => {
                        self.told.entry(node).or_default().insert(decision);
                    }
                    Event::Prepare(_) | Event::Complete(_) | Event::Refused(_) | Event::Damaged => {}
                }
            }
            self.nodes.advance(Duration::from_millis(1));
        }
    }

    fn decisions(&self) -> BTreeSet<Decision> {
        self.told.values().flatten().copied().collect()
    }

    fn all_participants_decided(&self, decision: Decision) -> bool {
        PARTICIPANTS.iter().all(|node| self.told.get(node) == Some(&BTreeSet::from([decision])))
    }
}

fn commits_and_aborts<P: Protocol<Request = Request<u32>, Event = Event<u32>>>(
    ids: &[u64],
    begins: u64,
    config: impl Fn(NodeId) -> P::Config + Copy + 'static,
) {
    let mut willing = Cluster::<P>::new(ids, config);
    willing.begin(begins);
    willing.run(100);
    assert!(willing.all_participants_decided(Decision::Commit), "{:?}", willing.told);

    let mut unwilling = Cluster::<P>::new(ids, config);
    unwilling.votes.insert(NodeId(3), Vote::Aborted);
    unwilling.begin(begins);
    unwilling.run(1000);
    assert!(unwilling.all_participants_decided(Decision::Abort), "{:?}", unwilling.told);
}

#[test]
fn everybody_commits_if_everybody_can_and_nobody_else_does() {
    for termination in [Termination::Blocking, Termination::Cooperative] {
        let config = move |id| two_phase(termination)(id);
        commits_and_aborts::<TwoPhase<u32>>(&[1, 2, 3, 4], 4, config);
        commits_and_aborts::<TwoPhase<u32>>(&[1, 2, 3, 4], 1, config);
        let colocated = move |id| two_phase::Config { coordinator: NodeId(1), ..two_phase(termination)(id) };
        commits_and_aborts::<TwoPhase<u32>>(&[1, 2, 3], 1, colocated);
    }
    commits_and_aborts::<ThreePhase<u32>>(&[1, 2, 3, 4], 4, three_phase);
    commits_and_aborts::<ThreePhase<u32>>(&[1, 2, 3, 4], 1, three_phase);
    commits_and_aborts::<ThreePhase<u32>>(&[1, 2, 3], 1, |id| three_phase::Config {
        coordinator: NodeId(1),
        ..three_phase(id)
    });
    for faster in [false, true] {
        commits_and_aborts::<PaxosCommit<u32>>(&[1, 2, 3], 1, move |id| paxos(faster)(id));
        let apart = move |id| paxos_commit::Config {
            leader: NodeId(4),
            acceptors: vec![NodeId(5), NodeId(6), NodeId(7)],
            ..paxos(faster)(id)
        };
        commits_and_aborts::<PaxosCommit<u32>>(&[1, 2, 3, 4, 5, 6, 7], 2, apart);
    }
}

#[test]
fn two_phase_commit_waits_for_its_coordinator() {
    let mut cluster = Cluster::<TwoPhase<u32>>::new(&[1, 2, 3, 4], two_phase(Termination::Cooperative));
    cluster.nodes.lose_if(|_, _, message| matches!(message, two_phase::Message::Decided(..)));
    cluster.begin(4);
    cluster.run(5);
    cluster.nodes.stop(COORDINATOR);
    cluster.nodes.lose_if(|_, _, _| false);
    cluster.run(5000);
    assert!(PARTICIPANTS.iter().all(|node| cluster.nodes.node(*node).is_in_doubt(7)));
    cluster.restart(COORDINATOR);
    cluster.run(100);
    assert!(cluster.all_participants_decided(Decision::Commit), "it had decided: {:?}", cluster.told);
}

#[test]
fn a_coordinator_that_comes_back_without_a_decision_aborts() {
    let mut cluster = Cluster::<TwoPhase<u32>>::new(&[1, 2, 3, 4], two_phase(Termination::Blocking));
    cluster.begin(4);
    cluster.run(1);
    cluster.nodes.stop(COORDINATOR);
    cluster.run(500);
    assert!(cluster.decisions().is_empty());
    cluster.restart(COORDINATOR);
    cluster.run(500);
    assert!(cluster.all_participants_decided(Decision::Abort), "{:?}", cluster.told);
}

#[test]
fn one_participant_that_knows_is_enough_for_the_others() {
    for (termination, ends) in [(Termination::Blocking, false), (Termination::Cooperative, true)] {
        let mut cluster = Cluster::<TwoPhase<u32>>::new(&[1, 2, 3, 4], two_phase(termination));
        cluster.nodes.lose_if(|from, to, message| {
            from == COORDINATOR && to != NodeId(2) && matches!(message, two_phase::Message::Decided(..))
        });
        cluster.begin(4);
        cluster.run(5);
        cluster.nodes.stop(COORDINATOR);
        cluster.run(1000);
        assert_eq!(cluster.all_participants_decided(Decision::Commit), ends, "{termination:?}");
    }
}

#[test]
fn three_phase_commit_goes_on_without_its_coordinator() {
    // How long the coordinator lives decides what those who live agree on.
    let mut outcomes = BTreeSet::new();
    for lives in 1..6 {
        for reaches in [1, 2, 3] {
            let mut cluster = Cluster::<ThreePhase<u32>>::new(&[1, 2, 3, 4], three_phase);
            // It dies while it says that everybody has prepared: only some hear it.
            cluster.nodes.lose_if(move |from, to, message| {
                from == COORDINATOR
                    && to != NodeId(reaches)
                    && matches!(message, three_phase::Message::PreCommit(_))
            });
            cluster.begin(4);
            cluster.run(lives);
            cluster.nodes.stop(COORDINATOR);
            cluster.run(3000);
            let decisions = cluster.decisions();
            let decision = *decisions.first().expect("somebody decides");
            assert!(cluster.all_participants_decided(decision), "{lives} {reaches}: {:?}", cluster.told);
            outcomes.insert(decision);
            cluster.restart(COORDINATOR);
            cluster.run(500);
            assert_eq!(cluster.nodes.node(COORDINATOR).decision(7), Some(decision));
        }
    }
    assert_eq!(outcomes.len(), 2, "both outcomes can be reached");
}

#[test]
fn paxos_commit_goes_on_without_any_one_of_its_nodes() {
    for victim in PARTICIPANTS {
        for lives in 0..6 {
            let mut cluster = Cluster::<PaxosCommit<u32>>::new(&[1, 2, 3], paxos(false));
            cluster.begin(1);
            cluster.run(lives);
            cluster.nodes.stop(victim);
            cluster.run(2000);
            let decisions = cluster.decisions();
            assert!(decisions.len() <= 1, "{victim} after {lives}: {:?}", cluster.told);
            for node in PARTICIPANTS.into_iter().filter(|node| *node != victim) {
                let waits = cluster.voted.contains(&node) && !cluster.told.contains_key(&node);
                assert!(!waits, "{node} waits, with {victim} down after {lives}");
            }
            cluster.restart(victim);
            cluster.run(500);
            assert!(cluster.decisions().len() <= 1);
        }
    }
}

#[test]
fn what_is_forgotten_leaves_the_disk() {
    let mut cluster = Cluster::<TwoPhase<u32>>::new(&[1, 2, 3, 4], two_phase(Termination::Blocking));
    cluster.begin(4);
    cluster.run(50);
    for node in 1..=4 {
        cluster.nodes.request(NodeId(node), Request::Forget(7));
        cluster.nodes.stop(NodeId(node));
        cluster.restart(NodeId(node));
        assert_eq!(cluster.nodes.node(NodeId(node)).decision(7), None);
    }
    cluster.nodes.take_events();
    cluster.nodes.request(COORDINATOR, Request::Begin { transaction: 8, participants: vec![] });
    assert_eq!(cluster.nodes.take_events(), [(COORDINATOR, Event::Refused(8))]);
}

/// Messages get lost and nodes come and go for a while; then all is well, and everybody who has voted must decide, and alike.
fn survives_trouble<P: Protocol<Request = Request<u32>, Event = Event<u32>>>(
    ids: &[u64],
    begins: u64,
    config: impl Fn(NodeId) -> P::Config + Copy + 'static,
) {
    let mut outcomes: BTreeMap<Decision, u32> = BTreeMap::new();
    for seed in 0..150 {
        let mut random = Rng::with_seed(seed);
        let mut cluster = Cluster::<P>::new(ids, config);
        let mut network = Rng::with_seed(seed + 1000);
        let loss = [0, 30, 60][seed as usize % 3];
        cluster.nodes.lose_if(move |_, _, _| network.u32(0..100) < loss);
        cluster.begin(begins);
        for _ in 0..40 {
            cluster.run(random.u32(1..6));
            let node = NodeId(ids[random.usize(0..ids.len())]);
            if cluster.nodes.running().any(|running| running == node) {
                if random.u32(0..3) == 0 {
                    cluster.nodes.stop(node);
                }
            } else {
                cluster.restart(node);
            }
        }
        cluster.nodes.lose_if(|_, _, _| false);
        for node in ids.iter().map(|id| NodeId(*id)) {
            if cluster.nodes.running().all(|running| running != node) {
                cluster.restart(node);
            }
        }
        cluster.run(2000);
        let decisions = cluster.decisions();
        assert!(decisions.len() <= 1, "seed {seed}: {:?}", cluster.told);
        for node in &cluster.voted {
            assert!(cluster.told.contains_key(node), "seed {seed}: {node} waits for ever");
        }
        if let Some(decision) = decisions.first() {
            *outcomes.entry(*decision).or_default() += 1;
        }
    }
    assert!(outcomes.len() == 2 && outcomes.values().all(|times| *times > 5), "{outcomes:?}");
}

#[test]
fn two_phase_commit_recovers_from_whatever_happens() {
    survives_trouble::<TwoPhase<u32>>(&[1, 2, 3, 4], 4, |id| two_phase(Termination::Blocking)(id));
    survives_trouble::<TwoPhase<u32>>(&[1, 2, 3, 4], 1, |id| two_phase(Termination::Cooperative)(id));
}

#[test]
fn paxos_commit_recovers_from_whatever_happens() {
    survives_trouble::<PaxosCommit<u32>>(&[1, 2, 3], 1, |id| paxos(false)(id));
    survives_trouble::<PaxosCommit<u32>>(&[1, 2, 3], 2, |id| paxos(true)(id));
}
