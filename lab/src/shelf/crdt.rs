//! An observed-remove set on three replicas ([`quipu_protocols::crdt`]): whatever gets lost, those that live become equal; and
//! what it hangs on, a replica that remembers which names it has given.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Protocol, StreamId};
use quipu_protocols::crdt::{AddWinsSet, Config, Exchange, Peer, Replica, Saved, SetOperation};
use std::marker::PhantomData;

const NODES: [(NodeId, &str); 3] = [(NodeId(1), "a"), (NodeId(2), "b"), (NodeId(3), "c")];
/// When b removes what c adds again at the same time.
const AT_ONCE: u32 = 4;
/// So many rounds after the last fault they must be equal: two in which each sends to both others, for each of them one in
/// which it waits for its disk, and the same again for what comes by way of a third.
const QUIET: u32 = 8;
/// What some run must reach.
const ADD_WINS: &str = "what one removed and another added at once is in, everywhere";

type Set = AddWinsSet<&'static str>;

/// The set as it serves, and one whose replicas forget.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(Convergence::<Replica<Set>> {
            name: "crdt-orset",
            expected: Expected::Holds,
            protocol: PhantomData,
        }),
        Box::new(Convergence::<Forgetful> {
            name: "crdt-forgetful",
            expected: Expected::Breaks,
            protocol: PhantomData,
        }),
    ]
}

/// The program; see the module.
struct Convergence<P> {
    name: &'static str,
    expected: Expected,
    protocol: PhantomData<fn() -> P>,
}

/// What has a copy of the set.
trait Replicates:
    Protocol<Config = Config, Message = Set, Request = SetOperation<&'static str>, Event = Set>
{
    fn copy(&self) -> &Set;
}

impl<P: Replicates> Program for Convergence<P> {
    type Protocol = P;

    fn card(&self) -> Card {
        Card {
            name: self.name,
            paper: "Bieniusa et al.: An Optimized Conflict-free Replicated Set (INRIA RR-8083, 2012)",
            promise: "replicas become equal, with every addition that was acknowledged and that nobody has seen and removed",
            expected: self.expected,
            spec: Spec { recoveries: 1, ..Spec::new(12, 4, 1) },
            sometimes: &[ADD_WINS],
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let config = |id: NodeId| Config {
            id,
            peers: NODES.map(|(node, _)| node).into_iter().filter(|peer| *peer != id).collect(),
            period: ROUND,
            peer: Peer::Next,
        };
        NODES.map(|(id, name)| Actor { id, name, config: config(id) }).into()
    }

    fn script(&self) -> Vec<Line<SetOperation<&'static str>>> {
        let line = |round, node, request| Line { round, node: NodeId(node), request };
        vec![
            line(1, 1, SetOperation::Add("bread")),
            line(1, 2, SetOperation::Add("milk")),
            line(AT_ONCE, 1, SetOperation::Add("salt")),
            line(AT_ONCE, 2, SetOperation::Remove("bread")),
            line(AT_ONCE, 3, SetOperation::Add("bread")),
        ]
    }

    /// Nothing is due while nodes come and go.
    fn judge(&self, seen: &Seen<'_, Set>) -> Judgement {
        let last = Program::card(self).spec.last_round;
        if seen.outages().iter().any(|outage| outage.until.unwrap_or(outage.round) + QUIET > last) {
            return Judgement::Kept { goals: Vec::new(), vacuous: true };
        }
        let settled = |node: NodeId| !seen.is_down(node);
        let finals: Vec<(NodeId, Set)> = NODES
            .iter()
            .filter(|(node, _)| settled(*node))
            .map(|(node, _)| (*node, seen.of(*node).last().cloned().unwrap_or_default()))
            .collect();
        if let Some([(one, ours), (other, theirs)]) = finals.windows(2).find(|pair| pair[0].1 != pair[1].1) {
            let (ours, theirs) = (in_words(ours), in_words(theirs));
            return Judgement::Broken(format!("in the end {one} has {ours} and {other} has {theirs}"));
        }
        // An addition is acknowledged in the round after it was asked for, when it is on disk.
        let was_up = |node: NodeId, round: u32| {
            let mut outages = seen.outages().iter().filter(|outage| outage.node == node);
            !outages.any(|outage| outage.round <= round + 1 && outage.until.is_none_or(|until| until > round))
        };
        for (node, element, round) in [(2, "milk", 1), (1, "salt", AT_ONCE), (3, "bread", AT_ONCE)] {
            let acknowledged = was_up(NodeId(node), round);
            if let (true, true, Some((_, set))) = (settled(NodeId(node)), acknowledged, finals.first())
                && !set.contains(&element)
            {
                return Judgement::Broken(format!(
                    "n{node} has added {element}, nobody has removed it, and it is gone"
                ));
            }
        }
        let goals: Vec<Goal> =
            finals.iter().filter_map(|(node, last)| seen.goal(*node, |set| set == last)).collect();
        Judgement::Kept { vacuous: finals.len() < 2 || goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Set>) -> Vec<&'static str> {
        let removed = {
            let told: Vec<bool> = seen.of(NodeId(2)).map(|set| set.contains(&"bread")).collect();
            told.windows(2).any(|pair| pair == [true, false])
        };
        let is_in = |node: NodeId| seen.of(node).last().is_some_and(|set| set.contains(&"bread"));
        if removed && NODES.iter().all(|(node, _)| is_in(*node)) { vec![ADD_WINS] } else { Vec::new() }
    }

    fn describe(&self, message: &Set) -> String {
        in_words(message)
    }

    fn belief(&self, replica: &P) -> String {
        in_words(replica.copy())
    }
}

fn in_words(set: &Set) -> String {
    let elements: Vec<&str> = set.iter().copied().collect();
    if elements.is_empty() { "nothing".to_owned() } else { elements.join(", ") }
}

impl Replicates for Replica<Set> {
    fn copy(&self) -> &Set {
        self.state()
    }
}

/// A replica that comes back under its old number without what it had on disk: it gives names that it has given before, and
/// others take what is new for what they know.
struct Forgetful {
    replica: Replica<Set>,
    nested: Nested<Replica<Set>>,
}

/// All effects as they are.
struct Same;

impl Embed<Replica<Set>, Forgetful> for Same {
    fn message(&self, message: Set) -> Set {
        message
    }

    fn timer(&self, timer: Exchange) -> Exchange {
        timer
    }

    fn record(&self, record: Saved<Set>) -> Saved<Set> {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}

impl Protocol for Forgetful {
    type Config = Config;
    type Message = Set;
    type Timer = Exchange;
    type Request = SetOperation<&'static str>;
    type Event = Set;
    type Record = Saved<Set>;

    fn start(config: Config, _: Durable<Saved<Set>>, env: &mut Env<Self>) -> Self {
        let mut nested = Nested::<Replica<Set>>::default();
        let replica = env.nest(&mut nested, &Same, |env| Replica::start(config, Durable::default(), env));
        Forgetful { replica, nested }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let input: Input<Replica<Set>> = match input {
            Input::Message { from, message } => Input::Message { from, message },
            Input::Request { id, request } => Input::Request { id, request },
            Input::Timer(timer) => Input::Timer(timer),
            Input::Synced(_) | Input::Fetched { .. } => return,
        };
        env.nest(&mut self.nested, &Same, |env| self.replica.step(input, env));
        for told in self.nested.take_events() {
            env.emit_after(told.after, told.event);
        }
    }
}

impl Replicates for Forgetful {
    fn copy(&self) -> &Set {
        self.replica.state()
    }
}
