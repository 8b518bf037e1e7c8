//! The paper's section 5.3: throughput over time, before and after a server fails, with many volumes on few servers.

use super::queueing::World;
use super::workload::{Cluster, HOP, MASTER, Next, Node, ask, client_of, osdi_cost};
use super::{OSDI, in_parallel};
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
/// Updates among a hundred requests; the figure shows the first.
const SHARES: [u32; 2] = [50, 100];
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
        let runs = effort.trials(12);
        let jobs: Vec<(u32, u64)> =
            SHARES.into_iter().flat_map(|share| (0..runs).map(move |run| (share, run))).collect();
        let trials = in_parallel(&jobs, |(share, run)| Trial::new(*share, *run).run());
        tick(Progress { done: 1, of: 1 });
        let means: Vec<Mean> = trials.chunks(runs as usize).map(Mean::of).collect();
        findings(runs, &means)
    }
}

/// The mean of some trials.
struct Mean {
    seconds: Vec<[f64; 2]>,
    lengths: [f64; 3],
}

impl Mean {
    fn of(trials: &[Found]) -> Self {
        let count = trials.len() as f64;
        let second = |second: usize| {
            [0, 1].map(|kind| {
                trials.iter().map(|trial| trial.seconds[second][kind] as f64).sum::<f64>() / count
            })
        };
        Mean {
            seconds: (0..END as usize).map(second).collect(),
            lengths: [0, 1, 2]
                .map(|when| trials.iter().map(|trial| trial.lengths[when]).sum::<f64>() / count),
        }
    }

    /// Answers per second between two moments.
    fn rate(&self, from: u64, until: u64, kind: usize) -> f64 {
        let seconds = &self.seconds[from as usize..until as usize];
        seconds.iter().map(|second| second[kind]).sum::<f64>() / seconds.len() as f64
    }

    /// To the rate before the failure, to a hundredth.
    fn to_before(&self, from: u64, until: u64, kind: usize) -> f64 {
        (self.rate(from, until, kind) / self.rate(5, FAILS, kind) * 100.0).round() / 100.0
    }
}

struct Trial {
    world: World<Node>,
    random: Rng,
    share: u32,
    volumes: Vec<Cluster>,
    found: Found,
}

/// What a trial found.
struct Found {
    /// Updates and queries answered in each second.
    seconds: Vec<[u64; 2]>,
    /// The mean length of the chains before the failure, after it was noticed, and in the end.
    lengths: [f64; 3],
}

impl Trial {
    fn new(share: u32, run: u64) -> Self {
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
        Trial {
            world,
            random,
            share,
            volumes,
            found: Found { seconds: vec![[0; 2]; END as usize], lengths: [0.0; 3] },
        }
    }

    fn run(mut self) -> Found {
        self.until(Duration::from_millis(10));
        (0..CLIENTS).for_each(|client| self.ask(client));
        self.until(Duration::from_secs(FAILS));
        self.found.lengths[0] = self.length();
        let failed = 0;
        self.world.fail(failed);
        self.until(Duration::from_secs(RECOVERS));
        self.found.lengths[1] = self.length();
        let shortened: Vec<usize> =
            (0..VOLUMES).filter(|volume| self.volumes[*volume].machines.contains(&failed)).collect();
        for (second, volume) in shortened.into_iter().enumerate() {
            self.until(Duration::from_secs(RECOVERS + second as u64));
            self.recover(volume);
        }
        self.until(Duration::from_secs(END));
        self.found.lengths[2] = self.length();
        self.found
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
        let update = self.random.u32(..100) < self.share;
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
            if let Some(second) = self.found.seconds.get_mut(second) {
                second[kind] += 1;
            }
            self.ask(client_of(node));
        }
    }
}

fn findings(runs: u64, means: &[Mean]) -> Findings {
    let mut rows = Vec::new();
    for (share, mean) in SHARES.into_iter().zip(means) {
        // A failure is noticed ten to twelve seconds later, and soon all clients wait for it.
        let [stopped, after, recovered] = [(FAILS + 6, FAILS + 10), (FAILS + 15, RECOVERS), (END - 30, END)]
            .map(|(from, until)| mean.to_before(from, until, 0));
        let what = |when: &str| format!("{share} % updates: updates {when}, to before");
        rows.push(Row::at_most(what("while the failure is not noticed (\"stop\")"), 0.05, stopped));
        rows.push(Row::at_least(what("when it is noticed (\"faster\")"), 1.0, after));
        rows.push(Row::ours_only(what("when new servers have joined"), recovered));
    }
    let Mean { seconds: mean, lengths } = &means[0];
    rows.extend([
        Row::exact("length of a chain, before", SERVERS as f64, lengths[0]).unit("servers"),
        Row::ours_only("length of a chain, failure noticed", lengths[1]).unit("servers"),
        Row::exact("length of a chain, new servers joined", SERVERS as f64, lengths[2]).unit("servers"),
    ]);
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
             random with a master of its own; {CLIENTS} clients ask for volumes drawn at random, and half of what they ask is \
             updates, or all; costs as in Figure 4. One server fails after {FAILS} s. Its leases, and so the time until it is \
             noticed, are 10 s, the paper's assumption. From {RECOVERS} s on, a new server joins one shortened chain every \
             second; a volume is one object, so copying takes no time here, while the paper's takes minutes. The masters tell \
             the clients of every change. Mean of {runs} runs, and ratios to a hundredth: by so much runs differ. The paper \
             prints curves and no numbers."
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
