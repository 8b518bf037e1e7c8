//! Paxos: what a decision costs, and how long a duel lasts.

use super::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::{InMemory, LATENCY, NodeId, Protocol};
use quipu_protocols::paxos::caspaxos::{self, CasPaxos, Change};
use quipu_protocols::paxos::multi::{self, MultiPaxos};
use quipu_protocols::paxos::synod::{self, Synod};
use quipu_protocols::paxos::{Patience, caspaxos::Planted};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What is measured here.
pub fn all() -> Vec<Box<dyn Experiment>> {
    vec![Box::new(Costs), Box::new(Duel)]
}

/// What a decision costs in messages and time.
pub struct Costs;

/// Two proposers that get in each other's way.
pub struct Duel;

const LEADER: NodeId = NodeId(1);
/// Much longer than anything here takes.
const PATIENCE: Patience = Patience { least: Duration::from_secs(10), most: Duration::from_secs(20) };
/// How many commands an average is taken over.
const COMMANDS: u64 = 100;

fn members(nodes: u64) -> Vec<NodeId> {
    (1..=nodes).map(NodeId).collect()
}

/// What was sent while something was done, and how long it took.
struct Cost {
    messages: f64,
    /// Those that the leader sent or received.
    at_leader: f64,
    /// In times of a message.
    delays: f64,
}

/// Counts the messages of this kind while the cluster does `act`.
fn cost<P: Protocol>(
    cluster: &mut InMemory<P>,
    counts: impl Fn(&P::Message) -> bool + 'static,
    act: impl FnOnce(&mut InMemory<P>),
) -> Cost {
    let (messages, at_leader) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(0u64)));
    let counters = (Rc::clone(&messages), Rc::clone(&at_leader));
    cluster.lose_if(move |from, to, message| {
        if counts(message) {
            counters.0.set(counters.0.get() + 1);
            counters.1.set(counters.1.get() + u64::from(from == LEADER || to == LEADER));
        }
        false
    });
    let begun = cluster.now();
    act(cluster);
    let delays = cluster.now().since(begun).as_secs_f64() / LATENCY.as_secs_f64();
    Cost { messages: messages.get() as f64, at_leader: at_leader.get() as f64, delays }
}

fn single_decree(nodes: u64) -> Cost {
    let mut cluster = InMemory::<Synod<u64>>::new(nodes);
    for id in members(nodes) {
        cluster.add(id, synod::Config { id, members: members(nodes), patience: PATIENCE });
    }
    // That everybody is told of the decision is not counted: in the log that rides on what comes next.
    let counts = |message: &synod::Message<u64>| !matches!(message, synod::Message::Decided(_));
    cost(&mut cluster, counts, |cluster| {
        cluster.request(LEADER, synod::Propose(1));
        cluster.advance_until(PATIENCE.least, |cluster| !cluster.events().is_empty());
    })
}

/// The cost of a command under a stable leader, averaged.
fn command(nodes: u64) -> Cost {
    let mut cluster = InMemory::<MultiPaxos<u64>>::new(nodes);
    for id in members(nodes) {
        let patience = if id == LEADER { Patience::exactly(LATENCY * 5) } else { PATIENCE };
        let (max_batch, window, max_waiting) = (1, 1, 1);
        let heartbeat = PATIENCE.least;
        let config = multi::Config {
            id,
            members: members(nodes),
            heartbeat,
            patience,
            max_batch,
            window,
            max_waiting,
        };
        cluster.add(id, config);
    }
    cluster.advance(LATENCY * 20);
    assert!(cluster.node(LEADER).leads(), "the least patient node leads");
    let cost = cost(
        &mut cluster,
        |_| true,
        |cluster| {
            for number in 0..COMMANDS {
                cluster.request(LEADER, multi::Propose(number));
                cluster.deliver_all();
            }
        },
    );
    assert_eq!(cluster.node(LEADER).chosen(), COMMANDS, "every command is chosen");
    let each = |sum: f64| sum / COMMANDS as f64;
    Cost { messages: each(cost.messages), at_leader: each(cost.at_leader), delays: each(cost.delays) }
}

/// The cost of a change of a register, averaged, after a first one.
fn change(nodes: u64, one_round_trip: bool) -> Cost {
    let mut cluster = InMemory::<CasPaxos<(), u64>>::new(nodes);
    for id in members(nodes) {
        let (max_changes, planted, patience) = (1, Planted::Nothing, PATIENCE);
        let members = members(nodes);
        cluster.add(id, caspaxos::Config { id, members, patience, max_changes, one_round_trip, planted });
    }
    let ask = |cluster: &mut InMemory<CasPaxos<(), u64>>, new: u64| {
        let change = Change::CompareAndSet { expected: new.checked_sub(1), new };
        cluster.request(LEADER, caspaxos::Request { key: (), change });
        cluster.deliver_all();
    };
    ask(&mut cluster, 0);
    let cost = cost(&mut cluster, |_| true, |cluster| (1..=COMMANDS).for_each(|new| ask(cluster, new)));
    let changed = cluster.events().iter().filter(|(_, told)| told.answer == caspaxos::Answer::Changed);
    assert_eq!(changed.count() as u64, COMMANDS + 1, "every change is made");
    let each = |sum: f64| sum / COMMANDS as f64;
    Cost { messages: each(cost.messages), at_leader: each(cost.at_leader), delays: each(cost.delays) }
}

impl Experiment for Costs {
    fn name(&self) -> &'static str {
        "paxos-costs"
    }

    fn run(&self, _effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut rows = Vec::new();
        let sizes = [3, 5, 7, 9];
        for (done, nodes) in (1..).zip(sizes) {
            let (n, peers) = (nodes as f64, nodes as f64 - 1.0);
            let (one, log) = (single_decree(nodes), command(nodes));
            let row = |what: &str, published: f64, ours: f64| {
                Row::exact(format!("n = {nodes}: {what}"), published, ours)
            };
            rows.push(row("phase 2, 2(n-1) for a command", 2.0 * peers, log.messages).unit("messages"));
            rows.push(
                row("single decree, 2(n-1) more", 2.0 * peers, one.messages - log.messages).unit("messages"),
            );
            rows.push(row("single decree, a round trip more", 2.0, one.delays - log.delays).unit("delays"));
            // With n = 2f+1, 2(2f+1) is 2n.
            rows.push(row("at the leader, 2(2f+1)", 2.0 * n, log.at_leader + 2.0).unit("messages"));
            for (name, quick, trips) in
                [("CASPaxos", false, 2.0), ("CASPaxos, promise with acceptance", true, 1.0)]
            {
                let cost = change(nodes, quick);
                rows.push(row(name, trips, cost.delays / 2.0).unit("round trips"));
                rows.push(row(name, trips * 2.0 * peers, cost.messages).unit("messages"));
            }
            tick(Progress { done, of: sizes.len() as u64 });
        }
        Findings {
            title: "Paxos: what a decision costs".to_owned(),
            source: "Lamport, \"Paxos Made Simple\" (2001), sections 2 and 3; Rystsov, \"CASPaxos\" (2018), section 2.2; Geng et \
                     al., \"Nezha\" (VLDB 2023), table 1."
                .to_owned(),
            method: "Our protocols on nodes in memory, each message taking one delay and disks none, nothing going wrong; \
                     averages over a hundred commands one after the other, without batches, heartbeats and elections. A node \
                     sends itself nothing. Single decree is counted until the proposer knows the decision; telling it the others \
                     takes n-1 messages more, which in the log ride on what comes next. The leader's messages are counted as Nezha \
                     does: what it sends and receives for a command, among them the client's request and its reply (one each)."
                .to_owned(),
            rows,
            figures: Vec::new(),
        }
    }
}

/// Whether a duel of two out of three nodes is decided within so many ballots, and in how many.
fn duel(seed: u64, patience: Patience, most: u64) -> Option<u64> {
    let mut cluster = InMemory::<Synod<u64>>::new(seed);
    for id in members(3) {
        cluster.add(id, synod::Config { id, members: members(3), patience });
    }
    let prepares = Rc::new(Cell::new(0u64));
    let counter = Rc::clone(&prepares);
    cluster.lose_if(move |_, _, message| {
        counter.set(counter.get() + u64::from(matches!(message, synod::Message::Prepare(_))));
        false
    });
    cluster.request(NodeId(1), synod::Propose(1));
    cluster.advance(LATENCY * 3 / 2);
    cluster.request(NodeId(2), synod::Propose(2));
    // A ballot is prepared at two others.
    let ballots = || prepares.get() / 2;
    cluster.advance_until(Duration::from_secs(3600), |cluster| {
        !cluster.events().is_empty() || ballots() >= most
    });
    (!cluster.events().is_empty()).then(ballots)
}

/// Shorter than a ballot takes.
const SHORT: f64 = 3.0;
/// What is drawn on top of it, at most, in delays.
const SPREADS: [f64; 10] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0];
/// A duel that takes more ballots than this is not watched any longer.
const MOST: u64 = 5_000;

fn delays(count: f64) -> Duration {
    LATENCY.mul_f64(count)
}

impl Experiment for Duel {
    fn name(&self) -> &'static str {
        "paxos-duel"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let trials = effort.trials(1_000);
        let of = SPREADS.len() as u64;
        let endless = effort.trials(100_000);
        let decided = duel(1, Patience::exactly(delays(SHORT)), endless).is_some();
        let what = format!("decisions in {endless} ballots, both waiting for exactly {SHORT} delays");
        let mut rows = vec![Row::exact(what, 0.0, f64::from(u8::from(decided)))];
        let (mut mean, mut slowest) = (Vec::new(), Vec::new());
        for (done, spread) in (1..).zip(SPREADS) {
            let patience = Patience { least: delays(SHORT), most: delays(SHORT + spread) };
            let mut ballots: Vec<u64> =
                (0..trials).map(|seed| duel(seed, patience, MOST).unwrap_or(MOST)).collect();
            ballots.sort_unstable();
            let average = ballots.iter().sum::<u64>() as f64 / trials as f64;
            let late = ballots[(ballots.len() * 99 / 100).min(ballots.len() - 1)] as f64;
            mean.push((spread, average));
            slowest.push((spread, late));
            if [1.0, 3.0, 12.0].contains(&spread) {
                let what =
                    format!("ballots till a decision, waiting for {SHORT} to {} delays", SHORT + spread);
                rows.push(Row::ours_only(format!("{what}, mean"), average));
                rows.push(Row::ours_only(format!("{what}, 99th percentile"), late));
            }
            tick(Progress { done, of });
        }
        Findings {
            title: "Paxos: two proposers, no progress".to_owned(),
            source: "Lamport, \"Paxos Made Simple\" (2001), section 2.4: a scenario in which two proposers each keep issuing a \
                     sequence of proposals with increasing numbers, none of which are ever chosen."
                .to_owned(),
            method: format!(
                "Three nodes in memory, two of them propose, the second one and a half delays after the first. A ballot needs \
                 four delays to be decided, and a proposer begins another after {SHORT}, or after {SHORT} and a time on top drawn \
                 evenly up to the bound on the x axis. Where that bound is nothing, each prepares its next ballot between the other's \
                 phases, always. {trials} duels for each bound; one of more than {MOST} ballots counts as {MOST}. The paper prints no \
                 number but \"ever\"; the time to wait, and how far apart the two begin, are ours."
            ),
            rows,
            figures: vec![Figure {
                name: "paxos-duel".to_owned(),
                title: "Ballots until one is decided".to_owned(),
                x: Axis::linear("drawn on top of three delays, at most (delays)"),
                y: Axis::log("ballots begun"),
                series: vec![Series::line("mean", mean), Series::line("99th percentile", slowest)],
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::papers::Verdict;

    #[test]
    fn every_count_is_as_published() {
        for experiment in [&Costs as &dyn Experiment, &Duel] {
            let findings = experiment.run(Effort::QUICK, &mut |_| {});
            for row in &findings.rows {
                assert!(!matches!(row.verdict, Verdict::Missed(_)), "{row:?}");
            }
            assert_eq!(
                findings.rows,
                experiment.run(Effort::QUICK, &mut |_| {}).rows,
                "the same numbers again"
            );
        }
    }
}
