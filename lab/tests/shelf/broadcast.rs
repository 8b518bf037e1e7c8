//! The broadcasts: every known verdict, and every property in a world that loses, repeats and reorders.

use quipu_base::{NodeId, RequestId};
use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Expected, Limits, Spec, Subject, Verdict, search};
use quipu_lab::shelf::broadcast::properties::{History, Property};
use quipu_lab::sim::{CrashKind, Delay, Link, MILLISECOND, SimConfig, Simulation, stream};
use quipu_protocols::broadcast::{
    BestEffort, Broadcasts, Causal, Eager, Fifo, Group, Majority, Request, Sequencer,
};
use quipu_protocols::links::{Config, Perfect};
use std::collections::BTreeSet;
use std::time::Duration;

fn programs() -> Vec<Box<dyn Subject>> {
    quipu_lab::shelf::broadcast::all()
}

#[test]
fn every_promise_is_kept_or_broken_as_its_card_says() {
    for program in programs() {
        let card = program.card();
        let begun = std::time::Instant::now();
        let outcome = search(&*program, &card.spec, Limits::default(), &mut |_| {});
        println!("{}: {} runs, {:?}", card.name, outcome.executions, begun.elapsed());
        match (&outcome.verdict, card.expected) {
            (Verdict::Certified, Expected::Holds) => {
                assert!(outcome.unreached.is_empty(), "{}: {:?}", card.name, outcome.unreached);
                assert!(outcome.vacuous < outcome.executions, "{}", card.name);
            }
            (Verdict::Broken(counterexample), Expected::Breaks) => {
                println!("    {}: {}", counterexample.reason, counterexample.minimal);
            }
            (verdict, expected) => panic!("{}: {expected:?}, but {verdict:?}", card.name),
        }
    }
}

/// Lineage misses nothing: where every set of faults can be tried, none breaks what is certified.
#[test]
fn trying_everything_says_the_same() {
    let bounds = [
        ("lazy-agreement", Spec::new(8, 2, 1)),
        ("eager-agreement", Spec::new(8, 3, 1)),
        ("majority-uniform", Spec::new(8, 3, 1)),
        ("fifo-order", Spec::new(7, 3, 0)),
        ("causal-order", Spec::new(7, 3, 0)),
        ("sequencer-order", Spec::new(7, 3, 0)),
        ("consensus-order", Spec::new(9, 2, 1)),
    ];
    for (name, spec) in bounds {
        let program = programs().into_iter().find(|program| program.card().name == name);
        let begun = std::time::Instant::now();
        let tried = exhaustive(&*program.expect(name), &spec, 30_000);
        println!("{name}: {tried:?}, {:?}", begun.elapsed());
        assert!(matches!(tried, Some(Exhausted::Kept(runs)) if runs > 30), "{name}: {tried:?}");
    }
}

const MEMBERS: u64 = 4;
const EACH: u32 = 10;
const SEEDS: u64 = 60;

/// Everybody says ten things at random times, over links that lose a fifth of all messages, repeat a fifth and let half of
/// them overtake each other. In every other run a node is cut off
/// in the middle of it, and dies.
fn hostile<B: Broadcasts<u32> + 'static>(seed: u64) -> History<u32> {
    let delay = Delay::around(MILLISECOND / 10, 2 * MILLISECOND);
    let link = Link { delay, loss: 0.2, duplicate: 0.2, reorder: 0.5 };
    let mut simulation = Simulation::<Perfect<B>>::new(seed, SimConfig { link, ..SimConfig::default() });
    let members: Vec<NodeId> = (1..=MEMBERS).map(NodeId).collect();
    for me in &members {
        let inner = Group::new(*me, members.clone());
        simulation.add_node(*me, Config { repeat_after: Duration::from_millis(6), inner });
    }
    let mut random = stream(seed, "broadcasts", 0);
    let mut history =
        History { living: members.iter().copied().collect(), said: Vec::new(), delivered: Vec::new() };
    for number in 0..EACH * MEMBERS as u32 {
        let node = members[number as usize % members.len()];
        let at = random.u64(0..40 * MILLISECOND);
        simulation.request_after(at, node, RequestId(u64::from(number)), Request::Broadcast(number));
        history.said.push((node, number));
    }
    let delivered = &mut history.delivered;
    let mut listen = |_: &mut Simulation<Perfect<B>>, emission: quipu_lab::sim::Emission<Perfect<B>>| {
        delivered.push((emission.node, emission.event));
    };
    simulation.run_until(random.u64(0..40 * MILLISECOND), &mut listen);
    if seed % 2 == 1 {
        simulation.network().split(&[NodeId(MEMBERS)], &members[..members.len() - 1]);
        let cut_off_for = 4 * MILLISECOND;
        simulation.run_until(simulation.now() + cut_off_for, &mut listen);
        simulation.crash(NodeId(MEMBERS), CrashKind::Power);
        history.living.remove(&NodeId(MEMBERS));
    }
    simulation.run_until(2_000 * MILLISECOND, &mut listen);
    let given_up =
        members.iter().filter_map(|node| simulation.node(*node)).map(Perfect::given_up).sum::<u64>();
    assert_eq!(given_up, 0);
    history
}

/// Which properties hold in every run.
fn kept<B: Broadcasts<u32> + 'static>() -> BTreeSet<Property> {
    use Property::{Agreement, Causal, Fifo, Integrity, Total, UniformAgreement};
    let mut kept = BTreeSet::from([Integrity, Agreement, UniformAgreement, Fifo, Causal, Total]);
    for seed in 0..SEEDS {
        let history = hostile::<B>(seed);
        assert!(
            history.delivered.len() as u32 > EACH * MEMBERS as u32,
            "seed {seed}: hardly anything happened"
        );
        kept.retain(|property| history.check(*property).is_ok());
    }
    kept
}

/// Sixty runs break what is not promised, and nothing that is.
#[test]
fn in_a_hostile_world_each_broadcast_keeps_its_promises_and_no_others() {
    use Property::{
        Agreement, Causal as InCausalOrder, Fifo as InFifoOrder, Integrity, Total, UniformAgreement,
    };
    assert_eq!(kept::<BestEffort<_>>(), [Integrity].into());
    assert_eq!(kept::<Eager<_>>(), [Integrity, Agreement].into());
    assert_eq!(kept::<Majority<_>>(), [Integrity, Agreement, UniformAgreement].into());
    assert_eq!(kept::<Fifo<_, Eager<_>>>(), [Integrity, Agreement, InFifoOrder].into());
    assert_eq!(kept::<Causal<_, Eager<_>>>(), [Integrity, Agreement, InFifoOrder, InCausalOrder].into());
    let sequenced = kept::<Sequencer<_, Majority<_>>>();
    assert!(sequenced.is_superset(&[Integrity, Agreement, UniformAgreement, Total].into()), "{sequenced:?}");
    assert!(!sequenced.contains(&InFifoOrder), "submissions overtake each other");
}
