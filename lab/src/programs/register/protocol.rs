//! The protocol: one replica, which also runs the operations that clients ask of it.

use quipu_base::quorum::majority;
use quipu_base::{Durable, Env, Input, NodeId, Place, Protocol, Record, RequestId, StreamId, SyncPoint};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an operation waits for answers before it asks again.
const RETRY: Duration = Duration::from_millis(15);
/// The most operations at once; more are not begun.
const OPERATIONS: usize = 64;

/// What the operator decides about a replica.
#[derive(Clone, Debug)]
pub struct Config {
    /// This replica.
    pub id: NodeId,
    /// All replicas, this one included.
    pub members: Vec<NodeId>,
    /// A bug to switch on.
    pub planted: Planted,
}

/// Bugs to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Planted {
    /// None.
    #[default]
    Nothing,
    /// A read answers without storing what it has read.
    NoWriteBack,
    /// A replica acknowledges before the value is on its disk.
    AckBeforeDurable,
    /// One replica fewer than a majority is enough.
    QuorumOffByOne,
    /// A damaged replica answers as if nothing had happened.
    TrustDamage,
    /// Tags are not unique: they lack the operation's own number.
    TagsCollide,
    /// A replica keeps what comes last, not what is newest.
    LastWins,
}

/// What orders values: a counter, then what makes it unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tag {
    counter: u64,
    writer: NodeId,
    /// The number of the operation: one writer may begin two with the same counter, the second after a crash in
    /// which it forgot the first.
    operation: u64,
}

/// What replicas say to each other; every operation has a number drawn at random.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// What do you hold?
    Query(u64),
    /// This.
    Holds(u64, Tag, Option<u64>),
    /// Hold this, unless you hold something newer.
    Store(u64, Tag, Option<u64>),
    /// What I hold is at least as new, and on my disk.
    Stored(u64),
}

/// Ask again for this operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Timer(u64);

/// What clients ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// What is the value?
    Read,
    /// The value becomes this.
    Write(u64),
}

/// What clients are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The value.
    Read(RequestId, Option<u64>),
    /// It was written.
    Written(RequestId),
}

/// What is on disk: one cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    version: u64,
    tag: Tag,
    value: Option<u64>,
    /// Whether the replica had been damaged and did not yet know what it may have forgotten.
    forgetful: bool,
}

impl Record for Stored {
    fn place(&self) -> Place {
        Place { stream: StreamId::of(0, 1), first: self.version, index: self.version }
    }
}

/// What an operation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Read(RequestId),
    Write(RequestId, u64),
    /// To learn what this replica may have forgotten.
    Refill,
}

/// One operation on its way.
struct Operation {
    purpose: Purpose,
    /// Whether it asks, or stores `tag` and `value`.
    storing: bool,
    /// Who has answered this phase.
    answered: BTreeSet<NodeId>,
    /// The newest that was told while asking; what to store while storing.
    tag: Tag,
    value: Option<u64>,
}

/// One replica.
pub struct Register {
    config: Config,
    version: u64,
    tag: Tag,
    value: Option<u64>,
    forgetful: bool,
    /// The point at which what is held is on disk.
    held_at: SyncPoint,
    synced: SyncPoint,
    operations: BTreeMap<u64, Operation>,
    /// Own acknowledgements that wait for the disk.
    own: BTreeMap<u64, SyncPoint>,
}

impl Protocol for Register {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Request;
    type Event = Event;
    type Record = Stored;

    fn start(config: Config, durable: Durable<Stored>, env: &mut Env<Self>) -> Self {
        assert!(config.members.contains(&config.id), "a replica is one of the members");
        let last = durable.records.last();
        let mut register = Register {
            version: last.map_or(0, |stored| stored.version),
            tag: last.map_or(Tag::default(), |stored| stored.tag),
            value: last.and_then(|stored| stored.value),
            forgetful: durable.damaged || last.is_some_and(|stored| stored.forgetful),
            held_at: SyncPoint::NONE,
            synced: SyncPoint::NONE,
            operations: BTreeMap::new(),
            own: BTreeMap::new(),
            config,
        };
        if register.config.planted == Planted::TrustDamage {
            register.forgetful = false;
        }
        if register.forgetful {
            register.persist(env);
            register.begin(Purpose::Refill, env);
        }
        register
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Message { from, message } => self.hear(from, message, env),
            Input::Request { id, request: Request::Read } => self.begin(Purpose::Read(id), env),
            Input::Request { id, request: Request::Write(value) } => {
                self.begin(Purpose::Write(id, value), env);
            }
            Input::Timer(Timer(operation)) => self.ask(operation, env),
            Input::Synced(point) => self.on_disk(point, env),
            Input::Fetched { .. } => {}
        }
    }

    fn check(&self) {
        assert!(self.operations.len() <= OPERATIONS + 1, "operations are bounded");
        assert!(
            self.own.keys().all(|own| self.operations.contains_key(own)),
            "acknowledgements have operations"
        );
    }
}

impl Register {
    /// Whether this replica may have forgotten what it acknowledged.
    pub fn is_forgetful(&self) -> bool {
        self.forgetful
    }

    fn hear(&mut self, from: NodeId, message: Message, env: &mut Env<Self>) {
        match message {
            // What is held may not be on disk yet; then neither is anything said about it. Otherwise a reader
            // could answer with a value that nobody holds after a crash.
            Message::Query(operation) if !self.forgetful => {
                env.send_after(self.after(), from, Message::Holds(operation, self.tag, self.value));
            }
            Message::Store(operation, tag, value) => {
                self.store(tag, value, env);
                if !self.forgetful {
                    env.send_after(self.after(), from, Message::Stored(operation));
                }
            }
            Message::Query(_) => {}
            Message::Holds(operation, tag, value) => self.told(operation, from, Some((tag, value)), env),
            Message::Stored(operation) => self.told(operation, from, None, env),
        }
    }

    fn after(&self) -> SyncPoint {
        if self.config.planted == Planted::AckBeforeDurable { SyncPoint::NONE } else { self.held_at }
    }

    /// Takes what is newer.
    fn store(&mut self, tag: Tag, value: Option<u64>, env: &mut Env<Self>) {
        let last_wins = self.config.planted == Planted::LastWins && tag != self.tag;
        if tag > self.tag || last_wins {
            (self.tag, self.value) = (tag, value);
            self.persist(env);
        }
    }

    fn persist(&mut self, env: &mut Env<Self>) {
        self.version += 1;
        let (version, tag, value, forgetful) = (self.version, self.tag, self.value, self.forgetful);
        self.held_at = env.persist(Stored { version, tag, value, forgetful });
    }

    fn begin(&mut self, purpose: Purpose, env: &mut Env<Self>) {
        if self.operations.len() >= OPERATIONS && purpose != Purpose::Refill {
            return;
        }
        let number = env.random().u64(..);
        let operation = Operation {
            purpose,
            storing: false,
            answered: BTreeSet::new(),
            tag: Tag::default(),
            value: None,
        };
        self.operations.insert(number, operation);
        self.ask(number, env);
    }

    /// Asks all who have not answered, and again after a while.
    fn ask(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number) else { return };
        let message = if operation.storing {
            Message::Store(number, operation.tag, operation.value)
        } else {
            Message::Query(number)
        };
        let silent: Vec<NodeId> = self
            .config
            .members
            .iter()
            .copied()
            .filter(|member| !operation.answered.contains(member))
            .collect();
        for member in silent {
            if member == self.config.id {
                self.answer_myself(number, env);
            } else {
                env.send(member, message.clone());
            }
        }
        if self.operations.contains_key(&number) {
            env.set_timer(Timer(number), env.now() + RETRY);
        }
    }

    /// This replica's own answer, once what it holds is on disk.
    fn answer_myself(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.get(&number) else { return };
        if operation.storing {
            self.store(operation.tag, operation.value, env);
        }
        if self.forgetful {
            return;
        }
        if self.after() <= self.synced {
            self.own.remove(&number);
            let held = (!self.operations[&number].storing).then_some((self.tag, self.value));
            self.told(number, self.config.id, held, env);
        } else {
            self.own.insert(number, self.after());
        }
    }

    fn on_disk(&mut self, point: SyncPoint, env: &mut Env<Self>) {
        assert!(point > self.synced, "syncs complete in order");
        self.synced = point;
        let due: Vec<u64> =
            self.own.iter().filter(|(_, at)| **at <= point).map(|(number, _)| *number).collect();
        for number in due {
            self.answer_myself(number, env);
        }
    }

    /// A replica has answered, with what it holds or by holding what was to be stored.
    fn told(&mut self, number: u64, from: NodeId, held: Option<(Tag, Option<u64>)>, env: &mut Env<Self>) {
        let members = self.config.members.len();
        let Some(operation) = self.operations.get_mut(&number) else { return };
        // An answer to the phase before comes too late to count.
        if operation.storing == held.is_some() {
            return;
        }
        if let Some((tag, value)) = held.filter(|(tag, _)| *tag > operation.tag) {
            (operation.tag, operation.value) = (tag, value);
        }
        operation.answered.insert(from);
        let off_by_one = self.config.planted == Planted::QuorumOffByOne;
        if operation.answered.len() >= majority(members) - usize::from(off_by_one) {
            self.next_phase(number, env);
        }
    }

    /// A majority has answered.
    fn next_phase(&mut self, number: u64, env: &mut Env<Self>) {
        let planted = self.config.planted;
        let Some(operation) = self.operations.get_mut(&number) else { return };
        let asked = !operation.storing;
        let done = match operation.purpose {
            Purpose::Refill => true,
            Purpose::Read(_) if asked => planted == Planted::NoWriteBack,
            Purpose::Write(_, value) if asked => {
                let own_number = if planted == Planted::TagsCollide { 0 } else { number };
                let counter = operation.tag.counter + 1;
                operation.tag = Tag { counter, writer: self.config.id, operation: own_number };
                operation.value = Some(value);
                false
            }
            Purpose::Read(_) | Purpose::Write(..) => true,
        };
        if done {
            self.finish(number, env);
        } else {
            operation.storing = true;
            operation.answered.clear();
            self.own.remove(&number);
            self.ask(number, env);
        }
    }

    fn finish(&mut self, number: u64, env: &mut Env<Self>) {
        let Some(operation) = self.operations.remove(&number) else { return };
        self.own.remove(&number);
        env.cancel_timer(Timer(number));
        match operation.purpose {
            Purpose::Read(id) => env.emit(Event::Read(id, operation.value)),
            Purpose::Write(id, _) => env.emit(Event::Written(id)),
            Purpose::Refill => {
                // Whatever this replica had acknowledged, a majority of the others holds or something newer, or
                // it was not needed for a majority. So what they told is enough.
                assert!(self.forgetful, "only a forgetful replica is refilled");
                if operation.tag > self.tag {
                    (self.tag, self.value) = (operation.tag, operation.value);
                }
                self.forgetful = false;
                self.persist(env);
            }
        }
    }
}
