//! Clients of locks in the simulation, and what they hold the service to.
//!
//! | promise | how it is checked |
//! |---|---|
//! | at most so many hold a lock as it has permits, a resting one counted | what nodes tell, entry by entry: [`truth`] |
//! | tokens grow over everything, and are the indices of their entries | likewise |
//! | all nodes tell the same of each entry, and in the log's order | likewise |
//! | a request is granted once, and a retry hears of the same grant | likewise, and every answer |
//! | first come, first served | who was seen behind whom in a queue, and who was granted first |
//! | a lease lasts as long as promised, or longer: a new leader begins it again | the time of its end in the simulated world |
//! | who counts its lease right is not mistaken | what every holder believes, whenever it does something, unless its clock has jumped |
//! | no stale holder's write is accepted | [`storage`], the service's own fence, guarded writes of its tree |
//! | replicas agree | bytes of their locks, and what their trees show, at equal indices: several times a second |

mod holder;
mod storage;
mod truth;

use crate::sim::{Emission, MICROSECOND, MILLISECOND, Nanoseconds, Simulation, Statistics};
use bytes::Bytes;
use holder::Holder;
use quipu_base::{NodeId, RequestId};
use quipu_machines::locks::{self, Token};
use quipu_services::coordination::{Answer, Ask, Coordination, Event, NotDone, Request, grant_path};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use storage::Storage;
use truth::Truth;

/// What there is to hold. Writes go to the storage under the first.
struct Kind {
    name: &'static str,
    permits: u32,
    delay_ms: u64,
}

const LOCKS: [Kind; 4] = [
    Kind { name: "locks/one", permits: 1, delay_ms: 0 },
    Kind { name: "locks/two", permits: 2, delay_ms: 0 },
    Kind { name: "locks/rests", permits: 1, delay_ms: 150 },
    Kind { name: "elections/leader", permits: 1, delay_ms: 0 },
];

/// Alarms of holders, and of the comparison, are above this.
const ALARM: u64 = 1 << 40;
const COMPARE: u64 = ALARM - 1;
/// How long a holder thinks between two things it does, at most.
const THINKING: Nanoseconds = 12 * MILLISECOND;
/// How often replicas are compared.
const COMPARISON: Nanoseconds = 300 * MILLISECOND;

/// What was asked of a node.
struct Asked {
    holder: usize,
    purpose: Purpose,
}

/// What for.
#[derive(Clone, Debug)]
enum Purpose {
    Acquire {
        lock: usize,
        request: SmolStr,
    },
    /// With the holder's clock when it asked.
    Renew {
        token: Token,
        asked: Nanoseconds,
    },
    Guard {
        token: Token,
    },
    Write {
        token: Token,
    },
    Other,
}

/// What was done, so that a run that found nothing says something.
#[derive(Default)]
struct Counts {
    answers: u64,
    not_done: u64,
    granted: u64,
    renewed: u64,
    pauses: u64,
    jumps: u64,
    guards_passed: u64,
    guards_refused: u64,
    writes_done: u64,
    writes_refused: u64,
    compared: u64,
}

/// What a holder may do to the world, and what it leaves behind.
struct Surroundings<'a> {
    simulation: &'a mut Simulation<Coordination>,
    storage: &'a mut Storage,
    truth: &'a mut Truth,
    counts: &'a mut Counts,
    asked: &'a mut BTreeMap<u64, Asked>,
    last: &'a mut u64,
    ttl_ms: u64,
    jumps: bool,
    calm: bool,
}

impl Surroundings<'_> {
    fn now(&self) -> Nanoseconds {
        self.simulation.now()
    }

    fn random(&mut self, bound: u64) -> u64 {
        self.simulation.random().u64(..bound)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.simulation.random().f64() < probability
    }

    fn number(&mut self) -> u64 {
        *self.last += 1;
        *self.last
    }

    fn pick_node(&mut self) -> Option<NodeId> {
        let mut nodes = self.simulation.node_ids();
        nodes.retain(|node| self.simulation.is_up(*node));
        (!nodes.is_empty()).then(|| nodes[self.random(nodes.len() as u64) as usize])
    }

    /// How long a message of a client travels: mostly as in a good network, now and then for longer than any lease.
    fn travels(&mut self) -> Nanoseconds {
        let usual = 50 * MICROSECOND + self.random(2 * MILLISECOND);
        let late = !self.calm && self.chance(0.01);
        usual + if late { self.random(3 * self.ttl_ms * MILLISECOND) } else { 0 }
    }

    fn ask(&mut self, node: NodeId, ask: Ask, asked: Asked) {
        let number = ALARM + self.number();
        self.asked.insert(number, asked);
        let delay = self.travels();
        self.simulation.request_after(delay, node, RequestId(number), Request::Ask(ask));
    }

    fn write_to_storage(&mut self, token: Token) {
        let at = self.now() + self.travels();
        self.storage.send(at, token);
    }
}

/// All holders, and everything that they and the nodes have told.
pub(super) struct Holders {
    holders: Vec<Holder>,
    /// What is on its way to each: when it arrives, and what.
    coming: BTreeMap<(Nanoseconds, u64), Heard>,
    storage: Storage,
    truth: Truth,
    counts: Counts,
    asked: BTreeMap<u64, Asked>,
    last: u64,
    ttl_ms: u64,
    jumps: bool,
    calm: bool,
    /// What replicas held, by the last entry applied.
    replicas: BTreeMap<i64, Bytes>,
}

/// Something that a holder hears.
enum Heard {
    Answer(Asked, Result<(u64, Answer), NotDone>),
    Turn { holder: usize, request: SmolStr, token: Token },
    Withdrawn { holder: usize, request: SmolStr },
}

impl Holders {
    /// So many, with leases of this length, and a storage that checks tokens or not.
    pub(super) fn new(count: usize, ttl_ms: u64, jumps: bool, fenced: bool) -> Self {
        Holders {
            holders: (0..count).map(Holder::new).collect(),
            coming: BTreeMap::new(),
            storage: Storage::new(fenced),
            truth: Truth::default(),
            counts: Counts::default(),
            asked: BTreeMap::new(),
            last: 0,
            ttl_ms,
            jumps,
            calm: false,
            replicas: BTreeMap::new(),
        }
    }

    pub(super) fn begin(&self, simulation: &mut Simulation<Coordination>) {
        for index in 0..self.holders.len() as u64 {
            simulation.alarm(index * MILLISECOND, ALARM + index);
        }
        if !self.holders.is_empty() {
            simulation.alarm(COMPARISON, COMPARE);
        }
    }

    pub(super) fn calm(&mut self) {
        self.calm = true;
    }

    /// Whether this alarm was theirs.
    pub(super) fn alarm(&mut self, simulation: &mut Simulation<Coordination>, tag: u64) -> bool {
        if tag == COMPARE {
            self.compare(simulation);
            simulation.alarm(COMPARISON, COMPARE);
            return true;
        }
        let Some(index) = tag.checked_sub(ALARM).map(|index| index as usize) else { return false };
        if index >= self.holders.len() {
            return false;
        }
        self.deliver(simulation);
        self.act(simulation, index);
        let pause = 1 + simulation.random().u64(..THINKING);
        simulation.alarm(pause, tag);
        true
    }

    /// A node has told something; whether it was for them.
    pub(super) fn emitted(
        &mut self,
        simulation: &mut Simulation<Coordination>,
        emission: &Emission<Coordination>,
    ) {
        let (node, now) = (emission.node, simulation.now());
        match &emission.event {
            Event::Lock { index, event } => {
                if self.holders.is_empty() {
                    return;
                }
                self.truth.told(node, emission.incarnation, *index, event, now);
                let lock = simulation.node(node).and_then(|node| node.locks().lock(event.name()));
                if let Some(lock) = lock {
                    self.truth.queue(event.name(), lock);
                }
                self.tell_whose_turn_it_is(simulation, node, event);
            }
            Event::Answered { id, result } => {
                if let Some(asked) = self.asked.remove(&id.0) {
                    self.send(simulation, Heard::Answer(asked, result.clone()));
                }
            }
            Event::Restored { .. } => self.node_lost(node),
            _ => {}
        }
    }

    pub(super) fn node_lost(&mut self, node: NodeId) {
        self.holders.iter_mut().for_each(|holder| holder.node_lost(node));
    }

    /// Whoever waits at this node for what has just happened hears of it.
    fn tell_whose_turn_it_is(
        &mut self,
        simulation: &mut Simulation<Coordination>,
        node: NodeId,
        event: &locks::Event,
    ) {
        let request = match event {
            locks::Event::Granted { grant, .. } => &grant.claim.request,
            locks::Event::Withdrawn { request, .. } => request,
            locks::Event::Ended { .. } => return,
        };
        let waits = |holder: &Holder| holder.waits_at() == Some((node, request));
        let Some(holder) = self.holders.iter().position(waits) else { return };
        let request = request.clone();
        let heard = match event {
            locks::Event::Granted { grant, .. } => Heard::Turn { holder, request, token: grant.token },
            _ => Heard::Withdrawn { holder, request },
        };
        self.send(simulation, heard);
    }

    fn send(&mut self, simulation: &mut Simulation<Coordination>, heard: Heard) {
        let travels = self.around(simulation, |_, around| around.travels());
        self.last += 1;
        self.coming.insert((simulation.now() + travels, self.last), heard);
    }

    /// Lets everything arrive that is due; who sleeps hears it later.
    fn deliver(&mut self, simulation: &mut Simulation<Coordination>) {
        let now = simulation.now();
        self.storage.handle(now, &self.truth);
        let mut later = Vec::new();
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= now) {
            let (key, heard) = entry.remove_entry();
            let index = match &heard {
                Heard::Answer(asked, _) => asked.holder,
                Heard::Turn { holder, .. } | Heard::Withdrawn { holder, .. } => *holder,
            };
            if self.holders[index].sleeps(now) {
                later.push((key, heard));
                continue;
            }
            self.around(simulation, |holders, around| match heard {
                Heard::Answer(Asked { purpose, .. }, result) => holders[index].hear(purpose, result, around),
                Heard::Turn { request, token, .. } => holders[index].granted(&request, token, around),
                Heard::Withdrawn { request, .. } => holders[index].withdrawn(&request),
            });
        }
        self.coming.extend(later);
    }

    fn act(&mut self, simulation: &mut Simulation<Coordination>, index: usize) {
        let now = simulation.now();
        for holder in self.holders.iter().filter(|holder| !holder.jumped) {
            if let Some(token) = holder.believes(now) {
                let granted = &self.truth.grants[&token];
                assert!(
                    self.truth.may_be_believed(token),
                    "a holder of {} counts its lease right, believes in {token:?}, and that has ended: {:?}",
                    granted.name,
                    granted.ended
                );
            }
        }
        if !self.holders[index].sleeps(now) {
            self.around(simulation, |holders, around| holders[index].act(around));
        }
    }

    fn around<R>(
        &mut self,
        simulation: &mut Simulation<Coordination>,
        act: impl FnOnce(&mut [Holder], &mut Surroundings<'_>) -> R,
    ) -> R {
        let mut around = Surroundings {
            simulation,
            storage: &mut self.storage,
            truth: &mut self.truth,
            counts: &mut self.counts,
            asked: &mut self.asked,
            last: &mut self.last,
            ttl_ms: self.ttl_ms,
            jumps: self.jumps,
            calm: self.calm,
        };
        act(&mut self.holders, &mut around)
    }

    /// Replicas that have applied the same entries hold the same locks, byte for byte, and their trees show them.
    fn compare(&mut self, simulation: &Simulation<Coordination>) {
        for id in simulation.node_ids() {
            let Some(node) = simulation.node(id) else { continue };
            let (locks, tree) = (node.locks(), node.tree());
            locks.check_invariants();
            let bytes = locks.snapshot();
            let same = self.replicas.entry(tree.last_zxid()).or_insert_with(|| bytes.clone());
            assert_eq!(*same, bytes, "{id} holds other locks than others after {}", tree.last_zxid());
            let mut shown = 0;
            for (name, lock) in locks.locks_after("") {
                for token in lock.holders.keys() {
                    let path = grant_path(name, *token).expect("names have a namespace");
                    assert!(tree.exists(&path).is_ok(), "{id} does not show {path}");
                    shown += 1;
                }
            }
            let children = |path| tree.children(path, &[]).map_or(0, |(names, _)| names.len());
            let grants = children("/quipu/locks") + children("/quipu/elections");
            assert_eq!(grants, shown, "{id} shows grants that have ended");
            self.counts.compared += 1;
        }
    }

    /// What must hold in the end.
    pub(super) fn judge(&mut self, simulation: &Simulation<Coordination>) {
        self.compare(simulation);
        self.truth.judge();
        for (index, holder) in self.holders.iter().enumerate() {
            assert!(holder.done_since_calm > 0, "holder {index} got nowhere after the faults ended");
        }
    }

    pub(super) fn count(&self, statistics: &mut Statistics) {
        let Counts { answers, not_done, granted, renewed, pauses, jumps, .. } = self.counts;
        let Counts { guards_passed, guards_refused, writes_done, writes_refused, compared, .. } = self.counts;
        for (name, count) in [
            ("holder answers", answers),
            ("holder asks not done", not_done),
            ("holder grants", granted),
            ("holder renewals", renewed),
            ("holder pauses", pauses),
            ("holder clock jumps", jumps),
            ("lock leases expired", self.truth.expired),
            ("lock grants evicted", self.truth.evicted),
            ("lock waiters behind others", self.truth.waited()),
            ("fence passed", guards_passed),
            ("fence refused", guards_refused),
            ("guarded write done", writes_done),
            ("guarded write refused", writes_refused),
            ("storage accepted", self.storage.accepted),
            ("storage refused", self.storage.refused),
            ("lock replicas compared", compared),
        ] {
            statistics.add(name, count);
        }
    }
}
