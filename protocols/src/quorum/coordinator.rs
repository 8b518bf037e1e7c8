//! Gets and puts (section 4.5). Whichever node a client asks coordinates: it asks the key's N homes, and answers when R or
//! W of them have.
//!
//! Whoever has not answered when the coordinator's patience ends is asked again, and suspected; if quorums are sloppy, the next node of
//! the preference list is asked to stand in. An operation that has been answered goes on until all have answered or the deadline has come:
//! a write should reach all N, and a get repairs those that are behind.

use super::{Event, Failure, Key, Message, Quorum, Request, Timer, Value};
use alloc::vec::Vec;
use quipu_base::clocks::{DottedVersions, VectorClock};
use quipu_base::{Env, EventId, NodeId, RequestId, Support, SyncPoint};

/// A request under way.
pub(super) struct Operation<V> {
    request: RequestId,
    pub(super) key: Key,
    /// R or W.
    needed: usize,
    /// One for each of the key's homes.
    pub(super) slots: Vec<Slot<V>>,
    pub(super) task: Task<V>,
    /// Whether the client has been answered.
    told: bool,
}

/// What replicas are asked for.
pub(super) enum Task<V> {
    /// To tell what they hold.
    Get,
    /// To make a version of this value; the home that was asked last.
    Stamp { context: VectorClock, value: V, asked: Option<NodeId> },
    /// To store this, once it is on this node's own disk if it was made here.
    Store { versions: DottedVersions<V>, after: SyncPoint },
}

/// One of a key's homes, or who stands in for it.
pub(super) struct Slot<V> {
    pub(super) home: NodeId,
    stand_in: Option<NodeId>,
    /// The first answer of either.
    pub(super) answer: Option<Answer<V>>,
}

pub(super) struct Answer<V> {
    pub(super) from: NodeId,
    /// The input that it came with.
    event: EventId,
    /// What a get was told.
    pub(super) versions: Option<DottedVersions<V>>,
}

impl<V: Value> Operation<V> {
    /// All that was answered.
    pub(super) fn merged(&self) -> DottedVersions<V> {
        let mut merged = DottedVersions::new();
        self.answers().filter_map(|answer| answer.versions.as_ref()).for_each(|held| merged.sync(held));
        merged
    }

    fn answers(&self) -> impl Iterator<Item = &Answer<V>> {
        self.slots.iter().filter_map(|slot| slot.answer.as_ref())
    }

    fn silent(&self) -> impl Iterator<Item = &Slot<V>> {
        self.slots.iter().filter(|slot| slot.answer.is_none())
    }
}

impl<V: Value> Quorum<V> {
    /// A client asks for something.
    pub(super) fn begin(&mut self, request: RequestId, asked: Request<V>, env: &mut Env<Self>) {
        let (key, needed, task) = match asked {
            Request::Get { key, read } => (key, read, Task::Get),
            Request::Put { key, context, value, write } => {
                (key, write, Task::Stamp { context, value, asked: None })
            }
            Request::Delete { key, context, write } => {
                let mut versions = DottedVersions::new();
                versions.discard(&context);
                (key, write, Task::Store { versions, after: SyncPoint::NONE })
            }
        };
        let replicas = self.config.replicas;
        if !(1..=replicas).contains(&needed) {
            return fail(request, Failure::NoSuchQuorum { needed, replicas }, env);
        }
        if !self.make_room() {
            self.counters.refused_operations += 1;
            return fail(request, Failure::Busy, env);
        }
        // Drawn, because numbers must not come again after a restart: an answer to an operation from before would count for another.
        let number = env.random().u64(..) ^ env.now().0.rotate_left(32);
        let slots = self.homes(&key).into_iter().map(|home| Slot { home, stand_in: None, answer: None });
        let operation = Operation { request, key, needed, slots: slots.collect(), task, told: false };
        self.operations.insert(number, operation);
        env.set_timer(Timer::Patience(number), env.now() + self.config.patience);
        env.set_timer(Timer::Deadline(number), env.now() + self.config.deadline);
        env.because(Support::given);
        self.find_stand_ins(number, env);
        self.ask(number, env);
    }

    /// Room for another operation, if need be in place of one whose client has been answered.
    fn make_room(&mut self) -> bool {
        if self.operations.len() < self.config.limits.operations {
            return true;
        }
        let answered =
            self.operations.iter().find(|(_, operation)| operation.told).map(|(number, _)| *number);
        self.counters.abandoned_operations += u64::from(answered.is_some());
        answered.is_some_and(|number| self.operations.remove(&number).is_some())
    }

    /// Patience has ended: those who are silent are suspected and asked again, and others besides.
    pub(super) fn ask_again(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number) else { return };
        let silent: Vec<NodeId> = match &operation.task {
            Task::Stamp { asked, .. } => asked.iter().copied().collect(),
            Task::Get | Task::Store { .. } => {
                operation.silent().flat_map(|slot| [Some(slot.home), slot.stand_in]).flatten().collect()
            }
        };
        silent.into_iter().for_each(|node| self.suspect(node, env));
        self.find_stand_ins(number, env);
        env.set_timer(Timer::Patience(number), env.now() + self.config.patience);
        self.ask(number, env);
    }

    /// Gives every silent slot whose nodes are suspected the next node of the preference list that nobody suspects.
    fn find_stand_ins(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number).filter(|_| self.config.sloppy) else { return };
        let list = self.config.placement.preference(&operation.key);
        let taken: Vec<NodeId> = operation.slots.iter().filter_map(|slot| slot.stand_in).collect();
        let spare = list.into_iter().skip(self.config.replicas);
        let mut spare = spare
            .filter(|node| !taken.contains(node) && !self.is_suspected(*node, env))
            .collect::<Vec<_>>()
            .into_iter();
        let suspected = |slot: &Slot<V>| {
            [Some(slot.home), slot.stand_in].into_iter().flatten().all(|node| self.is_suspected(node, env))
        };
        let wanting: Vec<NodeId> =
            operation.silent().filter(|slot| suspected(slot)).map(|slot| slot.home).collect();
        let operation = self.operations.get_mut(&number).expect("it was there just now");
        for slot in operation.slots.iter_mut().filter(|slot| wanting.contains(&slot.home)) {
            slot.stand_in = spare.next().or(slot.stand_in);
        }
    }

    /// Asks everybody who has not answered. A home that is suspected is asked, too: that is how it is found to be back.
    fn ask(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number) else { return };
        let key = operation.key.clone();
        let (message, after) = match &operation.task {
            Task::Stamp { .. } => return self.ask_for_version(number, env),
            Task::Get => (Message::Read { operation: number, key }, SyncPoint::NONE),
            Task::Store { versions, after } => {
                let versions = versions.clone();
                (Message::Store { operation: number, key, versions, stands_in_for: None }, *after)
            }
        };
        let silent: Vec<(NodeId, Option<NodeId>)> =
            operation.silent().map(|slot| (slot.home, slot.stand_in)).collect();
        for (home, stand_in) in silent {
            self.say(after, home, message.clone(), env);
            if let Some(stand_in) = stand_in {
                self.say(after, stand_in, message.clone().instead_of(home), env);
            }
        }
    }

    /// A put needs a version first: from this node if it is a home, else from a home, else, if quorums are sloppy, from this node for one.
    fn ask_for_version(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number) else { return };
        let Task::Stamp { context, value, asked } = &operation.task else { return };
        let (key, context, value) = (operation.key.clone(), context.clone(), value.clone());
        let homes: Vec<NodeId> = operation.slots.iter().map(|slot| slot.home).collect();
        if homes.contains(&self.config.id) {
            let made = self.make_version(&key, &context, value, env);
            return self.made(number, made.map(Some), env);
        }
        let next = homes.iter().position(|home| Some(*home) == *asked).map_or(0, |place| place + 1);
        let from_next = (0..homes.len()).map(|step| homes[(next + step) % homes.len()]);
        let reachable = from_next.clone().find(|home| !self.is_suspected(*home, env));
        if reachable.is_none() && self.config.sloppy {
            let operation = self.operations.get_mut(&number).expect("it was there just now");
            let mine =
                operation.slots.iter().position(|slot| slot.stand_in == Some(self.config.id)).unwrap_or(0);
            operation.slots[mine].stand_in = Some(self.config.id);
            let made = self.make_version_for(homes[mine], &key, (&context, value), env);
            return self.made(number, made, env);
        }
        let Some(home) = reachable.or_else(|| from_next.clone().next()) else { return };
        if let Some(Operation { task: Task::Stamp { asked, .. }, .. }) = self.operations.get_mut(&number) {
            *asked = Some(home);
        }
        env.because(Support::given);
        env.send(home, Message::Stamp { operation: number, key, context, value });
    }

    /// This node has made the version, or has found too many siblings, or no room for a hint: then it tries again later.
    fn made(
        &mut self,
        number: u64,
        made: Result<Option<(DottedVersions<V>, SyncPoint)>, usize>,
        env: &mut Env<Self>,
    ) {
        match made {
            Ok(Some((versions, after))) => {
                let operation = self.operations.get_mut(&number).expect("a version is made for an operation");
                let why = self.replica.kept(&operation.key).map(|kept| kept.why.clone());
                operation.task = Task::Store { versions, after };
                why.unwrap_or_default().lean(env);
                self.ask(number, env);
            }
            Ok(None) => {}
            Err(siblings) => self.give_up(number, Failure::TooManySiblings(siblings), env),
        }
    }

    /// A home has made the version, and has it on disk: it is the first of W, and the others are sent it.
    pub(super) fn stamped(
        &mut self,
        from: NodeId,
        number: u64,
        versions: DottedVersions<V>,
        env: &mut Env<Self>,
    ) {
        let operation = self.operations.get_mut(&number);
        let Some(operation) = operation.filter(|operation| matches!(operation.task, Task::Stamp { .. }))
        else {
            self.counters.ignored += 1;
            return;
        };
        operation.task = Task::Store { versions, after: SyncPoint::NONE };
        self.answered(from, number, None, env);
        let event = env.event();
        env.because(|| Support::all([event]));
        self.ask(number, env);
    }

    /// A home has refused to make a version.
    pub(super) fn overgrown(&mut self, number: u64, siblings: usize, env: &mut Env<Self>) {
        self.give_up(number, Failure::TooManySiblings(siblings), env);
    }

    /// A replica has answered: it has stored what it was sent, or tells what it holds.
    pub(super) fn answered(
        &mut self,
        from: NodeId,
        number: u64,
        versions: Option<DottedVersions<V>>,
        env: &mut Env<Self>,
    ) {
        let operation = self.operations.get_mut(&number);
        let fits = |operation: &&mut Operation<V>| match operation.task {
            Task::Get => versions.is_some(),
            Task::Store { .. } => versions.is_none(),
            Task::Stamp { .. } => false,
        };
        let Some(operation) = operation.filter(fits) else {
            self.counters.ignored += 1;
            return;
        };
        let slots = &mut operation.slots;
        let slot = slots.iter_mut().find(|slot| slot.home == from || slot.stand_in == Some(from));
        let Some(slot) = slot.filter(|slot| slot.answer.is_none()) else { return };
        slot.answer = Some(Answer { from, event: env.event(), versions });
        let answers = operation.answers().count();
        let all = answers == operation.slots.len();
        if answers >= operation.needed && !operation.told {
            operation.told = true;
            tell(operation, env);
        }
        if all {
            self.finish(number, env);
        }
    }

    /// All have answered, or the deadline has come.
    pub(super) fn finish(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.remove(&number) else { return };
        env.cancel_timer(Timer::Patience(number));
        env.cancel_timer(Timer::Deadline(number));
        env.because_of_everything();
        if !operation.told {
            let (answered, needed) = (operation.answers().count(), operation.needed);
            fail(operation.request, Failure::NotEnoughReplicas { answered, needed }, env);
        }
        if self.config.read_repair {
            self.read_repair(&operation, env);
        }
    }

    fn give_up(&mut self, number: u64, failure: Failure, env: &mut Env<Self>) {
        let Some(operation) = self.operations.remove(&number) else { return };
        env.cancel_timer(Timer::Patience(number));
        env.cancel_timer(Timer::Deadline(number));
        fail(operation.request, failure, env);
    }
}

/// Tells the client that enough have answered.
fn tell<V: Value>(operation: &Operation<V>, env: &mut Env<Quorum<V>>) {
    let id = operation.request;
    match &operation.task {
        Task::Store { versions, .. } => {
            env.because(|| Support::all(operation.answers().map(|answer| answer.event)));
            env.emit(Event::Written { id, versions: versions.clone() });
        }
        Task::Get | Task::Stamp { .. } => {
            env.because_of_everything();
            env.emit(Event::Got { id, versions: operation.merged() });
        }
    }
}

fn fail<V: Value>(id: RequestId, failure: Failure, env: &mut Env<Quorum<V>>) {
    env.emit(Event::Failed { id, failure });
}
