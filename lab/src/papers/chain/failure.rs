//! The paper's section 5.3: throughput over time, before and after a server fails, with many volumes on few servers.

use super::OSDI;
use super::queueing::World;
use super::workload::{Cluster, HOP, MASTER, Next, Node, ask, client_of, osdi_cost};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::sim::stream;
use quipu_base::{NodeId, Rng, Time};
use quipu_protocols::chain::{Chain, Consistency, Event, Fencing, Reads, Role, Timing};
use std::time::Duration;

/// Throughput over time around a failure.
pub struct ServerFailure;

const MACHINES: usize = 24;
const VOLUMES: usize = 240;
const CLIENTS: usize = 25;
const SERVERS: usize = 3;
/// Updates among a hundred requests.
const SHARE: u32 = 50;
const FAILS: u64 = 30;
/// From here on new servers join, one volume's every second.
const RECOVERS: u64 = 80;
const END: u64 = 160;
/// The new server's number in its volume.
const SPARE: NodeId = NodeId(500);

/// The paper's ten seconds until a failure is noticed.
fn timing() -> Timing {
    Timing {
        heartbeat: Duration::from_secs(1),
        lease: Duration::from_millis(9_500),
        margin: Duration::from_millis(500),
        again: Duration::from_secs(20),
    }
}

impl Experiment for ServerFailure {
    fn name(&self) -> &'static str {
        "chain-failure"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let runs = effort.trials(8);
        let mut mean = vec![[0.0; 2]; END as usize];
        let mut lengths = [0.0; 3];
        for run in 0..runs {
            let trial = Trial::new(run).run();
            for (mean, second) in mean.iter_mut().zip(&trial.seconds) {
                mean[0] += second[0] as f64 / runs as f64;
                mean[1] += second[1] as f64 / runs as f64;
            }
            for (sum, length) in lengths.iter_mut().zip(trial.lengths) {
                *sum += length / runs as f64;
            }
            tick(Progress { done: run + 1, of: runs });
        }
        findings(runs, &mean, lengths)
    }
}

struct Trial {
    world: World<Node>,
    random: Rng,
    volumes: Vec<Cluster>,
    /// Updates and queries answered in each second.
    seconds: Vec<[u64; 2]>,
    /// The mean length of the chains before the failure, after it was noticed, and in the end.
    lengths: [f64; 3],
}

impl Trial {
    fn new(run: u64) -> Self {
        let mut random = stream(run, "volumes", 0);
        let mut world = World::new(MACHINES, HOP, osdi_cost);
        let mut machines: Vec<usize> = (0..MACHINES).collect();
        let volumes: Vec<Cluster> = (0..VOLUMES)
            .map(|number| {
                random.shuffle(&mut machines);
                Cluster { number, machines: machines[..SERVERS].to_vec(), timing: timing() }
            })
            .collect();
        for volume in &volumes {
            volume.start(&mut world);
            (0..CLIENTS).for_each(|client| volume.add_client(&mut world, client, Reads::Tail));
        }
        Trial { world, random, volumes, seconds: vec![[0; 2]; END as usize], lengths: [0.0; 3] }
    }

    fn run(mut self) -> Self {
        self.until(Duration::from_millis(10));
        (0..CLIENTS).for_each(|client| self.ask(client));
        self.until(Duration::from_secs(FAILS));
        self.lengths[0] = self.length();
        let failed = 0;
        self.world.fail(failed);
        self.until(Duration::from_secs(RECOVERS));
        self.lengths[1] = self.length();
        let shortened: Vec<usize> =
            (0..VOLUMES).filter(|volume| self.volumes[*volume].machines.contains(&failed)).collect();
        for (second, volume) in shortened.into_iter().enumerate() {
            self.until(Duration::from_secs(RECOVERS + second as u64));
            self.recover(volume);
        }
        self.until(Duration::from_secs(END));
        self.lengths[2] = self.length();
        self
    }

    /// A new server for a volume, on a machine that has none of its servers and works.
    fn recover(&mut self, volume: usize) {
        let volume = &self.volumes[volume];
        let free: Vec<usize> = (1..MACHINES).filter(|machine| !volume.machines.contains(machine)).collect();
        let machine = free[self.random.usize(..free.len())];
        let config = volume.config(SPARE, Role::Server(Fencing::Lease));
        self.world.add((volume.number, SPARE), Some(machine), config);
    }

    fn length(&self) -> f64 {
        let lengths = self.volumes.iter().map(|volume| match self.world.node((volume.number, MASTER)) {
            Chain::Master(master) => master.configuration().chain.len(),
            _ => unreachable!("it was added as the master"),
        });
        lengths.sum::<usize>() as f64 / VOLUMES as f64
    }

    fn ask(&mut self, client: usize) {
        let volume = &self.volumes[self.random.usize(..VOLUMES)];
        let update = self.random.u32(..100) < SHARE;
        let next = if update { Next::Update } else { Next::Query(Reads::Tail, Consistency::Strong) };
        ask(&mut self.world, volume, client, 0, next);
    }

    fn until(&mut self, moment: Duration) {
        while let Some(((_, node), event)) = self.world.next_event(Time::ZERO + moment) {
            let kind = match event {
                Event::Updated(_) => 0,
                Event::Answered(..) => 1,
                Event::Refused(_) | Event::Configured(_) => continue,
            };
            let second = self.world.now().since(Time::ZERO).as_secs() as usize;
            if let Some(second) = self.seconds.get_mut(second) {
                second[kind] += 1;
            }
            self.ask(client_of(node));
        }
    }
}

fn findings(runs: u64, mean: &[[f64; 2]], lengths: [f64; 3]) -> Findings {
    let over = |from: u64, until: u64, kind: usize| {
        mean[from as usize..until as usize].iter().map(|second| second[kind]).sum::<f64>()
            / (until - from) as f64
    };
    // A failure is noticed ten to twelve seconds later; the clients' next tries take a few more.
    let (before, stopped) = (over(5, FAILS, 0), over(FAILS + 6, FAILS + 10, 0));
    let (after, recovered) = (over(FAILS + 15, RECOVERS, 0), over(END - 30, END, 0));
    let rows = vec![
        Row::at_most("updates while the failure is not noticed, to before", 0.05, stopped / before),
        Row::at_least("updates when it is noticed, to before (\"then faster\")", 1.0, after / before),
        Row::ours_only(
            "queries when it is noticed, to before",
            over(FAILS + 15, RECOVERS, 1) / over(5, FAILS, 1),
        ),
        Row::ours_only("updates when new servers have joined, to before", recovered / before),
        Row::exact("length of a chain, before", SERVERS as f64, lengths[0]).unit("servers"),
        Row::ours_only("length of a chain, failure noticed", lengths[1]).unit("servers"),
        Row::exact("length of a chain, new servers joined", SERVERS as f64, lengths[2]).unit("servers"),
    ];
    let series = |name, kind: usize| {
        // Means over three seconds, so that the eye sees the steps.
        let points = mean.windows(3).enumerate().map(|(second, window)| {
            (second as f64 + 1.5, window.iter().map(|second| second[kind]).sum::<f64>() / 3.0)
        });
        Series::line(name, points.collect())
    };
    Findings {
        title: "Chain replication: throughput around a failure".to_owned(),
        source: format!("{OSDI}, section 5.3"),
        method: format!(
            "{MACHINES} servers hold {VOLUMES} volumes (the paper has thousands), each a chain of {SERVERS} on servers drawn at \
             random with a master of its own; {CLIENTS} clients ask for volumes drawn at random, {SHARE} % updates; costs as in \
             Figure 4. One server fails after {FAILS} s. Its leases, and so the time until it is noticed, are 10 s, the paper's \
             assumption. From {RECOVERS} s on, a new server joins one shortened chain every second; a volume is one object, so \
             copying takes no time here, while the paper's takes minutes. The masters tell the clients of every change. Mean of {runs} runs. \
             The paper prints curves and no numbers."
        ),
        rows,
        figures: vec![Figure {
            name: "chain-failure".to_owned(),
            title: "One of 24 servers fails after 30 s, is noticed at 40 s, and replaced from 80 s on"
                .to_owned(),
            x: Axis::linear("time (s)"),
            y: Axis::linear("requests per second"),
            series: vec![series("updates", 0), series("queries", 1)],
        }],
    }
}
