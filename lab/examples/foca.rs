//! Our SWIM beside `foca`, in the same world: how soon a crash is found, how often it is a mistake, and what it costs to run.
//!
//! `cargo run --release -p quipu-lab --example foca`

use foca::{
    AccumulatingRuntime, Foca, Identity, Member, NoCustomBroadcast, OwnedNotification, PeriodicParams,
};
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Time};
use quipu_lab::papers::swim::{
    Detector, OVERLOADS, World, false_positives, first_detection, latency, roster,
};
use quipu_protocols::swim::{Config, Lifeguard, Swim};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A member under one of its names: who was declared dead needs a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Name {
    number: u64,
    life: u16,
}

impl Identity for Name {
    type Addr = u64;

    fn addr(&self) -> u64 {
        self.number
    }

    fn renew(&self) -> Option<Name> {
        Some(Name { life: self.life.wrapping_add(1), ..*self })
    }

    fn win_addr_conflict(&self, adversary: &Name) -> bool {
        self.life > adversary.life
    }
}

#[derive(Clone)]
struct FocaConfig {
    id: NodeId,
    roster: Arc<Vec<NodeId>>,
    foca: foca::Config,
}

/// `foca` as one of our protocols.
struct Wrapped {
    foca: Foca<Name, foca::PostcardCodec, StdRng, NoCustomBroadcast>,
    /// Its timers have no names, so they get numbers.
    timers: BTreeMap<u64, foca::Timer<Name>>,
    numbers: u64,
}

impl Protocol for Wrapped {
    type Config = FocaConfig;
    type Message = Vec<u8>;
    type Timer = u64;
    type Request = Infallible;
    type Event = NodeId;
    type Record = Infallible;

    fn start(config: FocaConfig, _: Durable<Infallible>, env: &mut Env<Self>) -> Self {
        let random = StdRng::seed_from_u64(env.random().u64(..));
        let name = |id: NodeId| Name { number: id.0, life: 0 };
        let foca = Foca::new(name(config.id), config.foca, random, foca::PostcardCodec);
        let mut wrapped = Wrapped { foca, timers: BTreeMap::new(), numbers: 0 };
        let mut runtime = AccumulatingRuntime::new();
        let others = config.roster.iter().filter(|id| **id != config.id).map(|id| Member::alive(name(*id)));
        wrapped.foca.apply_many(others, false, &mut runtime).expect("a roster is no message");
        wrapped.carry_out(runtime, env);
        wrapped
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        let mut runtime = AccumulatingRuntime::new();
        // What goes wrong it reports, and goes on.
        let _ = match input {
            Input::Message { message, .. } => self.foca.handle_data(&message, &mut runtime),
            Input::Timer(number) => match self.timers.remove(&number) {
                Some(timer) => self.foca.handle_timer(timer, &mut runtime),
                None => Ok(()),
            },
            Input::Request { .. } | Input::Synced(_) | Input::Fetched { .. } => Ok(()),
        };
        self.carry_out(runtime, env);
    }
}

impl Wrapped {
    fn carry_out(&mut self, mut runtime: AccumulatingRuntime<Name>, env: &mut Env<Self>) {
        while let Some((to, bytes)) = runtime.to_send() {
            env.send(NodeId(to.number), bytes.to_vec());
        }
        while let Some((after, timer)) = runtime.to_schedule() {
            self.numbers += 1;
            self.timers.insert(self.numbers, timer);
            env.set_timer(self.numbers, env.now() + after);
        }
        while let Some(notification) = runtime.to_notify() {
            if let OwnedNotification::MemberDown(name) = notification {
                env.emit(NodeId(name.number));
            }
        }
    }
}

impl Detector for Wrapped {
    fn buried(event: &NodeId) -> Option<NodeId> {
        Some(*event)
    }
}

/// The settings of the comparison: a second's period, k = 3, and a suspicion that lasts as long as ours.
fn theirs(id: NodeId, roster: &Arc<Vec<NodeId>>, suspicion: Duration) -> FocaConfig {
    let foca = foca::Config {
        probe_period: Duration::from_secs(1),
        probe_rtt: Duration::from_millis(500),
        num_indirect_probes: NonZeroUsize::new(3).expect("three"),
        max_transmissions: NonZeroU8::new((3.0 * (roster.len() as f64).ln()).ceil() as u8).expect("some"),
        suspect_to_down_after: suspicion,
        notify_down_members: true,
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: Duration::from_secs(10),
            num_members: NonZeroUsize::new(1).expect("one"),
        }),
        ..foca::Config::simple()
    };
    FocaConfig { id, roster: Arc::clone(roster), foca }
}

fn ours(id: NodeId, roster: &Arc<Vec<NodeId>>, suspicion: u32, lifeguard: Lifeguard) -> Config {
    Config { suspicion, lifeguard, ..Config::local_network(id, Arc::clone(roster)) }
}

/// How long it takes to run so many members for so many quiet periods, and how many messages that is.
fn cost<P: Protocol>(
    members: u64,
    periods: u32,
    config: impl Fn(NodeId, &Arc<Vec<NodeId>>) -> P::Config,
) -> (f64, u64) {
    let roster = roster(members);
    let mut world = World::<P>::new(1, Duration::from_millis(1), 0.0);
    roster.iter().for_each(|id| world.add(config(*id, &roster)));
    world.run(Time::ZERO + Duration::from_secs(2), |_, _, _| false);
    let (begin, before) = (Instant::now(), world.sent());
    world.run(Time::ZERO + Duration::from_secs(u64::from(periods) + 2), |_, _, _| false);
    (begin.elapsed().as_secs_f64(), world.sent() - before)
}

fn main() {
    let at_once = Duration::from_nanos(1);
    let long = Duration::from_secs(10);
    println!("periods until a crash is found, 100 members in turns, no suspicion:");
    let mean = first_detection::<Swim>(100, 2_000, true, |id, roster| ours(id, roster, 0, Lifeguard::OFF));
    println!("  ours {mean:.3}");
    let mean = first_detection::<Wrapped>(100, 2_000, true, |id, roster| theirs(id, roster, at_once));
    println!("  foca {mean:.3}");

    println!("median seconds until a crash is declared, 100 members:");
    println!("  ours {:.2}", latency::<Swim>(100, |id, roster| ours(id, roster, 5, Lifeguard::OFF)));
    println!(
        "  ours with Lifeguard {:.2}",
        latency::<Swim>(100, |id, roster| ours(id, roster, 5, Lifeguard::FULL))
    );
    println!("  foca {:.2}", latency::<Wrapped>(100, |id, roster| theirs(id, roster, long)));

    println!(
        "the living declared dead in two minutes, some of 100 members overloaded, per run (by healthy members):"
    );
    for slow in [1, 4, 16] {
        let seeds = 1;
        let runs = (seeds * OVERLOADS.len() as u64) as f64;
        let plain = false_positives::<Swim>(slow, seeds, |id, roster| ours(id, roster, 5, Lifeguard::OFF));
        let full = false_positives::<Swim>(slow, seeds, |id, roster| ours(id, roster, 5, Lifeguard::FULL));
        let foca = false_positives::<Wrapped>(slow, seeds, |id, roster| theirs(id, roster, long));
        for (name, found) in [("ours", plain), ("ours with Lifeguard", full), ("foca", foca)] {
            let (all, healthy) = (found.all as f64 / runs, found.healthy as f64 / runs);
            println!("  {slow:>2} overloaded, {name}: {all:.1} ({healthy:.1})");
        }
    }

    println!("to run quiet members:");
    for (members, periods) in [(100, 1_000), (1_000, 100), (3_000, 10)] {
        let (swim, sent) = cost::<Swim>(members, periods, |id, roster| ours(id, roster, 5, Lifeguard::FULL));
        let (foca, theirs_sent) = cost::<Wrapped>(members, periods, |id, roster| theirs(id, roster, long));
        let each = |seconds: f64| 1e6 * seconds / (members * u64::from(periods)) as f64;
        println!(
            "  {members:>5} members: ours {:.2} µs a member and period ({sent} messages), foca {:.2} ({theirs_sent})",
            each(swim),
            each(foca)
        );
    }
}
