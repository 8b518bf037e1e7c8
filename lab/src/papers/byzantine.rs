//! What agreement among liars costs: the messages of OM(m) (Lamport, Shostak and Pease, 1982), and of PBFT's normal case (Castro and
//! Liskov, 1999).

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{InMemory, NodeId};
use quipu_protocols::byzantine::oral::{self, General, Order};
use quipu_protocols::byzantine::pbft::{Config, Event, Machine, Message, MessageOf, Node};
use quipu_protocols::byzantine::signature::SealKey;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What is measured here.
pub(super) fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(OralMessages), Box::new(PbftNormalCase)]
}

/// The table of OM(m).
pub(super) struct OralMessages;

impl Experiment for OralMessages {
    fn name(&self) -> &'static str {
        "byzantine-oral"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        for m in 0..=3 {
            tick(Progress { done: m, of: 4 });
            let n = 3 * m + 1;
            let by_round = oral(n.max(2), m as usize);
            let mut expected = 1;
            for (round, ours) in by_round.iter().enumerate() {
                // n - 1 orders, each passed on by its hearer to n - 2, and so on.
                expected *= n.max(2) - 1 - round as u64;
                let what = format!("OM({m}), n={}, round {}", n.max(2), round + 1);
                rows.push(Row::exact(what, expected as f64, *ours as f64).unit("messages"));
            }
            let published = [1, 9, 156, 3609][m as usize];
            let total: u64 = by_round.iter().sum();
            let what = format!("OM({m}), n={}, altogether", n.max(2));
            rows.push(Row::exact(what, f64::from(published), total as f64).unit("messages"));
        }
        Findings {
            title: "Byzantine generals: messages of OM(m)".to_owned(),
            source: "Lamport, Shostak, Pease: The Byzantine Generals Problem (TOPLAS 4(3), 1982), section 3".to_owned(),
            method: "All generals are loyal. The paper states the recursion; the numbers are what it comes to: a round of \
                     n-1 messages, then (n-1)(n-2), and so on, m+1 factors at most. Counted by the length of the path that a \
                     message names.".to_owned(),
            rows,
            figures: Vec::new(),
        }
    }
}

/// How many messages are sent in each round.
fn oral(n: u64, m: usize) -> Vec<u64> {
    let generals: Vec<NodeId> = (1..=n).map(NodeId).collect();
    let mut army = InMemory::<General<bool>>::new(1);
    for id in generals.clone() {
        let (generals, commander, round) = (generals.clone(), NodeId(1), Duration::from_millis(2));
        army.add(id, oral::Config { id, generals, commander, traitors: m, round, default: false });
    }
    let counted = Rc::new(RefCell::new(vec![0; m + 1]));
    let counter = Rc::clone(&counted);
    army.lose_if(move |_, _, message| {
        counter.borrow_mut()[message.path.len() - 1] += 1;
        false
    });
    army.request(NodeId(1), Order(true));
    army.deliver_all();
    let by_round = counted.borrow().clone();
    assert_eq!(by_round.iter().sum::<u64>(), army.messages(), "every message has a round");
    by_round
}

/// The table of PBFT's normal case.
pub(super) struct PbftNormalCase;

impl Experiment for PbftNormalCase {
    fn name(&self) -> &'static str {
        "byzantine-pbft"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        let mut points = Vec::new();
        for f in 1..=5 {
            tick(Progress { done: f, of: 6 });
            let n = 3 * f + 1;
            let (counted, delays) = normal_case(n, f as usize);
            let expected = [
                ("request", 1),
                ("pre-prepare", n - 1),
                ("prepare", (n - 1) * (n - 1)),
                ("commit", n * (n - 1)),
                ("reply", n),
            ];
            for (kind, published) in expected {
                let ours = counted.get(kind).copied().unwrap_or_default();
                rows.push(
                    Row::exact(format!("f={f}, n={n}: {kind}"), published as f64, ours as f64)
                        .unit("messages"),
                );
            }
            let (total, published) = (counted.values().sum::<u64>(), 2 * n * n - n + 1);
            rows.push(
                Row::exact(format!("f={f}, n={n}: altogether"), published as f64, total as f64)
                    .unit("messages"),
            );
            rows.push(
                Row::exact(format!("f={f}, n={n}: until the client is answered"), 5.0, delays as f64)
                    .unit("message delays"),
            );
            points.push((n as f64, total as f64));
        }
        Findings {
            title: "PBFT: messages of the normal case".to_owned(),
            source: "Castro and Liskov: Practical Byzantine Fault Tolerance (OSDI 1999), section 4.2 and figure 1".to_owned(),
            method: "One request, all replicas loyal, nothing lost, no checkpoint. The paper draws who speaks to whom and says that it is \
                     quadratic; the numbers are what the drawing comes to: 1 request, n-1 pre-prepares, (n-1)(n-1) prepares, n(n-1) \
                     commits, n replies, 2n²-n+1 altogether. Batches, multicast and the tentative execution that saves a delay \
                     are left out.".to_owned(),
            rows,
            figures: vec![Figure {
                name: "byzantine-pbft".to_owned(),
                title: "PBFT: messages of one request".to_owned(),
                x: Axis::linear("replicas"),
                y: Axis::linear("messages"),
                series: vec![Series::line("normal case", points)],
            }],
        }
    }
}

struct Counter(u64);

impl Machine for Counter {
    type Operation = u64;
    type Reply = u64;
    type Digest = u64;

    fn apply(&mut self, by: &u64) -> u64 {
        self.0 += by;
        self.0
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

fn kind(message: &MessageOf<Counter, SealKey>) -> &'static str {
    match message {
        Message::Request(..) => "request",
        Message::PrePrepare { .. } => "pre-prepare",
        Message::Prepare { .. } => "prepare",
        Message::Commit { .. } => "commit",
        Message::Reply { .. } => "reply",
        Message::Checkpoint { .. } => "checkpoint",
        Message::ViewChange(_) => "view-change",
        Message::NewView { .. } => "new-view",
    }
}

/// The messages of one request by their kind, and the delays until the client is answered.
fn normal_case(n: u64, faults: usize) -> (BTreeMap<&'static str, u64>, u64) {
    const LATENCY: Duration = Duration::from_millis(1);
    let client = NodeId(1000);
    let replicas: Vec<NodeId> = (1..=n).map(NodeId).collect();
    let mut cluster = InMemory::<Node<Counter, SealKey>>::new(1);
    cluster.set_latency(LATENCY);
    for id in replicas.iter().copied().chain([client]) {
        let config = Config {
            id,
            replicas: replicas.clone(),
            faults,
            signer: SealKey::of(id),
            machine: (id != client).then_some(Counter(0)),
            timeout: Duration::from_secs(3600),
            checkpoint_every: 100,
        };
        cluster.add(id, config);
    }
    let counted = Rc::new(RefCell::new(BTreeMap::new()));
    let counter = Rc::clone(&counted);
    cluster.lose_if(move |_, _, message| {
        *counter.borrow_mut().entry(kind(message)).or_default() += 1;
        false
    });
    cluster.request(client, 1);
    let mut delays = 0;
    while !cluster.events().iter().any(|(_, event)| matches!(event, Event::Answered(..))) && delays < 100 {
        cluster.advance(LATENCY);
        delays += 1;
    }
    cluster.deliver_all();
    let counted = counted.borrow().clone();
    (counted, delays)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn every_count_is_what_the_papers_come_to() {
        for experiment in [&OralMessages as &dyn Experiment, &PbftNormalCase] {
            let findings = experiment.run(Effort::QUICK, &mut |_| {});
            assert!(findings.rows.len() > 10, "{} rows", findings.rows.len());
            for row in &findings.rows {
                assert!(matches!(row.verdict, Verdict::Met(_)), "{row:?}");
            }
        }
    }
}
