//! Atomic commitment from the shelf, which writes down what it must not forget: who is kept waiting, and who disagrees.
//!
//! The programs of [`crate::programs::commit`] are the lineage paper's, which keep nothing. Here the promise is: everybody
//! who lives in the end and has voted comes to a decision, no two nodes ever decide differently, and nobody commits unless
//! everybody has voted for it.

mod paxos_commit;
mod three_phase;
mod two_phase;

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, Seen, Spec, Subject};
use quipu_base::{NodeId, Protocol};
use quipu_protocols::commit::{Decision, Event, Request, Vote};

/// What they are called: one transaction is enough.
type Transaction = u8;
const TRANSACTION: Transaction = 1;

const PROMISE: &str = "everybody who lives and has voted decides, no two nodes decide differently, and nobody commits what not \
                       everybody has prepared";
/// What some run must reach.
const COMMITTED: &str = "everybody commits";

/// Every program of this folder.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(two_phase::blocking()),
        Box::new(two_phase::cooperative()),
        Box::new(three_phase::with_lost_messages()),
        Box::new(three_phase::fail_stop()),
        Box::new(paxos_commit::colocated()),
    ]
}

/// A protocol, the nodes that run it, and what is known of it.
struct Commit<P: Protocol> {
    name: &'static str,
    paper: &'static str,
    expected: Expected,
    spec: Spec,
    nodes: Vec<(NodeId, &'static str)>,
    participants: Vec<NodeId>,
    /// Who begins.
    begins: NodeId,
    config: fn(NodeId) -> P::Config,
    belief: fn(&P) -> String,
    describe: fn(&P::Message) -> String,
}

impl<P> Program for Commit<P>
where
    P: Protocol<Config: Clone, Request = Request<Transaction>, Event = Event<Transaction>>,
{
    type Protocol = P;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: self.paper,
            promise: PROMISE,
            expected: self.expected,
            spec: self.spec,
            sometimes: &[COMMITTED],
        }
    }

    fn cast(&self) -> Vec<Actor<P::Config>> {
        self.nodes.iter().map(|(id, name)| Actor { id: *id, name, config: (self.config)(*id) }).collect()
    }

    /// Everybody is willing, and has made up its mind before it is asked.
    fn script(&self) -> Vec<Line<Request<Transaction>>> {
        let begin = Request::Begin { transaction: TRANSACTION, participants: self.participants.clone() };
        let vote = Request::Vote { transaction: TRANSACTION, vote: Vote::Prepared };
        let others = self.participants.iter().filter(|node| **node != self.begins);
        let votes = others.map(|node| Line { round: 1, node: *node, request: vote.clone() });
        [Line { round: 1, node: self.begins, request: begin }].into_iter().chain(votes).collect()
    }

    fn judge(&self, seen: &Seen<'_, Event<Transaction>>) -> Judgement {
        let decided =
            |node: NodeId, decision| seen.told(node, |event| *event == Event::Decided(TRANSACTION, decision));
        let by =
            |decision| self.nodes.iter().find(|(node, _)| decided(*node, decision)).map(|(_, name)| *name);
        if let (Some(one), Some(other)) = (by(Decision::Commit), by(Decision::Abort)) {
            return Judgement::Broken(format!("{one} commits and {other} aborts"));
        }
        let has_voted =
            |node: NodeId| seen.told(node, |event| *event == Event::Voted(TRANSACTION, Vote::Prepared));
        if let Some(name) = by(Decision::Commit)
            && !self.participants.iter().all(|node| has_voted(*node))
        {
            return Judgement::Broken(format!("{name} commits what not everybody has prepared"));
        }
        let is_decision = |event: &Event<Transaction>| matches!(event, Event::Decided(..));
        let waits = |node: NodeId| !seen.is_down(node) && has_voted(node) && !seen.told(node, is_decision);
        if let Some((_, name)) = self.nodes.iter().find(|(node, _)| waits(*node)) {
            return Judgement::Broken(format!("{name} has voted and never learns of a decision"));
        }
        let goals: Vec<Goal> =
            self.participants.iter().filter_map(|node| seen.goal(*node, is_decision)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Event<Transaction>>) -> Vec<&'static str> {
        let commits =
            |node: &NodeId| seen.told(*node, |event| *event == Event::Decided(TRANSACTION, Decision::Commit));
        if self.participants.iter().all(commits) { vec![COMMITTED] } else { Vec::new() }
    }

    fn describe(&self, message: &P::Message) -> String {
        (self.describe)(message)
    }

    fn belief(&self, node: &P) -> String {
        (self.belief)(node)
    }
}
