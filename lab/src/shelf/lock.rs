//! A lock with a lease, and a store that its holders write to: Kleppmann's argument ("How to do distributed locking", 2016) as a
//! program.
//!
//! The lock service runs the machine of `quipu_machines::locks` and counts leases on its clock. Two clients want the lock;
//! each asks until it is granted, works for a while, looks at its own clock whether its lease still holds, and writes to the
//! store. A client counts its lease from before it asked, and renews first if it had to wait for too long: so much can be done
//! right. Between the look at the clock and the write it may still be paused; its clock may stand still; its write may be late
//! on its way. So the lock does not keep two holders from writing one after the other in the wrong order: only the store can,
//! by the token.
//!
//! The promise is mutual exclusion of effects: once a write with some token is accepted, none with a smaller one is.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use bytes::Bytes;
use quipu_base::{Durable, Env, Input, NodeId, Protocol, Time};
use quipu_machines::locks::{self, Claim, Command, Limits, Locks, Outcome, Terms, Token};
use std::convert::Infallible;

const SERVICE: NodeId = NodeId(2);
const STORE: NodeId = NodeId(4);
const CLIENTS: [(NodeId, &str); 2] = [(NodeId(1), "client 1"), (NodeId(3), "client 2")];
/// How many rounds a lease lasts, on the service's clock.
const LEASE: u32 = 4;
/// How many rounds a holder works before it writes.
const WORK: u32 = 1;
/// After how many rounds without an answer something is sent again.
const PATIENCE: u32 = 5;
/// What some run must reach.
const BOTH: &str = "both clients have written";
const REFUSED: &str = "the storage has refused a write";

/// What breaks the lock without a fence. A pause is enough, and so is one late message or one clock that stands still.
const ONE_PAUSE: Spec = Spec { pauses: 1, reach: 8, total: 1, ..Spec::new(20, 14, 0) };
/// What does not break it with a fence: any two of lost messages, a crash, a pause, a late message and a wrong clock.
const ANY_TWO: Spec =
    Spec { crashes: 1, pauses: 1, delays: 1, skews: 1, reach: 8, total: 2, ..Spec::new(18, 12, 0) };

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
            spec: if self.fenced { ANY_TWO } else { ONE_PAUSE },
            sometimes: if self.fenced { &[BOTH, REFUSED] } else { &[BOTH] },
        }
    }

    fn cast(&self) -> Vec<Actor<Role>> {
        let store =
            Role::Store(Store { fenced: self.fenced, locks: Locks::new(Limits::default()), index: 0 });
        let service = Role::Service(Service { locks: Locks::new(Limits::default()), index: 0 });
        let [first, second] = CLIENTS.map(|(id, name)| Actor {
            id,
            name,
            config: Role::Client(Client { asked: Time::ZERO, state: State::Idle }),
        });
        let service = Actor { id: SERVICE, name: "lock service", config: service };
        vec![first, service, second, Actor { id: STORE, name: "storage", config: store }]
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
                "the storage takes a write of the holder with token {older} after one of the holder with token {newer}"
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

    fn describe(&self, message: &Message) -> String {
        match message {
            Message::Acquire => "acquire".to_owned(),
            Message::Granted(token) => format!("granted, token {}", token.0),
            Message::Renew(token) => format!("renew, token {}", token.0),
            Message::Renewed(token) => format!("renewed, token {}", token.0),
            Message::NotHeld(token) => format!("not held, token {}", token.0),
            Message::Write(token) => format!("write, token {}", token.0),
            Message::Accepted(token) => format!("written, token {}", token.0),
            Message::Stale(token) => format!("refused, token {}", token.0),
        }
    }

    fn event(&self, told: &Told) -> String {
        match told {
            Told::Accepted(token) => format!("takes the write, token {}", token.0),
            Told::Refused(token) => format!("refuses the write, token {}", token.0),
            Told::Done => "done".to_owned(),
        }
    }

    fn belief(&self, node: &Node) -> String {
        match &node.role {
            Role::Service(service) => {
                match service.locks.lock(LOCK).and_then(|lock| lock.holders.values().next()) {
                    Some(grant) => format!("lease of {}, token {}", grant.claim.owner, grant.token.0),
                    None => String::new(),
                }
            }
            Role::Store(store) if store.fenced => match store.locks.fence(LOCK).minimum {
                Token(0) => String::new(),
                minimum => format!("takes no token below {}", minimum.0),
            },
            Role::Store(_) => String::new(),
            Role::Client(client) => match client.state {
                State::Idle | State::Done => String::new(),
                State::Asking => "waits for the lock".to_owned(),
                State::Renewing(token) => format!("waited: renews first, token {}", token.0),
                State::Working(token) => format!("works, holding token {}", token.0),
                State::Writing(token) => format!("its lease is good: writes, token {}", token.0),
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
    /// It had to wait, and wants its lease to begin again.
    Renew(Token),
    /// It does.
    Renewed(Token),
    /// It does not: the lease has run out.
    NotHeld(Token),
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
    /// When it first asked for the lease that it has: the lease began no earlier.
    asked: Time,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Asking,
    Renewing(Token),
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
                // A new grant has been told already; a retry that finds its grant hears of it again.
                match outcome {
                    Outcome::Granted(grant) if grant.token.0 < self.index => {
                        env.send(from, Message::Granted(grant.token));
                    }
                    _ => {}
                }
            }
            Input::Message { from, message: Message::Renew(token) } => {
                let outcome = self.tell(Command::Renew { name: LOCK.into(), token }, env);
                let renewed = matches!(outcome, Outcome::Granted(_));
                if renewed {
                    env.set_timer(Timer::Lease(token), env.now() + ROUND * LEASE);
                }
                env.send(from, if renewed { Message::Renewed(token) } else { Message::NotHeld(token) });
            }
            Input::Timer(Timer::Lease(token)) => {
                if let Some(grant) = self.locks.grant(LOCK, token) {
                    let renewals = grant.renewals;
                    self.tell(Command::Expire { name: LOCK.into(), token, renewals }, env);
                }
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
            (Input::Request { .. }, State::Idle) => self.begin(State::Asking, env),
            (Input::Message { message: Message::Granted(token), .. }, State::Asking) => {
                if self.has_time_for(WORK, env) {
                    self.work(token, env);
                } else {
                    self.begin(State::Renewing(token), env);
                }
            }
            (Input::Message { message: Message::Renewed(token), .. }, State::Renewing(mine))
                if token == mine && self.has_time_for(WORK, env) =>
            {
                self.work(token, env);
            }
            (
                Input::Message { message: Message::Renewed(token) | Message::NotHeld(token), .. },
                State::Renewing(mine),
            ) if token == mine => self.done(env),
            // Between this look at the clock and the write anything may happen: that is the point.
            (Input::Timer(Timer::Worked), State::Working(token)) if self.has_time_for(0, env) => {
                self.state = State::Writing(token);
                self.ask(env);
            }
            (Input::Timer(Timer::Worked), State::Working(_)) => self.done(env),
            (Input::Message { message: Message::Accepted(_) | Message::Stale(_), .. }, State::Writing(_)) => {
                self.done(env);
            }
            // What became of the write it may still hear; it does not send it again.
            (Input::Timer(Timer::Again), State::Writing(_)) if !self.has_time_for(0, env) => {}
            (Input::Timer(Timer::Again), State::Asking | State::Renewing(_) | State::Writing(_)) => {
                self.ask(env);
            }
            _ => {}
        }
    }

    /// Whether its lease will hold for so many rounds more, and a round for a message on its way.
    fn has_time_for(&self, rounds: u32, env: &Env<Node>) -> bool {
        env.now() + ROUND * rounds < self.asked + ROUND * LEASE
    }

    /// Asks for a lease, which begins when the service hears of it, and not earlier than now.
    fn begin(&mut self, state: State, env: &mut Env<Node>) {
        (self.state, self.asked) = (state, env.now());
        self.ask(env);
    }

    fn work(&mut self, token: Token, env: &mut Env<Node>) {
        self.state = State::Working(token);
        env.cancel_timer(Timer::Again);
        env.set_timer(Timer::Worked, env.now() + ROUND * WORK);
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
            State::Renewing(token) => env.send(SERVICE, Message::Renew(token)),
            State::Writing(token) => env.send(STORE, Message::Write(token)),
            State::Idle | State::Working(_) | State::Done => return,
        }
        env.set_timer(Timer::Again, env.now() + ROUND * PATIENCE);
    }
}
