//! Runs a program in rounds, with the faults it is given and no others.
//!
//! In a round every node that is up handles, in this order: its start, the word that what it persisted in the round
//! before is on disk, the messages that arrive, what it is asked, and the timers that have come due. What it sends
//! arrives in the next round. So a node that crashes loses what it persisted in the round before, and a message that
//! did not wait for the disk is then on its way already.

use super::graph::{Cause, Emission, Execution, Fate, Graph, Outage, Sent, Step, StepIndex, Story};
use super::program::{Program, Seen};
use super::{Fault, FaultSet, Judgement, Spec};
use crate::run::panics;
use crate::sim::{Damage, SimulatedDisk};
use quipu_base::{
    Effect, Env, EventId, Input, NodeId, Protocol, RequestId, Rng, StreamId, Support, SyncPoint, Time,
    WallTime,
};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How often timers that are set for at once may set others within a round; the rest waits for the next round.
const PASSES: usize = 16;

type Config<P> = <<P as Program>::Protocol as Protocol>::Config;
type Message<P> = <<P as Program>::Protocol as Protocol>::Message;
type Event<P> = <<P as Program>::Protocol as Protocol>::Event;
type Request<P> = <<P as Program>::Protocol as Protocol>::Request;

/// Runs a program once.
pub(super) fn execute<P: Program + ?Sized>(
    program: &P,
    spec: &Spec,
    faults: &FaultSet,
    story: bool,
) -> Execution {
    let mut run = Run::new(program, spec, faults, story);
    // A node that doubts its own state stops: an assertion that fails is a promise that is broken.
    let whole = panics(|| (1..=spec.last_round).for_each(|round| run.round(round)));
    run.finish(whole.err())
}

struct Run<'a, P: Program + ?Sized> {
    program: &'a P,
    spec: &'a Spec,
    faults: &'a FaultSet,
    round: u32,
    round_length: u64,
    script: Vec<super::program::Line<Request<P>>>,
    nodes: Vec<Node<P::Protocol>>,
    /// By the round of their arrival: the number among the sends, and the message.
    arriving: Vec<Vec<(usize, Message<P>)>>,
    graph: Graph,
    events: Vec<Event<P>>,
    story: Option<Story>,
}

struct Node<P: Protocol> {
    id: NodeId,
    config: P::Config,
    crash: Option<(u32, Option<u32>)>,
    skew: Option<(u32, i32)>,
    pause: Option<(u32, u32)>,
    disk: SimulatedDisk<P::Record>,
    process: Option<Process<P>>,
    last_step: Option<StepIndex>,
    belief: String,
}

struct Process<P: Protocol> {
    protocol: P,
    env: Env<P>,
    timers: BTreeMap<P::Timer, (Time, StepIndex)>,
    /// What waits for the disk, in its order.
    held: Vec<(SyncPoint, Held<P>)>,
    synced: SyncPoint,
    reads: Vec<(StreamId, u64)>,
    still: Option<Still<P>>,
}

/// What a process keeps that is paused.
struct Still<P: Protocol> {
    until: u32,
    /// The first round whose requests it has not heard.
    since: u32,
    /// What it was about to let out.
    held: Vec<Held<P>>,
    /// What came meanwhile.
    came: Vec<(usize, P::Message)>,
}

struct Held<P: Protocol> {
    what: Out<P>,
    step: StepIndex,
    support: Option<Support>,
}

enum Out<P: Protocol> {
    Send(NodeId, P::Message),
    Emit(P::Event),
}

impl<'a, P: Program + ?Sized> Run<'a, P> {
    fn new(program: &'a P, spec: &'a Spec, faults: &'a FaultSet, story: bool) -> Self {
        let cast = program.cast();
        let names = cast.iter().map(|actor| (actor.id, actor.name.to_owned())).collect();
        let node = |id: NodeId, config: Config<P>| Node {
            id,
            config,
            crash: faults.crash(id),
            skew: faults.iter().find_map(|fault| match *fault {
                Fault::Skew { node, round, by } if node == id => Some((round, by)),
                _ => None,
            }),
            pause: faults.pause(id),
            disk: SimulatedDisk::default(),
            process: None,
            last_step: None,
            belief: String::new(),
        };
        let mut arriving = Vec::new();
        arriving.resize_with(spec.last_round as usize + 2, Vec::new);
        Run {
            program,
            spec,
            faults,
            round: 0,
            round_length: program.round().as_nanos() as u64,
            script: program.script(),
            nodes: cast.into_iter().map(|actor| node(actor.id, actor.config)).collect(),
            arriving,
            graph: Graph::default(),
            events: Vec::new(),
            story: story.then(|| Story { nodes: names, ..Story::default() }),
        }
    }

    fn round(&mut self, round: u32) {
        self.round = round;
        let mut arriving: Vec<Vec<(usize, Message<P>)>> = self.nodes.iter().map(|_| Vec::new()).collect();
        for (number, message) in std::mem::take(&mut self.arriving[round as usize]) {
            let to = self.graph.sends[number].to;
            let place = self.nodes.iter().position(|node| node.id == to);
            arriving[place.expect("messages go to nodes of the cast")].push((number, message));
        }
        for (place, messages) in arriving.into_iter().enumerate() {
            self.turn(place, messages);
        }
    }

    /// One node's part of a round.
    fn turn(&mut self, place: usize, messages: Vec<(usize, Message<P>)>) {
        let round = self.round;
        match self.nodes[place].crash {
            Some((from, _)) if from == round => self.stop(place),
            Some((_, Some(until))) if until == round => self.start(place, Cause::Recovered),
            _ if round == 1 => self.start(place, Cause::Start),
            _ => {}
        }
        if self.nodes[place].process.is_none() {
            for (number, _) in messages {
                self.graph.sends[number].fate = Fate::Dead;
            }
            return;
        }
        let Some((messages, since)) = self.wake(place, messages) else { return };
        self.sync(place);
        self.read_back(place);
        for (number, message) in messages {
            let from = self.graph.sends[number].from;
            let step = self.step(place, Cause::Message(number), Input::Message { from, message });
            self.graph.sends[number].fate = Fate::Handled(step);
        }
        self.ask(place, since);
        self.fire_timers(place);
        self.note_belief(place);
    }

    /// What a node has to handle in this round, and since when it has not been asked anything; nothing if it is paused.
    #[allow(clippy::type_complexity, reason = "messages with their numbers, as everywhere here")]
    fn wake(
        &mut self,
        place: usize,
        messages: Vec<(usize, Message<P>)>,
    ) -> Option<(Vec<(usize, Message<P>)>, u32)> {
        let round = self.round;
        let node = &mut self.nodes[place];
        let process = node.process.as_mut().expect("only a running node wakes");
        let Some(still) = &mut process.still else {
            process.still = match node.pause {
                Some((begin, until)) if begin == round => {
                    Some(Still { until, since: round + 1, held: Vec::new(), came: Vec::new() })
                }
                _ => None,
            };
            return Some((messages, round));
        };
        still.came.extend(messages);
        if round < still.until {
            return None;
        }
        let Still { held, came, since, .. } = process.still.take().expect("it was there");
        held.into_iter().for_each(|held| self.let_out(place, held));
        Some((came, since))
    }

    /// The power fails: what was persisted and not synced is gone.
    fn stop(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let (id, crash) = (node.id, node.crash);
        let still = node.process.take().and_then(|process| process.still);
        for (number, _) in still.into_iter().flat_map(|still| still.came) {
            self.graph.sends[number].fate = Fate::Dead;
        }
        node.disk.crash(Damage::LoseUnsynced, &mut Rng::with_seed(id.0));
        let (round, until) = crash.expect("a node that stops has been told to crash");
        self.graph.outages.push(Outage { node: id, round, until });
    }

    fn start(&mut self, place: usize, cause: Cause) {
        let step = self.new_step(place, cause, String::new());
        let (now, wall) = self.clock(place);
        let node = &mut self.nodes[place];
        let mut env = Env::new(node.id.0);
        env.set_trace(true);
        env.begin(now, wall, event(step));
        let durable = node.disk.recover();
        if let Some(story) = &mut self.story {
            story.steps[step] = format!("with {}", count(durable.records.len() as u64));
        }
        let protocol = Protocol::start(node.config.clone(), durable, &mut env);
        node.process = Some(Process {
            protocol,
            env,
            timers: BTreeMap::new(),
            held: Vec::new(),
            synced: SyncPoint::NONE,
            reads: Vec::new(),
            still: None,
        });
        self.carry_out(place, step);
    }

    /// What was persisted in an earlier round is on disk now.
    fn sync(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let Some(process) = &mut node.process else { return };
        let tail = node.disk.tail();
        if tail <= process.synced {
            return;
        }
        node.disk.sync(tail);
        process.synced = tail;
        let released: Vec<Held<P::Protocol>> = process.held.drain(..).map(|(_, held)| held).collect();
        for held in released {
            self.let_out(place, held);
        }
        self.step(place, Cause::Synced, Input::Synced(tail));
    }

    fn read_back(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let reads = node.process.as_mut().map(|process| std::mem::take(&mut process.reads));
        for (stream, index) in reads.unwrap_or_default() {
            let record = self.nodes[place].disk.read(stream, index).cloned();
            self.step(place, Cause::Fetched, Input::Fetched { stream, index, record });
        }
    }

    fn ask(&mut self, place: usize, since: u32) {
        let (id, round) = (self.nodes[place].id, self.round);
        let mut number = 0;
        let rounds = since..=round;
        while let Some(at) =
            self.script.iter().position(|line| rounds.contains(&line.round) && line.node == id)
        {
            let line = self.script.remove(at);
            number += 1;
            let id = RequestId(u64::from(round) << 16 | number);
            self.step(place, Cause::Request, Input::Request { id, request: line.request });
        }
    }

    fn fire_timers(&mut self, place: usize) {
        let (now, _) = self.clock(place);
        for _ in 0..PASSES {
            let process = self.nodes[place].process.as_ref().expect("only a running node has timers");
            let mut due: Vec<_> = process
                .timers
                .iter()
                .filter(|(_, (at, _))| *at <= now)
                .map(|(timer, (at, set_by))| (*at, *timer, *set_by))
                .collect();
            if due.is_empty() {
                return;
            }
            due.sort_unstable();
            for (at, timer, set_by) in due {
                let process = self.nodes[place].process.as_mut().expect("a node runs through its turn");
                // An earlier one of this pass may have cancelled or moved it.
                if process.timers.get(&timer) == Some(&(at, set_by)) {
                    process.timers.remove(&timer);
                    self.step(place, Cause::Timer(set_by), Input::Timer(timer));
                }
            }
        }
    }

    fn note_belief(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if let (Some(story), Some(process)) = (&mut self.story, &node.process) {
            let belief = self.program.belief(&process.protocol);
            if belief != node.belief {
                story.beliefs.push((node.id, self.round, belief.clone()));
                node.belief = belief;
            }
        }
    }

    fn step(&mut self, place: usize, cause: Cause, input: Input<P::Protocol>) -> StepIndex {
        let text = if self.story.is_some() { self.describe(&input) } else { String::new() };
        let step = self.new_step(place, cause, text);
        let (now, wall) = self.clock(place);
        let process = self.nodes[place].process.as_mut().expect("only a running node takes steps");
        process.env.begin(now, wall, event(step));
        process.protocol.step(input, &mut process.env);
        self.carry_out(place, step);
        step
    }

    fn new_step(&mut self, place: usize, cause: Cause, text: String) -> StepIndex {
        let node = &mut self.nodes[place];
        let step = self.graph.steps.len();
        self.graph.steps.push(Step { node: node.id, round: self.round, cause, previous: node.last_step });
        node.last_step = Some(step);
        if let Some(story) = &mut self.story {
            story.steps.push(text);
        }
        step
    }

    /// Does what a step asked for, in its order.
    fn carry_out(&mut self, place: usize, step: StepIndex) {
        let process = self.nodes[place].process.as_mut().expect("only a running node takes steps");
        process.protocol.check();
        let effects: Vec<Effect<P::Protocol>> = process.env.drain().collect();
        let mut support = None;
        for effect in effects {
            let node = &mut self.nodes[place];
            let process = node.process.as_mut().expect("a node runs through its turn");
            match effect {
                Effect::Because(because) => support = because,
                Effect::Send { to, message, after } => {
                    assert_ne!(to, node.id, "a node never sends to itself");
                    let held = Held { what: Out::Send(to, message), step, support: support.clone() };
                    self.hold(place, after, held);
                }
                Effect::Emit(emitted) => {
                    let named = !emitted.because.is_empty();
                    let because = named.then(|| Support::all(emitted.because));
                    let support = support.clone().or(because);
                    self.hold(place, emitted.after, Held { what: Out::Emit(emitted.event), step, support });
                }
                Effect::Persist(record) => {
                    node.disk.persist(record);
                }
                Effect::SetTimer { timer, at } => {
                    process.timers.insert(timer, (at, step));
                }
                Effect::CancelTimer(timer) => {
                    process.timers.remove(&timer);
                }
                Effect::Fetch { stream, index } => process.reads.push((stream, index)),
            }
        }
    }

    /// Lets something out at once, or when what it waits for is on disk.
    fn hold(&mut self, place: usize, after: SyncPoint, held: Held<P::Protocol>) {
        let process = self.nodes[place].process.as_mut().expect("a node runs through its turn");
        if after <= process.synced {
            self.let_out(place, held);
        } else {
            process.held.push((after, held));
        }
    }

    fn let_out(&mut self, place: usize, held: Held<P::Protocol>) {
        let process = self.nodes[place].process.as_mut();
        if let Some(still) = process.and_then(|process| process.still.as_mut()) {
            still.held.push(held);
            return;
        }
        let Held { what, step, support } = held;
        let node = self.nodes[place].id;
        match what {
            Out::Send(to, message) => self.send(node, to, message, step, support),
            Out::Emit(event) => {
                if let Some(story) = &mut self.story {
                    story.emissions.push(self.program.event(&event));
                }
                self.graph.emissions.push(Emission { node, round: self.round, step, support });
                self.events.push(event);
            }
        }
    }

    fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: Message<P>,
        step: StepIndex,
        support: Option<Support>,
    ) {
        if let Some(story) = &mut self.story {
            story.sends.push(self.program.describe(&message));
        }
        let round = self.round;
        let delay = (1..=self.spec.reach)
            .find(|by| self.faults.contains(&Fault::Delay { from, to, round, by: *by }))
            .unwrap_or(0);
        let arrives = round + 1 + delay;
        let lost = self.faults.loses(from, to, round);
        let fate = if lost { Fate::Lost } else { Fate::Flying };
        let number = self.graph.sends.len();
        self.graph.sends.push(Sent { from, to, round, arrives, step, support, fate });
        if !lost && arrives <= self.spec.last_round {
            self.arriving[arrives as usize].push((number, message));
        }
    }

    fn describe(&self, input: &Input<P::Protocol>) -> String {
        match input {
            Input::Message { message, .. } => self.program.describe(message),
            Input::Request { request, .. } => format!("{request:?}"),
            Input::Timer(timer) => format!("{timer:?}"),
            Input::Synced(point) => count(point.0),
            Input::Fetched { stream, index, .. } => format!("{stream:?} {index}"),
        }
    }

    /// What time it is for a node. Clocks begin at the first round.
    fn clock(&self, place: usize) -> (Time, WallTime) {
        let round = i64::from(self.round);
        let local = match self.nodes[place].skew {
            Some((from, by)) if self.round >= from && by > 0 => round + i64::from(by),
            Some((from, by)) if self.round >= from => {
                (round + i64::from(by)).max(i64::from(from) - 1).min(round)
            }
            _ => round,
        };
        let nanoseconds = local.unsigned_abs() * self.round_length;
        (Time(nanoseconds), WallTime((nanoseconds / 1_000_000) as i64))
    }

    fn finish(self, panic: Option<String>) -> Execution {
        let seen = Seen { events: &self.events, graph: &self.graph };
        let running: Vec<(NodeId, &P::Protocol)> =
            self.nodes.iter().filter_map(|node| Some((node.id, &node.process.as_ref()?.protocol))).collect();
        let judge = || {
            let alike = self.program.compare(&running);
            alike.map_or_else(Judgement::Broken, |()| self.program.judge(&seen))
        };
        let judgement = panic.map_or_else(judge, Judgement::Broken);
        let reached = self.program.reached(&seen);
        let outcome = hash(&self.program.outcome(&seen));
        let breaks = self.story.is_some() && judgement.is_broken();
        let breaks = if breaks { self.breaks() } else { None };
        let (graph, story) = (self.graph, self.story.map(|story| Story { breaks, ..story }));
        Execution { faults: self.faults.clone(), judgement, outcome, reached, graph, story }
    }
}

impl<P: Program + ?Sized> Run<'_, P> {
    /// The event by which the promise was broken: up to it it was kept, and from it on it never was again.
    fn breaks(&self) -> Option<usize> {
        (0..self.events.len()).rev().find(|told| {
            let seen = Seen { events: &self.events[..*told], graph: &self.graph };
            !self.program.judge(&seen).is_broken()
        })
    }
}

fn hash(outcome: &BTreeSet<(NodeId, String)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    hasher.finish()
}

fn event(step: StepIndex) -> EventId {
    EventId(step as u64 + 1)
}

fn count(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}
