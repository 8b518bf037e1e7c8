//! The client connections of one node, and what each still waits for.

use super::types::Connection;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use quipu_base::Time;
use quipu_machines::tree::{Attachment, Identity, SessionId, Write};
use quipu_wires::zookeeper as wire;

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It wants its session back, which this replica does not know: perhaps it lags, so it asks the leader how
    /// far it should be, and looks again then.
    LookingUp,
    /// Its claim on the session is in the log, or on its way there.
    Attaching,
    /// Its session is its own.
    Serving,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) phase: Phase,
    pub(super) since: Time,
    pub(super) last_zxid_seen: i64,
    pub(super) session: SessionId,
    pub(super) password: [u8; 16],
    pub(super) timeout_ms: u32,
    pub(super) attachment: Attachment,
    pub(super) identities: Vec<Identity>,
    /// Requests in the order in which they came, which is the order of their replies.
    pub(super) queue: VecDeque<Pending>,
    /// How many of them hold the writes behind them back.
    pub(super) barriers: usize,
    /// Commands that have not been applied, oldest first; the handshake's has the number 0.
    pub(super) outstanding: VecDeque<Outstanding>,
    pub(super) last_sequence: u64,
    /// Heard of since the last pulse.
    pub(super) touched: bool,
    /// Pings wait while no leader vouches for the session.
    pub(super) pings_due: u32,
    /// How often the claim on the session was lost to somebody else's.
    pub(super) attempts: u32,
}

/// A command on its way through the log.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) sequence: u64,
    pub(super) command: Bytes,
    pub(super) sent: Time,
}

/// A request that has not been answered.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) xid: i32,
    pub(super) work: Work,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) enum Work {
    /// A write behind a read that waits for a round. It must not overtake the read, or the read would see what
    /// its client asked for later.
    Held { write: Write, form: Form },
    /// The log: the command with this number, whose outcome is to be told in this form.
    Write { sequence: u64, form: Form, answer: Option<Answer> },
    /// Its turn; and, if a round is named, that round.
    Read { request: wire::Request, round: Option<u64> },
    /// Its turn: the answer is known already.
    Ready { result: Result<wire::Response, i32> },
    /// The cluster's membership to change: first the leader's word, then that index to be applied.
    Reconfigure { token: u64, index: Option<u64> },
    /// Its turn: authenticated. ZooKeeper answers that with a zxid of 0.
    Authenticated,
    /// Its turn; then the connection ends.
    Refuse { code: i32, reason: super::types::CloseReason },
}

impl Work {
    /// Whether writes behind this one have to wait for it.
    fn is_barrier(&self) -> bool {
        matches!(self, Work::Read { round: Some(_), .. } | Work::Reconfigure { .. })
    }
}

/// The answer to a write.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) zxid: i64,
    pub(super) result: Result<wire::Response, i32>,
}

/// How the outcome of a write is told; clients choose by the operation they use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `create`: the path.
    Path,
    /// `create2` and its kin: the path and the facts.
    PathStat,
    /// `setData`, `setACL`: the facts.
    Stat,
    /// `delete`: nothing.
    Nothing,
    /// `multi`: one result per op, each in its own form.
    Multi(Vec<Form>),
    /// `closeSession`: nothing, and then the connection ends.
    Close,
}

impl Client {
    pub(super) fn new(address: &str, since: Time, last_zxid_seen: i64) -> Self {
        let ip = Identity { scheme: "ip".into(), id: address.into() };
        Client {
            phase: Phase::Attaching,
            since,
            last_zxid_seen,
            session: SessionId(0),
            password: [0; 16],
            timeout_ms: 0,
            attachment: Attachment(0),
            identities: Vec::from([ip]),
            queue: VecDeque::new(),
            barriers: 0,
            outstanding: VecDeque::new(),
            last_sequence: 0,
            touched: false,
            pings_due: 0,
            attempts: 0,
        }
    }

    /// Queues a request, behind all that came before.
    pub(super) fn queue(&mut self, xid: i32, work: Work) {
        self.barriers += work.is_barrier() as usize;
        self.queue.push_back(Pending { xid, work });
    }

    /// Takes the request at the front.
    pub(super) fn dequeue(&mut self) -> Option<Pending> {
        let pending = self.queue.pop_front()?;
        self.barriers -= pending.work.is_barrier() as usize;
        Some(pending)
    }

    /// Numbers a new write.
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.last_sequence += 1;
        self.last_sequence
    }

    /// Numbers the first held write that nothing before it holds any more.
    pub(super) fn release(&mut self) -> Option<(u64, Write)> {
        let sequence = self.last_sequence + 1;
        let works = self.queue.iter_mut().map(|pending| &mut pending.work);
        for work in works.take_while(|work| !work.is_barrier()) {
            if let Work::Held { write, form } = work {
                let write = core::mem::replace(write, Write::Close);
                let form = core::mem::replace(form, Form::Close);
                *work = Work::Write { sequence, form, answer: None };
                self.last_sequence = sequence;
                return Some((sequence, write));
            }
        }
        None
    }

    /// Takes note that the command of this number has been applied; whether it was still outstanding.
    pub(super) fn settle(&mut self, sequence: u64) -> bool {
        let known = self.outstanding.front().is_some_and(|first| first.sequence == sequence);
        if known {
            self.outstanding.pop_front();
        }
        known
    }

    /// The pending write of this number, which is the first that has no answer yet.
    pub(super) fn pending_write(&mut self, wanted: u64) -> Option<(&Form, &mut Option<Answer>)> {
        self.queue.iter_mut().find_map(|pending| match &mut pending.work {
            Work::Write { sequence, form, answer } if *sequence == wanted => Some((&*form, answer)),
            _ => None,
        })
    }
}

/// All connections of this node, and which of them serves which session.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub(super) by_connection: BTreeMap<Connection, Client>,
    by_session: BTreeMap<SessionId, Connection>,
}

impl Clients {
    pub(super) fn get(&mut self, connection: Connection) -> Option<&mut Client> {
        self.by_connection.get_mut(&connection)
    }

    /// The connection that claims, or has, this session.
    pub(super) fn of_session(&mut self, session: SessionId) -> Option<(Connection, &mut Client)> {
        let connection = *self.by_session.get(&session)?;
        let client = self.by_connection.get_mut(&connection).expect("sessions point at connections");
        Some((connection, client))
    }

    /// Lets the connection claim the session; gives the connection of this node that had claimed it before.
    pub(super) fn claim(&mut self, connection: Connection, session: SessionId) -> Option<Connection> {
        assert!(self.by_connection.contains_key(&connection));
        self.by_session.insert(session, connection).filter(|before| *before != connection)
    }

    pub(super) fn insert(&mut self, connection: Connection, client: Client) {
        let before = self.by_connection.insert(connection, client);
        assert!(before.is_none(), "the gateway numbers connections once");
    }

    pub(super) fn remove(&mut self, connection: Connection) -> Option<Client> {
        let client = self.by_connection.remove(&connection)?;
        if self.by_session.get(&client.session) == Some(&connection) {
            self.by_session.remove(&client.session);
        }
        Some(client)
    }

    /// Every connection, ascending.
    pub(super) fn connections(&self) -> Vec<Connection> {
        self.by_connection.keys().copied().collect()
    }

    /// Asserts that both maps agree.
    pub(super) fn check(&self) {
        for (session, connection) in &self.by_session {
            let client = self.by_connection.get(connection).expect("sessions point at connections");
            assert_eq!(client.session, *session);
        }
        for client in self.by_connection.values() {
            assert_eq!(
                client.barriers,
                client.queue.iter().filter(|pending| pending.work.is_barrier()).count()
            );
            let sequences = client.outstanding.iter().map(|outstanding| outstanding.sequence);
            assert!(sequences.is_sorted(), "commands go out in order");
            assert!(client.outstanding.back().is_none_or(|last| last.sequence <= client.last_sequence));
        }
    }
}
