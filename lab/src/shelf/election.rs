//! Elections over the machine of `quipu_machines::locks`: a lock with one permit, whose token is the term.
//!
//! A service keeps the log; a command takes effect when its entry is on disk. Two candidates campaign: the first resigns after a
//! while, the second lets its lease run out. Two observers follow the changes, as a browser follows server-sent events: the
//! service tells them each change with its place, and an observer that misses one asks for what came after the last it has seen.
//! The service may crash and come back: that stands for a change of leader. It has its log then, and gives whoever leads the
//! full lease again.
//!
//! The promise: at most one candidate leads in a term, and every observer sees the changes in the same order, without gaps.
//!
//! Two mistakes show what that hangs on: a candidate that is told before the entry is on disk, and an observer that goes on
//! after a *log index*, though one entry makes two changes when a resignation elects the next.

use crate::ldfi::{Actor, Card, Expected, Goal, Judgement, Line, Program, ROUND, Seen, Spec, Subject};
use bytes::Bytes;
use quipu_base::{Durable, Env, Input, NodeId, Place, Protocol, Record, StreamId, SyncPoint};
use quipu_machines::locks::{self, Claim, Command, Limits, Locks, Outcome, Terms, Token};
use std::collections::{BTreeMap, BTreeSet};

const SERVICE: NodeId = NodeId(1);
const CANDIDATES: [(NodeId, &str); 2] = [(NodeId(2), "candidate a"), (NodeId(3), "candidate b")];
const OBSERVERS: [(NodeId, &str); 2] = [(NodeId(4), "observer x"), (NodeId(5), "observer y")];
/// How many rounds a lease lasts, on the service's clock.
const LEASE: u32 = 6;
/// After how many rounds the first leader resigns.
const REIGN: u32 = 2;
/// After how many rounds without an answer a candidate asks again, and an observer asks what it may have missed.
const PATIENCE: u32 = 5;
/// The one election.
const ELECTION: &str = "election";
/// What some run must reach.
const BOTH: &str = "both candidates have led";
const AGAIN: &str = "the service has come back";
const EVERYTHING: &str = "an observer has seen both terms begin and end";

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// Nothing.
    None,
    /// Who is elected is told before the entry is on disk.
    Early,
    /// An observer goes on after the log index of the last change that it has seen.
    ByIndex,
}

/// The program; see the module.
pub struct Election {
    mistake: Mistake,
}

/// Sound, and with one mistake each.
pub fn all() -> Vec<Box<dyn Subject>> {
    [Mistake::None, Mistake::Early, Mistake::ByIndex]
        .map(|mistake| Box::new(Election { mistake }) as Box<dyn Subject>)
        .into()
}

impl Program for Election {
    type Protocol = Node;

    fn card(&self) -> Card {
        let (name, promise) = match self.mistake {
            Mistake::None => (
                "election-terms",
                "at most one candidate leads in a term, and all observers see the same changes without gaps",
            ),
            Mistake::Early => (
                "election-told-early",
                "that of election-terms, broken: who is elected is told before the log is on disk",
            ),
            Mistake::ByIndex => (
                "election-resumed-by-index",
                "that of election-terms, broken: an observer goes on after a log index, and one entry makes two changes",
            ),
        };
        let spec = Spec { crashes: 1, pauses: 1, delays: 1, reach: 2, total: 2, ..Spec::new(22, 14, 1) };
        Card {
            name,
            paper: "Burrows: Chubby (2006), section 2; docs/LOCKS.md",
            promise,
            expected: if self.mistake == Mistake::None { Expected::Holds } else { Expected::Breaks },
            spec: Spec { recoveries: 1, ..spec },
            sometimes: &[BOTH, AGAIN, EVERYTHING],
        }
    }

    fn cast(&self) -> Vec<Actor<Config>> {
        let mistake = self.mistake;
        let actor = |(id, name), part| Actor { id, name, config: Config { id, part, mistake } };
        let service = actor((SERVICE, "service"), Part::Service);
        let candidates = CANDIDATES.map(|who| actor(who, Part::Candidate));
        let observers = OBSERVERS.map(|who| actor(who, Part::Observer));
        [service].into_iter().chain(candidates).chain(observers).collect()
    }

    fn script(&self) -> Vec<Line<Begin>> {
        let line = |(round, (node, _)): (u32, (NodeId, &str))| Line { round, node, request: Begin };
        (1..).zip(CANDIDATES).map(line).collect()
    }

    fn judge(&self, seen: &Seen<'_, Told>) -> Judgement {
        let mut leaders: BTreeMap<Token, NodeId> = BTreeMap::new();
        let mut truth: BTreeMap<usize, Change> = BTreeMap::new();
        for (emission, told) in seen.all() {
            match told {
                Told::Leads(term) => {
                    let leader = *leaders.entry(*term).or_insert(emission.node);
                    if leader != emission.node {
                        return Judgement::Broken(format!("two candidates lead in term {}", term.0));
                    }
                }
                Told::Changed(place, change) => {
                    if *truth.entry(*place).or_insert(*change) != *change {
                        return Judgement::Broken(format!(
                            "change {place} was another, and is now: {change}"
                        ));
                    }
                }
                Told::Sees(_) | Told::Begins => {}
            }
        }
        for (node, name) in OBSERVERS {
            if let Some(broken) = gap(name, &views(seen, node), &truth) {
                return Judgement::Broken(broken);
            }
        }
        let mut goals: Vec<Goal> = Vec::new();
        for (node, _) in CANDIDATES {
            goals.extend(seen.goal(node, |told| matches!(told, Told::Leads(_))));
        }
        for (node, _) in OBSERVERS {
            for change in truth.values() {
                goals.extend(seen.goal(node, |told| *told == Told::Sees(*change)));
            }
        }
        Judgement::Kept { vacuous: goals.is_empty(), goals }
    }

    fn reached(&self, seen: &Seen<'_, Told>) -> Vec<&'static str> {
        let mut reached = Vec::new();
        if CANDIDATES.iter().all(|(node, _)| seen.told(*node, |told| matches!(told, Told::Leads(_)))) {
            reached.push(BOTH);
        }
        if seen.outages().iter().any(|outage| outage.node == SERVICE && outage.until.is_some()) {
            reached.push(AGAIN);
        }
        if OBSERVERS.iter().any(|(node, _)| views(seen, *node).iter().any(|view| view.len() == 4)) {
            reached.push(EVERYTHING);
        }
        reached
    }

    /// Who came to lead, and how far observers came.
    fn outcome(&self, seen: &Seen<'_, Told>) -> BTreeSet<(NodeId, String)> {
        let told = seen.all().filter(|(_, told)| matches!(told, Told::Leads(_) | Told::Changed(..)));
        let mut outcome: BTreeSet<_> =
            told.map(|(emission, told)| (emission.node, format!("{told:?}"))).collect();
        for (node, _) in OBSERVERS {
            outcome.insert((node, format!("{:?}", views(seen, node).iter().map(Vec::len).max())));
        }
        outcome
    }

    fn symmetries(&self) -> Vec<Vec<NodeId>> {
        vec![OBSERVERS.iter().map(|(node, _)| *node).collect()]
    }

    fn describe(&self, message: &Message) -> String {
        match message {
            Message::Campaign => "campaign".to_owned(),
            Message::Elected(term) => format!("elected, term {}", term.0),
            Message::Resign(term) => format!("resign, term {}", term.0),
            Message::Resigned(term) => format!("done, term {}", term.0),
            Message::After(place) => format!("what is after {place}?"),
            Message::Changes { after, changes } => format!("after {after}: {} changes", changes.len()),
        }
    }

    fn event(&self, told: &Told) -> String {
        match told {
            Told::Leads(term) => format!("leads, term {}", term.0),
            Told::Changed(_, change) => change.to_string(),
            Told::Sees(change) => format!("sees: {change}"),
            Told::Begins => "begins".to_owned(),
        }
    }
}

/// What an observer has seen: once for each time that it began.
fn views(seen: &Seen<'_, Told>, observer: NodeId) -> Vec<Vec<Change>> {
    let mut views = vec![Vec::new()];
    for told in seen.of(observer) {
        match told {
            Told::Begins => views.push(Vec::new()),
            Told::Sees(change) => views.last_mut().expect("there is always one").push(*change),
            Told::Leads(_) | Told::Changed(..) => {}
        }
    }
    views
}

/// Where an observer has seen something else than what happened.
fn gap(name: &str, views: &[Vec<Change>], truth: &BTreeMap<usize, Change>) -> Option<String> {
    views.iter().find_map(|view| {
        let place = (0..view.len()).find(|place| truth.get(place) != Some(&view[*place]))?;
        let happened = truth.get(&place).map_or_else(|| "nothing".to_owned(), Change::to_string);
        Some(format!("{name} sees \"{}\" where there was \"{happened}\"", view[place]))
    })
}

/// The one request: to campaign.
#[derive(Clone, Copy, Debug)]
pub struct Begin;

/// Something that happened to the election.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change {
    /// The log entry that did it.
    index: u64,
    term: Token,
    /// Whether the term begins; it ends otherwise.
    begins: bool,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "term {} {}", self.term.0, if self.begins { "begins" } else { "ends" })
    }
}

/// What they say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A candidate wants to lead.
    Campaign,
    /// It does.
    Elected(Token),
    /// A leader wants to lead no longer.
    Resign(Token),
    /// It does not.
    Resigned(Token),
    /// An observer asks for the changes after a place among them; or, by mistake, after a log index.
    After(u64),
    /// The changes after this one.
    Changes {
        /// After how many; or, by mistake, after which log index.
        after: u64,
        /// In order.
        changes: Vec<Change>,
    },
}

/// What is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A candidate leads.
    Leads(Token),
    /// The service: a change is on disk, in this place. It says so again when it has come back.
    Changed(usize, Change),
    /// An observer has seen a change.
    Sees(Change),
    /// An observer begins, and knows nothing.
    Begins,
}

/// What nodes wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A lease runs out.
    Lease(Token),
    /// Somebody has waited long enough.
    Again,
    /// A leader has led long enough.
    Enough,
}

/// An entry of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    index: u64,
    command: Command,
}

impl Record for Entry {
    fn place(&self) -> Place {
        Place { stream: StreamId(0), first: 1, index: self.index }
    }
}

/// What a node starts with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    id: NodeId,
    part: Part,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Service,
    Candidate,
    Observer,
}

/// A node.
pub enum Node {
    /// Whoever keeps the log.
    Service(Service),
    /// Whoever wants to lead.
    Candidate(Candidate),
    /// Whoever wants to know who leads.
    Observer(Observer),
}

/// The service, one node of it: that its log is replicated is somebody else's proof.
pub struct Service {
    mistake: Mistake,
    locks: Locks,
    index: u64,
    changes: Vec<Change>,
}

/// A candidate.
pub struct Candidate {
    resigns: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Campaigning,
    Leading,
    Resigning(Token),
    Done,
}

/// An observer.
pub struct Observer {
    mistake: Mistake,
    /// How many changes it has seen; or, by mistake, the log index of the last one.
    seen: u64,
}

impl Protocol for Node {
    type Config = Config;
    type Message = Message;
    type Timer = Timer;
    type Request = Begin;
    type Event = Told;
    type Record = Entry;

    fn start(config: Config, durable: Durable<Entry>, env: &mut Env<Self>) -> Self {
        let Config { id, part, mistake } = config;
        match part {
            Part::Service => Node::Service(Service::start(mistake, durable.records, env)),
            Part::Candidate => {
                Node::Candidate(Candidate { resigns: id == CANDIDATES[0].0, state: State::Idle })
            }
            Part::Observer => {
                env.emit(Told::Begins);
                env.set_timer(Timer::Again, env.now() + ROUND * PATIENCE);
                Node::Observer(Observer { mistake, seen: 0 })
            }
        }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match self {
            Node::Service(service) => service.step(input, env),
            Node::Candidate(candidate) => candidate.step(input, env),
            Node::Observer(observer) => observer.step(input, env),
        }
    }
}

impl Service {
    /// With the log that is on disk. Whoever leads has the full lease again.
    fn start(mistake: Mistake, log: Vec<Entry>, env: &mut Env<Node>) -> Self {
        let mut service =
            Service { mistake, locks: Locks::new(Limits::default()), index: 0, changes: Vec::new() };
        for entry in log {
            service.apply(&entry);
        }
        for (place, change) in service.changes.iter().enumerate() {
            env.emit(Told::Changed(place, *change));
        }
        for token in service.locks.lock(ELECTION).into_iter().flat_map(|lock| lock.holders.keys()) {
            env.set_timer(Timer::Lease(*token), env.now() + ROUND * LEASE);
        }
        service
    }

    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        match input {
            Input::Message { from, message: Message::Campaign } => self.campaign(from, env),
            Input::Message { from, message: Message::Resign(token) } => {
                let (_, synced) = self.tell(Command::Release { name: ELECTION.into(), token }, env);
                env.send_after(synced, from, Message::Resigned(token));
            }
            Input::Message { from, message: Message::After(after) } => {
                let changes: Vec<Change> = self.after(after).collect();
                // What is told has to be on disk, which is so when everything is.
                env.send_after(env.tail(), from, Message::Changes { after, changes });
            }
            Input::Timer(Timer::Lease(token)) => {
                self.tell(Command::Expire { name: ELECTION.into(), token, renewals: 0 }, env);
            }
            _ => {}
        }
    }

    fn campaign(&mut self, from: NodeId, env: &mut Env<Node>) {
        let name = CANDIDATES.iter().find(|(node, _)| *node == from).map_or("nobody", |(_, name)| name);
        let claim = Claim { owner: name.into(), request: name.into() };
        let ttl_ms = u64::from(LEASE);
        let terms = Terms { permits: 1, ttl_ms, wait_ms: 1_000, delay_ms: 0, value: Bytes::new() };
        let (outcome, synced) = self.tell(Command::Acquire { name: ELECTION.into(), claim, terms }, env);
        match outcome {
            // It was elected before, and asks again.
            Outcome::Granted(grant) if grant.token.0 < self.index => {
                env.send_after(synced, from, Message::Elected(grant.token));
            }
            _ => {}
        }
    }

    /// Puts a command into the log; what it changes is told when it is there.
    fn tell(&mut self, command: Command, env: &mut Env<Node>) -> (Outcome, SyncPoint) {
        let entry = Entry { index: self.index + 1, command };
        let synced = env.persist(entry.clone());
        let before = self.changes.len();
        let outcome = self.apply(&entry);
        for place in before..self.changes.len() {
            let change = self.changes[place];
            env.emit_after(synced, Told::Changed(place, change));
            let after = match self.mistake {
                Mistake::ByIndex => place.checked_sub(1).map_or(0, |last| self.changes[last].index),
                _ => place as u64,
            };
            for (observer, _) in OBSERVERS {
                env.send_after(synced, observer, Message::Changes { after, changes: vec![change] });
            }
            if change.begins {
                env.set_timer(Timer::Lease(change.term), env.now() + ROUND * LEASE);
                let early = self.mistake == Mistake::Early;
                let grant = self.locks.grant(ELECTION, change.term).expect("it has just begun");
                let leader = CANDIDATES.iter().find(|(_, name)| *name == grant.claim.owner);
                let (leader, _) = leader.expect("only candidates campaign");
                let synced = if early { SyncPoint::NONE } else { synced };
                env.send_after(synced, *leader, Message::Elected(change.term));
            }
        }
        (outcome, synced)
    }

    fn apply(&mut self, entry: &Entry) -> Outcome {
        self.index = entry.index;
        let (index, changes) = (entry.index, &mut self.changes);
        self.locks.apply(index, &entry.command, &mut |event| {
            let (term, begins) = match event {
                locks::Event::Granted { grant, .. } => (grant.token, true),
                locks::Event::Ended { token, .. } => (token, false),
                locks::Event::Withdrawn { .. } => return,
            };
            changes.push(Change { index, term, begins });
        })
    }

    /// The changes after a place; or, by mistake, after a log index.
    fn after(&self, after: u64) -> impl Iterator<Item = Change> {
        let by_index = self.mistake == Mistake::ByIndex;
        let changes = self.changes.iter().copied().enumerate();
        let wanted = move |(place, change): &(usize, Change)| match by_index {
            true => change.index > after,
            false => *place as u64 >= after,
        };
        changes.filter(wanted).map(|(_, change)| change)
    }
}

impl Candidate {
    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        match (input, self.state) {
            (Input::Request { .. }, State::Idle) => {
                self.state = State::Campaigning;
                self.ask(env);
            }
            (Input::Message { message: Message::Elected(term), .. }, State::Campaigning) => {
                env.emit(Told::Leads(term));
                self.state = State::Leading;
                env.cancel_timer(Timer::Again);
                if self.resigns {
                    self.state = State::Resigning(term);
                    env.set_timer(Timer::Enough, env.now() + ROUND * REIGN);
                }
            }
            (Input::Message { message: Message::Resigned(term), .. }, State::Resigning(mine))
                if term == mine =>
            {
                self.state = State::Done;
                env.cancel_timer(Timer::Again);
            }
            (Input::Timer(Timer::Enough | Timer::Again), State::Campaigning | State::Resigning(_)) => {
                self.ask(env);
            }
            _ => {}
        }
    }

    /// Says what it wants, and again if nothing comes of it.
    fn ask(&self, env: &mut Env<Node>) {
        match self.state {
            State::Campaigning => env.send(SERVICE, Message::Campaign),
            State::Resigning(term) => env.send(SERVICE, Message::Resign(term)),
            State::Idle | State::Leading | State::Done => return,
        }
        env.set_timer(Timer::Again, env.now() + ROUND * PATIENCE);
    }
}

impl Observer {
    fn step(&mut self, input: Input<Node>, env: &mut Env<Node>) {
        match input {
            Input::Message { message: Message::Changes { after, changes }, .. } => {
                if after > self.seen {
                    // Something is missing in between.
                    env.send(SERVICE, Message::After(self.seen));
                }
                if after == self.seen {
                    for change in changes {
                        env.emit(Told::Sees(change));
                        self.seen = match self.mistake {
                            Mistake::ByIndex => change.index,
                            _ => self.seen + 1,
                        };
                    }
                }
            }
            Input::Timer(Timer::Again) => {
                env.send(SERVICE, Message::After(self.seen));
                env.set_timer(Timer::Again, env.now() + ROUND * PATIENCE);
            }
            _ => {}
        }
    }
}
