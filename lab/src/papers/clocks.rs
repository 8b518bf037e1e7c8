//! Hybrid logical clocks ([`quipu_base::clocks`]) in the simulator, on wall clocks that are wrong.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use crate::sim::{ClockConfig, Delay, Emission, Link, MILLISECOND, SECOND, SimConfig, Simulation};
use quipu_base::clocks::{HybridClock, HybridTime};
use quipu_base::{Durable, Env, Input, NodeId, Protocol};
use std::convert::Infallible;
use std::time::Duration;

/// The experiments.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(Drift)]
}

const NODES: u64 = 8;
/// Messages leave a node so often, on average.
const INTERVAL: Duration = Duration::from_millis(5);

/// Says the time to somebody now and then.
struct Chatter {
    clock: HybridClock,
    id: NodeId,
}

/// A timestamp that was given, or a message that was refused.
#[derive(Debug)]
enum Told {
    Stamped { ahead_ms: i64, counter: u16, ordered: bool },
    Refused,
}

impl Protocol for Chatter {
    type Config = (NodeId, Duration);
    type Message = HybridTime;
    type Timer = ();
    type Request = Infallible;
    type Event = Told;
    type Record = Infallible;

    fn start((id, tolerance): Self::Config, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        env.set_timer((), env.now());
        Chatter { clock: HybridClock::new(tolerance), id }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let (last, wall) = (self.clock.last(), env.wall());
        let (time, after) = match input {
            Input::Message { message, .. } => match self.clock.receive(wall, message) {
                Ok(time) => (time, last.max(message)),
                Err(_) => return env.emit(Told::Refused),
            },
            Input::Timer(()) => {
                let time = self.clock.now(wall);
                let to = 1 + env.random().u64(..NODES);
                if NodeId(to) != self.id {
                    env.send(NodeId(to), time);
                }
                let wait = INTERVAL.mul_f64(2.0 * env.random().f64());
                env.set_timer((), env.now() + wait);
                (time, last)
            }
            _ => return,
        };
        let ahead_ms = time.milliseconds() as i64 - wall.0;
        env.emit(Told::Stamped { ahead_ms, counter: time.counter(), ordered: time > after });
    }
}

/// What a run has shown.
#[derive(Default)]
struct Seen {
    stamps: u64,
    ahead_ms: i64,
    behind: u64,
    counter: u16,
    unordered: u64,
    refused: u64,
}

/// Runs for so many seconds, with wall clocks that jump about within `skew_ms` of the truth; and one, if so wanted, that
/// goes ten minutes ahead.
fn run(seed: u64, skew_ms: i64, tolerance: Duration, seconds: u64, rogue: bool) -> Seen {
    let config = SimConfig {
        clock: ClockConfig { skew_ms: 0, ..ClockConfig::default() },
        link: Link { delay: Delay::around(MILLISECOND, 2 * MILLISECOND), ..Link::default() },
        ..SimConfig::default()
    };
    let mut simulation = Simulation::<Chatter>::new(seed, config);
    (1..=NODES).for_each(|id| simulation.add_node(NodeId(id), (NodeId(id), tolerance)));
    let mut seen = Seen::default();
    const ROGUE: NodeId = NodeId(NODES);
    for tenth in 1..=seconds * 10 {
        for id in (1..=NODES).map(NodeId) {
            let skew =
                simulation.random().i64(-skew_ms..=skew_ms) + if rogue && id == ROGUE { 600_000 } else { 0 };
            let now = simulation.clock(id).map_or(0, |clock| clock.skew_ms());
            simulation.jump_wall(id, skew - now);
        }
        let mut listen = |_: &mut Simulation<Chatter>, emission: Emission<Chatter>| match emission.event {
            Told::Refused => seen.refused += 1,
            Told::Stamped { .. } if rogue && emission.node == ROGUE => {}
            Told::Stamped { ahead_ms, counter, ordered } => {
                seen.stamps += 1;
                seen.ahead_ms = seen.ahead_ms.max(ahead_ms);
                seen.behind += u64::from(ahead_ms < 0);
                seen.counter = seen.counter.max(counter);
                seen.unordered += u64::from(!ordered);
            }
        };
        simulation.run_until(tenth * SECOND / 10, &mut listen);
    }
    seen
}

/// How far hybrid clocks get ahead of wall clocks.
pub struct Drift;

impl Experiment for Drift {
    fn name(&self) -> &'static str {
        "clocks-drift"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        /// Half of the paper's epsilon each, in milliseconds.
        const SKEWS: [i64; 6] = [1, 5, 25, 50, 250, 500];
        let seconds = effort.trials(40);
        let (mut rows, mut ours, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        for (done, skew_ms) in SKEWS.into_iter().enumerate() {
            let epsilon = 2 * skew_ms;
            let seen = run(1, skew_ms, Duration::from_millis(epsilon as u64), seconds, false);
            let name = |what: &str| format!("ε = {epsilon} ms: {what}");
            rows.push(Row::at_most(name("greatest l − pt"), epsilon as f64, seen.ahead_ms as f64).unit("ms"));
            let counters = NODES as f64 * (epsilon as f64 + 1.0);
            rows.push(Row::at_most(name("greatest c, against N(ε + 1)"), counters, f64::from(seen.counter)));
            let wrong = seen.behind + seen.unordered + seen.refused;
            rows.push(Row::exact(name("timestamps behind pt, out of order, or refused"), 0.0, wrong as f64));
            rows.push(Row::ours_only(name("timestamps given"), seen.stamps as f64));
            ours.push((epsilon as f64, seen.ahead_ms as f64));
            bound.push((epsilon as f64, epsilon as f64));
            tick(Progress { done: done as u64 + 1, of: SKEWS.len() as u64 + 1 });
        }
        let rogue = run(2, 50, Duration::from_millis(100), seconds, true);
        let name = |what: &str| format!("one clock ten minutes ahead, 100 ms tolerated: {what}");
        rows.push(
            Row::at_most(name("greatest l − pt of the others"), 100.0, rogue.ahead_ms as f64).unit("ms"),
        );
        rows.push(Row::at_least(name("messages refused"), 1.0, rogue.refused as f64));
        tick(Progress { done: SKEWS.len() as u64 + 1, of: SKEWS.len() as u64 + 1 });
        Findings {
            title: "Hybrid logical clocks: how far ahead of the wall clock".to_owned(),
            source: "Kulkarni et al.: Logical Physical Clocks (OPODIS 2014), Theorem 1, Corollaries 1 and 2, section 6".to_owned(),
            method: format!(
                "{NODES} nodes in the simulator, each with a message to any of them every {INTERVAL:?} on average, which takes 1 ms \
                 and some more, and may be lost, repeated and overtaken. Ten times a second every wall clock jumps to anywhere \
                 within ε/2 of the truth, back as well as forth: harsher than the paper's, which only run apart. Clocks count \
                 milliseconds, and more than one event may fall into one, so Corollary 2's assumption does not quite hold; its bound does."
            ),
            rows,
            figures: vec![Figure {
                name: "clocks-drift".to_owned(),
                title: "Greatest l − pt against the distance between wall clocks".to_owned(),
                x: Axis::log("ε, ms"),
                y: Axis::log("ms ahead"),
                series: vec![Series::points("ours", ours), Series::line("bound", bound)],
            }],
        }
    }
}
