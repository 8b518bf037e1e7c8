//! Chain replication and CRAQ: what clients see is linearizable, whatever is lost, whoever crashes, whoever is cut off.
//!
//! A master, three servers and three clients with one object. The first client updates it, before and after there has been
//! time to take a server for dead; the others ask. As the paper has it, a server that is taken for dead is dead; `chain-naive`
//! shows what becomes of that where it is only cut off from the master. The bugs are an answer before the tail has the update
//! (`chain-early`) and CRAQ's reads of what is not done yet (`craq-dirty`).
//!
//! [`ChainScenario`] is the same under the simulator's faults, with crashed servers that come back and join.

mod early;
mod scenario;

pub use early::{Early, EarlyReplies};
pub use scenario::{ChainOptions, ChainScenario};

use crate::check::{Budget, History, Register, RegisterInput, RegisterOutput, Verdict, check};
use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use quipu_base::{NodeId, RequestId};
use quipu_protocols::chain::{
    Chain, Config, Consistency, Event, Fencing, Message, Reads, Request, Role, Server, Standing, Timing,
};

const MASTER: NodeId = NodeId(1);
const SERVERS: [NodeId; 3] = [NodeId(2), NodeId(3), NodeId(4)];
const CLIENTS: [NodeId; 3] = [NodeId(5), NodeId(6), NodeId(7)];
const OBJECT: u64 = 1;
/// What some run must reach.
const ANSWERED: &str = "every request is answered";
/// What some run must reach.
const SHORTER: &str = "the chain goes on without a server";
/// What some run reaches in which a server comes back.
pub const JOINED: &str = "a server joins";

/// The protocol, as the lab runs it: objects and values are numbers.
pub type Node = Chain<u64, u64>;

/// The programs; see the module.
pub fn all() -> Vec<Box<dyn Subject>> {
    let sound =
        ChainReplication { name: "chain", craq: false, fencing: Fencing::Lease, reads: Consistency::Strong };
    vec![
        Box::new(sound),
        Box::new(ChainReplication { name: "chain-naive", fencing: Fencing::FailStop, ..sound }),
        Box::new(EarlyReplies(ChainReplication { name: "chain-early", ..sound })),
        Box::new(ChainReplication { name: "craq", craq: true, ..sound }),
        Box::new(ChainReplication { name: "craq-dirty", craq: true, reads: Consistency::Eventual, ..sound }),
    ]
}

/// A program; see the module.
#[derive(Clone, Copy, Debug)]
pub struct ChainReplication {
    name: &'static str,
    /// Whether each client asks the server near it, or all the tail.
    craq: bool,
    fencing: Fencing,
    reads: Consistency,
}

impl Program for ChainReplication {
    type Protocol = Node;

    fn card(&self) -> Card {
        let paper = if self.craq {
            "Terrace, Freedman: Object Storage on CRAQ (USENIX ATC 2009)"
        } else {
            "van Renesse, Schneider: Chain Replication (OSDI 2004)"
        };
        let sound = self.fencing == Fencing::Lease && self.reads == Consistency::Strong;
        Card {
            name: self.name,
            paper,
            promise: "what clients see is linearizable",
            expected: if sound { Expected::Holds } else { Expected::Breaks },
            spec: Spec { cuts: 1, cut: 14, total: 2, ..Spec::new(23, 18, 1) },
            sometimes: &[ANSWERED],
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let actor = |id, name, role| {
            let config = Config { id, master: MASTER, chain: SERVERS.to_vec(), timing: timing(), role };
            Actor { id, name, config }
        };
        let mut cast = vec![actor(MASTER, "master", Role::Master(SERVERS.len()))];
        for (server, name) in SERVERS.into_iter().zip(["head", "middle", "tail"]) {
            cast.push(actor(server, name, Role::Server(self.fencing)));
        }
        // The second asks the middle server, the third the tail.
        for (place, (client, name)) in CLIENTS.into_iter().zip(["A", "B", "C"]).enumerate() {
            let reads = if self.craq { Reads::Near(place) } else { Reads::Tail };
            cast.push(actor(client, name, Role::Client(reads)));
        }
        cast
    }

    fn script(&self) -> Vec<Line<Request<u64, u64>>> {
        let [a, b, c] = CLIENTS;
        let update = |round, value| Line { round, node: a, request: Request::Update(OBJECT, value) };
        let query = |round, node| Line { round, node, request: Request::Query(OBJECT, self.reads) };
        vec![update(3, 1), update(13, 2), query(14, b), query(17, c)]
    }

    fn judge(&self, seen: &Seen<'_, Event<u64>>) -> Judgement {
        judge(&self.script(), seen)
    }

    /// The update propagation invariant: a server has seen all that those after it have seen.
    fn compare(&self, nodes: &[(NodeId, &Node)]) -> Result<(), String> {
        let servers: Vec<&Server<u64, u64>> = nodes.iter().filter_map(|(_, node)| server(node)).collect();
        for one in &servers {
            let next = one.configuration().successor(one.member());
            let next = servers.iter().find(|other| Some(other.member().node) == next);
            let Some(next) = next.filter(|next| next.configuration() == one.configuration()) else {
                continue;
            };
            let both_ready = [one, next].iter().all(|server| server.standing() == Standing::Ready);
            if both_ready && one.history().seen() < next.history().seen() {
                return Err(format!("{} has seen less than {}", one.member().node, next.member().node));
            }
        }
        Ok(())
    }

    fn reached(&self, seen: &Seen<'_, Event<u64>>) -> Vec<&'static str> {
        let answered = seen.all().filter(|(_, event)| request_of(event).is_some()).count();
        let configured = seen.all().find(|(_, event)| matches!(event, Event::Configured(_)));
        let went_on = configured.is_some_and(|(configured, _)| {
            seen.all()
                .any(|(told, event)| matches!(event, Event::Updated(_)) && told.round > configured.round)
        });
        let mut reached = Vec::new();
        reached.extend((answered == self.script().len()).then_some(ANSWERED));
        reached.extend(went_on.then_some(SHORTER));
        let epochs = seen.of(MASTER).filter_map(|event| match event {
            Event::Configured(configuration) => Some(configuration.chain.len()),
            _ => None,
        });
        let lengths: Vec<usize> = epochs.collect();
        reached.extend(lengths.windows(2).any(|pair| pair[1] > pair[0]).then_some(JOINED));
        reached
    }

    fn describe(&self, message: &Message<u64, u64>) -> String {
        describe(message)
    }

    fn belief(&self, node: &Node) -> String {
        belief(node)
    }
}

/// In rounds: a server taken for dead six rounds after it was last heard.
fn timing() -> Timing {
    Timing { heartbeat: ROUND * 2, lease: ROUND * 5, margin: ROUND, again: ROUND * 3 }
}

fn server(node: &Node) -> Option<&Server<u64, u64>> {
    if let Chain::Server(server) = node { Some(server) } else { None }
}

/// The request that an event answers.
fn request_of(event: &Event<u64>) -> Option<RequestId> {
    match event {
        Event::Updated(id) | Event::Answered(id, _) => Some(*id),
        Event::Refused(_) | Event::Configured(_) => None,
    }
}

/// Whether some order of the requests explains all answers. Within a round nobody knows who was first.
fn judge(script: &[Line<Request<u64, u64>>], seen: &Seen<'_, Event<u64>>) -> Judgement {
    let mut history = History::new();
    let mut goals: Vec<Goal> = Vec::new();
    for line in script {
        let id = RequestId(u64::from(line.round) << 16 | 1);
        let input = match line.request {
            Request::Update(_, value) => RegisterInput::Write(value),
            Request::Query(..) => RegisterInput::Read,
        };
        let operation = history.invoke(line.node.0, input, 2 * u64::from(line.round));
        // Numbers are given in each round anew, so an answer belongs to the client that asked.
        let answer = seen.all().find(|(told, event)| told.node == line.node && request_of(event) == Some(id));
        if let Some((told, event)) = answer {
            let output = match event {
                Event::Answered(_, found) => RegisterOutput::Value(found.as_ref().map(|found| found.value)),
                _ => RegisterOutput::Written,
            };
            history.ok(operation, output, 2 * u64::from(told.round) + 1);
        }
        goals.extend(seen.goal(line.node, |event| request_of(event) == Some(id)));
    }
    match check(&Register, &history, Budget::default()) {
        Verdict::Violation(violation) => Judgement::Broken(violation.report),
        Verdict::Linearizable => Judgement::Kept { vacuous: goals.is_empty(), goals },
        Verdict::Undecided => unreachable!("registers whose writes differ are decided without a search"),
    }
}

fn describe(message: &Message<u64, u64>) -> String {
    match message {
        Message::Update(_, _, value) => format!("update to {value}"),
        Message::Updated(_) => "updated".to_owned(),
        Message::Query(..) => "query".to_owned(),
        Message::Answer(_, found) => match found {
            Some(found) => format!("it is {}", found.value),
            None => "it is nothing".to_owned(),
        },
        Message::Forward(epoch, update) => {
            format!("update {} to {}, epoch {epoch}", update.sequence, update.value)
        }
        Message::Acknowledged(epoch, upto) => format!("acknowledged up to {upto}, epoch {epoch}"),
        Message::AskVersion(..) => "which version is done?".to_owned(),
        Message::Version(.., version) => format!("version {version} is done"),
        Message::Alive(word) => format!("alive ({:?}, word {})", word.standing, word.number),
        Message::Lease(word, configuration) => {
            format!("lease from word {word} on, epoch {}", configuration.epoch)
        }
        Message::Configured(configuration) => {
            format!("epoch {}: {}", configuration.epoch, names(&configuration.chain))
        }
        Message::Where => "who is the chain?".to_owned(),
        Message::Fetch(..) => "fetch".to_owned(),
        Message::Part(_, part) => format!("{} objects", part.objects.len()),
    }
}

fn names(chain: &[quipu_protocols::chain::Member]) -> String {
    chain.iter().map(|member| member.node.to_string()).collect::<Vec<_>>().join(" ")
}

fn belief(node: &Node) -> String {
    match node {
        Chain::Master(master) => names(&master.configuration().chain),
        Chain::Server(server) => {
            let history = server.history();
            let what = format!("{} done, {} sent", history.acknowledged(), history.under_way());
            match server.standing() {
                Standing::Ready => format!("epoch {}: {what}", server.configuration().epoch),
                other => format!("{other:?}"),
            }
        }
        Chain::Client(client) => match client.waiting() {
            0 => String::new(),
            waiting => format!("{waiting} waiting"),
        },
        Chain::Silent => "silent".to_owned(),
    }
}
