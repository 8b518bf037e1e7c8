//! How long after a write a get may still miss it: t-visibility.

use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::sim::{
    ClockConfig, Delay, DiskConfig, Emission, Handler, Link, MICROSECOND, MILLISECOND, Nanoseconds,
    NodeConfig, SimConfig, Simulation,
};
use quipu_base::{NodeId, RequestId, Rng};
use quipu_protocols::quorum::{Config, Event, Key, Placement, Quorum, Request};
use std::time::Duration;

const HOMES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const WRITER: NodeId = NodeId(4);
const READER: NodeId = NodeId(5);
/// From one trial to the next: everything has arrived by then.
const TRIAL: Nanoseconds = 500 * MILLISECOND;

/// The mean of W in microseconds, and when to read after the write, in microseconds.
struct Setting {
    w_us: u64,
    reads_us: [u64; 8],
}

const SETTINGS: [Setting; 3] = [
    Setting { w_us: 250, reads_us: [0, 100, 200, 350, 500, 700, 1_000, 1_500] },
    Setting { w_us: 1_000, reads_us: [0, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000] },
    Setting { w_us: 10_000, reads_us: [0, 5_000, 10_000, 20_000, 30_000, 45_000, 65_000, 80_000] },
];

const METHOD: &str = "\
N=3, R=W=1. The paper's four delays, all exponential and independent: W, in which a write reaches a replica; A, its acknowledgement; \
R, a get's question; S, the answer. A, R and S have a mean of 1 ms, W of 0.25, 1 or 10 ms. A get begins t after the write was acknowledged.

Ours: the protocol of `quipu_protocols::quorum` in the simulator, with links whose delays are those, drawn anew for each write and the gets after it (not by the simulator's own generator, whose exponential is a coarse one). In the paper's model a \
coordinator is no replica, and sends a write to all three at once. In our protocol such a coordinator first asks a home to make a version, which \
is one more round trip for a put. A delete needs no version: it is coordinated exactly as the model says, by a node that is no home, so the writes here are \
deletes, each of a key that all three hold; another node coordinates the gets. Disks and processes take no time, read repair and \
anti-entropy are off; 12,000 writes a setting, each read at eight times.";

/// The experiment.
pub(super) struct Visibility;

impl Experiment for Visibility {
    fn name(&self) -> &'static str {
        "quorum-visibility"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut curves = Vec::new();
        for (done, setting) in SETTINGS.iter().enumerate() {
            tick(Progress { done: done as u64, of: SETTINGS.len() as u64 });
            curves.push(curve(setting, effort.trials(12_000)));
        }
        tick(Progress { done: SETTINGS.len() as u64, of: SETTINGS.len() as u64 });
        let wide = if effort == Effort::FULL { 1.0 } else { 5.0 };
        let row = |what: &str, published, setting: usize, read: usize, allowed: f64| {
            Row::number(what, published, curves[setting][read].1).within(allowed * wide)
        };
        let rows = vec![
            row("W of 0.25 ms: consistent at once", 0.94, 0, 0, 0.01),
            row("W of 0.25 ms: after 1 ms", 0.999, 0, 6, 0.002),
            row("W of 10 ms: consistent at once", 0.41, 2, 0, 0.02),
            row("W of 10 ms: after 65 ms", 0.999, 2, 6, 0.002),
            Row::ours_only("W of 1 ms: consistent at once", curves[1][0].1),
        ];
        let series = SETTINGS.iter().zip(&curves).map(|(setting, curve)| {
            let shown = curve.iter().filter(|(t, _)| *t > 0.0).copied().collect();
            Series::line(format!("W of {} ms", setting.w_us as f64 / 1_000.0), shown)
        });
        let published = Series::points("published", vec![(1.0, 0.999), (65.0, 0.999)]);
        let series = series.chain([published]).collect();
        Findings {
            title: "Staleness of partial quorums, in time".to_owned(),
            source: "Bailis et al.: Probabilistically Bounded Staleness for Practical Partial Quorums (PVLDB 2012), section 5.3, figure 4".to_owned(),
            method: METHOD.to_owned(),
            rows,
            figures: vec![Figure {
                name: "quorum-visibility".to_owned(),
                title: "Gets that see a write of t ago".to_owned(),
                x: Axis::log("t after the write's acknowledgement, ms"),
                y: Axis::linear("share of gets"),
                series,
            }],
        }
    }
}

/// The share of gets that see the write, for each time after it in milliseconds.
fn curve(setting: &Setting, trials: u64) -> Vec<(f64, f64)> {
    let mut simulation = Simulation::new(setting.w_us, config());
    let members: Vec<NodeId> = HOMES.into_iter().chain([WRITER, READER]).collect();
    for id in &members {
        let list = members.clone();
        let minute = Duration::from_secs(60);
        let config = Config {
            placement: Placement::new(move |_| list.clone()),
            read_repair: false,
            anti_entropy: None,
            patience: minute,
            deadline: Duration::from_millis(400),
            ..Config::new(*id, members.clone())
        };
        simulation.add_node(*id, config);
    }
    let mut trial = Trial {
        setting,
        random: Rng::with_seed(setting.w_us),
        left: trials,
        number: 0,
        seen: [0; 8],
        gets: 0,
    };
    simulation.alarm(0, 0);
    simulation.run_until((trials + 1) * TRIAL, &mut trial);
    assert_eq!(trial.gets, trials * 8, "every get is answered");
    let share = |seen: u64| seen as f64 / trials as f64;
    setting.reads_us.iter().zip(trial.seen).map(|(at, seen)| (*at as f64 / 1_000.0, share(seen))).collect()
}

/// No time but on the links.
fn config() -> SimConfig<Quorum<u64>> {
    let nothing = Delay::exactly(0);
    SimConfig {
        link: Link::perfect(nothing),
        disk: DiskConfig { sync: nothing, fetch: nothing },
        clock: ClockConfig { drift_ppm: 0, skew_ms: 0 },
        node: NodeConfig { batch: nothing, ..NodeConfig::default() },
        ..SimConfig::default()
    }
}

/// One key after another: written everywhere, deleted, read. A request's number tells what it is.
struct Trial<'a> {
    setting: &'a Setting,
    random: Rng,
    left: u64,
    number: u64,
    seen: [u64; 8],
    gets: u64,
}

const PUT: u64 = 8;
const DELETE: u64 = 9;

impl Trial<'_> {
    fn key(&self) -> Key {
        Key::from(self.number.to_be_bytes().to_vec())
    }

    /// Draws how long each link of this trial takes.
    fn draw_links(&mut self, simulation: &mut Simulation<Quorum<u64>>) {
        for home in HOMES {
            let [w, a, r, s] =
                [self.setting.w_us, 1_000, 1_000, 1_000].map(|mean_us| self.exponential(mean_us));
            let links = [(WRITER, home, w), (home, WRITER, a), (READER, home, r), (home, READER, s)];
            for (from, to, delay) in links {
                simulation.network().set_link(from, to, Some(Link::perfect(Delay::exactly(delay))));
            }
        }
    }

    fn exponential(&mut self, mean_us: u64) -> Nanoseconds {
        let uniform = 1.0 - self.random.f64();
        (-uniform.ln() * (mean_us * MICROSECOND) as f64) as Nanoseconds
    }

    fn id(&self, what: u64) -> RequestId {
        RequestId(self.number << 4 | what)
    }
}

impl Handler<Quorum<u64>> for Trial<'_> {
    fn alarm(&mut self, simulation: &mut Simulation<Quorum<u64>>, _: u64) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.number += 1;
        self.draw_links(simulation);
        let (key, context) = (self.key(), Default::default());
        simulation.request(HOMES[0], self.id(PUT), Request::Put { key, context, value: 1, write: 3 });
        simulation.alarm(TRIAL, 0);
    }

    fn emitted(&mut self, simulation: &mut Simulation<Quorum<u64>>, emission: Emission<Quorum<u64>>) {
        match emission.event {
            Event::Written { id, versions } if id == self.id(PUT) => {
                let (key, context) = (self.key(), versions.context());
                simulation.request(WRITER, self.id(DELETE), Request::Delete { key, context, write: 1 });
            }
            Event::Written { .. } => {
                for (read, at) in (0..).zip(self.setting.reads_us) {
                    let get = Request::Get { key: self.key(), read: 1 };
                    simulation.request_after(at * MICROSECOND, READER, self.id(read), get);
                }
            }
            Event::Got { id, versions } => {
                self.gets += 1;
                self.seen[(id.0 & 7) as usize] += u64::from(versions.values().next().is_none());
            }
            event => panic!("{event:?}: nothing is lost"),
        }
    }
}
