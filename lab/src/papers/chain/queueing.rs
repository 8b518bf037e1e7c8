//! Nodes that are busy: a driver that runs the protocol as it serves, and charges each machine for each message.
//!
//! A machine handles one message after the other, in the order in which they arrive, and is busy with each for as long as its
//! kind takes; what takes no time does not wait. Messages take one hop, and nothing is lost unless its machine has failed. Several
//! nodes may share a machine, and many clusters of the same protocol may share all machines: that is how volumes share servers.

use quipu_base::{Durable, Effect, Env, EventId, Input, NodeId, Protocol, RequestId, Time, WallTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// A node's address: its cluster, and its number there.
pub(super) type Address = (usize, NodeId);

/// Everything that runs.
pub(super) struct World<P: Protocol> {
    now: Time,
    hop: Duration,
    cost: fn(&P::Message) -> Duration,
    queue: BTreeMap<(Time, u64), Happening<P>>,
    scheduled: u64,
    places: BTreeMap<Address, usize>,
    nodes: Vec<Node<P>>,
    machines: Vec<Machine>,
    /// What was told and not taken yet.
    told: Vec<(Address, P::Event)>,
    /// Which messages are counted, and how many of them have been sent.
    tally: fn(&P::Message) -> bool,
    tallied: u64,
}

struct Node<P: Protocol> {
    address: Address,
    /// Clients and masters need none: they take no time.
    machine: Option<usize>,
    protocol: P,
    env: Env<P>,
    timers: BTreeMap<P::Timer, Time>,
    requests: u64,
}

struct Machine {
    busy_until: Time,
    failed: bool,
}

enum Happening<P: Protocol> {
    Arrive { from: NodeId, to: usize, message: P::Message },
    Handle { from: NodeId, to: usize, message: P::Message },
    Timer { node: usize, timer: P::Timer, at: Time },
}

impl<P: Protocol> World<P> {
    pub(super) fn new(machines: usize, hop: Duration, cost: fn(&P::Message) -> Duration) -> Self {
        World {
            now: Time::ZERO,
            hop,
            cost,
            queue: BTreeMap::new(),
            scheduled: 0,
            places: BTreeMap::new(),
            nodes: Vec::new(),
            machines: (0..machines).map(|_| Machine { busy_until: Time::ZERO, failed: false }).collect(),
            told: Vec::new(),
            tally: |_| false,
            tallied: 0,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// Counts these messages from now on.
    pub(super) fn tally(&mut self, of: fn(&P::Message) -> bool) {
        self.tally = of;
    }

    /// How many of them have been sent.
    pub(super) fn tallied(&self) -> u64 {
        self.tallied
    }

    pub(super) fn add(&mut self, address: Address, machine: Option<usize>, config: P::Config) {
        let mut env = Env::new(address.1.0);
        env.begin(self.now, WallTime(0), EventId(0));
        let protocol = P::start(config, Durable::default(), &mut env);
        let place = self.nodes.len();
        assert!(self.places.insert(address, place).is_none(), "every node has an address of its own");
        self.nodes.push(Node { address, machine, protocol, env, timers: BTreeMap::new(), requests: 0 });
        self.carry_out(place);
    }

    pub(super) fn node(&self, address: Address) -> &P {
        &self.nodes[self.places[&address]].protocol
    }

    /// From now on, everything on this machine does nothing.
    pub(super) fn fail(&mut self, machine: usize) {
        self.machines[machine].failed = true;
    }

    pub(super) fn request(&mut self, address: Address, request: P::Request) -> RequestId {
        let place = self.places[&address];
        let node = &mut self.nodes[place];
        node.requests += 1;
        let id = RequestId(node.requests);
        self.step(place, Input::Request { id, request });
        id
    }

    /// Lets time pass until somebody tells something, or until this moment; then `None`.
    pub(super) fn next_event(&mut self, until: Time) -> Option<(Address, P::Event)> {
        loop {
            if !self.told.is_empty() {
                return Some(self.told.remove(0));
            }
            match self.queue.first_key_value() {
                Some(((at, _), _)) if *at <= until => self.happen(),
                _ => {
                    self.now = self.now.max(until);
                    return None;
                }
            }
        }
    }

    fn happen(&mut self) {
        let ((at, _), happening) = self.queue.pop_first().expect("something will happen");
        self.now = at;
        match happening {
            Happening::Arrive { from, to, message } => self.arrive(from, to, message),
            Happening::Handle { from, to, message } if self.works(to) => {
                self.step(to, Input::Message { from, message });
            }
            Happening::Timer { node, timer, at } if self.works(node) => {
                // It may have been moved or cancelled since.
                if self.nodes[node].timers.get(&timer) == Some(&at) {
                    self.nodes[node].timers.remove(&timer);
                    self.step(node, Input::Timer(timer));
                }
            }
            Happening::Handle { .. } | Happening::Timer { .. } => {}
        }
    }

    /// A message joins the queue of its machine.
    fn arrive(&mut self, from: NodeId, to: usize, message: P::Message) {
        let cost = (self.cost)(&message);
        let done = match self.nodes[to].machine {
            Some(machine) if !cost.is_zero() => {
                let machine = &mut self.machines[machine];
                machine.busy_until = machine.busy_until.max(self.now) + cost;
                machine.busy_until
            }
            _ => self.now,
        };
        self.schedule(done, Happening::Handle { from, to, message });
    }

    fn works(&self, node: usize) -> bool {
        self.nodes[node].machine.is_none_or(|machine| !self.machines[machine].failed)
    }

    fn schedule(&mut self, at: Time, happening: Happening<P>) {
        self.scheduled += 1;
        self.queue.insert((at, self.scheduled), happening);
    }

    fn step(&mut self, place: usize, input: Input<P>) {
        let node = &mut self.nodes[place];
        node.env.begin(self.now, WallTime(0), EventId(0));
        node.protocol.step(input, &mut node.env);
        self.carry_out(place);
    }

    fn carry_out(&mut self, place: usize) {
        let effects: Vec<Effect<P>> = self.nodes[place].env.drain().collect();
        let address = self.nodes[place].address;
        for effect in effects {
            match effect {
                // Disks take no time: what they take is in the cost of a message.
                Effect::Send { to, message, .. } => {
                    self.tallied += u64::from((self.tally)(&message));
                    if let Some(to) = self.places.get(&(address.0, to)).copied() {
                        self.schedule(
                            self.now + self.hop,
                            Happening::Arrive { from: address.1, to, message },
                        );
                    }
                }
                Effect::Emit(emitted) => self.told.push((address, emitted.event)),
                Effect::SetTimer { timer, at } => {
                    self.nodes[place].timers.insert(timer, at);
                    self.schedule(at, Happening::Timer { node: place, timer, at });
                }
                Effect::CancelTimer(timer) => {
                    self.nodes[place].timers.remove(&timer);
                }
                Effect::Persist(_) | Effect::Fetch { .. } | Effect::Because(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Passes on what it is asked, and tells what it hears.
    struct Relay;

    impl Protocol for Relay {
        type Config = ();
        type Message = u64;
        type Timer = ();
        type Request = (NodeId, u64);
        type Event = u64;
        type Record = Infallible;

        fn start(_: (), _: Durable<Infallible>, _: &mut Env<Self>) -> Self {
            Relay
        }

        fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
            match input {
                Input::Request { request: (to, message), .. } => env.send(to, message),
                Input::Message { message, .. } => env.emit(message),
                _ => {}
            }
        }
    }

    #[test]
    fn a_machine_handles_one_message_after_the_other() {
        let ms = Duration::from_millis;
        let mut world = World::<Relay>::new(1, ms(1), |message| Duration::from_millis(*message));
        world.add((0, NodeId(1)), None, ());
        world.add((0, NodeId(2)), Some(0), ());
        world.add((0, NodeId(3)), Some(0), ());
        for message in [5, 0, 20] {
            world.request((0, NodeId(1)), (NodeId(2), message));
        }
        world.request((0, NodeId(1)), (NodeId(3), 3));
        let mut told = Vec::new();
        while let Some((_, event)) = world.next_event(Time::ZERO + ms(100)) {
            told.push((event, world.now().since(Time::ZERO)));
        }
        // What costs nothing does not wait; the other node waits for its neighbour.
        assert_eq!(told, [(0, ms(1)), (5, ms(6)), (20, ms(26)), (3, ms(29))]);
        world.request((0, NodeId(1)), (NodeId(2), 5));
        world.fail(0);
        assert_eq!(world.next_event(Time::ZERO + ms(200)), None);
    }
}
