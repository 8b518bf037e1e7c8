//! CRAQ's section 6: reads against the length of the chain, and against the rate of writes.

use super::queueing::World;
use super::workload::{Cluster, Next, Node, ask, calm, client_of, closed_loop};
use super::{ATC, in_parallel};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::sim::stream;
use quipu_base::Time;
use quipu_protocols::chain::{Consistency, Event, Message, Reads};
use std::time::Duration;

/// Reads alone.
pub struct ReadScaling;

/// A server answers 20,600 reads a second: the paper's chain replication.
const READ: Duration = Duration::from_nanos(48_544);
/// A message between two nodes of the cluster.
const HOP: Duration = Duration::from_micros(212);
/// Many enough to keep seven servers busy.
const CLIENTS: usize = 210;

fn read_cost(message: &Message<u64, u64>) -> Duration {
    if let Message::Query(..) = message { READ } else { Duration::ZERO }
}

/// Reads per second of a chain, each client asking the tail or the server near it.
fn reads(servers: usize, craq: bool, measured: Duration) -> f64 {
    let cluster = Cluster { number: 0, machines: (0..servers).collect(), timing: calm() };
    let mut world = World::<Node>::new(servers, HOP, read_cost);
    let span = (Duration::from_millis(50), measured);
    let done = closed_loop(&mut world, &cluster, CLIENTS, span, &mut |client| {
        let reads = if craq { Reads::Near(client % servers) } else { Reads::Tail };
        Next::Query(reads, Consistency::Strong)
    });
    done.queries as f64 / measured.as_secs_f64()
}

impl Experiment for ReadScaling {
    fn name(&self) -> &'static str {
        "craq-reads"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let measured = Duration::from_millis(effort.trials(2_000));
        let jobs = [(3, false), (3, true), (5, true), (7, true)];
        let found = in_parallel(&jobs, |(servers, craq)| reads(*servers, *craq, measured));
        tick(Progress { done: 1, of: 1 });
        let mut rows = Vec::new();
        for ((servers, published, text), reads) in
            [(3, 2.9, "about 60,000"), (5, 4.8, "about 99,000"), (7, 6.7, "about 139,000")]
                .into_iter()
                .zip(&found[1..])
        {
            let what = format!("CRAQ-{servers} to chain replication with 3");
            rows.push(Row::number(what, published, reads / found[0]).within_percent(7.0));
            let why = "the paper's machines; ours follows from its 20,600 reads a second of one server";
            rows.push(Row::open(format!("CRAQ-{servers}"), text, *reads, why).unit("reads/s"));
        }
        let lengths = [3.0, 5.0, 7.0];
        Findings {
            title: "CRAQ: reads against the length of the chain".to_owned(),
            source: format!("{ATC}, section 6.2"),
            method: format!(
                "{CLIENTS} clients read one object and ask again as soon as they are answered: the tail, or with CRAQ the server \
                 near them, the same number at each. A read keeps a server busy for {} µs, which is the paper's chain replication \
                 (20,600 reads a second); a message takes {} µs. Nothing is written. The published numbers are \
                 second-hand and read off a figure, so their ratios may be off by a few percent. Ours are the number of servers: \
                 here they share nothing.",
                READ.as_nanos() as f64 / 1e3,
                HOP.as_micros()
            ),
            rows,
            figures: vec![Figure {
                name: "craq-reads".to_owned(),
                title: "Reads of one object".to_owned(),
                x: Axis::linear("servers"),
                y: Axis::linear("reads per second"),
                series: vec![
                    Series::line("CRAQ, ours", lengths.into_iter().zip(found[1..].iter().copied()).collect()),
                    Series::points(
                        "CRAQ, published",
                        vec![(3.0, 60_000.0), (5.0, 99_000.0), (7.0, 139_000.0)],
                    ),
                    Series::line(
                        "chain replication, ours",
                        lengths.map(|length| (length, found[0])).to_vec(),
                    ),
                ],
            }],
        }
    }
}

/// Reads while there are writes.
pub struct DirtyReads;

/// A server of the rerun answers 13,100 reads a second, as chain replication with three does.
const RERUN_READ: Duration = Duration::from_nanos(76_336);
/// How many objects, where they are many.
const MANY: u64 = 10;
/// Writes per second.
const WRITES: [u32; 6] = [0, 50, 100, 150, 200, 250];
const READERS: usize = 60;
/// Enough that a write need not wait for the one before.
const WRITERS: usize = 30;

fn rerun_cost(message: &Message<u64, u64>) -> Duration {
    match message {
        Message::Query(..) | Message::AskVersion(..) | Message::Update(..) | Message::Forward(..) => {
            RERUN_READ
        }
        _ => Duration::ZERO,
    }
}

/// One chain of three with a writer that keeps its pace.
struct Mixed {
    craq: bool,
    objects: u64,
    writes: u32,
}

/// Reads per second, and the share of them that had to ask the tail.
struct Found {
    reads: f64,
    dirty: f64,
}

impl Mixed {
    fn measure(&self, measured: Duration) -> Found {
        let cluster = Cluster { number: 0, machines: vec![0, 1, 2], timing: calm() };
        let mut world = World::<Node>::new(3, HOP, rerun_cost);
        world.tally(|message| matches!(message, Message::AskVersion(..)));
        cluster.start(&mut world);
        let reads = |client: usize| if self.craq { Reads::Near(client % 3) } else { Reads::Tail };
        (0..READERS).for_each(|client| cluster.add_client(&mut world, client, reads(client)));
        let writers = READERS..READERS + WRITERS;
        writers.clone().for_each(|writer| cluster.add_client(&mut world, writer, Reads::Tail));
        let mut writer = writers.cycle();
        let begin = Time::ZERO + Duration::from_millis(100);
        while world.next_event(begin).is_some() {}
        let next = |client: usize| Next::Query(reads(client), Consistency::Strong);
        let mut random = stream(u64::from(self.writes), "writes", self.objects);
        let read =
            |world: &mut World<Node>, client, object| ask(world, &cluster, client, object, next(client));
        (0..READERS).for_each(|client| read(&mut world, client, random.u64(..self.objects)));
        let until = begin + measured;
        let (mut done, mut write_at) = (0u64, begin);
        while world.now() < until {
            // Poisson: writes come as they please, not in step with the reads.
            let gap = -(1.0 - random.f64()).ln() / f64::from(self.writes);
            write_at = if self.writes == 0 { until } else { write_at + Duration::from_secs_f64(gap) };
            while let Some(((_, node), event)) = world.next_event(write_at.min(until)) {
                if let Event::Answered(..) = event {
                    done += 1;
                    read(&mut world, client_of(node), random.u64(..self.objects));
                }
            }
            if write_at < until {
                let writer = writer.next().expect("it begins again");
                ask(&mut world, &cluster, writer, random.u64(..self.objects), Next::Update);
            }
        }
        let dirty = world.tallied() as f64 / done as f64;
        Found { reads: done as f64 / measured.as_secs_f64(), dirty }
    }
}

/// The time of one read alone, of a clean object and of a dirty one, in milliseconds: the middle server of three is asked.
fn latencies() -> (f64, f64) {
    let cluster = Cluster { number: 0, machines: vec![0, 1, 2], timing: calm() };
    let mut world = World::<Node>::new(3, HOP, rerun_cost);
    cluster.start(&mut world);
    cluster.add_client(&mut world, 0, Reads::Near(1));
    cluster.add_client(&mut world, 1, Reads::Tail);
    while world.next_event(Time::ZERO + Duration::from_secs(1)).is_some() {}
    let clean = read(&mut world, &cluster);
    // The middle server has the update when the question arrives, and its acknowledgement has not come.
    ask(&mut world, &cluster, 1, 0, Next::Update);
    let later = world.now() + HOP * 2;
    while world.next_event(later).is_some() {}
    (clean, read(&mut world, &cluster))
}

fn read(world: &mut World<Node>, cluster: &Cluster) -> f64 {
    let begun = world.now();
    ask(world, cluster, 0, 0, Next::Query(Reads::Near(1), Consistency::Strong));
    loop {
        let (_, event) = world.next_event(begun + Duration::from_secs(1)).expect("it is answered");
        if let Event::Answered(..) = event {
            return world.now().since(begun).as_secs_f64() * 1_000.0;
        }
    }
}

impl Experiment for DirtyReads {
    fn name(&self) -> &'static str {
        "craq-writes"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let measured = Duration::from_millis(effort.trials(4_000));
        let jobs: Vec<Mixed> = [(true, 1), (true, MANY), (false, 1)]
            .into_iter()
            .flat_map(|(craq, objects)| WRITES.map(|writes| Mixed { craq, objects, writes }))
            .collect();
        let found = in_parallel(&jobs, |job| job.measure(measured));
        tick(Progress { done: 1, of: 1 });
        let (craq, others) = found.split_at(WRITES.len());
        let (many, chain) = others.split_at(WRITES.len());
        let (clean, dirty) = latencies();
        let [last, last_many, last_chain] = [craq, many, chain].map(|found| &found[WRITES.len() - 1]);
        let open = "what a write costs the rerun's servers and how many objects it has is not known: ours charges a write \
            like a read";
        let rows = vec![
            Row::number(
                "CRAQ-3 to chain replication with 3, no writes",
                2.85,
                craq[0].reads / chain[0].reads,
            )
            .within_percent(7.0),
            Row::number("a clean read alone (the hop is fitted to it)", 0.50, clean).within(0.005).unit("ms"),
            Row::number("a dirty read alone", 0.99, dirty).within_percent(5.0).unit("ms"),
            Row::at_least(
                "CRAQ-3 to chain replication at 250 writes/s, one object",
                1.0,
                last.reads / last_chain.reads,
            ),
            Row::open("reads at 250 writes/s to none, one object", "0.61", last.reads / craq[0].reads, open),
            Row::open("the same, ten objects", "0.61", last_many.reads / many[0].reads, open),
            Row::open("dirty reads at 250 writes/s, one object", "5.6", last.dirty * 100.0, open).unit("%"),
            Row::open("the same, ten objects", "5.6", last_many.dirty * 100.0, open).unit("%"),
            Row::exact("chain replication: dirty reads at 250 writes/s", 0.0, last_chain.dirty),
        ];
        let points = |found: &[Found], of: fn(&Found) -> f64| {
            WRITES.into_iter().map(f64::from).zip(found.iter().map(of)).collect::<Vec<_>>()
        };
        let figure = |name: &str, title: &str, y: &str, series| Figure {
            name: name.to_owned(),
            title: title.to_owned(),
            x: Axis::linear("writes per second"),
            y: Axis::linear(y),
            series,
        };
        let throughput = vec![
            Series::line("CRAQ-3, ours: one object", points(craq, |found| found.reads)),
            Series::line("CRAQ-3, ours: ten objects", points(many, |found| found.reads)),
            Series::points("CRAQ-3, a rerun", vec![(0.0, 36_800.0), (250.0, 22_500.0)]),
            Series::line("chain replication, ours", points(chain, |found| found.reads)),
        ];
        let share = vec![
            Series::line("CRAQ-3, ours: one object", points(craq, |found| found.dirty * 100.0)),
            Series::line("CRAQ-3, ours: ten objects", points(many, |found| found.dirty * 100.0)),
            Series::points("CRAQ-3, a rerun", vec![(250.0, 5.6)]),
        ];
        Findings {
            title: "CRAQ: reads against the rate of writes".to_owned(),
            source: format!("{ATC}, section 6.2; the published numbers are those of an independent rerun"),
            method: method(measured),
            rows,
            figures: vec![
                figure("craq-writes", "Reads of objects that are written", "reads per second", throughput),
                figure("craq-dirty", "Reads that had to ask the tail", "share of reads (%)", share),
            ],
        }
    }
}

fn method(measured: Duration) -> String {
    format!(
        "Three servers, one object or ten, {READERS} clients that read and ask again as soon as they are answered, and {WRITERS} \
         that take turns to write, at times drawn at random (Poisson). A read keeps a server busy for {:.0} µs, which is what the rerun's chain replication \
         answers (13,100 reads a second); a question for the version, a write and a forwarded write are taken to cost the same. A \
         message takes {} µs, fitted to the rerun's 0.50 ms for a clean read. Each point is {} s of virtual time.",
        RERUN_READ.as_nanos() as f64 / 1e3,
        HOP.as_micros(),
        measured.as_secs_f64()
    )
}
