//! How many versions a get returns.

use crate::papers::{Effort, Experiment, Findings, Progress, Row};
use crate::sim::{Emission, Fault, FaultPlan, Handler, MILLISECOND, SECOND, SimConfig, Simulation};
use quipu_base::clocks::VectorClock;
use quipu_base::{NodeId, RequestId};
use quipu_protocols::quorum::{Config, Event, Key, Placement, Quorum, Request};
use std::collections::BTreeMap;

const NODES: u64 = 5;
const CLIENTS: u64 = 40;
const CARTS: u64 = 400;

const METHOD: &str = "\
The paper counts the versions that the shopping cart's gets returned over 24 hours; its four figures do not sum to 100. Divergence \
comes from concurrent writers, mostly automated ones, and from failures.

Ours: the protocol of `quipu_protocols::quorum` in the simulator, five nodes, N=3, R=W=2, sloppy. Forty clients, each again and again: \
read one of 400 carts, merge what is there, think for 2 ms on average, write with the context; then wait for a second on average. A node crashes, or a link or \
a node is cut off, every 20 seconds for a second. What a day of Amazon's customers did is not published, so the shares are for comparison only; \
that the shares fall with the number of versions is what is asserted. Gets of carts that nobody has written yet are not counted.";

/// The experiment.
pub(super) struct Divergence;

impl Experiment for Divergence {
    fn name(&self) -> &'static str {
        "quorum-divergence"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let minutes = effort.trials(40);
        let mut shoppers = Shoppers::default();
        let mut simulation = Simulation::new(7, SimConfig::default());
        let members: Vec<NodeId> = (1..=NODES).map(NodeId).collect();
        for id in &members {
            simulation.add_node(
                *id,
                Config {
                    sloppy: true,
                    placement: Placement::rotating(members.clone()),
                    ..Config::new(*id, members.clone())
                },
            );
        }
        for client in 0..CLIENTS {
            simulation.alarm(client * 25 * MILLISECOND, client);
        }
        let now_and_then = Fault::every(20 * SECOND, SECOND);
        let end = minutes * 60 * SECOND;
        simulation.unleash(FaultPlan {
            crash: now_and_then,
            partition: now_and_then,
            corruptible: 0,
            ..FaultPlan::nothing(SECOND, end)
        });
        for minute in 0..minutes {
            tick(Progress { done: minute, of: minutes });
            simulation.run_until((minute + 1) * 60 * SECOND, &mut shoppers);
        }
        tick(Progress { done: minutes, of: minutes });
        shoppers.findings()
    }
}

/// The models of customers, each with one thing under way.
#[derive(Default)]
struct Shoppers {
    /// What each reads or writes, by the number of the request.
    under_way: BTreeMap<u64, (u64, Key)>,
    /// What they are about to write.
    thinking: BTreeMap<u64, (Key, VectorClock, u64)>,
    requests: u64,
    /// How many gets returned so many versions; more than four count as four.
    versions: [u64; 5],
}

impl Shoppers {
    fn ask(
        &mut self,
        simulation: &mut Simulation<Quorum<u64>>,
        client: u64,
        key: Key,
        request: Request<u64>,
    ) {
        let node = NodeId(1 + simulation.random().u64(..NODES));
        self.requests += 1;
        self.under_way.insert(self.requests, (client, key));
        simulation.request(node, RequestId(self.requests), request);
        // Whoever hears nothing for two seconds begins anew.
        simulation.alarm(2 * SECOND, self.requests << 16 | client);
    }

    fn findings(&self) -> Findings {
        // Whoever finds no cart yet finds no version.
        let [_, counts @ ..] = self.versions;
        let gets: u64 = counts.iter().sum();
        let share = |count: u64| 100.0 * count as f64 / gets as f64;
        let published = ["99.94 %", "0.00057 %", "0.00047 %", "0.00009 %"];
        let why = "a day of Amazon's traffic, which is not published";
        let mut rows: Vec<Row> = (1..)
            .zip(published)
            .zip(counts)
            .map(|((versions, published), count)| {
                let what = format!(
                    "gets that return {versions} version{}",
                    match versions {
                        1 => "",
                        4 => "s or more",
                        _ => "s",
                    }
                );
                Row::open(what, published, share(count), why).unit("%")
            })
            .collect();
        for (versions, pair) in (2..).zip(counts.windows(2)) {
            let what = format!("of which {versions} versions, at most as many as one fewer");
            rows.push(Row::at_most(what, share(pair[0]), share(pair[1])).unit("%"));
        }
        rows.push(Row::ours_only("gets", gets as f64));
        Findings {
            title: "Versions that a get returns".to_owned(),
            source: "DeCandia et al.: Dynamo (SOSP 2007), section 6.3".to_owned(),
            method: METHOD.to_owned(),
            rows,
            figures: Vec::new(),
        }
    }
}

impl Handler<Quorum<u64>> for Shoppers {
    fn emitted(&mut self, simulation: &mut Simulation<Quorum<u64>>, emission: Emission<Quorum<u64>>) {
        let (id, got) = match emission.event {
            Event::Got { id, versions } => (id, Some(versions)),
            Event::Written { id, .. } | Event::Failed { id, .. } => (id, None),
            Event::Changed { .. } => return,
        };
        let Some((client, key)) = self.under_way.remove(&id.0) else { return };
        match got {
            Some(versions) => {
                self.versions[versions.values().count().min(4)] += 1;
                let items = versions.values().sum::<u64>() + 1;
                self.thinking.insert(client, (key, versions.context(), items));
                let pause = simulation.random().u64(..4 * MILLISECOND);
                simulation.alarm(pause, client);
            }
            None => {
                let pause = simulation.random().u64(..2 * SECOND);
                simulation.alarm(pause, client);
            }
        }
    }

    fn alarm(&mut self, simulation: &mut Simulation<Quorum<u64>>, tag: u64) {
        let (client, number) = (tag & 0xffff, tag >> 16);
        if number > 0 && self.under_way.remove(&number).is_none() {
            return;
        }
        if let Some((key, context, value)) = self.thinking.remove(&client) {
            let put = Request::Put { key: key.clone(), context, value: value % 1_000, write: 2 };
            self.ask(simulation, client, key, put);
        } else {
            let cart = simulation.random().u64(..CARTS);
            let key = Key::from(format!("cart/{cart}"));
            self.ask(simulation, client, key.clone(), Request::Get { key, read: 2 });
        }
    }
}
