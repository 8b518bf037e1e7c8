//! What atomic commitment costs (Gray and Lamport, 2006): messages, and delays until everybody knows.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{InMemory, NodeId, Protocol};
use quipu_protocols::commit::paxos_commit::{self, PaxosCommit};
use quipu_protocols::commit::three_phase::{self, ThreePhase};
use quipu_protocols::commit::two_phase::{self, Termination, TwoPhase};
use quipu_protocols::commit::{Event, Request, Vote};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What is measured here.
pub(super) fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(CommitCosts)]
}

/// The table.
pub(super) struct CommitCosts;

const LATENCY: Duration = Duration::from_millis(1);
/// No timer fires while anything is under way.
const NEVER: Duration = Duration::from_secs(3600);
/// A node that plays no other part: coordinator or leader.
const APART: NodeId = NodeId(1000);

/// What one committed transaction cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    /// What the paper counts.
    messages: u64,
    /// Acknowledgements of the decision, which it does not.
    acknowledgements: u64,
    /// Message delays until all participants know.
    delays: u64,
}

impl Experiment for CommitCosts {
    fn name(&self) -> &'static str {
        "commit-costs"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        let sizes: [u64; 4] = [2, 3, 5, 10];
        for (done, n) in sizes.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: sizes.len() as u64 });
            rows.extend(two_phase_rows(n));
            rows.extend(three_phase_rows(n));
            for f in 0..=2 {
                rows.extend(paxos_rows(n, f));
            }
        }
        Findings {
            title: "Atomic commitment: messages and delays".to_owned(),
            source: "Gray and Lamport: Consensus on Transaction Commit (ACM TODS 31(1), 2006), where it tells what each protocol costs; \
                     for three-phase commit Skeen (1981), whose rounds are counted here".to_owned(),
            method: METHOD.to_owned(),
            rows,
            figures: vec![figure()],
        }
    }
}

const METHOD: &str = "\
One transaction that everybody is willing to commit, in memory, every message one delay, nothing lost. N participants (resource \
managers); the first begins. Counted is what our protocols send from one node to another; roles of one node send each other nothing. \
Not counted, as in the paper: acknowledgements of the decision (two-phase commit; listed in a row of their own), and what Paxos Commit's \
leader tells acceptors that are no participants when nobody waits any more. *Apart*: coordinator, leader and acceptors are nodes of their \
own. *Leader on an acceptor*: these two share a node. *Co-located*: coordinator or leader on the first participant's node, acceptors on \
the first participants' nodes; this needs N > F. Nothing was tuned.";

fn two_phase_rows(n: u64) -> Vec<Row> {
    let apart = two_phase(n, APART, false);
    let colocated = two_phase(n, NodeId(1), false);
    let asked = two_phase(n, APART, true);
    vec![
        messages(format!("2PC, N={n}, apart: 3N-1"), 3 * n - 1, apart.messages),
        messages(format!("2PC, N={n}, co-located: 3N-3"), 3 * n - 3, colocated.messages),
        messages(format!("2PC, N={n}, the coordinator begins: 3N"), 3 * n, asked.messages),
        messages(
            format!("2PC, N={n}, the coordinator begins, with acknowledgements: 4N"),
            4 * n,
            asked.messages + asked.acknowledgements,
        ),
        delays(format!("2PC, N={n}, apart"), 4, apart.delays),
        delays(format!("2PC, N={n}, co-located"), 3, colocated.delays),
    ]
}

fn three_phase_rows(n: u64) -> Vec<Row> {
    let cost = three_phase(n);
    vec![
        messages(format!("3PC, N={n}, the coordinator begins: 5N"), 5 * n, cost.messages),
        messages(
            format!("3PC, N={n}, the coordinator begins, with acknowledgements: 6N"),
            6 * n,
            cost.messages + cost.acknowledgements,
        ),
    ]
}

fn paxos_rows(n: u64, f: u64) -> Vec<Row> {
    let apart: Vec<NodeId> = (0..=2 * f).map(|index| NodeId(2000 + index)).collect();
    let plain = paxos(n, APART, apart.clone(), false);
    let on_acceptor = paxos(n, apart[0], apart.clone(), false);
    let faster = paxos(n, APART, apart, true);
    let mut rows = vec![
        messages(
            format!("Paxos Commit, N={n}, F={f}, apart: (N+1)(F+3)-2"),
            (n + 1) * (f + 3) - 2,
            plain.messages,
        ),
        messages(
            format!("Paxos Commit, N={n}, F={f}, leader on an acceptor: (N+1)(F+3)-4"),
            (n + 1) * (f + 3) - 4,
            on_acceptor.messages,
        ),
        messages(
            format!("faster Paxos Commit, N={n}, F={f}, apart: N(2F+3)"),
            n * (2 * f + 3),
            faster.messages,
        ),
        delays(format!("Paxos Commit, N={n}, F={f}, apart"), 5, plain.delays),
        delays(format!("faster Paxos Commit, N={n}, F={f}, apart"), 4, faster.delays),
    ];
    if n > f {
        // The F acceptors that are not needed may be anywhere.
        let spread: Vec<NodeId> =
            (0..=2 * f).map(|index| NodeId(if index <= f { index + 1 } else { 2000 + index })).collect();
        let colocated = paxos(n, NodeId(1), spread.clone(), false);
        let faster = paxos(n, NodeId(1), spread, true);
        rows.extend([
            messages(
                format!("Paxos Commit, N={n}, F={f}, co-located: N(F+3)-3"),
                n * (f + 3) - 3,
                colocated.messages,
            ),
            messages(
                format!("faster Paxos Commit, N={n}, F={f}, co-located: (N-1)(2F+3)"),
                (n - 1) * (2 * f + 3),
                faster.messages,
            ),
            colocated_delays(n, f, colocated.delays),
            delays(format!("faster Paxos Commit, N={n}, F={f}, co-located"), 3, faster.delays),
        ]);
    }
    rows
}

fn colocated_delays(n: u64, f: u64, ours: u64) -> Row {
    let what = format!("Paxos Commit, N={n}, F={f}, co-located");
    if (n, f) == (2, 1) {
        let why = "The second of two participants is itself the second acceptor: it hears of the first vote with the question, \
                   and says both at once. A third one's vote would take a delay more.";
        return Row::open(what, "4", ours as f64, why).unit("message delays");
    }
    // With one acceptor it is two-phase commit.
    delays(what, if f == 0 { 3 } else { 4 }, ours)
}

fn messages(what: String, published: u64, ours: u64) -> Row {
    Row::exact(what, published as f64, ours as f64).unit("messages")
}

fn delays(what: String, published: u64, ours: u64) -> Row {
    Row::exact(what, published as f64, ours as f64).unit("message delays")
}

fn figure() -> Figure {
    let sizes: Vec<u64> = (2..=12).collect();
    let line = |name: &str, cost: &dyn Fn(u64) -> Cost| {
        Series::line(name, sizes.iter().map(|n| (*n as f64, cost(*n).messages as f64)).collect())
    };
    let acceptors = |f: u64| (1..=2 * f + 1).map(NodeId).collect::<Vec<_>>();
    Figure {
        name: "commit-costs".to_owned(),
        title: "Messages of one committed transaction, co-located".to_owned(),
        x: Axis::linear("participants"),
        y: Axis::linear("messages"),
        series: vec![
            line("two-phase commit", &|n| two_phase(n, NodeId(1), false)),
            line("Paxos Commit, F=1", &|n| paxos(n, NodeId(1), acceptors(1), false)),
            line("faster Paxos Commit, F=1", &|n| paxos(n, NodeId(1), acceptors(1), true)),
            line("three-phase commit, coordinator apart", &three_phase),
        ],
    }
}

fn two_phase(n: u64, coordinator: NodeId, coordinator_begins: bool) -> Cost {
    let begins = if coordinator_begins { coordinator } else { NodeId(1) };
    let config = |id| two_phase::Config {
        id,
        coordinator,
        patience: NEVER,
        retry: NEVER,
        termination: Termination::Blocking,
    };
    run::<TwoPhase<u8>>(n, &[coordinator], begins, config, |message| {
        matches!(message, two_phase::Message::Acknowledge(_))
    })
}

fn three_phase(n: u64) -> Cost {
    let config = |id| three_phase::Config { id, coordinator: APART, patience: NEVER };
    run::<ThreePhase<u8>>(n, &[APART], APART, config, |message| {
        matches!(message, three_phase::Message::Done(_))
    })
}

fn paxos(n: u64, leader: NodeId, acceptors: Vec<NodeId>, faster: bool) -> Cost {
    let others: Vec<NodeId> = acceptors.iter().copied().chain([leader]).collect();
    let config = |id| {
        let acceptors = acceptors.clone();
        paxos_commit::Config { id, leader, acceptors, retry: NEVER, patience: NEVER, faster }
    };
    run::<PaxosCommit<u8>>(n, &others, NodeId(1), config, |_| false)
}

/// One transaction of the participants 1 to `n`, who have made up their minds before they are asked.
fn run<P: Protocol<Request = Request<u8>, Event = Event<u8>, Message: 'static>>(
    n: u64,
    others: &[NodeId],
    begins: NodeId,
    config: impl Fn(NodeId) -> P::Config,
    acknowledges: fn(&P::Message) -> bool,
) -> Cost {
    let participants: Vec<NodeId> = (1..=n).map(NodeId).collect();
    let mut nodes: Vec<NodeId> = participants.iter().chain(others).copied().collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut cluster = InMemory::<P>::new(1);
    cluster.set_latency(LATENCY);
    nodes.iter().for_each(|node| cluster.add(*node, config(*node)));
    let acknowledgements = Rc::new(Cell::new(0));
    let counter = Rc::clone(&acknowledgements);
    cluster.lose_if(move |_, _, message| {
        counter.set(counter.get() + u64::from(acknowledges(message)));
        false
    });
    for node in participants.iter().filter(|node| **node != begins) {
        cluster.request(*node, Request::Vote { transaction: 1, vote: Vote::Prepared });
    }
    cluster.request(begins, Request::Begin { transaction: 1, participants: participants.clone() });
    let decided = |cluster: &InMemory<P>, node: NodeId| {
        cluster.events().iter().any(|(teller, event)| *teller == node && matches!(event, Event::Decided(..)))
    };
    let everybody = |cluster: &InMemory<P>| participants.iter().all(|node| decided(cluster, *node));
    let mut delays = 0;
    while !everybody(&cluster) && delays < 100 {
        cluster.advance(LATENCY);
        delays += 1;
    }
    cluster.deliver_all();
    let acknowledgements = acknowledgements.get();
    Cost { messages: cluster.messages() - acknowledgements, acknowledgements, delays }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn every_count_is_the_papers() {
        let findings = CommitCosts.run(Effort::QUICK, &mut |_| {});
        assert!(findings.rows.len() > 80, "{} rows", findings.rows.len());
        for row in &findings.rows {
            assert!(matches!(row.verdict, Verdict::Met(_) | Verdict::Open(_)), "{row:?}");
        }
    }
}
