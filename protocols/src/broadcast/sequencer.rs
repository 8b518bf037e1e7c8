//! Total order over a fixed sequencer (Kaashoek and Tanenbaum, 1991: "method PB"; Défago, Schiper, Urban: Total Order
//! Broadcast and Multicast Algorithms, 2004, section 4.1): everybody sends what it has to say to one node, which broadcasts
//! it. The order in which that node says things is the order for all.
//!
//! So total order is FIFO order of one node's broadcasts, and as reliable as the broadcast below. When the sequencer crashes,
//! nothing more is delivered, but nothing out of order either.

use super::{Broadcasts, Delivered, Fifo, Group, Message, Request, Seen};
use core::fmt::Debug;
use quipu_base::{Durable, Embed, Env, Input, Nested, NodeId, Protocol, RequestId, StreamId, Support};

/// What the sequencer broadcasts: somebody's message, under the name that its sender gave it.
pub type Sequenced<T> = Delivered<T>;

/// What nodes say to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SequencerMessage<T, M> {
    /// To the sequencer: broadcast this for me.
    Submit(Message<T>),
    /// What the broadcast below says.
    Below(M),
}

/// Total order over the broadcast `B`; see the module. The member with the lowest number is the sequencer.
pub struct Sequencer<T: Clone + Debug, B: Broadcasts<Sequenced<T>>> {
    me: NodeId,
    sequencer: NodeId,
    /// The sequencer's broadcasts, in its order.
    below: Fifo<Sequenced<T>, B>,
    nested: Nested<Fifo<Sequenced<T>, B>>,
    /// What this node has named; at the sequencer also what others have submitted.
    submitted: Seen,
}

impl<T: Clone + Debug, B: Broadcasts<Sequenced<T>>> Protocol for Sequencer<T, B> {
    type Config = Group;
    type Message = SequencerMessage<T, B::Message>;
    type Timer = B::Timer;
    type Request = Request<T>;
    type Event = Delivered<T>;
    type Record = B::Record;

    fn start(group: Group, durable: Durable<B::Record>, env: &mut Env<Self>) -> Self {
        let (me, mut nested) = (group.me, Nested::default());
        let sequencer = *group.members.first().expect("a node is a member of its own group");
        let below = env.nest(&mut nested, &Below, |env| Fifo::start(group, durable, env));
        Sequencer { me, sequencer, below, nested, submitted: Seen::default() }
    }

    fn step(&mut self, input: Input<Self>, env: &mut Env<Self>) {
        match input {
            Input::Request { id, request: Request::Broadcast(payload) } => {
                let name = self.submitted.next(self.me);
                if self.me == self.sequencer {
                    self.sequence(id, Sequenced { id: name, payload }, env);
                } else {
                    let event = env.event();
                    env.because(|| Support::all([event]));
                    env.send(self.sequencer, SequencerMessage::Submit(Message { id: name, payload }));
                }
            }
            Input::Message { from, message: SequencerMessage::Submit(Message { id, payload }) } => {
                if self.me == self.sequencer && from == id.origin && self.submitted.admit(id) {
                    self.sequence(RequestId::default(), Sequenced { id, payload }, env);
                }
            }
            Input::Request { id, request: Request::Crashed(node) } => {
                self.run(Input::Request { id, request: Request::Crashed(node) }, env);
            }
            Input::Message { from, message: SequencerMessage::Below(message) } => {
                self.run(Input::Message { from, message }, env);
            }
            Input::Timer(timer) => self.run(Input::Timer(timer), env),
            Input::Synced(point) => self.run(Input::Synced(point), env),
            Input::Fetched { stream, index, record } => {
                self.run(Input::Fetched { stream, index, record }, env);
            }
        }
    }

    fn check(&self) {
        self.below.check();
    }
}

impl<T: Clone + Debug, B: Broadcasts<Sequenced<T>>> Sequencer<T, B> {
    /// Gives a message its place in the order: behind all that was broadcast before.
    fn sequence(&mut self, id: RequestId, message: Sequenced<T>, env: &mut Env<Self>) {
        self.run(Input::Request { id, request: Request::Broadcast(message) }, env);
    }

    fn run(&mut self, input: Input<Fifo<Sequenced<T>, B>>, env: &mut Env<Self>) {
        env.nest(&mut self.nested, &Below, |env| self.below.step(input, env));
        for told in self.nested.take_events() {
            // What others than the sequencer broadcast has no place in the order.
            if told.event.id.origin == self.sequencer {
                env.emit_because(told.after, told.event.payload, told.because);
            }
        }
    }
}

struct Below;

impl<T: Clone + Debug, B: Broadcasts<Sequenced<T>>> Embed<Fifo<Sequenced<T>, B>, Sequencer<T, B>> for Below {
    fn message(&self, message: B::Message) -> SequencerMessage<T, B::Message> {
        SequencerMessage::Below(message)
    }

    fn timer(&self, timer: B::Timer) -> B::Timer {
        timer
    }

    fn record(&self, record: B::Record) -> B::Record {
        record
    }

    fn stream(&self, stream: StreamId) -> StreamId {
        stream
    }
}
