//! What a request costs, and the paper's Figure 4: throughput of one chain against the share of updates, beside primary-backup
//! and queries to any server.

use super::primary_backup::Request as Asked;
use super::queueing::World;
use super::workload::{
    Cluster, HOP, MASTER, Next, Node, ask, calm, closed_loop, osdi_cost, primary_backup_loop,
};
use super::{OSDI, in_parallel};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::sim::stream;
use quipu_base::{InMemory, NodeId, Rng, Time};
use quipu_protocols::chain::{Config, Consistency, Fencing, Message, Reads, Request, Role};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How many messages a request takes, and how long one takes alone.
pub struct MessageCounts;

impl Experiment for MessageCounts {
    fn name(&self) -> &'static str {
        "chain-messages"
    }

    fn run(&self, _: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        for servers in [2, 3, 10] {
            let [forwards, acknowledgements, queries] = count(servers);
            let published = servers as f64 - 1.0;
            rows.push(Row::exact(format!("{servers} servers: forwards for an update"), published, forwards));
            let what = format!("{servers} servers: acknowledgements for an update");
            rows.push(Row::exact(what, published, acknowledgements));
            rows.push(Row::exact(format!("{servers} servers: servers that a query meets"), 1.0, queries));
        }
        let (update, query) = latencies();
        rows.push(Row::exact("latency of an update alone, 3 servers", 94.0, update).unit("ms"));
        rows.push(Row::exact("latency of a query alone, 3 servers", 7.0, query).unit("ms"));
        tick(Progress { done: 1, of: 1 });
        Findings {
            title: "Chain replication: what a request costs".to_owned(),
            source: format!("{OSDI}, sections 2 and 5.1"),
            method: "One client that does one thing, and nobody else. Messages are counted by kind. For the latencies a message \
                takes 1 ms, an update keeps the head busy for 50 ms, a forwarded update the others for 20 ms, and a query the \
                tail for 5 ms, as in the paper's simulation."
                .to_owned(),
            rows,
            figures: Vec::new(),
        }
    }
}

/// Forwards and acknowledgements of one update, and servers that one query meets.
fn count(servers: usize) -> [f64; 3] {
    let mut nodes = InMemory::<Node>::new(1);
    let chain: Vec<NodeId> = (0..servers).map(Cluster::server).collect();
    let client = NodeId(1_000);
    let config = |id, role| Config { id, master: MASTER, chain: chain.clone(), timing: calm(), role };
    nodes.add(MASTER, config(MASTER, Role::Master(servers)));
    chain.iter().for_each(|server| nodes.add(*server, config(*server, Role::Server(Fencing::Lease))));
    nodes.add(client, config(client, Role::Client(Reads::Tail)));
    nodes.advance(Duration::from_millis(10));
    let counts = Rc::new([const { Cell::new(0u32) }; 3]);
    let counter = counts.clone();
    nodes.lose_if(move |_, _, message| {
        let kind = match message {
            Message::Forward(..) => 0,
            Message::Acknowledged(..) => 1,
            Message::Query(..) | Message::AskVersion(..) => 2,
            _ => return false,
        };
        counter[kind].set(counter[kind].get() + 1);
        false
    });
    nodes.request(client, Request::Update(0, 1));
    nodes.deliver_all();
    nodes.request(client, Request::Query(0, Consistency::Strong));
    nodes.deliver_all();
    [0, 1, 2].map(|kind| f64::from(counts[kind].get()))
}

/// An update's and a query's time alone, in milliseconds.
fn latencies() -> (f64, f64) {
    let cluster = Cluster { number: 0, machines: vec![0, 1, 2], timing: calm() };
    let mut world = World::<Node>::new(3, HOP, osdi_cost);
    cluster.start(&mut world);
    cluster.add_client(&mut world, 0, Reads::Tail);
    while world.next_event(Time::ZERO + Duration::from_secs(1)).is_some() {}
    let mut time = |next| {
        let begun = world.now();
        ask(&mut world, &cluster, 0, 0, next);
        world.next_event(begun + Duration::from_secs(1)).expect("it is answered");
        world.now().since(begun).as_secs_f64() * 1_000.0
    };
    let update = time(Next::Update);
    (update, time(Next::Query(Reads::Tail, Consistency::Strong)))
}

/// Figure 4.
pub struct Throughput;

const CLIENTS: usize = 25;
const SERVERS: [usize; 3] = [2, 3, 10];
const SHARES: [u32; 16] = [0, 2, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 85, 100];
const WARM: Duration = Duration::from_secs(10);
/// How long a point is measured, in seconds.
const MEASURED: u64 = 100;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Chain,
    Backup,
    Weak,
}

/// One point of the figure.
struct Point {
    scheme: Scheme,
    servers: usize,
    /// Updates among a hundred requests.
    share: u32,
}

impl Point {
    /// Requests per second.
    fn measure(&self, span: (Duration, Duration)) -> f64 {
        let mut random = stream(u64::from(self.share), "requests", self.servers as u64);
        let is_update = |random: &mut Rng| random.u32(..100) < self.share;
        let done = match self.scheme {
            Scheme::Backup => primary_backup_loop(self.servers, CLIENTS, span, &mut || {
                if is_update(&mut random) { Asked::Update } else { Asked::Query }
            }),
            Scheme::Chain | Scheme::Weak => {
                let machines = (0..self.servers).collect();
                let cluster = Cluster { number: 0, machines, timing: calm() };
                let mut world = World::<Node>::new(self.servers, HOP, osdi_cost);
                let done = closed_loop(&mut world, &cluster, CLIENTS, span, &mut |_| {
                    if is_update(&mut random) {
                        return Next::Update;
                    }
                    match self.scheme {
                        Scheme::Weak => {
                            Next::Query(Reads::Near(random.usize(..self.servers)), Consistency::Eventual)
                        }
                        _ => Next::Query(Reads::Tail, Consistency::Strong),
                    }
                });
                done.updates + done.queries
            }
        };
        done as f64 / span.1.as_secs_f64()
    }
}

impl Experiment for Throughput {
    fn name(&self) -> &'static str {
        "chain-throughput"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let span = (WARM, Duration::from_secs(effort.trials(MEASURED)));
        let (mut rows, mut figures) = (Vec::new(), Vec::new());
        let mut at_half = Vec::new();
        for (done, servers) in SERVERS.into_iter().enumerate() {
            let curve = |scheme| {
                let points: Vec<Point> =
                    SHARES.map(|share| Point { scheme, servers, share }).into_iter().collect();
                in_parallel(&points, |point| point.measure(span))
            };
            let (chain, backup, weak) = (curve(Scheme::Chain), curve(Scheme::Backup), curve(Scheme::Weak));
            rows.extend(rows_of(servers, &chain, &backup, &weak));
            let half = SHARES.iter().position(|share| *share == 50).expect("it is measured");
            at_half.push(chain[half]);
            figures.push(figure(servers, [("chain", chain), ("primary-backup", backup), ("weak", weak)]));
            tick(Progress { done: done as u64 + 1, of: SERVERS.len() as u64 });
        }
        let longest_to_shortest = at_half[SERVERS.len() - 1] / at_half[0];
        rows.push(
            Row::number(
                "chain at 50 % updates: 10 servers to 2 (\"not affected\")",
                1.0,
                longest_to_shortest,
            )
            .within(0.05),
        );
        Findings {
            title: "Chain replication: throughput against the share of updates".to_owned(),
            source: format!("{OSDI}, section 5.1, Figure 4"),
            method: method(span),
            rows,
            figures,
        }
    }
}

fn method((warm, measured): (Duration, Duration)) -> String {
    format!(
        "The paper's setting: one chain, {CLIENTS} clients that ask again as soon as they are answered; a message takes 1 ms, an \
         update 50 ms at the head, a forwarded one 20 ms at each other server, a query 5 ms; the rest takes no time. A machine \
         handles one message after the other, in the order of their arrival. *Weak* asks any server, drawn at random, for \
         whatever it has (the paper found the weak variants of chain and primary-backup alike, and so draws one). Each point is \
         {} s of virtual time, the first {} s left out. The paper prints curves and no numbers: what is compared is what it says \
         of them in words. Ratios are rounded to a hundredth.",
        measured.as_secs(),
        warm.as_secs()
    )
}

fn rows_of(servers: usize, chain: &[f64], backup: &[f64], weak: &[f64]) -> Vec<Row> {
    let ratios = chain.iter().zip(backup).map(|(chain, backup)| (chain / backup * 100.0).round() / 100.0);
    let (least, most) =
        ratios.fold((f64::INFINITY, 0.0f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    // From this share on, strong reads from the tail are the faster ones.
    let last_behind =
        SHARES.iter().zip(chain.iter().zip(weak)).rposition(|(_, (chain, weak))| chain * 1.01 < *weak);
    let overtakes = last_behind.map_or(0, |last| SHARES.get(last + 1).copied().unwrap_or(100));
    vec![
        Row::at_least(format!("t = {servers}: chain to primary-backup, least over all shares"), 1.0, least),
        Row::ours_only(format!("t = {servers}: chain to primary-backup, most over all shares"), most),
        Row::at_most(
            format!("t = {servers}: share of updates from which weak is no faster"),
            15.0,
            overtakes.into(),
        )
        .unit("%"),
    ]
}

fn figure(servers: usize, curves: [(&str, Vec<f64>); 3]) -> Figure {
    Figure {
        name: format!("chain-throughput-{servers}"),
        title: format!("Throughput of {servers} servers"),
        x: Axis::linear("updates (% of requests)"),
        y: Axis::linear("requests per second"),
        series: curves
            .into_iter()
            .map(|(name, curve)| Series::line(name, SHARES.into_iter().map(f64::from).zip(curve).collect()))
            .collect(),
    }
}
