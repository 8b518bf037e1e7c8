//! What the simulator promises a protocol, one promise a test, with a protocol that does as it is asked.

use super::*;
use quipu_base::{
    Durable, Env, Input, NodeId, Place, Protocol, Record, RequestId, StreamId, SyncPoint, Time,
};
use std::time::Duration;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

/// Does what requests say, and tells everything that it sees.
struct Probe;

#[derive(Clone, Debug)]
enum Do {
    /// Send a message.
    Send(NodeId, &'static str),
    /// Write a record, send a message and tell of it after that.
    Write(NodeId, u64),
    /// Set the timer so far ahead of now.
    Timer(Duration),
    /// Read a record back.
    Fetch(u64),
}

#[derive(Clone, Debug, PartialEq)]
enum Saw {
    Started(Vec<u64>, bool),
    Message(NodeId, &'static str),
    Request(u64),
    Timer(Time),
    Written(u64),
    Synced(SyncPoint),
    Fetched(Option<u64>),
}

#[derive(Clone, Debug)]
struct Number(u64);

impl Record for Number {
    fn place(&self) -> Place {
        Place { stream: StreamId(7), first: 0, index: self.0 }
    }
}

impl Protocol for Probe {
    type Config = ();
    type Message = &'static str;
    type Timer = ();
    type Request = Do;
    type Event = Saw;
    type Record = Number;

    fn start(_: (), durable: Durable<Number>, env: &mut Env<Self>) -> Self {
        let found = durable.records.iter().map(|record| record.0).collect();
        env.emit(Saw::Started(found, durable.damaged));
        Probe
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } => env.emit(Saw::Message(from, message)),
            Input::Timer(()) => env.emit(Saw::Timer(env.now())),
            Input::Synced(point) => env.emit(Saw::Synced(point)),
            Input::Fetched { record, .. } => env.emit(Saw::Fetched(record.map(|record| record.0))),
            Input::Request { id, request } => {
                env.emit(Saw::Request(id.0));
                match request {
                    Do::Send(to, text) => env.send(to, text),
                    Do::Timer(ahead) => env.set_timer((), env.now() + ahead),
                    Do::Fetch(index) => env.fetch(StreamId(7), index),
                    Do::Write(to, number) => {
                        let point = env.persist(Number(number));
                        env.send_after(point, to, "written");
                        env.emit_after(point, Saw::Written(number));
                    }
                }
            }
        }
    }
}

/// What each node saw, and when.
#[derive(Default)]
struct Seen(Vec<(NodeId, Nanoseconds, Saw)>);

impl Handler<Probe> for Seen {
    fn emitted(&mut self, simulation: &mut Simulation<Probe>, emission: Emission<Probe>) {
        assert_eq!(emission.at, simulation.now());
        self.0.push((emission.node, emission.at, emission.event));
    }
}

impl Seen {
    fn by(&self, node: NodeId) -> Vec<Saw> {
        self.0.iter().filter(|(by, ..)| *by == node).map(|(.., saw)| saw.clone()).collect()
    }

    fn when(&self, wanted: &Saw) -> Nanoseconds {
        self.0.iter().find(|(.., saw)| saw == wanted).map(|(_, at, _)| *at).expect("it was seen")
    }
}

fn two_nodes() -> (Simulation<Probe>, Seen) {
    let config = SimConfig {
        link: Link::perfect(Delay::exactly(MILLISECOND)),
        disk: DiskConfig { sync: Delay::exactly(5 * MILLISECOND), fetch: Delay::exactly(MILLISECOND) },
        clock: ClockConfig { drift_ppm: 0, skew_ms: 0 },
        node: NodeConfig { batch: Delay::exactly(MICROSECOND), inbox: 100 },
        ..SimConfig::default()
    };
    let mut simulation = Simulation::new(1, config);
    simulation.add_node(A, ());
    simulation.add_node(B, ());
    let mut seen = Seen::default();
    simulation.run_until(MILLISECOND, &mut seen);
    assert_eq!(seen.by(A), [Saw::Started(Vec::new(), false)]);
    seen.0.clear();
    (simulation, seen)
}

#[test]
fn what_waits_for_the_disk_comes_when_it_is_there() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Write(B, 4));
    simulation.request_after(MILLISECOND, A, RequestId(2), Do::Send(B, "at once"));
    simulation.run_until(SECOND, &mut seen);
    let synced = Saw::Synced(SyncPoint(1));
    assert_eq!(seen.by(A), [Saw::Request(1), Saw::Request(2), Saw::Written(4), synced.clone()]);
    assert_eq!(seen.by(B), [Saw::Message(A, "at once"), Saw::Message(A, "written")]);
    assert_eq!(seen.when(&synced) - seen.when(&Saw::Request(1)), 5 * MILLISECOND);
    assert_eq!(seen.when(&Saw::Message(A, "written")) - seen.when(&synced), MILLISECOND);
}

#[test]
fn one_sync_covers_everything_before_it_and_nothing_after() {
    let (mut simulation, mut seen) = two_nodes();
    for (number, at) in [(0, 0), (1, MILLISECOND), (2, 2 * MILLISECOND)] {
        simulation.request_after(at, A, RequestId(number), Do::Write(B, number));
    }
    simulation.run_until(SECOND, &mut seen);
    let synced: Vec<Saw> = seen.by(A).into_iter().filter(|saw| matches!(saw, Saw::Synced(_))).collect();
    assert_eq!(synced, [Saw::Synced(SyncPoint(1)), Saw::Synced(SyncPoint(3))]);
}

#[test]
fn a_power_failure_takes_what_was_not_synced_and_what_waited_for_it() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Write(B, 0));
    simulation.run_until(20 * MILLISECOND, &mut seen);
    simulation.request(A, RequestId(2), Do::Write(B, 1));
    simulation.request_after(3 * MILLISECOND, A, RequestId(3), Do::Send(B, "never asked"));
    simulation.run_until(22 * MILLISECOND, &mut seen);
    simulation.crash(A, CrashKind::Power);
    assert!(!simulation.is_up(A) && !simulation.request(A, RequestId(4), Do::Fetch(0)));
    simulation.restart(A);
    simulation.run_until(SECOND, &mut seen);
    assert_eq!(seen.by(A).last(), Some(&Saw::Started(vec![0], false)));
    assert_eq!(seen.by(B), [Saw::Message(A, "written")]);
}

#[test]
fn a_killed_process_leaves_what_it_wrote_and_corruption_is_reported() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Write(B, 0));
    simulation.run_until(2 * MILLISECOND, &mut seen);
    simulation.crash(A, CrashKind::Process);
    simulation.restart(A);
    simulation.run_until(SECOND, &mut seen);
    assert_eq!(seen.by(A).last(), Some(&Saw::Started(vec![0], false)));
    assert!(simulation.crash(A, CrashKind::Corrupt));
    simulation.restart(A);
    simulation.run_until(SECOND, &mut seen);
    assert_eq!(seen.by(A).last(), Some(&Saw::Started(Vec::new(), true)));
}

#[test]
fn a_timer_set_for_now_fires_after_the_inputs_that_wait() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Timer(Duration::ZERO));
    simulation.request(A, RequestId(2), Do::Send(B, "first"));
    simulation.request(A, RequestId(3), Do::Send(B, "second"));
    simulation.run_until(SECOND, &mut seen);
    let seen = seen.by(A);
    assert_eq!(seen[..3], [Saw::Request(1), Saw::Request(2), Saw::Request(3)]);
    assert!(matches!(seen[3..], [Saw::Timer(_)]));
}

#[test]
fn a_fast_clock_makes_timers_early_and_a_pause_makes_them_late() {
    let (mut simulation, mut seen) = two_nodes();
    let begin = simulation.now();
    for node in [A, B] {
        simulation.request(node, RequestId(1), Do::Timer(Duration::from_secs(1)));
    }
    simulation.run_until(begin + MICROSECOND, &mut seen);
    simulation.set_drift(A, 100_000);
    simulation.pause(B);
    simulation.run_until(begin + 2 * SECOND, &mut seen);
    let timer = |seen: &Seen, node| {
        seen.0.iter().find(|(by, _, saw)| *by == node && matches!(saw, Saw::Timer(_))).map(|(_, at, _)| *at)
    };
    let early = timer(&seen, A).expect("a fast clock gets there") - begin;
    assert!((900 * MILLISECOND..920 * MILLISECOND).contains(&early), "{early}");
    assert_eq!(timer(&seen, B), None);
    simulation.resume(B);
    simulation.run_until(begin + 3 * SECOND, &mut seen);
    assert_eq!(timer(&seen, B), Some(begin + 2 * SECOND));
}

#[test]
fn a_one_way_cut_is_one_way_and_inputs_gather_during_a_pause() {
    let (mut simulation, mut seen) = two_nodes();
    let cut = simulation.partition([(A, B)]);
    simulation.request(A, RequestId(1), Do::Send(B, "lost"));
    simulation.request(B, RequestId(1), Do::Send(A, "arrives"));
    simulation.run_until(10 * MILLISECOND, &mut seen);
    simulation.heal(cut);
    simulation.pause(B);
    simulation.request(A, RequestId(2), Do::Send(B, "waits"));
    simulation.run_until(20 * MILLISECOND, &mut seen);
    assert_eq!(seen.by(A)[1], Saw::Message(B, "arrives"));
    assert_eq!(seen.by(B), [Saw::Request(1)]);
    simulation.resume(B);
    simulation.run_until(30 * MILLISECOND, &mut seen);
    assert_eq!(seen.by(B), [Saw::Request(1), Saw::Message(A, "waits")]);
    assert_eq!(simulation.statistics().count("lost partition"), 1);
}

#[test]
fn a_record_can_be_read_back_before_and_after_its_sync() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Write(B, 0));
    simulation.request(A, RequestId(2), Do::Fetch(0));
    simulation.request_after(50 * MILLISECOND, A, RequestId(3), Do::Fetch(0));
    simulation.request_after(50 * MILLISECOND, A, RequestId(4), Do::Fetch(9));
    simulation.run_until(SECOND, &mut seen);
    let fetched: Vec<Saw> = seen.by(A).into_iter().filter(|saw| matches!(saw, Saw::Fetched(_))).collect();
    assert_eq!(fetched, [Saw::Fetched(Some(0)), Saw::Fetched(Some(0)), Saw::Fetched(None)]);
}

#[test]
fn a_stalled_disk_goes_on_and_a_failed_sync_is_a_crash() {
    let (mut simulation, mut seen) = two_nodes();
    let begin = simulation.now();
    simulation.stall_disk(A, SECOND);
    simulation.request(A, RequestId(1), Do::Write(B, 0));
    simulation.run_until(begin + 2 * SECOND, &mut seen);
    assert_eq!(seen.when(&Saw::Written(0)), begin + SECOND);
    simulation.fail_sync(A);
    simulation.request(A, RequestId(2), Do::Write(B, 1));
    simulation.run_until(begin + 3 * SECOND, &mut seen);
    assert!(!simulation.is_up(A));
    assert!(!seen.by(A).contains(&Saw::Written(1)));
}

#[test]
#[should_panic(expected = "a node never sends to itself")]
fn a_message_to_oneself_is_a_bug() {
    let (mut simulation, mut seen) = two_nodes();
    simulation.request(A, RequestId(1), Do::Send(A, "hello"));
    simulation.run_until(SECOND, &mut seen);
}

#[test]
fn a_nemesis_repairs_what_it_broke() {
    let mut statistics = Statistics::default();
    for seed in 0..20 {
        let mut simulation: Simulation<Probe> = Simulation::new(seed, SimConfig::default());
        for id in 1..=5 {
            simulation.add_node(NodeId(id), ());
        }
        simulation.unleash(FaultPlan::everything(0, 20 * SECOND));
        simulation.run_until(30 * SECOND, &mut Ignore);
        assert!(simulation.node_ids().iter().all(|id| simulation.is_up(*id) && !simulation.is_paused(*id)));
        assert_eq!(simulation.network().partitions(), 0);
        statistics.merge(&simulation.statistics());
    }
    for fault in ["crash", "blackout", "pause", "partition", "disturbed links", "disk", "clock"] {
        assert!(statistics.count_all(fault) >= 10, "hardly any {fault}:\n{statistics}");
    }
    assert_eq!(statistics.count("calm"), 20);
}
