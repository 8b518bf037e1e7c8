//! SWIM: what suspicion buys, that the dead are found, and that the living come back.

use quipu_base::NodeId;
use quipu_lab::ldfi::baseline::{Exhausted, exhaustive};
use quipu_lab::ldfi::{Limits, Spec, Subject, Verdict, search};
use quipu_lab::programs;
use quipu_lab::sim::{Emission, FaultPlan, SECOND, SimConfig, Simulation};
use quipu_protocols::swim::{Config, Event, Lifeguard, State, Swim};
use std::sync::Arc;
use std::time::Duration;

fn program(name: &str) -> Box<dyn Subject> {
    programs::find(name).unwrap_or_else(|| panic!("there is no program {name}"))
}

#[test]
fn with_suspicion_the_dead_are_found_and_nobody_else_is_buried() {
    for name in ["swim", "swim-reviving"] {
        let subject = program(name);
        let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
        println!("{name}: {} runs, {:?}", outcome.executions, outcome.unreached);
        assert!(matches!(outcome.verdict, Verdict::Certified), "{name}: {:?}", outcome.verdict);
        assert!(outcome.unreached.is_empty(), "{name}: {:?}", outcome.unreached);
    }
}

/// What lineage has skipped changes nothing, where everything can be tried.
#[test]
fn no_crash_breaks_it() {
    let all = exhaustive(&*program("swim"), &Spec::new(72, 0, 1), 10_000);
    assert!(matches!(all, Some(Exhausted::Kept(_))), "{all:?}");
}

#[test]
fn without_suspicion_or_a_way_back_it_breaks() {
    for (name, reason) in [("swim-hasty", "it lives"), ("swim-unforgiving", "in the end")] {
        let subject = program(name);
        let outcome = search(&*subject, &subject.card().spec, Limits::default(), &mut |_| {});
        println!("{name}: {} runs", outcome.executions);
        let Verdict::Broken(counterexample) = outcome.verdict else {
            panic!("{name}: {:?}", outcome.verdict)
        };
        println!("{}", counterexample.minimal);
        assert!(counterexample.reason.contains(reason), "{name}: {}", counterexample.reason);
    }
}

/// Lost and late messages, cuts, crashes, pauses and wrong clocks, for a minute; then everybody who is there is on everybody's list.
#[test]
fn after_a_hostile_minute_everybody_has_the_same_view() {
    const MEMBERS: u64 = 8;
    let (mut buried, mut denied) = (0, 0);
    for seed in 0..24 {
        let config = SimConfig { max_steps: 5_000_000, ..SimConfig::default() };
        let mut simulation = Simulation::<Swim>::new(seed, config);
        let roster: Arc<Vec<NodeId>> = Arc::new((1..=MEMBERS).map(NodeId).collect());
        for id in roster.iter() {
            let member = Config {
                period: Duration::from_millis(200),
                ping_timeout: Duration::from_millis(60),
                lifeguard: if seed % 2 == 0 { Lifeguard::OFF } else { Lifeguard::FULL },
                ..Config::local_network(*id, Arc::clone(&roster))
            };
            simulation.add_node(*id, member);
        }
        simulation.unleash(FaultPlan::everything(SECOND, 60 * SECOND).swarm(seed));
        let mut listen = |_: &mut Simulation<Swim>, told: Emission<Swim>| match told.event {
            Event::Changed { state: State::Dead, .. } => buried += 1,
            Event::Refuted { .. } => denied += 1,
            _ => {}
        };
        simulation.run_until(60 * SECOND, &mut listen);
        simulation.run_until(150 * SECOND, &mut listen);
        for at in roster.iter() {
            let swim = simulation.node(*at).expect("everything is repaired");
            let bad: Vec<_> = swim.members().filter(|(_, belief)| belief.state() != State::Alive).collect();
            assert!(bad.is_empty(), "seed {seed}: in the end {at} believes {bad:?}");
            assert_eq!(swim.active() as u64, MEMBERS);
        }
    }
    assert!(buried > 1_000 && denied > 100, "{buried} were buried, {denied} denied: that was not hostile");
}
