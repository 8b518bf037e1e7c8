//! How many versions behind a get may be: k-staleness.

use crate::papers::{Axis, Effort, Experiment, Figure, Findings, Progress, Row, Series};
use quipu_base::clocks::VectorClock;
use quipu_base::{InMemory, NodeId, Rng};
use quipu_protocols::quorum::{Config, Event, Key, Message, Placement, Quorum, Request};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const KEY: Key = Key::from_static(b"key");
/// When an operation is over, in virtual time.
const DEADLINE: Duration = Duration::from_millis(20);
const K: [usize; 5] = [1, 2, 3, 5, 10];

/// N, R, W, and the chance 1 - p^k that a get is within k versions, for each k of [`K`] that is shown, with three digits.
type Setting = (usize, usize, usize, &'static [(usize, f64)]);

const SETTINGS: [Setting; 7] = [
    (3, 1, 1, &[(1, 0.333), (2, 0.556), (3, 0.704), (5, 0.868), (10, 0.983)]),
    (3, 1, 2, &[(1, 0.667), (2, 0.889), (3, 0.963), (5, 0.996)]),
    (3, 2, 1, &[(1, 0.667), (2, 0.889), (3, 0.963), (5, 0.996)]),
    (5, 1, 1, &[(1, 0.200), (2, 0.360), (3, 0.488), (5, 0.672), (10, 0.893)]),
    (5, 2, 2, &[(1, 0.700), (2, 0.910), (3, 0.973)]),
    (5, 3, 1, &[(1, 0.600), (2, 0.840), (3, 0.936)]),
    (3, 2, 2, &[(1, 1.0)]),
];

const METHOD: &str = "\
The formula is p = C(N-W, R) / C(N, R) for a get that misses the last version, and 1 - p^k for one that is within k versions. It \
assumes that a write reaches W replicas and no more, a get R, each drawn at random and anew, and that nothing repairs.

Ours: the protocol of `quipu_protocols::quorum`, strict quorums, N homes and one node more. For every write the network draws W of the \
homes, one of which coordinates, and loses what is sent to the others to store; for every get it draws R, and loses the \
questions to the others. The node that is no home coordinates the get. Read repair and anti-entropy are off. One client writes, \
each time with the context of all that it wrote before, and reads after each write; 40,000 writes a setting, the first hundred not counted.";

/// The experiment.
pub(super) struct Staleness;

impl Experiment for Staleness {
    fn name(&self) -> &'static str {
        "quorum-staleness"
    }

    fn run(&self, effort: Effort, tick: &mut dyn FnMut(Progress)) -> Findings {
        let mut findings = Findings {
            title: "Staleness of partial quorums, in versions".to_owned(),
            source: "Bailis et al.: Probabilistically Bounded Staleness for Practical Partial Quorums (PVLDB 2012), section 3".to_owned(),
            method: METHOD.to_owned(),
            ..Findings::default()
        };
        let mut series = Vec::new();
        for (done, (n, r, w, published)) in SETTINGS.into_iter().enumerate() {
            tick(Progress { done: done as u64, of: SETTINGS.len() as u64 });
            let within = within(n, r, w, effort.trials(40_000));
            for (k, published) in published {
                let what = format!("N={n} R={r} W={w}: within {k} version{}", if *k == 1 { "" } else { "s" });
                // Four standard errors, of gets that are correlated over some ten versions, and the formula's rounding.
                let row = Row::number(what, *published, within(*k));
                let allowed = if *published == 1.0 { 0.0 } else { 0.01 };
                findings.rows.push(row.within(if effort == Effort::FULL { allowed } else { allowed * 5.0 }));
            }
            let curve = (1..=10).map(|k| (k as f64, within(k))).collect();
            series.push(Series::line(format!("N={n} R={r} W={w}"), curve));
            if done == 0 {
                let points = K.iter().zip(published).map(|(k, (_, p))| (*k as f64, *p)).collect();
                series.push(Series::points("formula, N=3 R=W=1", points));
            }
        }
        tick(Progress { done: SETTINGS.len() as u64, of: SETTINGS.len() as u64 });
        findings.figures.push(Figure {
            name: "quorum-staleness".to_owned(),
            title: "Gets within k versions of the newest".to_owned(),
            x: Axis::linear("versions k"),
            y: Axis::linear("share of gets"),
            series,
        });
        findings
    }
}

/// Whom the network lets writes and reads through to.
#[derive(Default)]
struct Chosen {
    stores: Vec<NodeId>,
    reads: Vec<NodeId>,
}

/// Which share of gets was within so many versions of the newest.
fn within(n: usize, r: usize, w: usize, trials: u64) -> impl Fn(usize) -> f64 {
    let mut random = Rng::with_seed(n as u64 * 100 + r as u64 * 10 + w as u64);
    let homes: Vec<NodeId> = (1..=n as u64).map(NodeId).collect();
    let reader = NodeId(n as u64 + 1);
    let chosen = Rc::new(RefCell::new(Chosen::default()));
    let mut cluster = cluster(&homes, reader, &chosen);
    let (mut context, mut behind) = (VectorClock::new(), Vec::new());
    for version in 1..=trials + 100 {
        let stores = draw(&homes, w, &mut random);
        *chosen.borrow_mut() = Chosen { stores: stores.clone(), reads: draw(&homes, r, &mut random) };
        let put = Request::Put { key: KEY, context: context.clone(), value: version, write: w };
        cluster.request(stores[0], put);
        cluster.deliver_all();
        cluster.request(reader, Request::Get { key: KEY, read: r });
        cluster.deliver_all();
        for (_, event) in cluster.take_events() {
            match event {
                Event::Written { versions, .. } => context.join(&versions.context()),
                Event::Got { versions, .. } if version > 100 => {
                    let newest = versions.values().max().copied().unwrap_or(0);
                    behind.push((version - newest) as usize);
                }
                Event::Got { .. } => {}
                event => panic!("{event:?}: the network lets enough through"),
            }
        }
        cluster.advance(DEADLINE);
    }
    assert_eq!(behind.len() as u64, trials, "every get is answered");
    move |k| behind.iter().filter(|behind| **behind < k).count() as f64 / behind.len() as f64
}

fn cluster(homes: &[NodeId], reader: NodeId, chosen: &Rc<RefCell<Chosen>>) -> InMemory<Quorum<u64>> {
    let mut cluster = InMemory::new(1);
    let members: Vec<NodeId> = homes.iter().copied().chain([reader]).collect();
    for id in &members {
        let list = members.clone();
        let config = Config {
            placement: Placement::new(move |_| list.clone()),
            replicas: homes.len(),
            read_repair: false,
            anti_entropy: None,
            patience: DEADLINE * 2,
            deadline: DEADLINE,
            ..Config::new(*id, members.clone())
        };
        cluster.add(*id, config);
    }
    let chosen = Rc::clone(chosen);
    cluster.lose_if(move |_, to, message| match message {
        Message::Store { .. } => !chosen.borrow().stores.contains(&to),
        Message::Read { .. } => !chosen.borrow().reads.contains(&to),
        _ => false,
    });
    cluster
}

/// So many of them, in random order.
fn draw(homes: &[NodeId], count: usize, random: &mut Rng) -> Vec<NodeId> {
    let mut drawn = homes.to_vec();
    random.shuffle(&mut drawn);
    drawn.truncate(count);
    drawn
}
