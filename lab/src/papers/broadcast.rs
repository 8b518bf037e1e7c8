//! What one broadcast costs, in messages and in steps.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{InMemory, NodeId, Time};
use quipu_protocols::broadcast::{
    BestEffort, Broadcasts, Causal, Eager, Fifo, Group, Lazy, Majority, Request, Sequencer,
};
use std::time::Duration;

/// Every algorithm, by its file in `quipu_protocols::broadcast`.
pub struct BroadcastMessages;

/// Group sizes of the table; the figure has all from 2 to the last.
const SIZES: [u64; 4] = [2, 3, 5, 9];

impl Experiment for BroadcastMessages {
    fn name(&self) -> &'static str {
        "broadcast-messages"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        for (done, n) in SIZES.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: SIZES.len() as u64 });
            rows.extend(messages(n));
        }
        rows.extend(steps());
        Findings {
            title: "Broadcast: messages and steps for one broadcast".to_owned(),
            source: "Cachin, Guerraoui, Rodrigues: Introduction to Reliable and Secure Distributed Programming (2011), \
                     the performance paragraphs of algorithms 3.1, 3.2, 3.3, 3.5, 3.12 and 3.15; Défago, Schiper, Urban \
                     (2004) for the sequencer"
                .to_owned(),
            method: "One node of n broadcasts once, over links that lose nothing, and every message is counted. The book \
                     gives orders (O(N), O(N²)); the numbers here follow from its algorithms, without what a node sends to itself, \
                     and with a relay saying a message to the group once. Lazy broadcast's worst case is the sender's crash right after \
                     the broadcast, noticed by everybody. A step is the time of one message; the last delivery counts."
                .to_owned(),
            rows,
            figures: vec![figure()],
        }
    }
}

fn messages(n: u64) -> Vec<Row> {
    let row = |what: &str, published: u64, ours: u64| {
        Row::exact(format!("{what}, n = {n}"), published as f64, ours as f64).unit("messages")
    };
    vec![
        row("best effort: n-1", n - 1, one::<BestEffort<_>>(n, 1).0),
        row("lazy, nobody crashes: n-1", n - 1, one::<Lazy<_>>(n, 1).0),
        row("lazy, the sender crashes: n(n-1)", n * (n - 1), lazy_crash(n)),
        row("eager: n(n-1)", n * (n - 1), one::<Eager<_>>(n, 1).0),
        row("uniform, majority-ack: n(n-1)", n * (n - 1), one::<Majority<_>>(n, 1).0),
        row("FIFO over eager: nothing more", n * (n - 1), one::<Fifo<_, Eager<_>>>(n, 1).0),
        row("causal over eager: nothing more", n * (n - 1), one::<Causal<_, Eager<_>>>(n, 1).0),
        row(
            "sequencer over best effort, from another node: n",
            n,
            one::<Sequencer<_, BestEffort<_>>>(n, n).0,
        ),
        row("sequencer over best effort, its own: n-1", n - 1, one::<Sequencer<_, BestEffort<_>>>(n, 1).0),
    ]
}

fn steps() -> Vec<Row> {
    let row = |what: &str, published: u64, (_, ours): (u64, u64)| {
        Row::exact(format!("{what}: until the last of 5 delivers"), published as f64, ours as f64)
            .unit("steps")
    };
    vec![
        row("best effort", 1, one::<BestEffort<_>>(5, 1)),
        row("eager", 1, one::<Eager<_>>(5, 1)),
        row("uniform, majority-ack", 2, one::<Majority<_>>(5, 1)),
        row("causal over eager", 1, one::<Causal<_, Eager<_>>>(5, 1)),
        row("sequencer over best effort, from another node", 2, one::<Sequencer<_, BestEffort<_>>>(5, 5)),
    ]
}

fn group<B: Broadcasts<u32>>(n: u64) -> InMemory<B> {
    let mut cluster = InMemory::new(1);
    let members: Vec<NodeId> = (1..=n).map(NodeId).collect();
    members.iter().for_each(|me| cluster.add(*me, Group::new(*me, members.clone())));
    cluster
}

/// One broadcast: how many messages, and after how many steps everybody has delivered it.
fn one<B: Broadcasts<u32>>(n: u64, sender: u64) -> (u64, u64) {
    let step = Duration::from_millis(1);
    let mut cluster = group::<B>(n);
    cluster.set_latency(step);
    cluster.request(NodeId(sender), Request::Broadcast(1));
    let all = |cluster: &InMemory<B>| cluster.events().len() as u64 == n;
    assert!(cluster.advance_until(step * 10, all), "everybody delivers");
    let steps = cluster.now().since(Time::ZERO).as_nanos() / step.as_nanos();
    cluster.deliver_all();
    (cluster.messages(), steps as u64)
}

fn lazy_crash(n: u64) -> u64 {
    let mut cluster = group::<Lazy<u32>>(n);
    cluster.request(NodeId(1), Request::Broadcast(1));
    cluster.deliver_all();
    cluster.stop(NodeId(1));
    (2..=n).for_each(|node| {
        cluster.request(NodeId(node), Request::Crashed(NodeId(1)));
    });
    cluster.deliver_all();
    cluster.messages()
}

fn figure() -> Figure {
    let most = SIZES[SIZES.len() - 1];
    let points = |count: fn(u64) -> u64| (2..=most).map(|n| (n as f64, count(n) as f64)).collect::<Vec<_>>();
    Figure {
        name: "broadcast-messages".to_owned(),
        title: "Messages for one broadcast".to_owned(),
        x: Axis::linear("nodes"),
        y: Axis::linear("messages"),
        series: vec![
            Series::line("n-1", points(|n| n - 1)),
            Series::line("n(n-1)", points(|n| n * (n - 1))),
            Series::points("best effort", points(|n| one::<BestEffort<_>>(n, 1).0)),
            Series::points("eager", points(|n| one::<Eager<_>>(n, 1).0)),
            Series::points(
                "sequencer over best effort",
                points(|n| one::<Sequencer<_, BestEffort<_>>>(n, n).0),
            ),
        ],
    }
}

/// Every experiment about broadcasts.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(BroadcastMessages)]
}
