//! How long it takes until somebody notices that a member has stopped: the SWIM paper, section 3.3, and 4.3 for the bound.

use super::world::{Detector, World};
use super::{LATENCY, PERIOD, each, local, roster};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{NodeId, Rng, Time};
use quipu_protocols::swim::{Config, Event, Lifeguard, Selection, Swim};
use std::sync::Arc;
use std::time::Duration;

/// The expectation of the paper, for ever more members.
const EXPECTED: f64 = std::f64::consts::E / (std::f64::consts::E - 1.0);
const PING_TIMEOUT: Duration = Duration::from_millis(200);

/// The first detection of a crash.
pub(super) struct Detection;

/// How many members, and how many crashes of them.
const SIZES: [(u64, u64); 4] = [(10, 10_000), (100, 2_000), (1_000, 400), (10_000, 100)];

impl Experiment for Detection {
    fn name(&self) -> &'static str {
        "swim-detection"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let (mut rows, mut points, mut finite) = (Vec::new(), Vec::new(), Vec::new());
        for (done, (members, trials)) in SIZES.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: SIZES.len() as u64 + 2 });
            let mean = first_detection::<Swim>(members, effort.trials(trials), true, |id, roster| {
                basic(id, roster, Selection::Uniform)
            });
            rows.push(Row::number(format!("n = {members}"), EXPECTED, mean).within(0.2).unit("periods"));
            points.push((members as f64, mean));
            finite.push((members as f64, expectation(members)));
        }
        tick(Progress { done: 4, of: 6 });
        for (what, selection, aligned) in [
            ("n = 100, periods begin at different times", Selection::Uniform, false),
            ("n = 100, in turns", Selection::RoundRobin, true),
        ] {
            let make = |id, roster: &Arc<Vec<NodeId>>| basic(id, roster, selection);
            let mean = first_detection::<Swim>(100, effort.trials(1_000), aligned, make);
            rows.push(Row::ours_only(what, mean).unit("periods"));
        }
        tick(Progress { done: 5, of: 6 });
        rows.extend(waits(effort));
        Findings {
            title: "SWIM: how soon a crash is detected".to_owned(),
            source: "Das, Gupta, Motivala: SWIM (DSN 2002), sections 3.3 and 4.3".to_owned(),
            method: "A member stops just before a period begins; counted are periods until the first member declares it \
                     dead, at the end of the period in which it pinged it in vain. No messages are lost, nobody is suspected \
                     first (the paper's first protocol), members to ping are drawn uniformly and everybody's periods begin \
                     together, as the paper reckons. For n members that is 1 / (1 − (1 − 1/(n−1))^(n−1)), 1.53 for \
                     ten, and e/(e−1) = 1.582 in the limit, which is what is printed; ours may differ by 0.2, two \
                     standard errors at ten thousand, of whom 100 stop one after another. Where periods begin at different times, the last one is waited for as a whole, and the \
                     expectation is 2. In turns (section 4.3), one member waits at most 2n−1 periods between two \
                     pings of another, where n are the others; that is read off the pings."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "swim-detection".to_owned(),
                title: "SWIM: periods until a crash is first detected".to_owned(),
                x: Axis::log("members"),
                y: Axis::linear("periods"),
                series: vec![
                    Series::points("measured", points),
                    Series::line("expected for n members", finite),
                    Series::line("e/(e−1)", SIZES.map(|(n, _)| (n as f64, EXPECTED)).to_vec()),
                ],
            }],
        }
    }
}

/// The paper's first protocol.
fn basic(id: NodeId, roster: &Arc<Vec<NodeId>>, selection: Selection) -> Config {
    Config {
        ping_timeout: PING_TIMEOUT,
        selection,
        suspicion: 0,
        reconnect: 0,
        lifeguard: Lifeguard::OFF,
        ..local(id, roster)
    }
}

fn expectation(members: u64) -> f64 {
    let others = members as f64 - 1.0;
    1.0 / (1.0 - (1.0 - 1.0 / others).powf(others))
}

/// The mean time from a crash until it is first detected, in periods, over so many crashes.
pub fn first_detection<P: Detector>(
    members: u64,
    crashes: u64,
    aligned: bool,
    config: impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config + Sync,
) -> f64 {
    // One in ten crashes at most, so that n stays about n.
    let most = (members / 10).clamp(1, 100).min(crashes);
    let jobs: Vec<(u64, u64)> =
        (0..crashes.div_ceil(most)).map(|job| (job, most.min(crashes - job * most))).collect();
    let sums = each(&jobs, |(seed, crashes)| detections::<P>(members, *crashes, *seed, aligned, &config));
    sums.iter().sum::<f64>() / crashes as f64
}

/// The sum of the times until so many crashes, one after the other, are first detected.
fn detections<P: Detector>(
    members: u64,
    crashes: u64,
    seed: u64,
    aligned: bool,
    config: &impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config,
) -> f64 {
    let mut world = World::<P>::new(seed, LATENCY, 0.0);
    let roster = roster(members);
    roster.iter().for_each(|id| world.add(config(*id, &roster)));
    let period = PERIOD.as_nanos() as u64;
    if aligned {
        world.align(Time(period));
    }
    let mut victims: Vec<NodeId> = roster.to_vec();
    let mut random = Rng::with_seed(seed);
    random.shuffle(&mut victims);
    let mut sum = 0.0;
    for victim in victims.into_iter().take(crashes as usize) {
        // A moment before the period after the next.
        let pause = if aligned { 0 } else { random.u64(0..period) };
        let crash = Time((world.now().0 / period + 1) * period - 1 + pause);
        world.run(crash, |_, _, _| false);
        world.crash(victim);
        let mut detected = crash;
        let found = world.run(crash + PERIOD * 10_000, |at, _, event| {
            detected = at;
            P::buried(event) == Some(victim)
        });
        assert!(found, "{victim} is never found dead");
        sum += detected.since(crash).as_secs_f64() / PERIOD.as_secs_f64();
    }
    sum
}

/// How long one member waits between two of its pings of another one.
fn waits(effort: Effort) -> Vec<Row> {
    const OTHERS: u64 = 50;
    let mut rows = Vec::new();
    for selection in [Selection::RoundRobin, Selection::Uniform] {
        let mut world = World::<Swim>::new(3, LATENCY, 0.0);
        let roster = roster(OTHERS + 1);
        roster.iter().for_each(|id| world.add(basic(*id, &roster, selection)));
        world.align(Time::ZERO + PERIOD);
        let mut last = vec![vec![None; OTHERS as usize + 2]; OTHERS as usize + 2];
        let (mut longest, mut sum, mut count) = (0, 0, 0);
        // A ping that is answered is told of in its period.
        world.run(Time::ZERO + PERIOD * effort.trials(2_000) as u32, |at, node, event| {
            if let Event::Answered { member } = event {
                let period = at.0 / PERIOD.as_nanos() as u64;
                if let Some(before) = last[node.0 as usize][member.0 as usize].replace(period) {
                    longest = longest.max(period - before);
                    sum += period - before;
                    count += 1;
                }
            }
            false
        });
        let mean = sum as f64 / count as f64;
        match selection {
            Selection::RoundRobin => {
                let bound = (2 * OTHERS - 1) as f64;
                rows.push(
                    Row::at_most("50 others in turns, longest wait", bound, longest as f64).unit("periods"),
                );
                rows.push(
                    Row::number("50 others in turns, mean wait", 50.0, mean).within(1.0).unit("periods"),
                );
            }
            Selection::Uniform => {
                rows.push(
                    Row::ours_only("50 others by chance, longest wait", longest as f64).unit("periods"),
                );
            }
        }
    }
    rows
}
