//! The small program that every simulator runs: a replicated register by majorities, with a client at each replica.
//!
//! Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing Systems" (Journal of the ACM, 1995), with
//! many writers: a write asks a majority for its newest tag and then stores a greater one at a majority; a read asks
//! a majority for the newest value and stores it at a majority again before it answers.
//!
//! It knows no simulator: what differs between the rows of the table is only who delivers the messages. The client
//! at a replica asks for one operation after another, a write and a read in turn.

use std::time::Duration;

/// How many replicas there are, and clients.
pub(crate) const REPLICAS: u64 = 3;
/// How long a replica waits for answers before it asks again.
pub(crate) const RETRY: Duration = Duration::from_millis(15);
/// A message takes at least this long,
pub(crate) const LEAST_DELAY: Duration = Duration::from_millis(1);
/// and at most this long.
pub(crate) const MOST_DELAY: Duration = Duration::from_millis(10);
/// How probable it is that a message is lost.
pub(crate) const LOSS: f64 = 0.01;

/// What orders values: a counter, then who wrote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Tag {
    counter: u64,
    writer: u64,
}

/// What replicas say to each other. The number is that of the asker's phase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Message {
    /// What do you hold?
    Query(u64),
    /// This.
    Holds(u64, Tag, Option<u64>),
    /// Hold this, unless you hold something newer.
    Store(u64, Tag, Option<u64>),
    /// What I hold is at least as new.
    Stored(u64),
}

/// What a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// What is the value?
    Read,
    /// The value becomes this.
    Write(u64),
}

/// What the client at `replica` asks in its operation of this number. No two writes are of the same value.
pub(crate) fn operation(replica: u64, number: u64) -> Operation {
    if number.is_multiple_of(2) { Operation::Write(replica << 32 | number) } else { Operation::Read }
}

/// What is to be done after a step.
#[derive(Default)]
pub(crate) struct Outputs {
    /// Messages to send, with whom to send them to.
    pub(crate) messages: Vec<(u64, Message)>,
    /// What becomes of the timer.
    pub(crate) timer: Timer,
}

/// What becomes of the one timer a replica has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Timer {
    /// It stays as it is.
    #[default]
    Keep,
    /// It fires [`RETRY`] from now, whatever it was set for.
    Set,
    /// It does not fire.
    Cancel,
}

/// One replica and its client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Replica {
    id: u64,
    tag: Tag,
    value: Option<u64>,
    /// How many operations the client asks for in all.
    operations: u64,
    /// Twice the number of operations that were answered, and one more while the current one stores.
    phase: u64,
    /// Who has answered this phase, a bit each.
    answered: u64,
    /// The newest that was told while asking; what to store while storing.
    newest: (Tag, Option<u64>),
    /// What the latest operation answered.
    answer: Option<u64>,
    counts: Counts,
}

/// What a replica has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Counts {
    /// Messages sent.
    pub(crate) sent: u64,
    /// Messages handled.
    pub(crate) received: u64,
    /// Timers handled.
    pub(crate) timeouts: u64,
}

impl Counts {
    /// What the table calls events.
    pub(crate) fn events(&self) -> u64 {
        self.received + self.timeouts
    }
}

impl Replica {
    /// The replica of this number, from 0, whose client will ask for so many operations.
    pub(crate) fn new(id: u64, operations: u64) -> Self {
        assert!(id < REPLICAS && operations > 0, "replica {id} with {operations} operations");
        Replica {
            id,
            tag: Tag::default(),
            value: None,
            operations,
            phase: 0,
            answered: 0,
            newest: (Tag::default(), None),
            answer: None,
            counts: Counts::default(),
        }
    }

    /// How many operations of the client were answered.
    pub(crate) fn done(&self) -> u64 {
        self.phase / 2
    }

    /// Whether all of them were.
    pub(crate) fn is_done(&self) -> bool {
        self.done() == self.operations
    }

    /// What the latest operation answered: what was read, or what was written.
    pub(crate) fn answer(&self) -> Option<u64> {
        self.answer
    }

    /// What this replica has done so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The client begins.
    pub(crate) fn begin(&mut self, out: &mut Outputs) {
        self.begin_phase(out);
    }

    /// A message has arrived.
    pub(crate) fn receive(&mut self, from: u64, message: Message, out: &mut Outputs) {
        self.counts.received += 1;
        match message {
            Message::Query(phase) => self.send(from, Message::Holds(phase, self.tag, self.value), out),
            Message::Store(phase, tag, value) => {
                self.store(tag, value);
                self.send(from, Message::Stored(phase), out);
            }
            // Even phases ask and odd ones store, so that an answer of one kind is never taken for the other.
            Message::Holds(phase, tag, value) if phase == self.phase => {
                self.newest = self.newest.max((tag, value));
                self.told(from, out);
            }
            Message::Stored(phase) if phase == self.phase => self.told(from, out),
            // The answer came too late to be needed.
            Message::Holds(..) | Message::Stored(_) => {}
        }
    }

    /// The timer has fired.
    pub(crate) fn time_out(&mut self, out: &mut Outputs) {
        self.counts.timeouts += 1;
        self.ask(out);
    }

    fn store(&mut self, tag: Tag, value: Option<u64>) {
        if tag > self.tag {
            (self.tag, self.value) = (tag, value);
        }
    }

    fn stores(&self) -> bool {
        self.phase % 2 == 1
    }

    /// Its own answer needs no message.
    fn begin_phase(&mut self, out: &mut Outputs) {
        self.answered = 1 << self.id;
        if self.stores() {
            self.store(self.newest.0, self.newest.1);
        } else {
            self.newest = (self.tag, self.value);
        }
        self.ask(out);
    }

    /// Asks all who have not answered, and again after a while.
    fn ask(&mut self, out: &mut Outputs) {
        let (tag, value) = self.newest;
        let message =
            if self.stores() { Message::Store(self.phase, tag, value) } else { Message::Query(self.phase) };
        for to in (0..REPLICAS).filter(|to| self.answered & (1 << to) == 0) {
            self.counts.sent += 1;
            out.messages.push((to, message));
        }
        out.timer = Timer::Set;
    }

    fn send(&mut self, to: u64, message: Message, out: &mut Outputs) {
        self.counts.sent += 1;
        out.messages.push((to, message));
    }

    fn told(&mut self, from: u64, out: &mut Outputs) {
        self.answered |= 1 << from;
        if u64::from(self.answered.count_ones()) <= REPLICAS / 2 {
            return;
        }
        if self.stores() {
            self.answer = self.newest.1;
        } else if let Operation::Write(value) = operation(self.id, self.done()) {
            self.newest = (Tag { counter: self.newest.0.counter + 1, writer: self.id }, Some(value));
        }
        self.phase += 1;
        if self.is_done() {
            out.timer = Timer::Cancel;
        } else {
            self.begin_phase(out);
        }
    }
}

/// Messages as bytes, for simulators of sockets. All are of one length.
#[cfg(any(feature = "turmoil", feature = "madsim"))]
pub(crate) mod bytes {
    use super::{Message, Tag};

    /// The length of a message.
    pub(crate) const LENGTH: usize = 34;

    /// The bytes of a message.
    pub(crate) fn encode(message: Message) -> [u8; LENGTH] {
        let (kind, phase, tag, value) = match message {
            Message::Query(phase) => (0, phase, Tag::default(), None),
            Message::Holds(phase, tag, value) => (1, phase, tag, value),
            Message::Store(phase, tag, value) => (2, phase, tag, value),
            Message::Stored(phase) => (3, phase, Tag::default(), None),
        };
        let mut bytes = [0; LENGTH];
        bytes[0] = kind;
        bytes[1] = u8::from(value.is_some());
        for (place, number) in [phase, tag.counter, tag.writer, value.unwrap_or(0)].into_iter().enumerate() {
            bytes[2 + 8 * place..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The message that these bytes are of, if they are of any.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let number = |place: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[2 + 8 * place..][..8]);
            u64::from_le_bytes(number)
        };
        let (phase, tag) = (number(0), Tag { counter: number(1), writer: number(2) });
        let value = (bytes[1] == 1).then(|| number(3));
        match bytes[0] {
            0 => Some(Message::Query(phase)),
            1 => Some(Message::Holds(phase, tag, value)),
            2 => Some(Message::Store(phase, tag, value)),
            3 => Some(Message::Stored(phase)),
            _ => None,
        }
    }

    #[test]
    fn messages_survive_being_bytes() {
        let tag = Tag { counter: 3, writer: 2 };
        let messages = [
            Message::Query(7),
            Message::Holds(8, tag, None),
            Message::Store(9, tag, Some(u64::MAX)),
            Message::Stored(1),
        ];
        for message in messages {
            assert_eq!(decode(&encode(message)), Some(message));
        }
        assert_eq!(decode(&[9; LENGTH]), None);
        assert_eq!(decode(&[0; LENGTH - 1]), None);
    }
}
