//! A lock with a lease, and a store that its holders write to: Kleppmann's argument ("How to do distributed locking", 2016) as a
//! program.
//!
//! The lock service runs the machine of `quipu_machines::locks` and counts leases on its clock. Two clients want the lock;
//! each asks until it is granted, works for a while, and then, if its own clock says that its lease still holds, writes to the
//! store until the store has said something. The clock may have stood still meanwhile, and the write may be late on its way. So
//! the lock does not keep two holders from writing one after the other in the wrong order: only the store can, by the token.
//!
//! The promise is mutual exclusion of effects: once a write with some token is accepted, none with a smaller one is.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use bytes::Bytes;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Time};
use quipu_machines::locks::{self, Claim, Command, Limits, Locks, Outcome, Terms, Token};
use std::convert::Infallible;

const SERVICE: NodeId = NodeId(1);
const STORE: NodeId = NodeId(2);
const CLIENTS: [(NodeId, &str); 2] = [(NodeId(3), "client 1"), (NodeId(4), "client 2")];
/// How many rounds a lease lasts, on the service's clock.
const LEASE: u32 = 6;
/// How many rounds a holder works before it writes.
const WORK: u32 = 2;
/// After how many rounds without an answer something is sent again.
const PATIENCE: u32 = 3;
/// What some run must reach.
const BOTH: &str = "both clients have written";
const REFUSED: &str = "the store has refused somebody";

/// The program; see the module.
pub struct LeasedLock {
    /// Whether the store checks tokens.
    pub fenced: bool,
}

/// Without a fence, and with one.
pub fn all() -> Vec<Box<dyn Subject>> {
    [false, true].map(|fenced| Box::new(LeasedLock { fenced }) as Box<dyn Subject>).into()
}

impl Program for LeasedLock {
    type Protocol = Node;

    fn card(&self) -> Card {
        Card {
            name: if self.fenced { "lock-fenced" } else { "lock-unfenced" },
            paper: "Kleppmann: How to do distributed locking (2016); Burrows: Chubby (2006), section 2.4",
            promise: "once a holder's write is accepted, no earlier holder's is",
            expected: if self.fenced { Expected::Holds } else { Expected::Breaks },
            spec: Spec { delays: 1, skews: 1, reach: 12, total: 2, ..Spec::new(36, 18, 0) },
            sometimes: if self.fenced { &[BOTH, REFUSED] } else { &[BOTH] },
        }
    }

    fn cast(&self) -> Vec<Actor<Role>> {
        let store =
            Role::Store(Store { fenced: self.fenced, locks: Locks::new(Limits::default()), index: 0 });
        let service = Role::Service(Service { locks: Locks::new(Limits::default()), index: 0 });
        let [first, second] = CLIENTS;
        let client = |(id, name): (NodeId, &'static str)| Actor {
            id,
            name,
            config: Role::Client(Client { granted: Time::ZERO, state: State::Idle }),
        };
        vec![
            Actor { id: SERVICE, name: "lock service", config: service },
            Actor { id: STORE, name: "store", config: store },
            client(first),
            client(second),
        ]
    }

    fn script(&self) -> Vec<Line<Begin>> {
        CLIENTS
            .iter()
            .zip(1..)
            .map(|((node, _), round)| Line { round, node: *node, request: Begin })
            .collect()
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let accepted: Vec<Token> = seen
            .of(STORE)
            .filter_map(|told| if let Told::Accepted(token) = told { Some(*token) } else { None })
            .collect();
        if let Some(pair) = accepted.windows(2).find(|pair| pair[1] < pair[0]) {
            let [newer, older] = [pair[0].0, pair[1].0];
            return Judgement::Broken(format!(
                "the store accepts a write of the holder with token {older} after one of the holder with token {newer}"
            ));
        }
        let goals: Vec<Goal> =
            CLIENTS.iter().filter_map(|(node, _)| seen.goal(*node, |told| *told == Told::Done)).collect();
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        if CLIENTS.iter().all(|(node, _)| seen.told(*node, |told| *told == Told::Done)) {
            reached.push(BOTH);
        }
        if seen.told(STORE, |told| matches!(told, Told::Refused(_))) {
            reached.push(REFUSED);
        }
        reached
    }

    fn belief(&self, node: &Node) -> String {
        match &node.role {
            Role::Service(service) => {
                match service.locks.lock(LOCK).and_then(|lock| lock.holders.values().next()) {
                    Some(grant) => format!("{} holds it, token {}", grant.claim.owner, grant.token.0),
                    None => "free".to_owned(),
                }
            }
            Role::Store(store) if store.fenced => format!("at least {}", store.locks.fence(LOCK).minimum.0),
            Role::Store(_) => String::new(),
            Role::Client(client) => match client.state {
                State::Idle => String::new(),
                State::Asking => "waits for the lock".to_owned(),
                State::Working(token) => format!("holds the lock, token {}", token.0),
                State::Writing(token) => format!("writes, token {}", token.0),
                State::Done => "done".to_owned(),
            },
        }
    }
}

/// The one lock, and the one resource.
const LOCK: &str = "lock";

/// The one request: take the lock, and write.
#[derive(Clone, Copy, Debug)]
pub struct Begin;

/// What they say to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// A client wants the lock.
    Acquire,
    /// It has it.
    Granted(Token),
    /// A holder writes.
    Write(Token),
    /// The store has taken the write.
    Accepted(Token),
    /// The store has not: a greater token was shown.
    Stale(Token),
}

/// What is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// The store has accepted a write.
    Accepted(Token),
    /// The store has refused one.
    Refused(Token),
    /// A client knows what became of its write.
    Done,
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A lease runs out.
    Lease(Token),
    /// A client has waited long enough.
    Again,
    /// A client has worked long enough.
    Worked,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Role {
    /// Whoever grants the lock.
    Service(Service),
    /// Whoever is written to.
    Store(Store),
    /// Whoever wants it.
    Client(Client),
}

/// The lock service, one node of it: that it is replicated is somebody else's proof.
#[derive(Clone, Debug)]
pub struct Service {
    locks: Locks,
    index: u64,
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    fenced: bool,
    locks: Locks,
    index: u64,
}

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    /// When it heard of its grant.
    granted: Time,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Asking,
    Working(Token),
    Writing(Token),
    Done,
}

/// A node.
pub struct Node {
    role: Role,
}

impl Protocol for Node {
    type Config = Role;
    type Message = Message;
    type Timer = Timer;
    type Request = Begin;
    type Event = Told;
    type Record = Infallible;

    fn start(role: Role, _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
        Node { role }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match &mut self.role {
            Role::Service(service) => service.step(input, env),
            Role::Store(store) => store.step(input, env),
            Role::Client(client) => client.step(input, env),
        }
    }
}

impl Service {
    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        match input {
            Input::Message { from, message: Message::Acquire } => {
                let name = CLIENTS.iter().find(|(node, _)| *node == from).map_or("nobody", |(_, name)| name);
                let claim = Claim { owner: name.into(), request: name.into() };
                let ttl_ms = u64::from(LEASE);
                let terms = Terms { permits: 1, ttl_ms, wait_ms: 1_000, delay_ms: 0, value: Bytes::new() };
                let outcome = self.tell(Command::Acquire { name: LOCK.into(), claim, terms }, env);
                // A retry that finds its grant hears of it again.
                if let Outcome::Granted(grant) = outcome {
                    env.send(from, Message::Granted(grant.token));
                }
            }
            Input::Timer(Timer::Lease(token)) => {
                self.tell(Command::Expire { name: LOCK.into(), token, renewals: 0 }, env);
            }
            _ => {}
        }
    }

    /// Whoever is granted the lock hears of it, and its lease begins.
    fn tell(&mut self, command: Command, env: &mut Env<Node>) -> Outcome {
        self.index += 1;
        self.locks.apply(self.index, &command, &mut |event| {
            if let locks::Event::Granted { grant, .. } = event {
                env.set_timer(Timer::Lease(grant.token), env.now() + ROUND * LEASE);
                let holder = CLIENTS.iter().find(|(_, name)| *name == grant.claim.owner);
                let (node, _) = holder.expect("only clients ask");
                env.send(*node, Message::Granted(grant.token));
            }
        })
    }
}

impl Store {
    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        let Input::Message { from, message: Message::Write(token) } = input else { return };
        if self.fenced {
            self.index += 1;
            let guard = Command::Guard { resource: LOCK.into(), token };
            let outcome = self.locks.apply(self.index, &guard, &mut |_| ());
            if outcome != Outcome::Kept {
                env.emit(Told::Refused(token));
                env.send(from, Message::Stale(token));
                return;
            }
        }
        env.emit(Told::Accepted(token));
        env.send(from, Message::Accepted(token));
    }
}

impl Client {
    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        match (input, self.state) {
            (Input::Request { .. }, State::Idle) => {
                self.state = State::Asking;
                self.ask(env);
            }
            (Input::Message { message: Message::Granted(token), .. }, State::Asking) => {
                self.state = State::Working(token);
                env.cancel_timer(Timer::Again);
                env.set_timer(Timer::Worked, env.now() + ROUND * WORK);
                self.granted = env.now();
            }
            (Input::Timer(Timer::Worked), State::Working(token)) => {
                // The lease began a round earlier: the grant was under way.
                if env.now() < self.granted + ROUND * (LEASE - 1) {
                    self.state = State::Writing(token);
                    self.ask(env);
                } else {
                    self.done(env);
                }
            }
            (Input::Message { message: Message::Accepted(_) | Message::Stale(_), .. }, State::Writing(_)) => {
                self.done(env);
            }
            (Input::Timer(Timer::Again), State::Asking | State::Writing(_)) => self.ask(env),
            _ => {}
        }
    }

    fn done(&mut self, env: &mut Env<Node>) {
        self.state = State::Done;
        env.cancel_timer(Timer::Again);
        env.emit(Told::Done);
    }

    /// Says what it wants, and again if nothing comes of it.
    fn ask(&self, env: &mut Env<Node>) {
        match self.state {
            State::Asking => env.send(SERVICE, Message::Acquire),
            State::Writing(token) => env.send(STORE, Message::Write(token)),
            State::Idle | State::Working(_) | State::Done => return,
        }
        env.set_timer(Timer::Again, env.now() + ROUND * PATIENCE);
    }
}
