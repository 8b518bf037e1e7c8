//! What membership costs, and how fast news spreads: the SWIM paper, sections 3.3, 4.1 and 5.

use super::world::World;
use super::{LATENCY, PERIOD, each, local, roster};
use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{NodeId, Rng, Time};
use quipu_protocols::swim::{Config, Event, Lifeguard, Request, State, Swim};
use std::time::Duration;

/// Messages of a member in a period.
pub(super) struct Load;

impl Experiment for Load {
    fn name(&self) -> &'static str {
        "swim-load"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let k = Config::local_network(NodeId(1), roster(1)).relays as f64;
        let periods = effort.trials(100).max(20);
        let mut rows = Vec::new();
        tick(Progress { done: 0, of: 3 });
        let quiet = each(&[10, 100, 1_000, 10_000], |members| {
            (*members as f64, load(*members, periods.min(100_000 / members), LATENCY, 0.0))
        });
        for (members, load) in &quiet {
            rows.push(Row::number(format!("n = {members}"), 2.0, *load).within(0.02).unit("messages"));
        }
        tick(Progress { done: 1, of: 3 });
        let lossy = each(&[10, 100, 1_000], |members| {
            (*members as f64, load(*members, periods.min(20_000 / members), LATENCY, 0.3))
        });
        for (members, load) in &lossy {
            let what = format!("n = {members}, three in ten messages lost");
            rows.push(Row::at_most(what, 4.0 * k + 2.0, *load).unit("messages"));
        }
        tick(Progress { done: 2, of: 3 });
        // A ping and its ack take longer than a ping may take, but not longer than a period: every probe takes every way.
        let late = load(100, periods, Duration::from_millis(150), 0.0);
        rows.push(
            Row::number("n = 100, every answer late", 4.0 * k + 2.0, late).within(0.1).unit("messages"),
        );
        Findings {
            title: "SWIM: messages of a member in a period".to_owned(),
            source: "Das, Gupta, Motivala: SWIM (DSN 2002), sections 3.1 and 5".to_owned(),
            method: "All messages sent, over members and periods. A quiet period is one ping and one ack a member. With k = 3 \
                     others to ask, a probe whose every answer is late takes 4k + 2: ping, ack, and for each of the \
                     others request, ping, ack, and the ack passed on. Lifeguard is off; its nacks would make that up to 5k + 2. The load is the \
                     same however many members there are."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "swim-load".to_owned(),
                title: "SWIM: messages of a member in a period".to_owned(),
                x: Axis::log("members"),
                y: Axis::linear("messages"),
                series: vec![
                    Series::line("nothing lost", quiet),
                    Series::line("three in ten lost", lossy),
                    Series::line("4k + 2", vec![(10.0, 4.0 * k + 2.0), (10_000.0, 4.0 * k + 2.0)]),
                ],
            }],
        }
    }
}

fn load(members: u64, periods: u64, latency: Duration, loss: f64) -> f64 {
    let mut world = World::<Swim>::new(members, latency, loss);
    let roster = roster(members);
    for id in roster.iter() {
        // Where messages get lost, members are suspected: nobody may be declared dead, or there would be less to do.
        let config = Config {
            ping_timeout: Duration::from_millis(200),
            suspicion: 1_000,
            lifeguard: Lifeguard::OFF,
            ..local(*id, &roster)
        };
        world.add(config);
    }
    world.run(Time::ZERO + PERIOD * 3, |_, _, _| false);
    let before = world.sent();
    world.run(Time::ZERO + PERIOD * (3 + periods as u32), |_, _, _| false);
    (world.sent() - before) as f64 / (members * periods) as f64
}

/// Periods until everybody has heard something.
pub(super) struct Dissemination;

impl Experiment for Dissemination {
    fn name(&self) -> &'static str {
        "swim-dissemination"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let sizes: [(u64, u64); 6] =
            [(10, 1_000), (30, 600), (100, 300), (300, 120), (1_000, 40), (3_000, 16)];
        let (mut rows, mut last, mut half, mut bound) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut missed, mut heard) = (0, 0);
        for (done, (members, trials)) in sizes.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: 6 });
            let seeds: Vec<u64> = (0..effort.trials(trials)).collect();
            let spreads = each(&seeds, |seed| spread(members, *seed));
            let mean = |get: fn(&Spread) -> f64| spreads.iter().map(get).sum::<f64>() / spreads.len() as f64;
            let most = 3.0 * (members as f64).ln();
            rows.push(
                Row::at_most(format!("n = {members}, the last hears"), most, mean(|spread| spread.last))
                    .unit("periods"),
            );
            last.push((members as f64, mean(|spread| spread.last)));
            half.push((members as f64, mean(|spread| spread.half)));
            bound.push((members as f64, most));
            missed += spreads.iter().map(|spread| spread.missed).sum::<u64>();
            heard += seeds.len() as u64 * (members - 1);
        }
        let growth = (last[4].1 - last[2].1) / (1_000_f64.log2() - 100_f64.log2());
        rows.push(Row::ours_only("periods more for twice as many members, from 100 to 1,000", growth));
        rows.push(Row::at_most("share of members that never hear", 1e-4, missed as f64 / heard as f64));
        Findings {
            title: "SWIM: how fast news spreads".to_owned(),
            source: "Das, Gupta, Motivala: SWIM (DSN 2002), section 4.1".to_owned(),
            method: "One member leaves and tells three others; counted are periods until the last of the others has heard, on \
                     average. News rides on pings and acks only. The paper passes each piece on λ log n times and expects that after \
                     λ log n periods all but n^−(2λ−2) have heard; λ = 3 and the natural logarithm here, and 10⁻⁴ for ten members. \
                     The time must grow with log n."
                .to_owned(),
            rows,
            figures: vec![Figure {
                name: "swim-dissemination".to_owned(),
                title: "SWIM: periods until news is heard".to_owned(),
                x: Axis::log("members"),
                y: Axis::linear("periods"),
                series: vec![
                    Series::line("by the last", last),
                    Series::line("by half of them", half),
                    Series::line("3 ln n", bound),
                ],
            }],
        }
    }
}

struct Spread {
    half: f64,
    last: f64,
    missed: u64,
}

fn spread(members: u64, seed: u64) -> Spread {
    let mut world = World::<Swim>::new(seed, LATENCY, 0.0);
    let roster = roster(members);
    for id in roster.iter() {
        let config = Config { lifeguard: Lifeguard::OFF, reconnect: 0, ..local(*id, &roster) };
        world.add(config);
    }
    let leaver = NodeId(Rng::with_seed(seed).u64(1..=members));
    let begin = Time::ZERO + PERIOD * 2;
    world.run(begin, |_, _, _| false);
    world.request(leaver, Request::Leave);
    let mut times = Vec::new();
    // Longer than any news is passed on.
    world.run(begin + PERIOD * 40, |at, _, event| {
        if matches!(event, Event::Changed { member, state: State::Left, .. } if *member == leaver) {
            times.push(at.since(begin).as_secs_f64() / PERIOD.as_secs_f64());
        }
        times.len() as u64 == members - 1
    });
    let last = *times.last().expect("somebody hears");
    Spread { half: times[times.len() / 2], last, missed: members - 1 - times.len() as u64 }
}
